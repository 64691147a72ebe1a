# SPDX-License-Identifier: Apache-2.0
#
# The gate is closed while nobody stands there, and what it knew is known to
# the next: worker, sidecar and agent die and come again. An audit refuses
# nothing. What it needs of the host, it keeps, and no more.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Faults qw(worker_of);
use IO::Socket::INET;
use Test::More;
use Agent;
use Harness;
use GateWorld;
use World;

my $w = gate_world();
my $policy = allow('good.test', 'also.test');

# The ports that somebody listens on in the sandbox, on loopback.
sub listening
{
	my $out = run_in($w->{sandbox}, 'ss', '-Hltn');
	my %port = map { $_ => 1 } $out =~ /\s(?:127\.0\.0\.1|\[::1\]):(\d+)\s/g;
	return join ' ', sort { $a <=> $b } keys %port;
}

# Have a port before the gate does, and close whatever comes.
sub squat
{
	my ($name, $port) = @_;
	my $pid = start(name => $name, netns => $w->{sandbox},
	    cmd => [python(), '-uc', <<'END', $port]);
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("bound")
while True:
    s.accept()[0].close()
END
	wait_for(sub { read_file(scratch() . "/$name.log") =~ /bound/ })
	    or die read_file(scratch() . "/$name.log");
	return $pid;
}

sub capabilities
{
	my ($pid) = @_;
	my ($hex) = read_file('/proc/' . worker_of($pid) . '/status')
	    =~ /^CapEff:\s+(\w+)$/m;
	return hex $hex;
}

sub free_namespace
{
	for my $family (qw(inet netdev)) {
		capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete',
		    'table', $family, 'opensandbox');
	}
}

sub lives
{
	my ($mode) = @_;
	my $pid = gate_start($w, $mode, $policy, name => "first-$mode");

	is(listening(), '15353 15380', 'the listeners are there');
	is(!!(capabilities($pid) & 1 << 21), $mode ne 'sidecar',
	    'CAP_SYS_ADMIN is kept where the namespace is another');
	is(fetch($w, '-4', "https://$_.test/"), "TLS $_.test", "$_.test opens")
	    for qw(good also);

	# A worker dies.
	my $worker = worker_of($pid);
	kill 'KILL', $worker;
	ok(wait_for(sub { my $new = worker_of($pid); $new && $new != $worker }),
	    'a worker that dies is followed by another');
	my $got;
	ok(wait_for(sub { ($got = tls($w, 'also.test', GOOD)) eq 'TLS also.test' }, 15),
	    'which knows the name that led there last') or diag $got;
	is(arrived($w, sub { $got = tls($w, 'other.test', GOOD) }), 0,
	    'and refuses another: nothing arrives');
	is($got, 'reset', '  and it is reset');
	is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test',
	    'one that led there before is open once it is looked up');

	# Everybody dies.
	kill 'KILL', -getpgrp $pid;
	wait_exit($pid);
	ok(wait_for(sub { listening() eq '' }), 'killed: nobody listens');
	is(arrived($w, sub { $got = tls($w, 'good.test', GOOD) }), 0,
	    'the gate is closed: nothing arrives');
	is($got, 'refused', '  and it is refused');
	is(arrived($w, sub { $got = clear_request($w, 'good.test', GOOD) }), 0,
	    '  nor in clear');

	# Whoever comes first does not stand in the way.
	my $squatter = squat("first-squatter-$mode", 15380);
	$pid = gate_start($w, $mode, $policy, name => "second-$mode", kept => 1);
	ok(wait_for(sub { tls($w, 'good.test', GOOD) eq 'TLS good.test' }),
	    'the next one takes its names over, on another port');
	is(tls($w, 'other.test', GOOD), 'reset', '  and no others');
	stop($squatter);

	# Somebody ends a listener; another has its port before the gate has it
	# again. That is told of.
	my ($port) = grep { $_ != 15353 } split ' ', listening();
	my @end = ('ip', 'netns', 'exec', $w->{sandbox}, 'ss', '-K', '-ltn', 'src');
	my $gate = worker_of($pid);
	kill 'STOP', $gate;
	capture(@end, "127.0.0.1:$port");
	$squatter = squat("second-squatter-$mode", $port);
	kill 'CONT', $gate;
	my ($status, $text) = $mode eq 'agent' ? ask('GET', '/healthz')
	    : api($w, 'GET', '/healthz');
	is($status, 503, 'listeners that are gone: /healthz');
	like($text, qr/gate's listeners are gone/, '  says so');
	is(arrived($w, sub { $got = tls($w, 'good.test', GOOD) }), 0,
	    '  nothing arrives');
	isnt($got, 'TLS good.test', '  nor comes back');
	stop($squatter);
	ok(wait_for(sub { tls($w, 'good.test', GOOD) eq 'TLS good.test' }),
	    'they listen again when the port is free');
	capture(@end, $_) for "127.0.0.1:$port", "[::1]:$port";
	ok(wait_for(sub { tls($w, 'good.test', GOOD) eq 'TLS good.test' }),
	    'and at once when they are ended without that');
	sees($w, 'getent', 'ahosts', 'good.test');
	is(tls($w, 'good.test', GOOD6), 'TLS good.test', '  on both addresses');
	is(tls($w, 'other.test', GOOD), 'reset', '  for the same names');
	like(listening(), qr/\b$port\b/, '  on the same port');
	ask('DELETE', '/v1/sandboxes/sb') if $mode eq 'agent';
	stop($pid);
	free_namespace();
}

