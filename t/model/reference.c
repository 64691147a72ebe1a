/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <string.h>

static bool model_name_matches(const struct model_rule *r, const char *name)
{
	size_t len = strlen(name), suffix;

	if (r->is_address)
		return false;
	if (!strcmp(r->target, "*") || !strcmp(r->target, name))
		return true;
	if (strncmp(r->target, "*.", 2))
		return false;
	suffix = strlen(r->target + 1);
	return len > suffix && !strcmp(name + len - suffix, r->target + 1);
}

static bool model_address_matches(const struct model_rule *r,
				  const struct address *a)
{
	if (!strcmp(r->target, "*"))
		return true;
	if (!r->is_address || r->base.family != a->family)
		return false;
	for (unsigned int bit = 0; bit < r->bits; bit++) {
		unsigned int mask = 0x80u >> bit % 8;

		if ((r->base.bytes[bit / 8] ^ a->bytes[bit / 8]) & mask)
			return false;
	}
	return true;
}

static bool model_port_matches(const struct model_rule *r, int protocol,
			       unsigned int port)
{
	if (!r->limited)
		return true;
	if (!(protocol == IPPROTO_TCP && r->tcp) &&
	    !(protocol == IPPROTO_UDP && r->udp))
		return false;
	for (size_t i = 0; i < r->n_ports; i++) {
		if (r->port[i].first <= port && port <= r->port[i].last)
			return true;
	}
	return r->n_ports == 0;
}

const struct model_rule *model_first(const struct model *m, const char *name,
				     const struct address *a, int protocol,
				     unsigned int port)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct model_rule *r = &m->rule[i];

		if (((name && model_name_matches(r, name)) ||
		     (a && model_address_matches(r, a))) &&
		    model_port_matches(r, protocol, port))
			return r;
	}
	return NULL;
}

/* A name is denied by a rule that denies it whole. */
const struct model_rule *model_first_name(const struct model *m,
					  const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct model_rule *r = &m->rule[i];

		if (model_name_matches(r, name) && (r->allow || !r->limited))
			return r;
	}
	return NULL;
}

bool model_exists(const struct model *m, const char *name)
{
	const struct model_rule *first = model_first_name(m, name);
	size_t len = strlen(name), end;

	if (first && !strcmp(first->target, name))
		return false;
	for (size_t i = 0; i < m->n; i++) {
		const struct model_rule *r = &m->rule[i];

		end = strlen(r->target);
		if (r->allow && !r->is_address && end > len &&
		    r->target[end - len - 1] == '.' &&
		    !strcmp(r->target + end - len, name))
			return true;
	}
	return false;
}

bool model_allows(const struct model *m, const struct model_rule *r)
{
	return r ? r->allow : m->allow;
}

bool model_admits(const struct model *m, const char *name,
		  const struct address *a, bool anywhere, int protocol,
		  unsigned int port)
{
	const struct model_rule *r;

	if (!model_allows(m, model_first(m, name, a, protocol, port)))
		return false;
	if (anywhere)
		return true;
	r = model_first(m, NULL, a, protocol, port);
	return r && r->allow;
}

void model_hold(struct model_ports *out, const struct model *m,
		const char *name, const struct address *a, bool anywhere)
{
	out->all = model_admits(m, name, a, anywhere, IPPROTO_SCTP, 0);
	for (unsigned int port = 0; port <= MODEL_PORTS_ALIKE; port++) {
		out->tcp[port] =
			model_admits(m, name, a, anywhere, IPPROTO_TCP, port);
		out->udp[port] =
			model_admits(m, name, a, anywhere, IPPROTO_UDP, port);
		out->all &= out->tcp[port] && out->udp[port];
	}
}

bool model_holds(const struct model_ports *ports, int protocol,
		 unsigned int port)
{
	if (port > MODEL_PORTS_ALIKE)
		port = MODEL_PORTS_ALIKE;
	if (protocol == IPPROTO_TCP)
		return ports->tcp[port];
	return protocol == IPPROTO_UDP ? ports->udp[port] : ports->all;
}
