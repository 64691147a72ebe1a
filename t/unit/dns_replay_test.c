/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the scenarios of t/replay: each is a transcript of what a client
 * asks, what a resolver answers and how time passes, and of everything that
 * the front does about it, in order. No network: the client is a socket pair,
 * the resolver and the clock are in this file.
 *
 *   > policy {...}          put this policy in force
 *   > option NAME [VALUE]   private_ok, audit, follow, without_ech,
 *                         names_per_second, queries_max, ask
 *   > ask [ID] NAME TYPE [plain] [do] [cd] [udp=BYTES]
 *   > answer NAME TYPE [RCODE] [section...]   the resolver's, with records:
 *   | RECORD                as in a zone file; "| authority" and
 *                           "| additional" begin those sections
 *   > timeout NAME TYPE     the resolver's silence; also: unreachable
 *   > pass SECONDS
 *   > lease SECONDS         the TTL that admission leaves at the most
 *   > refuse ADDRESS        admitting this address fails
 *   > leased ADDRESS        that this address is open, and no other
 *   > commit fails|works
 *   > pending               what waits for approval, and the counts of it
 *   = ...                   what the front did since the last '>'
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/inner.h"
#include "dns_text.h"

enum {
	LOG_SIZE = 65536,
	ASKED_MAX = 64,
	REFUSED_MAX = 8
};

struct resolver_question {
	struct domain_name name;
	uint16_t type;
	resolver_done done;
	void *arg;
	bool open;
};

/* What the scenario sets, and what happened. */
static struct {
	uint64_t now_ms;
	struct policy *policy;
	struct resolver_question asked[ASKED_MAX];
	struct front_settings settings;
	bool private_ok;
	uint32_t lease;
	bool commit_fails;
	struct address leased;
	struct address refused[REFUSED_MAX];
	size_t n_refused;
	char log[LOG_SIZE];
	size_t log_len;
	uv_loop_t loop;
	struct front *front;
	int client;
	uv_timer_t *timer; /* the front's only one, NULL: not started */
	uv_timer_cb on_timer;
	uint64_t due_ms;
} it;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	it.log_len += (size_t)vsnprintf(it.log + it.log_len,
					LOG_SIZE - it.log_len, format, args);
	va_end(args);
	assert_true(it.log_len < LOG_SIZE);
}

static const char *name_text(const struct domain_name *name)
{
	static char text[DOMAIN_NAME_TEXT_MAX];

	return domain_name_to_text(name, text);
}

static const char *type_text(uint16_t type)
{
	static char text[32];
	char *name = ldns_rr_type2str(type);

	snprintf(text, sizeof(text), "%s", name);
	free(name);
	return text;
}

/* The clock of the loop, in the place of libuv's. */
uint64_t uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return it.now_ms;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout,
		   uint64_t repeat)
{
	(void)repeat;
	it.timer = timer;
	it.on_timer = cb;
	it.due_ms = it.now_ms + timeout;
	return 0;
}

static void run_timer(void)
{
	uv_timer_t *timer = it.timer;

	if (!timer || it.now_ms < it.due_ms)
		return;
	it.timer = NULL;
	it.on_timer(timer);
}

/* The resolver, in the place of the real ones. */
int resolvers_ask(struct resolvers *resolvers, const void *asker,
		  const uint8_t *question, size_t len, resolver_done done,
		  void *arg, struct resolver_question **out)
{
	struct resolver_question *q = it.asked;
	int taken;

	(void)resolvers;
	(void)asker;
	while (q->open)
		assert_true(++q < it.asked + ASKED_MAX);
	taken = domain_name_from_wire(&q->name, question + 12, len - 12);
	assert_true(taken > 0);
	q->type = wire_get16(question + 12 + taken);
	q->done = done;
	q->arg = arg;
	q->open = true;
	say("asked %s %s%s\n", name_text(&q->name), type_text(q->type),
	    question[3] & 0x10 ? " cd" : "");
	*out = q;
	return 0;
}

bool resolvers_saw(struct resolvers *resolvers, const struct domain_name *name)
{
	(void)resolvers;
	(void)name;
	return false;
}

void resolvers_cancel(struct resolver_question *question)
{
	question->open = false;
}

static const struct policy *on_policy(void *arg)
{
	(void)arg;
	return it.policy;
}

static int on_admit(void *arg, const struct domain_name *name,
		    const struct address *a, const struct admitted_ports *ports,
		    uint32_t *ttl_s)
{
	char text[ADDRESS_TEXT_MAX];

	(void)arg;
	address_to_text(a, text);
	for (size_t i = 0; i < it.n_refused; i++)
		if (address_compare(a, &it.refused[i]) == 0) {
			say("cannot admit %s %s\n", name_text(name), text);
			return -ENOSPC;
		}
	say("admitted %s %s for %u%s\n", name_text(name), text, *ttl_s,
	    ports ? " on ports" : "");
	if (*ttl_s > it.lease)
		*ttl_s = it.lease;
	return 0;
}

