/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter alone, driven by lines on standard input; answers each with one
 * line on standard output: "ok ...", or "error -ERRNO ...". For system tests
 * of what the kernel holds.
 *
 *   apply JSON                   learn NAME ADDRESS TTL
 *   repeat N JSON JSON           element ADDRESS SECONDS
 *   flood DOMAIN BLOCK N: nX.DOMAIN has address X of 10.BLOCK.0.0
 *   learnmany N                  later SECONDS (for leases, not the kernel)
 *   leads NAME ADDRESS           renew
 *   end | counts | missing | log | lost | remove | quit
 */
#include "filter/filter.h"
#include "host/host.h"
#include "policy/inner.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct filter *filter;
static struct lease_table *leases;
static struct policy *policy;
static struct filter_settings settings;
static struct filter_peer peers[FILTER_PEERS_MAX];
static size_t n_peers;
static struct address_range doh;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What "later" has added. */
static uint64_t ahead_ms;

static uint64_t now_ms(void)
{
	return now_us() / 1000 + ahead_ms;
}

static void answer(int ret, const char *text)
{
	if (ret < 0)
		printf("error %d %s\n", ret, strerror(-ret));
	else
		printf("ok %s\n", text);
	fflush(stdout);
}

static int compile(struct policy **out, const char *json)
{
	struct policy_error err;
	struct rules *rules;
	int ret = rules_from_text(&rules, json, strlen(json), 0, &err);

	if (ret < 0) {
		fprintf(stderr, "policy: %s\n", err.message);
		return ret;
	}
	ret = policy_compile(out, rules, NULL);
	rules_free(rules);
	return ret;
}

static int apply(const char *json)
{
	struct policy *next;
	int ret = compile(&next, json);

	if (ret < 0)
		return ret;
	ret = filter_apply(filter, next, leases, now_ms());
	if (ret < 0) {
		policy_unref(next);
		return ret;
	}
	lease_table_sweep(leases, next, settings.private_ok, now_ms());
	policy_unref(policy);
	policy = next;
	return 0;
}

/* The two policies in turn, n times; microseconds of one in the answer. */
static void repeat(char *line)
{
	char *end, *second;
	unsigned long n = strtoul(line, &end, 10);
	struct policy *two[2] = {NULL, NULL};
	uint64_t begun;
	char text[64];
	int ret;

	second = strstr(end, " {");
	second = second ? strstr(second + 2, " {") : NULL;
	if (!second) {
		answer(-EINVAL, "");
		return;
	}
	*second = '\0';
	ret = compile(&two[0], end + 1);
	if (ret == 0)
		ret = compile(&two[1], second + 1);
	begun = now_us();
	for (unsigned long i = 0; ret == 0 && i < n; i++)
		ret = filter_apply(filter, two[i % 2], leases, now_ms());
	snprintf(text, sizeof(text), "%" PRIu64,
		 n ? (now_us() - begun) / n : 0);
	policy_unref(policy);
	policy = two[(n + 1) % 2];
	policy_unref(two[n % 2]);
	answer(ret, text);
}

/* Learn as the sandbox does. 1, 0: the policy refuses, -errno. */
static int learn_one(const char *name_text, const struct address *a,
		     uint32_t ttl, enum admission *admission)
{
	struct admitted_ports ports, evicted_ports;
	struct lease_element element, evicted;
	struct domain_name name;
	const char *why;
	int ret;

	if (domain_name_from_text(&name, name_text, &why) < 0)
		return -EINVAL;
	*admission =
		policy_admission(policy, &name, a, settings.private_ok, &ports);
	if (*admission != ADMIT && *admission != ADMIT_PORTS)
		return 0;
	ret = lease_admit(leases, &name, a,
			  *admission == ADMIT_PORTS ? &ports : NULL, &ttl,
			  now_ms(), &element);
	while (lease_next_evicted(leases, &evicted, &evicted_ports))
		(void)filter_admit(filter, &evicted, 1);
	if (ret == 1) {
		ret = filter_admit(filter, &element, 1);
		if (ret == 0)
			lease_confirm(leases, &element, now_ms());
	}
	return ret < 0 ? ret : 1;
}

/* How many were learned, and how it ended. */
static void flood(char *line)
{
	char *domain = strtok(line, " "), *block = strtok(NULL, " ");
	char *n_text = strtok(NULL, " "), name[128], text[64];
	unsigned long n = n_text ? strtoul(n_text, NULL, 10) : 0, done;
	enum admission admission;
	int ret = n > 0 ? 1 : -EINVAL;

	for (done = 0; done < n && ret == 1; done += ret == 1) {
		struct address a = {.family = AF_INET,
				    .bytes = {10, (uint8_t)atoi(block),
					      (uint8_t)(done >> 8),
					      (uint8_t)done}};

		snprintf(name, sizeof(name), "n%lu.%s", done, domain);
		ret = learn_one(name, &a, 3000, &admission);
	}
	snprintf(text, sizeof(text), "%lu learned, %s", done,
		 ret < 0 ? strerror(-ret) : "all");
	answer(n > 0 ? 0 : -EINVAL, text);
}

