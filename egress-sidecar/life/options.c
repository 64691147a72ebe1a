/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before a list that stands in place of the default, not beside it. */
#define INBOUND_ONLY "only:"

#define ENV(name) OPTIONS_PREFIX name

#define INTO(reader, field) OPTION_INTO(reader, struct settings, field, 0)

static int add_resolver(const struct option_to *to, const char *item, char *why)
{
	struct settings *s = to->settings;
	struct resolvers_settings *r = &s->resolvers;

	if (r->n == RESOLVERS_MAX)
		return option_expected(why, "at most 16 resolvers");
	if (resolver_from_text(&r->address[r->n], item))
		return option_expected(
			why, "literal IP addresses, optionally with a "
			     "port (no host names)");
	r->n++;
	return 0;
}

static int add_exempt(const struct option_to *to, const char *item, char *why)
{
	struct settings *s = to->settings;

	if (s->n_exempt == FILTER_RESOLVERS_MAX)
		return option_expected(why, "at most 16 addresses");
	if (address_from_text(&s->exempt[s->n_exempt], item))
		return option_expected(why, "literal IP addresses");
	s->n_exempt++;
	return 0;
}

static int add_range(struct address_range *ranges, size_t *n, size_t max,
		     const char *item, char *why)
{
	const char *reason = "";

	if (*n == max)
		return option_expected(why, "fewer addresses");
	if (address_range_from_text(&ranges[*n], item, &reason)) {
		snprintf(why, OPTION_WHY_MAX, "addresses or prefixes (%s)",
			 reason);
		return -EINVAL;
	}
	(*n)++;
	return 0;
}

static int add_doh(const struct option_to *to, const char *item, char *why)
{
	struct settings *s = to->settings;

	return add_range(s->doh, &s->n_doh, SETTINGS_DOH_MAX, item, why);
}

static int add_inbound(const struct option_to *to, const char *item, char *why)
{
	struct settings *s = to->settings;

	return add_range(s->inbound, &s->n_inbound, FILTER_INBOUND_MAX, item,
			 why);
}

static int add_nat64(const struct option_to *to, const char *item, char *why)
{
	struct settings *s = to->settings;
	const char *reason;
	int err = add_range(s->nat64, &s->n_nat64, NAT64_MAX, item, why);

	if (err)
		return err;
	reason = nat64_check(&s->nat64[s->n_nat64 - 1]);
	if (!reason && nat64_set(s->nat64, s->n_nat64))
		reason = "two of them overlap";
	if (!reason)
		return 0;
	snprintf(why, OPTION_WHY_MAX, "NAT64 prefixes (%s)", reason);
	return -EINVAL;
}

/* A label's name is [a-zA-Z_][a-zA-Z0-9_]*; other characters become '_'. */
static void label_of(const char *key, char *out)
{
	if (*key >= '0' && *key <= '9')
		*out++ = '_';
	for (; *key; key++) {
		bool letter = (*key >= 'a' && *key <= 'z') ||
			      (*key >= 'A' && *key <= 'Z');

		*out++ = '_';
		if (letter || (*key >= '0' && *key <= '9'))
			out[-1] = *key;
	}
	*out = '\0';
}

/* A label twice, or one of Prometheus's own, makes it refuse the whole page. */
static bool attr_taken(const struct settings *s, const char *key,
		       const char *label)
{
	static const char *const ours[] = {
		"sandbox_id", "outlet", "le",    "version",
		"time",       "level",  "event", "opensandbox.event",
		"msg",
	};

	for (size_t i = 0; i < s->n_attrs; i++)
		if (strcmp(s->attrs[i].label, label) == 0)
			return true;
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (strcmp(ours[i], key) == 0 || strcmp(ours[i], label) == 0)
			return true;
	return strncmp(label, "__", 2) == 0;
}