static bool on_leased(void *arg, const struct domain_name *name,
		      const struct address *a)
{
	(void)arg;
	(void)name;
	return address_compare(a, &it.leased) == 0;
}

static int on_commit(void *arg)
{
	(void)arg;
	say(it.commit_fails ? "commit failed\n" : "committed\n");
	return it.commit_fails ? -EIO : 0;
}

static void on_denied(void *arg, const struct domain_name *name, uint16_t type,
		      const struct decision *decision,
		      const struct sockaddr *peer)
{
	(void)arg;
	(void)decision;
	(void)peer;
	say("denied %s %s\n", name_text(name), type_text(type));
}

static void on_held(void *arg, const struct domain_name *name,
		    const struct sockaddr *peer)
{
	(void)arg;
	(void)peer;
	say("held %s\n", name_text(name));
}

static void on_answered(void *arg, const struct domain_name *name,
			uint16_t type, const struct address *admitted,
			size_t n_admitted, const struct address *refused,
			size_t n_refused, const char *error,
			uint64_t elapsed_us, const struct sockaddr *peer)
{
	char text[ADDRESS_TEXT_MAX];

	(void)arg;
	(void)elapsed_us;
	(void)peer;
	say("told %s %s", name_text(name), type_text(type));
	for (size_t i = 0; i < n_admitted; i++)
		say(" +%s", address_to_text(&admitted[i], text));
	for (size_t i = 0; i < n_refused; i++)
		say(" -%s", address_to_text(&refused[i], text));
	say("%s%s\n", error ? " error: " : "", error ? error : "");
}

/* An Extended DNS Error, if there is one: " ede 15 (text)". */
static void say_ede(const ldns_pkt *pkt)
{
	const ldns_rdf *data = ldns_pkt_edns_data(pkt);
	const uint8_t *p;
	size_t len;

	if (!data || ldns_rdf_size(data) < 6)
		return;
	p = ldns_rdf_data(data);
	len = wire_get16(p + 2);
	say(" ede %u", wire_get16(p + 4));
	if (len > 2)
		say(" (%.*s)", (int)len - 2, (const char *)p + 6);
}

static void say_reply(const uint8_t *reply, size_t len)
{
	ldns_pkt *pkt = NULL;
	ldns_lookup_table *rcode;
	char text[32768] = "";

	assert_int_equal(ldns_wire2pkt(&pkt, reply, len), LDNS_STATUS_OK);
	rcode = ldns_lookup_by_id(ldns_rcodes, ldns_pkt_get_rcode(pkt));
	assert_non_null(rcode);
	say("answer %u %s%s", ldns_pkt_id(pkt), rcode->name,
	    ldns_pkt_tc(pkt) ? " tc" : "");
	say_ede(pkt);
	text_of_section(ldns_pkt_answer(pkt), "  ", text, sizeof(text));
	text_of_section(ldns_pkt_authority(pkt), "  authority ", text,
			sizeof(text));
	say("\n%s", text);
	ldns_pkt_free(pkt);
}

/* Let the loop turn, and hear what it answers. */
static void turn(void)
{
	uint8_t reply[65536];
	ssize_t n;

	run_timer();
	for (int i = 0; i < 3; i++) {
		uv_run(&it.loop, UV_RUN_NOWAIT);
		while ((n = recv(it.client, reply, sizeof(reply),
				 MSG_DONTWAIT)) > 0)
			say_reply(reply, (size_t)n);
	}
}

static void open_front(void)
{
	struct front_owner owner = {
		.policy = on_policy,
		.private_ok = it.private_ok,
		.leased = on_leased,
		.admit = on_admit,
		.commit = on_commit,
		.denied = on_denied,
		.held = on_held,
		.answered = on_answered,
	};
	int pair[2];

	if (it.front)
		return;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	it.client = pair[1];
	it.settings.udp4 = pair[0];
	it.settings.tcp4 = it.settings.udp6 = it.settings.tcp6 = -1;
	assert_int_equal(
		front_open(&it.front, &it.loop, NULL, &it.settings, &owner), 0);
}

/* > ask [ID] NAME TYPE [plain] [do] [cd] [udp=BYTES]; the name in whatever
 * spelling, "\\ddd" for an octet. */
