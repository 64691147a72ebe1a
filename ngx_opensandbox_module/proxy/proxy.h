/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_PROXY_PROXY_H_INCLUDED_
#define _NGX_HTTP_OSB_PROXY_PROXY_H_INCLUDED_


#include "answer/answer.h"
#include "request/request.h"


typedef struct ngx_http_osb_relay_s ngx_http_osb_relay_t;

typedef struct ngx_http_osb_pool_s ngx_http_osb_pool_t;

typedef struct ngx_http_osb_sleeper_s ngx_http_osb_sleeper_t;


/* an upstream with "opensandbox;" */
typedef struct {
    ngx_http_upstream_srv_conf_t *conf;
    ngx_uint_t                    inited; /* nothing has replaced it */
} ngx_http_osb_upstream_t;


/* a peer's address, with room for the generation, see proxy/balancer.c */
typedef union {
    struct sockaddr    sockaddr;
    struct sockaddr_in in;
    struct {
        struct sockaddr_in6 sockaddr;
        uint64_t            generation;
    } in6;
    struct sockaddr_un un;
} ngx_http_osb_sockaddr_t;


/* one of a host name's addresses; the endpoint's text is the name still */
typedef struct {
    ngx_http_osb_endpoint_t endpoint;
    u_char                  addr[NGX_HTTP_OSB_ADDR_LEN];
} ngx_http_osb_resolved_t;

#define NGX_HTTP_OSB_INET_NAME sizeof("255.255.255.255:65535")


typedef void (*ngx_http_osb_ctx_cleanup_pt)(ngx_http_osb_ctx_t *ctx);

/* of a context: a stream's, a sleeper's, a look-up's and that of a wait */
#define NGX_HTTP_OSB_CTX_CLEANUPS 4

/* one request's way through the rooms */
struct ngx_http_osb_ctx_s {
    ngx_http_osb_mode_t  *mode;
    ngx_http_osb_status_e status;
    const char           *reason;
    const char           *advice; /* NULL: the status' own */

    /* what the route was read for, by a location, from a URI */
    ngx_http_osb_loc_conf_t *location;
    ngx_str_t                from;

    ngx_http_osb_route_t route;
    ngx_str_t            id; /* lower case, in folded */
    ngx_str_t            prefix;
    ngx_str_t            rest;

    ngx_http_osb_record_t   *record;
    ngx_http_osb_endpoint_t *endpoint;
    ngx_addr_t               peer;
    ngx_http_osb_pool_t     *pool; /* NULL without */

    /* of the connection, see proxy/kind.c; 0 until it is known */
    uint64_t kind;

    /* the addresses of a host name; NULL for other places */
    ngx_http_osb_resolved_t *resolved;

    ngx_uint_t nresolved;
    ngx_uint_t current;
    ngx_uint_t attempts;

    /* how the last attempt failed, while nginx may make another */
    ngx_http_osb_status_e failed;
    const char           *failure;
    ngx_err_t             refusal; /* of connect(), while waiting */

    /* the client's URI, while r->unparsed_uri holds the rest alone */
    ngx_str_t  uri;
    ngx_uint_t http_version;

    ngx_chain_t *body;

    /* the value of a Set-Cookie header that the answer is to have */
    ngx_str_t             cookie;
    ngx_str_t             page;  /* the same of another one */
    ngx_http_osb_relay_t *relay; /* of a tunnel, once it carries */

    /* of the location that an error page or a redirect has left, or of the
     * request that has made this subrequest */
    ngx_http_osb_ctx_t *former;

    /* the proxy's own, see proxy/interim.c */
    ngx_int_t (*process_header)(ngx_http_request_t *r);
    ngx_int_t (*reinit_request)(ngx_http_request_t *r);

    ngx_http_request_t *request; /* whose it is */

    /* of a stream, and of a request that is held */
    ngx_queue_t             queue;
    ngx_http_osb_open_t    *open; /* of a tunnel; or NULL */
    ngx_resolver_ctx_t     *resolver;
    ngx_http_osb_sleeper_t *sleeper; /* while it is held for that sandbox */

