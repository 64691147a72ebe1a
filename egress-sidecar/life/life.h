/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the command line to the end: what the environment and the command line
 * say, read and checked once; then what outlives a worker is made, and workers
 * run.
 */
#ifndef EGRESS_LIFE_H
#define EGRESS_LIFE_H

#include "dns/dns.h"
#include "filter/filter.h"
#include "gate/gate.h"
#include "log/log.h"
#include "options/options.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <sys/types.h>

enum run_mode {
	RUN_SIDECAR, /* in the sandbox's own namespace */
	RUN_JOIN,    /* --netns, --pid */
	RUN_AGENT,   /* --agent */
};

enum {
	SETTINGS_ATTRS_MAX = 32,
	SETTINGS_DOH_MAX = 256
};

struct settings {
	enum run_mode run;
	char netns[4096]; /* --netns */
	pid_t pid;        /* --pid, 0: none */

	bool nft;         /* OPENSANDBOX_EGRESS_MODE dns+nft */
	bool audit;       /* --audit */
	bool drop;        /* --deny-action drop */
	unsigned without; /* --without: bits of enum filter_feature */
	bool learn; /* egress-sidecar learn: the log holds nothing back, and
		       the end releases the namespace */

	char *rules;            /* OPENSANDBOX_EGRESS_RULES, NULL: none */
	const char *rules_from; /* the variable or option that gave them */
	char policy_file[4096];
	char policy_url[2048];
	char *policy_token;       /* bearer token for it, NULL: none */
	char *deny_webhook_token; /* the same for the webhook */
	char always_dir[4096];    /* /var/egress/rules */
	size_t max_rules;         /* 0: no cap */

	char http_host[256]; /* "": every address */
	uint16_t http_port;
	char *token;            /* NULL: none */
	char metrics_host[256]; /* of an agent's /metrics; "": every address */
	uint16_t metrics_port;  /* 0: on its socket alone */
	char agent_socket[108];
	char agent_state[4096]; /* folder in which sandboxes outlive us */

	struct resolvers_settings resolvers;
	bool follow_resolv_conf; /* it says which they are */
	bool compat;             /* --compat opensandbox */
	bool private_ok, private_given;
	bool follow; /* targets of CNAME and SRV records */
	struct address_range nat64[NAT64_MAX]; /* the operator's prefixes */
	size_t n_nat64;
	uint32_t lease_min_s, lease_max_s;
	unsigned ask_s; /* how long names wait for approval; 0: not at all */
	bool gate;      /* OPENSANDBOX_EGRESS_GATE names */
	uint16_t gate_ports[GATE_PORTS_MAX]; /* host order */
	size_t n_gate_ports;
	uint32_t gate_mark; /* SO_MARK of the gate's way on, if gate */
	struct address exempt[FILTER_RESOLVERS_MAX];
	size_t n_exempt;
	bool block_doh_443;
	struct address_range doh[SETTINGS_DOH_MAX]; /* if block_doh_443 */
	size_t n_doh;
	struct address_range inbound[FILTER_INBOUND_MAX];
	size_t n_inbound;
	bool inbound_only; /* they alone, not private and on-link ones too */

	char webhook_url[2048];
	char sandbox_id[64];
	bool flows;    /* are wanted before somebody asks for them */
	bool flow_log; /* a line at the end of each connection */
	enum log_level log_level;
	struct {
		char key[64];
		char label[65]; /* it, as metrics have it */
		char value[256];
	} attrs[SETTINGS_ATTRS_MAX];
	size_t n_attrs;
};

/* settings.c */

/*
 * Read the environment, then the command line, which wins. Prints --help and
 * --version itself. 0; 1: done, exit 0; -EINVAL: said on standard error, in
 * one line that names the option or variable, exit 2. Where neither names a
 * resolver, follow_resolv_conf is set.
 */
int settings_read(struct settings *settings, int argc, char **argv);
/* The same with more options, and help for --help. */
int settings_read_with(struct settings *settings,
		       const struct option_table *more,
		       void (*help)(const struct options *options), int argc,
		       char **argv);
void settings_free(struct settings *settings);

/* gate_ports.c */

/* Read a list of ports for the gate into ports, GATE_PORTS_MAX of them, host
 * order. 0, or -EINVAL with what was expected in why, OPTION_WHY_MAX bytes. */
int gate_ports_read(uint16_t *ports, size_t *n, const char *text, char *why);

/* run.c */

/* The exit statuses of the program. */
enum {
	EXIT_OK = 0,
	EXIT_STARTUP = 1, /* could not start; said on standard error */
	EXIT_USAGE = 2,
};

/* Guard what the settings name until SIGTERM or SIGINT. Returns an exit status,
 * after saying on standard error why it could not start. */
int run_until_stopped(struct settings *settings);

#endif
