/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_MODULE_H_INCLUDED_
#define _NGX_HTTP_OSB_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "record/record.h"
#include "record/place.h"
#include "registry/registry.h"
#include "route/route.h"


#define NGX_HTTP_OSB_MODE_URI    0x0001
#define NGX_HTTP_OSB_MODE_HEADER 0x0002
#define NGX_HTTP_OSB_MODE_HOST   0x0004
#define NGX_HTTP_OSB_MODE_ANY    0x0007


/* the forms of a signature, no two of which can stand for each other */
#define NGX_HTTP_OSB_SHORT  0
#define NGX_HTTP_OSB_LONG   1
#define NGX_HTTP_OSB_COOKIE 2

/* opensandbox_access_cookie */
#define NGX_HTTP_OSB_COOKIE_OFF    0
#define NGX_HTTP_OSB_COOKIE_LAX    1
#define NGX_HTTP_OSB_COOKIE_STRICT 2
#define NGX_HTTP_OSB_COOKIE_NONE   3


/* what the name of a cookie that tells a page's sandbox begins with */
#define NGX_HTTP_OSB_PAGE_COOKIE "opensandbox-page-"

/* for whoever had a link, which is of no use any more */
#define NGX_HTTP_OSB_LINK_ADVICE "Ask whoever gave you this link for a new one."


/* what became of a request, in the order of the table in answer/reply.c */
typedef enum {
    NGX_HTTP_OSB_OK = 0,
    NGX_HTTP_OSB_BAD_ROUTE,
    NGX_HTTP_OSB_UNAUTHORIZED,
    NGX_HTTP_OSB_NOT_EXPOSED,
    NGX_HTTP_OSB_NOT_FOUND,
    NGX_HTTP_OSB_EXPIRED,
    NGX_HTTP_OSB_NOT_READY,
    NGX_HTTP_OSB_NO_KEYS,
    NGX_HTTP_OSB_UNRESOLVED,
    NGX_HTTP_OSB_REFUSED,
    NGX_HTTP_OSB_UNREACHABLE,
    NGX_HTTP_OSB_DROPPED,
    NGX_HTTP_OSB_BAD_ANSWER,
    NGX_HTTP_OSB_SLOW,
    NGX_HTTP_OSB_STATUSES
} ngx_http_osb_status_e;


typedef struct ngx_http_osb_renew_conf_s ngx_http_osb_renew_conf_t;

typedef struct ngx_http_osb_relay_s ngx_http_osb_relay_t;

typedef struct ngx_http_osb_pool_s ngx_http_osb_pool_t;


/* a key of opensandbox_access_keys */
typedef struct {
    u_char    id;
    ngx_str_t secret;
} ngx_http_osb_secret_t;


/* an opensandbox_policy block: its document as JSON text */
typedef struct {
    ngx_str_node_t node; /* its name */
    ngx_str_t      text;
} ngx_http_osb_policy_t;


/* what the configuration has named, to be found by the name */
typedef struct {
    ngx_rbtree_t      tree; /* of ngx_str_node_t */
    ngx_rbtree_node_t sentinel;
} ngx_http_osb_names_t;


/* a declared record that names a policy, and where it does */
typedef struct {
    ngx_uint_t declared;
    ngx_str_t  name;
    ngx_str_t  file;
    ngx_uint_t line;
} ngx_http_osb_policy_use_t;


/* a location that routes, and how clients reach its server */
typedef struct {
    ngx_http_core_srv_conf_t       *server;
    struct ngx_http_osb_loc_conf_s *location;
    ngx_str_t                       name;   /* empty: any name does */
    ngx_str_t                       domain; /* of hosts, or empty */
    ngx_uint_t                      port;
    ngx_uint_t                      ssl;
} ngx_http_osb_gateway_t;


/* the address that clients use, as in opensandbox_public */
typedef struct {
    ngx_uint_t mode;   /* one of them */
    ngx_str_t  base;   /* authority and path, without a slash at its end */
    ngx_uint_t scheme; /* whether https is known */
    ngx_uint_t https;
} ngx_http_osb_public_t;


/* an upstream with "opensandbox;" */
typedef struct {
    ngx_http_upstream_srv_conf_t *conf;
    ngx_uint_t                    inited; /* nothing has replaced it */
} ngx_http_osb_upstream_t;


