#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Connections to sandboxes are kept alive, but never for a successor; tunnels
# open for any upgrade, stay, and end with their sandbox; nothing is held back.

use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(AF_INET6);
use Test::More tests => 29;
use Time::HiRes qw(sleep time);
use Harness;
use Ingress;

# Each answer says which connection it came on, and which request that was.
my $echo = echo('box');
my $tunnel = backend(sub {
	my ($s) = @_;
	my $head = Ingress::read_head($s);
	print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    . "Connection: Upgrade\r\n\r\n";
	while (sysread $s, my $bytes, 65536) { print $s $bytes; }
});
my $stream = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	    . "Transfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n";
	sysread $s, my $rest, 1;
});
my $upload = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	read $s, my $part, 4;
	print $s "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n$part";
});
my $path = scratch() . '/box.sock';
my $unix = IO::Socket::UNIX->new(Local => $path, Listen => 8);
chmod 0777, $path;
echo('socket', listen => $unix);
my $late = free_port();
my $waiting = free_port();

my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox local { endpoint unix:$path; }
server {
    listen 127.0.0.1:$waiting;
    opensandbox_wait 3s;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
EOT
my $port = $g->{port};

sub nth
{
	my ($id) = @_;
	my ($mark, $n) = get($port, "/sandboxes/$id/port/$echo/")->{body}
	    =~ /^(\w+) (\d+)/;
	return $n;
}

# Keep-alive
nth('sb');
is(nth('sb'), 2, 'a connection to a sandbox is kept alive');
api($g, 'PUT', '/a', { endpoint => '127.0.0.1' });
is(nth('a'), 1, 'another sandbox at the same address gets its own');
is(nth('a'), 2, 'which is kept as well');
api($g, 'DELETE', '/a');
api($g, 'PUT', '/a', { endpoint => '127.0.0.1' });
is(nth('a'), 1, 'a successor does not inherit a connection');
api($g, 'PUT', '/a', { endpoint => '127.0.0.1' });
is(nth('a'), 2, 'putting the same record again changes nothing');
api($g, 'PATCH', '/a', { expiresAt => '2100-01-01T00:00:00Z' });
is(nth('a'), 3, 'nor does a later end');
is(get($port, '/sandboxes/local/port/1/')->{body} =~ /^socket (\d)/ && $1, 1,
    'a sandbox may be a unix socket');
is(get($port, '/sandboxes/local/port/1/')->{body} =~ /^socket (\d)/ && $1, 2,
    'with connections kept alive');
SKIP: {
	my $six = eval { require IO::Socket::IP; IO::Socket::IP->new(
	    LocalHost => '::1', LocalPort => 0, Listen => 8) }
	    or skip 'no IPv6 here', 2;
	my $n = echo('six', listen => $six);
	api($g, 'PUT', '/six', { endpoint => '[::1]' });
	get($port, "/sandboxes/six/port/$n/");
	like(get($port, "/sandboxes/six/port/$n/")->{body}, qr/^six 2/,
	    'so for IPv6');
	api($g, 'DELETE', '/six');
	api($g, 'PUT', '/six', { endpoint => '[::1]' });
	like(get($port, "/sandboxes/six/port/$n/")->{body}, qr/^six 1/,
	    'without inheritance');
}

# Tunnels
sub open_tunnel
{
	my ($id, @headers) = @_;
	@headers = ('Connection: Upgrade', 'Upgrade: websocket') unless @headers;
	my $s = connect_to($port);
	print $s join "\r\n", "GET /sandboxes/$id/port/$tunnel/ HTTP/1.1",
	    'Host: x', @headers, '', '';
	return ($s, read_answer($s)->{status});
}

sub echoes
{
	my ($s, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	print $s $bytes;
	my $got = '';
	my $end = time + 5;
	while (length $got < length $bytes && time < $end) {
		IO::Select->new($s)->can_read(1) or next;
		sysread $s, $got, 65536, length $got or last;
	}
	return $got eq $bytes;
}

sub ended
{
	my ($s) = @_;
	return wait_for(sub {
		return IO::Select->new($s)->can_read(0)
		    && !sysread $s, my $byte, 1;
	}, 5);
}

for (
	['Connection: Upgrade', 'plainly'],
	['Connection: keep-alive, Upgrade', 'like Firefox'],
	['connection: UPGRADE,x', 'in capitals'],
) {
	my ($s, $status) = open_tunnel('sb', $_->[0], 'Upgrade: websocket');
	is($status, 101, "a tunnel opens when asked for $_->[1]");
	ok(echoes($s, 'z' x 5000), 'and carries bytes both ways');
}
my (undef, $status) = open_tunnel('sb', 'Connection: close',
    'Upgrade: websocket');
like(get($port, "/sandboxes/sb/port/$echo/", 'Upgrade: h2c')->{body},
    qr/^(?!.*^Upgrade)/ms, 'an upgrade that Connection does not name stays');

my ($kept) = open_tunnel('sb');
api($g, 'PUT', '/t', { endpoint => '127.0.0.1' });
my ($s) = open_tunnel('t');
ok(echoes($s, 'hello'), 'a tunnel to a sandbox works');
api($g, 'PATCH', '/t', { expiresAt => '2100-01-01T00:00:00Z' });
sleep 0.6;
ok(echoes($s, 'again'), 'a longer life leaves it alone');
api($g, 'DELETE', '/t');
ok(ended($s), 'it ends when the sandbox is deleted');
api($g, 'PUT', '/t', { endpoint => '127.0.0.1' });
($s) = open_tunnel('t');
api($g, 'PUT', '/t', { endpoint => '[::1]' });
ok(ended($s), 'and when the sandbox is replaced');
api($g, 'PUT', '/t', { endpoint => '127.0.0.1' });
($s) = open_tunnel('t');
api($g, 'PATCH', '/t', { expiresAt => '2001-01-01T00:00:00Z' });
ok(ended($s), 'and when it expires');
ok(echoes($kept, 'still'), 'those of others stay open');

# Streams
$s = connect_to($port);
print $s "GET /sandboxes/sb/port/$stream/ HTTP/1.1\r\nHost: x\r\n\r\n";
my $got = '';
wait_for(sub {
	IO::Select->new($s)->can_read(0.1) and sysread $s, $got, 4096, length $got;
	return $got =~ /first/;
}, 5);
like($got, qr/first/, 'an event passes while the stream is open');
$s = connect_to($port);
print $s "POST /sandboxes/sb/port/$upload/ HTTP/1.1\r\nHost: x\r\n"
    . "Content-Length: 1000000\r\n\r\npart";
is(read_answer($s)->{body}, 'part', 'a request body passes as it comes');

# Slow starts
is(get($port, "/sandboxes/sb/port/$late/")->{status}, 502,
    'a port that is not open yet is a 502');
$late = echo('late', late => 0.7);
like(get($waiting, "/sandboxes/sb/port/$late/")->{body}, qr/^late 1/,
    'unless the gateway waits for it');
$s = connect_to($waiting);
print $s "GET /sandboxes/sb/port/1/ HTTP/1.1\r\nHost: x\r\n\r\n";
ok(!IO::Select->new($s)->can_read(0.3), 'a request is held');
is(read_answer($s)->{status}, 502, 'but not for ever');