for my $mode (qw(join sidecar agent)) {
	subtest $mode => sub { lives($mode) };
}

# Without the gate nothing of it is there.
my $pid = gate_start($w, 'join', $policy, name => 'without',
    env => { OPENSANDBOX_EGRESS_GATE => 'off' });
is(listening(), '15353', 'off: no listeners');
ok(!(capabilities($pid) & 1 << 21), '  no CAP_SYS_ADMIN');
is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', '  names open');
is(tls($w, 'other.test', GOOD), 'TLS other.test', '  and all of the address');
unlike(run_in($w->{sandbox}, 'nft', 'list', 'table', 'inet', 'opensandbox'),
    qr/gated/, '  not one rule');
stop($pid);
free_namespace();

# Other ports.
$pid = gate_start($w, 'join', $policy, name => 'ports',
    args => ['--gate-ports', '8080']);
is(fetch($w, '-4', 'http://good.test:8080/'), 'HTTP good.test', 'a port of --gate-ports');
is(fetch($w, '-4', '-H', 'Host: other.test:8080', 'http://good.test:8080/'),
    'reset', '  is judged');
is(tls($w, 'other.test', GOOD), 'TLS other.test', 'and those that are none are not');
stop($pid);
free_namespace();

# Without IPv6.
run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
$pid = gate_start($w, 'join', $policy, name => 'ipv4');
is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'a namespace without IPv6');
is(tls($w, 'other.test', GOOD), 'reset', '  has a gate');
stop($pid);
free_namespace();
run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=0');

# Audit: nothing is refused, and the log says what would be.
$pid = gate_start($w, 'join', $policy, name => 'audit', args => ['--audit']);
is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'audit: an allowed name');
is(tls($w, 'other.test', GOOD), 'TLS other.test', '  another is let on');
is(clear_request($w, 'other.test', GOOD), 'HTTP other.test', '  in clear as well');
my @lines = gate_log($w, event => 'egress.denied', reason => 'sni_mismatch');
is_deeply([map { "$_->{msg}: $_->{'target.host'} $_->{'target.port'}" } @lines],
    [map { "connection would be refused: other.test $_" } 443, 80],
    '  and logged');
is(gate_metrics($w)->{refused_sni_mismatch_total}, 2, '  and counted');
gate_policy($w, allow('also.test'));
is(tls($w, 'good.test', GOOD), 'TLS good.test', '  a revoked name too');
stop($pid);

# Names that the log is silenced for.
my $quiet = scratch() . '/always';
mkdir $quiet;
write_file("$quiet/log_skip.always", "other.test\n");
$pid = gate_start($w, 'join', $policy, name => 'quiet',
    args => ['--always-dir', $quiet]);
fetch($w, '-4', 'https://good.test/');
is(tls($w, $_, GOOD), 'reset', "$_ is reset") for qw(other.test else.test);
is_deeply([map { $_->{'target.host'} } gate_log($w, event => 'egress.denied')],
    ['else.test'], 'log_skip.always silences the name that was given');
stop($pid);

# What is no option.
for my $case (
	[['--gate', 'on'], qr/--gate: "on": expected off or names/],
	[['--gate', 'names', '--mode', 'dns'],
	    qr/--gate names, --mode dns: expected --mode dns\+nft/],
	[['--gate-ports', '443,53'], qr/--gate-ports: "443,53": expected .* 53 and 853/],
	[['--gate-ports', '80,80'], qr/--gate-ports: "80,80": expected each port once/],
	[['--gate-ports', '0'], qr/--gate-ports: "0": expected ports, 1 to 65535/],
	[['--gate-ports', ','], qr/--gate-ports: ",": expected at least one port/],
	[['--gate-ports', join ',', 1 .. 17],
	    qr/--gate-ports: "[\d,]+": expected at most 16 ports/],
) {
	my ($args, $like) = @$case;
	my ($status, $out) = capture(build_dir() . '/egress-sidecar', @$args);
	is($status, 2, "@$args: wrong usage");
	like($out, $like, '  which is told in a line');
}

done_testing();
