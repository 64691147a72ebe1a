# SPDX-License-Identifier: Apache-2.0
#
# Sandboxes come and go under one agent, with everything that one may have: the
# gate, limits, hosts, resolvers, questions that wait for approval, flows. When
# the last is gone the agent has as many descriptors as before the first, its
# memory does not grow with how many there were, and nothing is left in their
# namespaces. CHURN=1000 for more than the usual.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use JSON::PP qw(encode_json);
use List::Util qw(sum0);
use Test::More tests => 11;
use Agent;
use Harness;

use constant AT_ONCE => 5;
my $cycles = $ENV{CHURN} // 40;

my @ns = map { netns("churn$_") } 1 .. AT_ONCE;
my @inside = map {
	my $ns = $_;
	my $pid = start(name => "inside-$ns", netns => $ns,
	    cmd => ['sleep', '3600']);
	wait_for(sub { readlink("/proc/$pid/exe") =~ /sleep$/ });
	$pid;
} @ns;
my $agent = agent(undef, 'agent', { OPENSANDBOX_EGRESS_GATE => 'names',
	OPENSANDBOX_EGRESS_ASK => 30, OPENSANDBOX_EGRESS_FLOW_LOG => 'true',
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });

sub policy
{
	my ($i) = @_;
	return { egress => [map { { action => 'allow', target => $_ } }
		    'good.test', '192.0.2.0/24', map { "n$_.test" } 0 .. $i % 50],
		limits => { connections => 10, newConnectionsPerSecond => 5,
			bytesPerSecond => 1 << 20, dnsPerSecond => 100 },
		hosts => { 'good.test' => ['192.0.2.10'] } };
}

# Questions from the sandbox: one that is answered, one that waits.
sub questions
{
	my ($ns) = @_;
	in_netns($ns, sub {
		my $s = IO::Socket::INET->new(Proto => 'udp',
		    PeerAddr => '127.0.0.53', PeerPort => 53) or die "socket: $!";
		for my $name ('good', 'undecided') {
			$s->send(pack('n6 C/a C/a C n2', 7, 0x0100, 1, 0, 0, 0, $name,
				'test', 0, 1, 1));
		}
	});
}

# What the agent and its workers hold: descriptors, and KiB that are theirs.
sub family
{
	my @all = ($agent);
	for (my $i = 0; $i < @all; $i++) {
		push @all, split ' ',
		    read_file("/proc/$all[$i]/task/$all[$i]/children");
	}
	return @all;
}
sub descriptors { return sum0 map { scalar(() = glob "/proc/$_/fd/*") } family() }
sub kib
{
	return sum0 map {
		read_file("/proc/$_/smaps_rollup") =~ /^Private_Dirty: *(\d+)/m
	} family();
}

my %status;
sub cycle
{
	my ($i) = @_;
	my $k = $i % AT_ONCE;
	my $path = "/v1/sandboxes/sb-$i";

	$status{join ' ', 'PUT', (ask('PUT', $path, { policy => policy($i),
		$i % 2 ? (netns => $ns[$k]) : (pid => $inside[$k]) }))[0]}++;
	questions($ns[$k]);
	$status{join ' ', 'PATCH', (ask('PATCH', $path,
		{ policy => policy($i + 1) }))[0]}++;
	$status{join ' ', 'DELETE', (ask('DELETE', $path))[0]}++;
}

is((ask('PUT', '/v1/sandboxes/sb', { netns => $ns[0], policy => policy(0) }))[0],
    201, 'a sandbox');
questions($ns[0]);
ok(wait_for(sub { encode_json((ask('GET', '/v1/sandboxes/sb/pending'))[1])
	=~ /undecided/ }), '  whose question waits');
ask('DELETE', '/v1/sandboxes/sb');

cycle($_) for 1 .. 20;
ok(alive($agent), 'the first come and go');
my ($fds, $kib) = (descriptors(), kib());
%status = ();
cycle($_) for 21 .. 20 + $cycles;
is_deeply(\%status, { 'PUT 201' => $cycles, 'PATCH 200' => $cycles,
	'DELETE 204' => $cycles }, "$cycles more do");
ok(wait_for(sub { descriptors() <= $fds }, 30), 'no descriptor is left')
    or diag "$fds before, " . descriptors() . " after\n",
	map { run('ls', '-l', "/proc/$_/fd") } family();
SKIP: {
	skip 'a sanitizer keeps what is freed', 1 if build_dir() =~ m{/san$};
	cmp_ok(kib(), '<', $kib + 1024 + 2 * $cycles,
	    'memory is what it was, or nearly');
}

# Namespaces that end take their sandboxes with them.
my @gone = map { netns("gone$_") } 1 .. 20;
my $put = grep { (ask('PUT', "/v1/sandboxes/$_",
	{ netns => $_, policy => policy(1) }))[0] == 201 } @gone;
is($put, @gone, 'others');
run('ip', 'netns', 'del', $_) for @gone;
ok(wait_for(sub { !@{ (ask('GET', '/v1/sandboxes'))[1]{sandboxes} } }, 60),
    '  are forgotten with their namespaces');
ok(wait_for(sub { descriptors() <= $fds }, 30), '  and leave no descriptor')
    or diag "$fds before, " . descriptors() . " after\n",
	map { run('ls', '-l', "/proc/$_/fd") } family();
is(join('', map { run_in($_, 'nft', 'list', 'tables') } @ns), '',
    'nothing is left where they were');
is(stop($agent), 0, 'the agent ends well');
