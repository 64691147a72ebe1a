#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# A sandbox with CAP_NET_RAW: own headers, forged sources, fragments, frames,
# packets forged towards itself. None of it leaves.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

my ($good, $evil, $evil6) = qw(203.0.113.20 203.0.113.66 2001:db8:113::66);
my ($own, $own6, $near) = qw(10.99.0.2 2001:db8:99::2 10.99.0.77);
my @outside = qw(evil near other good);

my $w = filter_world();
serve($w->{internet}, '203.0.113.20,203.0.113.66,10.99.0.77', 80);

# Each attempt is seen to arrive while nothing stands in its way.
my %attempts = (
	'own header' => ['header', $own, $evil, 80],
	'forged source' => ['header', '192.0.2.9', $evil, 80],
	'fragments' => ['fragments', $own, $evil, 80],
	'frame' => ['frame', 'eth0', $own, $evil, 80],
	'frame past the qdisc' => ['frame', 'eth0', $own, $evil, 80, 'bypass'],
	'IPv6 frame' => ['frame', 'eth0', $own6, $evil6, 80],
	'answer to a forged packet' => ['reverse', $near, $own, 5000],
	'answer to a forged stranger' => ['reverse', $evil, $own, 5000],
);

# To an allowed address.
my $good6 = '2001:db8:113::20';
my %detours = (
	'a loose source route' => ['option', $own, $good, 80, 131],
	'a strict source route' => ['option', $own, $good, 80, 137],
	'a recorded route' => ['option', $own, $good, 80, 7],
	'a time stamp' => ['option', $own, $good, 80, 68],
	map({ ("a routing header of type $_" => ['routing', $own6, $good6, 80,
		$_]) } 0, 2, 4),
	map({ my ($source, $to) = @$_; ("a frame on loopback of $source" =>
		['frame', 'lo', $source, $to, 80]) } ['192.0.2.9', $good],
		['203.0.113.21', $good], [$near, $good],
		['2001:db8:113::21', $good6], [$own6, $good6]),
	'a frame on loopback past the queue' => ['frame', 'lo', '192.0.2.9', $good,
		80, 'bypass'],
);

for my $attempt (sort keys %attempts) {
	reset_counts($w);
	hostile($w, @{ $attempts{$attempt} });
	ok(wait_for(sub { arrived_nothing($w, @outside) }),
	    "open: $attempt arrives");
}
reset_counts($w);
hostile($w, 'arp', 'eth0', '10.99.0.200', $near);
cmp_ok(arrived($w, 'arps'), '>=', 2, 'open: forged ARP arrives');
# A router in the sandbox, for containers of its own, that checks no source.
sub checks_source
{
	my ($filter) = @_;

	run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1',
	    'net.ipv6.conf.all.forwarding=1', map {
		"net.ipv4.conf.$_.rp_filter=$filter" } qw(all eth0 lo));
}
checks_source(0);
for my $detour (sort keys %detours) {
	reset_counts($w);
	hostile($w, @{ $detours{$detour} });
	ok(wait_for(sub { arrived($w, 'good') >= 1 }), "open: $detour arrives");
}

my $d = drive($w);
is(ask($d, 'apply {"defaultAction":"deny","egress":['
    . '{"action":"allow","target":"203.0.113.20"},'
    . '{"action":"allow","target":"2001:db8:113::20"}]}'), 'ok applied',
    'default deny');

for my $attempt (sort keys %attempts) {
	reset_counts($w);
	hostile($w, @{ $attempts{$attempt} });
	is(arrived_nothing($w, @outside), '', "denied: $attempt does not");
}

# To an allowed address a packet with our own source may go, in pieces too.
reset_counts($w);
hostile($w, 'header', $own, $good, 80);
cmp_ok(arrived($w, 'good'), '>=', 1, 'own header to an allowed address');
reset_counts($w);
hostile($w, 'fragments', $own, $good, 80);
cmp_ok(arrived($w, 'good'), '>=', 2, 'fragments to an allowed address');
reset_counts($w);
hostile($w, 'header', '192.0.2.9', $good, 80);
is(arrived($w, 'good'), 0, 'forged source to an allowed address');
hostile($w, 'frame', 'eth0', $own, $good, 80);
is(arrived($w, 'good'), 0, 'frame to an allowed address');

for my $filter (0, 2) {
	checks_source($filter);
	for my $detour (sort keys %detours) {
		reset_counts($w);
		hostile($w, @{ $detours{$detour} });
		is(arrived($w, 'good'), 0,
		    "to an allowed address, rp_filter $filter: $detour");
	}
}
# What routers are to look at goes, as IGMP does.
reset_counts($w);
hostile($w, 'option', $own, $good, 80, 148);
cmp_ok(arrived($w, 'good'), '>=', 1, 'an alert for routers is no detour');

# "Replies" of a connection from a forged source would go to that source.
reset_counts($w);
hostile($w, 'forge', $evil, $good, 80);
hostile($w, 'forge', $near, $good, 80);
is(arrived_nothing($w, qw(evil near)), '', 'no way back to a forged source');

# An error message that quotes the refused packet must not go to the source
# that it claims.
reset_counts($w);
hostile($w, 'header', $near, $evil, 80) for 1 .. 3;
is(arrived_nothing($w), '', 'refusals go to nobody else');

# ARP and neighbour discovery are the kernel's own.
run('ip', '-n', $w->{sandbox}, 'neigh', 'flush', 'all');
reset_counts($w);
is(hostile($w, 'tcp', $good, 80), 'open', 'the kernel resolves its neighbours');
cmp_ok(arrived($w, 'arps'), '>=', 1, 'by ARP');
my $before = arrived($w, 'arps');
hostile($w, 'arp', 'eth0', '10.99.0.200', $near);
is(arrived($w, 'arps'), $before, 'forged ARP does not arrive');

# A resolver's answers and questions leave no connection behind.
reset_counts($w);
is(hostile($w, 'udp', $near, 80), 'EPERM', 'a neighbour is refused too');
is(arrived_nothing($w), '', 'nothing arrived');

note('AF_XDP: ' . hostile($w, 'xdp', 'eth0', $own, $evil, 80) . ', arrived: '
    . arrived($w, 'evil'));

quit_drive($d);
done_testing();
