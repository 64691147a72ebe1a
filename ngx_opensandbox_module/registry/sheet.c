/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What a batch has to do, in the zone.  A sheet has nodes that are to come, or
 * nodes of the zone that are to go.  Those may be given back before their turn,
 * and their place be another's: so such an entry has hash and edition too, and
 * means what is in the hash's chain, at that place, with that edition.
 */


static ngx_http_osb_sheet_t *
ngx_http_osb_sheet_at(ngx_http_osb_zone_t *zone, uint32_t link);


ngx_int_t
ngx_http_osb_sheet_note(ngx_http_osb_zone_t   *zone,
                        ngx_http_osb_sheets_t *sheets, const uint32_t *words,
                        uint32_t n)
{
    uint32_t              link;
    ngx_http_osb_sheet_t *sheet, *last;

    last = sheets->last ? ngx_http_osb_sheet_at(zone, sheets->last) : NULL;
    sheet = last;

    if (last == NULL || last->entry != n || last->n == NGX_HTTP_OSB_SHEET_WORDS)
    {
        /* a power of two, for links count units */

        sheet =
            ngx_slab_calloc_locked(zone->pool, sizeof(ngx_http_osb_sheet_t));
        if (sheet == NULL) {
            return NGX_ERROR;
        }

        sheet->entry = n;
        link = ngx_http_osb_node_link(zone->shared, sheet);

        if (last) {
            last->next = link;

        } else {
            sheets->first = link;
        }

        sheets->last = link;
    }

    ngx_memcpy(&sheet->words[sheet->n], words, n * sizeof(uint32_t));
    ngx_memory_barrier();
    sheet->n += n;

    return NGX_OK;
}


ngx_http_osb_sheet_t *
ngx_http_osb_sheet_first(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_sheets_t *sheets)
{
    ngx_http_osb_sheet_t *sheet;

    if (sheets->first == 0) {
        return NULL;
    }

    sheet = ngx_http_osb_sheet_at(zone, sheets->first);

    return sheet->done < sheet->n ? sheet : NULL;
}


ngx_http_osb_sheet_t *
ngx_http_osb_sheet_next(ngx_http_osb_zone_t   *zone,
                        ngx_http_osb_sheets_t *sheets)
{
    ngx_http_osb_sheet_t *sheet;

    for (;;) {
        sheet = ngx_http_osb_sheet_first(zone, sheets);

        if (sheet || sheets->first == 0) {
            return sheet;
        }

        sheet = ngx_http_osb_sheet_at(zone, sheets->first);
        sheets->first = sheet->next;

        ngx_memory_barrier();
        ngx_slab_free_locked(zone->pool, sheet);
    }
}


static ngx_http_osb_sheet_t *
ngx_http_osb_sheet_at(ngx_http_osb_zone_t *zone, uint32_t link)
{
    return (void *) ngx_http_osb_node_at(zone->shared, link);
}
