/* SPDX-License-Identifier: Apache-2.0 */
#include "api/inner.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	BODY_MAX = 1000,
	UNTRUSTED = 16, /* connections that they share */
};

/* A server in this thread's loop, its client in another thread. */
static uv_loop_t loop;
static uv_async_t stop;
static struct server *server;
static int listen_fd;
static uint16_t port;
static char result[512];

static void answer(void *arg, const struct server_request *r,
		   struct reply *reply)
{
	(void)arg;
	if (strcmp(r->path, "/nothing") == 0)
		*reply = (struct reply){.status = 204};
	else if (r->too_large)
		reply_text(reply, 413, "too large");
	else
		reply_text(reply, 200, "%s %s %zu %s %s", r->method, r->path,
			   r->len, server_argument(r, "q"),
			   server_header(r, "x-test"));
}

static bool everybody(void *arg, const struct sockaddr *peer)
{
	(void)arg;
	return peer != NULL;
}

static void on_stop(uv_async_t *async)
{
	server_close(server);
	uv_close((uv_handle_t *)async, NULL);
}

static void *client_thread(void *client)
{
	void (*run)(void);

	memcpy(&run, client, sizeof(run));
	run();
	uv_async_send(&stop);
	return NULL;
}

static void serve(struct server_settings *settings, void (*client)(void))
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	pthread_t thread;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listen_fd, (void *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listen_fd, 64), 0);
	assert_int_equal(getsockname(listen_fd, (void *)&sin, &len), 0);
	port = ntohs(sin.sin_port);
	settings->listen_fd = listen_fd;
	settings->body_max = BODY_MAX;
	settings->answer = answer;
	result[0] = '\0';
	uv_loop_init(&loop);
	uv_async_init(&loop, &stop, on_stop);
	assert_int_equal(server_open(&server, &loop, settings), 0);
	assert_int_equal(pthread_create(&thread, NULL, client_thread, &client),
			 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	assert_int_equal(uv_loop_close(&loop), 0);
	close(listen_fd);
}

static int dial(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (void *)&sin, sizeof(sin)) < 0)
		perror("connect");
	return fd;
}

/* What the server sends until it closes, or until timeout_ms of silence. */
static void listen_to(int fd, int timeout_ms, char *text, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && poll(&p, 1, timeout_ms) == 1) {
		n = read(fd, text + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
}

static void talk(const char *text)
{
	int fd = dial();

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		perror("write");
	listen_to(fd, 5000, result, sizeof(result));
	close(fd);
}

static void whole_request(void)
{
	talk("PUT /a%20b?q=x%2fy HTTP/1.1\r\nHost: h\r\nX-Test: t\r\n"
	     "Content-Length: 3\r\nConnection: close\r\n\r\nabc");
}

static void request_comes_whole(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, whole_request);
	assert_non_null(strstr(result, "HTTP/1.1 200 "));
	assert_non_null(strstr(result, "\r\n\r\nPUT /a b 3 x/y t\n"));
}

static void head_request(void)
{
	talk("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
}

static void head_has_no_body(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, head_request);
	assert_non_null(strstr(result, "HTTP/1.1 200 "));
	assert_string_equal(strstr(result, "\r\n\r\n"), "\r\n\r\n");
}

static void no_content(void)
{
	talk("GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
}

static void nothing_to_say(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, no_content);
	assert_non_null(strstr(result, "HTTP/1.1 204 "));
}

static const char *framing;

static void framed(void)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "PUT /a HTTP/1.1\r\nHost: x\r\n%s"
		 "Connection: close\r\n\r\n",
		 framing);
	talk(text);
}

/* What one reader takes for the end of a body another may not. */
static void doubtful_ends_of_a_body(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 2\r\nContent-Length: 3\r\n",
		"Content-Length: 3\r\ncontent-length: 3\r\n",
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
		"Transfer-Encoding: gzip\r\n",
		"Transfer-Encoding: identity\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct server_settings settings = {0};

		framing = bad[i];
		serve(&settings, framed);
		assert_ptr_equal(strstr(result, "HTTP/1.1 400"), result);
	}
}

