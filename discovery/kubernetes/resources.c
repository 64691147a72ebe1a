/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

static const struct scan_want labels[] = {
	{.key = LABEL_ID},
	{.key = NULL},
};

static const struct scan_want annotations[] = {
	{.key = ANNOTATION_ENDPOINTS}, {.key = LABEL_ACCESS_TOKEN},
	{.key = LABEL_EXPOSE},         {.key = LABEL_EXPIRES_AT},
	{.key = LABEL_POLICY},         {.key = NULL},
};

static const struct scan_want metadata[] = {
	{.key = "name"},
	{.key = "namespace"},
	{.key = "uid"},
	{.key = "resourceVersion"},
	{.key = "labels", .members = labels},
	{.key = "annotations", .members = annotations},
	{.key = NULL},
};

static const struct scan_want spec[] = {
	{.key = "hostNetwork"},
	{.key = NULL},
};

static const struct scan_want status[] = {
	{.key = "ready"},  {.key = "phase"},       {.key = "podIP"},
	{.key = "podIPs"}, {.key = "serviceFQDN"}, {.key = "conditions"},
	{.key = NULL},
};

const struct scan_want kube_object_wants[] = {
	{.key = "code"}, /* of a Status, which ERROR events have */
	{.key = "message"},
	{.key = "metadata", .members = metadata},
	{.key = "spec", .members = spec},
	{.key = "status", .members = status},
	{.key = NULL},
};

const struct kube_resource kube_resources[RESOURCES] = {
	{"batchsandbox",
	 "sandbox.opensandbox.io",
	 "batchsandboxes",
	 {"v1alpha1"},
	 "",
	 translate_batchsandbox},
	{"agent-sandbox",
	 "agents.x-k8s.io",
	 "sandboxes",
	 {"v1beta1", "v1alpha1"},
	 "",
	 translate_agent_sandbox},
	{"pod",
	 "",
	 "pods",
	 {"v1"},
	 "&labelSelector=opensandbox.io%2Fid",
	 translate_pod},
};

const struct kube_resource kube_node_pods = {"",     "", "pods",
					     {"v1"}, "", translate_node_pod};
