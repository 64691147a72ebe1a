/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_CONF_H_INCLUDED_
#define _NGX_HTTP_OSB_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "record/record.h"
#include "registry/registry.h"
#include "route/route.h"


/* The configuration, and directives without a room of their own. */


typedef struct ngx_http_osb_ctx_s ngx_http_osb_ctx_t;

typedef struct ngx_http_osb_open_s ngx_http_osb_open_t;

typedef struct ngx_http_osb_mode_s ngx_http_osb_mode_t;

typedef struct ngx_http_osb_renew_conf_s ngx_http_osb_renew_conf_t;

typedef struct ngx_http_osb_wake_conf_s ngx_http_osb_wake_conf_t;


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


typedef struct {
    ngx_http_osb_zone_t *zone;
    ngx_shm_zone_t      *activity; /* see status/activity.c */
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
    ngx_uint_t                content; /* the module itself answers */
    ngx_str_t                 prefix;
    ngx_str_t                 domain;
    ngx_http_handler_pt       handler; /* the proxy's */
    ngx_http_complex_value_t *host;
    ngx_uint_t                host_endpoint;
    ngx_msec_t                wait;
    ngx_msec_t                tunnel_timeout;
    ngx_array_t              *api_tokens; /* ngx_str_t */
    /* of a server: that of its management API, NULL without */
    struct ngx_http_osb_loc_conf_s *api;
    ngx_array_t                     names; /* ngx_str_t, of a server */

    ngx_array_t *cors;    /* origins, see access/cors.c; or NULL */
    ngx_array_t *trusted; /* ngx_cidr_t, NULL without */
    ngx_uint_t   api_endpoints;
    ngx_flag_t   keep_prefix;
    ngx_flag_t   follow_referer;
    ngx_flag_t   trace;
    ngx_uint_t   cookie;
    ngx_uint_t   cookie_secure;

    ngx_array_t *sources; /* ngx_str_t, NULL without */
    ngx_array_t *publics; /* ngx_http_osb_public_t, NULL without */

    ngx_http_osb_wake_conf_t *wake; /* NULL without */
} ngx_http_osb_loc_conf_t;


void *
ngx_http_osb_conf_create_main(ngx_conf_t *cf);
void *
ngx_http_osb_conf_create_loc(ngx_conf_t *cf);
char *
ngx_http_osb_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child);
char *
ngx_http_osb_conf_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_conf_host(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_conf_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* The node of a name, NULL of one that has not been added. */
ngx_str_node_t *
ngx_http_osb_names_find(ngx_http_osb_names_t *names, ngx_str_t *name);

/* The name must live as long as the node, and not be there yet. */
void
ngx_http_osb_names_add(ngx_http_osb_names_t *names, ngx_str_node_t *node,
                       ngx_str_t *name);


extern ngx_module_t ngx_http_opensandbox_module;


#endif /* _NGX_HTTP_OSB_CONF_H_INCLUDED_ */
