/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum {
	BUCKETS = 256,
	SERVICE_MAX = 15, /* characters of a service name, RFC 6335, 5.1 */
	SRV_TARGET = 6    /* bytes of an SRV record's data before the target */
};

struct target {
	LIST_ENTRY(target) in_bucket;
	TAILQ_ENTRY(target) in_order; /* the oldest first */
	uint64_t hash;
	struct domain_name *name, *first; /* owned */
	uint64_t until_ms;
	struct address led_to[FOLLOW_ADDRESSES]; /* the last ones, in a ring */
	size_t n_led_to;
};
LIST_HEAD(target_list, target);
TAILQ_HEAD(target_order, target);

struct follow {
	struct target_list bucket[BUCKETS];
	struct target_order order;
	size_t n;
};

int follow_new(struct follow **out)
{
	struct follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return -ENOMEM;
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&follow->bucket[i]);
	TAILQ_INIT(&follow->order);
	*out = follow;
	return 0;
}

static void target_free(struct target *t)
{
	free(t->name);
	free(t->first);
	free(t);
}

static void target_drop(struct follow *follow, struct target *t)
{
	LIST_REMOVE(t, in_bucket);
	TAILQ_REMOVE(&follow->order, t, in_order);
	follow->n--;
	target_free(t);
}

void follow_free(struct follow *follow)
{
	struct target *t;

	if (!follow)
		return;
	while ((t = TAILQ_FIRST(&follow->order)))
		target_drop(follow, t);
	free(follow);
}

size_t follow_count(const struct follow *follow)
{
	return follow->n;
}

static struct target *target_find(const struct follow *follow,
				  const struct domain_name *name, uint64_t hash)
{
	struct target *t;

	LIST_FOREACH (t, &follow->bucket[hash % BUCKETS], in_bucket)
		if (t->hash == hash && domain_name_equal(t->name, name))
			break;
	return t;
}

static struct target *target_new(const struct domain_name *name, uint64_t hash,
				 const struct domain_name *first)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->hash = hash;
	t->name = domain_name_copy(name);
	t->first = domain_name_copy(first);
	if (t->name && t->first)
		return t;
	target_free(t);
	return NULL;
}

/* Denied, and by no rule for the name? */
static bool may_follow(const struct decision *d)
{
	return d->action == POLICY_DENY &&
	       (!d->rule || d->rule->kind == TARGET_ANY);
}

struct noting {
	struct follow *follow;
	const struct policy *policy;
	const struct domain_name *first;
	uint64_t now_ms;
};

static uint64_t end_of(uint32_t ttl_s, uint64_t now_ms)
{
	uint32_t s = ttl_s > FOLLOW_CAP_S - FOLLOW_SLACK_S
			     ? FOLLOW_CAP_S
			     : ttl_s + FOLLOW_SLACK_S;

	return now_ms + (s < FOLLOW_MIN_S ? FOLLOW_MIN_S : s) * UINT64_C(1000);
}

static void note_target(const struct noting *n, const struct domain_name *name,
			uint32_t ttl_s)
{
	struct follow *follow = n->follow;
	struct name_match match;
	struct target *t, *old;

	policy_look_up(n->policy, name, &match);
	if (!may_follow(&match.decision) || domain_name_equal(name, n->first))
		return;
	old = target_find(follow, name, match.hash);
	if (old && domain_name_equal(old->first, n->first)) {
		if (end_of(ttl_s, n->now_ms) > old->until_ms)
			old->until_ms = end_of(ttl_s, n->now_ms);
		return;
	}
	t = target_new(name, match.hash, n->first);
	if (!t)
		return;
	if (old)
		target_drop(follow, old);
	else if (follow->n == FOLLOW_MAX)
		target_drop(follow, TAILQ_FIRST(&follow->order));
	t->until_ms = end_of(ttl_s, n->now_ms);
	LIST_INSERT_HEAD(&follow->bucket[t->hash % BUCKETS], t, in_bucket);
	TAILQ_INSERT_TAIL(&follow->order, t, in_order);
	follow->n++;
}

