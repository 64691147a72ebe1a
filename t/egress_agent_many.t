# SPDX-License-Identifier: Apache-2.0
#
# A thousand sandboxes at once, under one agent.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use Harness;

use constant MANY => 1000;

my $dir = scratch() . '/agent';
my $socket = "$dir/egress.sock";
my $pids = scratch() . '/pids';

# A process of its own network namespace for each.
my $nursery = spawn('nursery', sub {
	my @children;
	for (1 .. MANY) {
		my $pid = fork() // die "fork: $!";
		if ($pid == 0) {
			# unshare(2), CLONE_NEWNET
			syscall(272, 0x40000000) == 0 or die "unshare: $!";
			sleep 600;
			exit;
		}
		push @children, $pid;
	}
	write_file("$pids.new", "@children");
	rename "$pids.new", $pids;
	sleep 600;
});
ok(wait_for(sub { -e $pids }, 60), MANY . ' processes');
my @pids = split ' ', read_file($pids);
my $own = readlink '/proc/self/ns/net';
ok(wait_for(sub { !grep { readlink("/proc/$_/ns/net") eq $own } @pids }, 60),
    'each in a namespace of its own');

my $agent = start(name => 'agent',
	env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' },
	cmd => [build_dir() . '/egress-sidecar', '--agent', '--agent-socket',
		$socket, '--agent-state', "$dir/state"]);
ok(wait_for(sub { -S $socket }), 'the agent serves')
    or diag read_file(scratch() . '/agent.log');

# One request on a connection that stays; returns its status.
my $connection;

sub ask
{
	my ($method, $path, $body) = @_;
	$connection ||= IO::Socket::UNIX->new(Peer => $socket)
	    or die "$socket: $!";
	printf $connection "%s %s HTTP/1.1\r\nHost: agent\r\n"
	    . "Content-Length: %d\r\n\r\n%s", $method, $path, length $body, $body;
	$connection->flush;
	my ($status, $length) = (0, 0);
	while (defined(my $line = <$connection>)) {
		$status = $1 if $line =~ m{^HTTP/1.1 (\d+)};
		$length = $1 if $line =~ /^content-length: (\d+)/i;
		last if $line eq "\r\n";
	}
	read($connection, my $text, $length);
	return ($status, $text);
}

my $policy = '{"egress":[{"action":"allow","target":"good.test"}]}';
my $made = grep { (ask('PUT', sprintf('/v1/sandboxes/sb-%04d', $_),
	"{\"pid\":$pids[$_],\"policy\":$policy}"))[0] == 201 } 0 .. $#pids;
is($made, MANY, 'each is guarded') or diag read_file(scratch() . '/agent.log');
my (undef, $list) = ask('GET', '/v1/sandboxes', '');
is(scalar @{ decode_json($list)->{sandboxes} }, MANY, 'and in the list');
for my $i (0, MANY / 2, MANY - 1) {
	my (undef, $tables) = capture('nsenter', "--net=/proc/$pids[$i]/ns/net",
	    'nft', 'list', 'tables');
	like($tables, qr/inet opensandbox/, "number $i is closed");
}
my (undef, $page) = ask('GET', '/metrics', '');
is(scalar(() = $page =~ /^egress_policy_denied_total\{/mg), MANY,
    'and each is measured');
my $let_go = grep { (ask('DELETE', sprintf('/v1/sandboxes/sb-%04d', $_),
	''))[0] == 204 } 0 .. 9;
is($let_go, 10, 'ten are let go');
my (undef, $tables) = capture('nsenter', "--net=/proc/$pids[0]/ns/net", 'nft',
    'list', 'tables');
is($tables, '', '  and free');

# Hundreds end at once.
kill 'KILL', @pids[10 .. 509];
ok(wait_for(sub {
	(undef, $list) = ask('GET', '/v1/sandboxes', '');
	@{ decode_json($list)->{sandboxes} } == MANY - 510;
}, 60), 'five hundred end at once and are forgotten');
ok(alive($agent), 'the agent lives');
my ($status) = ask('PUT', '/v1/sandboxes/sb-0000', "{\"pid\":$pids[0]}");
is($status, 201, '  and takes on another');
is(stop($agent), 0, 'it ends');
kill 'KILL', @pids;

done_testing();
