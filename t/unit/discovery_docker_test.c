/* SPDX-License-Identifier: Apache-2.0 */
/* What a container is, and what an engine says of it. */
#include "docker/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID      "48ecec9bcf215116208015a6a709c75ff76639361dcc6265e5946a186ca38791"
#define RUNNING "{'Running':true}"
#define BRIDGE                                   \
	"'HostConfig':{'NetworkMode':'bridge'}," \
	"'NetworkSettings':{'Networks':{'podman':{'IPAddress':'10.88.0.2'}}}"
#define UP    "'State':" RUNNING ","
#define NAMED "'opensandbox.io/id':'sb-1'"
/* The same, with a health check beside the labels. */
#define CHECKS(test) NAMED "},'Healthcheck':{'Test':['" test "']"

/* A container, with ' for ", its labels apart; what it is fed as, or the end of
 * why it is refused. */
struct container_case {
	const char *labels, *rest, *record, *why;
};

static json_t *json_of(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;
	json_t *json;

	assert_non_null(copy);
	for (char *at = copy; (at = strchr(at, '\''));)
		*at = '"';
	json = json_loads(copy, 0, &error);
	if (!json)
		fail_msg("%s: %s", copy, error.text);
	free(copy);
	return json;
}

static json_t *container_of(const struct container_case *c)
{
	json_t *json;
	char *text;

	assert_true(asprintf(&text,
			     "{'Name':'/web','Config':{'Labels':{%s}},%s}",
			     c->labels, c->rest) > 0);
	json = json_of(text);
	free(text);
	return json;
}

static void check_one(const struct container_case *c, json_t *network,
		      const struct docker_settings *settings, bool loopback)
{
	struct translation t = {.allow_loopback = loopback};
	json_t *container = container_of(c);
	int err = docker_translate(&t, container, network ? network : container,
				   settings);
	char *record = json_dumps(t.record, JSON_COMPACT | JSON_SORT_KEYS);

	assert_int_equal(docker_has_health(container),
			 strstr(c->labels, "CMD-SHELL") &&
				 strstr(c->rest, "'Running':true"));
	if (c->why) {
		if (err != -22 || !strstr(t.why, c->why))
			fail_msg("{%s} %s: \"%s\", not \"%s\"", c->labels,
				 c->rest, t.why, c->why);
	} else {
		json_t *expected = json_of(c->record);

		if (err || !json_equal(t.record, expected))
			fail_msg("{%s} %s: %s %s, not %s", c->labels, c->rest,
				 t.why, record, c->record);
		json_decref(expected);
	}
	free(record);
	json_decref(container);
	translation_free(&t);
}

static void check(const struct container_case *cases,
		  const struct docker_settings *settings, bool loopback)
{
	for (; cases->labels; cases++)
		check_one(cases, NULL, settings, loopback);
}

static const struct docker_settings none, published = {.published = true},
					  other = {.network = "other"};

static void test_states(void **state)
{
#define HEALTH(status) \
	"'State':{'Running':true,'Health':{'Status':'" status "'}}," BRIDGE
	static const struct container_case cases[] = {
		{NAMED, UP BRIDGE, "{'endpoint':'10.88.0.2','ready':true}",
		 NULL},
		{NAMED, "'State':{'Running':false,'Pid':0}," BRIDGE,
		 "{'ready':false}", NULL},
		{NAMED, "'State':{}," BRIDGE, "{'ready':false}", NULL},
		{NAMED, "'State':{'Running':true,'Paused':true}," BRIDGE,
		 "{'endpoint':'10.88.0.2','ready':false,'state':'paused'}",
		 NULL},
		{NAMED, "'State':{'Running':true,'Restarting':true}," BRIDGE,
		 "{'ready':false}", NULL},
		{NAMED, "'State':{'Running':true,'Dead':true}," BRIDGE,
		 "{'ready':false}", NULL},
		{NAMED, HEALTH(""), "{'endpoint':'10.88.0.2','ready':true}",
		 NULL},
		{NAMED, HEALTH("none"), "{'endpoint':'10.88.0.2','ready':true}",
		 NULL},
		{CHECKS("NONE"), HEALTH(""),
		 "{'endpoint':'10.88.0.2','ready':true}", NULL},
		{CHECKS("CMD-SHELL"), HEALTH(""),
		 "{'endpoint':'10.88.0.2','ready':false}", NULL},
		{CHECKS("CMD-SHELL"), HEALTH("starting"),
		 "{'endpoint':'10.88.0.2','ready':false}", NULL},
		{CHECKS("CMD-SHELL"), HEALTH("healthy"),
		 "{'endpoint':'10.88.0.2','ready':true}", NULL},
		{CHECKS("CMD-SHELL"), HEALTH("unhealthy"),
		 "{'endpoint':'10.88.0.2','ready':false}", NULL},
		{CHECKS("CMD-SHELL"), "'State':{'Running':false}," BRIDGE,
		 "{'ready':false}", NULL},
		{NULL, NULL, NULL, NULL},
	};

	(void)state;
	check(cases, &none, false);
}