/* Where a record leads, and its TTL. */
static void note_record(void *arg, uint16_t type, const uint8_t *message,
			size_t len, size_t data, uint32_t ttl_s)
{
	struct domain_name target;

	if (type != TYPE_CNAME && type != TYPE_SRV)
		return;
	if (type == TYPE_SRV)
		data += SRV_TARGET;
	if (wire_name(&target, message, len, data) >= 0 && target.len > 1)
		note_target(arg, &target, ttl_s);
}

void follow_note(struct follow *follow, const struct policy *policy,
		 const struct domain_name *first, const struct answer *answer,
		 uint64_t now_ms)
{
	struct noting n = {follow, policy, first, now_ms};

	if (follow && answer->rcode == RCODE_NOERROR)
		answer_heads(answer, note_record, &n);
}

void follow_led_to(struct follow *follow, const struct domain_name *target,
		   const struct address *a)
{
	struct target *t;

	if (!follow)
		return;
	t = target_find(follow, target, domain_name_hash(target));
	for (size_t i = 0; t && i < FOLLOW_ADDRESSES; i++)
		if (address_compare(&t->led_to[i], a) == 0)
			return;
	if (t)
		t->led_to[t->n_led_to++ % FOLLOW_ADDRESSES] = *a;
}

static bool is_live(const struct target *t, uint64_t now_ms,
		    follow_leased leased, void *arg)
{
	if (now_ms < t->until_ms)
		return true;
	for (size_t i = 0; leased && i < FOLLOW_ADDRESSES; i++)
		if (t->led_to[i].family && leased(arg, t->first, &t->led_to[i]))
			return true;
	return false;
}

static bool is_service_label(const uint8_t *label)
{
	if (label[0] < 2 || label[0] > SERVICE_MAX + 1 || label[1] != '_')
		return false;
	for (size_t i = 2; i <= label[0]; i++)
		if (!(label[i] >= 'a' && label[i] <= 'z') &&
		    !(label[i] >= '0' && label[i] <= '9') && label[i] != '-')
			return false;
	return true;
}

/* The host of "_service._tcp.host" or "_service._udp.host". */
static bool read_host(struct domain_name *host, const struct domain_name *name)
{
	const uint8_t *service = name->wire, *protocol;
	size_t skip;

	if (!is_service_label(service))
		return false;
	protocol = service + service[0] + 1;
	if (memcmp(protocol, "\4_tcp", 5) != 0 &&
	    memcmp(protocol, "\4_udp", 5) != 0)
		return false;
	skip = (size_t)(protocol + 5 - name->wire);
	host->len = (uint8_t)(name->len - skip);
	memcpy(host->wire, name->wire + skip, host->len);
	return host->len > 1;
}

void follow_look_up(struct follow *follow, const struct policy *policy,
		    const struct domain_name *name, uint16_t type,
		    uint64_t now_ms, follow_leased leased, void *arg,
		    struct name_match *match, struct domain_name *first)
{
	struct name_match of_first;
	const struct target *t;

	policy_look_up(policy, name, match);
	if (!follow || !may_follow(&match->decision))
		return;
	t = target_find(follow, name, match->hash);
	if (t && is_live(t, now_ms, leased, arg)) {
		first->len = t->first->len;
		memcpy(first->wire, t->first->wire, first->len);
	} else if (type != TYPE_SRV || !read_host(first, name)) {
		return;
	}
	policy_look_up(policy, first, &of_first);
	if (of_first.decision.action == POLICY_DENY)
		return;
	of_first.hash = match->hash;
	*match = of_first;
}

void follow_sweep(struct follow *follow, const struct policy *policy)
{
	struct target *t, *next;
	struct decision d;

	if (!follow)
		return;
	for (t = TAILQ_FIRST(&follow->order); t; t = next) {
		next = TAILQ_NEXT(t, in_order);
		policy_match_name(policy, t->first, &d);
		if (d.action == POLICY_DENY)
			target_drop(follow, t);
	}
}
