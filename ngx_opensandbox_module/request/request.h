/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_REQUEST_REQUEST_H_INCLUDED_
#define _NGX_HTTP_OSB_REQUEST_REQUEST_H_INCLUDED_


#include "conf.h"
#include "route/route.h"


/* the most modes, for which requests are counted */
#define NGX_HTTP_OSB_MODES_MAX 8

/* what pages are followed in, see request/follow.c */
#define NGX_HTTP_OSB_MODE_URI 0x0001

/* a cookie may admit: no page of another sandbox can choose the route */
#define NGX_HTTP_OSB_MODE_COOKIE 0x0001

/*
 * The route is a prefix of the path, which the sandbox does not see, and
 * sandboxes share an origin.
 */
#define NGX_HTTP_OSB_MODE_PREFIX 0x0002

/* the route is in the host's name, below a domain */
#define NGX_HTTP_OSB_MODE_DOMAIN 0x0004


/* the address of a sandbox's port, as clients are to ask for it */
typedef struct {
    ngx_str_t   base;   /* of the gateway: authority and path */
    const char *scheme; /* for a browser, with "://"; or empty */
    ngx_str_t   id;
    ngx_uint_t  port;
    ngx_str_t   expires; /* base 36, empty without a signature */
    ngx_str_t   signature;
    ngx_uint_t  browser; /* is for one */
} ngx_http_osb_address_t;


/* a routing mode: a row of the table in request/mode.c */
struct ngx_http_osb_mode_s {
    ngx_uint_t bit;
    ngx_str_t  name;

    /*
     * Reads ctx->route: NGX_OK; NGX_DECLINED where the request makes no attempt
     * at one; NGX_ERROR.  Without a route, ctx->reason or the route's error
     * says why.
     */
    ngx_int_t (*read)(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                      ngx_http_osb_ctx_t *ctx);

    /* Writes the address; returns its end, or NULL with the error set. */
    u_char *(*write)(u_char *p, ngx_http_osb_address_t *address,
                     const char **error);

    const char *header; /* which has the route, beside the address; or NULL */
    ngx_uint_t  flags;
};


/* room for names, and for a route as a label */
#define NGX_HTTP_OSB_MODE_LIST 256
#define NGX_HTTP_OSB_LABEL_LEN                                             \
    (NGX_HTTP_OSB_ID_LEN + sizeof("-65535--") + NGX_HTTP_OSB_EXPIRES_LEN + \
     NGX_HTTP_OSB_LONG_SIG_LEN)


/* request/mode.c: the mode of that bit, or NULL; the first bit is 1 */
ngx_http_osb_mode_t *
ngx_http_osb_mode(ngx_uint_t bit);

/* The bit of a mode by its name, all of them for "any"; 0 of another name. */
ngx_uint_t
ngx_http_osb_mode_bits(ngx_str_t *name);

/* What any of the modes has. */
ngx_uint_t
ngx_http_osb_mode_flags(ngx_uint_t bits);

/*
 * The modes' names for a message, "any" with them or not, in the buffer of
 * NGX_HTTP_OSB_MODE_LIST bytes.
 */
const char *
ngx_http_osb_mode_list(u_char *buf, ngx_uint_t any);

/*
 * Writes "{id}-{port}", or "{id}-{port}-{expires}-{signature}", of at most
 * NGX_HTTP_OSB_LABEL_LEN bytes; returns its end.
 */
u_char *
ngx_http_osb_mode_label(u_char *p, ngx_http_osb_address_t *address);


/* request/request.c: the route of a request, in ctx->route or ctx->reason */
void
ngx_http_osb_request_route(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                           ngx_http_osb_ctx_t *ctx);


/* request/header.c: whether a field has that lower case name */
static ngx_inline ngx_uint_t
ngx_http_osb_header_is(ngx_table_elt_t *h, ngx_str_t *name)
{
    return h->key.len == name->len &&
           ngx_memcmp(h->lowcase_key, name->data, name->len) == 0;
}

/*
 * The next header of a list (of ngx_table_elt_t), NULL behind the last.  Starts
 * at the list's first part with *i = 0; both then belong to the walk.
 */
ngx_table_elt_t *
ngx_http_osb_header_next(ngx_list_part_t **part, ngx_uint_t *i);

/* The next request header of that lower case name, in such a walk. */
ngx_table_elt_t *
ngx_http_osb_header_named(ngx_list_part_t **part, ngx_uint_t *i,
                          ngx_str_t *name);

/*
 * The first request header of that lower case name, or NULL; *n is how many
 * there are.
 */
ngx_table_elt_t *
ngx_http_osb_header_find(ngx_http_request_t *r, ngx_str_t *name, ngx_uint_t *n);


/*
 * Takes the request headers away that have been marked for it, with an empty
 * value and 0 for a hash; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_header_drop(ngx_http_request_t *r);

/* Adds a response header; the value must live as long as the request. */
ngx_int_t
ngx_http_osb_header_add(ngx_http_request_t *r, const char *name,
                        ngx_str_t *value);


/* request/uri.c: the URI as the client sent it, or as a rewrite made it, still
 * encoded. */
ngx_int_t
ngx_http_osb_uri_get(ngx_http_request_t *r, ngx_str_t *uri);

/*
 * Makes the route's prefix, without a signature, a part of the rest, where
 * location or record say so; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_uri_keep_prefix(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes what looked like a signature, and is one, part of the prefix. */
ngx_int_t
ngx_http_osb_uri_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* request/forwarded.c: how the client reaches us, maybe through a proxy */
char *
ngx_http_osb_forwarded_trust(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Whether the peer is a proxy whose X-Forwarded headers count. */
ngx_uint_t
ngx_http_osb_forwarded_trusted(ngx_http_request_t *r);

/* Whether a host may stand in a Location and in a line of JSON as it is. */
ngx_uint_t
ngx_http_osb_forwarded_valid(ngx_str_t *host);

/* Whether the client uses TLS. */
ngx_uint_t
ngx_http_osb_forwarded_https(ngx_http_request_t *r);

/* The authority that the client asked for, with its port if it named one. */
ngx_str_t
ngx_http_osb_forwarded_host(ngx_http_request_t *r);

/* That port, or the standard one of the client's scheme. */
ngx_str_t
ngx_http_osb_forwarded_port(ngx_http_request_t *r);


/* request/follow.c: makes ctx->page, where a browser opens a page; NGX_OK or
 * NGX_ERROR. */
ngx_int_t
ngx_http_osb_follow_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


#endif /* _NGX_HTTP_OSB_REQUEST_REQUEST_H_INCLUDED_ */
