#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What a tunnel carries arrives whole, however much and however slowly it is
# read, over TLS too; either side may end it, and an idle one costs little.

use strict;
use warnings;
use IO::Select;
use Test::More tests => 31;
use Time::HiRes qw(sleep time);
use Harness;
use Ingress;

my $MUCH = 8 << 20;

# A sandbox that changes protocols, and then does what it is told to.
sub tunnel
{
	my ($code, %o) = @_;
	return backend(sub {
		my ($s) = @_;
		my $head = Ingress::read_head($s);
		print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\n"
		    . "Connection: Upgrade\r\n\r\n" . ($o{glued} // '');
		$code->($s);
	});
}

# A sequence in which a lost, doubled or moved byte shows.
sub pattern
{
	my ($length) = @_;
	my $bytes = '';
	for (my $n = 0; $n < $length / 4; $n += 1024) {
		$bytes .= pack 'N*', map { $_ * 2654435761 & 0xffffffff }
		    $n .. $n + 1023;
	}
	return $bytes;
}

sub send_all
{
	my ($s, $bytes) = @_;
	my $at = 0;
	while ($at < length $bytes) {
		my $n = syswrite $s, $bytes, 65536, $at or return 0;
		$at += $n;
	}
	return 1;
}

sub read_to
{
	my ($s, $length, $patience) = @_;
	my $got = '';
	while (length $got < $length) {
		IO::Select->new($s)->can_read($patience // 20) or last;
		sysread $s, $got, 65536, length $got or last;
	}
	return $got;
}

sub at_end
{
	my ($s, $patience) = @_;
	return IO::Select->new($s)->can_read($patience // 10)
	    && !sysread $s, my $byte, 1;
}

my $much = pattern($MUCH);
my $sum = unpack '%32C*', $much;

my $echo = tunnel(sub {
	my ($s) = @_;
	while (sysread $s, my $bytes, 65536) { send_all($s, $bytes); }
});
my $glued = tunnel(sub {
	my ($s) = @_;
	print $s read_to($s, 5);
}, glued => 'first');
my $source = tunnel(sub {
	my ($s) = @_;
	send_all($s, $much);
});
my $sink = tunnel(sub {
	my ($s) = @_;
	sleep 1;
	my $got = read_to($s, $MUCH);
	print $s unpack('%32C*', $got), ' ', length $got, "\n";
	sysread $s, my $byte, 1;
});
my $answers_at_the_end = tunnel(sub {
	my ($s) = @_;
	my $got = '';
	while (sysread $s, $got, 65536, length $got) { }
	sleep 0.3;
	print $s 'all of ' . length $got;
});
my $silent = tunnel(sub {
	my ($s) = @_;
	while (sysread $s, my $bytes, 65536) { }
	sleep 30;
});
my $stuck = tunnel(sub { sleep 30; });

my ($short, $brief, $tls, $http2) = map { free_port() } 1 .. 4;
my $dir = scratch();
my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
$conf =~ s/proxy_read_timeout \S+;/proxy_read_timeout 1s;/;
write_file("$dir/brief.conf", $conf);
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
	'-subj', '/CN=gateway.test', '-keyout', "$dir/key.pem", '-out',
	"$dir/cert.pem");

my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
log_format sent "\$status \$bytes_sent";
server {
    listen 127.0.0.1:$short;
    opensandbox_tunnel_timeout 1s;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$brief;
    access_log %PREFIX%/access.log sent;
    location / { opensandbox uri; include $dir/brief.conf; }
}
server {
    listen 127.0.0.1:$tls ssl;
    ssl_certificate $dir/cert.pem;
    ssl_certificate_key $dir/key.pem;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$http2 http2;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
EOT

sub open_tunnel
{
	my ($at, $target, $early, $id) = @_;
	my $s = connect_to($at);
	print $s join "\r\n", 'GET /sandboxes/' . ($id // 'sb')
	    . "/port/$target/ HTTP/1.1", 'Host: x', 'Connection: Upgrade',
	    'Upgrade: test', '', $early // '';
	my $head = '';
	while ($head !~ /\r\n\r\n\z/) {
		sysread $s, $head, 1, length $head or last;
	}
	return ($s, $head =~ m{^HTTP/1.1 (\d+)});
}

# Kilobytes that are the worker's own.
sub own
{
	my ($pid) = workers($g);
	return read_file("/proc/$pid/smaps_rollup") =~ /^Private_Dirty:\s+(\d+)/m
	    && $1;
}

# Much, both ways at once
my ($s) = open_tunnel($g->{port}, $echo);
my $pid = fork();
if ($pid == 0) {
	send_all($s, $much);
	POSIX::_exit(0);
}
ok(read_to($s, $MUCH) eq $much, '8 MB come back as they were sent');
waitpid $pid, 0;
print $s 'small';
is(read_to($s, 5), 'small', 'and a small message after them');

# What comes early
($s) = open_tunnel($g->{port}, $glued, 'hasty');
is(read_to($s, 10), 'firsthasty',
	'what came with the request and with the answer is passed on');

# Slow readers
my $before = own();
my @slow = map { (open_tunnel($g->{port}, $source))[0] } 1 .. 8;
sleep 1;
cmp_ok(own() - $before, '<', 4096, 'who does not read is not read for');
is(scalar(grep { read_to($_, $MUCH) eq $much } @slow), 8,
	'and misses nothing');
is(scalar(grep { at_end($_) } @slow), 8, 'nor the end');
($s) = open_tunnel($g->{port}, $sink);
ok(send_all($s, $much), 'a sandbox may be slow as well');
is(read_to($s, length "$sum $MUCH\n"), "$sum $MUCH\n", 'and misses nothing');

# Ends
($s) = open_tunnel($g->{port}, $answers_at_the_end);
print $s 'input';
shutdown $s, 1;
is(read_to($s, 100), 'all of 5', 'a client that has said all can still listen');
($s) = open_tunnel($brief, $silent);
ok(!IO::Select->new($s)->can_read(1.5),
	'a time-out for answers does not end a tunnel');
shutdown $s, 1;
ok(at_end($s), 'unless the client has said all');
($s) = open_tunnel($short, $silent);
my $lived = 0;
for (1 .. 5) {
	print $s 'x';
	sleep 0.4;
	$lived++ if !IO::Select->new($s)->can_read(0);
}
is($lived, 5, 'a tunnel in use outlives its time-out');
ok(at_end($s), 'an idle one does not');
close $s;
($s) = open_tunnel($brief, $echo);
print $s 'x' x 100_000;
read_to($s, 100_000);
close $s;
my $log = "$g->{prefix}/access.log";
ok(wait_for(sub { -e $log && read_file($log) =~ /^101 100(\d\d\d)$/m }, 5),
	'the log counts what was sent');

# Sandboxes that go
my ($mortal, $mortal_pid) = tunnel(sub { $0 = "mortal$$"; sleep 30; });
($s) = open_tunnel($g->{port}, $mortal);
run('pkill', '-KILL', '-P', $mortal_pid);
ok(at_end($s), 'a tunnel ends when its sandbox is killed');
api($g, 'PUT', '/gone', { endpoint => '127.0.0.1' });
($s) = open_tunnel($g->{port}, $source, '', 'gone');
sleep 0.3;
api($g, 'DELETE', '/gone');
sleep 1;
my $got = length read_to($s, $MUCH, 5);
cmp_ok($got, '<', $MUCH, 'a deleted one sends no more, not to the slowest');
ok(at_end($s), 'and its tunnel ends');
api($g, 'PUT', '/gone', { endpoint => '127.0.0.1' });
($s) = open_tunnel($g->{port}, $stuck, '', 'gone');
{
	local $SIG{PIPE} = 'IGNORE';
	$s->blocking(0);
	1 while syswrite $s, $much, 65536;
	api($g, 'DELETE', '/gone');
	ok(at_end($s), 'even one that the sandbox does not read from');
}

# TLS; Perl has no client for it that Debian installs by itself
write_file("$dir/client.py", <<'EOT');
import hashlib, socket, ssl, sys, threading, time
port, target, out, wait = int(sys.argv[1]), sys.argv[2], sys.argv[3], \
    float(sys.argv[4])
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
s = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
           "Upgrade: test\r\n\r\n" % target).encode()
          + (b"hasty" if "echo" in sys.argv[5:] else b""))
got = b""
while b"\r\n\r\n" not in got:
    got += s.recv(1)
print(got.split()[1].decode())
data = open(out, "rb").read()
time.sleep(wait)
if "echo" in sys.argv[5:]:
    threading.Thread(target=s.sendall, args=(data,)).start()
    want = len(data) + 5
else:
    want = len(data)
got = b""
while len(got) < want:
    part = s.recv(65536)
    if not part:
        break
    got += part
    if len(got) < 1 << 20:
        time.sleep(0.01)
print(hashlib.sha256(got).hexdigest())
if "end" in sys.argv[5:]:
    print(len(s.recv(1)))
EOT
write_file("$dir/much", $much);
use Digest::SHA qw(sha256_hex);

sub tls
{
	my ($to, @args) = @_;
	my ($status, $out) = capture('timeout', '60', 'python3',
		"$dir/client.py", $tls, "/sandboxes/sb/port/$to/", "$dir/much",
		@args);
	return split /\n/, $out;
}
my ($code, $hash) = tls($echo, 0, 'echo');
is($code, 101, 'a tunnel opens over TLS');
is($hash, sha256_hex("hasty$much"), 'and carries 8 MB both ways at once');
($code, $hash, my $end) = tls($source, 1, 'end');
is($hash, sha256_hex($much), 'to a slow reader, too');
is($end, 0, 'up to the end');
my $log_text = read_file("$g->{prefix}/error.log");
unlike($log_text, qr/\[(?:crit|alert|emerg)\]/, 'nothing alarming is logged');
unlike($log_text, qr/bad write retry/, 'and TLS is not used in a wrong way');

# Who has not asked for it
for (['--http1.1', $g->{port}], ['--http2-prior-knowledge', $http2]) {
	my ($version, $at) = @$_;
	my (undef, $answer) = capture('curl', '-s', '--max-time', '5', $version,
		'-w', '%{http_code}',
		"http://127.0.0.1:$at/sandboxes/sb/port/$glued/");
	like($answer, qr/"code":"bad_answer".*502$/s,
		"a change of protocols that nobody asked for is a 502, $version");
}

# What idle ones cost
SKIP: {
	skip 'sanitizers have memory of their own', 1 if build_dir() =~ m{/san\b};
	my $idle = sub {
		my ($t) = open_tunnel($g->{port}, $echo);
		print $t 'x' x 20_000;
		read_to($t, 20_000);
		return $t;
	};
	my @warm = map { $idle->() } 1 .. 30;
	my $base = own();
	my @idle = map { $idle->() } 1 .. 100;
	cmp_ok((own() - $base) / @idle, '<=', 16,
		'an idle tunnel takes 16 KiB or less');
}
my ($pid_now) = workers($g);
ok(kill(0, $pid_now), 'the worker is still the same');
is((() = read_file("$g->{prefix}/error.log") =~ /exited on signal/g), 0,
	'none has crashed');
my $status = get($g->{port}, '/sandboxes/sb/port/1/')->{status};
is($status, 502, 'and requests pass as before');
($s, $code) = open_tunnel($g->{port}, $echo);
is($code, 101, 'and tunnels open');
