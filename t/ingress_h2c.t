#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An offer to go on in HTTP/2 (Upgrade: h2c) is the client's to the gateway. The
# sandbox does not see it, whatever stands beside it; other upgrades pass. Keys
# of the management API do not reach a sandbox either.

use strict;
use warnings;
use IO::Select;
use Test::More tests => 38;
use Harness;
use Ingress;

my $dir = scratch();

# As servers do that know but WebSockets: another upgrade is never answered.
my $box = backend(sub {
	my ($s) = @_;
	my $n = 0;
	while (my $head = Ingress::read_head($s)) {
		sleep 60 if $head =~ /^Upgrade: (?!websocket\r)/mi;
		my ($length, $left) = $head =~ /^content-length: (\d+)/mi ? ($1, $1) : (0, 0);
		$left -= read $s, my $data, $left > 65536 ? 65536 : $left while $left;
		my $body = ++$n . " $length\n$head";
		print $s "HTTP/1.1 200 OK\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body";
	}
});
my $upgrades = backend(sub {
	my ($s) = @_;
	my $head = Ingress::read_head($s);
	my ($to) = $head =~ /^Upgrade: ([^\r]+)/mi;
	print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: $to\r\n"
	    . "Connection: Upgrade\r\n\r\n$head";
});

# As Apache does: every answer offers another protocol.
my $offers = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my $status = $head =~ m{^GET /426} ? '426 Upgrade Required' : '200 OK';
		print $s "HTTP/1.1 $status\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\n"
		    . "Proxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
	}
});
my $h2 = free_port();
my ($calls, $served) = (free_port(), free_port());
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$h2 http2;
    location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$calls;
    location / { opensandbox any; include %CONF%/opensandbox-grpc.conf; }
}
server {
    listen 127.0.0.1:$served http2;
    return 200 "seen:\$http_upgrade:\$http_http2_settings:\$http_open_sandbox_api_key:";
}
EOT
my $path = "/sandboxes/sb/port/$box/";

# A real client
my $url = "http://127.0.0.1:$g->{port}$path";
write_file("$dir/big", 'x' x 30_000_000);
my @curl = ('curl', '-s', '-m', '30', '--http2');
like((capture(@curl, $url))[1], qr/^1 0\n/, 'curl --http2 is answered');
my $out = (capture(@curl, $url))[1];
like($out, qr/^2 0\n/, 'over a kept connection');
unlike($out, qr/upgrade|http2-settings/i, 'that sees no offer');
like((capture(@curl, '--data-binary', "\@$dir/big", $url))[1],
    qr/^\d 30000000\n/, 'a big upload with the offer');
like((capture(@curl, $url))[1], qr/^\d 0\n/, 'and what comes next');

# Lists, and games with them
sub head
{
	my (@headers) = @_;
	return get($g->{port}, $path, @headers)->{body};
}
my @settings = ('HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA');
for my $upgrade ('h2c', 'H2C', 'h2c,h2c', ' h2c ,', ',') {
	my $head = head("Upgrade: $upgrade", 'Connection: Upgrade, HTTP2-Settings',
	    @settings);
	like($head, qr/^\d+ 0\n/, "Upgrade: $upgrade is answered");
	unlike($head, qr/^(?:upgrade|connection|http2-settings):/mi, 'and not passed on');
}
is(get($calls, "/sandboxes/sb/port/$served/", 'Upgrade: h2c',
    'Connection: Upgrade, HTTP2-Settings', @settings,
    'OPEN-SANDBOX-API-KEY: key')->{body}, 'seen::::',
    'nor where calls go on by gRPC');
for (
	['h2c, websocket', 'websocket'],
	['websocket, h2c', 'websocket'],
	["websocket,\th2c", 'websocket'],
) {
	my ($upgrade, $left) = @$_;
	my $head = head("Upgrade: $upgrade", 'Connection: HTTP2-Settings, Upgrade',
	    @settings);
	like($head, qr/^Upgrade: $left\r$/m, "of \"$upgrade\" the rest is passed");
	like($head, qr/^Connection: upgrade\r$/m, 'with its Connection header alone');
}
like(head('Upgrade: h2c', 'Upgrade: websocket', 'Connection: Upgrade'),
    qr/^Upgrade: websocket\r$/m, 'two headers');
for my $to ('websocket', 'h2c-14', 'docker, tcp', 'SPDY/3.1') {
	my $a = get($g->{port}, "/sandboxes/sb/port/$upgrades/", "Upgrade: $to",
	    'Connection: Upgrade');
	is("$a->{status} $a->{headers}{upgrade}[0]", "101 $to", "$to passes");
}

# A sandbox's offers are the connection's to the gateway, too: in HTTP/2 they
# would spoil the answer.
my $offer = "/sandboxes/sb/port/$offers";
for (["http://127.0.0.1:$h2$offer/", 200], ["http://127.0.0.1:$h2$offer/426", 426]) {
	my ($url, $status) = @$_;
	is((capture('curl', '-s', '-m', '30', '--http2-prior-knowledge', '-w', ' %{http_code}', $url))[1],
	    "ok $status", "a $status with an offer is read in HTTP/2");
}
my $answer = get($g->{port}, "$offer/");
is($answer->{body}, 'ok', 'and in HTTP/1.1');
is_deeply([@{ $answer->{headers} }{qw(upgrade proxy-connection)}], [undef, undef],
    'without the offer');
$answer = get($g->{port}, "$offer/426");
is($answer->{status}, 426, 'a 426 says what it demands');
is($answer->{headers}{upgrade}[0], 'h2,h2c', 'in HTTP/1.1');

# A stream of HTTP/2 changes no protocol, whatever its client says.
sub stream
{
	my (@fields) = @_;
	my $frame = sub { pack('xn C C N', length $_[2], @_[0, 1], $_[0] == 4 ? 0 : 1) . $_[2] };
	my $block = join '', map { pack 'x C/a* C/a*', @$_ } @fields;
	my $s = connect_to($h2);
	print $s "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", $frame->(4, 0, ''), $frame->(1, 5, $block);
	my $got = '';
	while ($got !~ /\r\n\r\n$/ && IO::Select->new($s)->can_read(10)) {
		sysread $s, $got, 65536, length $got or last;
	}
	return $got;
}
$answer = stream([':method', 'GET'], [':scheme', 'http'], [':authority', 'box.test'],
    [':path', $path], ['connection', 'Upgrade'], ['upgrade', 'websocket']);
like($answer, qr{GET / HTTP/1\.1\r\nHost: box\.test\r\n}, 'a stream of HTTP/2 is passed on');
unlike($answer, qr/^(?:upgrade|connection):/mi, 'and asks for no other protocol');

# The API's key
unlike(head('OPEN-SANDBOX-API-KEY: k3y', 'Connection: OPEN-SANDBOX-API-KEY, close'),
    qr/k3y/, 'the key of the API stays here');
unlike(head('open-sandbox-api-key: k3y', 'Open-Sandbox-Api-Key: k3y'), qr/k3y/,
    'in any case, however often');
unlike((capture('curl', '-s', '-m', '30', '--http2-prior-knowledge', '-H',
    'OPEN-SANDBOX-API-KEY: k3y', "http://127.0.0.1:$h2$path"))[1], qr/k3y/, 'in HTTP/2');