static int add_attr(const struct option_to *to, const char *item, char *why)
{
	struct settings *s = to->settings;
	const char *eq = strchr(item, '=');
	size_t len = eq ? (size_t)(eq - item) : 0;

	if (!eq || len == 0)
		return option_expected(why, "key=value pairs");
	if (s->n_attrs == SETTINGS_ATTRS_MAX ||
	    len >= sizeof(s->attrs[0].key) ||
	    strlen(eq + 1) >= sizeof(s->attrs[0].value))
		return option_expected(why,
				       "at most 32 pairs, keys under 64 and "
				       "values under 256 bytes");
	memcpy(s->attrs[s->n_attrs].key, item, len);
	s->attrs[s->n_attrs].key[len] = '\0';
	label_of(s->attrs[s->n_attrs].key, s->attrs[s->n_attrs].label);
	if (attr_taken(s, s->attrs[s->n_attrs].key, s->attrs[s->n_attrs].label))
		return option_expected(why,
				       "each key once, and none of the log's "
				       "and the metrics' own, like sandbox_id");
	memcpy(s->attrs[s->n_attrs].value, eq + 1, strlen(eq + 1) + 1);
	s->n_attrs++;
	return 0;
}

/* The words may come in either order and case. */
static int read_mode(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	if (strcasecmp(value, "dns") == 0)
		s->nft = false;
	else if (strcasecmp(value, "dns+nft") == 0 ||
		 strcasecmp(value, "nft+dns") == 0)
		s->nft = true;
	else
		return option_expected(
			why, "dns+nft (DNS and packets; what holds "
			     "without the option) or dns (DNS alone); "
			     "there is no other mode");
	return 0;
}

static int read_compat(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	if (value[0] && strcasecmp(value, "opensandbox"))
		return option_expected(why, "opensandbox");
	s->compat = value[0] != '\0';
	return 0;
}

static int read_rules(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	free(s->rules);
	s->rules = strdup(value);
	s->rules_from = NULL; /* who calls knows */
	return s->rules ? 0 : option_expected(why, "memory");
}

static int read_max_rules(const struct option_to *to, const char *value,
			  char *why)
{
	unsigned long n;

	if (option_number(value, INT_MAX, &n))
		return option_expected(why, "a number of rules, 0 for no cap");
	*(size_t *)to->field = n;
	return 0;
}

/* [address]:port; host has room for 256 bytes. */
static int read_listen(const char *value, char *host, uint16_t *port_out,
		       char *why)
{
	const char *colon = strrchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : 0;
	struct address a;
	unsigned long port;

	if (!colon || option_number(colon + 1, 65535, &port))
		return option_expected(why, "[address]:port");
	if (len > 2 && value[0] == '[' && colon[-1] == ']') {
		value++;
		len -= 2;
	}
	if (len >= 256)
		return option_expected(why, "[address]:port");
	memcpy(host, value, len);
	host[len] = '\0';
	if (strcmp(host, "localhost") == 0)
		memcpy(host, "127.0.0.1", sizeof("127.0.0.1"));
	if (len && address_from_text(&a, host))
		return option_expected(why,
				       "a literal address before the port");
	*port_out = (uint16_t)port;
	return 0;
}

static int read_http_addr(const struct option_to *to, const char *value,
			  char *why)
{
	struct settings *s = to->settings;

	return read_listen(value, s->http_host, &s->http_port, why);
}

static int read_metrics_addr(const struct option_to *to, const char *value,
			     char *why)
{
	struct settings *s = to->settings;

	if (read_listen(value, s->metrics_host, &s->metrics_port, why))
		return -EINVAL;
	return s->metrics_port ? 0 : option_expected(why, "a port from 1");
}

static int read_upstream(const struct option_to *to, const char *value,
			 char *why)
{
	struct settings *s = to->settings;

	return option_list(to, &s->resolvers.n, value, why, add_resolver);
}

static int read_timeout(const struct option_to *to, const char *value,
			char *why)
{
	struct settings *s = to->settings;
	unsigned long n;

	if (option_number(value, 120, &n) || n == 0)
		return option_expected(why, "seconds, 1 to 120");
	s->resolvers.timeout_ms = (uint32_t)n * 1000;
	return 0;
}

static int read_probe(const struct option_to *to, const char *value, char *why)
{
	const char *reason = "";
	struct domain_name name;

	if (strcmp(value, ".") != 0 &&
	    domain_name_from_text(&name, value, &reason) != 0) {
		snprintf(why, OPTION_WHY_MAX, "a name (%s)", reason);
		return -EINVAL;
	}
	return option_text(to, value, why);
}

