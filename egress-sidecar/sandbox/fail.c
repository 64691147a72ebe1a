/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdarg.h>
#include <stdio.h>

int sandbox_fail(char *message, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message, MESSAGE_SIZE, format, args);
	va_end(args);
	return err;
}
