/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests over a unix socket: answers in pieces, answers that do not
 * come, requests that begin and end while others are read. */
#include "http/http.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define OK      "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

enum {
	CONNECTIONS = 2,
	PIECES_MAX = 8,
};

/* The server: what it says on each connection, piece by piece. */
static struct {
	const char *pieces[CONNECTIONS][PIECES_MAX]; /* NULL ends them */
	unsigned pause_ms;                           /* before each */
	bool hangs; /* after the last one, until the client goes */
	int connections;
	char request[CONNECTIONS][4096];
} script;

static int listen_fd;
static char path[64];

static uv_loop_t loop;
static struct fetcher *fetcher;
static struct fetch *first, *second;
static char seen[4096]; /* pieces of a streamed answer, a | after each */
static char result[4096];
static unsigned results;
static char request_seen[4096]; /* of the first connection */

static void converse(int fd, int n)
{
	ssize_t len =
		read(fd, script.request[n], sizeof(script.request[n]) - 1);

	script.request[n][len > 0 ? len : 0] = '\0';
	for (size_t i = 0; i < PIECES_MAX && script.pieces[n][i]; i++) {
		const char *piece = script.pieces[n][i];

		usleep(script.pause_ms * 1000);
		if (send(fd, piece, strlen(piece), MSG_NOSIGNAL) < 0)
			break;
	}
}

static void *server_thread(void *arg)
{
	(void)arg;
	for (int n = 0; n < script.connections; n++) {
		int fd = accept(listen_fd, NULL, NULL);
		char byte;

		converse(fd, n);
		while (script.hangs && read(fd, &byte, 1) > 0)
			;
		close(fd);
	}
	return NULL;
}

static void on_done(void *arg, const struct fetch_result *r)
{
	size_t at = strlen(result);

	*(struct fetch **)arg = NULL;
	results++;
	snprintf(result + at, sizeof(result) - at, "[%ld %s %s %ld]", r->status,
		 r->error ? r->error : "", r->body, r->retry_after_s);
}

static struct fetch_request request_of(const char *url)
{
	return (struct fetch_request){.url = url,
				      .method = "GET",
				      .socket = path,
				      .timeout_ms = 20000,
				      .answer_max = 1000};
}

/* Run the request against the script until nothing is left to do. */
static void run(const struct fetch_request *request)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	pthread_t thread;

	snprintf(path, sizeof(path), "/tmp/http_fetch_test-%d.sock", getpid());
	unlink(path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listen_fd, (void *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listen_fd, 4), 0);
	assert_int_equal(pthread_create(&thread, NULL, server_thread, NULL), 0);
	seen[0] = result[0] = '\0';
	results = 0;
	uv_loop_init(&loop);
	assert_int_equal(fetcher_open(&fetcher, &loop, NULL), 0);
	assert_int_equal(fetch_start(fetcher, request, on_done, &first, &first),
			 0);
	while (first || second)
		uv_run(&loop, UV_RUN_ONCE);
	fetcher_close(fetcher);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	pthread_join(thread, NULL);
	close(listen_fd);
	unlink(path);
	memcpy(request_seen, script.request[0], sizeof(request_seen));
	memset(&script, 0, sizeof(script));
}

static void keep_piece(void *arg, const char *piece, size_t len)
{
	size_t at = strlen(seen);

	(void)arg;
	snprintf(seen + at, sizeof(seen) - at, "%.*s|", (int)len, piece);
}

static void keep_begin(void *arg)
{
	(void)arg;
	strcat(seen, "begun|");
}

static void test_begun(void **state)
{
	struct fetch_request request = request_of("http://localhost/");

	(void)state;
	request.begun = keep_begin;
	request.data = keep_piece;
	script.connections = 1;
	memcpy(script.pieces[0],
	       ((const char *[]){"HTTP/1.1 100 Continue\r\n\r\n", CHUNKED,
				 "3\r\none\r\n", "0\r\n\r\n"}),
	       4 * sizeof(char *));
	run(&request);
	assert_string_equal(seen, "begun|one|");
	script.connections = 1;
	script.pieces[0][0] = "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n";
	run(&request);
	assert_string_equal(seen, "");
}

