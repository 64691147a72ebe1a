/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISCOVERY_PRIVILEGES_H
#define DISCOVERY_PRIVILEGES_H

#include <stdbool.h>

/*
 * Drop every capability (capabilities(7)), but, where sockets are to be
 * connected to that may be another user's, CAP_DAC_OVERRIDE, if the process
 * has it; from the bounding set too where CAP_SETPCAP allows that. Set
 * no_new_privs; and have calls fail with EPERM (seccomp(2)): those that open
 * for writing or change files, run programs, trace, make namespaces, mount,
 * load code into the kernel, keys, clocks, swap. 0 or -errno.
 */
int privileges_drop(bool sockets);

#endif