typedef struct {
    ngx_http_osb_zone_t *zone;
    ngx_array_t          gateways;
    /* ngx_http_osb_gateway_t */
    ngx_array_t keys;
    /* ngx_http_osb_secret_t */
    ngx_array_t declared;
    /* ngx_http_osb_record_t * */
    ngx_array_t policy_uses;
    /* ngx_http_osb_policy_use_t */

    ngx_array_t upstreams;
    /* ngx_http_osb_upstream_t */

    ngx_http_osb_names_t ids; /* of declared records */
    ngx_http_osb_names_t policies;
    /* ngx_http_osb_policy_t */

    /* the variable's index */
    ngx_int_t request_uri;

    /* a directive that needs the zone has been seen */
    ngx_uint_t used;

    ngx_http_osb_renew_conf_t *renew; /* NULL without */
} ngx_http_osb_main_conf_t;


typedef struct ngx_http_osb_loc_conf_s {
    ngx_uint_t                mode;
    ngx_str_t                 prefix;
    ngx_str_t                 domain;
    ngx_http_handler_pt       handler; /* the proxy's */
    ngx_http_complex_value_t *host;
    ngx_uint_t                host_endpoint;
    ngx_msec_t                wait;
    ngx_msec_t                tunnel_timeout;
    ngx_array_t              *api_tokens; /* ngx_str_t */
    ngx_array_t              *cors;    /* origins, see access/cors.c; or NULL */
    ngx_array_t              *trusted; /* ngx_cidr_t, NULL without */
    ngx_uint_t                api_endpoints;
    ngx_flag_t                keep_prefix;
    ngx_flag_t                follow_referer;
    ngx_uint_t                cookie;
    ngx_uint_t                cookie_secure;

    ngx_array_t *publics; /* ngx_http_osb_public_t, NULL without */
} ngx_http_osb_loc_conf_t;


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


/* one of a host name's addresses; the text of its place is the name still */
typedef struct {
    ngx_http_osb_place_t place;
    u_char               addr[NGX_HTTP_OSB_ADDR_LEN];
} ngx_http_osb_resolved_t;

#define NGX_HTTP_OSB_INET_NAME sizeof("255.255.255.255:65535")


typedef struct ngx_http_osb_ctx_s ngx_http_osb_ctx_t;

/* one request's way through the rooms */
struct ngx_http_osb_ctx_s {
    ngx_uint_t            mode;
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

    ngx_http_osb_record_t *record;
    ngx_http_osb_place_t  *place;
    ngx_addr_t             peer;
    ngx_http_osb_pool_t   *pool; /* NULL without */

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
    ngx_queue_t         queue;
    ngx_resolver_ctx_t *resolver;

