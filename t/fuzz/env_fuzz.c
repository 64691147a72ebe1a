/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte that chooses an option and its value; the variables of OTLP and the
 * body of an agent's request are values too. What is refused says what was
 * expected, in one line.
 *
 * Counted: egress-sidecar/life/options.c
 * Counted: common/options/values.c
 * Counted: egress-sidecar/agent/request.c
 */
#include "agent/inner.h"
#include "life/inner.h"
#include "outlets/inner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_option(const struct option_row *o, const char *value)
{
	static struct settings s;
	const struct option_to to = {&s, (char *)&s + o->offset, o->size};
	char why[OPTION_WHY_MAX] = "";
	int err;

	memset(&s, 0, sizeof(s));
	err = o->read(&to, value, why);
	assert(err == 0 || err == -EINVAL);
	assert(!err || (why[0] && !strchr(why, '\n')));
	assert(s.resolvers.n <= RESOLVERS_MAX);
	assert(s.n_attrs <= SETTINGS_ATTRS_MAX);
	assert(s.n_doh <= SETTINGS_DOH_MAX);
	settings_free(&s);
}

static void check_agent(const char *body, size_t len)
{
	struct agent_request request;
	struct agent_fault fault;
	struct rules *rules;
	char id[AGENT_ID_MAX + 1];
	int err = agent_request_read(&request, &rules, body, len, 16, &fault);

	if (err) {
		assert(fault.message[0]);
	} else {
		assert((request.place.netns[0] != '\0') !=
		       (request.place.pid != 0));
		rules_free(rules);
		json_decref(request.otherwise);
	}
	if (agent_patch_read(&rules, body, len, 16, &fault) == 0)
		rules_free(rules);
	if (agent_id_read(id, body, strcspn(body, "/")) == 0)
		assert(id[0] && !strchr(id, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = 0, chosen;
	json_t *object;
	char *value;

	if (size == 0)
		return 0;
	while (option_table[n].name)
		n++;
	chosen = data[0] % (n + 2);
	value = malloc(size);
	memcpy(value, data + 1, size - 1);
	value[size - 1] = '\0';
	if (chosen == n) {
		object = json_object();
		(void)otlp_pairs(object, value);
		json_decref(object);
	} else if (chosen == n + 1) {
		check_agent(value, strlen(value));
	} else if (strcmp(option_table[chosen].name, "token-file") != 0) {
		check_option(&option_table[chosen], value);
	}
	free(value);
	return 0;
}
