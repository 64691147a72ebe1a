/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flows of the last hour. conntrack forgets a TCP connection long after its
 * end, so open ones are asked for from time to time.
 */
#include "inner.h"

#include "life/life.h"
#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* Between looks while there is something: others have their turn,
	 * however many connections one sandbox begins. */
	GATHER_MS = 20,
	CHECK_MIN_MS = 1000,
	CHECK_MAX_MS = 5000, /* between questions for an open one */
	CHECK_TIMES = 4,     /* or that part of its age */
	CHECKS_MAX = 256,    /* in one iteration of the loop */
	READS_MAX = 16,
	IDS_PER_SECOND = 1000000,
	LISTEN_MS = 3600 * 1000, /* since somebody asked */
	TIME_SIZE = 32
};

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* JSON */

/* RFC 3339, UTC, milliseconds; null for 0. */
static json_t *time_json(uint64_t ms)
{
	const time_t seconds = (time_t)(ms / 1000);
	char text[TIME_SIZE], whole[TIME_SIZE + 8];
	struct tm tm;

	if (!ms || !gmtime_r(&seconds, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(whole, sizeof(whole), "%s.%03uZ", text, (unsigned)(ms % 1000));
	return json_string(whole);
}

static json_t *count_json(const struct flow *flow, uint64_t n)
{
	return flow->of.counted ? json_integer((json_int_t)n) : json_null();
}

static json_t *port_json(uint16_t port)
{
	return port ? json_integer(port) : json_null();
}

static json_t *flow_json(const struct flow *flow)
{
	static const char *const verdicts[] = {
		[FLOW_ALLOW] = "allow",
		[FLOW_DENY] = "deny",
		[FLOW_AUDIT] = "audit",
	};
	const struct filter_flow *of = &flow->of;
	size_t out = of->inbound ? 1 : 0, in = of->inbound ? 0 : 1;
	char to[ADDRESS_TEXT_MAX], from[ADDRESS_TEXT_MAX];
	char protocol[PROTOCOL_TEXT_MAX];

	return json_pack(
		"{sI so so ss ss? ss so ss ss so so so so so ss ss? ss? ss?}",
		"id", (json_int_t)flow->id, "start", time_json(flow->start_ms),
		"end", time_json(flow->end_ms), "direction",
		of->inbound ? "inbound" : "outbound", "name", flow->name,
		"address", address_to_text(&of->destination, to), "port",
		port_json(of->destination_port), "protocol",
		protocol_to_text(of->protocol, protocol), "peer",
		address_to_text(&of->source, from), "peerPort",
		port_json(of->source_port), "bytesOut",
		count_json(flow, of->bytes[out]), "bytesIn",
		count_json(flow, of->bytes[in]), "packetsOut",
		count_json(flow, of->packets[out]), "packetsIn",
		count_json(flow, of->packets[in]), "verdict",
		verdicts[flow->verdict], "rule", flow->rule, "source",
		flow->source, "reason", flow->reason);
}

/* Life of a flow */

static void tell(struct sandbox *s, const struct flow *flow)
{
	json_t *json;

	if (!s->shared->settings->flow_log || flow->silent)
		return;
	json = flow_json(flow);
	journal_flow(&s->journal, json);
	json_decref(json);
}

static void end(struct sandbox *s, struct flow *flow, uint64_t end_ms)
{
	flow_table_end(&s->flows, flow, end_ms ? end_ms : clock_ms());
	tell(s, flow);
}

/* Is every connection wanted, whether or not somebody asks? */
static bool is_always(const struct sandbox *s)
{
	return s->shared->settings->flows || s->shared->settings->flow_log;
}

/* The rule that decided, as the policy in force has it: of those that match
 * the name or the address the first. */
static void decide(const struct sandbox *s, const struct filter_flow *of,
		   const struct domain_name *name, struct decision *out)
{
	struct decision by_name;

	policy_match_address(s->policy, &of->destination, of->protocol,
			     of->destination_port, out);
	if (!name)
		return;
	policy_match_name_port(s->policy, name, of->protocol,
			       of->destination_port, &by_name);
	if (by_name.rank < out->rank)
		*out = by_name;
}

/* name: that it gave; NULL: the one that last led there is told. */
static struct flow *add(struct sandbox *s, const struct filter_flow *of,
			const struct domain_name *name, bool known)
{
	const bool audit = s->shared->settings->audit;
	struct decision d = {.rule = NULL};
	char text[DOMAIN_NAME_TEXT_MAX];
	struct flow *flow;
	size_t n, n_open;

	(void)flow_table_expire(&s->flows, clock_ms());
	n = s->flows.n;
	n_open = s->flows.n_open;
	if (!of->inbound) {
		if (!name)
			name = filter_last_name(s->filter, s->leases,
						&of->destination);
		decide(s, of, name, &d);
		/* That rule is not what refused it (QUIC, which the gate does),
		 * or let it on (before it was there). */
		if (d.action != (known ? POLICY_ALLOW : POLICY_DENY) && !audit)
			d.rule = NULL, d.source = NULL;
	}
	flow = flow_table_add(&s->flows, of,
			      name ? domain_name_to_text(name, text) : NULL,
			      d.rule ? d.rule->target : NULL, known);
	if (!flow) {
		s->flows.dropped++;
		return NULL;
	}
	/* It took the place of one whose end will not be told. */
	if (s->shared->settings->flow_log && s->flows.n == n &&
	    s->flows.n_open == n_open)
		s->journal.flows.suppressed++;
	flow->source = d.source;
	flow->start_ms = of->start_ms ? of->start_ms : clock_ms();
	flow->silent = name ? owner_log_skips(s, name)
			    : !s->journal.whole &&
				       policy_log_skips_address(
					       s->policy,
					       of->inbound ? &of->source
							   : &of->destination);
	if (of->audited || (!of->inbound && audit && d.action == POLICY_DENY))
		flow->verdict = FLOW_AUDIT;
	return flow;
}

static void update(struct flow *flow, const struct filter_flow *of)
{
	bool inbound = flow->of.inbound;

	/* Those of before there were counters have none. */
	if (!of->counted && flow->of.counted)
		return;
	flow->of = *of;
	flow->of.inbound = inbound;
	if (of->start_ms)
		flow->start_ms = of->start_ms;
}

static void on_event(void *arg, enum filter_flow_event event,
		     const struct filter_flow *of)
{
	struct sandbox *s = arg;
	struct flow_table *t = &s->flows;
	struct flow *flow = flow_table_find(t, of);
	const struct gate_way *way;

	if (flow)
		update(flow, of);
	if (event == FILTER_FLOW_ENDED) {
		/* Whatever was not known of counts as lost or dropped. */
		if (!flow)
			return;
		flow_table_forget(t, flow);
		if (!flow->end_ms)
			end(s, flow, of->end_ms);
		return;
	}
	if (flow)
		return;
	way = of->inbound ? NULL : ways_find(&s->ways, of);
	flow = add(s, of, way ? way->name : NULL, true);
	if (!flow)
		return;
	if (way && way->reason != GATE_REASONS) {
		flow->verdict = FLOW_AUDIT;
		flow->reason = gate_reason_text(way->reason);
		flow->rule = flow->source = NULL;
	}
	t->begun++;
	if (event == FILTER_FLOW_LISTED && of->closed) {
		/* An earlier process may have told of its end. */
		s->journal.flows.suppressed += s->shared->settings->flow_log;
		flow_table_end(t, flow, clock_ms());
		return;
	}
	flow->check_ms = now_ms() + CHECK_MIN_MS;
	if (flow->check_ms < t->check_ms)
		t->check_ms = flow->check_ms;
}

/* Ask for one that is open. */
static void check(struct sandbox *s, struct flow *flow)
{
	uint64_t age_ms = clock_ms() - flow->start_ms, next_ms;
	struct filter_flow of = flow->of;
	int ret = filter_flow_ask(s->filter, &of);

	if (ret == 0)
		update(flow, &of);
	if (ret == -ENOENT)
		flow_table_forget(&s->flows, flow);
	if (ret == -ENOENT || (ret == 0 && of.closed)) {
		end(s, flow, 0);
		return;
	}
	next_ms = age_ms / CHECK_TIMES;
	if (next_ms > CHECK_MAX_MS)
		next_ms = CHECK_MAX_MS;
	if (next_ms < CHECK_MIN_MS)
		next_ms = CHECK_MIN_MS;
	flow->check_ms = now_ms() + next_ms;
}

/* Ask for those that are due, a bounded number of them. */
static void check_due(struct sandbox *s)
{
	struct flow_table *t = &s->flows;
	uint64_t now = now_ms(), next = UINT64_MAX;
	int n = 0;

	if (now < t->check_ms)
		return;
	for (struct flow *flow = TAILQ_FIRST(&t->by_id); flow;
	     flow = TAILQ_NEXT(flow, by_id)) {
		if (!flow->end_ms && flow->check_ms <= now && n++ < CHECKS_MAX)
			check(s, flow);
		if (!flow->end_ms && flow->check_ms < next)
			next = flow->check_ms;
	}
	t->check_ms = next;
}

/* The loop */

static void on_time(uv_timer_t *timer);
static void on_readable(uv_poll_t *poll, int status, int events);

/* While there is something to hear it is heard at intervals, many events at
 * once; n were heard just now. A timer of 0 ms, started by its own callback,
 * would keep the loop from all else. */
static void arm(struct sandbox *s, int n)
{
	struct flow_table *t = &s->flows;
	uint64_t clock = clock_ms(), now = now_ms();
	uint64_t expires = flow_table_expire(t, clock);
	uint64_t wait = expires != UINT64_MAX ? expires - clock : UINT64_MAX;
	uint64_t left = t->check_ms > now ? t->check_ms - now : 0;

	if (s->flows_heard && t->check_ms != UINT64_MAX && left < wait)
		wait = left;
	if (wait < GATHER_MS || n != 0)
		wait = GATHER_MS;
	if (n != 0 || !s->flows_heard)
		uv_poll_stop(s->flows_poll);
	else
		uv_poll_start(s->flows_poll, UV_READABLE, on_readable);
	if (wait == UINT64_MAX)
		uv_timer_stop(s->flows_timer);
	else
		uv_timer_start(s->flows_timer, on_time, wait, 0);
}

static void look(struct sandbox *s)
{
	int n = 0;

	if (s->flows_heard && !is_always(s) &&
	    now_ms() - s->flows_asked_ms > LISTEN_MS)
		s->flows_heard = filter_flows_listen(s->filter, false) != 0;
	if (s->flows_heard) {
		n = filter_flows_read(s->filter, on_event, s);
		check_due(s);
	}
	arm(s, n);
}

static void on_time(uv_timer_t *timer)
{
	look(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	look(poll->data);
}

static void refused(struct sandbox *s, const struct filter_flow *of,
		    const char *reason, const struct domain_name *name)
{
	char text[DOMAIN_NAME_TEXT_MAX];
	struct flow *flow = flow_table_refused(
		&s->flows, of, reason,
		name ? domain_name_to_text(name, text) : NULL);

	if (!flow)
		flow = add(s, of, name, false);
	if (!flow)
		return;
	flow->verdict = FLOW_DENY;
	flow->reason = reason;
	if (reason)
		flow->rule = flow->source = NULL;
	flow->of.packets[0]++;
	flow_table_end(&s->flows, flow, clock_ms());
	if (s->flows_poll && !s->flows_heard)
		arm(s, 0);
}

void flows_refused(struct sandbox *s, const struct refused_packet *packet)
{
	const struct filter_flow of = {
		.protocol = packet->protocol,
		.source = packet->source,
		.destination = packet->destination,
		.destination_port = packet->destination_port,
		.inbound = packet->inbound,
		.counted = true,
	};
	const char *reason = refused_reason(packet);

	/* conntrack tells of what an audit let on, and of connections that are
	 * slowed down, or whose answers a limit refuses. */
	if (packet->audit || packet->limit == LIMIT_BYTES_PER_SECOND ||
	    (packet->inbound && reason))
		return;
	refused(s, &of, reason, NULL);
}

void flows_gate_refused(struct sandbox *s, const struct gate_refusal *r)
{
	const struct filter_flow of = {
		.protocol = IPPROTO_TCP,
		.source = r->source,
		.destination = r->destination,
		.destination_port = r->port,
		.counted = true,
	};

	/* conntrack tells of what an audit let on. */
	if (!r->audit)
		refused(s, &of, gate_reason_text(r->reason), r->name);
}

void flows_gate_goes(struct sandbox *s, const struct gate_way *way)
{
	if (s->flows_heard)
		ways_add(&s->ways, way);
}

/* All that was told by now, but for what would take long. */
static int read_all(struct sandbox *s)
{
	int n = FILTER_FLOWS_READ;

	for (int i = 0; i < READS_MAX && n >= FILTER_FLOWS_READ; i++)
		n = filter_flows_read(s->filter, on_event, s);
	return n;
}

/* Hear of what comes, and of what is there: the kernel lists that in an order
 * of its own. */
static void listen_to(struct sandbox *s)
{
	int err = filter_flows_listen(s->filter, true);

	s->flows_heard = err == 0;
	if (!err) {
		(void)read_all(s);
		flow_table_sort(&s->flows);
	} else {
		log_event(LOG_WARN, NULL, "no flows are told", "ssandbox_id",
			  s->journal.sandbox_id, "serror", strerror(-err),
			  NULL);
	}
}

void flows_init(struct sandbox *s)
{
	/* Ids of a later process are later ones, and JSON's numbers exact. */
	flow_table_init(&s->flows, clock_ms() / 1000 * IDS_PER_SECOND + 1);
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

void flows_close(struct sandbox *s)
{
	if (s->flows_timer)
		uv_close((uv_handle_t *)s->flows_timer, free_handle);
	if (s->flows_poll)
		uv_close((uv_handle_t *)s->flows_poll, free_handle);
	flow_table_free(&s->flows);
	ways_free(&s->ways);
}

void flows_counts(struct sandbox *s, struct sandbox_flow_counts *counts)
{
	*counts = (struct sandbox_flow_counts){
		.begun = s->flows.begun,
		.open = s->flows.n_open,
		.lost = filter_flows_lost(s->filter),
		.dropped = s->flows.dropped,
	};
}

int flows_open(struct sandbox *s)
{
	int fd = filter_flows_fd(s->filter), err;

	if (fd < 0)
		return 0;
	s->flows_timer = malloc(sizeof(*s->flows_timer));
	if (!s->flows_timer)
		return -ENOMEM;
	uv_timer_init(s->shared->loop, s->flows_timer);
	s->flows_timer->data = s;
	s->flows_poll = malloc(sizeof(*s->flows_poll));
	if (!s->flows_poll)
		return -ENOMEM;
	err = uv_poll_init(s->shared->loop, s->flows_poll, fd);
	if (err) {
		free(s->flows_poll);
		s->flows_poll = NULL;
		return err;
	}
	s->flows_poll->data = s;
	if (is_always(s))
		listen_to(s);
	if (s->flows_heard)
		look(s);
	return 0;
}

/* What was told by now; the first time, what is there. */
static void catch_up(struct sandbox *s)
{
	s->flows_asked_ms = now_ms();
	if (s->flows_poll && !s->flows_heard)
		listen_to(s);
	if (s->flows_heard)
		arm(s, read_all(s));
}

json_t *sandbox_flows(struct sandbox *s, uint64_t after, size_t limit)
{
	struct flow_table *t = &s->flows;
	json_t *list = json_array(), *next = NULL;
	struct flow *flow;

	catch_up(s);
	flow_table_expire(t, clock_ms());
	flow = TAILQ_FIRST(&t->by_id);
	while (flow && flow->id <= after)
		flow = TAILQ_NEXT(flow, by_id);
	for (; flow && limit > 0; flow = TAILQ_NEXT(flow, by_id), limit--) {
		if (!flow->end_ms)
			check(s, flow);
		json_array_append_new(list, flow_json(flow));
		next = json_object_get(
			json_array_get(list, json_array_size(list) - 1), "id");
	}
	return json_pack("{so sO? sI sI}", "flows", list, "next",
			 flow ? next : NULL, "lost",
			 (json_int_t)filter_flows_lost(s->filter), "dropped",
			 (json_int_t)t->dropped);
}