static void learn(char *line)
{
	char *name = strtok(line, " "), *a_text = strtok(NULL, " ");
	char *ttl_text = strtok(NULL, " ");
	enum admission admission;
	struct address a;
	int ret;

	if (!ttl_text || address_from_text(&a, a_text) < 0) {
		answer(-EINVAL, "");
		return;
	}
	ret = learn_one(name, &a, (uint32_t)strtoul(ttl_text, NULL, 10),
			&admission);
	answer(ret, ret == 0 ? admission_name(admission) : "learned");
}

/* An address straight into the kernel, TTL seconds and no more. */
static void element(char *line)
{
	char *a_text = strtok(line, " "), *ttl_text = strtok(NULL, " ");
	struct lease_element e = {0};

	if (!ttl_text || address_from_text(&e.a, a_text) < 0) {
		answer(-EINVAL, "");
		return;
	}
	e.timeout_s = (uint32_t)strtoul(ttl_text, NULL, 10);
	answer(filter_admit(filter, &e, 1), "");
}

static void leads(char *line)
{
	char *name_text = strtok(line, " "), *a_text = strtok(NULL, " ");
	struct domain_name name;
	struct address a;
	const char *why;

	if (!a_text || address_from_text(&a, a_text) < 0 ||
	    domain_name_from_text(&name, name_text, &why) < 0)
		answer(-EINVAL, "");
	else
		answer(0, filter_leads(filter, leases, &name, &a, now_ms())
				  ? "yes"
				  : "no");
}

/* Until a whole list of connections was read and what it showed renewed. */
static int renew(void)
{
	struct pollfd fd = {filter_log_fd(filter), POLLIN, 0};
	int ret = filter_renew(filter, leases, now_ms(), 1);

	while (ret == 1 || (ret == 0 && poll(&fd, 1, 200) > 0))
		ret = filter_renew(filter, leases, now_ms(), 1);
	return ret;
}

/* n addresses, a batch each; nanoseconds of one in the answer. */
static void learn_many(char *line)
{
	unsigned long n = strtoul(line, NULL, 10);
	struct lease_element e = {.a = {.family = AF_INET}, .timeout_s = 60};
	uint64_t begun = now_us();
	char text[32];
	int ret = 0;

	for (unsigned long i = 0; ret == 0 && i < n; i++) {
		e.a.bytes[0] = 198;
		e.a.bytes[1] = 18;
		e.a.bytes[2] = (uint8_t)(i >> 8);
		e.a.bytes[3] = (uint8_t)i;
		ret = filter_admit(filter, &e, 1);
	}
	snprintf(text, sizeof(text), "%" PRIu64,
		 n ? (now_us() - begun) * 1000 / n : 0);
	answer(ret, text);
}

static void print_refused(void *arg, const struct refused_packet *p)
{
	char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

	(void)arg;
	printf("%s %s > %s proto %u port %u%s%s; ", p->inbound ? "in" : "out",
	       address_to_text(&p->source, from),
	       address_to_text(&p->destination, to), p->protocol,
	       p->destination_port, p->audit ? " audit" : "",
	       p->guess ? " guess" : "");
}

static void show_log(void)
{
	struct pollfd fd = {filter_log_fd(filter), POLLIN, 0};
	int ret = 0;

	printf("ok ");
	if (poll(&fd, 1, 300) > 0)
		ret = filter_log_read(filter, print_refused, NULL);
	printf("%d\n", ret);
	fflush(stdout);
}

static void show_missing(void)
{
	const char *line;

	printf("ok");
	for (size_t i = 0; (line = filter_missing(filter, i)); i++)
		printf(" %s;", line);
	printf("\n");
	fflush(stdout);
}

static void show_counts(void)
{
	struct filter_counts counts;
	int ret = filter_counts(filter, &counts);
	char text[128];

	snprintf(text, sizeof(text),
		 "refused %" PRIu64 " learned %" PRIu64 " commits %" PRIu64
		 " guessed %" PRIu64,
		 counts.refused_packets, counts.leased_elements, counts.commits,
		 counts.guessed);
	answer(ret, text);
}

