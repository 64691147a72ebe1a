/* SPDX-License-Identifier: Apache-2.0 */
#include "learn.h"

#include "filter/filter.h"
#include "host/host.h"
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct learning {
	struct learn_options options;
	struct traffic traffic;
	struct rules *start;
	struct always_rules *always;
};

static int rules_read(struct learning *l, const char *where, const char *text,
		      size_t len)
{
	struct policy_error fault = {.index = -1};
	int err = rules_from_text(&l->start, text, len,
				  l->options.settings.max_rules, &fault);

	if (err)
		log_fatal("learn: %s: %s", where,
			  fault.message[0] ? fault.message : strerror(-err));
	return err;
}

static int rules_read_file(struct learning *l, const char *path)
{
	struct settings *s = &l->options.settings;
	size_t len;
	char *text;
	int err = policy_file_read(path, POLICY_BODY_MAX, &text, &len);

	if (err) {
		log_fatal("learn: %s: %s", path, strerror(-err));
		return err;
	}
	err = rules_read(l, path, text, len);
	/* The worker starts from the text; it must not keep our file up to
	 * date. */
	free(s->rules);
	s->rules = text;
	s->rules_from = "--policy-file";
	s->policy_file[0] = '\0';
	return err;
}

/* What to start from: the policy in force meanwhile, and kept. */
static int start_rules(struct learning *l)
{
	const struct learn_options *o = &l->options;
	const struct settings *s = &o->settings;
	int err;

	if (s->policy_file[0])
		err = rules_read_file(l, s->policy_file);
	else if (o->merge && access(o->output, F_OK) == 0)
		err = rules_read_file(l, o->output);
	else if (s->rules)
		err = rules_read(l, s->rules_from, s->rules, strlen(s->rules));
	else
		err = rules_new(&l->start, POLICY_DENY);
	if (!err && l->start->default_action == POLICY_ALLOW) {
		log_fatal("learn: the starting policy allows by default: there "
			  "is nothing to learn");
		err = -EINVAL;
	}
	return err;
}

static int start_always(struct learning *l)
{
	struct policy_error fault = {.index = -1};
	int err =
		always_load(&l->always, l->options.settings.always_dir, &fault);

	if (err)
		log_fatal("learn: %s", fault.message);
	return err;
}

static int check_output(const struct learn_options *o)
{
	int err = o->output ? output_check(o->output, o->force || o->merge) : 0;

	if (err == -EEXIST)
		log_fatal("learn: --output: %s is there; expected --force or "
			  "--merge",
			  o->output);
	else if (err)
		log_fatal("learn: --output: %s: %s", o->output, strerror(-err));
	return err;
}

/* Watching opens what it watches, and frees it at the end: not what another
 * sidecar has closed. */
static int check_free(const struct settings *s)
{
	int ns = -1, exists;

	if (s->netns[0])
		ns = netns_open(s->netns);
	else if (s->pid)
		ns = netns_open_pid(s->pid);
	if (ns < 0 && s->run == RUN_JOIN)
		return 0; /* said by who opens it for good */
	exists = filter_exists(ns);
	if (ns >= 0)
		close(ns);
	if (exists != 1)
		return 0;
	log_fatal("learn: rules of a sidecar are in force there, and watching "
		  "would open what they close; end it and release the "
		  "namespace first: nft delete table inet opensandbox");
	return -EBUSY;
}

static int watch_live(struct learning *l)
{
	struct settings *s = &l->options.settings;
	int status;

	if (check_free(s))
		return EXIT_STARTUP;
	s->audit = s->learn = true;
	s->log_level = LOG_INFO;
	s->webhook_url[0] = '\0';
	status = watch_sandbox(&l->traffic, s, l->options.duration_s);
	if (status == EXIT_OK || !l->traffic.loaded)
		return status;
	log_fatal("learn: the sidecar ended early; what was seen until then "
		  "follows");
	return EXIT_OK;
}

static int read_log(struct learning *l)
{
	const char *path = l->options.from_log;
	int err = watch_log(&l->traffic, path);

	if (err)
		log_fatal("learn: --from-log: %s: %s", path, strerror(-err));
	else if (l->traffic.lines == 0)
		log_fatal("learn: --from-log: %s: not one line of an "
			  "egress-sidecar's log",
			  path);
	return err || l->traffic.lines == 0 ? EXIT_STARTUP : EXIT_OK;
}

/* A policy that took hours to learn is not lost for a full disk. */
static int write_policy(const struct learn_options *o, const json_t *document)
{
	char *text = output_text(document);
	int err = 0;

	if (!text)
		return EXIT_STARTUP;
	if (o->output)
		err = output_write(o->output, text, o->force || o->merge);
	if (err)
		log_fatal("learn: --output: %s: %s; the policy is on standard "
			  "output",
			  o->output, strerror(-err));
	if (err || !o->output)
		puts(text);
	free(text);
	if (fflush(stdout) != 0) {
		log_fatal("learn: standard output: %s", strerror(errno));
		err = -EIO;
	}
	return err ? EXIT_STARTUP : EXIT_OK;
}

static int conclude(struct learning *l)
{
	const struct learn_options *o = &l->options;
	const struct suggest_settings settings = {
		.settings = &o->settings,
		.start = l->start,
		.always = l->always,
		.ports = o->ports,
		.asked = o->asked,
		.wildcards = o->wildcards,
	};
	json_t *document = NULL;
	int err = suggest(&document, &l->traffic, &settings, stderr);
	int status;

	if (err) {
		log_fatal("learn: %s", strerror(-err));
		return EXIT_STARTUP;
	}
	status = write_policy(o, document);
	json_decref(document);
	return status;
}

static int learn(struct learning *l)
{
	const struct settings *s = &l->options.settings;
	const char *id =
		l->options.from_log && s->sandbox_id[0] ? s->sandbox_id : NULL;
	int status;

	if (start_rules(l) || start_always(l))
		return EXIT_USAGE;
	if (check_output(&l->options) || traffic_init(&l->traffic, id))
		return EXIT_STARTUP;
	status = l->options.from_log ? read_log(l) : watch_live(l);
	return status == EXIT_OK ? conclude(l) : status;
}

int learn_main(int argc, char **argv)
{
	struct learning l = {.start = NULL};
	int status = learn_options_read(&l.options, argc, argv);

	if (status)
		return status > 0 ? EXIT_OK : EXIT_USAGE;
	status = learn(&l);
	traffic_free(&l.traffic);
	always_free(l.always);
	rules_free(l.start);
	learn_options_free(&l.options);
	return status;
}
