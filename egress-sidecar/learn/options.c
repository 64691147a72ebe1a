/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_duration(struct learn_options *o, const char *value)
{
	static const struct {
		const char *name;
		unsigned seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
	unsigned long n;
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return -EINVAL;
	n = strtoul(value, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(end, units[i].name) != 0 || n == 0 || n > 1000000)
			continue;
		o->duration_s = (unsigned)n * units[i].seconds;
		return 0;
	}
	return -EINVAL;
}

static int read_output(struct learn_options *o, const char *value)
{
	o->output = value;
	return value[0] ? 0 : -EINVAL;
}

static int read_from_log(struct learn_options *o, const char *value)
{
	o->from_log = value;
	return value[0] ? 0 : -EINVAL;
}

static int read_wildcards(struct learn_options *o, const char *value)
{
	char *end;
	unsigned long n;

	if (value[0] < '0' || value[0] > '9')
		return -EINVAL;
	n = strtoul(value, &end, 10);
	if (*end || n < 2 || n > 65536)
		return -EINVAL;
	o->wildcards = n;
	return 0;
}

static int read_force(struct learn_options *o, const char *value)
{
	(void)value;
	o->force = true;
	return 0;
}

static int read_merge(struct learn_options *o, const char *value)
{
	(void)value;
	o->merge = true;
	return 0;
}

static int read_ports(struct learn_options *o, const char *value)
{
	(void)value;
	o->ports = true;
	return 0;
}

static int read_asked(struct learn_options *o, const char *value)
{
	(void)value;
	o->asked = true;
	return 0;
}

static const struct own_option {
	const char *name;
	const char *argument; /* NULL: a switch */
	const char *expected; /* of its value */
	const char *help;
	int (*read)(struct learn_options *o, const char *value);
} own_options[] = {
	{"--output", "FILE", "a file",
	 "where to write it (default: standard output)", read_output},
	{"--force", NULL, "no value", "replace FILE", read_force},
	{"--merge", NULL, "no value", "start from FILE's policy and add to it",
	 read_merge},
	{"--duration", "TIME", "a time: 90, 90s, 10m, 2h",
	 "watch so long: 90, 90s, 10m, 2h", read_duration},
	{"--from-log", "FILE", "a file, or -",
	 "read a sidecar's log instead (- is standard input)", read_from_log},
	{"--ports", NULL, "no value", "allow only the ports that were used",
	 read_ports},
	{"--wildcards", "N", "a number, 2 or more",
	 "N names or more below one parent become *.parent,\n"
	 "                    never at or above a public suffix",
	 read_wildcards},
	{"--asked", NULL, "no value",
	 "allow names too that were only asked for", read_asked},
};

static void help(void)
{
	const struct own_option *o = own_options;
	char left[32];

	puts("usage: egress-sidecar learn [OPTION...]\n"
	     "Watch a sandbox, refuse nothing, and write the policy that would "
	     "have let this\ntraffic pass, and nothing else, on SIGINT, "
	     "SIGTERM "
	     "or after a time.\n");
	for (; o < own_options + sizeof(own_options) / sizeof(*o); o++) {
		snprintf(left, sizeof(left), "%s %s", o->name,
			 o->argument ? o->argument : "");
		printf("  %-18s%s\n", left, o->help);
	}
	puts("  --help            this text\n\n"
	     "The options of the sidecar say what to watch (--netns, --pid), "
	     "under which policy\nto start (--policy-file, --rules; default: "
	     "deny all) and the rest; with --from-log\n--sandbox-id picks one "
	     "of several sandboxes. What is not learned is listed on\nstandard "
	     "error.\n\n"
	     "Exit status: 0 written, 1 failed, 2 wrong usage.");
}

/* The one that argument is, and its value after '=', NULL: none. */
static const struct own_option *own_option(const char *argument,
					   const char **value)
{
	size_t len = strcspn(argument, "=");

	*value = argument[len] ? argument + len + 1 : NULL;
	for (size_t i = 0; i < sizeof(own_options) / sizeof(*own_options); i++)
		if (strlen(own_options[i].name) == len &&
		    strncmp(own_options[i].name, argument, len) == 0)
			return &own_options[i];
	return NULL;
}

/* Take our options out of argv; what is left is the sidecar's. */
static int take_own(struct learn_options *o, int *argc, char **argv)
{
	int left = 1;

	for (int i = 1; i < *argc; i++) {
		const struct own_option *own;
		const char *value;

		if (strcmp(argv[i], "--help") == 0) {
			help();
			return 1;
		}
		own = own_option(argv[i], &value);
		if (!own) {
			argv[left++] = argv[i];
			continue;
		}
		if (own->argument && !value && i + 1 < *argc)
			value = argv[++i];
		if ((own->argument == NULL) != (value == NULL) ||
		    own->read(o, value)) {
			log_fatal("learn: %s: \"%s\": expected %s", own->name,
				  value ? value : "", own->expected);
			return -EINVAL;
		}
	}
	argv[left] = NULL;
	*argc = left;
	return 0;
}

static const char *contradiction(const struct learn_options *o)
{
	const struct settings *s = &o->settings;

	if (s->run == RUN_AGENT)
		return "--agent: learn watches one sandbox; expected --netns "
		       "or --pid";
	if (s->policy_url[0])
		return "--policy-url: the policy must not change meanwhile; "
		       "expected --policy-file or --rules";
	if (!s->nft)
		return "--mode dns: connections are not seen; expected "
		       "dns+nft";
	if (o->from_log && s->run == RUN_JOIN)
		return "--from-log: a log is read, nothing is watched; "
		       "expected no --netns, --pid";
	if (o->from_log && o->duration_s)
		return "--from-log: the log has an end; expected no "
		       "--duration";
	if (o->merge && !o->output)
		return "--merge: expected --output FILE";
	if (o->merge && (s->policy_file[0] || s->rules))
		return "--merge: it starts from the output's policy; expected "
		       "no --policy-file, --rules";
	return NULL;
}

int learn_options_read(struct learn_options *o, int argc, char **argv)
{
	const char *wrong;
	int err;

	*o = (struct learn_options){.output = NULL};
	err = take_own(o, &argc, argv);
	if (err)
		return err;
	err = o->from_log ? settings_take(&o->settings, argc, argv)
			  : settings_read(&o->settings, argc, argv);
	if (err)
		return err;
	wrong = contradiction(o);
	if (!wrong)
		return 0;
	log_fatal("learn: %s", wrong);
	learn_options_free(o);
	return -EINVAL;
}

void learn_options_free(struct learn_options *o)
{
	settings_free(&o->settings);
}
