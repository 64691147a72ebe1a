#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# What the packet filter lets out of a sandbox, and what it refuses, protocol
# by protocol; counted on the other side.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

my ($good, $evil) = ('203.0.113.20', '203.0.113.66');
my ($good6, $evil6) = ('2001:db8:113::20', '2001:db8:113::66');

my $w = filter_world();
serve($w->{internet}, '203.0.113.20,203.0.113.21,203.0.113.66', $_)
    for 80, 443, 853;
serve($w->{internet}, '2001:db8:113::20,2001:db8:113::21,2001:db8:113::66',
    $_) for 80, 81;

my $d = drive($w, '--log', 7);

sub policy
{
	my ($default, @rules) = @_;
	my $egress = join ',', map {
		my ($action, $target, $ports, $protocol) = @$_;
		"{\"action\":\"$action\",\"target\":\"$target\""
		    . ($ports ? ",\"ports\":[$ports]" : '')
		    . ($protocol ? ",\"protocol\":\"$protocol\"" : '') . '}'
	} @rules;
	return "{\"defaultAction\":\"$default\",\"egress\":[$egress]}";
}

is(ask($d, 'missing'), 'ok', 'this kernel has every feature');
is(hostile($w, 'tcp', $evil, 80), 'open', 'before: everything is open');
is(ask($d, 'apply ' . policy('deny', ['allow', 'good.test'],
    ['allow', '203.0.113.21'], ['allow', '2001:db8:113::21'])), 'ok applied',
    'default deny is applied');

subtest 'default deny refuses at once, whatever the protocol' => sub {
	reset_counts($w);
	for my $to ($evil, $good) {
		is(hostile($w, 'tcp', $to, 80), 'ECONNREFUSED', "TCP to $to");
		like(hostile($w, 'udp', $to, 80), qr/^E/, "UDP to $to");
		like(hostile($w, 'ping', $to), qr/^E/, "echo to $to");
		like(hostile($w, 'mapped', $to, 80), qr/^E/, "mapped $to");
	}
	for my $to ($evil6, $good6) {
		is(hostile($w, 'tcp', $to, 81), 'ECONNREFUSED', "TCP to $to");
		like(hostile($w, 'udp', $to, 81), qr/^E/, "UDP to $to");
		like(hostile($w, 'ping', $to), qr/^E/, "echo to $to");
	}
	for my $protocol (132, 136, 33, 47, 4, 41, 50, 2, 103, 200) {
		hostile($w, 'proto', $evil, $protocol);
		hostile($w, 'proto', $evil6, $protocol) if $protocol != 58;
	}
	like(hostile($w, 'lite', $_, 80), qr/^E/, "UDP-Lite to $_")
	    for $evil, $evil6;
	like(hostile($w, 'tcp', $evil, 443), qr/^ECONNREFUSED$/, 'port 443');
	like(hostile($w, 'udp', $evil, 443), qr/^E/, 'QUIC');
	is(arrived_nothing($w, qw(evil good other)), '', 'nothing arrived');
};

subtest 'what the policy names is open' => sub {
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'open', 'TCP to a range');
	is(hostile($w, 'udp', '203.0.113.21', 80), 'open', 'UDP to a range');
	is(hostile($w, 'ping', '203.0.113.21'), 'open', 'echo to a range');
	is(hostile($w, 'mapped', '203.0.113.21', 80), 'open', 'mapped');
	is(hostile($w, 'tcp', '2001:db8:113::21', 81), 'open', 'IPv6 TCP');
	is(hostile($w, 'ping', '2001:db8:113::21'), 'open', 'IPv6 echo');
	reset_counts($w);
	hostile($w, 'proto', '203.0.113.21', 132);
	is(arrived($w, 'good'), 3, 'SCTP to a range');
	hostile($w, 'lite', '203.0.113.21', 80);
	is(arrived($w, 'good'), 4, 'UDP-Lite to a range');
	is(ask($d, "learn good.test $good 30"), 'ok learned', 'learn');
	is(ask($d, "learn good.test $good6 30"), 'ok learned', 'learn IPv6');
	is(hostile($w, 'tcp', $good, 80), 'open', 'TCP to a learned address');
	is(hostile($w, 'udp', $good, 80), 'open', 'UDP to a learned address');
	is(hostile($w, 'tcp', $good6, 81), 'open', 'IPv6 learned');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'the neighbour not');
};

subtest 'other resolvers, DNS over TLS' => sub {
	reset_counts($w);
	like(hostile($w, 'tcp', $good, 853), qr/^ECONNREFUSED$/, '853/tcp');
	like(hostile($w, 'udp', $good, 853), qr/^E/, '853/udp');
	like(hostile($w, 'tcp', $good, 53), qr/^ECONNREFUSED$/, '53/tcp');
	like(hostile($w, 'udp', $good, 53), qr/^ECONNREFUSED$/,
	    '53/udp is redirected to a port where nobody listens now');
	my $front = serve($w->{sandbox}, '127.0.0.1', 15353);
	my $front6 = serve($w->{sandbox}, '::1', 15353);
	for my $to ($evil, $evil6, '192.0.2.1', '2001:db8::1', '10.99.0.1') {
		is(hostile($w, 'udp', $to, 53), 'open', "53/udp at $to is us");
		is(hostile($w, 'tcp', $to, 53), 'open', "53/tcp at $to is us");
	}
	is(arrived_nothing($w, qw(evil good other resolver)), '',
	    'nothing arrived');
	stop($front);
	stop($front6);
};

