#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Each container is replaced while there is traffic: no request of a gateway is
# lost, and what a sidecar or an agent guards stays closed in between, with what
# is open going on.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);
use Harness;
use Images;
use World;

my $e = Images->new(qw(gateway egress));
my $dir = scratch();
my $rules = '{"defaultAction":"deny","egress":[{"action":"allow","target":"good.test"}]}';

# Requests one after another, each on a connection of its own, until the file is
# gone: how many, and what else than 200 was answered.
sub requests
{
	my ($url) = @_;
	write_file("$dir/go", '');
	write_file("$dir/requests.sh", <<'EOT');
while [ -e "$1/go" ]; do
	curl -s -m 10 -o /dev/null -w '%{http_code} %{errormsg}\n' "$2"
done >"$1/answers"
EOT
	return start(name => 'requests', netns => $e->{netns},
	    cmd => ['sh', "$dir/requests.sh", $dir, $url]);
}

sub answers
{
	my ($pid) = @_;
	unlink "$dir/go";
	wait_exit($pid, 30);
	my @all = split /\n/, read_file("$dir/answers");
	return (scalar @all, grep { !/^200 / } @all);
}

# A sandbox reads a line each tenth of a second of one connection to the allowed
# server, and asks its resolver for both names all the time.
write_file("$dir/ticks.py", <<'EOT');
import socket, sys, threading, time
server = socket.create_server((sys.argv[1], 81))
def serve(peer):
    try:
        for i in range(10000):
            peer.sendall(b"%d\n" % i)
            time.sleep(0.1)
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
EOT
start(name => 'ticks', netns => $e->{internet}, cmd => [python(), "$dir/ticks.py", GOOD]);

sub reader
{
	my ($box) = @_;
	return start(name => "reader-$box", cmd => [$e->podman_command('exec', $box, 'bash',
		'-c', 'exec 3<>/dev/tcp/good.test/81 && exec cat <&3')]);
}

sub read_until
{
	my ($box) = @_;
	return (read_file("$dir/reader-$box.log") =~ /(\d+)\n\z/)[0] // -1;
}

# What the sandbox still gets from open connections and new ones, while nobody
# guards it; then the time until names are answered again.
sub replaced
{
	my ($what, $box, $end, $begin) = @_;
	my $reader = reader($box);
	ok(wait_for(sub { read_until($box) > 2 }, 20), "$what: a connection is open")
	    or diag read_file("$dir/reader-$box.log");
	my $evil = counted($e, 'evil');
	$end->();
	my $last = read_until($box);
	unlike($e->fetch($box, 'good.test'), qr/"app"/, '  without it, no name is answered');
	unlike($e->fetch($box, EVIL), qr/"app"/, '  nothing that is not allowed is reached');
	ok(wait_for(sub { read_until($box) > $last + 3 }, 20), '  what is open goes on');
	my $since = time;
	$begin->();
	ok(wait_for(sub { $e->fetch($box, 'good.test') =~ /"app": "good"/ }, 30),
	    '  names are answered by the next one');
	diag sprintf '%s: served %.1f s after its start', $what, time - $since;
	unlike($e->fetch($box, 'evil.test'), qr/"app"/, '  no others');
	$last = read_until($box);
	ok(wait_for(sub { read_until($box) > $last + 3 }, 20), '  what was open still is');
	is(counted($e, 'evil'), $evil, '  and no packet arrived where none may');
	stop($reader);
}

