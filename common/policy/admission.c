/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	PORT_MEMO_SLOTS = 16
};

/* The rules that match a name or an address, first rank first: the heads of
 * the name's lists, "*" among them, and the address's list, merged. */
struct walk {
	const struct ranked *ranked;
	uint32_t head[NAME_RANKS_MAX + 1];
	size_t n_heads;
	const uint32_t *limited; /* of the address's segment */
	uint32_t n_limited;
	uint32_t plain; /* behind them */
};

/* What one protocol's port, or every protocol without ports (protocol 0), may
 * do, and the last port up to which the answer is the same. */
struct verdict {
	bool by_rules; /* the first match over names and addresses allows */
	bool by_range; /* so does the first rule for the address */
	uint32_t last;
};

static void walk_address(struct walk *walk, const struct policy *policy,
			 const struct segment *segment)
{
	walk->ranked = policy->ranked;
	walk->n_heads = 0;
	walk->limited = NULL;
	walk->n_limited = segment ? segment->n_ports : 0;
	walk->plain = segment ? segment->plain : RANK_NONE;
	if (walk->n_limited)
		walk->limited = policy->flat.rank + segment->ports;
}

static void walk_name(struct walk *walk, const struct policy *policy,
		      const struct name_match *match)
{
	walk->n_heads = match->n;
	memcpy(walk->head, match->rank, match->n * sizeof(walk->head[0]));
	if (policy->any != RANK_NONE)
		walk->head[walk->n_heads++] = policy->any;
}

/* The next rank, or RANK_NONE; a rule that matches both ways comes once. */
static uint32_t walk_next(struct walk *walk)
{
	uint32_t first = walk->n_limited ? *walk->limited : walk->plain;

	for (size_t i = 0; i < walk->n_heads; i++) {
		if (walk->head[i] < first)
			first = walk->head[i];
	}
	if (first == RANK_NONE)
		return first;
	for (size_t i = 0; i < walk->n_heads; i++) {
		if (walk->head[i] == first)
			walk->head[i] = walk->ranked[first].next;
	}
	if (walk->n_limited && *walk->limited == first) {
		walk->limited++;
		walk->n_limited--;
	} else if (walk->plain == first) {
		walk->plain = RANK_NONE;
	}
	return first;
}

/* Does the rule hold for the port? *last shrinks to where that may change. */
static bool holds(const struct rule *rule, uint8_t protocol, uint32_t port,
		  uint32_t *last)
{
	if (rule->n_ports == 0)
		return true;
	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct port_span *span = &rule->ports[i];

		if (span->protocol != protocol || span->last < port)
			continue;
		if (span->first > port) {
			if (span->first - 1u < *last)
				*last = span->first - 1u;
			return false;
		}
		if (span->last < *last)
			*last = span->last;
		return true;
	}
	return false;
}

/* The rank of the walk's first rule that holds for the port, or RANK_NONE. */
static uint32_t first_match(struct walk walk, uint8_t protocol, uint32_t port,
			    uint32_t *last)
{
	uint32_t rank;

	while ((rank = walk_next(&walk)) != RANK_NONE)
		if (holds(walk.ranked[rank].rule, protocol, port, last))
			break;
	return rank;
}

void policy_match_name_port(const struct policy *policy,
			    const struct domain_name *name, uint8_t protocol,
			    uint16_t port, struct decision *out)
{
	struct walk walk = {.ranked = policy->ranked, .plain = RANK_NONE};
	uint32_t last = UINT16_MAX;
	struct name_match match;

	policy_look_up(policy, name, &match);
	walk_name(&walk, policy, &match);
	policy_decide(policy, first_match(walk, protocol, port, &last), out);
}

static bool allows(const struct policy *policy, uint32_t rank)
{
	return policy->ranked[rank].rule->action == POLICY_ALLOW;
}

static struct verdict judge(const struct policy *policy,
			    const struct walk *both, const struct walk *address,
			    uint8_t protocol, uint32_t port)
{
	struct verdict verdict = {.last = UINT16_MAX};
	uint32_t rank;

	rank = first_match(*both, protocol, port, &verdict.last);
	verdict.by_rules = rank == RANK_NONE
				   ? policy->default_action == POLICY_ALLOW
				   : allows(policy, rank);
	rank = first_match(*address, protocol, port, &verdict.last);
	verdict.by_range = rank != RANK_NONE && allows(policy, rank);
	return verdict;
}

static void add_span(struct admitted_ports *ports, uint8_t protocol,
		     uint32_t first, uint32_t last)
{
	struct port_span *end = ports->span + ports->n;

	if (ports->n > 0 && end[-1].protocol == protocol &&
	    end[-1].last + 1u == first) {
		end[-1].last = (uint16_t)last;
		return;
	}
	if (ports->n == sizeof(ports->span) / sizeof(ports->span[0]))
		return;
	end->protocol = protocol;
	end->first = (uint16_t)first;
	end->last = (uint16_t)last;
	ports->n++;
}

/* No rule lists ports: the first rule for the name or the address decides, and
 * the name was found to be allowed. */
static enum admission admit_whole(const struct policy *policy,
				  const struct name_match *match,
				  const struct address *a, bool private_ok)
{
	const struct segment *segment = flat_find(&policy->flat, a);
	bool by_range = segment && allows(policy, segment->plain);

	if (segment && segment->plain < match->decision.rank && !by_range)
		return REFUSE_RULE;
	return private_ok || by_range ? ADMIT : REFUSE_PRIVATE;
}

