/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of "learn" share, from a log's line to the policy's file. */
#ifndef EGRESS_LEARN_INNER_H
#define EGRESS_LEARN_INNER_H

#include "life/life.h"
#include "policy/policy.h"

#include <jansson.h>
#include <stdio.h>

/* traffic.c: what a sandbox was seen to do, taken from its log lines: the names
 * it asked for, the addresses they led to, and what it sent to which address.
 */

enum {
	TRAFFIC_NAMES_MAX = 1 << 16,
	TRAFFIC_ADDRESSES_MAX = 1 << 16,
	TRAFFIC_CONTACTS_MAX = 1 << 18,
	TRAFFIC_LINE_MAX = 1 << 20, /* bytes */
};

struct seen_name {
	struct domain_name name;
	bool denied_by_rule; /* and not by the default action */
	bool contacted;
};

/* Packets to one port of an address. With a name that had led to the address
 * before, one contact for each such name; without, name is NULL. A connection
 * that the gate judged: the name that it gave, or NULL for none. */
struct contact {
	struct seen_name *name;
	struct address a;
	uint8_t protocol;
	uint16_t port; /* host order, 0: none */
	bool gated;
};

struct traffic {
	void *names, *addresses, *contacts; /* search trees */
	size_t n_names, n_addresses, n_contacts;
	char *sandbox_id;       /* lines of others are passed over; NULL: all */
	uint64_t lines;         /* that an egress-sidecar wrote */
	uint64_t lookups;       /* names asked for */
	uint64_t packets;       /* that were logged */
	uint64_t suppressed;    /* lines that the log's budget held back */
	uint64_t unreadable;    /* lines that are no log lines */
	uint64_t no_host_names; /* lookups of what no policy can name */
	uint64_t forgotten;     /* observations for which there was no room */
	bool loaded;            /* egress.loaded was read */
	/* The line being taken is one for a person to see. */
	bool warning;
};

/* sandbox_id is copied; NULL: take every line. 0 or -ENOMEM. */
int traffic_init(struct traffic *traffic, const char *sandbox_id);
void traffic_free(struct traffic *traffic);

/* Take one log line, without its end. What stands before its first brace (a
 * container runtime's time and stream) is passed over. 0 or -ENOMEM. */
int traffic_take(struct traffic *traffic, const char *line, size_t len);

/* The contacts, by name (canonical order, RFC 4034, 6.1; those without a name
 * last), address, protocol and port; and the names, in the same order. The
 * caller frees the array; its elements live as long as the traffic. NULL when
 * out of memory. */
struct contact **traffic_contacts(const struct traffic *traffic);
struct seen_name **traffic_names(const struct traffic *traffic);

/* Did a look-up of the contact's name lead to its address? */
bool traffic_led(const struct traffic *traffic, const struct contact *contact);

/* Canonical order of names: label by label from the right. */
int name_order(const struct domain_name *a, const struct domain_name *b);

/* watch.c: where traffic is read from: the log of a sidecar that runs below us
 * in audit mode, or a log that was kept. */

/* Read a log to its end; "-" is standard input. 0 or -errno. */
int watch_log(struct traffic *traffic, const char *path);

/*
 * Guard the sandbox in a child process and read what it logs until SIGINT,
 * SIGTERM, the end of duration_s (0: none), or the child's own end. Warnings
 * among the lines are passed on to standard error. Returns an exit status of
 * life.h: EXIT_OK where traffic was watched and the child ended well.
 */
int watch_sandbox(struct traffic *traffic, struct settings *settings,
		  unsigned duration_s);

/* target.c, fold.c: what learned rules are to allow: names, all below a name,
 * addresses. */

/* A port of a protocol that was contacted. */
struct use {
	uint8_t protocol;
	uint16_t port; /* host order, 0: none */
};

struct target {
	struct domain_name name; /* len 0: an address */
	bool below;              /* everything below the name, not itself */
	struct address a;
	struct use *use; /* owned; ascending, each once */
	size_t n_uses;
};

/* Names in canonical order, then addresses. */
struct targets {
	struct target *at; /* owned */
	size_t n;
	size_t room; /* for as many */
};

/* Put one behind the last, and a use into the last. 0 or -ENOMEM. */
int targets_add(struct targets *targets, const struct domain_name *name,
		const struct address *a);
int targets_use(struct targets *targets, const struct use *use);
void targets_free(struct targets *targets);

/*
 * Let "*.parent" stand for the names below a parent where there are at least
 * `least` of them; the deepest parents first. A parent has two labels or more
 * and lies at or below the registrable domain (Public Suffix List) of each
 * name that it stands for. 0, -ENOMEM, or -ENOENT where the system has no
 * Public Suffix List; then nothing is changed.
 */
int targets_fold(struct targets *targets, size_t least);

/*
 * Append the target's rules to the array, with the ports it was seen to use
 * or without; priority is given to each where it is not NULL. *dropped_ports
 * counts targets whose ports a rule cannot list (other protocols than TCP and
 * UDP, or too many). 0 or -ENOMEM.
 */
int target_rules(json_t *array, const struct target *target, bool ports,
		 const int *priority, size_t *dropped_ports);

/* suggest.c: from what was seen to the policy that lets it pass, and nothing
 * else. */

struct suggest_settings {
	const struct settings *settings;   /* private_ok, DoH list, max_rules */
	const struct rules *start;         /* kept; what it denies stays so */
	const struct always_rules *always; /* NULL: none */
	bool ports;                        /* only the ports that were used */
	bool asked;       /* names that were asked and never contacted, too */
	size_t wildcards; /* names below a parent that become one, 0: never */
};

/*
 * The start's rules with those behind them that the traffic needs. What is
 * left out is listed on report, as comments, with the reason: addresses that
 * are not public, what a rule denies, names that were asked alone.
 * 0 and a new reference, -ENOMEM, or -E2BIG of policy_compile().
 */
int suggest(json_t **document, const struct traffic *traffic,
	    const struct suggest_settings *settings, FILE *report);

/* output.c: a learned policy's way into a file. */

/* The document's text, a rule a line, for the caller to free; NULL when out of
 * memory. */
char *output_text(const json_t *document);

/* Can the file be written later? It must not be there unless it may be
 * replaced, and its folder must take another. 0 or -errno. */
int output_check(const char *path, bool replace);

/* Write it whole or not at all. 0; -EEXIST where it is there and not to be
 * replaced; another -errno. */
int output_write(const char *path, const char *text, bool replace);

/* options.c: those of "learn", its own, and those of the sidecar. */

struct learn_options {
	struct settings settings;
	const char *output;   /* NULL: standard output */
	const char *from_log; /* "-": standard input; NULL: watch */
	bool force, merge;    /* what to do with an output that is there */
	bool ports, asked;
	size_t wildcards;
	unsigned duration_s; /* 0: until a signal */
};

/* As settings_read(): 0; 1 done; -EINVAL after one line on standard error. */
int learn_options_read(struct learn_options *options, int argc, char **argv);
void learn_options_free(struct learn_options *options);

#endif
