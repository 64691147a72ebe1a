/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that begin with a ClientHello, and the far end that they lead to.
 *
 *   gate_load far ADDRESS PORT [CERTIFICATE KEY]
 *   gate_load connect ADDRESS PORT NAME N MS [tls]
 *   gate_load stream ADDRESS PORT NAME up|down MS
 *   gate_load idle ADDRESS PORT NAME N
 *
 * The hello is one that OpenSSL made, sent as bytes: the far end waits for all
 * of it, answers with SMALL bytes, and echoes what follows. With a certificate
 * it ends TLS for real instead, and echoes. connect: N at a time, each of them
 * a hello or handshake, SMALL bytes more each way, and a close; says how many
 * a second, and the microseconds to the first answer: median, and that of 99 in
 * 100. stream: says Gbit/s and microseconds of CPU. idle: says "ready", and
 * holds them until its input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	SMALL = 100,
	HELLO_MAX = 4096,
	CHUNK = 256 * 1024,
	EVENTS = 64,
	SAMPLES_MAX = 1 << 20,
	BACKLOG = 4096
};

enum state {
	HELLO, /* the far end waits for it, the client for the answer to it */
	ECHO
};

struct end {
	int fd;
	SSL *ssl; /* NULL: bytes alone */
	enum state state;
	size_t got, want; /* bytes of what is awaited; 0: not known yet */
	uint64_t began;   /* ns */
};

static SSL_CTX *tls;
static int poller;
static uint8_t hello[HELLO_MAX];
static size_t hello_len;
static char small[SMALL] = {0x17, 3, 3, 0, SMALL - 5}; /* a record of data */

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "gate_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int check(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static double cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void watch(struct end *e, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLET, .data.ptr = e};

	check(epoll_ctl(poller, EPOLL_CTL_ADD, e->fd, &event), "epoll_ctl");
}

static struct end *end_open(int fd)
{
	struct end *e = calloc(1, sizeof(*e));
	const int one = 1;

	if (!e)
		die("calloc");
	e->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (tls) {
		e->ssl = SSL_new(tls);
		if (!e->ssl || SSL_set_fd(e->ssl, fd) != 1)
			die("SSL_new");
	}
	return e;
}

static void end_close(struct end *e)
{
	if (e->ssl)
		SSL_free(e->ssl);
	close(e->fd);
	free(e);
}

