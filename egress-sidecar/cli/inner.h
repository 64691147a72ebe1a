/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of status, top and policy share. */
#ifndef EGRESS_CLI_INNER_H
#define EGRESS_CLI_INNER_H

#include "cli.h"

#include "options/options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Exit statuses. */
enum {
	CLI_DONE = 0,
	CLI_REFUSED = 1,
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3,
};

enum {
	CLI_ID_SIZE = 64,
	CLI_MESSAGE_SIZE = 512,
};

/* options.c */

struct cli_options {
	char url[1024];   /* "": the socket */
	char socket[108]; /* of the agent; "": the URL */
	char *token;      /* NULL: none */
	char id[CLI_ID_SIZE];
	bool json;
	unsigned interval_s;
	bool once;
	int operands; /* place in argv */
};

/* Read the environment and the command line; help prints what stands above the
 * options. 0; 1: answered, exit 0; -EINVAL: said on standard error. */
int cli_options_read(struct cli_options *o,
		     void (*help)(const struct options *options), bool top,
		     int argc, char **argv);
void cli_options_free(struct cli_options *o);
/* The id of a sandbox, as the agent takes it. 0 or -EINVAL. */
int cli_id_read(char id[CLI_ID_SIZE], const char *text);

/* text.c: what comes from a sandbox does not get to a terminal as it is. */

/* text with each byte that is no printable ASCII as \xHH, cut to fit out;
 * returns out. */
const char *cli_printable(const char *text, char *out, size_t size);
/* The same of a JSON string, "" of another value. */
const char *cli_string(const json_t *value, char *out, size_t size);
/* A line of JSON on standard output, ASCII alone. */
void cli_print_json(const json_t *value);
/* The exit status ret, once all is written; CLI_REFUSED, and said, where it
 * cannot be for another reason than that nobody reads any more. */
int cli_flush(int ret);

/* client.c: one request at a time. */

struct client {
	uv_loop_t loop;
	struct fetcher *fetcher;
	const struct cli_options *options;
	const bool *stop; /* true ends a request; NULL: nothing does */
	char header[1200];
	char message[CLI_MESSAGE_SIZE]; /* why the last one failed, printable */
};

/* 0 or -errno. */
int client_open(struct client *c, const struct cli_options *options);
void client_close(struct client *c);
/* Is it the agent that is asked? */
bool client_is_agent(const struct client *c);
/*
 * Ask for what of the sandbox ("/status", "/policy"); of the agent's with this
 * id, or of the sidecar's one. *json is a new reference to the answer.
 * CLI_DONE; CLI_REFUSED: another status than 2xx; CLI_UNREACHABLE; with
 * message. -ENOENT: CLI_REFUSED since there is no such sandbox.
 */
int client_ask(struct client *c, const char *id, const char *what,
	       const char *method, const char *body, size_t len, json_t **json);
/* The ids that the agent guards, a new reference to an array of strings; of a
 * sidecar one of "". The same returns. */
int client_ids(struct client *c, json_t **ids);

/* sandboxes.c */

/* One line of a table. */
struct sandbox_row {
	char id[CLI_ID_SIZE];
	char mode[16], health[8], last[80]; /* the name that was denied last */
	json_int_t rules, leases, open, queries, denied, gate_open,
		gate_refused;
	bool gate;
};

/* Of what GET /status says. */
void sandbox_row_read(struct sandbox_row *row, const json_t *status);
/* The statuses of all sandboxes, or of the one of the options: a new reference
 * to an array. The returns of client_ask(). */
int sandboxes_read(struct client *c, json_t **list);

/* screen.c: a terminal, while it is ours. */

enum {
	SCREEN_SIGNALS = 5
};

struct screen {
	uv_loop_t *loop;
	uv_signal_t signals[SCREEN_SIGNALS];
	uv_poll_t keys;
	uv_timer_t timer;
	bool quit, due, changed;
	bool backwards;
	char order; /* the key of the column that rows are sorted by */
	unsigned width, height;
};

/* 0 or -errno; screen_close() gives the terminal back as it was, and has to
 * follow. */
int screen_open(struct screen *s, uv_loop_t *loop);
void screen_close(struct screen *s);
/* Until the time has come, a key was pressed, the size is another, or quit. */
void screen_wait(struct screen *s, unsigned seconds);
/* Sort the rows and show them, below where they are from and, if it is not "",
 * what went wrong. */
void screen_draw(const struct screen *s, const char *where, const char *wrong,
		 struct sandbox_row *rows, size_t n);

/* changes.c */

/* Say on standard output what of a policy has changed. */
void changes_print(const json_t *before, const json_t *after);

#endif
