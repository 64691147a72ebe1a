/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <string.h>

static const char *const field_names[HTTP_FIELD_OTHER] = {
	[HTTP_HOST] = "host",
	[HTTP_CONTENT_LENGTH] = "content-length",
	[HTTP_TRANSFER_ENCODING] = "transfer-encoding",
	[HTTP_UPGRADE] = "upgrade",
	[HTTP_HTTP2_SETTINGS] = "http2-settings",
	[HTTP_EXPECT] = "expect",
};

static bool is_letter(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

bool http_token_char(uint8_t c)
{
	return is_letter(c) || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_text_is(struct http_text text, const char *word)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (word[i] == '\0' ||
		    (is_letter(c) ? c | 0x20 : c) != (uint8_t)word[i])
			return false;
	}
	return word[text.len] == '\0';
}

int http_line(const uint8_t *bytes, size_t n, size_t *seen)
{
	size_t i;

	for (i = *seen; i < n; i++) {
		uint8_t c = bytes[i];

		if ((c >= ' ' && c != 0x7f) || c == '\t')
			continue;
		if (c != '\r')
			return -EBADMSG;
		if (i + 1 == n)
			break;
		return bytes[i + 1] == '\n' ? (int)(i + 2) : -EBADMSG;
	}
	*seen = i;
	return 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

int http_field_read(struct http_text line, struct http_text *value)
{
	struct http_text name = {line.at, 0};
	const uint8_t *end = line.at + line.len;
	int field = 0;

	while (name.len < line.len && http_token_char(line.at[name.len]))
		name.len++;
	if (name.len == 0 || name.len == line.len || line.at[name.len] != ':')
		return -EBADMSG;
	value->at = line.at + name.len + 1;
	while (value->at < end && is_blank(value->at[0]))
		value->at++;
	while (value->at < end && is_blank(end[-1]))
		end--;
	value->len = (size_t)(end - value->at);
	while (field < HTTP_FIELD_OTHER &&
	       !http_text_is(name, field_names[field]))
		field++;
	return field;
}
