/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP interface share. */
#ifndef EGRESS_API_INNER_H
#define EGRESS_API_INNER_H

#include "api.h"
#include "sandbox/sandbox.h"

struct outlets;

/* metrics.c: the counters of sandboxes in Prometheus' text format (version
 * 0.0.4). The names are those of OpenSandbox's meters, spelled as Prometheus
 * spells them. */

/* The whole page, the caller's to free; NULL when out of memory. */
char *metrics_text(const struct sandbox_list *list,
		   const struct settings *settings,
		   const struct outlets *outlets);

/* browser.c: why a page that a browser shows may not ask while there is no
 * token to tell who does; NULL: it may, or none asks. */
const char *foreign_page(const struct server_request *request);

/* peer.c */

/*
 * Is the client of this accepted connection a process of our own user or of
 * root, in our network namespace? The kernel is asked for the owner of the
 * client's socket (sock_diag(7)); false where it does not say, as for a
 * client that has closed its end.
 */
bool peer_is_ours(int fd);

#endif