    unsigned watched : 1;
    unsigned tunnel : 1;
    unsigned waited : 1;
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
 * The context of the request, its route read, or of the nearest parent that has
 * a route, for a subrequest to a location without routing.  NULL if there is
 * none (yet: the location may not have been chosen), or without memory.  After
 * an internal redirect to a location without routing it is the one before.
 */
ngx_http_osb_ctx_t *
ngx_http_osb_ctx(ngx_http_request_t *r);

/* The request's own, if its route has been read, or NULL. */
ngx_http_osb_ctx_t *
ngx_http_osb_own_ctx(ngx_http_request_t *r);

/* Gives r->unparsed_uri the client's own text back. */
void
ngx_http_osb_restore_uri(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* proxy/handler.c: the precontent phase */
ngx_int_t
ngx_http_osb_handler(ngx_http_request_t *r);

/*
 * The content phase, before the location's own handler.  What runs earlier,
 * "try_files" say, finds the URI as the client sent it.
 */
ngx_int_t
ngx_http_osb_proxy(ngx_http_request_t *r);


/* conf.c: the configuration, and directives without a room of their own */
void *
ngx_http_osb_create_main_conf(ngx_conf_t *cf);
void *
ngx_http_osb_create_loc_conf(ngx_conf_t *cf);
char *
ngx_http_osb_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
char *
ngx_http_osb_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_host(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_api_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* The node of a name, NULL of one that has not been added. */
ngx_str_node_t *
ngx_http_osb_names_find(ngx_http_osb_names_t *names, ngx_str_t *name);

/* The name must live as long as the node, and not be there yet. */
void
ngx_http_osb_names_add(ngx_http_osb_names_t *names, ngx_str_node_t *node,
                       ngx_str_t *name);

/* A mode's value by its name; 0 of another name. */
ngx_uint_t
ngx_http_osb_mode_value(ngx_str_t *name);


/* api/public.c: how clients reach the gateway */
char *
ngx_http_osb_public(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* To be called when all servers are known. */
ngx_int_t
ngx_http_osb_public_init(ngx_conf_t *cf);

/*
 * The address for the caller of the API, by that mode, 0 for the one that comes
 * first; NGX_DECLINED if there is none, NGX_ERROR without memory.
 */
ngx_int_t
ngx_http_osb_public_of(ngx_http_request_t *r, ngx_uint_t mode,
                       ngx_http_osb_public_t *public);


/* route/request.c: the route of a request, in ctx->route or ctx->reason */
void
ngx_http_osb_read_route(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                        ngx_http_osb_ctx_t *ctx);

/*
 * The next header of a list (of ngx_table_elt_t), NULL behind the last.  Starts
 * at the list's first part with *i = 0; both then belong to the walk.
 */
ngx_table_elt_t *
ngx_http_osb_next_header(ngx_list_part_t **part, ngx_uint_t *i);

/* The next request header of that lower case name, in such a walk. */
ngx_table_elt_t *
ngx_http_osb_next_named(ngx_list_part_t **part, ngx_uint_t *i, ngx_str_t *name);

/*
 * The first request header of that lower case name, or NULL; *n is how many
 * there are.
 */
ngx_table_elt_t *
ngx_http_osb_header(ngx_http_request_t *r, ngx_str_t *name, ngx_uint_t *n);

/* The URI as the client sent it, or as a rewrite made it; encoded. */
ngx_int_t
ngx_http_osb_request_uri(ngx_http_request_t *r, ngx_str_t *uri);

/*
 * Makes the route's prefix, without a signature, a part of the rest, where
 * location or record say so; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_keep_prefix(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes what looked like a signature, and is one, part of the prefix. */
ngx_int_t
ngx_http_osb_use_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* route/forwarded.c: how the client reaches the gateway, maybe through a proxy
 */
char *
ngx_http_osb_trust_forwarded(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Whether the peer is a proxy whose X-Forwarded headers count. */
ngx_uint_t
ngx_http_osb_forwarded(ngx_http_request_t *r);

/* Whether a host may stand in a Location and in a line of JSON as it is. */
ngx_uint_t
ngx_http_osb_valid_host(ngx_str_t *host);

/* Whether the client uses TLS. */
ngx_uint_t
ngx_http_osb_client_https(ngx_http_request_t *r);

/* The authority that the client asked for, with its port if it named one. */
ngx_str_t
ngx_http_osb_client_host(ngx_http_request_t *r);

/* That port, or the standard one of the client's scheme. */
ngx_str_t
ngx_http_osb_client_port(ngx_http_request_t *r);


/* answer/variables.c */

/* "uri", "header", "host", or nothing. */
const char *
ngx_http_osb_mode_text(ngx_uint_t mode);

/* The Host header for the sandbox; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_sandbox_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                          ngx_str_t *host);

ngx_int_t
ngx_http_osb_add_variables(ngx_conf_t *cf);


/* proxy/upgrade.c: changes of protocol that clients ask for (RFC 9110, 7.8) */

/*
 * Whether the client asks for another protocol that the gateway can carry, and
 * Connection says so.
 */
ngx_uint_t
ngx_http_osb_upgrading(ngx_http_request_t *r);

/*
 * A list of these protocols, empty without; in the request's own bytes or of
 * its pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_upgrade_list(ngx_http_request_t *r, ngx_str_t *list);


/* answer/phases.c: variables that hold in every phase, and in subrequests */

/* To be called when all variables are known; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_phases_init(ngx_conf_t *cf);

/* Notes that a variable is read that depends on the request's route. */
void
ngx_http_osb_variable_read(void);


/* access/access.c: who may enter, given the route and ctx->record */
ngx_http_osb_status_e
ngx_http_osb_access(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/*
 * Writes a signature: 9 bytes in the short form, or 27.  The expiry is in base
 * 36.  Returns the end, NULL without memory.
 */
u_char *
ngx_http_osb_sign(u_char *buf, ngx_http_osb_secret_t *key, ngx_uint_t form,
                  ngx_str_t *id, ngx_uint_t port, ngx_str_t *expires);

/* What is wrong with a signature for the route's sandbox; NULL if nothing. */
const char *
ngx_http_osb_verify(ngx_http_osb_main_conf_t *omcf, ngx_http_osb_ctx_t *ctx,
                    ngx_uint_t form, ngx_str_t *expires, ngx_str_t *signature);

/* The key that a signature names, or NULL. */
ngx_http_osb_secret_t *
ngx_http_osb_key(ngx_http_osb_main_conf_t *omcf, ngx_str_t *signature);

char *
ngx_http_osb_access_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Whether two strings are equal, in a time that does not depend on where. */
ngx_uint_t
ngx_http_osb_equal(ngx_str_t *one, ngx_str_t *two);


/* access/cookie.c: what a signed route leaves in a browser */

/*
 * Whether a cookie admits to the route's sandbox: NULL, or what is wrong, and
 * ctx->advice with it.
 */
const char *
ngx_http_osb_cookie_admit(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes ctx->cookie, where a browser has opened a signed route. */
ngx_int_t
ngx_http_osb_cookie_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Takes the cookie out of a request, before the sandbox sees it. */
ngx_int_t
ngx_http_osb_cookie_cut(ngx_http_request_t *r);

/* How many cookies tell a page's sandbox, and the "{id}-{port}" of one. */
ngx_uint_t
ngx_http_osb_cookie_page(ngx_http_request_t *r, ngx_str_t *name);

/* Drops what a sandbox's answer does to the cookie. */
void
ngx_http_osb_cookie_guard(ngx_http_request_t *r);

char *
ngx_http_osb_access_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* access/link.c: how a browser gets the cookie of a host */

/*
 * Takes a link's signature into the route, and sets ctx->link.  NGX_OK;
 * NGX_DECLINED if the URI is none; NGX_ERROR with ctx->reason set.
 */
ngx_int_t
ngx_http_osb_link_read(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Answers a link that was verified. */
ngx_int_t
ngx_http_osb_link_follow(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/*
 * Sends a browser that opens "{prefix}" to "{prefix}/", where the page's own
 * relative links lead to the sandbox; and where the prefix is kept, from a
 * signed address to the program's own, to which the cookie admits; and from a
 * path outside of the prefix to the one below it.
 * NGX_DECLINED if there is no need.
 */
ngx_int_t
ngx_http_osb_link_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* access/cors.c: pages of the origins that opensandbox_cors names */
char *
ngx_http_osb_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Answers a preflight of such a page.  NGX_DECLINED for any other request; else
 * what ngx_http_finalize_request() takes.
 */
ngx_int_t
ngx_http_osb_cors_preflight(ngx_http_request_t *r);

/* Lets such a page read an error of the gateway's; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_cors_error(ngx_http_request_t *r);


/* access/origin.c: which page a browser asks for */

/* Whether a browser opens a page, rather than asks for a part of one. */
ngx_uint_t
ngx_http_osb_navigation(ngx_http_request_t *r);

/* Whether a client that opens an address may be a browser, or keeps cookies. */
ngx_uint_t
ngx_http_osb_opens(ngx_http_request_t *r);

/* Whether a URL is of the host that the client asked for; and its path. */
ngx_uint_t
ngx_http_osb_same_host(ngx_http_request_t *r, ngx_str_t *url, ngx_str_t *path);

/*
 * The route of a page in "uri" mode by its URL, whichever location of the
 * request's server serves it; NGX_DECLINED if it is no such page, or is not of
 * the host that the client asked for.
 */
ngx_int_t
ngx_http_osb_page_route(ngx_http_request_t *r, ngx_str_t *url,
                        ngx_http_osb_route_t *route);

/* Sets why a request without any credential has none, and what to do. */
void
ngx_http_osb_no_credential(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Why a page that asks may not use the cookie; NULL if it may. */
const char *
ngx_http_osb_foreign(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* route/follow.c: what pages in uri mode ask for outside of their prefix */

/*
 * Makes the route that the asking page tells.  NGX_OK; NGX_DECLINED, maybe with
 * ctx->reason set; or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_follow(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                    ngx_http_osb_ctx_t *ctx);

/* Makes ctx->page, where a browser opens a page; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_follow_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* proxy/balancer.c: upstream { opensandbox; } */
char *
ngx_http_osb_upstream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Puts the upstreams that have a pool of their own before stock ones.
 * NGX_ERROR if another load balancing method has replaced one.
 */
ngx_int_t
ngx_http_osb_upstreams(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf);

/* The peer address of ctx->place in ctx->peer; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_peer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes ctx->peer the host name's next address, if it has another. */
ngx_int_t
ngx_http_osb_next_peer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * proxy/kind.c: a number for all that a connection of the request's upstream
 * means beside its peer; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_kind(ngx_http_request_t *r, uint64_t *kind);


/*
 * proxy/pool.c: idle connections that an upstream keeps.  The first makes a
 * pool of the directive's parameters.
 */
#define NGX_HTTP_OSB_POOL_MAX 1000000

char *
ngx_http_osb_pool_conf(ngx_conf_t *cf, ngx_http_osb_pool_t **result);

/* NGX_DONE with an idle connection to the peer's address; NGX_OK without. */
ngx_int_t
ngx_http_osb_pool_take(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc);

/* Takes pc->connection over, if it is fit for another request. */
void
ngx_http_osb_pool_keep(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc,
                       ngx_http_upstream_t *u);


/*
 * proxy/session.c: TLS sessions with peers.  For the balancer: the first two
 * are what an upstream's peer calls before a handshake and after; the third
 * drops what may have made one fail.
 */
#if (NGX_HTTP_SSL)
ngx_int_t
ngx_http_osb_session_set(ngx_peer_connection_t *pc, void *data);
void
ngx_http_osb_session_save(ngx_peer_connection_t *pc, void *data);
void
ngx_http_osb_session_forget(ngx_peer_connection_t *pc);
#endif


/* proxy/interim.c: keeps a sandbox's 1xx answers from being taken for the
 * answer */
void
ngx_http_osb_interim(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* answer/rewrite.c: brings what a sandbox answers under the URI's prefix */
ngx_int_t
ngx_http_osb_rewrite(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * proxy/tunnel.c: upgraded connections and event streams, from the answer's
 * header to the request's end
 */
void
ngx_http_osb_tunnel_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
void
ngx_http_osb_stream_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Of either. */
void
ngx_http_osb_stream_close(ngx_http_osb_ctx_t *ctx);


/*
 * proxy/relay.c: carries the tunnel's bytes from now on, in nginx's place.  To
 * be called when nginx has set its own handlers; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_relay_start(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Frees it, with what has not been sent. */
void
ngx_http_osb_relay_stop(ngx_http_osb_relay_t *relay);


/*
 * proxy/hold.c: makes ctx->peer from ctx->place, which may take time.  Returns
 * NGX_OK; NGX_AGAIN, then the phases go on by themselves later; NGX_DECLINED
 * with ctx->status set; or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_hold(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Ends whatever holds a request. */
void
ngx_http_osb_release(ngx_http_osb_ctx_t *ctx);


/*
 * proxy/wait.c: connects pc in nginx's place, where the location waits for
 * ports to open.  To be returned by a balancer: NGX_OK if nginx is to connect,
 * NGX_AGAIN if that goes on, or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_wait(ngx_peer_connection_t *pc, ngx_http_osb_ctx_t *ctx);

/* Ends it, wherever it is. */
void
ngx_http_osb_wait_end(ngx_http_osb_ctx_t *ctx);


/* record/declare.c: opensandbox_sandbox ID { ... } */
char *
ngx_http_osb_sandbox_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* record/policy.c: opensandbox_policy NAME { ... } */
char *
ngx_http_osb_policy_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Notes that the next record to be declared names a policy. */
ngx_int_t
ngx_http_osb_policy_use(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf,
                        ngx_str_t *name);

/* Gives declared records the policies that they name. */
ngx_int_t
ngx_http_osb_policy_resolve(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf);


/* api/api.c: the content handler of opensandbox_api */
ngx_int_t
ngx_http_osb_api_handler(ngx_http_request_t *r);


/* status/status.c: opensandbox_status */
ngx_int_t
ngx_http_osb_status_handler(ngx_http_request_t *r);


/* renew/renew.c: opensandbox_renew_intent */
char *
ngx_http_osb_renew_intent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Tells that a sandbox is in use, once in a while. */
void
ngx_http_osb_renew(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes a worker ready to tell; conf may be NULL. */
ngx_int_t
ngx_http_osb_renew_init_process(ngx_http_osb_renew_conf_t *conf,
                                ngx_cycle_t               *cycle);


/* answer/accept.c: whether the client prefers a page to JSON */
ngx_uint_t
ngx_http_osb_wants_html(ngx_http_request_t *r);


/* answer/reply.c: error bodies */
ngx_int_t
ngx_http_osb_reply_init(ngx_conf_t *cf);
ngx_uint_t
ngx_http_osb_http_status(ngx_http_osb_status_e status);
ngx_str_t *
ngx_http_osb_status_name(ngx_http_osb_status_e status);

/* What became of a request, also where error_page has taken it away. */
ngx_http_osb_status_e
ngx_http_osb_outcome(ngx_http_osb_ctx_t *ctx);

/* Adds a response header; the value must live as long as the request. */
ngx_int_t
ngx_http_osb_add_header(ngx_http_request_t *r, const char *name,
                        ngx_str_t *value);


extern ngx_module_t ngx_http_opensandbox_module;


#endif /* _NGX_HTTP_OSB_MODULE_H_INCLUDED_ */
