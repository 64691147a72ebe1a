/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets whose peer is refused now: found by sock_diag(7), ended by
 * SOCK_DESTROY (Linux 4.9), which resets a connection at both ends. A
 * connection that the packet filter refuses would end at its next packet
 * anyway; this ends those that are idle or only wait.
 */
#include "inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUEST_BYTES = 512,
	STATES = ~(1 << TCP_LISTEN | 1 << TCP_CLOSE | 1 << TCP_TIME_WAIT) &
		 0xfff,
	STATES_UDP = 1 << TCP_ESTABLISHED
};

/* A socket with a peer, as sock_diag names it. */
struct peer_socket {
	struct inet_diag_sockid id;
	uint8_t family, protocol;
	struct address local, peer;
};

struct sweep {
	struct filter *filter;
	const struct policy *policy;
	struct elements *allowed; /* LEASE_SETS, sorted */
	struct port_lists lists;  /* that they number */
	uint8_t protocol;
	struct peer_socket *found; /* owned */
	size_t n, size;
};

static bool is_local(const struct address *a)
{
	return address_kind(a) == ADDRESS_LOOPBACK ||
	       address_kind(a) == ADDRESS_UNSPECIFIED;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, ((const struct set_element *)b)->key, SET_KEY_MAX);
}

static bool holds(const struct elements *list, const struct set_element *e)
{
	return list->n && bsearch(e->key, list->e, list->n, sizeof(list->e[0]),
				  compare_keys);
}

static bool is_listed(const struct admitted_ports *ports, uint8_t protocol,
		      uint16_t port)
{
	for (size_t i = 0; i < ports->n; i++) {
		const struct port_span *span = &ports->span[i];

		if (span->protocol == protocol && span->first <= port &&
		    port <= span->last)
			return true;
	}
	return false;
}

static bool is_leased(const struct sweep *s, const struct peer_socket *p,
		      uint16_t port)
{
	bool v6 = p->peer.family == AF_INET6;
	struct set_element e = {0};

	element_address(&e, &p->peer);
	if (holds(&s->allowed[v6 ? LEASES6 : LEASES4], &e))
		return true;
	for (size_t i = 0; i < s->lists.n; i++) {
		struct set_element listed = {0};

		if (!is_listed(&s->lists.at[i], p->protocol, port))
			continue;
		element_address_number(&listed, &p->peer, (uint32_t)i);
		if (holds(&s->allowed[v6 ? LEASES6_PORTS : LEASES4_PORTS],
			  &listed))
			return true;
	}
	return false;
}

/* Our own questions, and the sandbox's to resolvers that it may ask. */
static bool is_resolver(const struct filter_settings *s,
			const struct address *a, uint16_t port)
{
	for (size_t i = 0; i < s->n_resolvers; i++) {
		if (s->resolvers[i].port == port &&
		    address_compare(&s->resolvers[i].a, a) == 0)
			return true;
	}
	return port == PORT_DNS;
}

/* Our end of a client's question over TCP, or of what the gate took, which
 * redirection has led to us: conntrack knows it by the address that was asked.
 */
static bool is_redirected(const struct filter_settings *s,
			  const struct peer_socket *p)
{
	uint16_t port = ntohs(p->id.idiag_sport);

	return (port == s->dns_port || (s->n_gated && port == s->gate_port)) &&
	       address_kind(&p->local) == ADDRESS_LOOPBACK;
}

static bool is_refused(const struct sweep *s, const struct peer_socket *p)
{
	uint16_t port = ntohs(p->id.idiag_dport);
	struct decision decision;

	if (is_local(&p->peer) || address_compare(&p->peer, &p->local) == 0 ||
	    is_redirected(&s->filter->settings, p) ||
	    is_resolver(&s->filter->settings, &p->peer, port))
		return false;
	if (is_spent(s->filter))
		return true;
	if (is_leased(s, p, port))
		return false;
	policy_match_address(s->policy, &p->peer, p->protocol, port, &decision);
	return decision.action == POLICY_DENY;
}

