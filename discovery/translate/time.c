/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <ctype.h>
#include <string.h>

enum {
	YEAR,
	MONTH,
	DAY,
	HOUR,
	MINUTE,
	SECOND,
	PARTS,
};

/* Do the parts name a moment that there is? A second of 60 is a leap. */
static bool exists(const int *part)
{
	static const int months[] = {31, 28, 31, 30, 31, 30,
				     31, 31, 30, 31, 30, 31};
	int year = part[YEAR], days;

	if (year < 1 || part[MONTH] < 1 || part[MONTH] > 12)
		return false;
	days = months[part[MONTH] - 1];
	if (part[MONTH] == 2 && year % 4 == 0 &&
	    (year % 100 != 0 || year % 400 == 0))
		days++;
	return part[DAY] >= 1 && part[DAY] <= days && part[HOUR] <= 23 &&
	       part[MINUTE] <= 59 && part[SECOND] <= 60;
}

/* Is it, at an offset of minutes, in one of the years 0001 to 9999 of UTC? */
static bool in_range(const int *part, int offset)
{
	static const int day = 24 * 60;
	int minute = part[HOUR] * 60 + part[MINUTE] - offset;

	if (part[YEAR] == 1 && part[MONTH] == 1 && part[DAY] == 1)
		return minute >= 0;
	if (part[YEAR] == 9999 && part[MONTH] == 12 && part[DAY] == 31)
		return minute + part[SECOND] / 60 < day;
	return true;
}

/* Read as format says: d is a digit of the part at hand, any other character
 * is itself and ends the part. Returns what follows, or NULL. */
static const char *read_parts(const char *text, const char *format, int *part)
{
	for (; *format; format++, text++) {
		if (*format == 'd' && isdigit((unsigned char)*text))
			*part = *part * 10 + (*text - '0');
		else if (*format != 'd' &&
			 toupper((unsigned char)*text) == *format)
			part++;
		else
			return NULL;
	}
	return text;
}

bool time_is_valid(const char *text)
{
	int part[PARTS] = {0}, offset[2] = {0}, sign;

	text = read_parts(text, "dddd-dd-ddTdd:dd:dd", part);
	if (!text || !exists(part))
		return false;
	if (*text == '.') {
		size_t digits = strspn(text + 1, "0123456789");

		if (digits == 0)
			return false;
		text += 1 + digits;
	}
	if (toupper((unsigned char)*text) == 'Z')
		return text[1] == '\0' && in_range(part, 0);
	if (*text != '+' && *text != '-')
		return false;
	sign = *text == '-' ? -1 : 1;
	text = read_parts(text + 1, "dd:dd", offset);
	return text && *text == '\0' && offset[0] <= 23 && offset[1] <= 59 &&
	       in_range(part, sign * (offset[0] * 60 + offset[1]));
}
