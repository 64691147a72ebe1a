/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISCOVERY_TRANSLATE_INNER_H
#define DISCOVERY_TRANSLATE_INNER_H

#include "translate.h"

/* translate/time.c */

/* Is it a time as RFC 3339 has it? */
bool time_is_valid(const char *text);

#endif
