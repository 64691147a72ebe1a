/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watch for each resource and namespace lists page by page, then watches
 * (Kubernetes' "API concepts"). What arrives is scanned as it does: of each
 * object only that is kept, for a moment, which its translation reads.
 */
#ifndef DISCOVERY_KUBERNETES_INNER_H
#define DISCOVERY_KUBERNETES_INNER_H

#include "kubernetes.h"

#include "feed/feed.h"
#include "http/http.h"
#include "translate/translate.h"

#include <sys/stat.h>

#define ANNOTATION_ENDPOINTS "sandbox.opensandbox.io/endpoints"

enum {
	RESOURCES = 3,
	NAMESPACES_MAX = 64,
	NAMESPACE_MAX = 63, /* bytes */
};

/* kubernetes/options.c */

struct kube_settings {
	bool kubernetes;
	char kubeconfig[4096];
	unsigned types;      /* bits, places in kube_resources */
	size_t n_namespaces; /* 0: all */
	char namespaces[NAMESPACES_MAX][NAMESPACE_MAX + 1];
	unsigned watch_s;
};

extern const struct option_row kube_options[];

/* kubernetes/file.c */

/* A text: a file's, read anew when it changes, or given. Zeroed: none. */
struct kube_file {
	char *path; /* NULL: given */
	char *text; /* NULL: none */
	struct stat read;
};

/* Texts are copied. 0 or -errno. */
int kube_file_open(struct kube_file *file, const char *path);
int kube_file_give(struct kube_file *file, const char *text, size_t len);
void kube_file_close(struct kube_file *file);
/* Valid until the next call; the old one where it cannot be read. */
const char *kube_file_text(struct kube_file *file);
/* It was not accepted: read it anew next time. */
void kube_file_doubt(struct kube_file *file);

/* kubernetes/config.c */

enum {
	CONFIG_WHY_MAX = 512
};

/* Where the API server is, whom to trust and who we are. */
struct kube_config {
	char *server;     /* "https://HOST[:PORT]", no slash at its end */
	char *connect_to; /* "HOST:PORT", where the server's certificate has
			     another name; NULL: as server says */
	bool unverified;  /* its certificate is not looked at */
	struct kube_file authorities, certificate, key, token;
};

/* kubeconfig "": that of the pod that we are in. 0, or -errno with the reason
 * said by log_fatal(). */
int kube_config_open(struct kube_config *config, const char *kubeconfig);
void kube_config_close(struct kube_config *config);

/* kubernetes/kubeconfig.c */

/* The current context of a kubeconfig; relative paths in it are of its folder.
 * 0, or -errno with the reason in why. */
int kubeconfig_read(struct kube_config *config, const char *path,
		    char why[CONFIG_WHY_MAX]);

/* kubernetes/names.c */

enum {
	NAME_LABEL_MAX = 63
};

/* The DNS-1035 form of an id, as OpenSandbox names the Sandbox of it. */
void name_from_id(const char *id, char name[NAME_LABEL_MAX + 1]);
/* Does OpenSandbox find the Sandbox of that name by that id? */
bool name_is_of(const char *name, const char *id);

/* kubernetes/scan.c */

enum {
	SCAN_LEVELS = 8,
	SCAN_KEY_MAX = 128, /* bytes, quotes included */
};

/* A member of a JSON object that is wanted; an array of them ends with a NULL
 * key. */
struct scan_want {
	const char *key;
	/* What is wanted of it where it is an object; NULL: all. */
	const struct scan_want *members;
	/* It is an array, and that is wanted of each element, one by one. */
	bool each;
};

/*
 * JSON texts, one after another, as they arrive; what is wanted of each is told
 * when it ends. Values that make it longer than 1 MiB or are deeper than 32
 * are told as false.
 */
struct scan {
	const struct scan_want *wants; /* of a text */
	void *arg;
	/* An element of an array of which each is wanted, in the order of
	 * arrival, or the rest of a text; size is what it had in bytes. 0, or
	 * what scan_feed() is to return, negative. */
	int (*element)(void *arg, const char *json, size_t len, uint64_t size);
	int (*rest)(void *arg, const char *json, size_t len, uint64_t size);

	/* scan.c's own */
	enum scan_state {
		SCAN_VALUE,
		SCAN_KEY,
		SCAN_IN_KEY,
		SCAN_COLON,
		SCAN_AFTER,
		SCAN_WHOLE,
	} state;
	struct scan_level {
		const struct scan_want *wants;
		bool each, any, element;
		size_t start;   /* in out */
		uint64_t began; /* of the bytes seen */
	} levels[SCAN_LEVELS];
	unsigned depth;
	const struct scan_want *want; /* the member's; NULL: it is skipped */
	char key[SCAN_KEY_MAX];
	size_t key_len;
	/* Inside of a value that is told whole or skipped. */
	unsigned nested;
	bool copies, scalar, string, escaped;
	size_t value_start;
	uint64_t value_began;
	char *out;
	size_t len, room;
	uint64_t seen;
};

/* 0, -EINVAL (it is no JSON), -ENOMEM or what it was told; it takes nothing
 * more then but scan_reset(). */
int scan_feed(struct scan *scan, const char *piece, size_t len);
/* Is it between two texts? */
bool scan_is_between(const struct scan *scan);
/* Begin anew. */
void scan_reset(struct scan *scan);
void scan_close(struct scan *scan);

/* kubernetes/object.c */

/* A member's text, NULL where it is absent or null. what names it. 0, or
 * -EINVAL with t->why where it is something else. */
int object_text(struct translation *t, const json_t *parent, const char *what,
		const char *key, const char **text);
/* A member that is an object or an array, NULL where it is absent or null. */
int object_member(struct translation *t, const json_t *parent, const char *what,
		  const char *key, json_type type, const json_t **member);
/* Those of the object's annotations, in the place of OpenSandbox's labels. */
int object_annotation(struct translation *t, const json_t *object,
		      const char *key, const char **text);
int object_label(struct translation *t, const json_t *object, const char *key,
		 const char **text);
int object_name(struct translation *t, const json_t *object, const char **name);
/* Its condition Ready. */
int object_ready(struct translation *t, const json_t *object, bool *ready);
/* record.endpoint where there is one, as read reads it, and record.ready, which
 * is false where there is none. */
int object_place(struct translation *t, const char *what, const char *endpoint,
		 bool ready,
		 int (*read)(struct translation *t, const char *what,
			     const char *text));
/* What annotations of all kinds of objects say. */
int object_access(struct translation *t, const json_t *object);

/* kubernetes/resources.c */

struct kube_resource {
	const char *type;  /* --provider-type */
	const char *group; /* "": the core group */
	const char *name;
	const char *versions[3]; /* the newest first, to NULL */
	const char *query;       /* selectors; "" or "&..." */
	/* Pure: an object to what it means. 0; 1: it is no sandbox (any
	 * more); -EINVAL with t->why; -ENOMEM. */
	int (*translate)(struct translation *t, const json_t *object);
};

extern const struct kube_resource kube_resources[RESOURCES];
/* The pods of the node, whose policies are for its agent. */
extern const struct kube_resource kube_node_pods;
/* What of an object translations and watches read. */
extern const struct scan_want kube_object_wants[];

/* kubernetes/translate_*.c */

int translate_batchsandbox(struct translation *t, const json_t *object);
int translate_agent_sandbox(struct translation *t, const json_t *object);
int translate_pod(struct translation *t, const json_t *object);
int translate_node_pod(struct translation *t, const json_t *object);

/* kubernetes/change.c */

enum {
	KEY_MAX = 320, /* bytes of "namespace/name", the end's NUL included */
};

/* An object as it is now, or, deleted, as it went; size is that of its text. */
void change_tell(struct feed_list *list, const struct kube_resource *resource,
		 bool allow_loopback, const json_t *object, uint64_t size,
		 bool deleted);

/* kubernetes/request.c */

struct kube_watch;

/* All that watches share. */
struct kube {
	struct kube_config config;
	uv_loop_t *loop;
	struct feed *feed;
	const char *node_name; /* of kube_node_pods */
	bool allow_loopback;
	unsigned watch_s; /* a watch's time-out */
	struct kube_watch *watches;
	unsigned users; /* watches that are not closed yet, and who opened */
};

/* What is asked of the API server. */
struct kube_call {
	const struct kube_resource *resource;
	const char *version;   /* NULL: which versions there are */
	const char *namespace; /* NULL: all */
	unsigned watch_s;      /* seconds to watch; 0: a list's page */
	const char *revision;  /* to watch from */
	const char *page;      /* the page's token; NULL: the first */
	void (*begun)(void *arg);
	void (*data)(void *arg, const char *piece, size_t len);
	void (*done)(void *arg, const struct fetch_result *result);
	void *arg;
};

/* As fetch_start(). */
int kube_request(struct kube *kube, struct fetcher *fetcher,
		 const struct kube_call *call, struct fetch **out);
/* We were not accepted: read our credentials anew. */
void kube_request_refused(struct kube *kube);

/* kubernetes/watch.c */

/* One user less; the last frees it. */
void kube_release(struct kube *kube);

/* List, then watch, for good. namespace NULL: all; else it outlives the feed.
 * 0 or -errno. */
int kube_watch_open(struct kube *kube, const struct kube_resource *resource,
		    const char *namespace);
void kube_watch_close(struct kube_watch *watch);

#endif
