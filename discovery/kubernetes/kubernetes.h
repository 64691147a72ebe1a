/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandboxes that a Kubernetes cluster has: BatchSandboxes, Sandboxes of
 * agents.x-k8s.io, pods.
 */
#ifndef DISCOVERY_KUBERNETES_H
#define DISCOVERY_KUBERNETES_H

#include "provider.h"

extern const struct provider kubernetes_provider;

#endif
