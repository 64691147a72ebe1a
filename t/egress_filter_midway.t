#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# While the rules are away the sandbox opens a connection to a peer that may
# connect inward and speaks first, and conntrack takes it for the peer's. It is
# nobody's right once the rules are back. Nor is what an audit let be.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

my ($near, $evil) = ('10.99.0.77', '203.0.113.66');
my $policy = '{"defaultAction":"deny","egress":[]}';
my $w = filter_world();
my ($sandbox, $internet) = @$w{qw(sandbox internet)};
my $inner = netns('inner');

sub nft { run_in($sandbox, 'nft', @_) }

# A container inside, with a port that the sandbox forwards to it.
veth($inner, 'eth0', $sandbox, 'inner0');
addr($inner, 'eth0', '172.17.0.2/24');
addr($sandbox, 'inner0', '172.17.0.1/24');
run('ip', '-n', $inner, 'route', 'add', 'default', 'via', '172.17.0.1');
run_in($sandbox, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
nft('-f', write_file(scratch() . '/nat.nft', <<'NFT'));
table ip nat {
	chain post {
		type nat hook postrouting priority 100;
		oifname eth0 masquerade
	}
	chain pre {
		type nat hook prerouting priority -100;
		iifname eth0 tcp dport 7072 dnat to 172.17.0.2:7072
	}
}
NFT

# Somebody's table: conntrack is at work, and only the peer can be seen first.
my $tracker = write_file(scratch() . '/tracker.nft', <<'NFT');
table inet tracker {
	counter words { }
	counter known { }
	chain words {
		type filter hook prerouting priority -400;
		tcp sport 7 counter name words
		tcp dport 7100 counter name words
	}
	chain out {
		type filter hook output priority 10;
		tcp dport 7 ct state new drop
	}
	chain forward {
		type filter hook forward priority 10;
		tcp dport 7 ct state new drop
		tcp sport 7 ct state established ct direction original counter name known
	}
	chain in {
		type filter hook input priority 10;
		tcp sport 7 ct state established ct direction original counter name known
	}
}
NFT

sub count
{
	return nft('list', 'counter', 'inet', 'tracker', $_[0])
	    =~ /packets (\d+)/ ? $1 : die "no counter $_[0]";
}

# As if there had never been rules.
sub no_rules
{
	nft('delete', 'table', $_, 'opensandbox') for qw(inet netdev);
}

# The peer is heard so many times more, or tries.
sub speaks
{
	my ($times) = @_;
	my $enough = count('words') + $times;

	ok(wait_for(sub { count('words') >= $enough }, 30), 'the peer speaks');
}

for my $peer ($near, $evil) {
	my $pid = start(name => "chatter-$peer", netns => $internet,
	    cmd => [python(), root() . '/t/tools/hostile.py', 'chatter', $peer, 7,
		300]);
	ok(wait_for(sub { read_file(scratch() . "/chatter-$peer.log")
		=~ /listening/ }), "$peer speaks first");
}

my $d = drive($w, '--api-port', 18080);
is(ask($d, "apply $policy"), 'ok applied', 'apply');

my %rows = (
	'a neighbour' => [$sandbox, $near, 0],
	'anybody, from the port of our API' => [$sandbox, $evil, 18080],
	'a neighbour, from a port that is forwarded' => [$inner, $near, 7072],
);
for my $row (sort keys %rows) {
	my ($from, $peer, $port) = @{ $rows{$row} };

	subtest $row => sub {
		no_rules();
		my $held = hostile_start({ sandbox => $from }, 'hold', $peer, 7, 300,
		    0.05, $port);
		nft('-f', $tracker);
		run_in($sandbox, 'conntrack', '-F');
		ok(wait_for(sub { count('known') > 0 }), 'seems to have called us');
		is(ask($d, "apply $policy"), 'ok applied', 'the rules are back');
		speaks(2);
		reset_counts($w);
		speaks(1);
		is(arrived_nothing($w, qw(near evil)), '', 'nothing goes out');
		is(ask($d, 'end'), 'ok ended', 'sockets are ended');
		if ($from eq $sandbox) {
			like(said($held), qr/^E(CONN|PIPE)/, 'this one is');
		} else {
			stop($held);
		}
		nft('delete', 'table', 'inet', 'tracker');
	};
}
quit_drive($d);

serve($sandbox, '10.99.0.2', 7100);
my @hold = ('hold', '10.99.0.2', 7100, 300, 0.05, 0);
my %audited = (
	'anybody who called' => [$internet, 'evil', @hold, $evil],
	'a neighbour who spoke first' => [$sandbox, 'near', 'hold', $near, 7, 300],
	'a neighbour who called' => [$internet, 'near', @hold],
);
for my $row (sort keys %audited) {
	my ($from, $place, @attempt) = @{ $audited{$row} };

	subtest "after an audit: $row" => sub {
		my %who = (sandbox => $from);
		my $held;

		no_rules();
		$held = hostile_start(\%who, @attempt) if $from eq $sandbox;
		nft('-f', $tracker);
		my $audit = drive($w, '--audit');
		is(ask($audit, "apply $policy"), 'ok applied', 'an audit');
		$held //= hostile_start(\%who, @attempt);
		speaks(3);
		ok(wait_for(sub { count('known') > 0 }), 'seems to have called us')
		    if $from eq $sandbox;
		quit_drive($audit);
		my $filter = drive($w);
		is(ask($filter, "apply $policy"), 'ok applied', 'rules');
		speaks(2);
		reset_counts($w);
		speaks(1);
		if ($row =~ /^a neighbour who called/) {
			ok(wait_for(sub { arrived($w, $place) > 0 }), 'is answered');
		} else {
			is(arrived_nothing($w, $place), '', 'nothing goes out');
		}
		stop($held);
		quit_drive($filter);
		nft('delete', 'table', 'inet', 'tracker');
	};
}
done_testing();
