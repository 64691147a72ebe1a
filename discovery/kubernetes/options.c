/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdlib.h>
#include <string.h>

/* The next of "a,b"; its length, 0 at the end. */
static size_t next_of(const char **list)
{
	*list += strspn(*list, ", ");
	return strcspn(*list, ", ");
}

static int read_type(const struct option_to *to, const char *value, char *why)
{
	struct kube_settings *s = to->settings;
	size_t len;

	s->types = 0;
	for (; (len = next_of(&value)) > 0; value += len) {
		unsigned i = 0;

		while (i < RESOURCES &&
		       (strlen(kube_resources[i].type) != len ||
			strncmp(kube_resources[i].type, value, len) != 0))
			i++;
		if (i == RESOURCES) {
			s->types = 0;
			break;
		}
		s->types |= 1U << i;
	}
	return s->types ? 0
			: option_expected(
				  why, "batchsandbox, agent-sandbox or pod, or "
				       "several with commas between them");
}

/* Lower case letters, digits, hyphens (RFC 1123). */
static bool is_namespace(const char *text, size_t len)
{
	return len <= NAMESPACE_MAX &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") >= len;
}

static bool has_namespace(const struct kube_settings *s, const char *name)
{
	for (size_t i = 0; i < s->n_namespaces; i++)
		if (strcmp(s->namespaces[i], name) == 0)
			return true;
	return false;
}

static int read_namespace(const struct option_to *to, const char *value,
			  char *why)
{
	struct kube_settings *s = to->settings;
	size_t len;
	char *name;

	s->n_namespaces = 0;
	for (; (len = next_of(&value)) > 0; value += len) {
		if (!is_namespace(value, len) ||
		    s->n_namespaces == NAMESPACES_MAX)
			return option_expected(
				why, "namespaces' names, with commas between "
				     "them, 64 at most");
		name = s->namespaces[s->n_namespaces];
		memcpy(name, value, len);
		name[len] = '\0';
		s->n_namespaces += !has_namespace(s, name);
	}
	return 0;
}

static int read_watch_timeout(const struct option_to *to, const char *value,
			      char *why)
{
	unsigned long seconds;

	if (option_number(value, 3600, &seconds) || seconds < 1)
		return option_expected(why, "seconds from 1 to 3600");
	*(unsigned *)to->field = (unsigned)seconds;
	return 0;
}

#define INTO(reader, field) OPTION_INTO(reader, struct kube_settings, field, 0)

const struct option_row kube_options[] = {
	{"kubernetes", OPTION_ENV("KUBERNETES"), NULL, "off",
	 "watch the cluster whose pod this is, by its service account",
	 INTO(option_switch, kubernetes)},
	{"kubeconfig", OPTION_ENV("KUBECONFIG"), "FILE", NULL,
	 "watch the cluster of a kubeconfig's current context",
	 INTO(option_text, kubeconfig)},
	{"provider-type", OPTION_ENV("PROVIDER_TYPE"), "TYPE,...",
	 "batchsandbox",
	 "what a sandbox is there: batchsandbox, agent-sandbox, pod",
	 .read = read_type},
	{"namespace", OPTION_ENV("NAMESPACE"), "NAME,...", NULL,
	 "the namespaces to watch (default: all)", .read = read_namespace},
	{"watch-timeout", OPTION_ENV("WATCH_TIMEOUT"), "SECONDS", "120",
	 "how long a watch lasts; one that is silent longer is broken off",
	 INTO(read_watch_timeout, watch_s)},
	{.name = NULL},
};
