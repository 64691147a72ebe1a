/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guarded sandbox: namespace, policy, filter and DNS front under one roof.
 * Created closed, re-policied, released. The HTTP interface, the agent and the
 * policy pull act on sandboxes through this page alone.
 */
#ifndef EGRESS_SANDBOX_H
#define EGRESS_SANDBOX_H

#include "dns/dns.h"
#include "filter/filter.h"
#include "gate/gate.h"
#include "host/host.h"
#include "policy/policy.h"

#include <jansson.h>

struct sandbox;

/* What every sandbox of the process shares. Borrowed; outlives them. */
struct sandbox_shared {
	uv_loop_t *loop;
	struct resolvers *resolvers;
	struct front_pools *pools;
	struct gate_pools *gates;
	struct filter_kernel *kernel; /* what its packet filter can do */
	const struct settings *settings;
	struct webhook *webhook; /* NULL: none */
	struct outlets *outlets;
	const struct always_rules *always; /* changed by sandbox_always() */
};

struct sandbox_place {
	/* Sockets that outlive this process's worker; NULL: make some.
	 * Borrowed; they outlive the sandbox. */
	const struct listeners *listeners;
	struct xdp_holds *xdp; /* the same; NULL: hold some for ourselves */
	int netns;             /* taken over on success; -1: our own */
	char id[64]; /* "" in sidecar mode without OPENSANDBOX_EGRESS_SANDBOX_ID
		      */
	char policy_file[4096]; /* "": none */
};

/*
 * Close the sandbox under rules (deny all if NULL): filter first, then DNS.
 * rules are taken over in every case. On error nothing is left behind that
 * was not there before, and message (256 bytes) says why. 0 or -errno.
 */
int sandbox_open(struct sandbox **out, const struct sandbox_shared *shared,
		 const struct sandbox_place *place, struct rules *rules,
		 char *message);

/*
 * Ask these resolvers for it and none of the process's, whose settings they
 * have otherwise; n 0: the process's again. Not in the sandbox's own
 * namespace. Questions under way are asked anew, or fail where there were
 * other resolvers altogether. 0 or -errno, and then all is as before.
 */
int sandbox_use_resolvers(struct sandbox *sandbox,
			  const struct resolver_address *resolvers, size_t n);

/* End it: release removes the rules (the sandbox is free or gone), else they
 * stay (fail closed). */
void sandbox_close(struct sandbox *sandbox, bool release);

const struct policy *sandbox_policy(const struct sandbox *sandbox);
const char *sandbox_id(const struct sandbox *sandbox);

/*
 * Put other rules in force: compile, commit to the kernel, write the policy
 * file, swap. Takes rules over in every case. On error the old policy is in
 * force everywhere and message (256 bytes) says why; egress.update_failed is
 * logged. 0 or -errno.
 */
int sandbox_replace(struct sandbox *sandbox, struct rules *rules,
		    char *message);

/* The always-files changed: compile and commit again with these. Same errors.
 * The caller frees the old ones only after every sandbox has taken the new. */
int sandbox_always(struct sandbox *sandbox, const struct always_rules *always,
		   char *message);

/* What of its rules the kernel is seen to hold no longer, or that nobody
 * listens for the gate, a line that is good until the next call; NULL: all are
 * in force. Sees to it that rules are put back, and logs that. */
const char *sandbox_lost(struct sandbox *sandbox);

/* In the sandbox's own namespace: our resolvers are those of the settings now.
 * On error that is tried again until the kernel takes it. 0 or -errno. */
int sandbox_resolvers(struct sandbox *sandbox);

/* filter_let_out() of its packet filter. */
int sandbox_let_out(struct sandbox *sandbox, const struct filter_peer *peers,
		    size_t n);

/* "deny_all", "allow_all" or "enforcing", as GET /policy shows it. */
const char *sandbox_mode(const struct sandbox *sandbox);

/*
 * Its connections of the last hour, as far as there is room for them, and those
 * that are open: at most limit, whose ids come after this one, the oldest
 * first: {"flows":[...],"next":ID|null,"lost":n,"dropped":n}. A new
 * reference; NULL: no memory.
 */
json_t *sandbox_flows(struct sandbox *sandbox, uint64_t after, size_t limit);

/* What GET /status says of it: policy, leases, what was denied in the last
 * minute, resolvers, gate, kernel. A new reference; NULL: no memory. */
json_t *sandbox_status(struct sandbox *sandbox);

struct sandbox_flow_counts {
	uint64_t begun, open;
	uint64_t lost;    /* events that the kernel could not tell */
	uint64_t dropped; /* that had to go before an hour was over */
};

/* front_each_held() of its DNS. */
void sandbox_each_held(const struct sandbox *sandbox,
		       void (*each)(void *arg, const struct held_name *held),
		       void *arg);

struct sandbox_counts {
	struct front_counts dns;
	struct filter_counts filter;
	struct sandbox_flow_counts flows;
	struct gate_counts gate;
	struct resolvers_counts resolvers; /* of all sandboxes together */
	uint64_t policy_updates, policy_update_failures;
	uint64_t rules, leases;
	uint64_t
		rules_in_force; /* 1: all that the kernel should hold it does */
	uint64_t rules_lost;    /* how often it was seen not to */
	uint64_t query_us_sum;  /* upstream time of allowed questions */
	uint64_t query_us_bucket[12]; /* bounds: sandbox_query_bound_us[] */
};
extern const uint32_t sandbox_query_bound_us[11];
void sandbox_counts(struct sandbox *sandbox, struct sandbox_counts *counts);

#endif