static void act_ask(char *args)
{
	uint8_t m[512] = {0}, *p = m + DNS_HEADER;
	char *word = strtok(args, " ");
	unsigned id = 1, size = 1232;
	bool edns = true, dnssec_ok = false;
	ldns_rdf *name;

	if (word[0] >= '1' && word[0] <= '9') {
		id = (unsigned)atoi(word);
		word = strtok(NULL, " ");
	}
	wire_put16(m, (uint16_t)id);
	m[2] = FLAG2_RD;
	m[5] = 1;
	name = ldns_dname_new_frm_str(word);
	assert_non_null(name);
	memcpy(p, ldns_rdf_data(name), ldns_rdf_size(name));
	p += ldns_rdf_size(name);
	ldns_rdf_deep_free(name);
	wire_put16(p, (uint16_t)ldns_get_rr_type_by_name(strtok(NULL, " ")));
	wire_put16(p + 2, CLASS_IN);
	p += 4;
	while ((word = strtok(NULL, " "))) {
		if (strcmp(word, "plain") == 0)
			edns = false;
		else if (strcmp(word, "do") == 0)
			dnssec_ok = true;
		else if (strcmp(word, "cd") == 0)
			m[3] |= FLAG3_CD;
		else
			assert_int_equal(sscanf(word, "udp=%u", &size), 1);
	}
	if (edns) {
		m[11] = 1;
		wire_put16(p + 1, TYPE_OPT);
		wire_put16(p + 3, (uint16_t)size);
		p[7] = dnssec_ok ? 0x80 : 0;
		p += DNS_OPT_FIXED;
	}
	open_front();
	assert_int_equal(send(it.client, m, (size_t)(p - m), 0), p - m);
}

/* The open question of that name and type. */
static struct resolver_question *find_asked(const char *name, const char *type)
{
	for (size_t i = 0; i < ASKED_MAX; i++)
		if (it.asked[i].open &&
		    strcmp(name_text(&it.asked[i].name), name) == 0 &&
		    strcmp(type_text(it.asked[i].type), type) == 0)
			return &it.asked[i];
	fail_msg("nobody asked for %s %s", name, type);
	return NULL;
}

/* body: the lines after '|', with "authority" and "additional" between. */
static void act_answer(char *args, char *body)
{
	char *name = strtok(args, " "), *type = strtok(NULL, " ");
	char *rcode = strtok(NULL, " ");
	struct resolver_question *q = find_asked(name, type);
	char dotted[1100];
	struct text_message text = {
		.name = dotted, .type = type, .rcode = rcode, .answer = body};
	char *authority = strstr(body, "authority\n");
	char *additional = strstr(body, "additional\n");
	uint8_t *message;
	size_t len;

	snprintf(dotted, sizeof(dotted), "%s.", name);
	if (additional) {
		text.additional = additional + strlen("additional\n");
		*additional = '\0';
	}
	if (authority) {
		text.authority = authority + strlen("authority\n");
		*authority = '\0';
	}
	message = text_to_message(&text, &len);
	q->open = false;
	q->done(q->arg, RESOLVER_ANSWERED, message, len);
	free(message);
}

static void act_failure(char *args, enum resolver_result result)
{
	char *name = strtok(args, " ");
	struct resolver_question *q = find_asked(name, strtok(NULL, " "));

	q->open = false;
	q->done(q->arg, result, NULL, 0);
}

static void act_policy(const char *text)
{
	struct policy_error err;
	struct rules *rules;
	struct policy *old = it.policy;

	if (rules_from_text(&rules, text, strlen(text), 0, &err) != 0)
		fail_msg("policy: %s", err.message);
	assert_int_equal(policy_compile(&it.policy, rules, NULL), 0);
	rules_free(rules);
	if (it.front)
		front_policy_changed(it.front);
	if (old)
		policy_unref(old);
}

static void act_option(char *args)
{
	char *name = strtok(args, " "), *value = strtok(NULL, " ");

	assert_null(it.front);
	if (strcmp(name, "private_ok") == 0)
		it.private_ok = true;
	else if (strcmp(name, "audit") == 0)
		it.settings.audit = true;
	else if (strcmp(name, "follow") == 0)
		it.settings.follow = true;
	else if (strcmp(name, "without_ech") == 0)
		it.settings.without_ech = true;
	else if (strcmp(name, "names_per_second") == 0)
		it.settings.names_per_second = (unsigned)atoi(value);
	else if (strcmp(name, "queries_max") == 0)
		it.settings.queries_max = (unsigned)atoi(value);
	else if (strcmp(name, "ask") == 0)
		it.settings.ask_s = (unsigned)atoi(value);
	else
		fail_msg("option %s", name);
}

static void say_held(void *arg, const struct held_name *held)
{
	(void)arg;
	say("held %s", name_text(held->name));
	for (size_t i = 0; i < held->n_types; i++)
		say(" %s", type_text(held->type[i]));
	say(" %zu for %ld\n", held->n_askers,
	    (long)(held->until - held->since));
}

