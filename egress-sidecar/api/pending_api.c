/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"pending":[{"name":"a.test","since":"2026-01-02T03:04:05Z",
 * "expires":"2026-01-02T03:05:05Z","types":["A","AAAA"],"askers":2}]}
 */
#include "inner.h"

#include "log/log.h"

#include <stdio.h>

/* What clients ask for; others are written as RFC 3597, 5 has it. */
static const struct {
	uint16_t type;
	const char *name;
} type_names[] = {
	{TYPE_A, "A"},     {TYPE_NS, "NS"},       {TYPE_CNAME, "CNAME"},
	{TYPE_SOA, "SOA"}, {12, "PTR"},           {15, "MX"},
	{16, "TXT"},       {TYPE_AAAA, "AAAA"},   {TYPE_SRV, "SRV"},
	{35, "NAPTR"},     {TYPE_DNAME, "DNAME"}, {TYPE_DS, "DS"},
	{48, "DNSKEY"},    {TYPE_SVCB, "SVCB"},   {TYPE_HTTPS, "HTTPS"},
	{257, "CAA"},
};

static json_t *type_json(uint16_t type)
{
	char text[sizeof("TYPE65535")];

	for (size_t i = 0; i < sizeof(type_names) / sizeof(*type_names); i++)
		if (type_names[i].type == type)
			return json_string(type_names[i].name);
	snprintf(text, sizeof(text), "TYPE%u", (unsigned)type);
	return json_string(text);
}

static json_t *time_json(time_t t)
{
	char text[TIME_TEXT_SIZE];

	time_to_text(t, text);
	return json_string(text);
}

static void add_held(void *arg, const struct held_name *held)
{
	char text[DOMAIN_NAME_TEXT_MAX];
	json_t *types = json_array();

	for (size_t i = 0; i < held->n_types; i++)
		json_array_append_new(types, type_json(held->type[i]));
	json_array_append_new(
		arg, json_pack("{ss so so so sI}", "name",
			       domain_name_to_text(held->name, text), "since",
			       time_json(held->since), "expires",
			       time_json(held->until), "types", types, "askers",
			       (json_int_t)held->n_askers));
}

void pending_api(const struct sandbox *sandbox, const char *method,
		 struct reply *reply)
{
	json_t *list;

	if (!method_reads(method)) {
		reply_method(reply, "GET, HEAD");
		return;
	}
	list = json_array();
	sandbox_each_held(sandbox, add_held, list);
	reply_json(reply, 200, json_pack("{so}", "pending", list));
}