subtest 'marks open nothing' => sub {
	reset_counts($w);
	my ($mark) = run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
	    'opensandbox', 'admit') =~ /mark set (0x[0-9a-f]+)/;
	ok($mark, 'the ruleset shows a mark');
	is(hostile($w, 'marks', $evil, 80, 1000, $mark), 'refused',
	    'that one, 1, and a thousand others');
	is(arrived($w, 'evil'), 0, 'nothing arrived');
};

subtest 'refused packets are reported' => sub {
	# The kernel gathers packets: those of the attempts before come late.
	1 while ask($d, 'log') ne 'ok 0';
	hostile($w, 'tcp', $evil, 8443);
	like(ask($d, 'log'), qr/out 10\.99\.0\.2 > \Q$evil\E proto 6 port 8443;/,
	    'TCP');
	hostile($w, 'udp', $evil6, 8443);
	like(ask($d, 'log'),
	    qr/out 2001:db8:99::2 > \Q$evil6\E proto 17 port 8443;/, 'IPv6 UDP');
	hostile($w, 'ping', $evil);
	like(ask($d, 'log'), qr/> \Q$evil\E proto 1 port 0;/, 'echo');
	like(ask($d, 'counts'), qr/^ok refused [1-9]\d+ learned 2/, 'counts');
};

subtest 'first match wins over addresses' => sub {
	is(ask($d, 'apply ' . policy('deny', ['allow', '203.0.113.20/32'],
	    ['deny', '203.0.113.0/26'], ['allow', '203.0.113.0/24'])),
	    'ok applied', 'nested ranges');
	is(hostile($w, 'tcp', '203.0.113.20', 80), 'open', 'the first');
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'ECONNREFUSED', 'the second');
	is(hostile($w, 'tcp', '203.0.113.66', 80), 'open', 'the third');
	is(ask($d, 'apply ' . policy('allow', ['deny', '203.0.113.66'])),
	    'ok applied', 'default allow');
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'open', 'the default');
	is(hostile($w, 'tcp', '203.0.113.66', 80), 'ECONNREFUSED', 'the rule');
	like(hostile($w, 'udp', '203.0.113.20', 853), qr/^E/, '853 even so');
};

subtest 'ports' => sub {
	is(ask($d, 'apply ' . policy('deny',
	    ['allow', '203.0.113.21', 80, 'tcp'],
	    ['allow', 'good.test', '443'])), 'ok applied', 'rules with ports');
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'open', 'the port');
	like(hostile($w, 'udp', '203.0.113.21', 80), qr/^E/, 'other protocol');
	is(hostile($w, 'tcp', '203.0.113.21', 443), 'ECONNREFUSED', 'other port');
	like(hostile($w, 'ping', '203.0.113.21'), qr/^E/, 'echo');
	is(hostile($w, 'tcp', $good, 443), 'ECONNREFUSED', 'not yet learned');
	is(ask($d, "learn good.test $good 30"), 'ok learned', 'learn');
	is(hostile($w, 'tcp', $good, 443), 'open', 'the name\'s port');
	is(hostile($w, 'tcp', $good, 80), 'ECONNREFUSED', 'other port');
	like(hostile($w, 'ping', $good), qr/^E/, 'echo');
};

# The kernel's map stays where a new policy has the same ranges; what they lead
# to must be the new policy's all the same.
subtest 'the same ranges, other rules' => sub {
	my @ranges = (['deny', '203.0.113.66'], ['allow', '203.0.113.0/27']);
	is(ask($d, 'apply ' . policy('deny', ['allow', '203.0.113.21', 443],
	    @ranges)), 'ok applied', 'one port');
	is(hostile($w, 'tcp', '203.0.113.21', 443), 'open', 'of it');
	is(hostile($w, 'tcp', '203.0.113.20', 80), 'open', 'a range');
	is(ask($d, 'apply ' . policy('deny', ['deny', '203.0.113.21', 443],
	    @ranges, ['allow', 'good.test'])), 'ok applied',
	    'the port denied, a name more');
	is(hostile($w, 'tcp', '203.0.113.21', 443), 'ECONNREFUSED', 'the port');
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'open', 'another');
	is(hostile($w, 'tcp', '203.0.113.20', 80), 'open', 'the range');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'the denied one');
	is(ask($d, 'apply ' . policy('deny', ['deny', '203.0.113.21', 443],
	    ['allow', '203.0.113.66'], $ranges[1])), 'ok applied',
	    'the same ranges, another verdict');
	is(hostile($w, 'tcp', $evil, 80), 'open', 'it holds');
	is(hostile($w, 'tcp', '203.0.113.20', 80), 'open', 'the range');
	is(ask($d, 'apply ' . policy('deny', @ranges)), 'ok applied', 'back');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'denied again');
};

quit_drive($d);
is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'the rules outlive us');
done_testing();