static void large_body(void)
{
	static char text[2 * BODY_MAX];
	int n = snprintf(text, sizeof(text),
			 "PUT /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
			 "Content-Length: %d\r\n\r\n",
			 BODY_MAX + 1);

	memset(text + n, 'x', BODY_MAX + 1);
	text[n + BODY_MAX + 1] = '\0';
	talk(text);
}

static void too_large(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, large_body);
	assert_non_null(strstr(result, "HTTP/1.1 413 "));
}

/* Asks first, and sends nothing unless told to. */
static void asked_first(void)
{
	static char text[256];

	snprintf(text, sizeof(text),
		 "PUT /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
		 "Expect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		 BODY_MAX + 1);
	talk(text);
}

static void asked_first_is_told_at_once(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, asked_first);
	assert_int_equal(strncmp(result, "HTTP/1.1 413 ", 13), 0);
}

/* Sends for as long as the server reads; result is what it took, in KiB. */
static void endless_body(void)
{
	static const char head[] = "PUT /x HTTP/1.1\r\nHost: h\r\n"
				   "Content-Length: 100000000000\r\n\r\n";
	static char block[1024];
	int fd = dial();
	unsigned sent = 0;

	if (send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL) > 0)
		while (sent < 100000 &&
		       send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
			sent++;
	snprintf(result, sizeof(result), "%s",
		 sent < 100000 ? "cut off" : "taken");
	close(fd);
}

static void endless_body_is_cut_off(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, endless_body);
	assert_string_equal(result, "cut off");
}

/* A byte of a header every 20 ms, for as long as the server listens. */
static void drip(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nX: ";
	struct pollfd p = {.fd = dial(), .events = POLLIN};
	unsigned n = 0;

	(void)!write(p.fd, head, sizeof(head) - 1);
	while (n < 1000 && poll(&p, 1, 20) == 0) {
		(void)!send(p.fd, "x", 1, MSG_NOSIGNAL);
		n++;
	}
	snprintf(result, sizeof(result), "%s",
		 n < 1000 ? "cut off" : "listened to");
	close(p.fd);
}

static void dripping_is_cut_off(void **state)
{
	struct server_settings s = {.request_ms = 300};

	(void)state;
	serve(&s, drip);
	assert_string_equal(result, "cut off");
}

/* Connections held open: how many still get a later request answered. */
static void hold(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nX: ";
	static const char rest[] = "y\r\nConnection: close\r\n\r\n";
	int fds[UNTRUSTED * 2], answered = 0;
	char text[512];

	for (int i = 0; i < UNTRUSTED * 2; i++) {
		fds[i] = dial();
		(void)!send(fds[i], head, sizeof(head) - 1, MSG_NOSIGNAL);
		usleep(2000);
	}
	for (int i = 0; i < UNTRUSTED * 2; i++) {
		(void)!send(fds[i], rest, sizeof(rest) - 1, MSG_NOSIGNAL);
		listen_to(fds[i], 1000, text, sizeof(text));
		answered += strncmp(text, "HTTP/1.1 200", 12) == 0;
		close(fds[i]);
	}
	snprintf(result, sizeof(result), "%d", answered);
}

static void untrusted_share_few(void **state)
{
	struct server_settings s = {.untrusted = everybody};

	(void)state;
	serve(&s, hold);
	assert_int_equal(atoi(result), UNTRUSTED);
}

static void trusted_have_more(void **state)
{
	struct server_settings s = {0};

	(void)state;
	serve(&s, hold);
	assert_int_equal(atoi(result), UNTRUSTED * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_comes_whole),
		cmocka_unit_test(head_has_no_body),
		cmocka_unit_test(nothing_to_say),
		cmocka_unit_test(doubtful_ends_of_a_body),
		cmocka_unit_test(too_large),
		cmocka_unit_test(asked_first_is_told_at_once),
		cmocka_unit_test(endless_body_is_cut_off),
		cmocka_unit_test(dripping_is_cut_off),
		cmocka_unit_test(untrusted_share_few),
		cmocka_unit_test(trusted_have_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
