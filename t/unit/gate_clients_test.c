/* SPDX-License-Identifier: Apache-2.0 */
/* What real clients say first: their names are read, whole and byte by byte. A
 * client that is not installed is left out. */
#include "gate_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
	const char *command; /* $PORT is where it connects to */
	const char *names;
	enum stream_step end;
} clients[] = {
	{"openssl s_client -connect 127.0.0.1:$PORT -servername Name.test",
	 "name.test ", STREAM_MORE},
	{"openssl s_client -tls1_2 -connect 127.0.0.1:$PORT "
	 "-servername name.test",
	 "name.test ", STREAM_MORE},
	{"openssl s_client -connect 127.0.0.1:$PORT -noservername", "",
	 STREAM_NO_NAME},
	{"openssl s_client -connect 127.0.0.1:$PORT -servername name.test.", "",
	 STREAM_MALFORMED},
	{"curl --resolve name.test:$PORT:127.0.0.1 https://name.test:$PORT/",
	 "name.test ", STREAM_MORE},
	{"curl https://127.0.0.1:$PORT/", "", STREAM_NO_NAME},
	{"curl --resolve name.test:$PORT:127.0.0.1 http://name.test:$PORT/",
	 "name.test ", STREAM_MORE},
	{"curl --http1.0 --resolve name.test:$PORT:127.0.0.1 "
	 "http://name.test:$PORT/",
	 "name.test ", STREAM_MORE},
	{"curl --proxy http://127.0.0.1:$PORT http://name.test:$PORT/",
	 "name.test ", STREAM_MORE},
	{"curl --proxy http://127.0.0.1:$PORT https://name.test/", "",
	 STREAM_MALFORMED},
	{"curl http://127.0.0.1:$PORT/", "", STREAM_NO_NAME},
	{"curl --http2-prior-knowledge http://127.0.0.1:$PORT/", "",
	 STREAM_NO_NAME},
	{"curl --http2 --resolve name.test:$PORT:127.0.0.1 "
	 "http://name.test:$PORT/",
	 "name.test ", STREAM_ANSWER},
	{"gnutls-cli --insecure --port $PORT --sni-hostname name.test "
	 "127.0.0.1",
	 "name.test ", STREAM_MORE},
	{"wget -O - --header 'Host: name.test' http://127.0.0.1:$PORT/",
	 "name.test ", STREAM_MORE},
	{"node -e 'require(\"tls\").connect({host: \"127.0.0.1\", "
	 "port: process.env.PORT, servername: \"name.test\"})'",
	 "name.test ", STREAM_MORE},
	{"python3 -c 'import os, socket, ssl; "
	 "s = socket.create_connection((\"127.0.0.1\", os.environ[\"PORT\"])); "
	 "ssl.create_default_context().wrap_socket(s, "
	 "server_hostname=\"name.test\")'",
	 "name.test ", STREAM_MORE},
};

static int listener(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* The client's standard input stays open until it has spoken. */
static pid_t start(const char *command, uint16_t port, int out[2])
{
	char number[8];
	pid_t pid;

	snprintf(number, sizeof(number), "%u", port);
	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	dup2(out[0], STDIN_FILENO);
	close(out[1]);
	if (!freopen("/dev/null", "w", stdout) ||
	    !freopen("/dev/null", "w", stderr))
		_exit(1);
	setenv("PORT", number, 1);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(1);
}

static bool installed(const char *command)
{
	char test[64];

	snprintf(test, sizeof(test), "command -v %.*s >/dev/null",
		 (int)strcspn(command, " "), command);
	return system(test) == 0;
}

/* Until the stream says something, or the client has said all. */
static size_t hear(int fd, uint8_t *bytes, size_t size, uint16_t port)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, bytes + len, size - len, 0);
		struct heard heard;

		if (n <= 0)
			return len;
		len += (size_t)n;
		listen_to(&heard, bytes, len, SIZE_MAX, port, "");
		if (heard.names[0] || heard.end != STREAM_MORE)
			return len;
	}
}

static void clients_are_understood(void **state)
{
	static uint8_t bytes[GATE_NAME_BYTES];
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct heard heard;
		uint16_t port;
		int server, fd, in[2];
		size_t len;
		pid_t pid;

		if (!installed(clients[i].command))
			continue;
		print_message("%s\n", clients[i].command);
		server = listener(&port);
		pid = start(clients[i].command, port, in);
		fd = accept(server, NULL, NULL);
		assert_true(fd >= 0);
		len = hear(fd, bytes, sizeof(bytes), port);
		close(fd);
		close(server);
		close(in[0]);
		close(in[1]);
		waitpid(pid, NULL, 0);
		for (size_t step = 1; step <= len; step *= 7) {
			listen_to(&heard, bytes, len, step, port, "");
			assert_string_equal(heard.names, clients[i].names);
			assert_int_equal(heard.end, clients[i].end);
			assert_int_equal(heard.passed,
					 heard.names[0] ? len : 0);
		}
		n++;
	}
	assert_true(n > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_are_understood),
	};

	/* One that does not connect */
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
