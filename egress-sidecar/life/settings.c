/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "OPENSANDBOX_EGRESS_"
#define BLANKS " \t\r\n"

enum {
	OPTIONS_MAX = 64,
	OPTION_HELP = 1000,
	OPTION_VERSION = 1001
};

static void help(void)
{
	const struct option_entry *o;
	char left[80];

	puts("usage: egress-sidecar [OPTION...]\n"
	     "       egress-sidecar check FILE [--query NAME|IP[:PORT]]\n"
	     "       egress-sidecar learn [OPTION...]  (learn --help)\n"
	     "       egress-sidecar hook [OPTION...]   (an OCI hook)\n"
	     "       egress-sidecar cni                (a chained CNI plugin)"
	     "\n\n"
	     "Guards a sandbox's network: answers its DNS against a policy "
	     "and lets packets\nthrough to what allowed names resolve to. "
	     "Without --netns or --pid it guards the\nnamespace it runs in.\n\n"
	     "Each option can be given in the environment too; the command "
	     "line wins.\n");
	for (o = option_table; o->name; o++) {
		snprintf(left, sizeof(left), "--%s%s%s", o->name,
			 o->argument ? " " : "",
			 o->argument ? o->argument : "");
		printf("  %s\n", left);
		if (o->variable)
			printf("      %s\n", o->variable);
		printf("      %s", o->help);
		if (o->otherwise)
			printf(" (default: %s)", o->otherwise);
		putchar('\n');
	}
	puts("  --help\n  --version");
}

static int bad_value(const char *where, const char *value, const char *why,
		     bool secret)
{
	if (secret)
		log_fatal("%s: expected %s", where, why);
	else
		log_fatal("%s: \"%s\": expected %s", where, value, why);
	return -EINVAL;
}

/* What is called TOKEN is not to be seen. */
static bool is_secret(const struct option_entry *o)
{
	return o->argument && strcmp(o->argument, "TOKEN") == 0;
}

static int apply(struct settings *s, const struct option_entry *o,
		 const char *where, const char *value)
{
	char why[OPTION_WHY_MAX];

	if (o->read(s, value, why) == 0)
		return 0;
	return bad_value(where, value, why, is_secret(o));
}

/* What holds where nothing is said: what the rows say. */
static int read_defaults(struct settings *s)
{
	const struct option_entry *o;
	int err = 0;

	memset(s, 0, sizeof(*s));
	for (o = option_table; o->name && !err; o++)
		if (o->otherwise)
			err = apply(s, o, o->name, o->otherwise);
	s->private_given = false; /* --compat may loosen it */
	return err;
}

/* A variable's value without the blanks around it, which files of variables
 * leave there; those of a secret count. */
static char *value_of(const struct option_entry *o)
{
	const char *value = o->variable ? getenv(o->variable) : NULL;
	size_t len;

	if (!value)
		return NULL;
	if (is_secret(o))
		return strdup(value);
	value += strspn(value, BLANKS);
	len = strlen(value);
	while (len > 0 && strchr(BLANKS, value[len - 1]))
		len--;
	return strndup(value, len);
}

static int read_environment(struct settings *s)
{
	const struct option_entry *o;
	int err = 0;

	for (o = option_table; o->name && !err; o++) {
		char *value = value_of(o);

		if (value && value[0])
			err = apply(s, o, o->variable, value);
		if (value && value[0] && strcmp(o->name, "rules") == 0)
			s->rules_from = o->variable;
		free(value);
	}
	return err;
}

const char *settings_unknown(size_t i, size_t *len)
{
	const struct option_entry *o;

	for (char **entry = environ; *entry; entry++) {
		*len = strcspn(*entry, "=");
		if (strncmp(*entry, PREFIX, sizeof(PREFIX) - 1) != 0)
			continue;
		for (o = option_table; o->name; o++)
			if (o->variable && strlen(o->variable) == *len &&
			    strncmp(o->variable, *entry, *len) == 0)
				break;
		if (!o->name && i-- == 0)
			return *entry;
	}
	return NULL;
}

static void long_options(struct option *out)
{
	size_t n = 0;

	for (; option_table[n].name; n++)
		out[n] = (struct option){option_table[n].name,
					 option_table[n].argument
						 ? required_argument
						 : no_argument,
					 NULL, (int)n + 1};
	out[n] = (struct option){"help", no_argument, NULL, OPTION_HELP};
	out[n + 1] =
		(struct option){"version", no_argument, NULL, OPTION_VERSION};
	out[n + 2] = (struct option){NULL, 0, NULL, 0};
}

static int read_arguments(struct settings *s, int argc, char **argv)
{
	struct option options[OPTIONS_MAX];
	const struct option_entry *o;
	char where[64];
	int c, err = 0;

	long_options(options);
	opterr = 0;
	optind = 1;
	while (!err && (c = getopt_long(argc, argv, ":", options, NULL)) > 0) {
		if (c == OPTION_HELP) {
			help();
			return 1;
		}
		if (c == OPTION_VERSION) {
			puts("egress-sidecar " OPENSANDBOX_VERSION);
			return 1;
		}
		if (c == '?' || c == ':') {
			log_fatal("%s: %s; see --help", argv[optind - 1],
				  c == '?' ? "unknown option"
					   : "expected a value");
			return -EINVAL;
		}
		o = &option_table[c - 1];
		snprintf(where, sizeof(where), "--%s", o->name);
		err = apply(s, o, where, optarg ? optarg : "");
		if (strcmp(o->name, "rules") == 0)
			s->rules_from = "--rules";
	}
	if (!err && optind < argc) {
		log_fatal("%s: unexpected argument; see --help", argv[optind]);
		return -EINVAL;
	}
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

int settings_take(struct settings *s, int argc, char **argv)
{
	int err = read_defaults(s);

	(void)nat64_set(NULL, 0);
	if (!err)
		err = read_environment(s);
	if (!err)
		err = read_arguments(s, argc, argv);
	if (!err)
		err = one_place(s);
	if (!err && s->lease_min_s > s->lease_max_s) {
		log_fatal("--lease-min %u, --lease-max %u: expected the first "
			  "to be the lesser",
			  s->lease_min_s, s->lease_max_s);
		err = -EINVAL;
	}
	if (!err)
		loosen(s);
	if (!err)
		block_doh_somewhere(s);
	if (err)
		settings_free(s);
	return err;
}

int settings_read(struct settings *s, int argc, char **argv)
{
	int err = settings_take(s, argc, argv);

	if (!err)
		s->follow_resolv_conf = s->resolvers.n == 0;
	return err;
}

void settings_free(struct settings *s)
{
	free(s->rules);
	free(s->token);
	free(s->policy_token);
	s->rules = s->token = s->policy_token = NULL;
}
