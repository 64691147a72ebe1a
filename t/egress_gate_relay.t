#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The gate's moving half: what was judged arrives as it was sent, whichever
# side is slow, ends or resets; connections at rest cost next to nothing, and
# those that never give a name keep nobody out.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use FilterWorld;
use Harness;
use IO::Handle;
use IPC::Open2;
use IPC::Open3;
use Test::More;
use Time::HiRes qw(sleep);

use constant {
	GOOD  => '203.0.113.20',
	GOOD6 => '2001:db8:113::20',
	AWAY  => '192.0.2.9',
	MIB   => 1 << 20,
};

my $w    = filter_world();
my $peer = root() . '/t/tools/gate_peer.py';
my $mark = 0x0d15ea5e;
# One port for all of them: conntrack still knows where connections that have
# ended were redirected to, and their ports come again.
my $port = free_port();
my ($gate, $gates) = (undef, 0);

# A way to an address where nothing answers.
run('ip', '-n', $w->{internet}, 'route', 'del', '192.0.2.0/24', 'via', '10.99.0.2');
run('ip', '-n', $w->{internet}, 'route', 'add', 'blackhole', '192.0.2.0/24');

# Everything to these addresses meets the gate, but its own. That has a zone of
# its own in conntrack: a server's reset leaves an entry behind, and a client
# whose connection has the same two ends would go its way, past the gate.
sub redirect
{
	my $rules = <<"EOF";
table inet redirection { }
delete table inet redirection
table inet redirection {
	chain zone {
		type filter hook output priority -300
		meta mark $mark ct original zone set 1
	}
	chain out {
		type nat hook output priority -100
		meta mark $mark return
		ip daddr { 203.0.113.0/24, 192.0.2.0/24 } tcp dport { 80, 443, 8443 } redirect to :$port
		ip6 daddr 2001:db8:113::/64 tcp dport { 80, 443, 8443 } redirect to :$port
	}
}
EOF
	my $file = write_file(scratch() . '/redirect.nft', $rules);
	run_in($w->{sandbox}, 'nft', '-f', $file);
}

