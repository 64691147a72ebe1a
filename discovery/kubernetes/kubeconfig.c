/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kubeconfig, as kubectl writes it:
 *
 *   current-context: here
 *   contexts: [{name: here, context: {cluster: c, user: u}}]
 *   clusters: [{name: c, cluster: {server: "https://...", ...}}]
 *   users:    [{name: u, user: {token: ...}}]
 */
#include "inner.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reading {
	yaml_document_t document;
	struct kube_config *config;
	const char *path;
	char *why;
};

static int refuse(struct reading *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct reading *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->why, CONFIG_WHY_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

/* The document */

static const char *scalar(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE
		       ? (const char *)node->data.scalar.value
		       : NULL;
}

/* A mapping's value; NULL: there is none. */
static yaml_node_t *member(struct reading *r, const yaml_node_t *node,
			   const char *key)
{
	const yaml_node_pair_t *pair;

	if (!node || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const char *name =
			scalar(yaml_document_get_node(&r->document, pair->key));

		if (name && strcmp(name, key) == 0)
			return yaml_document_get_node(&r->document,
						      pair->value);
	}
	return NULL;
}

/* A member's text; NULL: there is none, or it is empty. */
static const char *text(struct reading *r, const yaml_node_t *node,
			const char *key)
{
	const char *value = scalar(member(r, node, key));

	return value && value[0] ? value : NULL;
}

/* The mapping called that in the list; as {name: NAME, KIND: {...}}. */
static yaml_node_t *named(struct reading *r, const char *list, const char *kind,
			  const char *name)
{
	const yaml_node_t *all =
		member(r, yaml_document_get_root_node(&r->document), list);
	const yaml_node_item_t *item;

	if (!all || all->type != YAML_SEQUENCE_NODE)
		return NULL;
	for (item = all->data.sequence.items.start;
	     item < all->data.sequence.items.top; item++) {
		const yaml_node_t *one =
			yaml_document_get_node(&r->document, *item);
		const char *its = text(r, one, "name");

		if (its && strcmp(its, name) == 0)
			return member(r, one, kind);
	}
	return NULL;
}

/* Values */

/* A path, of the kubeconfig's folder where it is relative. */
static char *path_of(const struct reading *r, const char *path)
{
	const char *slash = strrchr(r->path, '/');
	char *whole;

	if (path[0] == '/' || !slash)
		return strdup(path);
	return asprintf(&whole, "%.*s/%s", (int)(slash - r->path), r->path,
			path) < 0
		       ? NULL
		       : whole;
}

static int open_path(struct reading *r, struct kube_file *file, const char *key,
		     const char *value)
{
	char *path = path_of(r, value);
	int err = path ? kube_file_open(file, path) : -ENOMEM;

	if (err)
		refuse(r, "%s: \"%s\": %s", key, path ? path : value,
		       strerror(-err));
	free(path);
	return err;
}

static int give_base64(struct reading *r, struct kube_file *file,
		       const char *key, const char *value)
{
	gnutls_datum_t in = {(unsigned char *)value, (unsigned)strlen(value)};
	gnutls_datum_t out;
	int err;

	if (gnutls_base64_decode2(&in, &out))
		return refuse(r, "%s: expected base64", key);
	err = kube_file_give(file, (const char *)out.data, out.size);
	gnutls_free(out.data);
	return err;
}

/* KEY-data: base64 of a text, or KEY: a file's path. */
static int read_file(struct reading *r, struct kube_file *file,
		     const yaml_node_t *node, const char *key)
{
	char data_key[64];
	const char *data, *path = text(r, node, key);

	snprintf(data_key, sizeof(data_key), "%s-data", key);
	data = text(r, node, data_key);
	if (data)
		return give_base64(r, file, data_key, data);
	return path ? open_path(r, file, key, path) : 0;
}

/* The cluster */

/* https://10.0.0.1:6443, where the certificate is of another name: that name
 * is asked for, at 10.0.0.1:6443. */
static int set_server_name(struct reading *r, const char *name)
{
	const char *host = r->config->server + strlen("https://"),
		   *end = host + strcspn(host, "/"), *port = end;
	char *server;

	while (port > host && port[-1] >= '0' && port[-1] <= '9')
		port--;
	port = port > host && port[-1] == ':' && port < end ? port : NULL;
	if (asprintf(&r->config->connect_to, "%.*s%s", (int)(end - host), host,
		     port ? "" : ":443") < 0) {
		r->config->connect_to = NULL;
		return -ENOMEM;
	}
	if (asprintf(&server, "https://%s:%.*s%s", name,
		     port ? (int)(end - port) : 3, port ? port : "443",
		     end) < 0)
		return -ENOMEM;
	free(r->config->server);
	r->config->server = server;
	return 0;
}

static int read_server(struct reading *r, const yaml_node_t *cluster)
{
	static const char scheme[] = "https://";
	const char *server = text(r, cluster, "server");
	size_t len = server ? strlen(server) : 0;

	if (!server || strncmp(server, scheme, strlen(scheme)) != 0 ||
	    !server[strlen(scheme)] || server[strlen(scheme)] == '/' ||
	    strpbrk(server, " \t\r\n?#@"))
		return refuse(r, "server: expected https://HOST:PORT");
	while (server[len - 1] == '/')
		len--;
	r->config->server = strndup(server, len);
	return r->config->server ? 0 : -ENOMEM;
}

static int read_cluster(struct reading *r, const yaml_node_t *cluster)
{
	const char *unverified = text(r, cluster, "insecure-skip-tls-verify"),
		   *name = text(r, cluster, "tls-server-name");
	int err = read_server(r, cluster);

	if (!err && text(r, cluster, "proxy-url"))
		err = refuse(r, "proxy-url is not supported");
	if (!err)
		err = read_file(r, &r->config->authorities, cluster,
				"certificate-authority");
	if (!err && name)
		err = set_server_name(r, name);
	r->config->unverified = unverified && strcmp(unverified, "true") == 0;
	return err;
}

/* The user */

static int read_user(struct reading *r, const yaml_node_t *user)
{
	static const char *const unsupported[] = {"exec", "auth-provider",
						  "username", "as"};
	const char *token = text(r, user, "token"),
		   *token_file = text(r, user, "tokenFile");
	int err = 0;

	for (size_t i = 0; i < sizeof(unsupported) / sizeof(*unsupported); i++)
		if (member(r, user, unsupported[i]))
			return refuse(
				r,
				"the user has \"%s\", which is not "
				"supported; expected a token, a tokenFile "
				"or a client certificate",
				unsupported[i]);
	if (token_file)
		err = open_path(r, &r->config->token, "tokenFile", token_file);
	else if (token)
		err = kube_file_give(&r->config->token, token, strlen(token));
	if (!err)
		err = read_file(r, &r->config->certificate, user,
				"client-certificate");
	if (!err)
		err = read_file(r, &r->config->key, user, "client-key");
	if (!err && !r->config->certificate.text != !r->config->key.text)
		err = refuse(r, "expected both client-certificate and "
				"client-key");
	return err;
}

static int read_context(struct reading *r)
{
	const char *name = text(r, yaml_document_get_root_node(&r->document),
				"current-context");
	const yaml_node_t *context =
		name ? named(r, "contexts", "context", name) : NULL;
	const char *cluster_name = text(r, context, "cluster"),
		   *user_name = text(r, context, "user");
	const yaml_node_t *cluster =
		cluster_name ? named(r, "clusters", "cluster", cluster_name)
			     : NULL;
	const yaml_node_t *user =
		user_name ? named(r, "users", "user", user_name) : NULL;
	int err;

	if (!context)
		return refuse(r, "there is no context \"%s\"",
			      name ? name : "");
	if (!cluster)
		return refuse(r, "there is no cluster \"%s\"",
			      cluster_name ? cluster_name : "");
	if (user_name && !user)
		return refuse(r, "there is no user \"%s\"", user_name);
	err = read_cluster(r, cluster);
	return !err && user ? read_user(r, user) : err;
}

int kubeconfig_read(struct kube_config *config, const char *path,
		    char why[CONFIG_WHY_MAX])
{
	struct reading r = {.config = config, .path = path, .why = why};
	struct kube_file file = {.path = NULL};
	yaml_parser_t parser;
	int err = kube_file_open(&file, path);

	why[0] = '\0';
	if (err)
		return err;
	if (!yaml_parser_initialize(&parser)) {
		kube_file_close(&file);
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&parser, (unsigned char *)file.text,
				     strlen(file.text));
	if (yaml_parser_load(&parser, &r.document)) {
		err = read_context(&r);
		yaml_document_delete(&r.document);
	} else {
		err = refuse(&r, "line %zu: %s", parser.problem_mark.line + 1,
			     parser.problem ? parser.problem : "no YAML");
	}
	yaml_parser_delete(&parser);
	kube_file_close(&file);
	return err;
}