static void obey(char *line)
{
	char *rest = line + strcspn(line, " ");

	if (*rest)
		*rest++ = '\0';
	if (strcmp(line, "apply") == 0)
		answer(apply(rest), "applied");
	else if (strcmp(line, "repeat") == 0)
		repeat(rest);
	else if (strcmp(line, "learn") == 0)
		learn(rest);
	else if (strcmp(line, "element") == 0)
		element(rest);
	else if (strcmp(line, "flood") == 0)
		flood(rest);
	else if (strcmp(line, "learnmany") == 0)
		learn_many(rest);
	else if (strcmp(line, "leads") == 0)
		leads(rest);
	else if (strcmp(line, "renew") == 0)
		answer(renew(), "renewed");
	else if (strcmp(line, "end") == 0)
		answer(filter_end_revoked(filter, policy, leases, now_ms()),
		       "ended");
	else if (strcmp(line, "later") == 0) {
		ahead_ms += strtoul(rest, NULL, 10) * 1000;
		answer(0, "");
	} else if (strcmp(line, "counts") == 0)
		show_counts();
	else if (strcmp(line, "missing") == 0)
		show_missing();
	else if (strcmp(line, "log") == 0)
		show_log();
	else if (strcmp(line, "lost") == 0) {
		const char *what = filter_lost(filter);

		answer(0, what ? what : "nothing");
	} else if (strcmp(line, "remove") == 0)
		answer(filter_remove(filter), "removed");
	else
		answer(-EINVAL, "");
}

/* ADDRESS or ADDRESS#PORT */
static int add_peer(struct filter_peer *list, size_t *n, size_t max, char *text)
{
	struct filter_peer *r = &list[*n];
	char *port = text;

	if (*n == max)
		return -E2BIG;
	text = strsep(&port, "#");
	r->port = port ? (uint16_t)atoi(port) : 53;
	(*n)++;
	return address_from_text(&r->a, text);
}

static int add_inbound(const char *text)
{
	const char *why;

	settings.inbound_only = strcmp(text, "only") == 0;
	if (settings.inbound_only)
		return 0;
	if (settings.n_inbound == FILTER_INBOUND_MAX)
		return -E2BIG;
	return address_range_from_text(&settings.inbound[settings.n_inbound++],
				       text, &why);
}

static int add_gated(char *list)
{
	for (char *port = strtok(list, ","); port; port = strtok(NULL, ",")) {
		if (settings.n_gated == FILTER_GATED_MAX)
			return -E2BIG;
		settings.gated[settings.n_gated++] = (uint16_t)atoi(port);
	}
	return 0;
}

static int read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"netns", 1, NULL, 'n'},     {"drop", 0, NULL, 'd'},
		{"audit", 0, NULL, 'a'},     {"dns-only", 0, NULL, 'D'},
		{"private", 0, NULL, 'p'},   {"resolver", 1, NULL, 'r'},
		{"peer", 1, NULL, 'w'},      {"mark", 1, NULL, 'm'},
		{"exempt", 1, NULL, 'e'},    {"inbound", 1, NULL, 'i'},
		{"api-port", 1, NULL, 'A'},  {"dns-port", 1, NULL, 'P'},
		{"log", 1, NULL, 'l'},       {"gated", 1, NULL, 'g'},
		{"gate-port", 1, NULL, 'G'}, {"doh", 1, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c, ret = 0;

	settings.netns = -1;
	settings.dns_port = 15353;
	while (ret >= 0 &&
	       (c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'n':
			settings.netns = netns_open(optarg);
			ret = settings.netns;
			break;
		case 'd':
			settings.drop = true;
			break;
		case 'a':
			settings.audit = true;
			break;
		case 'D':
			settings.dns_only = true;
			break;
		case 'p':
			settings.private_ok = true;
			break;
		case 'r':
			ret = add_peer(settings.resolvers,
				       &settings.n_resolvers,
				       FILTER_RESOLVERS_MAX, optarg);
			break;
		case 'w':
			ret = add_peer(peers, &n_peers, FILTER_PEERS_MAX,
				       optarg);
			break;
		case 'm':
			settings.mark = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'e':
			ret = address_from_text(
				&settings.exempt[settings.n_exempt++], optarg);
			break;
		case 'i':
			ret = add_inbound(optarg);
			break;
		case 'A':
			settings.api_port = (uint16_t)atoi(optarg);
			break;
		case 'P':
			settings.dns_port = (uint16_t)atoi(optarg);
			break;
		case 'l':
			settings.log_group = (uint16_t)atoi(optarg);
			break;
		case 'g':
			ret = add_gated(optarg);
			break;
		case 'G':
			settings.gate_port = (uint16_t)atoi(optarg);
			break;
		case 'o':
			ret = address_range_from_text(&doh, optarg,
						      &(const char *){NULL});
			settings.doh = &doh;
			settings.n_doh = 1;
			break;
		default:
			ret = -EINVAL;
		}
	}
	return ret;
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	const char *why = NULL;
	int ret = read_options(argc, argv);

	if (ret >= 0)
		ret = filter_open(&filter, &settings, &why);
	if (ret >= 0 && n_peers)
		ret = filter_let_out(filter, peers, n_peers);
	if (ret >= 0)
		ret = lease_table_new(&leases);
	if (ret < 0) {
		printf("error %d %s (%s)\n", ret, strerror(-ret),
		       why ? why : "options");
		return 1;
	}
	answer(0, "ready");
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "quit") == 0)
			break;
		obey(line);
	}
	free(line);
	lease_table_free(leases);
	policy_unref(policy);
	filter_close(filter);
	return 0;
}
