/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER   "/var/run/secrets/kubernetes.io/serviceaccount"
#define ENV_HOST "KUBERNETES_SERVICE_HOST"
#define ENV_PORT "KUBERNETES_SERVICE_PORT"

static int open_account(struct kube_file *file, const char *name)
{
	char path[128];
	int err;

	snprintf(path, sizeof(path), "%s/%s", FOLDER, name);
	err = kube_file_open(file, path);
	if (err)
		log_fatal("--kubernetes: \"%s\": %s; outside of a cluster use "
			  "--kubeconfig FILE",
			  path, strerror(-err));
	return err;
}

/* Of the service account of the pod that we are in. */
static int read_pod(struct kube_config *config)
{
	const char *host = getenv(ENV_HOST), *port = getenv(ENV_PORT);
	bool brackets;
	int err;

	if (!host || !host[0] || !port || !port[0]) {
		log_fatal("--kubernetes: expected " ENV_HOST " and " ENV_PORT
			  ", as a pod has them; outside of a cluster use "
			  "--kubeconfig FILE");
		return -EINVAL;
	}
	brackets = strchr(host, ':') && host[0] != '[';
	if (asprintf(&config->server, "https://%s%s%s:%s", brackets ? "[" : "",
		     host, brackets ? "]" : "", port) < 0) {
		config->server = NULL;
		return -ENOMEM;
	}
	err = open_account(&config->token, "token");
	return err ? err : open_account(&config->authorities, "ca.crt");
}

int kube_config_open(struct kube_config *config, const char *kubeconfig)
{
	char why[CONFIG_WHY_MAX];
	int err;

	if (!kubeconfig[0])
		return read_pod(config);
	err = kubeconfig_read(config, kubeconfig, why);
	if (err)
		log_fatal("--kubeconfig: \"%s\": %s", kubeconfig,
			  why[0] ? why : strerror(-err));
	else if (config->unverified)
		log_event(LOG_WARN, "discovery.unverified",
			  "insecure-skip-tls-verify: whoever answers is taken "
			  "for the API server",
			  "sserver", config->server, NULL);
	return err;
}

void kube_config_close(struct kube_config *config)
{
	free(config->server);
	free(config->connect_to);
	kube_file_close(&config->authorities);
	kube_file_close(&config->certificate);
	kube_file_close(&config->key);
	kube_file_close(&config->token);
	*config = (struct kube_config){.server = NULL};
}
