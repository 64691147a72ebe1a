/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_registry.h"


/*
 * All records are behind the zone's slab mutex, which the master process
 * releases when a worker dies with it.  A record is published by one store
 * into a hash chain, so the chains are whole at any instant; the tree is made
 * anew from them if its last writer did not finish.
 */


#define NGX_HTTP_OPENSANDBOX_LIST_SIZE 65536


static void
ngx_http_opensandbox_registry_lock(ngx_http_opensandbox_zone_t *zone);
static void
ngx_http_opensandbox_registry_unlock(ngx_http_opensandbox_zone_t *zone);
static void
ngx_http_opensandbox_registry_begin(ngx_http_opensandbox_zone_t *zone);
static void
ngx_http_opensandbox_registry_end(ngx_http_opensandbox_zone_t *zone);
static ngx_int_t
ngx_http_opensandbox_registry_copy(ngx_http_opensandbox_zone_t   *zone,
                                   ngx_str_t                     *id,
                                   ngx_http_opensandbox_record_t *buf,
                                   ngx_uint_t                     lean);
static ngx_http_opensandbox_node_t **
ngx_http_opensandbox_registry_find(ngx_http_opensandbox_shared_t *shared,
                                   ngx_str_t *id, uint32_t hash);
static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_node_create(ngx_http_opensandbox_zone_t   *zone,
                                 ngx_http_opensandbox_record_t *record);
static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_registry_publish(ngx_http_opensandbox_shared_t *shared,
                                      ngx_http_opensandbox_node_t   *node);
static void
ngx_http_opensandbox_registry_stamp(ngx_http_opensandbox_shared_t *shared,
                                    ngx_http_opensandbox_record_t *old,
                                    ngx_http_opensandbox_record_t *record);
static void
ngx_http_opensandbox_registry_insert(ngx_rbtree_node_t *temp,
                                     ngx_rbtree_node_t *node,
                                     ngx_rbtree_node_t *sentinel);
static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_registry_after(ngx_http_opensandbox_shared_t *shared,
                                    ngx_str_t                     *after);
static void
ngx_http_opensandbox_registry_sweep(ngx_http_opensandbox_zone_t *zone,
                                    u_char                      *buf);


