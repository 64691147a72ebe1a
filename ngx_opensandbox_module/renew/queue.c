/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* Intents in a ring of fixed size, as the bytes that are sent. */


#define NGX_HTTP_OSB_QUEUE_RING (256 * 1024)
#define NGX_HTTP_OSB_QUEUE_MAX  1024


ngx_int_t
ngx_http_osb_queue_init(ngx_http_osb_queue_t *queue, ngx_pool_t *pool)
{
    queue->ring = ngx_palloc(pool, NGX_HTTP_OSB_QUEUE_RING);
    queue->lens = ngx_palloc(pool, NGX_HTTP_OSB_QUEUE_MAX * sizeof(uint32_t));

    return queue->ring && queue->lens ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_osb_queue_room(ngx_http_osb_queue_t *queue, size_t len)
{
    return queue->n < NGX_HTTP_OSB_QUEUE_MAX &&
           len <= NGX_HTTP_OSB_QUEUE_RING - (queue->last - queue->first);
}


void
ngx_http_osb_queue_push(ngx_http_osb_queue_t *queue, ngx_str_t *parts,
                        ngx_uint_t n)
{
    size_t     place, size, start;
    ngx_uint_t i;

    start = queue->last;

    for (i = 0; i < n; i++) {

        if (parts[i].len == 0) {
            continue;
        }

        place = queue->last % NGX_HTTP_OSB_QUEUE_RING;
        size = ngx_min(parts[i].len, NGX_HTTP_OSB_QUEUE_RING - place);

        ngx_memcpy(queue->ring + place, parts[i].data, size);
        ngx_memcpy(queue->ring, parts[i].data + size, parts[i].len - size);

        queue->last += parts[i].len;
    }

    queue->lens[(queue->head + queue->n) % NGX_HTTP_OSB_QUEUE_MAX] =
        (uint32_t) (queue->last - start);
    queue->n++;
}


size_t
ngx_http_osb_queue_unsent(ngx_http_osb_queue_t *queue, u_char **p)
{
    size_t place;

    place = queue->sent % NGX_HTTP_OSB_QUEUE_RING;
    *p = queue->ring + place;

    return ngx_min(queue->last - queue->sent, NGX_HTTP_OSB_QUEUE_RING - place);
}


void
ngx_http_osb_queue_rewind(ngx_http_osb_queue_t *queue)
{
    queue->sent = queue->first;
}


void
ngx_http_osb_queue_shift(ngx_http_osb_queue_t *queue)
{
    queue->first += queue->lens[queue->head];
    queue->head = (queue->head + 1) % NGX_HTTP_OSB_QUEUE_MAX;
    queue->n--;
}
