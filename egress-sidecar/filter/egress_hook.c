/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The netdev egress hook (Linux 5.16): the last place before a device, where
 * frames of packet(7) sockets pass too, which see no other hook.
 * AF_XDP sockets pass none at all: see xdp.c.
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

enum {
	ARP_FRAME = 42, /* bytes, with the Ethernet header */
	ARP_PER_SECOND = 200
};

static void protocol_is(struct batch *b, uint16_t protocol)
{
	uint16_t wire = htons(protocol);

	rule_load_meta(b, NFT_META_PROTOCOL, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &wire, sizeof(wire));
}

/*
 * Loopback is not beyond a device. DNS that was redirected there is routed
 * through the device that its socket is bound to (SO_BINDTODEVICE); the hooks
 * of before still named the device of before. What few packets have is looked
 * at first.
 */
static void write_loopback(struct batch *b)
{
	static const uint8_t net4[] = {127}, self6[16] = {[15] = 1};

	rule_begin(b, "egress");
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 16, 1, 0);
	rule_compare(b, 0, NFT_CMP_EQ, net4, sizeof(net4));
	protocol_is(b, ETH_P_IP);
	rule_drop(b);
	rule_begin(b, "egress");
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 36, 4, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &self6[12], 4);
	protocol_is(b, ETH_P_IPV6);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 24, 16, 0);
	rule_compare(b, 0, NFT_CMP_EQ, self6, sizeof(self6));
	rule_drop(b);
}

static void write_rules(struct batch *b)
{
	/* Hardware type Ethernet, protocol type IPv4, their sizes (RFC 826). */
	static const uint8_t arp_head[] = {0, 1, 8, 0, 6, 4};
	uint32_t frame = ARP_FRAME;

	write_loopback(b);
	/* Only what was routed has a routing realm, be it 0: what has none
	 * does not match. */
	rule_begin(b, "egress");
	rule_load_meta(b, NFT_META_RTCLASSID, 0);
	rule_accept(b);
	/* The kernel's own ARP belongs to no socket. */
	rule_begin(b, "egress");
	rule_load_meta(b, NFT_META_SKUID, 0);
	rule_drop(b);
	rule_begin(b, "egress");
	protocol_is(b, ETH_P_ARP);
	rule_load_meta(b, NFT_META_LEN, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &frame, sizeof(frame));
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 0, sizeof(arp_head),
			  0);
	rule_compare(b, 0, NFT_CMP_EQ, arp_head, sizeof(arp_head));
	rule_limit(b, ARP_PER_SECOND, ARP_PER_SECOND);
	rule_accept(b);
	rule_begin(b, "egress");
	rule_drop(b);
}

void egress_hook_write(struct batch *b, const char **devices)
{
	batch_table(b, NFPROTO_NETDEV, RULESET_TABLE);
	batch_add_table(b);
	batch_delete_table(b);
	if (!devices[0])
		return;
	batch_add_table(b);
	batch_add_chain(b, "egress", "filter", NF_NETDEV_EGRESS, 0, true,
			devices);
	write_rules(b);
}
