/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What depends on a request's route is not cached with nginx's variables: the
 * route is unknown before the location is chosen, an error page may lead to
 * another sandbox, and subrequests share their parent's variables.
 *
 * That goes for values made of ours, too (map, split_clients, geo, scripts):
 * nginx would keep them, so their handlers are wrapped, and what has read one
 * of our variables is evaluated anew when it is used again.
 */


typedef struct {
    ngx_http_get_variable_pt get_handler;
    uintptr_t                data;
} ngx_http_osb_derived_t;


static ngx_int_t
ngx_http_osb_derive(ngx_conf_t *cf, ngx_http_core_main_conf_t *cmcf);
static ngx_int_t
ngx_http_osb_derived_variable(ngx_http_request_t        *r,
                              ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t
ngx_http_osb_rewrite_handler(ngx_http_request_t *r);


static ngx_uint_t ngx_http_osb_reads;


ngx_int_t
ngx_http_osb_phases_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *h;
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* handlers run from the last to the first: this one before "set" */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_osb_rewrite_handler;

    return ngx_http_osb_derive(cf, cmcf);
}


void
ngx_http_osb_phases_read(void)
{
    ngx_http_osb_reads++;
}


/* Directives that make a variable of others let it be set, "volatile" apart. */

static ngx_int_t
ngx_http_osb_derive(ngx_conf_t *cf, ngx_http_core_main_conf_t *cmcf)
{
    ngx_uint_t              i;
    ngx_hash_key_t         *key;
    ngx_http_variable_t    *v;
    ngx_http_osb_derived_t *derived;

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        v = key[i].value;

        if (v->get_handler == NULL ||
            (v->flags & (NGX_HTTP_VAR_CHANGEABLE | NGX_HTTP_VAR_NOCACHEABLE)) !=
                NGX_HTTP_VAR_CHANGEABLE)
        {
            continue;
        }

        derived = ngx_palloc(cf->pool, sizeof(ngx_http_osb_derived_t));
        if (derived == NULL) {
            return NGX_ERROR;
        }

        derived->get_handler = v->get_handler;
        derived->data = v->data;

        v->get_handler = ngx_http_osb_derived_variable;
        v->data = (uintptr_t) derived;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_derived_variable(ngx_http_request_t        *r,
                              ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_osb_derived_t *derived = (ngx_http_osb_derived_t *) data;

    ngx_int_t  rc;
    ngx_uint_t reads;

    reads = ngx_http_osb_reads;

    rc = derived->get_handler(r, v, derived->data);

    if (reads != ngx_http_osb_reads) {
        v->no_cacheable = 1;
    }

    return rc;
}


/*
 * A subrequest that is routed has variables of its own from here on, or what it
 * sets of its route would be its parent's.  It begins with its parent's values.
 */

static ngx_int_t
ngx_http_osb_rewrite_handler(ngx_http_request_t *r)
{
    size_t                     size;
    ngx_http_variable_value_t *variables;
    ngx_http_core_main_conf_t *cmcf;
    ngx_http_osb_loc_conf_t   *olcf;

    if (r == r->main || r->variables != r->parent->variables) {
        return NGX_DECLINED;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->mode == 0) {
        return NGX_DECLINED;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

    variables = ngx_palloc(r->pool, size);
    if (variables == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(variables, r->variables, size);
    r->variables = variables;

    return NGX_DECLINED;
}