subtest 'the gateway' => sub {
	my $box = $e->sandbox('box', {});
	mkdir "$dir/state";
	chown 65532, 65532, "$dir/state";
	my $conf = read_file(root() . '/conf/container/nginx.conf');
	$conf =~ s/(opensandbox_zone [^;]*)/$1 state=\/var\/lib\/opensandbox\/records/;
	$conf =~ s/listen (808[01]);/listen $1 reuseport;/g;
	write_file("$dir/nginx.conf", $conf);
	# A connection that waits for the one that ends is the other's.
	run_in($e->{netns}, 'sysctl', '-qw', 'net.ipv4.tcp_migrate_req=1');
	my $run = sub {
		my ($name) = @_;
		$e->podman('run', '-d', '--name', $name, confined(), '--network', 'host',
		    '--stop-signal', 'QUIT', '--volume', "$dir/state:/var/lib/opensandbox",
		    '--volume', "$dir/nginx.conf:/etc/nginx/nginx.conf:ro",
		    '--entrypoint', 'nginx', image('gateway'), '-g', 'daemon off;');
	};
	$run->('old');
	ok($e->healthy('old'), 'one serves');
	is((split /\n/, run_in($e->{netns}, 'curl', '-s', '-X', 'PUT', '-d',
		    encode_json({ endpoint => $box }), '-w', "\n%{http_code}",
		    'http://127.0.0.1:8081/v1/sandboxes/sb-1'))[-1], 201, 'a record is written');
	ok(wait_for(sub { -s "$dir/state/records" }, 10), '  and kept in the volume');
	my $pid = requests('http://127.0.0.1:8080/sandboxes/sb-1/port/8000/name');
	ok(wait_for(sub { -s "$dir/answers" }, 10), 'requests are under way');
	$run->('new');
	sleep 3;
	$e->podman('stop', '-t', 30, 'old');
	is($e->inspect('old')->{State}{ExitCode}, 0, 'the old one ends');
	sleep 1;
	my ($all, @lost) = answers($pid);
	cmp_ok($all, '>', 20, 'requests were made all along');
	is_deeply(\@lost, [], '  none of them was lost') or diag "$all requests";
	diag "gateway: $all requests, " . @lost . ' lost';
	# In the place of both: a pause, and the records are there again.
	$e->podman('stop', '-t', 30, 'new');
	$run->('third');
	ok($e->healthy('third'), 'one that starts after the end of the others serves');
	is((split /\n/, run_in($e->{netns}, 'curl', '-s',
		    'http://127.0.0.1:8080/sandboxes/sb-1/port/8000/name'))[-1], 'box',
	    '  what they had kept');
	$e->podman('rm', '-f', '-t', 0, qw(old new third));
};

for my $signal (qw(TERM KILL)) {
	my ($box, $n) = ("box-$signal", 0);
	$e->sandbox($box, {});
	my $begin = sub {
		$e->podman('run', '-d', '--name', "sidecar-$signal-" . ++$n, confined('NET_ADMIN'),
		    '--network', "container:$box", '--env', "OPENSANDBOX_EGRESS_RULES=$rules",
		    '--env', 'OPENSANDBOX_EGRESS_DNS_UPSTREAM=' . RESOLVER, image('egress'));
		$e->healthy("sidecar-$signal-$n") or die 'the sidecar is not healthy';
	};
	subtest "the sidecar, by SIG$signal" => sub {
		$begin->();
		replaced('sidecar', $box, sub {
			$e->podman('kill', '--signal', $signal, "sidecar-$signal-1");
			$e->podman('wait', "sidecar-$signal-1");
		}, $begin);
	};
}

subtest 'the agent' => sub {
	my $n = 0;
	mkdir "$dir/run";
	$e->sandbox('boxed', {});
	my $inner = $e->inspect('boxed')->{State}{Pid};
	my $begin = sub {
		$e->podman('run', '-d', '--name', 'agent-' . ++$n, confined(qw(NET_ADMIN NET_RAW
		    SYS_ADMIN SYS_PTRACE DAC_OVERRIDE SETPCAP)), '--network', 'host', '--pid',
		    'host', '--volume', "$dir/run:/run/opensandbox",
		    # By a variable, and by an option, which its health check cannot see.
		    ($n == 1 ? ('--env', 'OPENSANDBOX_EGRESS_AGENT=true') : ()), '--env',
		    'OPENSANDBOX_EGRESS_DNS_UPSTREAM=' . RESOLVER, image('egress'),
		    $n == 1 ? () : '--agent');
		$e->healthy("agent-$n") or die 'the agent is not healthy';
	};
	$begin->();
	my $out = run('curl', '-s', '--unix-socket', "$dir/run/egress.sock", '-X', 'PUT', '-d',
	    encode_json({ pid => $inner + 0, policy => decode_json($rules) }), '-w',
	    "\n%{http_code}", 'http://agent/v1/sandboxes/boxed');
	like($out, qr/\n201\z/, 'it guards a sandbox');
	replaced('agent', 'boxed', sub { $e->podman('stop', '-t', 20, 'agent-1') }, $begin);
};

done_testing;
