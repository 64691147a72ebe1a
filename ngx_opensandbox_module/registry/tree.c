/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The order of ids: a treap, since it needs two links a node and nothing else.
 * A node of ngx_rbtree takes 32 bytes more, which leave no id in the first
 * piece: by t/ingress_memory.t, a record with a token then takes 177 bytes
 * beyond its strings instead of 113, and the largest 259 instead of 227.
 *
 * A node's priority is made of the hash of its id and of a number that nobody
 * outside knows, so that no choice of ids makes a high tree.
 */


static ngx_inline uint32_t
ngx_http_osb_tree_priority(ngx_http_osb_shared_t *shared,
                           ngx_http_osb_node_t   *node);
static ngx_int_t
ngx_http_osb_tree_order(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t *node, ngx_str_t *id);
static uint32_t *
ngx_http_osb_tree_find(ngx_http_osb_shared_t *shared,
                       ngx_http_osb_node_t   *node);
static void
ngx_http_osb_tree_push(ngx_http_osb_ahead_t *ahead, uint32_t link);


void
ngx_http_osb_tree_init(ngx_http_osb_shared_t *shared)
{
    shared->root = 0;
}


static ngx_inline uint32_t
ngx_http_osb_tree_priority(ngx_http_osb_shared_t *shared,
                           ngx_http_osb_node_t   *node)
{
    return (node->hash ^ shared->seed) * 2654435761u;
}


/* Whether the node is before, at or behind the id. */

static ngx_int_t
ngx_http_osb_tree_order(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t *node, ngx_str_t *id)
{
    ngx_str_t            own;
    ngx_http_osb_named_t buf;

    own = ngx_http_osb_node_id(shared, node, &buf);

    return ngx_memn2cmp(own.data, id->data, own.len, id->len);
}


void
ngx_http_osb_tree_insert(ngx_http_osb_shared_t *shared,
                         ngx_http_osb_node_t   *node)
{
    uint32_t            *link, *left, *right, rest, priority;
    ngx_str_t            id;
    ngx_http_osb_node_t *at;
    ngx_http_osb_named_t buf;

    id = ngx_http_osb_node_id(shared, node, &buf);
    priority = ngx_http_osb_tree_priority(shared, node);

    for (link = &shared->root; *link; /* void */) {
        at = ngx_http_osb_node_at(shared, *link);

        if (ngx_http_osb_tree_priority(shared, at) < priority) {
            break;
        }

        link = ngx_http_osb_tree_order(shared, at, &id) < 0 ? &at->right
                                                            : &at->left;
    }

    /* what was here is below the node now, on either side of it */

    left = &node->left;
    right = &node->right;

    for (rest = *link; rest; /* void */) {
        at = ngx_http_osb_node_at(shared, rest);

        if (ngx_http_osb_tree_order(shared, at, &id) < 0) {
            *left = rest;
            left = &at->right;
            rest = at->right;

        } else {
            *right = rest;
            right = &at->left;
            rest = at->left;
        }
    }

    *left = 0;
    *right = 0;

    *link = ngx_http_osb_node_link(shared, node);
}


/* The link that leads to the node. */

static uint32_t *
ngx_http_osb_tree_find(ngx_http_osb_shared_t *shared, ngx_http_osb_node_t *node)
{
    uint32_t            *link, wanted;
    ngx_str_t            id;
    ngx_http_osb_node_t *at;
    ngx_http_osb_named_t buf;

    id = ngx_http_osb_node_id(shared, node, &buf);
    wanted = ngx_http_osb_node_link(shared, node);

    for (link = &shared->root; *link != wanted; /* void */) {
        at = ngx_http_osb_node_at(shared, *link);

        link = ngx_http_osb_tree_order(shared, at, &id) < 0 ? &at->right
                                                            : &at->left;
    }

    return link;
}


void
ngx_http_osb_tree_replace(ngx_http_osb_shared_t *shared,
                          ngx_http_osb_node_t *old, ngx_http_osb_node_t *node)
{
    /* of the same id, so of the same priority */

    node->left = old->left;
    node->right = old->right;

    *ngx_http_osb_tree_find(shared, old) = ngx_http_osb_node_link(shared, node);
}


void
ngx_http_osb_tree_delete(ngx_http_osb_shared_t *shared,
                         ngx_http_osb_node_t   *node)
{
    uint32_t            *link, left, right;
    ngx_http_osb_node_t *one, *two;

    link = ngx_http_osb_tree_find(shared, node);
    left = node->left;
    right = node->right;

    while (left && right) {
        one = ngx_http_osb_node_at(shared, left);
        two = ngx_http_osb_node_at(shared, right);

        if (ngx_http_osb_tree_priority(shared, one) >=
            ngx_http_osb_tree_priority(shared, two))
        {
            *link = left;
            link = &one->right;
            left = one->right;

        } else {
            *link = right;
            link = &two->left;
            right = two->left;
        }
    }

    *link = left ? left : right;
}


void
ngx_http_osb_tree_after(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_ahead_t *ahead, ngx_str_t *id)
{
    uint32_t             link;
    ngx_http_osb_node_t *at;

    ahead->n = 0;
    ahead->lost = 0;

    for (link = shared->root; link; /* void */) {
        at = ngx_http_osb_node_at(shared, link);

        if (ngx_http_osb_tree_order(shared, at, id) > 0) {
            ngx_http_osb_tree_push(ahead, link);
            link = at->left;

        } else {
            link = at->right;
        }
    }
}


ngx_http_osb_node_t *
ngx_http_osb_tree_next(ngx_http_osb_shared_t *shared,
                       ngx_http_osb_ahead_t  *ahead)
{
    uint32_t             link;
    ngx_http_osb_node_t *node;

    if (ahead->n == ahead->lost) {
        return NULL;
    }

    link = ahead->links[--ahead->n % NGX_HTTP_OSB_TREE_AHEAD];
    node = ngx_http_osb_node_at(shared, link);

    for (link = node->right; link;
         link = ngx_http_osb_node_at(shared, link)->left) {
        ngx_http_osb_tree_push(ahead, link);
    }

    return node;
}


/* Keeps the last of them, so that the walk can go on from any node. */

static void
ngx_http_osb_tree_push(ngx_http_osb_ahead_t *ahead, uint32_t link)
{
    ahead->links[ahead->n++ % NGX_HTTP_OSB_TREE_AHEAD] = link;

    if (ahead->n - ahead->lost > NGX_HTTP_OSB_TREE_AHEAD) {
        ahead->lost = ahead->n - NGX_HTTP_OSB_TREE_AHEAD;
    }
}
