/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What bulk transfers go to: a server of one connection at a time that sends
 * as many bytes as the path says, or takes a body of any length.
 *
 *   bulk PORT
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUFFER = 262144
};

static char buffer[BUFFER];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_on(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((in_port_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
	    bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 16))
		fail("listen");
	return fd;
}

/* Reads a request's head, and what of its body came along; its length. */
static size_t read_head(int fd, char **body)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buffer + have, BUFFER - 1 - have)) > 0) {
		have += (size_t)n;
		buffer[have] = '\0';
		*body = strstr(buffer, "\r\n\r\n");
		if (*body) {
			*body += 4;
			return have;
		}
	}
	return 0;
}

static void say(int fd, long long length)
{
	char head[128];
	int n = snprintf(head, sizeof head,
			 "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n"
			 "Connection: close\r\n\r\n",
			 length);

	if (write(fd, head, (size_t)n) != n)
		perror("write");
}

static void serve(int fd)
{
	char *body;
	size_t have = read_head(fd, &body);
	long long left;
	ssize_t n = 1;

	if (have == 0)
		return;
	if (strncmp(buffer, "GET /", 5) == 0) {
		left = atoll(buffer + 5);
		say(fd, left);
		for (; left > 0 && n > 0; left -= n)
			n = write(fd, buffer,
				  left > BUFFER ? BUFFER : (size_t)left);
		return;
	}
	body = strcasestr(buffer, "\r\nContent-Length:");
	left = body ? atoll(body + 17) : 0;
	left -= (long long)have - (strstr(buffer, "\r\n\r\n") + 4 - buffer);
	for (; left > 0 && n > 0; left -= n)
		n = read(fd, buffer, BUFFER);
	say(fd, 0);
}

int main(int argc, char **argv)
{
	int fd = listen_on(argc > 1 ? atoi(argv[1]) : 0);
	int client;

	while ((client = accept(fd, NULL, NULL)) >= 0) {
		serve(client);
		close(client);
	}
	return 1;
}
