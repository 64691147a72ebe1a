/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the kernel and the disk: network namespaces, sockets in
 * them, privileges, files that are replaced whole, folders that are watched.
 */
#ifndef EGRESS_HOST_H
#define EGRESS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

struct settings;

/* listeners.c: the sockets on which a sandbox's DNS is answered: one port, on
 * 127.0.0.1 and, where the namespace has IPv6, on ::1, for UDP and TCP. The
 * packet filter sends everything to port 53 there. Beside them, on a port of
 * their own, those of the gate, where it sends the gate's connections. */

struct listeners {
	int udp4, tcp4, udp6, tcp6; /* -1: none */
	uint16_t port;              /* host order */
	int gate4, gate6;           /* -1: none */
	uint16_t gate_port;         /* host order */
};

#define LISTENERS_NONE                                                       \
	{                                                                    \
		.udp4 = -1, .tcp4 = -1, .udp6 = -1, .tcp6 = -1, .gate4 = -1, \
		.gate6 = -1                                                  \
	}

/*
 * Bring the namespace's (-1: our own) loopback up, for a new one's is down and
 * nobody would be answered, and bind them there to the port (host order) that
 * the process before us had, if it is free within wait_ms milliseconds (it may
 * be about to end); else, and if port is 0, to OpenSandbox's own, 15353; else
 * to one that the kernel chooses: a hostile sandbox cannot occupy it
 * beforehand. Bound, non-blocking, TCP listening. 0 or -errno; on error nothing
 * is open.
 */
int listeners_open(struct listeners *l, int netns, uint16_t port,
		   unsigned wait_ms);
/* Those of the gate, on port 15380 or one that the kernel chooses. The others
 * stay as they are. 0 or -errno; on error none of them is open. */
int listeners_open_gate(struct listeners *l, int netns);
/* Do those of the gate listen still? */
bool listeners_have_gate(const struct listeners *l);
void listeners_close(struct listeners *l);

/* netns.c: name a namespace, and make sockets that belong to it. A socket stays
 * in the namespace it was made in, whatever its holder does later (setns(2),
 * network_namespaces(7)). */

/* Open a namespace by NAME (below /run/netns), by absolute path, or that of a
 * process. Returns a file descriptor (close-on-exec) that the caller closes,
 * or -errno: -ENOENT, -EINVAL where the file is no network namespace. */
int netns_open(const char *name_or_path);
int netns_open_pid(pid_t pid);

/* Is the calling thread already in it? */
bool netns_is_current(int ns);

/* device and inode number: two descriptors of one namespace have the same. 0 or
 * -errno. */
int netns_identity(int ns, uint64_t identity[2]);

/*
 * Run work(arg) with the calling thread inside the namespace (ns -1: where it
 * is) and come back. Returns what work returned, or -errno of setns(2), when
 * work has not run. A failure to come back ends the process: nothing sane can
 * follow. Needs CAP_SYS_ADMIN unless ns is -1 or current.
 */
int netns_run(int ns, int (*work)(void *arg), void *arg);

/*
 * Our user, uid, as the namespace (-1: ours) sees it, in "meta skuid" of its
 * packet filter: one whose user namespace (user_namespaces(7)) is not ours may
 * have another number for it, or none, and shows the overflow user then.
 */
uint32_t netns_user(int ns, uint32_t uid);

/* socket(2) inside it, close-on-exec and non-blocking; -errno. */
int netns_socket(int ns, int domain, int type, int protocol);

/* outward.c: sockets of ours that speak to the outside from within the
 * sandbox's own namespace (sidecar mode). The packet filter lets them out by
 * their mark; a sandbox with CAP_NET_RAW sees what they send, and could answer
 * first, in the peer's name, over loopback. */

/*
 * A socket that is to be connected to peer, closed on exec; type and protocol
 * as socket(2) has them. It is marked (SO_MARK, socket(7)) and drops what
 * arrives over loopback (a classic socket filter on the device's index), unless
 * peer is an address of the namespace, which is nowhere else to be met. mark 0:
 * neither is done. The caller's to close, or -errno.
 */