/* Bytes, 0: none at present, -1: it is over. */
static ssize_t end_read(struct end *e, void *bytes, size_t n)
{
	ssize_t got;

	if (e->ssl) {
		int ret = SSL_read(e->ssl, bytes, (int)n);

		return ret > 0                                             ? ret
		       : SSL_get_error(e->ssl, ret) == SSL_ERROR_WANT_READ ? 0
									   : -1;
	}
	got = recv(e->fd, bytes, n, MSG_DONTWAIT);
	return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

/* No socket's buffer is full of so little. */
static bool end_write(struct end *e, const void *bytes, size_t n)
{
	if (e->ssl)
		return SSL_write(e->ssl, bytes, (int)n) == (int)n;
	return send(e->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

/* The far end. */

/* A stream has a thread: 'd' sends until nobody hears, 'u' hears to the end. */
static void *stream_run(void *arg)
{
	static char chunk[CHUNK];
	int fd = (int)(intptr_t)arg & 0xffffff;
	bool down = (intptr_t)arg >> 24;

	if (down)
		while (send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) > 0)
			;
	else
		while (recv(fd, chunk, sizeof(chunk), 0) > 0)
			;
	close(fd);
	return NULL;
}

static void stream_begin(struct end *e, bool down)
{
	pthread_t thread;

	epoll_ctl(poller, EPOLL_CTL_DEL, e->fd, NULL);
	if (pthread_create(&thread, NULL, stream_run,
			   (void *)(intptr_t)(e->fd | (int)down << 24)))
		die("pthread_create");
	pthread_detach(thread);
	free(e);
}

/* false: it is over. */
static bool far_hello(struct end *e, const uint8_t *bytes, size_t n)
{
	if (!e->want && n >= 5)
		e->want = 5U + (size_t)(bytes[3] << 8 | bytes[4]);
	e->got += n;
	if (!e->want || e->got < e->want)
		return true;
	e->state = ECHO;
	return end_write(e, small, sizeof(small));
}

static void far_ready(struct end *e)
{
	uint8_t bytes[4096];
	ssize_t n;
	bool ok = true;

	if (e->ssl && e->state == HELLO) {
		n = SSL_accept(e->ssl);
		if (n == 1)
			e->state = ECHO;
		else if (SSL_get_error(e->ssl, (int)n) != SSL_ERROR_WANT_READ)
			end_close(e);
		if (n != 1)
			return;
	}
	while (ok && (n = end_read(e, bytes, sizeof(bytes))) != 0) {
		if (n > 5 && e->state == ECHO && !e->ssl &&
		    (bytes[5] == 'd' || bytes[5] == 'u')) {
			stream_begin(e, bytes[5] == 'd');
			return;
		}
		ok = n > 0 &&
		     (e->state == HELLO ? far_hello(e, bytes, (size_t)n)
					: end_write(e, bytes, (size_t)n));
	}
	if (!ok)
		end_close(e);
}

static void far(const struct addrinfo *a)
{
	struct end listener = {0};
	struct epoll_event event[EVENTS];
	const int one = 1;

	listener.fd = check(
		socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	check(bind(listener.fd, a->ai_addr, a->ai_addrlen), "bind");
	check(listen(listener.fd, BACKLOG), "listen");
	watch(&listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(poller, event, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct end *e = event[i].data.ptr;
			int fd;

			if (e != &listener) {
				far_ready(e);
				continue;
			}
			while ((fd = accept4(listener.fd, NULL, NULL,
					     tls ? SOCK_NONBLOCK : 0)) >= 0)
				watch(end_open(fd), EPOLLIN);
		}
	}
}

/* The client. */

static void hello_make(const char *name)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context ? SSL_new(context) : NULL;
	BIO *out = BIO_new(BIO_s_mem());
	int n;

	if (!ssl || !out || SSL_set_tlsext_host_name(ssl, name) != 1)
		die("a hello");
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	SSL_connect(ssl);
	n = BIO_read(out, hello, sizeof(hello));
	if (n <= 0)
		die("a hello");
	hello_len = (size_t)n;
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static struct {
	const struct addrinfo *to;
	const char *name;
	uint64_t done;
	uint32_t *us; /* to the first answer */
	size_t n_us;
} load;

static void client_begin(void)
{
	int fd = check(
		socket(load.to->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0),
		"socket");
	struct end *e = end_open(fd);

	if (e->ssl)
		SSL_set_tlsext_host_name(e->ssl, load.name);
	e->began = now_ns();
	if (connect(fd, load.to->ai_addr, load.to->ai_addrlen) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	watch(e, EPOLLOUT);
}

static void client_greeted(struct end *e)
{
	if (load.n_us < SAMPLES_MAX)
		load.us[load.n_us++] = (uint32_t)((now_ns() - e->began) / 1000);
	e->state = ECHO;
	e->got = 0;
	if (!end_write(e, small, sizeof(small)))
		die("write");
}

static void client_tls(struct end *e)
{
	int ret = SSL_connect(e->ssl);

	if (ret == 1)
		client_greeted(e);
	else if (SSL_get_error(e->ssl, ret) != SSL_ERROR_WANT_READ)
		die("handshake");
}

static void client_ready(struct end *e, uint32_t events)
{
	char bytes[4096];
	ssize_t n;

	if (events & EPOLLOUT) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLET,
					    .data.ptr = e};

		if (!e->ssl && !end_write(e, hello, hello_len))
			die("no connection");
		check(epoll_ctl(poller, EPOLL_CTL_MOD, e->fd, &event), "MOD");
	}
	if (e->ssl && e->state == HELLO) {
		client_tls(e);
		return;
	}
	n = end_read(e, bytes, sizeof(bytes));
	if (n < 0)
		die("the connection was ended");
	e->got += (size_t)n;
	if (e->got < SMALL)
		return;
	if (e->state == HELLO) {
		client_greeted(e);
		return;
	}
	load.done++;
	end_close(e);
	client_begin();
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void client(int at_a_time, uint64_t ms)
{
	struct epoll_event event[EVENTS];
	uint64_t start = now_ns(), took;

	load.us = calloc(SAMPLES_MAX, sizeof(*load.us));
	for (int i = 0; i < at_a_time; i++)
		client_begin();
	do {
		int n = epoll_wait(poller, event, EVENTS, 5000);

		if (n == 0) {
			errno = ETIMEDOUT;
			die("no answer");
		}
		for (int i = 0; i < n; i++)
			client_ready(event[i].data.ptr, event[i].events);
		took = now_ns() - start;
	} while (took < ms * 1000000);
	qsort(load.us, load.n_us, sizeof(*load.us), by_size);
	printf("%.0f %u %u\n", (double)load.done * 1e9 / (double)took,
	       load.us[load.n_us / 2], load.us[load.n_us * 99 / 100]);
}

/* One after the other, blocking. */
static int greeted(const struct addrinfo *to)
{
	const struct timeval patience = {.tv_sec = 10};
	int fd = check(socket(to->ai_family, SOCK_STREAM, 0), "socket");
	char bytes[SMALL];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	check(connect(fd, to->ai_addr, to->ai_addrlen), "connect");
	if (send(fd, hello, hello_len, MSG_NOSIGNAL) != (ssize_t)hello_len ||
	    recv(fd, bytes, SMALL, MSG_WAITALL) != SMALL)
		die("no answer");
	return fd;
}

static void stream(const struct addrinfo *to, char way, uint64_t ms)
{
	static char chunk[CHUNK];
	int fd = greeted(to);
	uint64_t moved = 0, start;
	ssize_t n = 1;

	small[5] = way;
	if (send(fd, small, SMALL, MSG_NOSIGNAL) != SMALL)
		die("send");
	start = now_ns();
	while (n > 0 && now_ns() - start < ms * 1000000) {
		n = way == 'd' ? recv(fd, chunk, sizeof(chunk), 0)
			       : send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);
		moved += n > 0 ? (uint64_t)n : 0;
	}
	if (n <= 0)
		die("the stream was ended");
	/* What was sent counts when it has arrived. */
	if (way == 'u' && (shutdown(fd, SHUT_WR) < 0 || recv(fd, chunk, 1, 0)))
		die("the other end");
	printf("%.3f %.0f\n", (double)moved * 8 / (double)(now_ns() - start),
	       cpu_us());
}

static void idle(const struct addrinfo *to, int n)
{
	char byte;

	for (int i = 0; i < n; i++)
		greeted(to);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static void tls_open(const char *certificate, const char *key)
{
	tls = SSL_CTX_new(certificate ? TLS_server_method()
				      : TLS_client_method());
	if (!tls ||
	    (certificate &&
	     (SSL_CTX_use_certificate_file(tls, certificate,
					   SSL_FILETYPE_PEM) != 1 ||
	      SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)))
		die("TLS");
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(tls, 0);
	SSL_CTX_set_read_ahead(tls, 1);
}

static struct addrinfo *resolve(const char *address, const char *port)
{
	struct addrinfo hint = {.ai_flags = AI_NUMERICHOST,
				.ai_socktype = SOCK_STREAM};
	struct addrinfo *a;

	if (getaddrinfo(address, port, &hint, &a) != 0)
		die("no address");
	return a;
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";
	struct rlimit files;
	struct addrinfo *to;

	signal(SIGPIPE, SIG_IGN);
	check(getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
	files.rlim_cur = files.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	poller = check(epoll_create1(0), "epoll_create1");
	if (argc <= 3)
		goto usage;
	to = resolve(argv[2], argv[3]);
	if (argc > 4 && strcmp(what, "far"))
		hello_make(argv[4]);
	if (!strcmp(what, "far") && (argc == 4 || argc == 6)) {
		if (argc == 6)
			tls_open(argv[4], argv[5]);
		far(to);
	} else if (!strcmp(what, "connect") && (argc == 7 || argc == 8)) {
		load.to = to;
		load.name = argv[4];
		if (argc == 8)
			tls_open(NULL, NULL);
		client(atoi(argv[5]), strtoul(argv[6], NULL, 10));
	} else if (!strcmp(what, "stream") && argc == 7) {
		stream(to, argv[5][0], strtoul(argv[6], NULL, 10));
	} else if (!strcmp(what, "idle") && argc == 6) {
		idle(to, atoi(argv[5]));
	} else {
		goto usage;
	}
	return 0;
usage:
	fprintf(stderr,
		"usage: gate_load far ADDRESS PORT [CERTIFICATE KEY]\n"
		"       gate_load connect ADDRESS PORT NAME N MS [tls]\n"
		"       gate_load stream ADDRESS PORT NAME up|down MS\n"
		"       gate_load idle ADDRESS PORT NAME N\n");
	return 1;
}
