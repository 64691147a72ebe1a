/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_duration(const struct option_to *to, const char *value,
			 char *why)
{
	static const struct {
		const char *name;
		unsigned seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
	unsigned long n;
	char *end;

	n = strtoul(value, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (value[0] < '0' || value[0] > '9' ||
		    strcmp(end, units[i].name) != 0 || n == 0 || n > 1000000)
			continue;
		*(unsigned *)to->field = (unsigned)n * units[i].seconds;
		return 0;
	}
	return option_expected(why, "a time: 90, 90s, 10m, 2h");
}

static int read_file(const struct option_to *to, const char *value, char *why)
{
	*(const char **)to->field = value;
	return value[0] ? 0 : option_expected(why, "a file");
}

static int read_from_log(const struct option_to *to, const char *value,
			 char *why)
{
	return read_file(to, value, why) ? option_expected(why, "a file, or -")
					 : 0;
}

static int read_wildcards(const struct option_to *to, const char *value,
			  char *why)
{
	unsigned long n;

	if (option_number(value, 65536, &n) || n < 2)
		return option_expected(why, "a number, 2 or more");
	*(size_t *)to->field = n;
	return 0;
}

static int read_switch(const struct option_to *to, const char *value, char *why)
{
	*(bool *)to->field = true;
	return value[0] ? option_expected(why, "no value") : 0;
}

#define INTO(reader, field) OPTION_INTO(reader, struct learn_options, field, 0)

/* Those with a value are optional to the parser: what is missing, the readers
 * say. */
static const struct option_row rows[] = {
	{"output", NULL, "FILE", NULL,
	 "where to write it (default: standard output)",
	 INTO(read_file, output), .optional = true},
	{"force", NULL, NULL, NULL, "replace FILE", INTO(read_switch, force)},
	{"merge", NULL, NULL, NULL, "start from FILE's policy and add to it",
	 INTO(read_switch, merge)},
	{"duration", NULL, "TIME", NULL, "watch so long: 90, 90s, 10m, 2h",
	 INTO(read_duration, duration_s), .optional = true},
	{"from-log", NULL, "FILE", NULL,
	 "read a sidecar's log instead (- is standard input)",
	 INTO(read_from_log, from_log), .optional = true},
	{"ports", NULL, NULL, NULL, "allow only the ports that were used",
	 INTO(read_switch, ports)},
	{"wildcards", NULL, "N", NULL,
	 "N names or more below one parent become *.parent,\n"
	 "                    never at or above a public suffix",
	 INTO(read_wildcards, wildcards), .optional = true},
	{"asked", NULL, NULL, NULL, "allow names too that were only asked for",
	 INTO(read_switch, asked)},
	{.name = NULL},
};

static void help(const struct options *options)
{
	char left[32];

	(void)options;
	puts("usage: egress-sidecar learn [OPTION...]\n"
	     "Watch a sandbox, refuse nothing, and write the policy that would "
	     "have let this\ntraffic pass, and nothing else, on SIGINT, "
	     "SIGTERM "
	     "or after a time.\n");
	for (const struct option_row *row = rows; row->name; row++) {
		snprintf(left, sizeof(left), "--%s %s", row->name,
			 row->argument ? row->argument : "");
		printf("  %-18s%s\n", left, row->help);
	}
	puts("  --help            this text\n\n"
	     "The options of the sidecar say what to watch (--netns, --pid), "
	     "under which policy\nto start (--policy-file, --rules; default: "
	     "deny all) and the rest; with --from-log\n--sandbox-id picks one "
	     "of several sandboxes. What is not learned is listed on\nstandard "
	     "error.\n\n"
	     "Exit status: 0 written, 1 failed, 2 wrong usage.");
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
	const struct option_table own = {rows, o, "learn: "};
	const char *wrong;
	int err;

	*o = (struct learn_options){.output = NULL};
	err = settings_read_with(&o->settings, &own, help, argc, argv);
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