static void test_labels(void **state)
{
	static const struct container_case cases[] = {
		{NAMED ",'opensandbox.io/expose':'8000,8080-8090',"
		       "'opensandbox.io/secure-access-token':' abc\\n',"
		       "'opensandbox.io/expires-at':'2030-01-31T12:00:00Z'",
		 UP BRIDGE,
		 "{'endpoint':'10.88.0.2','ready':true,"
		 "'expose':[8000,'8080-8090'],'accessToken':'abc',"
		 "'expiresAt':'2030-01-31T12:00:00Z'}",
		 NULL},
		{"'opensandbox.io/id':'no id'", UP BRIDGE, NULL,
		 "the label opensandbox.io/id: "},
		{"'opensandbox.io/id':''", UP BRIDGE, NULL,
		 "the label opensandbox.io/id: "},
		{"'opensandbox.io/id':1", UP BRIDGE, NULL,
		 "the label opensandbox.io/id: expected a text"},
		{NAMED ",'opensandbox.io/expose':'all'", UP BRIDGE, NULL,
		 "the label opensandbox.io/expose: "},
		{NAMED ",'opensandbox.io/secure-access-token':'a\\nb'",
		 UP BRIDGE, NULL,
		 "the label opensandbox.io/secure-access-token: "},
		{NAMED ",'opensandbox.io/secure-access-token':null", UP BRIDGE,
		 NULL, "opensandbox.io/secure-access-token: expected a text"},
		{NAMED ",'opensandbox.io/expires-at':'soon'", UP BRIDGE, NULL,
		 "the label opensandbox.io/expires-at: "},
		{NAMED ",'opensandbox.io/egress-policy':'allow'", UP BRIDGE,
		 NULL, "the label opensandbox.io/egress-policy: "},
		{NULL, NULL, NULL, NULL},
	};

	(void)state;
	check(cases, &none, false);
}

static void test_addresses(void **state)
{
#define NETWORKS(mode, networks)                      \
	UP "'HostConfig':{'NetworkMode':'" mode "'}," \
	   "'NetworkSettings':{'Networks':{" networks "}}"
#define TWO "'b':{'IPAddress':'10.2.0.2'},'a':{'IPAddress':'10.1.0.2'}"
	static const struct container_case cases[] = {
		{NAMED, NETWORKS("b", TWO),
		 "{'endpoint':'10.2.0.2','ready':true}", NULL},
		{NAMED, NETWORKS("0123", TWO ",'c':{'IPAddress':'10.3.0.2'}"),
		 "{'endpoint':'10.1.0.2','ready':true}", NULL},
		{NAMED,
		 NETWORKS("b", "'b':{'IPAddress':''},'c':" RUNNING
			       ",'d':{'IPAddress':'10.4.0.2'}"),
		 "{'endpoint':'10.4.0.2','ready':true}", NULL},
		{NAMED,
		 NETWORKS("b", "'b':{'IPAddress':'',"
			       "'GlobalIPv6Address':'2001:db8::2'}"),
		 "{'endpoint':'[2001:db8::2]','ready':true}", NULL},
		{NAMED, NETWORKS("none", "'none':{'IPAddress':''}"), NULL,
		 "it publishes no port, and has no address in any network"},
		{NAMED, NETWORKS("b", "'b':{'IPAddress':'127.0.0.2'}"), NULL,
		 "loopback"},
		{NAMED, NETWORKS("b", "'b':{'IPAddress':'169.254.169.254'}"),
		 NULL, "link-local"},
		{NAMED, UP "'NetworkSettings':null", NULL,
		 "has no address in any network"},
		{NAMED, NETWORKS("host", ""),
		 "{'endpoint':'127.0.0.1','ready':true}", NULL},
		{NAMED ",'opensandbox.io/egress-policy':'{}'",
		 NETWORKS("host", ""), NULL, "the host's network"},
		{NULL, NULL, NULL, NULL},
	};
	static const struct container_case in_other[] = {
		{NAMED, NETWORKS("b", TWO ",'other':{'IPAddress':'10.9.0.2'}"),
		 "{'endpoint':'10.9.0.2','ready':true}", NULL},
		{NAMED, NETWORKS("b", TWO), NULL, "no address in other"},
		{NULL, NULL, NULL, NULL},
	};

	(void)state;
	check(cases, &none, false);
	check(in_other, &other, false);
}

