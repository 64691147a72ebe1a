/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program gives up for good once it has begun.
 */
#ifndef COMMON_CONFINE_H
#define COMMON_CONFINE_H

#include <stddef.h>

/*
 * Drop all capabilities but these n (CAP_*), of which those stay that we have;
 * set no_new_privs (prctl(2)); and have the kernel answer EPERM to system calls
 * that neither program needs: new programs, other processes' memory, mounts,
 * modules, keys, BPF, the clock (seccomp(2)). more adds rules of the program's
 * own to a scmp_filter_ctx, NULL: none; 0 or -errno. 0 or -errno; what was
 * given up until an error stays so.
 */
int confine(const unsigned *capabilities, size_t n, int (*more)(void *filter));
/* For more: EPERM to these n calls (SCMP_SYS()). 0 or -errno. */
int confine_forbid(void *filter, const int *calls, size_t n);

#endif
