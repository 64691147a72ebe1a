/* SPDX-License-Identifier: Apache-2.0 */
/* What of our rules the kernel is seen to hold no longer. */
#include "inner.h"

const char *filter_lost(struct filter *filter)
{
	const char *what = monitor_read(&filter->monitor);

	if (!filter->begun)
		return NULL;
	if (what)
		filter->applied = false;
	else if (!filter->applied)
		what = "what table inet " RULESET_TABLE " holds is not known";
	return what;
}