ngx_int_t
ngx_http_opensandbox_registry_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_opensandbox_zone_t *old = data;

    size_t                         size;
    ngx_uint_t                     n;
    ngx_http_opensandbox_zone_t   *zone;
    ngx_http_opensandbox_shared_t *shared;

    zone = shm_zone->data;
    zone->pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        zone->shared = old->shared;
        return NGX_OK;
    }

    shared = ngx_slab_calloc(zone->pool, sizeof(ngx_http_opensandbox_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    /* a record takes 256 bytes or more: about one a bucket in a full zone */

    for (n = 64; n * 512 <= shm_zone->shm.size; n *= 2) { /* void */
    }

    size = n * sizeof(ngx_http_opensandbox_node_t *);

    shared->mask = n - 1;
    shared->buckets = ngx_slab_calloc(zone->pool, size);
    if (shared->buckets == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&shared->tree, &shared->sentinel,
                    ngx_http_opensandbox_registry_insert);

    /* a full zone is reported by those who fill it */
    zone->pool->log_nomem = 0;

    zone->pool->data = shared;
    zone->shared = shared;
    zone->fresh = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_opensandbox_registry_get(ngx_http_opensandbox_zone_t   *zone,
                                  ngx_str_t                     *id,
                                  ngx_http_opensandbox_record_t *buf)
{
    return ngx_http_opensandbox_registry_copy(zone, id, buf, 0);
}


ngx_int_t
ngx_http_opensandbox_registry_route(ngx_http_opensandbox_zone_t   *zone,
                                    ngx_str_t                     *id,
                                    ngx_http_opensandbox_record_t *buf)
{
    if (ngx_http_opensandbox_registry_copy(zone, id, buf, 1) != NGX_OK) {
        return NGX_DECLINED;
    }

    buf->size = buf->lean;
    buf->policy.len = 0;

    return NGX_OK;
}


/* The record, or with lean all of it but the policy. */

static ngx_int_t
ngx_http_opensandbox_registry_copy(ngx_http_opensandbox_zone_t   *zone,
                                   ngx_str_t                     *id,
                                   ngx_http_opensandbox_record_t *buf,
                                   ngx_uint_t                     lean)
{
    uint32_t                     hash;
    ngx_http_opensandbox_node_t *node;

    hash = ngx_murmur_hash2(id->data, id->len);

    ngx_http_opensandbox_registry_lock(zone);

    node = *ngx_http_opensandbox_registry_find(zone->shared, id, hash);

    if (node) {
        ngx_memcpy(buf, &node->record,
                   lean ? node->record.lean : node->record.size);
    }

    ngx_http_opensandbox_registry_unlock(zone);

    return node ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_opensandbox_registry_put(ngx_http_opensandbox_zone_t   *zone,
                                  ngx_http_opensandbox_change_t *changes,
                                  ngx_uint_t n, ngx_pool_t *pool)
{
    ngx_uint_t                    i;
    ngx_http_opensandbox_node_t **nodes;

    nodes = ngx_palloc(pool, n * sizeof(ngx_http_opensandbox_node_t *));
    if (nodes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        nodes[i] = ngx_http_opensandbox_node_create(zone, changes[i].record);

        if (nodes[i] == NULL) {
            while (i > 0) {
                ngx_slab_free(zone->pool, nodes[--i]);
            }

            return NGX_ERROR;
        }
    }

    ngx_http_opensandbox_registry_lock(zone);
    ngx_http_opensandbox_registry_begin(zone);

    for (i = 0; i < n; i++) {
        changes[i].record->generation = 0;
        nodes[i] =
            ngx_http_opensandbox_registry_publish(zone->shared, nodes[i]);
        changes[i].replaced = (nodes[i] != NULL);
    }

    ngx_http_opensandbox_registry_end(zone);
    ngx_http_opensandbox_registry_unlock(zone);

    for (i = 0; i < n; i++) {
        if (nodes[i]) {
            ngx_slab_free(zone->pool, nodes[i]);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_opensandbox_registry_swap(ngx_http_opensandbox_zone_t   *zone,
                                   ngx_http_opensandbox_record_t *old,
                                   ngx_http_opensandbox_record_t *record)
{
    uint32_t                       hash;
    ngx_int_t                      rc;
    ngx_str_t                      id;
    ngx_http_opensandbox_node_t   *node, *spare;
    ngx_http_opensandbox_shared_t *shared;

    shared = zone->shared;

    id = ngx_http_opensandbox_text(record, &record->id);
    hash = ngx_murmur_hash2(id.data, id.len);

    spare = ngx_http_opensandbox_node_create(zone, record);

    ngx_http_opensandbox_registry_lock(zone);

    node = *ngx_http_opensandbox_registry_find(shared, &id, hash);

    if (node == NULL || node->record.size != old->size ||
        ngx_memcmp(&node->record, old, old->size) != 0)
    {
        rc = NGX_DECLINED;
        node = spare;

    } else if (spare) {
        ngx_http_opensandbox_registry_begin(zone);
        node = ngx_http_opensandbox_registry_publish(shared, spare);
        ngx_http_opensandbox_registry_end(zone);
        rc = NGX_OK;

    } else if (record->size <= node->room) {

        /* a full zone still takes changes that fit in the old place */

        ngx_http_opensandbox_registry_begin(zone);
        ngx_http_opensandbox_registry_stamp(shared, &node->record, record);
        shared->nready += record->ready - node->record.ready;
        ngx_memcpy(&node->record, record, record->size);
        ngx_http_opensandbox_registry_end(zone);
        node = NULL;
        rc = NGX_OK;

    } else {
        node = NULL;
        rc = NGX_ERROR;
    }

    ngx_http_opensandbox_registry_unlock(zone);

    if (node) {
        ngx_slab_free(zone->pool, node);
    }

    return rc;
}


ngx_int_t
ngx_http_opensandbox_registry_delete(ngx_http_opensandbox_zone_t *zone,
                                     ngx_str_t                   *id)
{
    uint32_t                       hash;
    ngx_http_opensandbox_node_t   *node, **link;
    ngx_http_opensandbox_shared_t *shared;

    shared = zone->shared;
    hash = ngx_murmur_hash2(id->data, id->len);

    ngx_http_opensandbox_registry_lock(zone);

    link = ngx_http_opensandbox_registry_find(shared, id, hash);
    node = *link;

    if (node) {
        ngx_http_opensandbox_registry_begin(zone);

        *link = node->next;
        ngx_rbtree_delete(&shared->tree, &node->tree);
        shared->nrecords--;
        shared->nready -= node->record.ready;

        ngx_http_opensandbox_registry_end(zone);
    }

    ngx_http_opensandbox_registry_unlock(zone);

    if (node == NULL) {
        return NGX_DECLINED;
    }

    ngx_slab_free(zone->pool, node);

    return NGX_OK;
}


time_t
ngx_http_opensandbox_registry_renew(ngx_http_opensandbox_zone_t *zone,
                                    ngx_str_t *id, time_t now,
                                    time_t min_interval)
{
    time_t                       last;
    uint32_t                     hash;
    ngx_http_opensandbox_node_t *node;

    hash = ngx_murmur_hash2(id->data, id->len);
    last = now;

    ngx_http_opensandbox_registry_lock(zone);

    node = *ngx_http_opensandbox_registry_find(zone->shared, id, hash);

    if (node) {
        last = node->renewed;

        /* the clock may have been set back */

        if (last > now || now - last >= min_interval) {
            node->renewed = now;
            last = 0;
        }
    }

    ngx_http_opensandbox_registry_unlock(zone);

    return last;
}


ngx_uint_t
ngx_http_opensandbox_registry_list(ngx_http_opensandbox_zone_t *zone,
                                   ngx_str_t *after, u_char *buf, size_t size,
                                   ngx_uint_t limit)
{
    size_t                       len;
    ngx_uint_t                   n;
    ngx_rbtree_node_t           *next;
    ngx_http_opensandbox_node_t *node;

    n = 0;

    ngx_http_opensandbox_registry_lock(zone);

    if (zone->shared->changing) {
        ngx_http_opensandbox_registry_begin(zone);
        ngx_http_opensandbox_registry_end(zone);
    }

    node = ngx_http_opensandbox_registry_after(zone->shared, after);

    while (node && n < limit) {
        len = ngx_align(node->record.size, 8);

        if (len > size) {
            break;
        }

        ngx_memcpy(buf, &node->record, node->record.size);

        buf += len;
        size -= len;
        n++;

        next = ngx_rbtree_next(&zone->shared->tree, &node->tree);
        node = next ? ngx_rbtree_data(next, ngx_http_opensandbox_node_t, tree)
                    : NULL;
    }

    ngx_http_opensandbox_registry_unlock(zone);

    return n;
}


ngx_int_t
ngx_http_opensandbox_registry_declare(ngx_http_opensandbox_zone_t    *zone,
                                      ngx_http_opensandbox_record_t **records,
                                      ngx_uint_t n, ngx_log_t *log)
{
    ngx_int_t                     rc;
    ngx_str_t                     id;
    ngx_uint_t                    i;
    ngx_pool_t                   *pool;
    ngx_http_opensandbox_change_t change;

    pool = ngx_create_pool(NGX_HTTP_OPENSANDBOX_LIST_SIZE, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    zone->shared->epoch++;

    for (i = 0; i < n; i++) {
        records[i]->epoch = zone->shared->epoch;
        records[i]->declared = 1;

        change.record = records[i];

        if (ngx_http_opensandbox_registry_put(zone, &change, 1, pool) != NGX_OK)
        {
            id = ngx_http_opensandbox_text(records[i], &records[i]->id);

            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "opensandbox_zone \"%V\" is too small for "
                          "sandbox \"%V\"",
                          &zone->shm_zone->shm.name, &id);
            rc = NGX_ERROR;
            break;
        }
    }

    if (rc == NGX_OK) {
        ngx_http_opensandbox_registry_sweep(
            zone, ngx_palloc(pool, NGX_HTTP_OPENSANDBOX_LIST_SIZE));
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* Deletes what an earlier configuration declared and the present one lacks. */

static void
ngx_http_opensandbox_registry_sweep(ngx_http_opensandbox_zone_t *zone,
                                    u_char                      *buf)
{
    u_char                         last[64];
    ngx_str_t                      after, id;
    ngx_uint_t                     n;
    ngx_http_opensandbox_record_t *record;

    if (buf == NULL) {
        return;
    }

    after.len = 0;
    after.data = last;

    for (;;) {
        n = ngx_http_opensandbox_registry_list(
            zone, &after, buf, NGX_HTTP_OPENSANDBOX_LIST_SIZE, 256);
        if (n == 0) {
            return;
        }

        record = (ngx_http_opensandbox_record_t *) buf;

        while (n--) {
            id = ngx_http_opensandbox_text(record, &record->id);

            if (record->declared && record->epoch != zone->shared->epoch) {
                (void) ngx_http_opensandbox_registry_delete(zone, &id);
            }

            after.len = id.len;
            ngx_memcpy(last, id.data, id.len);

            record = ngx_http_opensandbox_next_record(record);
        }
    }
}


static void
ngx_http_opensandbox_registry_lock(ngx_http_opensandbox_zone_t *zone)
{
    ngx_shmtx_lock(&zone->pool->mutex);
}


static void
ngx_http_opensandbox_registry_unlock(ngx_http_opensandbox_zone_t *zone)
{
    ngx_shmtx_unlock(&zone->pool->mutex);
}


static void
ngx_http_opensandbox_registry_begin(ngx_http_opensandbox_zone_t *zone)
{
    ngx_uint_t                     i;
    ngx_http_opensandbox_node_t   *node;
    ngx_http_opensandbox_shared_t *shared;

    shared = zone->shared;

    if (shared->changing) {

        /* the last change was not finished */

        ngx_rbtree_init(&shared->tree, &shared->sentinel,
                        ngx_http_opensandbox_registry_insert);
        shared->nrecords = 0;
        shared->nready = 0;

        for (i = 0; i <= shared->mask; i++) {
            for (node = shared->buckets[i]; node; node = node->next) {
                ngx_rbtree_insert(&shared->tree, &node->tree);
                shared->nrecords++;
                shared->nready += node->record.ready;
            }
        }
    }

    shared->changing = 1;
    ngx_memory_barrier();
}


static void
ngx_http_opensandbox_registry_end(ngx_http_opensandbox_zone_t *zone)
{
    ngx_memory_barrier();
    zone->shared->changing = 0;
    zone->shared->changes++;
}


/* The link that points to the node of the id, or to the chain's end. */

static ngx_http_opensandbox_node_t **
ngx_http_opensandbox_registry_find(ngx_http_opensandbox_shared_t *shared,
                                   ngx_str_t *id, uint32_t hash)
{
    ngx_http_opensandbox_node_t *node, **link;

    link = &shared->buckets[hash & shared->mask];

    for (node = *link; node; node = *link) {

        if (node->hash == hash && node->record.id.len == id->len &&
            ngx_memcmp((u_char *) &node->record + node->record.id.offset,
                       id->data, id->len) == 0)
        {
            break;
        }

        link = &node->next;
    }

    return link;
}


static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_node_create(ngx_http_opensandbox_zone_t   *zone,
                                 ngx_http_opensandbox_record_t *record)
{
    size_t                       size, room;
    ngx_str_t                    id;
    ngx_http_opensandbox_node_t *node;

    size = offsetof(ngx_http_opensandbox_node_t, record) + record->size;

    node = ngx_slab_alloc(zone->pool, size);
    if (node == NULL) {
        return NULL;
    }

    /* the slab rounds up to a power of two, or to whole pages */

    if (size <= ngx_pagesize / 2) {
        for (room = 64; room < size; room *= 2) { /* void */
        }

    } else {
        room = ngx_align(size, ngx_pagesize);
    }

    id = ngx_http_opensandbox_text(record, &record->id);

    node->next = NULL;
    node->renewed = 0;
    node->hash = ngx_murmur_hash2(id.data, id.len);
    node->room = room - offsetof(ngx_http_opensandbox_node_t, record);

    ngx_memcpy(&node->record, record, record->size);

    return node;
}


/*
 * Makes a node the one of its id.  Returns the node that was before, to be
 * freed without the lock, or NULL.
 */

static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_registry_publish(ngx_http_opensandbox_shared_t *shared,
                                      ngx_http_opensandbox_node_t   *node)
{
    ngx_str_t                    id;
    ngx_http_opensandbox_node_t *old, **link;

    id = ngx_http_opensandbox_text(&node->record, &node->record.id);

    link = ngx_http_opensandbox_registry_find(shared, &id, node->hash);
    old = *link;

    ngx_http_opensandbox_registry_stamp(shared, old ? &old->record : NULL,
                                        &node->record);

    shared->nready += node->record.ready;

    if (old) {
        shared->nready -= old->record.ready;
        node->renewed = old->renewed;
        node->next = old->next;
        ngx_rbtree_delete(&shared->tree, &old->tree);

    } else {
        shared->nrecords++;
    }

    ngx_memory_barrier();
    *link = node;

    ngx_rbtree_insert(&shared->tree, &node->tree);

    return old;
}


static void
ngx_http_opensandbox_registry_stamp(ngx_http_opensandbox_shared_t *shared,
                                    ngx_http_opensandbox_record_t *old,
                                    ngx_http_opensandbox_record_t *record)
{
    if (old && ngx_http_opensandbox_record_same(old, record)) {
        record->generation = old->generation;

    } else {
        record->generation = ++shared->generation;
    }
}


static void
ngx_http_opensandbox_registry_insert(ngx_rbtree_node_t *temp,
                                     ngx_rbtree_node_t *node,
                                     ngx_rbtree_node_t *sentinel)
{
    ngx_int_t                    order;
    ngx_str_t                    a, b;
    ngx_rbtree_node_t          **p;
    ngx_http_opensandbox_node_t *one, *two;

    one = ngx_rbtree_data(node, ngx_http_opensandbox_node_t, tree);
    a = ngx_http_opensandbox_text(&one->record, &one->record.id);

    for (;;) {
        two = ngx_rbtree_data(temp, ngx_http_opensandbox_node_t, tree);
        b = ngx_http_opensandbox_text(&two->record, &two->record.id);

        order = ngx_memn2cmp(a.data, b.data, a.len, b.len);

        p = order < 0 ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_registry_after(ngx_http_opensandbox_shared_t *shared,
                                    ngx_str_t                     *after)
{
    ngx_str_t                    id;
    ngx_rbtree_node_t           *temp;
    ngx_http_opensandbox_node_t *node, *found;

    found = NULL;
    temp = shared->tree.root;

    while (temp != &shared->sentinel) {
        node = ngx_rbtree_data(temp, ngx_http_opensandbox_node_t, tree);
        id = ngx_http_opensandbox_text(&node->record, &node->record.id);

        if (ngx_memn2cmp(id.data, after->data, id.len, after->len) > 0) {
            found = node;
            temp = temp->left;

        } else {
            temp = temp->right;
        }
    }

    return found;
}