int outward_socket(uint32_t mark, const struct sockaddr *peer, int type,
		   int protocol);

/* policy_file.c: files that are replaced as a whole or not at all, and are on
 * the disk before they are named (rename(2), fsync(2)), where their place
 * allows that. */

/* A replacement that has been written beside its place, or that waits in
 * memory where nothing can be put there. */
struct policy_file {
	char path[4096];      /* "": there is none */
	char temporary[4112]; /* in the same folder; "": only text */
	int folder;           /* open for syncing it; -1: none */
	char *text;           /* owned */
	size_t len;           /* bytes of text */
};

#define POLICY_FILE_NONE                                  \
	{                                                 \
		.path = "", .temporary = "", .folder = -1 \
	}

/*
 * Write text and a newline to a temporary file in path's folder, or that of
 * the file that path is a link to, and sync both. It gets the mode and owner of
 * the file that it is to replace, and without one is its owner's alone. 0 or
 * -errno (-ENOSPC, -EROFS, -EACCES, ...); on error nothing is left.
 */
int policy_file_prepare(struct policy_file *file, const char *path,
			const char *text, size_t len);

/* Rename it into its place and sync the folder. 0 or -errno; on error the old
 * file is whole and the temporary one gone. Once renamed it is what the next
 * start reads, so that a folder which cannot be synced then is no error: it is
 * logged that a power cut may bring back the old file. A file that is a mount
 * point, or whose folder takes none beside it, is written over instead: the one
 * case in which a power cut may leave half of it. Does nothing where there is
 * none. */
int policy_file_commit(struct policy_file *file);
void policy_file_abandon(struct policy_file *file);

/* Read a whole file of at most max bytes. 0 or -errno (-ENOENT, -EFBIG, ...);
 * *text is NUL-terminated and the caller's to free. */
int policy_file_read(const char *path, size_t max, char **text, size_t *len);

/* token_file.c: an option_read of a file (options.h): its first line, which is
 * a token, goes into a char * as by option_heap_text(). */
struct option_to;
int option_token_file(const struct option_to *to, const char *value, char *why);

/* privileges.c: check that what the program may do is enough, then give up the
 * rest. */

/* The name of the first capability that settings need and the process lacks;
 * NULL: none (capabilities(7)). */
const char *privileges_missing(const struct settings *settings);

/*
 * Keep CAP_NET_ADMIN (netfilter, SO_MARK), in agent mode CAP_SYS_ADMIN
 * (setns(2)), CAP_SYS_PTRACE and CAP_NET_RAW (AF_XDP), in join mode with a gate
 * the first of them, for a policy file CAP_DAC_OVERRIDE and CAP_CHOWN, for an
 * agent's folder the former, as far as the process has them. Drop every other
 * from all sets, and from the bounding set where CAP_SETPCAP allows that; set
 * no_new_privs; and have calls fail with EPERM that nothing here makes
 * (seccomp(2)): running programs, tracing, making namespaces, mounting, loading
 * code into the kernel, keys, clocks, swap. 0 or -errno.
 */
int privileges_drop(const struct settings *settings);

/* protocol.c: IP protocols by name, as log lines show them. */

enum {
	PROTOCOL_TEXT_MAX = 8
};

/* "tcp", "udp", "icmp", ..., or the number; out has PROTOCOL_TEXT_MAX bytes.
 * Returns the text, which is out or a constant. */
const char *protocol_to_text(uint8_t protocol, char *out);

/* The way back. 0 or -EINVAL. */
int protocol_from_text(uint8_t *protocol, const char *text);

/* watch.c: a folder of files that may not exist yet. Built on inotify(7):
 * nothing wakes up while nothing changes. */

struct folder_watch;

/*
 * Call changed(arg) within a second of a change to a file in folder, once for
 * a burst of changes. While the folder is missing its nearest parent that
 * exists is watched. 0 or -errno.
 */
int folder_watch_open(struct folder_watch **out, uv_loop_t *loop,
		      const char *folder, void (*changed)(void *arg),
		      void *arg);
void folder_watch_close(struct folder_watch *watch);

#endif
