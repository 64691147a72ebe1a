/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The sources of records: how many records each has, and when it was fed in
 * whole.  The table has few slots; a source that has no record and was never
 * fed loses its one first.
 */


/* slots that are never given away */
#define NGX_HTTP_OSB_SOURCES_OWN 2


static ngx_http_osb_source_t *
ngx_http_osb_source_slot(ngx_http_osb_shared_t *shared);
static ngx_uint_t
ngx_http_osb_source_named(ngx_http_osb_source_t *source, ngx_str_t *name);


void
ngx_http_osb_source_init(ngx_http_osb_shared_t *shared)
{
    static ngx_str_t own[NGX_HTTP_OSB_SOURCES_OWN] = {ngx_string("api"),
                                                      ngx_string("include")};

    ngx_uint_t i;

    for (i = 0; i < NGX_HTTP_OSB_SOURCES_OWN; i++) {
        ngx_memcpy(shared->sources[i].name, own[i].data, own[i].len);
        shared->sources[i].len = own[i].len;
    }
}


ngx_http_osb_source_t *
ngx_http_osb_source_find(ngx_http_osb_shared_t *shared, ngx_str_t *name,
                         ngx_uint_t create)
{
    ngx_uint_t             i;
    ngx_http_osb_source_t *source;

    for (i = 0; i < NGX_HTTP_OSB_SOURCES; i++) {
        if (ngx_http_osb_source_named(&shared->sources[i], name)) {
            return &shared->sources[i];
        }
    }

    source = create ? ngx_http_osb_source_slot(shared) : NULL;

    if (source) {
        ngx_memzero(source, sizeof(ngx_http_osb_source_t));
        ngx_memcpy(source->name, name->data, name->len);
        ngx_memory_barrier();
        source->len = name->len;
    }

    return source;
}


/*
 * A free slot, or that of the empty source that was fed longest ago: it is
 * told so when it asks, and comes back when it is fed.
 */

static ngx_http_osb_source_t *
ngx_http_osb_source_slot(ngx_http_osb_shared_t *shared)
{
    ngx_uint_t             i;
    ngx_http_osb_source_t *source, *found;

    found = NULL;

    for (i = NGX_HTTP_OSB_SOURCES_OWN; i < NGX_HTTP_OSB_SOURCES; i++) {
        source = &shared->sources[i];

        if (source->records == 0 &&
            (found == NULL || source->fed < found->fed) && source->batch == 0)
        {
            found = source;
        }
    }

    return found;
}


static ngx_uint_t
ngx_http_osb_source_named(ngx_http_osb_source_t *source, ngx_str_t *name)
{
    return source->len == name->len &&
           ngx_memcmp(source->name, name->data, name->len) == 0;
}


void
ngx_http_osb_source_count(ngx_http_osb_shared_t *shared,
                          ngx_http_osb_record_t *record, ngx_int_t n)
{
    ngx_str_t              name;
    ngx_http_osb_source_t *source;

    name = ngx_http_osb_record_source(record);
    source = ngx_http_osb_source_find(shared, &name, n > 0);

    /* NULL if more sources than there are slots came at once */

    if (source && (n > 0 || source->records)) {
        source->records += n;
    }
}


void
ngx_http_osb_source_count_node(ngx_http_osb_shared_t *shared,
                               ngx_http_osb_node_t *node, ngx_int_t n)
{
    ngx_http_osb_named_t buf;

    ngx_http_osb_source_count(shared,
                              ngx_http_osb_node_start(shared, node, &buf), n);
}


void
ngx_http_osb_source_carry(ngx_http_osb_shared_t *from,
                          ngx_http_osb_shared_t *to)
{
    ngx_str_t              name;
    ngx_uint_t             i;
    ngx_http_osb_source_t *source, *old;

    for (i = 0; i < NGX_HTTP_OSB_SOURCES; i++) {
        old = &from->sources[i];

        name.data = old->name;
        name.len = old->len;

        if (old->fed) {
            source = ngx_http_osb_source_find(to, &name, 1);

            if (source) {
                source->fed = old->fed;
            }
        }
    }
}


ngx_int_t
ngx_http_osb_registry_source(ngx_http_osb_zone_t *zone, ngx_str_t *name)
{
    ngx_http_osb_source_t *source;

    ngx_http_osb_registry_lock(zone);

    source = ngx_http_osb_source_find(zone->shared, name, 1);

    ngx_http_osb_registry_unlock(zone);

    return source ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_osb_registry_sources(ngx_http_osb_zone_t *zone, ngx_str_t *name,
                              ngx_http_osb_source_t *list)
{
    ngx_uint_t             i, n;
    ngx_http_osb_source_t *source;

    n = 0;

    ngx_http_osb_registry_lock(zone);

    for (i = 0; i < NGX_HTTP_OSB_SOURCES; i++) {
        source = &zone->shared->sources[i];

        if (name ? ngx_http_osb_source_named(source, name)
                 : source->records || source->fed ||
                       i < NGX_HTTP_OSB_SOURCES_OWN)
        {
            list[n++] = *source;
        }
    }

    ngx_http_osb_registry_unlock(zone);

    return n;
}
