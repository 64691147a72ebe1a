/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces: name one, and make sockets that belong to it. A socket
 * stays in the namespace it was made in, whatever its holder does later
 * (setns(2), network_namespaces(7)).
 */
#ifndef EGRESS_NETNS_H
#define EGRESS_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Open a namespace by NAME (below /run/netns), by absolute path, or that of a
 * process. Returns a file descriptor (close-on-exec) that the caller closes,
 * or -errno: -ENOENT, -EINVAL where the file is no network namespace. */
int netns_open(const char *name_or_path);
int netns_open_pid(pid_t pid);

/* Is the calling thread already in it? */
bool netns_is_current(int ns);

/* device and inode number: two descriptors of one namespace have the same. */
int netns_identity(int ns, uint64_t identity[2]);

/*
 * Run work(arg) with the calling thread inside the namespace (ns -1: where it
 * is) and come back. Returns what work returned, or -errno of setns(2), when
 * work has not run. A failure to come back ends the process: nothing sane can
 * follow. Needs CAP_SYS_ADMIN unless ns is -1 or current.
 */
int netns_run(int ns, int (*work)(void *arg), void *arg);

/* Bring its loopback device up, as whoever made it may not have; nothing where
 * it is up (netdevice(7)). 0 or -errno. Needs CAP_NET_ADMIN. */
int netns_loopback_up(int ns);

/* socket(2) inside it, close-on-exec and non-blocking; -errno. */
int netns_socket(int ns, int domain, int type, int protocol);

#endif