static void test_pieces(void **state)
{
	struct fetch_request request = request_of("http://localhost/watch?a=1");

	(void)state;
	script.connections = 1;
	script.pause_ms = 20;
	memcpy(script.pieces[0],
	       ((const char *[]){CHUNKED, "3\r\none\r\n", "3\r\ntwo\r\n",
				 "0\r\n\r\n"}),
	       4 * sizeof(char *));
	request.data = keep_piece;
	request.answer_max = 1;
	run(&request);
	assert_string_equal(seen, "one|two|");
	assert_string_equal(result, "[200   0]");
}

static void test_error_is_kept(void **state)
{
	struct fetch_request request = request_of("http://localhost/watch");

	(void)state;
	script.connections = 1;
	script.pieces[0][0] = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n"
			      "Content-Length: 4\r\n\r\nlate";
	request.data = keep_piece;
	run(&request);
	assert_string_equal(seen, "");
	assert_string_equal(result, "[429  late 7]");
}

static void test_idle(void **state)
{
	struct fetch_request request = request_of("http://localhost/watch");

	(void)state;
	script.connections = 1;
	script.hangs = true;
	memcpy(script.pieces[0], ((const char *[]){CHUNKED, "3\r\none\r\n"}),
	       2 * sizeof(char *));
	request.data = keep_piece;
	request.idle_ms = 300;
	request.timeout_ms = 0;
	run(&request);
	assert_string_equal(seen, "one|");
	assert_string_equal(result, "[0 nothing arrived for 300 ms  0]");
}

/* As long as something arrives, it may last. */
static void test_not_idle(void **state)
{
	struct fetch_request request = request_of("http://localhost/watch");

	(void)state;
	script.connections = 1;
	script.pause_ms = 400;
	memcpy(script.pieces[0],
	       ((const char *[]){CHUNKED, "1\r\na\r\n", "1\r\nb\r\n",
				 "1\r\nc\r\n", "1\r\nd\r\n", "0\r\n\r\n"}),
	       6 * sizeof(char *));
	request.data = keep_piece;
	request.idle_ms = 1500;
	request.timeout_ms = 0;
	run(&request);
	assert_string_equal(seen, "a|b|c|d|");
	assert_string_equal(result, "[200   0]");
}

static void cancel_at_piece(void *arg, const char *piece, size_t len)
{
	keep_piece(arg, piece, len);
	fetch_cancel(first);
	first = NULL;
}

static void test_cancelled_within(void **state)
{
	struct fetch_request request = request_of("http://localhost/watch");

	(void)state;
	script.connections = 1;
	script.hangs = true;
	memcpy(script.pieces[0],
	       ((const char *[]){CHUNKED "3\r\none\r\n3\r\ntwo\r\n"}),
	       sizeof(char *));
	request.data = cancel_at_piece;
	run(&request);
	assert_string_equal(seen, "one|");
	assert_int_equal(results, 0);
}

static void start_at_piece(void *arg, const char *piece, size_t len)
{
	struct fetch_request request = request_of("http://localhost/second");

	keep_piece(arg, piece, len);
	assert_int_equal(
		fetch_start(fetcher, &request, on_done, &second, &second), 0);
}

static void test_started_within(void **state)
{
	struct fetch_request request = request_of("http://localhost/watch");

	(void)state;
	script.connections = 2;
	script.pieces[0][0] = OK "Connection: close\r\n\r\none";
	script.pieces[1][0] = OK "Content-Length: 3\r\n\r\ntwo";
	request.data = start_at_piece;
	run(&request);
	assert_string_equal(seen, "one|");
	assert_int_equal(results, 2);
	assert_non_null(strstr(result, "[200  two 0]"));
}

static void test_lent_body(void **state)
{
	struct fetch_request request = request_of("http://localhost/put");
	char body[] = "12345 and more";

	(void)state;
	script.connections = 1;
	script.pieces[0][0] = OK "Content-Length: 0\r\n\r\n";
	request.method = "PUT";
	request.body = body;
	request.body_len = 5;
	request.body_lent = true;
	run(&request);
	assert_string_equal(result, "[200   0]");
	assert_non_null(strstr(request_seen, "\r\nContent-Length: 5\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begun),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_error_is_kept),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_not_idle),
		cmocka_unit_test(test_cancelled_within),
		cmocka_unit_test(test_started_within),
		cmocka_unit_test(test_lent_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