static int read_socket_mark(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == INET_DIAG_MARK &&
	    mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
		*(uint32_t *)arg = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

/* Our own have our mark, which is told to those with CAP_NET_ADMIN. */
static bool is_ours(const struct filter *filter, const struct nlmsghdr *nlh)
{
	uint32_t mark = 0;

	(void)mnl_attr_parse(nlh, sizeof(struct inet_diag_msg),
			     read_socket_mark, &mark);
	return mark && mark == filter->settings.mark;
}

/* One socket of the dump. Both kinds of addresses stand in the same fields;
 * IPv4 over IPv6 sockets is IPv4. */
static int see_socket(void *arg, const struct nlmsghdr *nlh)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct peer_socket p = {0};
	struct sweep *s = arg;
	size_t len;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return -EBADMSG;
	if (is_ours(s->filter, nlh))
		return 0;
	len = m->idiag_family == AF_INET6 ? 16 : 4;
	p.id = m->id;
	p.family = m->idiag_family;
	p.protocol = s->protocol;
	if (address_from_bytes(&p.local, m->id.idiag_src, len) < 0 ||
	    address_from_bytes(&p.peer, m->id.idiag_dst, len) < 0 ||
	    !is_refused(s, &p))
		return 0;
	if (s->n == s->size) {
		size_t size = s->size ? s->size * 2 : 32;
		struct peer_socket *wider =
			realloc(s->found, size * sizeof(*wider));

		if (!wider)
			return -ENOMEM;
		s->found = wider;
		s->size = size;
	}
	s->found[s->n++] = p;
	return 0;
}

static int list_sockets(struct channel *c, struct sweep *s, uint8_t family)
{
	struct inet_diag_req_v2 *request;
	char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int ret;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = s->protocol;
	request->idiag_states =
		s->protocol == IPPROTO_TCP ? STATES : STATES_UDP;
	ret = channel_ask(c, nlh, see_socket, s);
	/* Kernels may lack the module of one protocol or family. */
	return ret == -ENOENT ? 0 : ret;
}

static int destroy_socket(struct channel *c, const struct peer_socket *p)
{
	struct inet_diag_req_v2 *request;
	char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int ret;

	nlh->nlmsg_type = SOCK_DESTROY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));
	request->sdiag_family = p->family;
	request->sdiag_protocol = p->protocol;
	request->id = p->id;
	ret = channel_ask(c, nlh, NULL, NULL);
	return ret == -ENOENT ? 0 : ret; /* it ended by itself */
}

static void put_tuple(struct nlmsghdr *nlh, const struct peer_socket *p)
{
	bool v6 = p->peer.family == AF_INET6;
	struct nlattr *tuple = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	mnl_attr_put(nlh, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC,
		     address_size(&p->peer), p->peer.bytes);
	mnl_attr_put(nlh, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST,
		     address_size(&p->local), p->local.bytes);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, p->protocol);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, p->id.idiag_dport);
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, p->id.idiag_sport);
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, tuple);
}

static int read_mark(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;
	uint32_t *mark = arg;

	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		if (mnl_attr_get_type(attr) == CTA_MARK &&
		    mnl_attr_get_payload_len(attr) == sizeof(*mark))
			*mark = ntohl(mnl_attr_get_u32(attr));
	}
	return 0;
}

/* Did the peer open it? Conntrack knows: such connections have their mark.
 * A kernel that cannot be asked leaves the socket to the packet filter. */
static bool came_in(struct filter *filter, const struct peer_socket *p)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	uint32_t mark = 0;
	int ret;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = p->peer.family;
	nfg->version = NFNETLINK_V0;
	put_tuple(nlh, p);
	ret = channel_ask(&filter->channel, nlh, read_mark, &mark);
	if (ret == -ENOENT)
		return false;
	return ret < 0 || mark == filter->inbound_mark;
}

int filter_end_revoked(struct filter *filter, const struct policy *policy,
		       const struct lease_table *leases, uint64_t now_ms)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct elements allowed[LEASE_SETS] = {{0}};
	struct sweep s = {
		.filter = filter, .policy = policy, .allowed = allowed};
	int ret = 0;

	if (filter->diag.fd < 0)
		return -EOPNOTSUPP;
	if (filter->settings.dns_only || filter->settings.audit)
		return 0;
	/* A socket is open: one kind is as good as the other. */
	ret = lease_sets_judge(filter, policy, leases, now_ms, allowed, allowed,
			       &s.lists);
	for (size_t i = 0; ret == 0 && i < sizeof(protocols); i++) {
		s.protocol = protocols[i];
		for (size_t f = 0; ret == 0 && f < sizeof(families); f++)
			ret = list_sockets(&filter->diag, &s, families[f]);
	}
	for (size_t i = 0; ret == 0 && i < s.n; i++) {
		if (!came_in(filter, &s.found[i]))
			ret = destroy_socket(&filter->diag, &s.found[i]);
	}
	free(s.found);
	port_lists_free(&s.lists);
	lease_sets_free(allowed);
	return ret;
}
