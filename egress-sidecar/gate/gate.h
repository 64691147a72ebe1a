/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: TCP connections to addresses that names led to are redirected to
 * us by the packet filter, and go on only where the name that they give
 * themselves (TLS: server_name of RFC 6066; HTTP: Host, of HTTP/2 :authority,
 * of each request) is one that led to the address. TCP ends here, TLS does not:
 * the bytes that were judged are the bytes that our own socket sends, which a
 * packet queue could not promise.
 *
 * sandbox -> accept -> hello, http_head (pure) -> owner's verdict -> connect in
 * the sandbox's namespace -> splice(2) both ways
 */
#ifndef EGRESS_GATE_H
#define EGRESS_GATE_H

#include "policy/policy.h"
#include "share/share.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct gate;

enum {
	GATE_PORTS_MAX = 16,
	GATE_NAME_BYTES = 64 * 1024, /* before a name, at the most */
	GATE_NAME_MS = 10 * 1000,    /* the same, in time */
	GATE_CONNECTIONS_MAX = 10000 /* of one sandbox */
};

/* Why a connection was not let on. */
enum gate_reason {
	GATE_MISMATCH,  /* a name that did not lead here, or is not allowed */
	GATE_NO_NAME,   /* none within GATE_NAME_BYTES and GATE_NAME_MS */
	GATE_MALFORMED, /* neither TLS nor HTTP, or out of form */
	GATE_REASONS
};

/* "sni_mismatch", "no_name", "malformed": the log's words. */
const char *gate_reason_text(enum gate_reason reason);

/* A connection that was refused, or in an audit would have been. Borrowed. */
struct gate_refusal {
	enum gate_reason reason;
	struct address source, destination;
	uint16_t port;                  /* of the destination, host order */
	const struct domain_name *name; /* that it gave; NULL: none */
	bool audit;                     /* it was let on */
};

/* A connection that goes on: what the kernel sees of the socket. Borrowed. */
struct gate_way {
	struct address destination;
	uint16_t port, source_port;     /* host order */
	const struct domain_name *name; /* that it gave; NULL: none */
	enum gate_reason reason;        /* why but for an audit it would not;
					   GATE_REASONS: it was let on */
};

/* What the gate asks of whoever holds it. */
struct gate_owner {
	void *arg;
	/* Does the policy allow the name on TCP port of a, and is a open
	 * because the name led there? */
	bool (*leads)(void *arg, const struct domain_name *name,
		      const struct address *a, uint16_t port);
	/* Would the policy in force allow it, whatever became of the lease?
	 * Asked of open connections when the policy has changed. */
	bool (*allows)(void *arg, const struct domain_name *name,
		       const struct address *a, uint16_t port);
	void (*refused)(void *arg, const struct gate_refusal *refusal);
	/* Called as it begins to connect. */
	void (*goes)(void *arg, const struct gate_way *way);
};

/* What the gates of a process have together, each a share of it. */
struct gate_pools {
	struct share_pool connections;
	struct share_pool bytes; /* that clients said, and that did not go on */
	int fd_max; /* a descriptor from here on is not for gates to take */
};

struct gate_settings {
	int netns;                /* of the sandbox, for the way on; -1: ours */
	int tcp4, tcp6;           /* listening in it; -1: none. Borrowed */
	uint16_t port;            /* theirs, host order */
	uint32_t mark;            /* SO_MARK of the way on */
	bool audit;               /* log, let on */
	struct gate_pools *pools; /* borrowed */
};

struct gate_counts {
	uint64_t accepted, allowed, refused[GATE_REASONS];
	uint64_t dropped; /* for want of room */
	uint64_t failed;  /* the way on could not be opened */
	uint64_t open;    /* now */
};

/* RLIMIT_NOFILE is raised to its hard limit, and bounds connections, four
 * descriptors each. many: there may be more than one gate. */
void gate_pools_init(struct gate_pools *pools, bool many);

/*
 * Serve the listeners, which have to outlive it. SIGPIPE has to be ignored, for
 * splice(2) raises it. 0 or -errno.
 */
int gate_open(struct gate **out, uv_loop_t *loop,
	      const struct gate_settings *settings,
	      const struct gate_owner *owner);
/* Ends every connection. NULL is nothing. */
void gate_close(struct gate *gate);

/* Judge what is open again; what is refused now is reset, at once. */
void gate_policy_changed(struct gate *gate);

/* Reset all that is open, at once, whatever it may. */
void gate_reset(struct gate *gate);

void gate_counts(const struct gate *gate, struct gate_counts *counts);

#endif
