/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void help(const struct options *options)
{
	puts("usage: egress-sidecar [OPTION...]\n"
	     "       egress-sidecar check FILE [--query "
	     "NAME|IP|NAME=IP[:PORT]]\n"
	     "       egress-sidecar status [ID] [OPTION...]  (status --help)\n"
	     "       egress-sidecar top [OPTION...]    (top --help)\n"
	     "       egress-sidecar policy get|set|allow|deny|remove "
	     "(policy --help)\n"
	     "       egress-sidecar learn [OPTION...]  (learn --help)\n"
	     "       egress-sidecar hook [OPTION...]   (an OCI hook)\n"
	     "       egress-sidecar cni                (a chained CNI plugin)"
	     "\n\n"
	     "Guards a sandbox's network: answers its DNS against a policy "
	     "and lets packets\nthrough to what allowed names resolve to. "
	     "Without --netns or --pid it guards the\nnamespace it runs in.\n\n"
	     "Each option can be given in the environment too; the command "
	     "line wins.\n");
	options_help(options);
}

/* The three places where options stand, the last one's say over the others. */
static int read_options(struct settings *s, const struct options *options,
			int argc, char **argv)
{
	int err;

	memset(s, 0, sizeof(*s));
	err = options_defaults(options);
	s->private_given = false; /* --compat may loosen it */
	if (!err)
		err = options_environment(options);
	if (s->rules)
		s->rules_from = OPTIONS_PREFIX "RULES";
	if (!err)
		err = options_arguments(options, argc, argv);
	if (s->rules && !s->rules_from)
		s->rules_from = "--rules";
	return err;
}

/* What is guarded is said once. */
static int one_place(struct settings *s)
{
	int places =
		(s->netns[0] != '\0') + (s->pid != 0) + (s->run == RUN_AGENT);

	if (places > 1) {
		log_fatal("--netns, --pid, --agent: expected one of them");
		return -EINVAL;
	}
	if (s->run == RUN_AGENT &&
	    (s->rules || s->policy_file[0] || s->policy_url[0])) {
		log_fatal("--agent: each sandbox comes with its policy; "
			  "expected no --rules, --policy-file, --policy-url");
		return -EINVAL;
	}
	if (s->run != RUN_AGENT && s->metrics_port) {
		log_fatal("--metrics-addr: expected --agent; without it "
			  "--http-addr serves /metrics");
		return -EINVAL;
	}
	return 0;
}

static const char *const everywhere[] = {"0.0.0.0/0", "::/0"};

/* OpenSandbox's defaults where the options leave room for them. */
static void loosen(struct settings *s)
{
	const char *why;

	if (!s->compat)
		return;
	if (!s->private_given)
		s->private_ok = true;
	for (size_t i = 0; i < 2 && s->n_inbound == i; i++)
		if (address_range_from_text(&s->inbound[i], everywhere[i],
					    &why) == 0)
			s->n_inbound++;
}

/* Told to block DoH and not where: everywhere. */
static void block_doh_somewhere(struct settings *s)
{
	const char *why;

	for (size_t i = 0; i < 2 && s->block_doh_443 && s->n_doh == i; i++)
		if (address_range_from_text(&s->doh[i], everywhere[i], &why) ==
		    0)
			s->n_doh++;
}

int settings_read_with(struct settings *s, const struct option_table *more,
		       void (*more_help)(const struct options *options),
		       int argc, char **argv)
{
	const struct option_table tables[] = {
		{option_table, s, NULL},
		more ? *more : (struct option_table){NULL}};
	const struct options options = {"egress-sidecar", tables, more ? 2 : 1,
					more_help, NULL};
	int err;

	(void)nat64_set(NULL, 0);
	err = read_options(s, &options, argc, argv);
	if (!err)
		err = one_place(s);
	if (!err && s->gate && !s->nft) {
		log_fatal("--gate names, --mode dns: expected --mode dns+nft, "
			  "for connections are not seen without");
		err = -EINVAL;
	}
	if (!err && s->lease_min_s > s->lease_max_s) {
		log_fatal("--lease-min %u, --lease-max %u: expected the first "
			  "to be the lesser",
			  s->lease_min_s, s->lease_max_s);
		err = -EINVAL;
	}
	if (err) {
		settings_free(s);
		return err;
	}
	loosen(s);
	block_doh_somewhere(s);
	s->follow_resolv_conf = s->resolvers.n == 0;
	return 0;
}

int settings_read(struct settings *s, int argc, char **argv)
{
	return settings_read_with(s, NULL, help, argc, argv);
}

void settings_free(struct settings *s)
{
	free(s->rules);
	free(s->token);
	free(s->policy_token);
	free(s->deny_webhook_token);
	s->rules = s->token = s->policy_token = NULL;
	s->deny_webhook_token = NULL;
}
