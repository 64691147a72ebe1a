/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_ROUTE_ROUTE_H_INCLUDED_
#define _NGX_HTTP_OSB_ROUTE_ROUTE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_OSB_ID_LEN      63
#define NGX_HTTP_OSB_EXPIRES_LEN 13

/* the key id follows 8 hex digits, or 26 base 32 digits that hold 130 bits */
#define NGX_HTTP_OSB_SHORT_SIG_LEN 9
#define NGX_HTTP_OSB_LONG_SIG_LEN  27


/*
 * A route read from text.  Every string is a part of that text, as it was
 * sent; nothing is copied.  An unsigned route has an empty signature.
 */
typedef struct {
    ngx_str_t  id;
    ngx_uint_t port;
    ngx_str_t  expires;
    ngx_str_t  signature;

    /* of a URI: what precedes the rest, the rest with its query, and the
     * same two where the signature belongs to the prefix */
    ngx_str_t prefix;
    ngx_str_t rest;
    ngx_str_t signed_prefix;
    ngx_str_t signed_rest;

    /* what is wrong, a constant string, when parsing gave NGX_ERROR */
    char *error;
} ngx_http_osb_route_t;


/*
 * All three return NGX_OK, NGX_ERROR when the text is not a route (with
 * route->error set), or NGX_DECLINED when the text makes no attempt at one.
 */

/*
 * Reads "{prefix}/{id}/port/{port}/rest", or "/{id}/{port}/rest" where the
 * prefix is empty.  Two more segments that look like expiry and signature
 * are reported, and left in the rest too: whether they are a signature depends
 * on the sandbox.  The URI is the client's, still encoded.
 */
ngx_int_t
ngx_http_osb_route_uri(ngx_http_osb_route_t *route, ngx_str_t *uri,
                       ngx_str_t *prefix);

/* Reads "{id}-{port}" or "{id}-{port}-{expires}-{signature}". */
ngx_int_t
ngx_http_osb_route_name(ngx_http_osb_route_t *route, ngx_str_t *name);

/*
 * Reads a routing header's value, in the form of route_name().  What is none
 * may be a whole host name, even a URL: then its first label counts.
 */
ngx_int_t
ngx_http_osb_route_field(ngx_http_osb_route_t *route, ngx_str_t *value);

/*
 * Reads a host name, in the form of route_name() up to its domain.  Where the
 * domain is not given, the first label counts; with "dots", which is for hosts
 * that are nothing but routes, as many more as it takes.  Host and domain are
 * lower case, without a port and without a trailing dot.
 */
ngx_int_t
ngx_http_osb_route_host(ngx_http_osb_route_t *route, ngx_str_t *host,
                        ngx_str_t *domain, ngx_uint_t dots);

/*
 * Reads "/.opensandbox/{expires}/{signature}/rest", a link at a host that has
 * no signature, into expires, signature and rest, and leaves the others alone.
 * Returns NGX_OK, or NGX_DECLINED for any other URI.
 */
ngx_int_t
ngx_http_osb_route_link(ngx_http_osb_route_t *route, ngx_str_t *uri);

/* Whether the text is a sandbox id: 1 to 63 of [A-Za-z0-9.-]. */
ngx_uint_t
ngx_http_osb_valid_id(ngx_str_t *text);

/* Writes a valid id in lower case; the buffer has room for its length. */
void
ngx_http_osb_fold_id(u_char *p, ngx_str_t *id);

/* A port 1 to 65535 without leading zeros or signs; 0 for anything else. */
ngx_uint_t
ngx_http_osb_parse_port(ngx_str_t *text);

/*
 * Unix seconds in base 36, 1 to 13 lower case digits, no leading zero but "0"
 * itself, of at most 64 bits; what needs all of them is as good as INT64_MAX.
 * -1 for anything else.
 */
int64_t
ngx_http_osb_parse_expires(ngx_str_t *text);


#endif /* _NGX_HTTP_OSB_ROUTE_ROUTE_H_INCLUDED_ */
