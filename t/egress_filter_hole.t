#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# The hole for our own queries, in a sidecar that shares the sandbox's
# namespace: for us alone, and no trace of it that a sandbox could use.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

use constant MARK => '0x5a17c0de';

my ($resolver, $resolver6) = ('203.0.113.53', '2001:db8:113::53');
my $w = filter_world();
serve($w->{internet}, "$resolver,203.0.113.66", 53);
serve($w->{internet}, $resolver6, 53);
serve($w->{internet}, $resolver, 80);

my $nothing = '{"defaultAction":"deny","egress":[]}';
my $d = drive($w, '--resolver', $resolver, '--resolver', $resolver6, '--mark',
    MARK);
is(ask($d, "apply $nothing"), 'ok applied', 'deny everything');

subtest 'for us alone' => sub {
	reset_counts($w);
	is(hostile($w, 'udp', $resolver, 53), 'ECONNREFUSED',
	    'the sandbox\'s question comes to us');
	is(hostile($w, 'tcp', $resolver, 53), 'ECONNREFUSED', 'over TCP too');
	is(arrived($w, 'resolver'), 0, 'and not there');
	is(hostile($w, 'udp', $resolver, 53, 0, MARK), 'open', 'ours goes there');
	is(hostile($w, 'tcp', $resolver, 53, MARK), 'open', 'over TCP');
	is(hostile($w, 'udp', $resolver6, 53, 0, MARK), 'open', 'over IPv6');
	like(hostile($w, 'udp', $resolver, 80, 0, MARK), qr/^E/,
	    'no other port of it');
	is(hostile($w, 'udp', '203.0.113.66', 53, 0, MARK), 'ECONNREFUSED',
	    'no other resolver');
	reset_counts($w);
	hostile($w, 'marks', $resolver, 53, 300);
	hostile($w, 'marks', $resolver6, 53, 300);
	is(arrived($w, 'resolver'), 0, 'no other mark');
	quit_drive($d);
	$d = drive($w, '--resolver', $resolver, '--resolver', $resolver6, '--mark',
	    MARK);
	ask($d, "apply $nothing"); # which knows nothing of so many guesses
};

subtest 'another user' => sub {
	my $said = in_netns($w->{sandbox}, sub {
		my ($status, $out) = capture('setpriv', '--reuid', '65534',
		    '--inh-caps', '+net_raw', '--ambient-caps', '+net_raw',
		    python(), tool('hostile.py'), 'udp', $resolver,
		    53, 0, MARK);
		return $out;
	});
	like($said, qr/^E/, 'has the mark in vain');
};

subtest 'a source port of ours' => sub {
	is(hostile($w, 'udp', $resolver, 53, 33333, MARK), 'open', 'our question');
	my $connections = run_in($w->{sandbox}, 'cat',
	    '/proc/net/nf_conntrack');
	unlike($connections, qr/33333/, 'leaves no connection') ;
	reset_counts($w);
	my $front = serve($w->{sandbox}, '127.0.0.1', 15353);
	is(hostile($w, 'udp', $resolver, 53, 33333), 'open',
	    'the same port asks us');
	is(arrived($w, 'resolver'), 0, 'and not the resolver');
	is(hostile($w, 'udp', $resolver, 53, 33333, MARK), 'open',
	    'ours goes on after it');
	cmp_ok(arrived($w, 'resolver'), '>', 0, 'to the resolver');
	stop($front);
};

subtest 'the mark is not to be seen' => sub {
	my $sniffer = hostile_start($w, 'marks_seen', 'eth0', 2);
	hostile($w, 'udp', $resolver, 53, 0, MARK);
	my $said = said($sniffer);
	like($said, qr/packets some marks/, 'packets are');
	unlike($said, qr/@{[MARK]}/, 'the mark is not') or note($said);
};
quit_drive($d);

