/* SPDX-License-Identifier: Apache-2.0 */
/* Replies leave through real sockets: whatever is joined on the way, each
 * client gets its own, one by one, whole and in order. */
#include "dns/parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	CLIENTS = 2,
	SIZE_MAX_HERE = 4096
};

struct place {
	int server;
	int client[CLIENTS];
	struct sockaddr_storage at[CLIENTS];
	socklen_t at_len;
	struct outbox box;
	uint8_t bytes[OUTBOX_MAX * 2][SIZE_MAX_HERE];
	size_t n;
};

static struct place place;

static int bound(int family, struct sockaddr_storage *at, socklen_t *len)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in *sin = (struct sockaddr_in *)at;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)at;

	memset(at, 0, sizeof(*at));
	at->ss_family = (sa_family_t)family;
	*len = family == AF_INET ? sizeof(*sin) : sizeof(*sin6);
	if (family == AF_INET)
		sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		sin6->sin6_addr = in6addr_loopback;
	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)at, *len) != 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, len), 0);
	return fd;
}

static bool open_place(int family)
{
	struct sockaddr_storage any;
	socklen_t len;

	memset(&place, 0, sizeof(place));
	outbox_init(&place.box);
	place.server = bound(family, &any, &len);
	if (place.server < 0)
		return false;
	for (size_t i = 0; i < CLIENTS; i++)
		place.client[i] = bound(family, &place.at[i], &place.at_len);
	return true;
}

static void close_place(void)
{
	close(place.server);
	for (size_t i = 0; i < CLIENTS; i++)
		close(place.client[i]);
}

/* A reply of len bytes, each of them its number. */
static void reply(size_t client, size_t len)
{
	uint8_t *bytes = place.bytes[place.n];

	memset(bytes, (int)place.n++, len);
	outbox_add(&place.box, place.server,
		   (const struct sockaddr *)&place.at[client], place.at_len,
		   bytes, len);
}

static void expect(size_t client, size_t number, size_t len)
{
	static uint8_t got[2 * SIZE_MAX_HERE];
	ssize_t n = recv(place.client[client], got, sizeof(got), MSG_DONTWAIT);

	assert_int_equal(n, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(got[i], number);
}

static void expect_nothing_more(void)
{
	uint8_t byte;

	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(recv(place.client[i], &byte, 1, MSG_DONTWAIT),
				 -1);
}

static void run_of_one_length(void)
{
	for (size_t i = 0; i < 10; i++)
		reply(0, 50);
	reply(0, 30);
	reply(0, 30);
	reply(1, 30);
	assert_int_equal(place.box.n_messages, 3);
	outbox_send(&place.box);
	for (size_t i = 0; i < 10; i++)
		expect(0, i, 50);
	expect(0, 10, 30);
	expect(0, 11, 30);
	expect(1, 12, 30);
	expect_nothing_more();
	assert_int_equal(place.box.lost, 0);
}

static void runs_arrive_one_by_one(void **state)
{
	(void)state;
	assert_true(open_place(AF_INET));
	run_of_one_length();
	close_place();
	if (!open_place(AF_INET6))
		skip();
	run_of_one_length();
	close_place();
}

static void longer_replies_start_anew(void **state)
{
	(void)state;
	assert_true(open_place(AF_INET));
	for (size_t i = 0; i < 6; i++)
		reply(0, 40 + i);
	assert_int_equal(place.box.n_messages, 6);
	outbox_send(&place.box);
	for (size_t i = 0; i < 6; i++)
		expect(0, i, 40 + i);
	expect_nothing_more();
	close_place();
}

static void clients_in_turn_are_kept_apart(void **state)
{
	(void)state;
	assert_true(open_place(AF_INET));
	for (size_t i = 0; i < 8; i++)
		reply(i % 2, 60);
	assert_int_equal(place.box.n_messages, 8);
	outbox_send(&place.box);
	for (size_t i = 0; i < 8; i++)
		expect(i % 2, i, 60);
	expect_nothing_more();
	close_place();
}

static void more_than_it_holds(void **state)
{
	(void)state;
	assert_true(open_place(AF_INET));
	for (size_t i = 0; i < OUTBOX_MAX + 5; i++)
		reply(0, 64);
	assert_int_equal(place.box.n_replies, 5);
	outbox_send(&place.box);
	for (size_t i = 0; i < OUTBOX_MAX + 5; i++)
		expect(0, i, 64);
	expect_nothing_more();
	close_place();
}

static void large_replies_fit(void **state)
{
	(void)state;
	assert_true(open_place(AF_INET));
	for (size_t i = 0; i < OUTBOX_MAX; i++)
		reply(0, SIZE_MAX_HERE);
	assert_int_equal(place.box.n_messages,
			 OUTBOX_MAX * SIZE_MAX_HERE / OUTBOX_SEGMENTS_BYTES);
	outbox_send(&place.box);
	for (size_t i = 0; i < OUTBOX_MAX; i++)
		expect(0, i, SIZE_MAX_HERE);
	expect_nothing_more();
	close_place();
}

/* A socket without checksums takes no segments (udp(7)). */
static void without_segments(void **state)
{
	int one = 1;

	(void)state;
	assert_true(open_place(AF_INET));
	assert_int_equal(setsockopt(place.server, SOL_SOCKET, SO_NO_CHECK, &one,
				    sizeof(one)),
			 0);
	for (size_t i = 0; i < 5; i++)
		reply(0, 50);
	reply(1, 50);
	assert_int_equal(place.box.n_messages, 2);
	outbox_send(&place.box);
	for (size_t i = 0; i < 5; i++)
		expect(0, i, 50);
	expect(1, 5, 50);
	expect_nothing_more();
	assert_int_equal(place.box.lost, 0);
	close_place();
}

static void what_is_lost_is_counted(void **state)
{
	(void)state;
	assert_true(open_place(AF_INET));
	for (size_t i = 0; i < 3; i++)
		reply(0, 50);
	reply(1, 50);
	close(place.server);
	outbox_send(&place.box);
	assert_int_equal(place.box.lost, 4);
	expect_nothing_more();
	close(place.client[0]);
	close(place.client[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_arrive_one_by_one),
		cmocka_unit_test(longer_replies_start_anew),
		cmocka_unit_test(clients_in_turn_are_kept_apart),
		cmocka_unit_test(more_than_it_holds),
		cmocka_unit_test(large_replies_fit),
		cmocka_unit_test(without_segments),
		cmocka_unit_test(what_is_lost_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