static int read_probe_interval(const struct option_to *to, const char *value,
			       char *why)
{
	struct settings *s = to->settings;
	unsigned long n;

	if (option_number(value, 86400, &n))
		return option_expected(why, "seconds, 0 for no probe");
	s->resolvers.probe_interval_ms = (uint32_t)n * 1000;
	return 0;
}

static int read_private(const struct option_to *to, const char *value,
			char *why)
{
	struct settings *s = to->settings;

	if (strcmp(value, "allow") && strcmp(value, "deny") && value[0])
		return option_expected(why, "allow or deny");
	s->private_ok = strcmp(value, "allow") == 0;
	s->private_given = true;
	return 0;
}

static int read_nat64(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	return option_list(to, &s->n_nat64, value, why, add_nat64);
}

static int read_lease(const struct option_to *to, unsigned long least,
		      const char *value, char *why)
{
	unsigned long n;

	if (option_number(value, LEASE_BOUND_S, &n) || n < least) {
		snprintf(why, OPTION_WHY_MAX, "seconds, %lu to %d", least,
			 LEASE_BOUND_S);
		return -EINVAL;
	}
	*(uint32_t *)to->field = (uint32_t)n;
	return 0;
}

static int read_lease_min(const struct option_to *to, const char *value,
			  char *why)
{
	return read_lease(to, LEASE_SLACK_S, value, why);
}

static int read_lease_max(const struct option_to *to, const char *value,
			  char *why)
{
	return read_lease(to, 2 * LEASE_SLACK_S, value, why);
}

static int read_gate(const struct option_to *to, const char *value, char *why)
{
	bool names = strcmp(value, "names") == 0;

	if (!names && strcmp(value, "off") != 0)
		return option_expected(why, "off or names");
	*(bool *)to->field = names;
	return 0;
}

static int read_gate_ports(const struct option_to *to, const char *value,
			   char *why)
{
	struct settings *s = to->settings;

	return gate_ports_read(s->gate_ports, &s->n_gate_ports, value, why);
}

static int read_ask(const struct option_to *to, const char *value, char *why)
{
	unsigned long n;

	if (option_number(value, 300, &n))
		return option_expected(why, "seconds, at most 300, 0 for off");
	*(unsigned *)to->field = (unsigned)n;
	return 0;
}

static int read_exempt(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	return option_list(to, &s->n_exempt, value, why, add_exempt);
}

static int read_doh(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	return option_list(to, &s->n_doh, value, why, add_doh);
}

static int read_inbound(const struct option_to *to, const char *value,
			char *why)
{
	struct settings *s = to->settings;

	s->inbound_only =
		strncmp(value, INBOUND_ONLY, strlen(INBOUND_ONLY)) == 0;
	if (s->inbound_only)
		value += strlen(INBOUND_ONLY);
	return option_list(to, &s->n_inbound, value, why, add_inbound);
}

static int read_attrs(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	return option_list(to, &s->n_attrs, value, why, add_attr);
}

static int read_netns(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;

	if (s->run != RUN_AGENT)
		s->run = RUN_JOIN;
	return value[0] ? option_text(to, value, why)
			: option_expected(why, "a name or a path");
}

static int read_pid(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;
	unsigned long n;

	if (option_number(value, INT_MAX, &n) || n == 0)
		return option_expected(why, "the number of a process");
	if (s->run != RUN_AGENT)
		s->run = RUN_JOIN;
	s->pid = (pid_t)n;
	return 0;
}

static int read_agent(const struct option_to *to, const char *value, char *why)
{
	struct settings *s = to->settings;
	bool agent = false;
	int err =
		option_switch(&(struct option_to){.field = &agent}, value, why);

	if (agent)
		s->run = RUN_AGENT;
	return err;
}

static int read_deny_action(const struct option_to *to, const char *value,
			    char *why)
{
	struct settings *s = to->settings;

	if (strcmp(value, "reject") && strcmp(value, "drop"))
		return option_expected(why, "reject or drop");
	s->drop = strcmp(value, "drop") == 0;
	return 0;
}

static int add_without(const struct option_to *to, const char *word, char *why)
{
	struct settings *s = to->settings;

	for (size_t i = 0; i < FILTER_FEATURES; i++) {
		if (strcmp(word, filter_feature_names[i].name) == 0) {
			s->without |= filter_feature_names[i].feature;
			return 0;
		}
	}
	return option_expected(why, "egress-hook, route-lookup, packet-log, "
				    "xdp, connection-count or quota");
}