subtest 'resolvers of different ports' => sub {
	my $other = serve($w->{internet}, '203.0.113.66', 5300);
	for my $peers ([$resolver, '203.0.113.66#5300'],
		['203.0.113.66#5300', $resolver]) {
		my $d2 = drive($w, (map { ('--resolver', $_) } @$peers), '--mark',
		    MARK);
		is(ask($d2, "apply $nothing"), 'ok applied', 'apply');
		is(hostile($w, 'udp', '203.0.113.66', 5300, 33334, MARK), 'open',
		    'the one');
		is(hostile($w, 'udp', $resolver, 53, 33334, MARK), 'open',
		    'the other');
		unlike(run_in($w->{sandbox}, 'cat', '/proc/net/nf_conntrack'),
		    qr/33334/, 'no connection is left');
		quit_drive($d2);
	}
	stop($other);
};

subtest 'a resolver on loopback' => sub {
	my $d2 = drive($w, '--resolver', '127.0.0.11', '--mark', MARK);
	is(ask($d2, "apply $nothing"), 'ok applied', 'apply');
	my $stub = serve($w->{sandbox}, '127.0.0.11', 53);
	my $behind = serve($w->{sandbox}, '127.0.0.11', 40053);
	my $other = serve($w->{sandbox}, '127.0.0.1', 8000);
	is(hostile($w, 'udp', '127.0.0.11', 53, 0, MARK), 'open', 'we reach it');
	is(hostile($w, 'udp', '127.0.0.11', 53), 'ECONNREFUSED',
	    'the sandbox reaches us');
	like(hostile($w, 'udp', '127.0.0.11', 40053), qr/^E/,
	    'nor by the port that it really has');
	like(hostile($w, 'tcp', '127.0.0.11', 40053), qr/^E/, 'over TCP neither');
	is(hostile($w, 'tcp', '127.0.0.1', 8000), 'open', 'loopback is free');
	quit_drive($d2);
};

subtest 'exempt resolvers' => sub {
	my $d2 = drive($w, '--resolver', $resolver, '--mark', MARK, '--exempt',
	    $resolver, '--exempt', $resolver6);
	is(ask($d2, "apply $nothing"), 'ok applied', 'apply');
	is(hostile($w, 'udp', $resolver, 53), 'open', 'UDP');
	is(hostile($w, 'tcp', $resolver, 53), 'open', 'TCP');
	is(hostile($w, 'udp', $resolver6, 53), 'open', 'IPv6');
	like(hostile($w, 'udp', $resolver, 80), qr/^E/, 'port 53 alone');
	is(hostile($w, 'udp', '203.0.113.66', 53), 'ECONNREFUSED', 'no other');
	quit_drive($d2);
};

subtest 'DNS alone' => sub {
	my $d2 = drive($w, '--dns-only');
	is(ask($d2, "apply $nothing"), 'ok applied', 'apply');
	is(hostile($w, 'udp', $resolver, 53), 'ECONNREFUSED', '53 is redirected');
	is(hostile($w, 'tcp', $resolver, 80), 'open', 'nothing is refused');
	is(ask($d2, 'element 203.0.113.66 5'), 'ok ', 'learning is no error');
	quit_drive($d2);
};

subtest 'audit' => sub {
	my $d2 = drive($w, '--audit', '--log', 9);
	is(ask($d2, "apply $nothing"), 'ok applied', 'apply');
	is(hostile($w, 'tcp', $resolver, 80), 'open', 'nothing is refused');
	like(ask($d2, 'log'), qr/> \Q$resolver\E proto 6 port 80 audit;/,
	    'but told');
	quit_drive($d2);
};

subtest 'drop' => sub {
	my $d2 = drive($w, '--drop');
	is(ask($d2, "apply $nothing"), 'ok applied', 'apply');
	is(hostile($w, 'tcp', $resolver, 80), 'timeout-late', 'no answer');
	quit_drive($d2);
};

done_testing();
