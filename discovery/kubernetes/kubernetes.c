/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_wanted(const void *settings)
{
	const struct kube_settings *s = settings;

	return s->kubernetes || s->kubeconfig[0];
}

static void kube_close(void *state)
{
	struct kube *kube = state;

	while (kube->watches)
		kube_watch_close(kube->watches);
	kube_release(kube);
}

/* One list for each namespace. */
static int resource_open(struct kube *kube, const struct kube_settings *s,
			 const struct kube_resource *resource)
{
	int err = 0;

	if (s->n_namespaces == 0)
		return kube_watch_open(kube, resource, NULL);
	for (size_t n = 0; n < s->n_namespaces && !err; n++)
		err = kube_watch_open(kube, resource, s->namespaces[n]);
	return err;
}

/* Sandboxes are the gateway's, the node's pods the agent's. */
static int watches_open(struct kube *kube, const struct provider_host *host,
			const struct kube_settings *s)
{
	int err = 0;

	for (size_t i = 0; host->gateway && i < RESOURCES && !err; i++)
		if (s->types & 1U << i)
			err = resource_open(kube, s, &kube_resources[i]);
	if (!err && host->agent)
		err = resource_open(kube, s, &kube_node_pods);
	if (err)
		log_fatal("--kubernetes: %s", strerror(-err));
	return err;
}

static int kube_open(void **state, const struct provider_host *host,
		     const void *settings)
{
	const struct kube_settings *s = settings;
	struct kube *kube;
	int err;

	if (host->agent && !host->node_name) {
		log_fatal("--agent: with --kubernetes it needs --node-name: "
			  "whose pods are the agent's");
		return -EINVAL;
	}
	kube = calloc(1, sizeof(*kube));
	if (!kube) {
		log_fatal("no memory");
		return -ENOMEM;
	}
	kube->loop = host->loop;
	kube->feed = host->feed;
	kube->allow_loopback = host->allow_loopback;
	kube->node_name = host->node_name;
	kube->watch_s = s->watch_s;
	kube->users = 1;
	err = kube_config_open(&kube->config, s->kubeconfig);
	if (!err)
		err = watches_open(kube, host, s);
	if (err)
		kube_close(kube);
	else
		*state = kube;
	return err;
}

const struct provider kubernetes_provider = {
	.name = "kubernetes",
	.options = kube_options,
	.settings_size = sizeof(struct kube_settings),
	.wanted = is_wanted,
	.open = kube_open,
	.close = kube_close,
};
