/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before a list that stands in place of the default, not beside it. */
#define INBOUND_ONLY "only:"

#define ENV(name) "OPENSANDBOX_EGRESS_" name

static int add_resolver(struct settings *s, const char *item, char *why)
{
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

static int add_exempt(struct settings *s, const char *item, char *why)
{
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

static int add_doh(struct settings *s, const char *item, char *why)
{
	return add_range(s->doh, &s->n_doh, SETTINGS_DOH_MAX, item, why);
}

static int add_inbound(struct settings *s, const char *item, char *why)
{
	return add_range(s->inbound, &s->n_inbound, FILTER_INBOUND_MAX, item,
			 why);
}

static int add_nat64(struct settings *s, const char *item, char *why)
{
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

static int add_attr(struct settings *s, const char *item, char *why)
{
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
	memcpy(s->attrs[s->n_attrs].value, eq + 1, strlen(eq + 1) + 1);
	s->n_attrs++;
	return 0;
}

/* The words may come in either order and case. */
static int read_mode(struct settings *s, const char *value, char *why)
{
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

static int read_compat(struct settings *s, const char *value, char *why)
{
	if (value[0] && strcasecmp(value, "opensandbox"))
		return option_expected(why, "opensandbox");
	s->compat = value[0] != '\0';
	return 0;
}

static int read_rules(struct settings *s, const char *value, char *why)
{
	free(s->rules);
	s->rules = strdup(value);
	return s->rules ? 0 : option_expected(why, "memory");
}

static int read_policy_file(struct settings *s, const char *value, char *why)
{
	return option_text(s->policy_file, sizeof(s->policy_file) - 16, value,
			   why);
}

static int read_policy_url(struct settings *s, const char *value, char *why)
{
	return option_url(s->policy_url, sizeof(s->policy_url), value, why);
}

static int read_policy_token(struct settings *s, const char *value, char *why)
{
	return option_copy(&s->policy_token, value, why);
}

static int read_max_rules(struct settings *s, const char *value, char *why)
{
	unsigned long n;

	if (option_number(value, INT_MAX, &n))
		return option_expected(why, "a number of rules, 0 for no cap");
	s->max_rules = n;
	return 0;
}

static int read_http_addr(struct settings *s, const char *value, char *why)
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
	if (len >= sizeof(s->http_host))
		return option_expected(why, "[address]:port");
	memcpy(s->http_host, value, len);
	s->http_host[len] = '\0';
	if (strcmp(s->http_host, "localhost") == 0)
		memcpy(s->http_host, "127.0.0.1", sizeof("127.0.0.1"));
	if (len && address_from_text(&a, s->http_host))
		return option_expected(why,
				       "a literal address before the port");
	s->http_port = (uint16_t)port;
	return 0;
}

static int read_token(struct settings *s, const char *value, char *why)
{
	return option_copy(&s->token, value, why);
}

static int read_token_file(struct settings *s, const char *value, char *why)
{
	char *text;
	size_t len;
	int err = policy_file_read(value, 4096, &text, &len);

	if (err) {
		snprintf(why, OPTION_WHY_MAX, "a file to read (%s)",
			 strerror(-err));
		return -EINVAL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	err = text[0] ? read_token(s, text, why)
		      : option_expected(why, "a file that holds a token");
	free(text);
	return err;
}

static int read_upstream(struct settings *s, const char *value, char *why)
{
	return option_list(s, &s->resolvers.n, value, why, add_resolver);
}

static int read_timeout(struct settings *s, const char *value, char *why)
{
	unsigned long n;

	if (option_number(value, 120, &n) || n == 0)
		return option_expected(why, "seconds, 1 to 120");
	s->resolvers.timeout_ms = (uint32_t)n * 1000;
	return 0;
}

static int read_probe(struct settings *s, const char *value, char *why)
{
	const char *reason = "";
	struct domain_name name;

	if (strcmp(value, ".") != 0 &&
	    domain_name_from_text(&name, value, &reason) != 0) {
		snprintf(why, OPTION_WHY_MAX, "a name (%s)", reason);
		return -EINVAL;
	}
	return option_text(s->resolvers.probe_name,
			   sizeof(s->resolvers.probe_name), value, why);
}

static int read_probe_interval(struct settings *s, const char *value, char *why)
{
	unsigned long n;

	if (option_number(value, 86400, &n))
		return option_expected(why, "seconds, 0 for no probe");
	s->resolvers.probe_interval_ms = (uint32_t)n * 1000;
	return 0;
}

static int read_private(struct settings *s, const char *value, char *why)
{
	if (strcmp(value, "allow") && strcmp(value, "deny") && value[0])
		return option_expected(why, "allow or deny");
	s->private_ok = strcmp(value, "allow") == 0;
	s->private_given = true;
	return 0;
}

static int read_nat64(struct settings *s, const char *value, char *why)
{
	return option_list(s, &s->n_nat64, value, why, add_nat64);
}

static int read_follow(struct settings *s, const char *value, char *why)
{
	return option_bool(&s->follow, value, why);
}

static int read_lease(uint32_t *to, unsigned long least, const char *value,
		      char *why)
{
	unsigned long n;

	if (option_number(value, LEASE_BOUND_S, &n) || n < least) {
		snprintf(why, OPTION_WHY_MAX, "seconds, %lu to %d", least,
			 LEASE_BOUND_S);
		return -EINVAL;
	}
	*to = (uint32_t)n;
	return 0;
}

static int read_lease_min(struct settings *s, const char *value, char *why)
{
	return read_lease(&s->lease_min_s, LEASE_SLACK_S, value, why);
}

static int read_lease_max(struct settings *s, const char *value, char *why)
{
	return read_lease(&s->lease_max_s, 2 * LEASE_SLACK_S, value, why);
}

static int read_exempt(struct settings *s, const char *value, char *why)
{
	return option_list(s, &s->n_exempt, value, why, add_exempt);
}

static int read_block_doh(struct settings *s, const char *value, char *why)
{
	return option_bool(&s->block_doh_443, value, why);
}

static int read_doh(struct settings *s, const char *value, char *why)
{
	return option_list(s, &s->n_doh, value, why, add_doh);
}

static int read_inbound(struct settings *s, const char *value, char *why)
{
	s->inbound_only =
		strncmp(value, INBOUND_ONLY, strlen(INBOUND_ONLY)) == 0;
	if (s->inbound_only)
		value += strlen(INBOUND_ONLY);
	return option_list(s, &s->n_inbound, value, why, add_inbound);
}

static int read_webhook(struct settings *s, const char *value, char *why)
{
	return option_url(s->webhook_url, sizeof(s->webhook_url), value, why);
}

static int read_sandbox_id(struct settings *s, const char *value, char *why)
{
	return option_text(s->sandbox_id, sizeof(s->sandbox_id), value, why);
}

static int read_log_level(struct settings *s, const char *value, char *why)
{
	return log_level_from_text(&s->log_level, value)
		       ? option_expected(why, "debug, info, warn or error")
		       : 0;
}

static int read_attrs(struct settings *s, const char *value, char *why)
{
	return option_list(s, &s->n_attrs, value, why, add_attr);
}

static int read_netns(struct settings *s, const char *value, char *why)
{
	if (s->run != RUN_AGENT)
		s->run = RUN_JOIN;
	return value[0] ? option_text(s->netns, sizeof(s->netns), value, why)
			: option_expected(why, "a name or a path");
}

static int read_pid(struct settings *s, const char *value, char *why)
{
	unsigned long n;

	if (option_number(value, INT_MAX, &n) || n == 0)
		return option_expected(why, "the number of a process");
	if (s->run != RUN_AGENT)
		s->run = RUN_JOIN;
	s->pid = (pid_t)n;
	return 0;
}

static int read_agent(struct settings *s, const char *value, char *why)
{
	bool agent = false;
	int err = option_bool(&agent, value[0] ? value : "1", why);

	if (agent)
		s->run = RUN_AGENT;
	return err;
}

static int read_agent_socket(struct settings *s, const char *value, char *why)
{
	return option_path(s->agent_socket, sizeof(s->agent_socket), value,
			   why);
}

static int read_agent_state(struct settings *s, const char *value, char *why)
{
	return option_path(s->agent_state, sizeof(s->agent_state) - 128, value,
			   why);
}

static int read_audit(struct settings *s, const char *value, char *why)
{
	return option_bool(&s->audit, value[0] ? value : "1", why);
}

static int read_deny_action(struct settings *s, const char *value, char *why)
{
	if (strcmp(value, "reject") && strcmp(value, "drop"))
		return option_expected(why, "reject or drop");
	s->drop = strcmp(value, "drop") == 0;
	return 0;
}

static int add_without(struct settings *s, const char *word, char *why)
{
	static const struct {
		const char *name;
		enum filter_feature feature;
	} known[] = {
		{"egress-hook", FILTER_EGRESS_HOOK},
		{"route-lookup", FILTER_ROUTE_LOOKUP},
		{"packet-log", FILTER_LOG},
		{"xdp", FILTER_XDP},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(word, known[i].name) == 0) {
			s->without |= known[i].feature;
			return 0;
		}
	}
	return option_expected(why,
			       "egress-hook, route-lookup, packet-log or xdp");
}

static int read_without(struct settings *s, const char *value, char *why)
{
	size_t n;

	s->without = 0;
	return option_list(s, &n, value, why, add_without);
}

static int read_always_dir(struct settings *s, const char *value, char *why)
{
	return option_text(s->always_dir, sizeof(s->always_dir) - 64, value,
			   why);
}

const struct option_entry option_table[] = {
	{"netns", NULL, "NAME|PATH", NULL,
	 "guard the sandbox in that network namespace", read_netns},
	{"pid", NULL, "PID", NULL,
	 "guard the sandbox in that process's network namespace", read_pid},
	{"agent", ENV("AGENT"), NULL, "off",
	 "guard many sandboxes, which an API on a unix socket names",
	 read_agent},
	{"agent-socket", ENV("AGENT_SOCKET"), "PATH",
	 "/run/opensandbox/egress.sock", "that socket", read_agent_socket},
	{"agent-state", ENV("AGENT_STATE"), "FOLDER",
	 "/run/opensandbox/egress.d",
	 "where the agent keeps its sandboxes over a restart",
	 read_agent_state},
	{"mode", ENV("MODE"), "dns|dns+nft", "dns+nft",
	 "answer DNS only, or guard packets too", read_mode},
	{"compat", ENV("COMPAT"), "opensandbox", NULL,
	 "OpenSandbox's looser defaults for what is not said otherwise: "
	 "private answers, connections inward from anywhere",
	 read_compat},
	{"rules", ENV("RULES"), "JSON", NULL, "the policy (default: deny all)",
	 read_rules},
	{"policy-file", ENV("POLICY_FILE"), "FILE", NULL,
	 "start from this policy if it exists, and keep it up to date",
	 read_policy_file},
	{"policy-url", ENV("POLICY_URL"), "URL", NULL,
	 "follow the policy that a gateway serves", read_policy_url},
	{"policy-token", ENV("POLICY_TOKEN"), "TOKEN", NULL,
	 "bearer token for it", read_policy_token},
	{"always-dir", ENV("ALWAYS_DIR"), "FOLDER", "/var/egress/rules",
	 "deny.always, allow.always, log_skip.always", read_always_dir},
	{"max-rules", ENV("MAX_RULES"), "N", "4096",
	 "rules in a policy at most, 0 for no cap", read_max_rules},
	{"http-addr", ENV("HTTP_ADDR"), "[ADDRESS]:PORT", ":18080",
	 "where the policy API listens", read_http_addr},
	{"token", ENV("TOKEN"), "TOKEN", NULL,
	 "what API clients must send in OPENSANDBOX-EGRESS-AUTH", read_token},
	{"token-file", ENV("TOKEN_FILE"), "FILE", NULL,
	 "the same, from a file's first line", read_token_file},
	{"dns-upstream", ENV("DNS_UPSTREAM"), "IP[:PORT],...", NULL,
	 "the resolvers to ask, in order (default: /etc/resolv.conf)",
	 read_upstream},
	{"dns-upstream-timeout", ENV("DNS_UPSTREAM_TIMEOUT"), "SECONDS", "5",
	 "for one question over all of them, at most 120", read_timeout},
	{"dns-upstream-probe", ENV("DNS_UPSTREAM_PROBE"), "NAME", ".",
	 "the name that a health probe asks for", read_probe},
	{"dns-upstream-probe-interval-sec",
	 ENV("DNS_UPSTREAM_PROBE_INTERVAL_SEC"), "SECONDS", "0",
	 "between probes, 0 for none", read_probe_interval},
	{"nameserver-exempt", ENV("NAMESERVER_EXEMPT"), "IP,...", NULL,
	 "resolvers that the sandbox may ask past us", read_exempt},
	{"private-answers", ENV("PRIVATE_ANSWERS"), "allow|deny", "deny",
	 "may allowed names lead to private addresses", read_private},
	{"nat64-prefix", ENV("NAT64_PREFIX"), "PREFIX,...", NULL,
	 "addresses below these are judged as the IPv4 address inside "
	 "(RFC 6052)",
	 read_nat64},
	{"follow", ENV("FOLLOW"), "true|false", "true",
	 "answer for the targets of an allowed name's CNAME and SRV records",
	 read_follow},
	{"lease-min", ENV("LEASE_MIN"), "SECONDS", "60",
	 "an allowed name's address is open for so long at least, from its "
	 "last look-up and from the last sight of an open connection",
	 read_lease_min},
	{"lease-max", ENV("LEASE_MAX"), "SECONDS", "3600",
	 "and at most for so long from a look-up, whatever the TTL",
	 read_lease_max},
	{"block-doh-443", ENV("BLOCK_DOH_443"), "true|false", "false",
	 "refuse port 443 of the DoH list, and everywhere if that is empty",
	 read_block_doh},
	{"doh-blocklist", ENV("DOH_BLOCKLIST"), "IP[/BITS],...", NULL,
	 "addresses of DNS-over-HTTPS servers", read_doh},
	{"inbound", ENV("INBOUND"), "[only:]IP[/BITS],...", NULL,
	 "who may open connections into the sandbox, besides private and "
	 "on-link addresses, or they alone",
	 read_inbound},
	{"deny-action", ENV("DENY_ACTION"), "reject|drop", "reject",
	 "how packets are refused", read_deny_action},
	{"audit", ENV("AUDIT"), NULL, "off",
	 "log what would be refused, refuse nothing", read_audit},
	{"without", ENV("WITHOUT"), "FEATURE,...", NULL,
	 "do as if the kernel lacked egress-hook, route-lookup, packet-log or "
	 "xdp",
	 read_without},
	{"deny-webhook", ENV("DENY_WEBHOOK"), "URL", NULL,
	 "told of every denied name", read_webhook},
	{"sandbox-id", ENV("SANDBOX_ID"), "ID", NULL,
	 "for logs, metrics and the webhook", read_sandbox_id},
	{"log-level", ENV("LOG_LEVEL"), "LEVEL", "info",
	 "debug, info, warn or error", read_log_level},
	{"metrics-extra-attrs", ENV("METRICS_EXTRA_ATTRS"), "K=V,...", NULL,
	 "labels of every metric and fields of every log line", read_attrs},
	{.name = NULL},
};
