# SPDX-License-Identifier: Apache-2.0
#
# How the gate's connections end: who leaves without a word is not told of, a
# second ClientHello for another name is the last, and what is open ends on both
# sides when the policy's bytes are used up.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use IPC::Open2;
use JSON::PP;
use Socket qw(SHUT_WR);
use Test::More;
use Harness;
use GateWorld;
use Receiver;
use World;

use constant { MIB => 1 << 20, RETRIES => 8443 };

my $w = world();
my $dir = scratch();
my $peer = root() . '/t/tools/gate_peer.py';
my $hook = free_port();

receiver_at($w->{host}, 'hook', '10.88.0.1', $hook, { status => 204 });
world_dns($w, map { ("--address=/good.test/$_", "--address=/also.test/$_") } GOOD, GOOD6);
start(name => 'peer', netns => $w->{internet},
    cmd => [python(), $peer, 'serve', GOOD, 443]);
run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-nodes', '-days', '2', '-subj', '/CN=good.test', '-keyout', "$dir/key", '-out', "$dir/crt");
start(name => 'tls', netns => $w->{internet}, cmd => ['openssl', 's_server', '-accept',
	GOOD . ':' . RETRIES, '-cert', "$dir/crt", '-key', "$dir/key", '-tls1_3', '-www', '-msg']);
wait_for(sub { read_file("$dir/peer.log") =~ /listening/
	&& read_file("$dir/tls.log") =~ /ACCEPT/ }, 20) or die "no server\n";

my %env = (
	OPENSANDBOX_EGRESS_GATE_PORTS => '443,' . RETRIES,
	OPENSANDBOX_EGRESS_DENY_WEBHOOK => "http://10.88.0.1:$hook/",
);
sub told { return scalar grep { $_->{method} eq 'POST' } received('hook') }

# Connect, say so much, and leave, or only end what is said.
sub leaves
{
	my ($said, $half) = @_;
	return in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(PeerAddr => GOOD, PeerPort => 443)
		    or return "connect: $!";
		$s->syswrite($said) if length $said;
		$half ? $s->shutdown(SHUT_WR) : $s->close;
		return 'left' if !$half;
		my $n = $s->sysread(my $got, 100);
		return defined $n ? "got $n" : $!{ECONNRESET} ? 'reset' : "$!";
	});
}

sub hellos { return scalar(() = read_file("$dir/tls.log") =~ /ClientHello/g) }

sub retry
{
	my ($first, $second) = @_;
	my $before = hellos();
	my ($status, $out) = sees($w, python(), root() . '/t/tools/hello_retry.py', GOOD,
	    RETRIES, $first, $second);
	$out =~ s/\n\z//;
	select undef, undef, undef, 0.2;
	return ($out, hellos() - $before);
}

for my $mode (qw(join sidecar)) {
	subtest $mode => sub {
		my $pid = gate_start($w, $mode, allow('good.test'), env => \%env);
		sees($w, 'getent', 'ahostsv4', 'good.test');
		my $told = told();

		is(leaves(''), 'left', 'one that says nothing leaves');
		is(leaves('', 1), 'reset', 'and one that waits for an answer is ended');
		ok(wait_for(sub { gate_metrics($w)->{accepted_total} == 2 }), 'both came');
		ok(wait_for(sub { gate_metrics($w)->{connections} == 0 }), '  and are gone');
		is(leaves('GET'), 'left', 'one that said something');
		ok(wait_for(sub { gate_metrics($w)->{refused_malformed_total} == 1 }), '  is refused');
		is(gate_metrics($w)->{refused_no_name_total}, 0, '  it alone');
		is(scalar(gate_log($w, msg => 'connection refused by name')), 1, '  and logged');
		ok(wait_for(sub { told() > $told }), '  and told');
		is(told(), $told + 1, '  once');

		is_deeply([retry('good.test', 'good.test')], ['retry hello', 2],
		    'a server that asks for another ClientHello gets it');
		is_deeply([retry('good.test', 'other.test')], ['retry reset', 1],
		    'another name in it: reset, and it does not arrive');
		is((gate_log($w, event => 'egress.denied', 'target.host' => 'other.test'))[-1]{reason},
		    'sni_mismatch', '  logged');
		stop($pid);
		run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
		capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
		    'netdev', 'opensandbox');
	};
}

sub client_start
{
	my ($ns, $verb, $n) = @_;
	my $pid = open2(my $out, my $in, 'ip', 'netns', 'exec', $ns, python(), $peer,
	    $verb, GOOD, 443, 'good.test', $n);
	my $ready = <$out> // '';
	die "$verb: $ready" if $ready ne "ready\n";
	$in->autoflush(1);
	return { pid => $pid, in => $in, out => $out };
}

subtest 'in an audit' => sub {
	my $pid = gate_start($w, 'join', allow('good.test'), name => 'audit', args => ['--audit'],
	    env => \%env);
	sees($w, 'getent', 'ahostsv4', 'good.test');
	is(leaves(''), 'left', 'one that says nothing leaves');
	is(leaves('GET'), 'left', 'and one that says something');
	ok(wait_for(sub { gate_metrics($w)->{refused_malformed_total} == 1 }), 'is told of');
	is(scalar(gate_log($w, event => 'egress.denied', reason => 'no_name')), 0, '  it alone');
	stop($pid);
};

sub go_on
{
	my ($c) = @_;
	my ($in, $out) = @$c{qw(in out)};
	print $in "\n";
	my $said = <$out>;
	waitpid $c->{pid}, 0;
	return $said;
}

# A machine behind the sandbox, which nobody here resets.
my $inner = netns('inner');
veth($w->{sandbox}, 'in0', $inner, 'eth0');
addr($w->{sandbox}, 'in0', '10.77.0.1/24');
addr($inner, 'eth0', '10.77.0.2/24');
run('ip', '-n', $inner, 'route', 'add', 'default', 'via', '10.77.0.1');
run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');

subtest 'bytes that are used up' => sub {
	my $pid = gate_start($w, 'join', { %{ allow('good.test') },
	    limits => { bytesTotal => 4 * MIB } }, name => 'spent', env => \%env);
	sees($w, 'getent', 'ahostsv4', 'good.test');
	my $before = () = read_file("$dir/peer.log") =~ /^hold reset$/mg;
	my @held = map { client_start($_, 'hold', 10) } $w->{sandbox}, $inner;
	is(gate_metrics($w)->{connections}, 20, 'twenty are open, ten from behind');
	capture('timeout', '20', 'ip', 'netns', 'exec', $w->{sandbox}, python(), $peer,
	    'download', GOOD, 443, 'good.test', 6 * MIB);
	ok(wait_for(sub { gate_metrics($w)->{connections} == 0 }, 10),
	    'they end when one has used up the bytes');
	ok(wait_for(sub { (() = read_file("$dir/peer.log") =~ /^hold reset$/mg) - $before == 20 }, 5),
	    '  which their server is told of');
	is(go_on($_), "reset 10 open 0 fin 0\n", '  and the client') for @held;
	stop($pid);
};

done_testing();