static void test_ports(void **state)
{
#define PORTS(ports)                                 \
	UP "'HostConfig':{'NetworkMode':'bridge'},"  \
	   "'NetworkSettings':{'Ports':{" ports "}," \
	   "'Networks':{'bridge':{'IPAddress':'172.17.0.2'}}}"
	static const struct container_case cases[] = {
		{NAMED,
		 PORTS("'8080/tcp':[{'HostIp':'0.0.0.0','HostPort':'49153'},"
		       "{'HostIp':'::','HostPort':'49154'}],"
		       "'8080/udp':[{'HostIp':'','HostPort':'1'}],"
		       "'9000/tcp':null,'9001/tcp':[],"
		       "'9002/tcp':[{'HostIp':'192.0.2.1','HostPort':'2'}],"
		       "'9003/tcp':[{'HostIp':'::','HostPort':'3'}],"
		       "'9004/tcp':[{'HostIp':'::','HostPort':'5'},"
		       "{'HostIp':'','HostPort':'4'}]"),
		 "{'portMap':{'8080':'127.0.0.1:49153','9002':'192.0.2.1:2',"
		 "'9003':'[::1]:3','9004':'127.0.0.1:4'},'ready':true}",
		 NULL},
		{NAMED, PORTS(""), NULL, "it publishes no port"},
		{NAMED, PORTS("'8080/tcp':[{'HostIp':'','HostPort':'0'}]"),
		 NULL, "a published port: expected ports from 1 to 65535"},
		{NAMED,
		 PORTS("'8080/tcp':[{'HostIp':'169.254.169.254',"
		       "'HostPort':'80'}]"),
		 NULL, "link-local"},
		{NAMED ",'opensandbox.io/http-port':'49153'",
		 PORTS("'8080/tcp':[{'HostIp':'','HostPort':'49153'}]"),
		 "{'portMap':{'8080':'127.0.0.1:49153'},'ready':true}", NULL},
		/* The host's own service, if a label could say so. */
		{NAMED ",'opensandbox.io/http-port':'5432'",
		 PORTS("'9000/tcp':[{'HostIp':'','HostPort':'49153'}]"), NULL,
		 "the label opensandbox.io/http-port: "},
		{NAMED ",'opensandbox.io/http-port':'65536'", PORTS(""), NULL,
		 "expected ports from 1 to 65535"},
		{NULL, NULL, NULL, NULL},
	};
	static const struct container_case labelled[] = {
		{NAMED ",'opensandbox.io/http-port':'49153',"
		       "'opensandbox.io/embedding-proxy-port':'49154'",
		 PORTS(""),
		 "{'portMap':{'44772':'127.0.0.1:49154',"
		 "'8080':'127.0.0.1:49153'},'ready':true}",
		 NULL},
		{NULL, NULL, NULL, NULL},
	};

	(void)state;
	check(cases, &published, false);
	check(labelled, &published, true);
}

/* OpenSandbox's containers are in their egress sidecar's network. */
static void test_shared_network(void **state)
{
	static const struct container_case shared = {
		NAMED,
		UP "'HostConfig':{'NetworkMode':'container:" ID "'},"
		   "'NetworkSettings':{'Networks':{}}",
		"{'endpoint':'10.88.0.2','ready':true}", NULL};
	struct container_case gone = shared;
	json_t *sidecar = json_of("{'Name':'/sidecar','State':{}," BRIDGE "}");
	json_t *container = container_of(&shared);

	(void)state;
	assert_string_equal(docker_network_of(container), ID);
	assert_null(docker_network_of(sidecar));
	check_one(&shared, sidecar, &none, false);
	gone.why = "has no address";
	check_one(&gone, NULL, &none, false);
	json_decref(container);
	json_decref(sidecar);
}

static void test_agent(void **state)
{
	static const struct container_case cases[] = {
		{NAMED ",'opensandbox.io/egress-policy':"
		       "'{\\u0022egress\\u0022:[]}'",
		 "'State':{'Running':true,'Pid':4711}," BRIDGE, "", NULL},
		{"'x':'y'", UP BRIDGE, "", NULL},
	};
	struct translation t = {.record = NULL};
	json_t *container = container_of(&cases[0]);

	(void)state;
	assert_int_equal(docker_translate(&t, container, container, &none), 0);
	assert_string_equal(t.ids[0], "sb-1");
	assert_int_equal(t.pid, 4711);
	assert_int_equal(json_object_size(t.policy), 1);
	translation_free(&t);
	json_decref(container);

	container = container_of(&cases[1]);
	assert_int_equal(docker_translate(&t, container, container, &none), 0);
	assert_string_equal(t.ids[0], "");
	assert_null(t.record);
	json_decref(container);
}

/* Lists */

static void note_id(void *arg, const char *id)
{
	char *found = arg;

	strcat(found, id);
	strcat(found, ";");
}

