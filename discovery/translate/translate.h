/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the providers' translations share: what is made of an object, and the
 * readers of all that a sandbox's owner may write. Pure.
 */
#ifndef DISCOVERY_TRANSLATE_H
#define DISCOVERY_TRANSLATE_H

#include "feed/feed.h"

enum {
	TRANSLATE_WHY_MAX = 200
};

/* The labels, and annotations, of sandboxes (OpenSandbox's, and ours). */
#define LABEL_ID           "opensandbox.io/id"
#define LABEL_EXPOSE       "opensandbox.io/expose"
#define LABEL_ACCESS_TOKEN "opensandbox.io/secure-access-token"
#define LABEL_EXPIRES_AT   "opensandbox.io/expires-at"
#define LABEL_POLICY       "opensandbox.io/egress-policy"

/* translate/translation.c */

/* What a sandbox is, read from an object. Zeroed, it is empty. */
struct translation {
	char ids[FEED_IDS_MAX][FEED_ID_MAX + 1]; /* "": none */
	json_t *record;                          /* owned */
	json_t *policy;                          /* owned; NULL: none */
	char agent_id[FEED_ID_MAX + 1]; /* as feed_sandbox has it; "": none */
	pid_t pid;                      /* 0: unknown */
	/* Why it cannot be taken, a sentence's end: "the label
	 * opensandbox.io/id: ..." */
	char why[TRANSLATE_WHY_MAX];
	bool allow_loopback; /* set before it is filled */
};

/* Its owned parts; it is empty then. */
void translation_free(struct translation *t);
/* A member of the record; takes value's reference. 0 or -ENOMEM. */
int translation_set(struct translation *t, const char *key, json_t *value);
/* As feed_put() takes it: borrows from t. */
struct feed_sandbox translation_sandbox(const struct translation *t);
/* Say why; -EINVAL. */
int translation_refuse(struct translation *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * translate/values.c: each reads a text, what names it in messages ("the label
 * opensandbox.io/expose"), and puts what it says into t. 0, -EINVAL with
 * t->why, or -ENOMEM.
 */

/* An id, folded to lower case, as the next of t->ids; one that is there already
 * is not repeated. */
int translate_id(struct translation *t, const char *what, const char *text);
/* "8000,8080-8090": record.expose */
int translate_expose(struct translation *t, const char *what, const char *text);
/* White space around it is cut: record.accessToken, none where nothing is
 * left. */
int translate_token(struct translation *t, const char *what, const char *text);
/* RFC 3339: record.expiresAt */
int translate_expires(struct translation *t, const char *what,
		      const char *text);
/* A policy's JSON: t->policy. The agent judges its rules. */
int translate_policy(struct translation *t, const char *what, const char *text);

/*
 * translate/endpoint.c. An address may not be loopback (unless
 * t->allow_loopback), link-local, multicast, unspecified or of a cloud's
 * metadata service, in no form (RFC 6890); a host name may not mean these.
 */

/* An IPv4 address, an IPv6 address with or without brackets: record.endpoint */
int translate_address(struct translation *t, const char *what,
		      const char *text);
/* That, or a host name. Whose it is may lead it to any address, so it is not
 * for what an owner writes. */
int translate_endpoint(struct translation *t, const char *what,
		       const char *text);
/* The sandbox's port is reached at that address and port: a member of
 * record.portMap */
int translate_port(struct translation *t, const char *what, unsigned port,
		   const char *address, unsigned to);

#endif
