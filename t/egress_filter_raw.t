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

for my $attempt (sort keys %attempts) {
	reset_counts($w);
	hostile($w, @{ $attempts{$attempt} });
	isnt(arrived_nothing($w, @outside), '', "open: $attempt arrives");
}
reset_counts($w);
hostile($w, 'arp', 'eth0', '10.99.0.200', $near);
cmp_ok(arrived($w, 'arps'), '>=', 2, 'open: forged ARP arrives');

my $d = drive($w);
is(ask($d, 'apply {"defaultAction":"deny","egress":['
    . '{"action":"allow","target":"203.0.113.20"}]}'), 'ok applied',
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
