# SPDX-License-Identifier: Apache-2.0
#
# Time on a hostile sandbox's side: hellos that never end, thousands of them, a
# gate that is killed, a policy that is narrowed while connections are open; what
# is allowed by default, and what an audit lets on.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Faults qw(worker_of);
use GateHostile;
use GateWorld;
use Harness;
use Hostile;
use Test::More;
use World;

use constant FLOOD => 10_000;

my $w = hostile_world();
my $pid;

sub begin
{
	my ($mode, $policy, %o) = @_;

	$pid = gate_start($w, $mode, $policy, %o);
	# Whoever asks for a name that is denied learns nothing.
	sees($w, 'getent', 'ahosts', 'good.test');
}

sub end
{
	is(stop($pid), 0, 'the sidecar ends well') if alive($pid);
	for my $family (qw(inet netdev)) {
		capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete',
		    'table', $family, 'opensandbox');
	}
}

sub resident
{
	return read_file('/proc/' . worker_of($pid) . '/status')
	    =~ /^VmRSS:\s+(\d+)/m ? $1 * 1024 : die 'no worker';
}

# Nothing of what code does leaves, nor does the server see any of it.
sub nothing
{
	my ($name, $code) = @_;

	quiet($w);
	my $had = frames($w);
	far_mark();
	my $got = $code->();
	is(join(' ', far()), '0 ', "$name: the server is given nothing");
	is(frames($w)->{every} - $had->{every}, 0, '  and nothing left');
	return $got;
}

for my $mode (qw(join sidecar)) {
	my $got;

	# A narrower policy.
	begin($mode, allow('good.test'));
	my $held = holder($w, 'hold', GOOD, 80);
	is(talk($held), 'HTTP good.test', "$mode: a connection of good.test");
	gate_policy($w, allow('fine.test'));
	is(talk($held, 'wait'), 'reset', "$mode: narrowed: it is reset");
	ok(wait_for(sub { frames($w)->{rsts} > 0 }), '  and so it is to the server');
	quit_attacker($held);
	nothing("$mode: the name that was revoked", sub {
		isnt(clear_request($w, 'good.test', GOOD), 'HTTP good.test',
		    "$mode: the name is refused"); });
	gate_policy($w, allow('good.test'));
	sees($w, 'getent', 'ahosts', 'good.test');

	# Half-open hellos.
	is(fetch($w, '-4', 'http://good.test/'), 'HTTP good.test',
	    "$mode: the allowed name opens");
	my $before = resident();
	my $flood = nothing("$mode: " . FLOOD . ' hellos that do not end', sub {
		my $c = holder($w, 'flood', GOOD, 443, FLOOD);
		is(talk($c), FLOOD, "$mode: all of them are begun");
		return $c;
	});
	is(clear_request($w, 'good.test', GOOD), 'HTTP good.test',
	    "$mode: meanwhile others are served");
	cmp_ok(resident() - $before, '<', 16 << 20, "$mode: memory is bounded")
	    if build_dir() !~ m{/san\b};
	cmp_ok(gate_metrics($w)->{connections}, '<=', 4096, "$mode: so are they");
	quit_attacker($flood);

	# Killed, the worker alone and all.
	for my $who ('the worker', 'all') {
		my $name = "$mode: killed, $who";

		ok(wait_for(sub { clear_request($w, 'good.test', GOOD)
		    eq 'HTTP good.test' }, 15), "$name: served before");
		$held = holder($w, 'hold', GOOD, 80);
		is(talk($held), 'HTTP good.test', "$name: a connection is open");
		my $worker = worker_of($pid);
		if ($who eq 'all') {
			kill 'KILL', -getpgrp $pid;
			wait_exit($pid);
		} else {
			# Nobody follows it meanwhile.
			kill 'STOP', $pid;
			kill 'KILL', $worker;
			wait_for(sub { read_file("/proc/$worker/status") =~ /^State:\s+Z/m
			    || !-e "/proc/$worker" });
		}
		like(talk($held, 'wait'), qr/^(reset|fin)$/, '  it ends');
		# Without a worker the supervisor keeps the listeners for the next.
		my $no = $who eq 'all' ? qr/^refused$/ : qr/^curl 28/;
		$got = nothing($name, sub { [talk($held, 'say'),
			map { $_->[0]->($w, @$_[1, 2], '-m', 1) }
			    [\&clear_request, 'good.test', GOOD],
			    [\&tls, 'good.test', GOOD6], [\&tls, 'other.test', GOOD]] });
		like(shift @$got, qr/^(reset|fin)$/, '  it is at its end');
		like($_, $no, '  and nobody is served') for @$got;
		kill 'CONT', $pid if $who ne 'all';
		quit_attacker($held);
	}
	end();
	$pid = undef;
}

# Allowed by default: what no name led to is open, what one did is gated.
begin('sidecar', { defaultAction => 'allow',
	egress => [{ action => 'deny', target => 'other.test' }] },
    name => 'default');
nothing('default allow', sub {
	is(clear_request($w, 'other.test', GOOD), 'reset',
	    'default allow: a name that is denied is reset');
	is(tls($w, 'other.test', GOOD6), 'reset', '  over TLS and IPv6 as well');
	is(tls($w, 'new.test', GOOD), 'reset',
	    '  and one that did not lead there');
	like(hostile($w, NOBODY, 'udp', GOOD, 443), qr/^E/, '  and QUIC');
});
is_deeply([refusals($w, 0)], [map { "sni_mismatch $_.test" } qw(other other new)],
    '  and the log says why');
end();

# An audit lets on, and says what it would not.
begin('sidecar', allow('good.test'), name => 'audit', args => ['--audit']);
my $a = attacker($w, NOBODY);
for my $try (['another name', 'sni_mismatch other.test'], ['no name', 'no_name -'],
	['a trailing dot', 'malformed -'], ['another host', 'sni_mismatch other.test'],
	['two hosts', 'malformed -']) {
	my ($name, $want) = @$try;
	my $before = refusals($w, 0);

	far_mark();
	attack($a, 'say', GOOD, $name);
	cmp_ok((far())[0], '==', 1, "audit: $name is let on");
	is_deeply([refusals($w, $before)], [$want], '  and logged');
}
quit_attacker($a);
end();

done_testing();
