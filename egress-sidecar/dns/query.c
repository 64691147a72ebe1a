/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdlib.h>

bool query_hold(struct tcp_client *client, struct front *front, size_t bytes)
{
	if (!share_take(&front->bytes, bytes))
		return false;
	if (client)
		client->held += bytes;
	return true;
}

void query_let_go(struct tcp_client *client, struct front *front, size_t bytes)
{
	share_give_back(&front->bytes, bytes);
	if (client)
		client->held -= bytes;
}

struct query *query_new(struct front *front, const struct origin *origin,
			const struct question *q)
{
	struct query *query = TAILQ_FIRST(&front->spare);

	if (query) {
		TAILQ_REMOVE(&front->spare, query, in_list);
		front->n_spare--;
	} else {
		query = malloc(sizeof(*query));
		if (!query)
			return NULL;
	}
	query->origin = *origin;
	query->question = *q;
	query->started_ns = front->read_ns;
	query->block = query->reply = NULL;
	query->held = 0;
	query->reply_len = 0;
	query->addresses = NULL;
	query->n_admitted = query->n_refused = 0;
	query->error = NULL;
	query->denied = false;
	query->approval = NULL;
	front->n_queries++;
	if (origin->client) {
		LIST_INSERT_HEAD(&origin->client->queries, query, of_client);
		origin->client->n_queries++;
	}
	return query;
}

static void block_free(struct front *front, struct query *query)
{
	if (query->block != query->room)
		free(query->block);
	query->block = NULL;
	if (query->held)
		query_let_go(query->origin.client, front, query->held);
	query->held = 0;
}

void query_free(struct front *front, struct query *query)
{
	block_free(front, query);
	if (query->origin.client) {
		LIST_REMOVE(query, of_client);
		query->origin.client->n_queries--;
	}
	front->n_queries--;
	if (front->n_spare < FRONT_SPARE) {
		TAILQ_INSERT_HEAD(&front->spare, query, in_list);
		front->n_spare++;
	} else {
		free(query);
	}
}

bool query_room(struct front *front, struct query *query, size_t n_addresses,
		size_t reply_max)
{
	size_t addresses = n_addresses * sizeof(struct address);
	size_t size = addresses + 2 + reply_max;

	block_free(front, query);
	if (size <= QUERY_ROOM) {
		query->block = query->room;
	} else {
		if (!query_hold(query->origin.client, front, size))
			return false;
		query->held = size;
		query->block = malloc(size);
	}
	if (!query->block)
		return false;
	query->addresses = (struct address *)query->block;
	query->reply = query->block + addresses + 2;
	return true;
}

void query_end_list(struct front *front, struct query_list *list)
{
	struct query *query;

	while ((query = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, query, in_list);
		query_free(front, query);
	}
}

void query_end_all(struct front *front)
{
	struct query *query;

	query_end_list(front, &front->replies);
	while ((query = TAILQ_FIRST(&front->spare))) {
		TAILQ_REMOVE(&front->spare, query, in_list);
		free(query);
	}
	front->n_spare = 0;
}
