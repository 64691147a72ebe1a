/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "dns/dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	TTL_HOSTS_S = 30, /* the file may change */
	LINE_MAX_BYTES = 1024,
	NDOTS_MAX = 15
};

/* One of the two questions for a candidate. */
struct ask {
	struct lookup *lookup;
	struct resolver_question *question; /* under way */
	uint16_t type;
};

struct lookup {
	struct resolvers *resolvers;
	char host[256];
	struct lookup_search search;
	size_t candidate;
	struct domain_name name;
	struct ask ask[2];
	struct lookup_result result;
	void (*done)(void *arg, const struct lookup_result *result);
	void *arg;
};

static void add(struct lookup_result *result, const struct address *a)
{
	enum address_kind kind = address_kind(a);

	if (result->n < LOOKUP_ADDRESSES_MAX && kind != ADDRESS_UNSPECIFIED &&
	    kind != ADDRESS_MULTICAST)
		result->a[result->n++] = *a;
}

void lookup_hosts_line(struct lookup_result *result, char *line,
		       const char *host)
{
	static const char blank[] = " \t\r\n";
	char *rest = NULL, *word;
	struct address a;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, blank, &rest);
	if (!word || address_from_text(&a, word))
		return;
	while ((word = strtok_r(NULL, blank, &rest))) {
		if (strcasecmp(word, host) == 0) {
			add(result, &a);
			return;
		}
	}
}

void lookup_search_line(struct lookup_search *search, char *line)
{
	static const char blank[] = " \t\r\n";
	char *rest = NULL, *word = strtok_r(line, blank, &rest);
	bool domain = word && strcmp(word, "domain") == 0;

	if (domain || (word && strcmp(word, "search") == 0)) {
		search->n = 0;
		while ((word = strtok_r(NULL, blank, &rest)) &&
		       search->n < (domain ? 1 : SEARCH_MAX))
			snprintf(search->suffix[search->n++],
				 sizeof(search->suffix[0]), "%s", word);
	} else if (word && strcmp(word, "options") == 0) {
		while ((word = strtok_r(NULL, blank, &rest)))
			if (strncmp(word, "ndots:", 6) == 0)
				search->ndots =
					(unsigned)strtoul(word + 6, NULL, 10);
		if (search->ndots > NDOTS_MAX)
			search->ndots = NDOTS_MAX;
	}
}

static unsigned dots(const char *host)
{
	unsigned n = 0;

	for (; *host; host++)
		n += *host == '.';
	return n;
}

bool lookup_candidate(const struct lookup_search *search, const char *host,
		      size_t i, char out[512])
{
	size_t len = strlen(host);
	bool absolute = len > 0 && host[len - 1] == '.';
	bool first = absolute || dots(host) >= search->ndots;
	size_t as_is = first ? 0 : search->n, at;

	if (i > (absolute ? 0 : search->n))
		return false;
	if (i == as_is) {
		snprintf(out, 512, "%s", host);
		return true;
	}
	at = i - (first ? 1 : 0);
	snprintf(out, 512, "%s.%s", host, search->suffix[at]);
	return true;
}

static void read_hosts(struct lookup_result *result, const char *host)
{
	char line[LINE_MAX_BYTES];
	FILE *f = fopen("/etc/hosts", "re");

	while (f && fgets(line, sizeof(line), f))
		lookup_hosts_line(result, line, host);
	if (f)
		fclose(f);
	result->ttl_s = TTL_HOSTS_S;
}

static void read_search(struct lookup_search *search)
{
	char line[LINE_MAX_BYTES];
	FILE *f = fopen("/etc/resolv.conf", "re");

	*search = (struct lookup_search){.ndots = 1};
	while (f && fgets(line, sizeof(line), f))
		lookup_search_line(search, line);
	if (f)
		fclose(f);
}

static void take_answer(struct lookup *l, uint16_t type, const uint8_t *message,
			size_t len)
{
	struct lookup_result *result = &l->result;
	struct answer *answer;

	if (answer_read(&answer, &l->name, type, 0, message, len))
		return;
	for (size_t i = 0; i < answer->n_addresses; i++) {
		uint32_t ttl = answer_address_ttl(answer, i);
		struct address a;

		answer_address(answer, i, &a);
		if (result->n == 0 || ttl < result->ttl_s)
			result->ttl_s = ttl;
		add(result, &a);
	}
	free(answer);
}

static bool ask_next(struct lookup *l);

static void on_answer(void *arg, enum resolver_result result,
		      const uint8_t *message, size_t len)
{
	struct ask *ask = arg;
	struct lookup *l = ask->lookup;

	ask->question = NULL;
	if (result == RESOLVER_ANSWERED)
		take_answer(l, ask->type, message, len);
	if (l->ask[0].question || l->ask[1].question)
		return;
	if (!l->result.n && result != RESOLVER_CANCELED && ask_next(l))
		return;
	l->done(l->arg, &l->result);
	free(l);
}

static void ask_one(struct lookup *l, struct ask *ask, uint16_t type)
{
	struct question q = {.name = l->name, .type = type, .class = CLASS_IN};
	uint8_t message[QUESTION_UPSTREAM_MAX];

	*ask = (struct ask){.lookup = l, .type = type};
	if (resolvers_ask(l->resolvers, NULL, message,
			  question_upstream(&q, message), on_answer, ask,
			  &ask->question))
		ask->question = NULL;
}

/* Ask for the next candidate's addresses; false: there is none. */
static bool ask_next(struct lookup *l)
{
	char text[512];
	const char *why;

	while (lookup_candidate(&l->search, l->host, l->candidate++, text)) {
		if (domain_name_from_text(&l->name, text, &why))
			continue;
		ask_one(l, &l->ask[0], TYPE_A);
		ask_one(l, &l->ask[1], TYPE_AAAA);
		if (l->ask[0].question || l->ask[1].question)
			return true;
	}
	return false;
}

int lookup_start(struct lookup **out, struct resolvers *resolvers,
		 const char *host, struct lookup_result *result,
		 void (*done)(void *arg, const struct lookup_result *result),
		 void *arg)
{
	struct lookup *l;

	*result = (struct lookup_result){.n = 0};
	if (strlen(host) >= sizeof(l->host))
		return -EINVAL;
	read_hosts(result, host);
	if (result->n)
		return 1;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->resolvers = resolvers;
	memcpy(l->host, host, strlen(host) + 1);
	l->done = done;
	l->arg = arg;
	read_search(&l->search);
	if (!ask_next(l)) {
		free(l);
		return -EINVAL;
	}
	*out = l;
	return 0;
}

void lookup_cancel(struct lookup *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < 2; i++)
		if (l->ask[i].question)
			resolvers_cancel(l->ask[i].question);
	free(l);
}