/* The ids in a list that comes in pieces of n bytes; NULL: it is none. */
static const char *ids_in(const char *list, size_t n)
{
	static char found[200];
	struct id_scan scan = {.found = note_id, .arg = found};
	size_t len = strlen(list);

	found[0] = '\0';
	for (size_t at = 0; at < len; at += n)
		id_scan_add(&scan, list + at, n < len - at ? n : len - at);
	return id_scan_complete(&scan) ? found : NULL;
}

static void test_lists(void **state)
{
	static const char list[] =
		" [{\"Id\":\"ab\",\"Names\":[\"Id\",\"Id\"],\"N\":[{\"Id\":1}],"
		"\"Labels\":{\"Id\":\"no\",\"x\":\"\\\"}],{\\\"Id\\\":\"},"
		"\"Image\":\"Id\",\"Command\":\"no\"},\n{\"x\":null,"
		"\"Id\" : \"" ID "\"},{\"Id\":\"" ID "0\"},{\"Id\":2}]\n";
	static const char *const bad[] = {
		"", "{}", "[{\"Id\":\"ab\"}", "]", "[]]", "\"\"", "null", "[\"",
	};

	(void)state;
	for (size_t n = 1; n < sizeof(list); n++)
		assert_string_equal(ids_in(list, n), "ab;" ID ";;");
	assert_string_equal(ids_in("[]\n", 1), "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (ids_in(bad[i], 1))
			fail_msg("%s is a list", bad[i]);
}

/* Events */

static void test_events(void **state)
{
#define LABELLED "'Attributes':{'name':'web'," NAMED "}"
	static const struct {
		const char *event, *id; /* "": of no interest */
	} cases[] = {
		{"{'Type':'container','Action':'start',"
		 "'Actor':{'ID':'ab'," LABELLED "}}",
		 "ab"},
		{"{'Type':'container','Action':'health_status: healthy',"
		 "'Actor':{'ID':'ab'," LABELLED "}}",
		 "ab"},
		{"{'Type':'container','Action':'exec_start: sh -c true',"
		 "'Actor':{'ID':'ab'," LABELLED "}}",
		 ""},
		{"{'Type':'container','Action':'top',"
		 "'Actor':{'ID':'ab'," LABELLED "}}",
		 ""},
		{"{'Type':'container','Action':'start',"
		 "'Actor':{'ID':'ab','Attributes':{'name':'web'}}}",
		 ""},
		{"{'Type':'container','Action':'start'}", ""},
		{"{'Type':'network','Action':'connect','Actor':{'ID':'cd',"
		 "'Attributes':{'container':'ab','name':'bridge'}}}",
		 "ab"},
		{"{'Type':'network','Action':'connect','Actor':{'ID':'ab',"
		 "'Attributes':{'name':'web'}}}",
		 "ab"},
		{"{'Type':'image','Action':'pull','Actor':{'ID':'ab'}}", ""},
	};
	static const char *const bad[] = {"", "{", "[]", "{\"Type\":\"x\"}",
					  "{\"Type\":1,\"Action\":\"x\"}"};
	struct engine_event read;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *event = json_of(cases[i].event);
		char *line = json_dumps(event, JSON_COMPACT);
		int err = engine_event_read(&read, line, strlen(line));

		if (err || strcmp(read.id, cases[i].id) != 0 ||
		    read.health != (strstr(line, "health_status") != NULL))
			fail_msg("%s: %d %s", line, err, read.id);
		free(line);
		json_decref(event);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(
			engine_event_read(&read, bad[i], strlen(bad[i])), -22);
}

static int note_line(void *arg, const char *line, size_t len)
{
	char *found = arg;

	strncat(found, line, len);
	strcat(found, "|");
	return line[0] == '!' ? -5 : 0;
}

static void test_lines(void **state)
{
	static const char text[] = "one\n\ntwo\nthree";
	struct lines lines = {.text = NULL};
	char found[100];
	char *much = calloc(1, 16 << 20);

	(void)state;
	for (size_t n = 1; n < sizeof(text); n++) {
		found[0] = '\0';
		for (size_t at = 0; at < sizeof(text) - 1; at += n) {
			size_t left = sizeof(text) - 1 - at;

			assert_int_equal(lines_add(&lines, text + at,
						   n < left ? n : left,
						   note_line, found),
					 0);
		}
		assert_string_equal(found, "one|two|");
		lines_free(&lines);
	}
	found[0] = '\0';
	assert_int_equal(lines_add(&lines, "!\nno\n", 5, note_line, found), -5);
	assert_string_equal(found, "!|");
	lines_free(&lines);

	memset(much, 'x', 16 << 20);
	assert_int_equal(lines_add(&lines, much, 16 << 20, note_line, found),
			 0);
	assert_int_equal(lines_add(&lines, "x", 1, note_line, found), -90);
	lines_free(&lines);
	free(much);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_shared_network),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
