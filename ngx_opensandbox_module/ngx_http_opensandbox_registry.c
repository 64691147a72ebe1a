/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_registry.h"


/*
 * All records are behind the zone's slab mutex, which a master process releases
 * when a worker of its own dies with it.  A record is published by one store
 * into a hash chain, so the chains are whole at any instant; the tree is made
 * anew from them if its last writer did not finish.
 */


static ngx_uint_t
ngx_http_opensandbox_registry_moved(ngx_http_opensandbox_zone_t *zone);
static void
ngx_http_opensandbox_registry_free(ngx_http_opensandbox_zone_t *zone,
                                   ngx_http_opensandbox_node_t *node);
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
ngx_http_opensandbox_tree_insert(ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_node_t   *node);
static void
ngx_http_opensandbox_tree_delete(ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_node_t   *node);
static void
ngx_http_opensandbox_registry_insert(ngx_rbtree_node_t *temp,
                                     ngx_rbtree_node_t *node,
                                     ngx_rbtree_node_t *sentinel);
static ngx_http_opensandbox_node_t *
ngx_http_opensandbox_registry_after(ngx_http_opensandbox_shared_t *shared,
                                    ngx_str_t                     *after);


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
    ngx_int_t                     rc;
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
                ngx_http_opensandbox_registry_free(zone, nodes[--i]);
            }

            return NGX_ERROR;
        }
    }

    ngx_http_opensandbox_registry_lock(zone);

    rc = ngx_http_opensandbox_registry_moved(zone) ? NGX_BUSY : NGX_OK;

    if (rc == NGX_OK) {
        ngx_http_opensandbox_registry_begin(zone);

        for (i = 0; i < n; i++) {
            changes[i].record->generation = 0;
            nodes[i] =
                ngx_http_opensandbox_registry_publish(zone->shared, nodes[i]);
            changes[i].replaced = (nodes[i] != NULL);
        }

        ngx_http_opensandbox_registry_end(zone);
    }

    ngx_http_opensandbox_registry_unlock(zone);

    for (i = 0; i < n; i++) {
        if (nodes[i]) {
            ngx_http_opensandbox_registry_free(zone, nodes[i]);
        }
    }

    return rc;
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

    if (ngx_http_opensandbox_registry_moved(zone)) {
        rc = NGX_BUSY;
        node = spare;

    } else if (node == NULL || node->record.size != old->size ||
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
        ngx_http_opensandbox_registry_free(zone, node);
    }

    return rc;
}


ngx_int_t
ngx_http_opensandbox_registry_delete(ngx_http_opensandbox_zone_t *zone,
                                     ngx_str_t                   *id)
{
    uint32_t                       hash;
    ngx_int_t                      rc;
    ngx_http_opensandbox_node_t   *node, **link;
    ngx_http_opensandbox_shared_t *shared;

    shared = zone->shared;
    hash = ngx_murmur_hash2(id->data, id->len);

    ngx_http_opensandbox_registry_lock(zone);

    link = ngx_http_opensandbox_registry_find(shared, id, hash);
    node = *link;

    if (ngx_http_opensandbox_registry_moved(zone)) {
        rc = NGX_BUSY;

    } else if (node == NULL) {
        rc = NGX_DECLINED;

    } else {
        ngx_http_opensandbox_registry_begin(zone);

        *link = node->next;
        ngx_http_opensandbox_tree_delete(shared, node);
        shared->nrecords--;
        shared->nready -= node->record.ready;

        ngx_http_opensandbox_registry_end(zone);

        ngx_slab_free_locked(zone->pool, node);
        rc = NGX_OK;
    }

    ngx_http_opensandbox_registry_unlock(zone);

    return rc;
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
    ngx_rbtree_t                 tree;
    ngx_rbtree_node_t           *next;
    ngx_http_opensandbox_node_t *node;

    n = 0;

    ngx_http_opensandbox_registry_lock(zone);

    if (zone->shared->changing) {
        ngx_http_opensandbox_registry_begin(zone);
        ngx_http_opensandbox_registry_end(zone);
    }

    tree.root = zone->shared->root;
    tree.sentinel = &zone->shared->sentinel;

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

        next = ngx_rbtree_next(&tree, &node->tree);
        node = next ? ngx_rbtree_data(next, ngx_http_opensandbox_node_t, tree)
                    : NULL;
    }

    ngx_http_opensandbox_registry_unlock(zone);

    return n;
}


static ngx_uint_t
ngx_http_opensandbox_registry_moved(ngx_http_opensandbox_zone_t *zone)
{
    return ngx_http_opensandbox_memory_superseded(zone->memory);
}


static void
ngx_http_opensandbox_registry_free(ngx_http_opensandbox_zone_t *zone,
                                   ngx_http_opensandbox_node_t *node)
{
    ngx_http_opensandbox_registry_lock(zone);
    ngx_slab_free_locked(zone->pool, node);
    ngx_http_opensandbox_registry_unlock(zone);
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

        ngx_http_opensandbox_tree_init(shared);
        shared->nrecords = 0;
        shared->nready = 0;

        for (i = 0; i <= shared->mask; i++) {
            for (node = shared->buckets[i]; node; node = node->next) {
                ngx_http_opensandbox_tree_insert(shared, node);
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

    ngx_http_opensandbox_registry_lock(zone);
    node = ngx_slab_alloc_locked(zone->pool, size);
    ngx_http_opensandbox_registry_unlock(zone);

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
        ngx_http_opensandbox_tree_delete(shared, old);

    } else {
        shared->nrecords++;
    }

    ngx_memory_barrier();
    *link = node;

    ngx_http_opensandbox_tree_insert(shared, node);

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


/* Each process has the tree's insert() in another place. */

void
ngx_http_opensandbox_tree_init(ngx_http_opensandbox_shared_t *shared)
{
    ngx_rbtree_t tree;

    ngx_rbtree_init(&tree, &shared->sentinel,
                    ngx_http_opensandbox_registry_insert);
    shared->root = tree.root;
}


static void
ngx_http_opensandbox_tree_insert(ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_node_t   *node)
{
    ngx_rbtree_t tree;

    tree.root = shared->root;
    tree.sentinel = &shared->sentinel;
    tree.insert = ngx_http_opensandbox_registry_insert;

    ngx_rbtree_insert(&tree, &node->tree);
    shared->root = tree.root;
}


static void
ngx_http_opensandbox_tree_delete(ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_node_t   *node)
{
    ngx_rbtree_t tree;

    tree.root = shared->root;
    tree.sentinel = &shared->sentinel;
    tree.insert = ngx_http_opensandbox_registry_insert;

    ngx_rbtree_delete(&tree, &node->tree);
    shared->root = tree.root;
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
    temp = shared->root;

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