static int read_without(const struct option_to *to, const char *value,
			char *why)
{
	struct settings *s = to->settings;
	size_t n;

	s->without = 0;
	return option_list(to, &n, value, why, add_without);
}

const struct option_row option_table[] = {
	{"netns", NULL, "NAME|PATH", NULL,
	 "guard the sandbox in that network namespace",
	 INTO(read_netns, netns)},
	{"pid", NULL, "PID", NULL,
	 "guard the sandbox in that process's network namespace",
	 .read = read_pid},
	{"agent", ENV("AGENT"), NULL, "off",
	 "guard many sandboxes, which an API on a unix socket names",
	 .read = read_agent},
	{"agent-socket", ENV("AGENT_SOCKET"), "PATH",
	 "/run/opensandbox/egress.sock", "that socket",
	 INTO(option_path, agent_socket)},
	{"agent-state", ENV("AGENT_STATE"), "FOLDER",
	 "/run/opensandbox/egress.d",
	 "where the agent keeps its sandboxes over a restart",
	 OPTION_INTO(option_path, struct settings, agent_state, 128)},
	{"mode", ENV("MODE"), "dns|dns+nft", "dns+nft",
	 "answer DNS only, or guard packets too", .read = read_mode},
	{"compat", ENV("COMPAT"), "opensandbox", NULL,
	 "OpenSandbox's looser defaults for what is not said otherwise: "
	 "private answers, connections inward from anywhere",
	 .read = read_compat},
	{"rules", ENV("RULES"), "JSON", NULL, "the policy (default: deny all)",
	 .read = read_rules},
	{"policy-file", ENV("POLICY_FILE"), "FILE", NULL,
	 "start from this policy if it exists, and keep it up to date",
	 OPTION_INTO(option_text, struct settings, policy_file, 16)},
	{"policy-url", ENV("POLICY_URL"), "URL", NULL,
	 "follow the policy that a gateway serves",
	 INTO(option_url, policy_url)},
	{"policy-token", ENV("POLICY_TOKEN"), "TOKEN", NULL,
	 "bearer token for it", INTO(option_heap_text, policy_token)},
	{"always-dir", ENV("ALWAYS_DIR"), "FOLDER", "/var/egress/rules",
	 "deny.always, allow.always, log_skip.always",
	 OPTION_INTO(option_text, struct settings, always_dir, 64)},
	{"max-rules", ENV("MAX_RULES"), "N", "4096",
	 "rules in a policy at most, 0 for no cap",
	 INTO(read_max_rules, max_rules)},
	{"http-addr", ENV("HTTP_ADDR"), "[ADDRESS]:PORT", ":18080",
	 "where the policy API listens", .read = read_http_addr},
	{"metrics-addr", ENV("METRICS_ADDR"), "[ADDRESS]:PORT", NULL,
	 "where an agent serves /healthz and /metrics, which its socket has "
	 "too; whoever connects sees them",
	 .read = read_metrics_addr},
	{"token", ENV("TOKEN"), "TOKEN", NULL,
	 "what API clients must send in OPENSANDBOX-EGRESS-AUTH",
	 INTO(option_heap_text, token)},
	{"token-file", ENV("TOKEN_FILE"), "FILE", NULL,
	 "the same, from a file's first line", INTO(option_token_file, token)},
	{"dns-upstream", ENV("DNS_UPSTREAM"), "IP[:PORT],...", NULL,
	 "the resolvers to ask, in order (default: /etc/resolv.conf)",
	 .read = read_upstream},
	{"dns-upstream-timeout", ENV("DNS_UPSTREAM_TIMEOUT"), "SECONDS", "5",
	 "for one question over all of them, at most 120",
	 .read = read_timeout},
	{"dns-upstream-probe", ENV("DNS_UPSTREAM_PROBE"), "NAME", ".",
	 "the name that a health probe asks for",
	 INTO(read_probe, resolvers.probe_name)},
	{"dns-upstream-probe-interval-sec",
	 ENV("DNS_UPSTREAM_PROBE_INTERVAL_SEC"), "SECONDS", "0",
	 "between probes, 0 for none", .read = read_probe_interval},
	{"nameserver-exempt", ENV("NAMESERVER_EXEMPT"), "IP,...", NULL,
	 "resolvers that the sandbox may ask past us", .read = read_exempt},
	{"private-answers", ENV("PRIVATE_ANSWERS"), "allow|deny", "deny",
	 "may allowed names lead to private addresses", .read = read_private},
	{"nat64-prefix", ENV("NAT64_PREFIX"), "PREFIX,...", NULL,
	 "addresses below these are judged as the IPv4 address inside "
	 "(RFC 6052)",
	 .read = read_nat64},
	{"follow", ENV("FOLLOW"), "true|false", "true",
	 "answer for the targets of an allowed name's CNAME and SRV records",
	 INTO(option_bool, follow)},
	{"lease-min", ENV("LEASE_MIN"), "SECONDS", "60",
	 "an allowed name's address is open for so long at least, from its "
	 "last look-up and from the last sight of an open connection",
	 INTO(read_lease_min, lease_min_s)},
	{"lease-max", ENV("LEASE_MAX"), "SECONDS", "3600",
	 "and at most for so long from a look-up, whatever the TTL",
	 INTO(read_lease_max, lease_max_s)},
	{"gate", ENV("GATE"), "off|names", "off",
	 "names: a TCP connection to an address that a name led to goes on "
	 "only where the name that it gives itself (TLS SNI, HTTP Host) is "
	 "allowed and led there",
	 INTO(read_gate, gate)},
	{"gate-ports", ENV("GATE_PORTS"), "PORT,...", "443,80",
	 "the ports on which --gate names does so, at most 16",
	 .read = read_gate_ports},
	{"ask", ENV("ASK"), "SECONDS", "0",
	 "a name that no rule decides waits so long for a change of the "
	 "policy to allow it, at most 300, 0 for off",
	 INTO(read_ask, ask_s)},
	{"block-doh-443", ENV("BLOCK_DOH_443"), "true|false", "false",
	 "refuse port 443 of the DoH list, and everywhere if that is empty",
	 INTO(option_bool, block_doh_443)},
	{"doh-blocklist", ENV("DOH_BLOCKLIST"), "IP[/BITS],...", NULL,
	 "addresses of DNS-over-HTTPS servers", .read = read_doh},
	{"inbound", ENV("INBOUND"), "[only:]IP[/BITS],...", NULL,
	 "who may open connections into the sandbox, besides private and "
	 "on-link addresses, or they alone",
	 .read = read_inbound},
	{"deny-action", ENV("DENY_ACTION"), "reject|drop", "reject",
	 "how packets are refused", .read = read_deny_action},
	{"audit", ENV("AUDIT"), NULL, "off",
	 "log what would be refused, refuse nothing",
	 INTO(option_switch, audit)},
	{"without", ENV("WITHOUT"), "FEATURE,...", NULL,
	 "do as if the kernel lacked egress-hook, route-lookup, packet-log, "
	 "xdp, connection-count or quota",
	 .read = read_without},
	{"deny-webhook", ENV("DENY_WEBHOOK"), "URL", NULL,
	 "told of every denied name", INTO(option_url, webhook_url)},
	{"deny-webhook-token", ENV("DENY_WEBHOOK_TOKEN"), "TOKEN", NULL,
	 "bearer token for it", INTO(option_heap_text, deny_webhook_token)},
	{"sandbox-id", ENV("SANDBOX_ID"), "ID", NULL,
	 "for logs, metrics and the webhook", INTO(option_text, sandbox_id)},
	{"log-level", ENV("LOG_LEVEL"), "LEVEL", "info",
	 "debug, info, warn or error", INTO(option_log_level, log_level)},
	{"flows", ENV("FLOWS"), "true|false", "true",
	 "keep the last hour's connections for GET /flows from the start; "
	 "false: from the first GET on",
	 INTO(option_bool, flows)},
	{"flow-log", ENV("FLOW_LOG"), "true|false", "false",
	 "log each connection at its end, with its bytes",
	 INTO(option_bool, flow_log)},
	{"metrics-extra-attrs", ENV("METRICS_EXTRA_ATTRS"), "K=V,...", NULL,
	 "labels of every metric and fields of every log line",
	 .read = read_attrs},
	{.name = NULL},
};