    /* what is to be undone before it is freed */
    ngx_http_osb_ctx_cleanup_pt cleanups[NGX_HTTP_OSB_CTX_CLEANUPS];
    ngx_uint_t                  ncleanups;

    unsigned watched : 1;
    unsigned tunnel : 1;
    unsigned waited : 1;
    unsigned slept : 1; /* it has been held for a paused sandbox */
    unsigned spare : 1; /* a try more than the peer would have */

    /* the decoded URI lies outside of the route's prefix */
    unsigned strays : 1;
    unsigned strayed : 1;
    unsigned swapped : 1;
    unsigned passed : 1;  /* the route is final */
    unsigned proxied : 1; /* r->upstream is to the sandbox */
    unsigned replied : 1;

    /* the route's URI ends with its prefix, but for a query */
    unsigned bare : 1;

    /* the page that asks tells the route */
    unsigned followed : 1;

    /* the sandbox gets the prefix, too */
    unsigned keep : 1;

    /* the route's signature and rest are of a link for browsers */
    unsigned link : 1;
    unsigned cookied : 1;

    /* the sandbox's own token has admitted */
    unsigned owner : 1;

    /* from here on nothing is set before it is used */
    u_char folded[NGX_HTTP_OSB_ID_LEN];

    /* the peer's address, and its name if that is an IPv4 address */
    ngx_http_osb_sockaddr_t address;
    u_char                  name[NGX_HTTP_OSB_INET_NAME];

    /* of a request that waits, set when it begins to */
    ngx_peer_connection_t attempt;
    ngx_event_t           pause;
    ngx_msec_t            deadline;

    /* for the record, if it is no larger */
    uint64_t space[24];
};


/*
 * proxy/ctx.c: the context of the request, its route read, or of the nearest
 * parent that has a route, for a subrequest to a location without routing. NULL
 * if there is none (yet: the location may not have been chosen), or without
 * memory.  After an internal redirect to a location without routing it is the
 * one before.
 */
ngx_http_osb_ctx_t *
ngx_http_osb_ctx_get(ngx_http_request_t *r);

/* The request's own, if its route has been read, or NULL. */
ngx_http_osb_ctx_t *
ngx_http_osb_ctx_own(ngx_http_request_t *r);

/* Gives r->unparsed_uri the client's own text back. */
void
ngx_http_osb_ctx_restore_uri(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* proxy/handler.c: the precontent phase */
ngx_int_t
ngx_http_osb_handler(ngx_http_request_t *r);

/*
 * The content phase, before the location's own handler.  What runs earlier,
 * "try_files" say, finds the URI as the client sent it.
 */
ngx_int_t
ngx_http_osb_handler_proxy(ngx_http_request_t *r);


/* proxy/balancer.c: upstream { opensandbox; } */
char *
ngx_http_osb_balancer_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Puts the upstreams that have a pool of their own before stock ones.
 * NGX_ERROR if another load balancing method has replaced one.
 */
ngx_int_t
ngx_http_osb_balancer_init(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf);


/*
 * proxy/upgrade.c: whether the client asks for another protocol that the
 * gateway can carry, and Connection says so.
 */
ngx_uint_t
ngx_http_osb_upgrade_wanted(ngx_http_request_t *r);

/*
 * A list of these protocols, empty without; in the request's own bytes or of
 * its pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_upgrade_list(ngx_http_request_t *r, ngx_str_t *list);


/*
 * proxy/tunnel.c: upgraded connections and event streams, from the answer's
 * header to the request's end
 */
void
ngx_http_osb_tunnel_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

void
ngx_http_osb_tunnel_stream_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * proxy/relay.c: carries the tunnel's bytes from now on, in nginx's place.  To
 * be called when nginx has set its own handlers; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_relay_start(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


#endif /* _NGX_HTTP_OSB_PROXY_PROXY_H_INCLUDED_ */
