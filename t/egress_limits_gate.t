#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# With the name gate its way on counts for the policy's limits, in place of the
# sandbox's connection to it. A gate that lets everything on stands in for ours.

use strict;
use warnings;
use IO::Socket::INET;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

use constant { MARK => '0x5a17c0de', PORT => 15380 };

my ($good, $good6, $near) = qw(203.0.113.20 2001:db8:113::20 10.99.0.1);
my $w = filter_world();
my $ns = $w->{sandbox};

serve($w->{internet}, "$good,$good6", 443);

my $gate = start(name => 'gate', netns => $ns, cmd => [python(),
	root() . '/t/tools/plain_gate.py', PORT, MARK]);
wait_for(sub { read_file(scratch() . '/gate.log') =~ /listening/ });

my $d = drive($w, '--mark', MARK, '--gate-port', PORT, '--gated', '443');

sub apply
{
	my ($limits) = @_;
	is(ask($d, 'apply {"egress":[{"action":"allow","target":"good.test"}],'
		. "\"limits\":{$limits}}"), 'ok applied', $limits);
}

# Packets over a limit, bytes that count.
sub over
{
	my $out = run_in($ns, 'nft', 'list', 'counter', 'inet', 'opensandbox',
	    $_[0]);
	return $out =~ /packets (\d+)/ ? $1 : -1;
}
sub used
{
	my $out = run_in($ns, 'nft', 'list', 'quota', 'inet', 'opensandbox',
	    'all_bytes');
	return $out =~ /used (\d+) bytes/ ? $1 : 0;
}

apply('"connections":2');
is(ask($d, "learn good.test $_ 60"), 'ok learned', "a name leads to $_")
    for $good, $good6;
my @held = map { hostile_start($w, 'idle', $_, 443, 60) } $good, $good6;
wait_for(sub { 2 == (() = read_file(scratch() . '/gate.log') =~ /^for/mg) });
reset_counts($w);
isnt(hostile($w, 'tcp', $good, 443), 'open', 'a third one is refused');
is(arrived($w, 'good'), 0, '  and does not leave');
is(over('connections'), 1, '  it is counted');
stop(pop @held);
ok(wait_for(sub { hostile($w, 'tcp', $good, 443) eq 'open' }),
    'one less, and there is room: each counts once');
stop(pop @held);

apply('"newConnectionsPerSecond":3');
my @said = map { hostile($w, 'tcp', $good, 443) } 1 .. 12;
cmp_ok(scalar(grep { $_ eq 'open' } @said), '>=', 3, 'three open');
# All at once, however slow this machine is.
ok(wait_for(sub {
	in_netns($ns, sub {
		my @all = map { IO::Socket::INET->new(PeerAddr => $good,
			PeerPort => 443) } 1 .. 12;
		shutdown $_, 1 for grep { $_ } @all;
		sysread $_, my $end, 1 for grep { $_ } @all;
	});
	over('newConnectionsPerSecond') > 0;
}, 60), '  others come too fast');

apply('"bytesTotal":5000');
is(hostile($w, 'tcp', $_, 443), 'open', "bytes to and from $_")
    for $good, $good6;
cmp_ok(used(), '>', 700, '  count');
cmp_ok(used(), '<', 1500, '  once');
hostile($w, 'tcp', $good, 443) for 1 .. 12;
reset_counts($w);
isnt(hostile($w, 'tcp', $good, 443), 'open', 'when they are used up, nothing opens');
is(arrived($w, 'good'), 0, '  nor leaves');

is(ask($d, 'apply {"egress":[]}'), 'ok applied', 'no limits');
unlike(run_in($ns, 'nft', 'list', 'ruleset'), qr/limit_|bytesTotal/,
    '  no rule for one');

quit_drive($d);
done_testing();
