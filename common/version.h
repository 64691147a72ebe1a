/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of everything in this repository, by https://semver.org, and the
 * one place where it stands. CHANGELOG.md's newest heading is the same.
 */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define OPENSANDBOX_VERSION "0.9.0"

#endif
