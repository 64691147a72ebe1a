/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandboxes of a Docker or Podman engine: the containers with the label
 * opensandbox.io/id, by the Engine API.
 */
#ifndef DISCOVERY_DOCKER_H
#define DISCOVERY_DOCKER_H

#include "provider.h"

extern const struct provider docker_provider;

#endif