/* What a name's address may do on each protocol and port, for those judged
 * last. It depends on these alone, which are the same for most of what one
 * wildcard has led to, and costs a walk of the rules for each port that they
 * list. */
struct port_answer {
	uint32_t head[NAME_RANKS_MAX + 1];
	size_t n_heads;
	const struct segment *segment;
	bool private_ok, filled;
	enum admission admission;
	struct admitted_ports ports;
};

struct port_memo {
	struct port_answer slot[PORT_MEMO_SLOTS];
};

int port_memo_new(struct port_memo **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static struct port_answer *memo_slot(struct port_memo *memo,
				     const struct walk *both,
				     const struct segment *segment)
{
	size_t sum = (uintptr_t)segment / sizeof(*segment);

	for (size_t i = 0; i < both->n_heads; i++)
		sum += both->head[i];
	return &memo->slot[sum % PORT_MEMO_SLOTS];
}

static bool verdict_is_of(const struct port_answer *v, const struct walk *both,
			  const struct segment *segment, bool private_ok)
{
	return v->filled && v->segment == segment &&
	       v->private_ok == private_ok && v->n_heads == both->n_heads &&
	       memcmp(v->head, both->head,
		      both->n_heads * sizeof(v->head[0])) == 0;
}

/* Each protocol and port on its own. */
static enum admission judge_ports(const struct policy *policy,
				  const struct walk *both,
				  const struct walk *address, bool private_ok,
				  struct admitted_ports *ports)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	bool all, refused_private;
	struct verdict verdict;

	verdict = judge(policy, both, address, 0, 0);
	all = verdict.by_rules && (private_ok || verdict.by_range);
	refused_private = verdict.by_rules && !all;

	for (size_t i = 0; i < sizeof(protocols); i++) {
		for (uint32_t port = 0; port <= UINT16_MAX;
		     port = verdict.last + 1) {
			verdict = judge(policy, both, address, protocols[i],
					port);
			if (verdict.by_rules &&
			    (private_ok || verdict.by_range)) {
				add_span(ports, protocols[i], port,
					 verdict.last);
				continue;
			}
			all = false;
			refused_private |= verdict.by_rules;
		}
	}
	if (all)
		return ADMIT;
	if (ports->n > 0)
		return ADMIT_PORTS;
	return refused_private ? REFUSE_PRIVATE : REFUSE_RULE;
}

static enum admission admit_ports(const struct policy *policy,
				  const struct name_match *match,
				  const struct address *a, bool private_ok,
				  struct admitted_ports *ports)
{
	const struct segment *segment = flat_find(&policy->flat, a);
	struct port_answer *known;
	struct walk both, address;

	walk_address(&address, policy, segment);
	both = address;
	walk_name(&both, policy, match);
	known = memo_slot(policy->memo, &both, segment);
	if (!verdict_is_of(known, &both, segment, private_ok)) {
		known->ports.n = 0;
		known->admission = judge_ports(policy, &both, &address,
					       private_ok, &known->ports);
		memcpy(known->head, both.head,
		       both.n_heads * sizeof(known->head[0]));
		known->n_heads = both.n_heads;
		known->segment = segment;
		known->private_ok = private_ok;
		known->filled = true;
	}
	ports->n = known->ports.n;
	memcpy(ports->span, known->ports.span,
	       known->ports.n * sizeof(ports->span[0]));
	return known->admission;
}

enum admission policy_admit(const struct policy *policy,
			    const struct name_match *match,
			    const struct address *a, bool private_ok,
			    struct admitted_ports *ports)
{
	enum address_kind kind = address_kind(a);

	ports->n = 0;
	if (match->decision.action == POLICY_DENY)
		return REFUSE_NAME;
	if (kind != ADDRESS_PUBLIC && kind != ADDRESS_PRIVATE)
		return REFUSE_KIND;
	if (kind == ADDRESS_PUBLIC ||
	    hosts_give(policy_rules(policy)->hosts, match->name, a))
		private_ok = true;
	if (policy->has_ports)
		return admit_ports(policy, match, a, private_ok, ports);
	return admit_whole(policy, match, a, private_ok);
}

enum admission policy_admission(const struct policy *policy,
				const struct domain_name *name,
				const struct address *a, bool private_ok,
				struct admitted_ports *ports)
{
	struct name_match match;

	policy_look_up(policy, name, &match);
	return policy_admit(policy, &match, a, private_ok, ports);
}

bool policy_admits_port(const struct policy *policy,
			const struct domain_name *name, const struct address *a,
			bool private_ok, uint8_t protocol, uint16_t port)
{
	struct admitted_ports ports;
	enum admission admission =
		policy_admission(policy, name, a, private_ok, &ports);

	if (admission != ADMIT_PORTS)
		return admission == ADMIT;
	for (size_t i = 0; i < ports.n; i++)
		if (ports.span[i].protocol == protocol &&
		    ports.span[i].first <= port && port <= ports.span[i].last)
			return true;
	return false;
}

const char *admission_name(enum admission admission)
{
	static const char *const names[] = {
		[ADMIT] = "admitted",
		[ADMIT_PORTS] = "admitted-ports",
		[REFUSE_KIND] = "address-kind",
		[REFUSE_PRIVATE] = "private-address",
		[REFUSE_RULE] = "address-rule",
		[REFUSE_NAME] = "name-denied",
	};

	return (size_t)admission < sizeof(names) / sizeof(names[0])
		       ? names[admission]
		       : "unknown";
}
