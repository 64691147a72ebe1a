/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 500,            /* objects of a list's page */
	IDLE_MS = 30 * 1000,   /* of lists */
	GRACE_S = 5,           /* for a watch to end by itself */
	ANSWER_MAX = 1 << 20,  /* bytes of an error */
	TOKEN_MAX = 64 * 1024, /* bytes */
};

/* Text as part of a query (RFC 3986). */
static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~",
			   *text))
			fputc(*text, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*text);
	}
}

static void put_path(FILE *out, const struct kube *kube,
		     const struct kube_call *call)
{
	const struct kube_resource *resource = call->resource;

	fputs(kube->config.server, out);
	fprintf(out, "/%s%s", resource->group[0] ? "apis/" : "api",
		resource->group);
	if (!call->version)
		return;
	fprintf(out, "/%s", call->version);
	if (call->namespace)
		fprintf(out, "/namespaces/%s", call->namespace);
	fprintf(out, "/%s", resource->name);
}

static void put_query(FILE *out, const struct kube *kube,
		      const struct kube_call *call)
{
	if (!call->version)
		return;
	if (call->watch_s)
		fprintf(out,
			"?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u"
			"&resourceVersion=",
			call->watch_s);
	else
		fprintf(out, "?limit=%d", PAGE);
	if (call->watch_s)
		put_escaped(out, call->revision);
	if (!call->watch_s && call->page) {
		fputs("&continue=", out);
		put_escaped(out, call->page);
	}
	fputs(call->resource->query, out);
	if (call->resource == &kube_node_pods) {
		fputs("&fieldSelector=spec.nodeName%3D", out);
		put_escaped(out, kube->node_name);
	}
}

static char *url_of(const struct kube *kube, const struct kube_call *call)
{
	char *url = NULL;
	size_t len;
	FILE *out = open_memstream(&url, &len);

	if (!out)
		return NULL;
	put_path(out, kube, call);
	put_query(out, kube, call);
	if (fclose(out)) {
		free(url);
		return NULL;
	}
	return url;
}

/* "Authorization: Bearer ..."; NULL: there is no token, or no memory. */
static char *bearer(struct kube_config *config)
{
	const char *token = kube_file_text(&config->token);
	size_t len = token ? strcspn(token, "\r\n") : 0;
	char *header;

	if (len == 0 || len > TOKEN_MAX ||
	    asprintf(&header, "Authorization: Bearer %.*s", (int)len, token) <
		    0)
		return NULL;
	return header;
}

int kube_request(struct kube *kube, struct fetcher *fetcher,
		 const struct kube_call *call, struct fetch **out)
{
	struct kube_config *config = &kube->config;
	char *url = url_of(kube, call), *header = bearer(config);
	const struct fetch_tls tls = {
		.authorities = kube_file_text(&config->authorities),
		.certificate = kube_file_text(&config->certificate),
		.key = kube_file_text(&config->key),
		.unverified = config->unverified,
	};
	const struct fetch_request request = {
		.url = url,
		.method = "GET",
		.idle_ms = call->watch_s ? (call->watch_s + GRACE_S) * 1000L
					 : (long)IDLE_MS,
		.answer_max = ANSWER_MAX,
		.headers = {"Accept: application/json",
			    "User-Agent: opensandbox-discovery", header},
		.connect_to = config->connect_to,
		.tls = &tls,
		.http2 = true,
		.begun = call->begun,
		.data = call->data,
	};
	int err =
		url ? fetch_start(fetcher, &request, call->done, call->arg, out)
		    : -ENOMEM;

	free(url);
	free(header);
	return err;
}

void kube_request_refused(struct kube *kube)
{
	kube_file_doubt(&kube->config.token);
	kube_file_doubt(&kube->config.certificate);
	kube_file_doubt(&kube->config.key);
}