static void act_pending(void)
{
	struct front_counts counts;

	front_each_held(it.front, say_held, NULL);
	front_counts(it.front, &counts);
	say("pending %d held %d approved %d not held %d\n", (int)counts.pending,
	    (int)counts.held, (int)counts.approved, (int)counts.not_held);
}

static void act(char *line, char *body)
{
	char *args = line + strcspn(line, " ");

	if (*args)
		*args++ = '\0';
	if (strcmp(line, "policy") == 0)
		act_policy(args);
	else if (strcmp(line, "option") == 0)
		act_option(args);
	else if (strcmp(line, "ask") == 0)
		act_ask(args);
	else if (strcmp(line, "answer") == 0)
		act_answer(args, body);
	else if (strcmp(line, "timeout") == 0)
		act_failure(args, RESOLVER_TIMED_OUT);
	else if (strcmp(line, "unreachable") == 0)
		act_failure(args, RESOLVER_UNREACHABLE);
	else if (strcmp(line, "pass") == 0)
		it.now_ms += (uint64_t)(atof(args) * 1000);
	else if (strcmp(line, "lease") == 0)
		it.lease = (uint32_t)atoi(args);
	else if (strcmp(line, "leased") == 0 && !*args)
		memset(&it.leased, 0, sizeof(it.leased));
	else if (strcmp(line, "leased") == 0)
		assert_int_equal(address_from_text(&it.leased, args), 0);
	else if (strcmp(line, "pending") == 0)
		act_pending();
	else if (strcmp(line, "commit") == 0)
		it.commit_fails = strcmp(args, "fails") == 0;
	else if (strcmp(line, "refuse") == 0)
		assert_int_equal(
			address_from_text(&it.refused[it.n_refused++], args),
			0);
	else
		fail_msg("unknown action %s", line);
}

static void begin(void)
{
	memset(&it, 0, sizeof(it));
	it.now_ms = 1000000;
	it.lease = 3570;
	it.client = -1;
	assert_int_equal(uv_loop_init(&it.loop), 0);
	act_policy("{\"defaultAction\":\"deny\"}");
}

static void end(void)
{
	if (it.front)
		front_close(it.front);
	uv_run(&it.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&it.loop), 0);
	if (it.client >= 0)
		close(it.client);
	policy_unref(it.policy);
}

struct script {
	const char *path;
	FILE *file;
	unsigned line;
	char text[4096]; /* the line, without its end */
	bool eof;
};

static void next_line(struct script *s)
{
	do {
		s->line++;
		s->eof = !fgets(s->text, sizeof(s->text), s->file);
		s->text[strcspn(s->text, "\n")] = '\0';
	} while (!s->eof && (!s->text[0] || s->text[0] == '#'));
}

/* Gather the lines that begin with mark, without it. */
static void gather(struct script *s, char mark, char *out, size_t room)
{
	size_t n = 0;

	out[0] = '\0';
	while (!s->eof && s->text[0] == mark) {
		n += (size_t)snprintf(out + n, room - n, "%s\n",
				      s->text + 1 + (s->text[1] == ' '));
		assert_true(n < room);
		next_line(s);
	}
}

static void replay(void **state)
{
	static char body[LOG_SIZE], expected[LOG_SIZE];
	struct script s = {.path = *state};

	s.file = fopen(s.path, "r");
	assert_non_null(s.file);
	begin();
	next_line(&s);
	while (!s.eof) {
		unsigned line = s.line;
		char action[4096];

		if (s.text[0] != '>')
			fail_msg("%s:%u: not an action: %s", s.path, s.line,
				 s.text);
		memcpy(action, s.text + 2, sizeof(action) - 2);
		next_line(&s);
		gather(&s, '|', body, sizeof(body));
		gather(&s, '=', expected, sizeof(expected));
		it.log_len = 0;
		it.log[0] = '\0';
		act(action, body);
		turn();
		if (strcmp(it.log, expected) != 0)
			fail_msg("%s:%u: happened:\n%sexpected:\n%s", s.path,
				 line, it.log, expected);
	}
	fclose(s.file);
	end();
}

int main(void)
{
	struct CMUnitTest *tests;
	glob_t scripts;
	int failed;

	if (glob("t/replay/*.rpl", 0, NULL, &scripts) != 0) {
		fprintf(stderr, "no t/replay/*.rpl here\n");
		return 1;
	}
	tests = calloc(scripts.gl_pathc, sizeof(*tests));
	for (size_t i = 0; i < scripts.gl_pathc; i++)
		tests[i] = (struct CMUnitTest){
			.name = scripts.gl_pathv[i],
			.test_func = replay,
			.initial_state = scripts.gl_pathv[i],
		};
	failed = _cmocka_run_group_tests("replay", tests, scripts.gl_pathc,
					 NULL, NULL);
	free(tests);
	globfree(&scripts);
	return failed;
}
