/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "hosts" of a policy document: names that the sandbox's hosts file gives, and
 * their addresses. What the rules say of such a name holds for its addresses
 * as long as the policy stands: see struct pin.
 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>

static int compare_hosts(const void *left, const void *right)
{
	const struct host *a = left, *b = right;

	return domain_name_compare(a->name, b->name);
}

static bool host_has(const struct host *host, const struct address *a)
{
	for (size_t i = 0; i < host->n; i++)
		if (address_compare(&host->a[i], a) == 0)
			return true;
	return false;
}

static int read_address(struct host *host, const char *key, size_t i,
			const json_t *json, struct policy_error *err)
{
	const char *text = json_string_value(json);
	enum address_kind kind;
	struct address a;

	if (!text || address_from_text(&a, text) < 0)
		return policy_error_set(err, -1,
					"hosts[\"%.80s\"][%zu]: not an IP "
					"address: %.80s",
					key, i, policy_json_shown(json));
	kind = address_kind(&a);
	if (kind != ADDRESS_PUBLIC && kind != ADDRESS_PRIVATE)
		return policy_error_set(err, -1,
					"hosts[\"%.80s\"][%zu]: %s is a %s "
					"address, which no name may lead to",
					key, i, text, address_kind_name(kind));
	if (!host_has(host, &a))
		host->a[host->n++] = a;
	return 0;
}

static int read_name(struct host *host, const char *key,
		     struct policy_error *err)
{
	struct domain_name name;
	const char *why;

	if (domain_name_from_text(&name, key, &why) < 0)
		return policy_error_set(err, -1, "hosts[\"%.80s\"]: %s", key,
					why);
	if (domain_name_ends_in_number(&name))
		return policy_error_set(err, -1,
					"hosts[\"%.80s\"]: not a name, for its "
					"last label is a number",
					key);
	host->name = domain_name_copy(&name);
	return host->name ? 0 : -ENOMEM;
}

/* The entry goes to shown as it is in force. */
static int show_host(json_t *shown, const struct host *host)
{
	char name[DOMAIN_NAME_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	json_t *list = json_array();
	int ret = list ? 0 : -1;

	for (size_t i = 0; i < host->n; i++)
		ret |= json_array_append_new(
			list, json_string(address_to_text(&host->a[i], text)));
	ret |= json_object_set_new(shown, domain_name_to_text(host->name, name),
				   list);
	return ret ? -ENOMEM : 0;
}

static int read_host(struct host *host, const char *key, const json_t *list,
		     json_t *shown, struct policy_error *err)
{
	char name[DOMAIN_NAME_TEXT_MAX];
	size_t n = json_array_size(list);
	int ret = read_name(host, key, err);

	if (ret < 0)
		return ret;
	if (json_object_get(shown, domain_name_to_text(host->name, name)))
		return policy_error_set(err, -1,
					"hosts[\"%.80s\"]: the name is given "
					"twice",
					key);
	if (n == 0 || n > POLICY_HOST_ADDRESSES_MAX)
		return policy_error_set(err, -1,
					"hosts[\"%.80s\"]: expected an array "
					"of 1 to %d addresses, not %.80s",
					key, POLICY_HOST_ADDRESSES_MAX,
					n ? "more" : policy_json_shown(list));
	host->a = calloc(n, sizeof(*host->a));
	if (!host->a)
		return -ENOMEM;
	for (size_t i = 0; i < n && ret == 0; i++)
		ret = read_address(host, key, i, json_array_get(list, i), err);
	return ret < 0 ? ret : show_host(shown, host);
}

static int read_hosts(struct hosts *hosts, json_t *json, json_t *shown,
		      struct policy_error *err)
{
	const char *key;
	json_t *list;
	int ret;

	hosts->host = calloc(json_object_size(json), sizeof(*hosts->host));
	if (!hosts->host || !shown)
		return -ENOMEM;
	json_object_foreach(json, key, list)
	{
		ret = read_host(&hosts->host[hosts->n++], key, list, shown,
				err);
		if (ret < 0)
			return ret;
	}
	qsort(hosts->host, hosts->n, sizeof(*hosts->host), compare_hosts);
	hosts->json = json_dumps(shown, JSON_COMPACT);
	return hosts->json ? 0 : -ENOMEM;
}

int hosts_from_json(struct hosts **out, json_t *json, struct policy_error *err)
{
	struct hosts *hosts;
	json_t *shown;
	int ret;

	*out = NULL;
	if (!json || json_is_null(json))
		return 0;
	if (!json_is_object(json))
		return policy_error_set(err, -1, "hosts: not an object: %.80s",
					policy_json_shown(json));
	if (json_object_size(json) == 0)
		return 0;
	if (json_object_size(json) > POLICY_HOSTS_MAX)
		return policy_error_set(err, -1, "hosts: %zu names, at most %d",
					json_object_size(json),
					POLICY_HOSTS_MAX);
	hosts = calloc(1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	hosts->references = 1;
	shown = json_object();
	ret = read_hosts(hosts, json, shown, err);
	json_decref(shown);
	if (ret < 0)
		hosts_unref(hosts);
	else
		*out = hosts;
	return ret;
}

struct hosts *hosts_ref(struct hosts *hosts)
{
	if (hosts)
		hosts->references++;
	return hosts;
}

void hosts_unref(struct hosts *hosts)
{
	if (!hosts || --hosts->references > 0)
		return;
	for (size_t i = 0; i < hosts->n; i++) {
		free(hosts->host[i].name);
		free(hosts->host[i].a);
	}
	free(hosts->host);
	free(hosts->json);
	free(hosts);
}

const struct host *hosts_find(const struct hosts *hosts,
			      const struct domain_name *name)
{
	size_t low = 0, high = hosts ? hosts->n : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = domain_name_compare(hosts->host[middle].name, name);

		if (order == 0)
			return &hosts->host[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool hosts_give(const struct hosts *hosts, const struct domain_name *name,
		const struct address *a)
{
	const struct host *host = hosts_find(hosts, name);

	return host && host_has(host, a);
}
