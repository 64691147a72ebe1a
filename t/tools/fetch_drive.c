/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch_drive URL AUTHORITIES [CERTIFICATE KEY]...
 *
 * Fetch URL once for each certificate, or once without one, one after another
 * in one process, over HTTP/2 where the server has it; say "STATUS BODY" or
 * "error: ..." of each. The rest are PEM files, "-" for the system's
 * authorities.
 */
#include "http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FILE_MAX = 64 * 1024
};

static char *file_text(const char *path)
{
	char *text = calloc(1, FILE_MAX);
	FILE *in = fopen(path, "r");

	if (!in || !text || fread(text, 1, FILE_MAX - 1, in) == 0) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(2);
	}
	fclose(in);
	return text;
}

static void on_done(void *arg, const struct fetch_result *result)
{
	*(struct fetch **)arg = NULL;
	if (result->error)
		printf("error: %s\n", result->error);
	else
		printf("%ld %s\n", result->status, result->body);
}

int main(int argc, char **argv)
{
	struct fetch_tls tls = {.authorities = NULL};
	struct fetch_request request = {.method = "GET",
					.timeout_ms = 20000,
					.answer_max = 65536,
					.tls = &tls,
					.http2 = true};
	struct fetcher *fetcher;
	struct fetch *fetch;
	uv_loop_t loop;
	int i = 3;

	if (argc < 3 || uv_loop_init(&loop) ||
	    fetcher_open(&fetcher, &loop, NULL))
		return 2;
	request.url = argv[1];
	if (strcmp(argv[2], "-") != 0)
		tls.authorities = file_text(argv[2]);
	do {
		char *certificate = i + 1 < argc ? file_text(argv[i]) : NULL;
		char *key = i + 1 < argc ? file_text(argv[i + 1]) : NULL;

		tls.certificate = certificate;
		tls.key = key;
		if (fetch_start(fetcher, &request, on_done, &fetch, &fetch))
			return 2;
		/* What was given is copied. */
		free(certificate);
		free(key);
		while (fetch)
			uv_run(&loop, UV_RUN_ONCE);
		i += 2;
	} while (i < argc);
	free((char *)tls.authorities);
	fetcher_close(fetcher);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) ? 2 : 0;
}