# Start a gate (in the host's namespace, or how => 'sidecar': in the sandbox's)
# in place of the one before.
sub gate
{
	my (%o) = @_;
	my $log = scratch() . '/gate' . ++$gates . '.log';
	my @cmd = (@{ $o{under} || [] }, build_dir() . '/t/tools/gate_drive', '--mark', $mark,
	    @{ $o{args} || [] });

	gate_end() if $gate;
	if (($o{how} || 'join') eq 'join') {
		push @cmd, '--netns', $w->{sandbox};
	} else {
		unshift @cmd, 'ip', 'netns', 'exec', $w->{sandbox};
	}
	open my $err, '>', $log or die "$log: $!\n";
	my $pid = open3(my $in, my $out, '>&' . fileno($err), @cmd, $port);
	$in->autoflush(1);
	$gate = { pid => $pid, in => $in, out => $out, log => $log };
	my $ready = <$out>;
	die 'gate_drive: ' . ($ready // '') . read_file($log) if !defined $ready || $ready !~ /^ok/;
	names('good.test@' . GOOD, 'good.test@' . GOOD6, 'away.test@' . AWAY);
	redirect();
	return;
}

sub gate_end
{
	close $gate->{in};
	waitpid $gate->{pid}, 0;
	is($?, 0, 'the gate ended as it should, and nothing of its own was left')
	    or diag read_file($gate->{log});
	undef $gate;
	return;
}

sub names
{
	return ask($gate, "names @_");
}

sub counts
{
	my %n = map { split /=/ } grep { /=/ } split ' ', ask($gate, 'counts');
	return \%n;
}

# The gate's resident memory in bytes; its descriptors of a kind.
sub memory
{
	return read_file("/proc/$gate->{pid}/status") =~ /^VmRSS:\s+(\d+)/m ? $1 * 1024 : die;
}

sub descriptors
{
	my ($kind) = @_;
	return scalar grep { (readlink($_) // '') =~ /^\Q$kind\E/ } glob "/proc/$gate->{pid}/fd/*";
}

# One verb in the sandbox; what it said.
sub client
{
	my ($verb, $name, $n, %o) = @_;
	my @cmd = ('ip', 'netns', 'exec', $w->{sandbox}, python(), $peer, $verb,
	    $o{to} || GOOD, $o{port} || 443, $name, $n // 0);
	my $pid = open2(my $out, my $in, @cmd);

	print $in $o{input} if defined $o{input};
	close $in;
	my $said = join '', <$out>;
	waitpid $pid, 0;
	chomp $said;
	return $said;
}

# The same, waiting to be told; go_on() has what it says then.
sub client_start
{
	my ($verb, $name, $n, %o) = @_;
	my $pid = open2(my $out, my $in, 'ip', 'netns', 'exec', $w->{sandbox}, python(), $peer,
	    $verb, $o{to} || GOOD, $o{port} || 443, $name, $n // 0);
	my $ready = <$out> // '';
	die "$verb: $ready" if $ready ne "ready\n";
	$in->autoflush(1);
	return { pid => $pid, in => $in, out => $out };
}

sub go_on
{
	my ($c) = @_;
	my ($in, $out) = @$c{qw(in out)};
	print $in "\n";
	my $said = <$out> // '';
	waitpid $c->{pid}, 0;
	chomp $said;
	return $said;
}

# Connections to the server that are open: the clients', and those of the gate.
sub onward
{
	return scalar split /\n/, run_in($w->{sandbox}, 'ss', '-Htn', 'state', 'established',
	    'dst', GOOD);
}

my $server_log = scratch() . '/peer.log';

for my $address (GOOD, GOOD6) {
	start(name => 'peer', netns => $w->{internet},
	    cmd => [python(), $peer, 'serve', $address, 443]);
}
my $key = scratch() . '/key.pem';
run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', $key, '-out', "$key.crt", '-subj', '/CN=good.test', '-days', '2');
start(name => 'tls', netns => $w->{internet}, cmd => ['openssl', 's_server', '-accept',
	GOOD . ':8443', '-cert', "$key.crt", '-key', $key, '-www', '-quiet']);
start(name => 'web', netns => $w->{internet},
    cmd => [python(), root() . '/t/tools/app.py', GOOD, 80, 'web']);
wait_for(sub { (() = read_file($server_log) =~ /listening/g) == 2 }, 20)
    or die "no server\n";
for my $web (80, 8443) {
	wait_for(sub { (capture('ip', 'netns', 'exec', $w->{internet}, 'curl', '-sk', '-o', '/dev/null',
		($web == 80 ? 'http' : 'https') . '://' . GOOD . ":$web/"))[0] == 0 }, 20)
	    or die "no server on $web\n";
}

sub curl
{
	my ($url, @more) = @_;
	return capture('ip', 'netns', 'exec', $w->{sandbox}, 'curl', '-ksS', '-m', '20',
	    map({ ('--resolve', "$_:80:" . GOOD, '--resolve', "$_:8443:" . GOOD) }
	    qw(good.test evil.test)), @more, $url);
}

for my $how (qw(join sidecar)) {
	subtest "TLS and HTTP, $how" => sub {
		gate(how => $how);
		my ($status, $out) = curl('https://good.test:8443/');
		is($status, 0, 'TLS') or diag $out;
		like($out, qr/s_server/, 'with its server');
		($status, $out) = curl('https://evil.test:8443/');
		is($status, 35, 'another name is reset') or diag $out;
		like(read_file($gate->{log}),
		    qr/^refused sni_mismatch evil\.test 10\.99\.0\.2 203\.0\.113\.20 8443$/m, 'and told');
		($status, $out) = curl('http://good.test/a%2fb', '--data-binary', 'x' x 100_000);
		is($status, 0, 'HTTP') or diag $out;
		like($out, qr/"target": "\/a%2fb".*(x{50000}){2}/, 'as it was sent');
		($status, $out) = curl('http://evil.test/');
		is($status, 56, 'another Host is reset');
		($status, $out) = curl('http://good.test/', '--data-binary', 'y' x 100_000,
		    '-H', 'Transfer-Encoding: chunked');
		like($out, qr/"Transfer-Encoding", "chunked".*(y{50000}){2}/, 'chunked');
		($status, $out) = curl('http://good.test/1', 'http://good.test/2');
		is(() = $out =~ /"target"/g, 2, 'two requests on a connection');
		like(client('raw', '-', 0, port => 80, input =>
			"GET /1 HTTP/1.1\r\nHost: good.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"),
		    qr/reset$/, 'the second for another name is reset');
		is(client('both', 'good.test', 1000, to => GOOD6), 'same', 'IPv6');
		my $n = counts();
		is($n->{open}, 0, 'none is left open');
		is_deeply([@$n{qw(mismatch no_name malformed dropped failed)}], [3, 0, 0, 0, 0],
		    'counted');
		is($n->{accepted}, $n->{allowed} + 2, 'all others were let on');
	};
}

subtest 'WebSocket' => sub {
	my ($status, $out) = capture('ip', 'netns', 'exec', $w->{sandbox}, python(), '-c', <<'EOF');
import asyncio, aiohttp
async def main():
    connector = aiohttp.TCPConnector(resolver=None)
    async with aiohttp.ClientSession(headers={"Host": "good.test"}) as session:
        async with session.ws_connect("http://203.0.113.20/ws") as ws:
            for n in (10, 100000):
                await ws.send_str("w" * n)
                print(len((await ws.receive()).data))
asyncio.run(main())
EOF
	is($out, "10\n100000\n", 'messages both ways after the switch');
};

subtest 'much, both ways' => sub {
	gate();
	is(client('upload', 'good.test', 64 * MIB), 'same', '64 MiB up');
	is(client('download', 'good.test', 64 * MIB), 'same', '64 MiB down');
	is(client('both', 'good.test', 64 * MIB), 'same', '64 MiB both ways at once');
	is(client('many', 'good.test', 200), 200, 'and 200 small ones');
	is(counts()->{open}, 0, 'none is left open');
};

subtest 'ends' => sub {
	is(client('upload', 'good.test', 10), 'same', 'the client ends, the server answers');
	my ($end, $n, $digest) = split ' ', client('half', 'good.test', 3 * MIB);
	is($end, "b''", 'the server ends first');
	ok(wait_for(sub { read_file($server_log) =~ /^half $n $digest$/m }),
	    'and all that is said then arrives');
	is(client('reset', 'good.test'), 'reset', 'the server resets');
	is(client('last', 'good.test'), 'last words, reset', 'after an answer, which arrives');
	client('abandon', 'good.test');
	ok(wait_for(sub { read_file($server_log) =~ /^hold reset$/m }), 'the client resets');
	ok(wait_for(sub { counts()->{open} == 0 }), 'none is left open');
};

subtest 'a slow reader' => sub {
	my $before = memory();
	my $c = client_start('slow', 'good.test', 256 * MIB);
	sleep 1;
	cmp_ok(memory() - $before, '<', 4 * MIB, 'what it does not read is not kept');
	is(go_on($c), 256 * MIB, 'and all of it arrives');
	my @slow = map { client_start('gone', 'good.test', 64 * MIB) } 1 .. 3;
	sleep 0.5;
	go_on($_) for @slow;
	ok(wait_for(sub { counts()->{open} == 0 }), 'one that resets is gone');
	cmp_ok(client('stuff', 'good.test', 30), '>', 0, 'a writer whose server does not read');
	ok(wait_for(sub { counts()->{open} == 0 }), 'is gone when it resets');
	is(client('both', 'good.test', MIB), 'same', 'what they left meets no other');
	cmp_ok(descriptors('pipe'), '<=', 2 * 8 + 3, 'with the pipes that held it');
};

subtest 'at rest' => sub {
	gate();
	is(client('many', 'good.test', 20), 20, 'some come and go');
	wait_for(sub { counts()->{open} == 0 });
	my $before = memory();
	my $c = client_start('talk', 'good.test', 2000);
	my $each = (memory() - $before) / 2000;
	is(counts()->{open}, 2000, 'so many are open');
	diag sprintf '%.0f bytes each', $each;
	# A sanitizer's allocator keeps what is freed.
	cmp_ok($each, '<', 2048, 'memory of each') if build_dir() !~ m{/san\b};
	cmp_ok(descriptors('pipe'), '<=', 2 * 8 + 3, 'and no pipes');
	my $more = descriptors('socket') - 2 * 2000 - 2;
	ok($more >= 0 && $more <= 8, 'two sockets each, and a few for those to come') or diag $more;
	is(go_on($c), 2000, 'they still work');
	ok(wait_for(sub { counts()->{open} == 0 }), 'and end');
	$more = descriptors('socket') - 2;
	ok($more > 0 && $more <= 8, 'their sockets are closed, some for those to come stay')
	    or diag $more;
};

subtest 'those without a name' => sub {
	gate();
	my $begin = time;
	my @flood = map { client_start('silent', '-', 900) } 1 .. 5;
	my $n = counts();
	cmp_ok($n->{open}, '<=', 4096, 'they are bounded');
	cmp_ok($n->{dropped}, '>=', 4500 - 4096, 'the oldest go');
	is(client('both', 'good.test', 1000), 'same', 'while others are served');
	is(client('half_said', 'good.test', 0), 'reset', 'an end without a word');
	is(client('half_said', 'good.test', 100), 'reset', 'an end within it');
	is(client('drip', 'good.test'), 'drip', 'a byte a segment');
	my @ends = map { go_on($_) } @flood;
	is_deeply(\@ends, [('reset 900 open 0 fin 0') x 5], 'all are reset');
	cmp_ok(time - $begin, '>=', 10, 'not before their time');
	$n = counts();
	is($n->{no_name} + $n->{dropped}, 4500, 'each counted') or diag explain $n;
	is($n->{malformed}, 1, 'half a name is none');
	is($n->{open}, 0, 'none is left open');
};

subtest 'ports that come again' => sub {
	my $all = run_in($w->{sandbox}, 'sysctl', '-n', 'net.ipv4.ip_local_port_range');

	gate();
	run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=40000 41000');
	is(client('resets', 'good.test', 1000), 1000, 'the server resets each');
	run_in($w->{sandbox}, 'sysctl', '-qw', "net.ipv4.ip_local_port_range=$all");
	is(counts()->{accepted}, 1000, 'each came through the gate, once');
};

subtest 'heads that do not end' => sub {
	gate();
	my $before = memory();
	my $c = client_start('heads', '-', 600, port => 80);
	ok(wait_for(sub { counts()->{dropped} >= 600 - 256 }, 20), 'what they fill is bounded');
	cmp_ok(memory() - $before, '<', 24 * MIB, 'to 16 MiB and what else there is')
	    if build_dir() !~ m{/san\b};
	is(client('both', 'good.test', 1000), 'same', 'while others are served');
	is(go_on($c), 'reset 600 open 0 fin 0', 'all are reset');
	is(counts()->{open}, 0, 'none is left open');
};

subtest 'a name in time' => sub {
	gate();
	my $away = spawn('away', sub {
		exec 'ip', 'netns', 'exec', $w->{sandbox}, python(), $peer, 'refused', AWAY, 443,
		    'away.test';
	});
	ok(wait_for(sub { counts()->{allowed} == 1 }), 'one waits long for its server');
	for my $n (1, 2) {
		my $c = client_start('silent', '-', 1);
		ok(wait_for(sub { counts()->{no_name} == $n }, 20),
		    'who owes a name has its own time');
		is(counts()->{open}, 1, '  while the first waits');
		is(go_on($c), 'reset 1 open 0 fin 0', '  and is reset');
	}
	kill_now($away);
};

subtest 'another policy' => sub {
	gate();
	my $c = client_start('hold', 'good.test', 50);
	my $away = spawn('away', sub {
		exec 'ip', 'netns', 'exec', $w->{sandbox}, python(), $peer, 'refused', AWAY, 443,
		    'away.test';
	});
	ok(wait_for(sub { counts()->{allowed} == 51 }), 'one waits for its server');
	is(names('good.test@' . GOOD, 'away.test@' . AWAY), 'ok', 'the same again');
	is(counts()->{open}, 51, 'ends none');
	is(names('good.test@' . GOOD), 'ok', 'without its name');
	is(counts()->{open}, 50, 'it is gone');
	wait_exit($away, 5);
	is(names('other.test@' . GOOD), 'ok', 'without that of the others');
	is(counts()->{open}, 0, 'they are gone at once');
	is(go_on($c), 'reset 50 open 0 fin 0', 'reset to the client');
	ok(wait_for(sub { (() = read_file($server_log) =~ /^hold reset$/mg) >= 50 }),
	    'and to the server');
	is(client('refused', 'good.test'), 'reset', 'and no new one is let on');

	# What the first of two names asked for may be under way yet.
	names('good.test@' . GOOD, 'also.test@' . GOOD);
	my $two = start(name => 'two', netns => $w->{sandbox}, cmd => [python(), '-c', <<'END', GOOD]);
import socket, sys
s = socket.create_connection((sys.argv[1], 80))
for name in b"good.test", b"also.test":
    s.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % name)
    s.recv(65536)
print("two", flush=True)
try:
    while s.recv(65536):
        pass
    print("fin")
except OSError:
    print("reset")
END
	ok(wait_for(sub { read_file(scratch() . '/two.log') =~ /two/ }), 'a connection of two names');
	is(names('also.test@' . GOOD), 'ok', 'without the first');
	is(counts()->{open}, 0, 'it is gone');
	wait_exit($two, 5);
	like(read_file(scratch() . '/two.log'), qr/reset/, 'reset to the client');
};

subtest 'its own port' => sub {
	gate();
	is(client('refused', 'good.test', 0, to => '127.0.0.1', port => $port), 'reset',
	    'who speaks to it directly is reset');
	is(client('refused', 'good.test', 0, to => '::1', port => $port), 'reset',
	    'over IPv6 too');
	is(counts()->{dropped}, 2, 'counted');
	is(counts()->{failed}, 0, 'and nothing was tried');
};

subtest 'no server' => sub {
	names('good.test@203.0.113.66');
	is(client('refused', 'good.test', 0, to => '203.0.113.66'), 'reset', 'the client is reset');
	is(counts()->{failed}, 1, 'counted');
	is(counts()->{open}, 0, 'none is left open');
};

subtest 'few descriptors' => sub {
	gate(under => ['prlimit', '--nofile=128:128']);
	my $c = client_start('silent', '-', 200);
	cmp_ok(descriptors('socket'), '<', 128 / 2, 'so few connections are kept');
	is(client('both', 'good.test', 1000), 'same', 'while others are served');
	is(go_on($c), 'reset 200 open 0 fin 0', 'those without a name are reset');

	# None left at all, whatever the gate itself keeps free.
	run('prlimit', '--nofile=' . (descriptors('') + 4) . ':128', '--pid', $gate->{pid});
	$c = client_start('silent', '-', 20);
	my $used = sub {
		my ($user, $system) = (split ' ', read_file("/proc/$gate->{pid}/stat"))[13, 14];
		return $user + $system;
	};
	my $before = $used->();
	sleep 1;
	cmp_ok($used->() - $before, '<', 30, 'it does not spin');
	cmp_ok(counts()->{open}, '<', 20, 'with what it has');
	run('prlimit', '--nofile=128:128', '--pid', $gate->{pid});
	is(client('both', 'good.test', 1000), 'same', 'and goes on when there are some again');
	is(go_on($c), 'reset 20 open 0 fin 0', 'with those that waited');
};

subtest 'an audit' => sub {
	gate(args => ['--audit']);
	my ($status, $out) = curl('https://evil.test:8443/');
	is($status, 0, 'another name is let on') or diag $out;
	($status, $out) = curl('http://evil.test/');
	is($status, 0, 'in HTTP too') or diag $out;
	like(read_file($gate->{log}), qr/^refused sni_mismatch evil\.test .* 8443 audit$/m, 'and told');
	is(() = read_file($gate->{log}) =~ /^refused/mg, 2, 'once each');
	like(client('raw', '-', 0, port => 80, input =>
		"GET /1 HTTP/1.1\r\nHost: good.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"),
	    qr/"target": "\/1".*"target": "\/2"/, 'the second request, too');
	like(client('raw', 'end', 0, input => 'nonsense'), qr/fin$/, 'and what is no name');
	ok(wait_for(sub { onward() == 0 }), 'and all end');
	my $c = client_start('silent', '-', 1);
	ok(wait_for(sub { onward() == 1 }), 'who says nothing waits');
	ok(wait_for(sub { counts()->{no_name} == 1 }, 20), 'who says nothing is told of in time');
	ok(wait_for(sub { onward() == 2 }), 'and let on');
	is(names('nothing.test@' . GOOD), 'ok', 'another policy');
	is(counts()->{open}, 1, 'ends nothing');
	kill 'KILL', $c->{pid};
	waitpid $c->{pid}, 0;
};

gate_end();
done_testing();
