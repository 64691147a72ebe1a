/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void help(const struct options *options)
{
	puts("usage: egress-sidecar top [OPTION...]\n"
	     "Watch what is guarded here. On a terminal it is one screen, "
	     "which keys sort; on a\npipe, with --once or --json a line for "
	     "each sandbox and look.\n");
	options_help(options);
	puts("\nExit status: 0 ended, 1 the API refused, 2 wrong usage, 3 "
	     "nobody to be reached.");
}

static void print_line(const json_t *status, const char *now)
{
	struct sandbox_row r;

	sandbox_row_read(&r, status);
	printf("%s id=%s policy=%s health=%s rules=%lld leases=%lld open=%lld "
	       "queries=%lld denied=%lld gate_refused=%lld last_denied=%s\n",
	       now, r.id, r.mode, r.health, (long long)r.rules,
	       (long long)r.leases, (long long)r.open, (long long)r.queries,
	       (long long)r.denied, (long long)r.gate_refused, r.last);
}

static void print_look(const struct cli_options *o, const json_t *list)
{
	char now[TIME_TEXT_SIZE];
	const json_t *status;
	size_t i;

	time_to_text(time(NULL), now);
	json_array_foreach(list, i, status)
	{
		if (o->json)
			cli_print_json(status);
		else
			print_line(status, now);
	}
}

/* Until killed, or nobody reads any more. What has worked may fail for a
 * time. */
static int print_looks(struct client *c)
{
	const struct cli_options *o = c->options;
	bool worked = false;

	for (;;) {
		json_t *list;
		int ret = sandboxes_read(c, &list);

		if (ret)
			log_fatal("%s", c->message);
		else
			print_look(o, list);
		json_decref(list);
		if (ret && !worked)
			return ret;
		worked = true;
		if (fflush(stdout) || o->once)
			return cli_flush(ret);
		(void)sleep(o->interval_s);
	}
}

/* The rows of a look, to be freed; NULL with n 0 where there are none. */
static struct sandbox_row *rows_of(const json_t *list, size_t *n)
{
	struct sandbox_row *rows;

	*n = json_array_size(list);
	rows = *n ? calloc(*n, sizeof(*rows)) : NULL;
	if (!rows)
		*n = 0;
	for (size_t i = 0; i < *n; i++)
		sandbox_row_read(&rows[i], json_array_get(list, i));
	return rows;
}

static int show_looks(struct client *c, struct screen *s)
{
	const struct cli_options *o = c->options;
	const char *where = o->socket[0] ? o->socket : o->url;
	struct sandbox_row *rows = NULL;
	size_t n = 0;
	bool worked = false;
	int ret = CLI_DONE;

	s->due = true;
	while (!s->quit) {
		json_t *list;

		if (s->due) {
			ret = sandboxes_read(c, &list);
			if (ret == CLI_DONE) {
				free(rows);
				rows = rows_of(list, &n);
				worked = true;
				c->message[0] = '\0';
			}
			json_decref(list);
			if (!worked || s->quit)
				break;
		}
		screen_draw(s, where, c->message, rows, n);
		screen_wait(s, o->interval_s);
	}
	free(rows);
	return worked || s->quit ? CLI_DONE : ret;
}

static int live(struct client *c)
{
	struct screen screen;
	int ret = screen_open(&screen, &c->loop);

	if (ret) {
		log_fatal("the terminal: %s", strerror(-ret));
		return CLI_USAGE;
	}
	c->stop = &screen.quit;
	ret = show_looks(c, &screen);
	c->stop = NULL;
	screen_close(&screen);
	if (ret)
		log_fatal("%s", c->message);
	client_close(c); /* before the screen's handles are out of scope */
	return ret;
}

static bool has_screen(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
	       !(term && strcmp(term, "dumb") == 0);
}

int top_main(int argc, char **argv)
{
	struct cli_options o;
	struct client client;
	int ret;

	log_set_program("egress-sidecar top");
	ret = cli_options_read(&o, help, true, argc, argv);
	if (ret)
		return ret > 0 ? CLI_DONE : CLI_USAGE;
	if (o.operands < argc) {
		log_fatal("%s: unexpected argument; see --help",
			  argv[o.operands]);
		ret = CLI_USAGE;
	} else if (client_open(&client, &o)) {
		log_fatal("%s", client.message[0] ? client.message
						  : strerror(ENOMEM));
		ret = CLI_USAGE;
	} else {
		ret = has_screen() && !o.once && !o.json ? live(&client)
							 : print_looks(&client);
		client_close(&client);
	}
	cli_options_free(&o);
	return ret;
}
