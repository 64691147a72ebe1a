/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdio.h>

static void row_help(const struct option_row *row)
{
	const char *argument = row->argument ? row->argument : "";

	if (row->takes == OPTION_OPTIONAL)
		printf("  --%s [%s]\n", row->name, argument);
	else
		printf("  --%s%s%s\n", row->name, row->argument ? " " : "",
		       argument);
	printf("      %s\n      %s", row->variable, row->help);
	if (row->otherwise)
		printf(" (default: %s)", row->otherwise);
	putchar('\n');
}

void options_help(const struct option_table *tables, size_t n)
{
	puts("usage: opensandbox-discovery --gateway URL [OPTION...] "
	     "PROVIDER...\n\n"
	     "Watches container engines and clusters for sandboxes, and feeds "
	     "what it finds to\na gateway, and policies to the node's egress "
	     "agent.\n\n"
	     "Each option can be given in the environment too; the command "
	     "line wins.\n");
	for (size_t i = 0; i < n; i++)
		for (const struct option_row *r = tables[i].rows; r->name; r++)
			row_help(r);
	puts("  --help\n  --version");
}
