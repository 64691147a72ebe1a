#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What goes wrong is told with the right status and a body that says why, as
# JSON or as a page, unless error_page takes over; a hostile sandbox or client
# gets no further.

use strict;
use warnings;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More tests => 63;
use Harness;
use Ingress;

my $closed = free_port();
my $drops = backend(sub { my ($s) = @_; Ingress::read_head($s); });
my $resets = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	setsockopt $s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
});
my $partial = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nX-Half";
});
my $garbage = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "SSH-2.0-OpenSSH_9.2\r\n" . "x" x 100;
});
my $none = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 000 None\r\nContent-Length: 2\r\n\r\nok";
});
my $endless = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\n";
	for (1 .. 10000) { print $s "X-Filler-$_: " . 'y' x 100 . "\r\n" or last; }
});
my $accel = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /v1/sandboxes\r\n"
	    . "Content-Length: 4\r\n\r\nmine";
});
my $own = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 502 Mine\r\nContent-Length: 4\r\n\r\nmine";
});
my $slow = backend(sub { my ($s) = @_; Ingress::read_head($s); sleep 30; });
my $short = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
});
my $echo = echo('box');
my $other = free_port();
my $g = gateway(
	http => <<"EOT",
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox narrow { endpoint 127.0.0.1; expose 1-2; }
opensandbox_sandbox starting { endpoint 127.0.0.1; ready off; }
opensandbox_sandbox old { endpoint 127.0.0.1; expires_at 2001-02-03T04:05:06Z; }
opensandbox_sandbox unix { endpoint unix:/nonexistent/socket; }
opensandbox_sandbox nowhere { endpoint no-such-host.test; }
server {
    listen 127.0.0.1:$other;
    location / {
        opensandbox uri;
        proxy_pass http://sandboxes;
        proxy_read_timeout 500ms;
        error_page 404 = \@lost;
        error_page 502 /sorry;
    }
    location /taken/ {
        opensandbox uri prefix=/taken;
        proxy_pass http://sandboxes;
        proxy_read_timeout 500ms;
        error_page 504 /sorry;
    }
    location \@lost { return 200 "lost \$opensandbox_id \$opensandbox_status"; }
    location = /sorry { return 200 "sorry \$opensandbox_status"; }
    location /bare/ { proxy_pass http://sandboxes; }
}
EOT
);
my $port = $g->{port};

sub answer { return get($port, "/sandboxes/$_[0]/port/$_[1]/", @_[2 .. $#_]) }

for (
	['none', 80, 404, 'not_found', 'an unknown sandbox'],
	['narrow', 80, 403, 'not_exposed', 'a port that is not exposed'],
	['starting', 80, 503, 'not_ready', 'a sandbox that is not ready'],
	['old', 80, 410, 'expired', 'a sandbox past its end'],
	['sb', $closed, 502, 'refused', 'a port where nothing listens',
	    qr/refuses connections .*nothing listens/],
	['unix', 1, 502, 'unreachable', 'a socket that is not there',
	    qr/No such file or directory/],
	['sb', $drops, 502, 'dropped', 'a connection closed without an answer',
	    qr/before it answered$/],
	['sb', $resets, 502, 'dropped', 'one that is reset',
	    qr/the connection was reset/],
	['sb', $partial, 502, 'dropped', 'one closed within a header'],
	['sb', $garbage, 502, 'bad_answer', 'an answer that is not HTTP'],
	['sb', $none, 502, 'bad_answer', 'an answer whose status is none'],
	['sb', $endless, 502, 'bad_answer', 'headers without end'],
	['nowhere', 80, 502, 'unresolved', 'a host that cannot be looked up',
	    qr/the gateway has no resolver/],
) {
	my ($id, $p, $status, $code, $what, $why) = @$_;
	my $a = answer($id, $p);
	my $told = json($a);
	is($a->{status}, $status, "$what is a $status");
	ok(($told->{code} // '') eq $code && $told->{sandbox} eq $id
	    && $told->{port} == $p && $told->{message} =~ /\b$id\b/
	    && $told->{message} =~ /\b$p\b/, "and told as \"$code\"")
	    or diag($a->{head}, $a->{body});
	like($told->{message}, $why, '  with the reason') if $why;
}
my $a = get($port, '/nothing');
is_deeply([$a->{status}, json($a)->{code}], [400, 'bad_route'],
    'a request without a route is a 400');
$a = get($other, "/sandboxes/sb/port/$slow/");
is_deeply([$a->{status}, json($a)->{code}], [504, 'slow'],
    'a sandbox that does not answer in time is a 504');
unlike(json($a)->{message}, qr/took no connection/, 'though it was reached');
ok(answer('starting', 80)->{headers}{'retry-after'},
    'what passes says when to try again');

# For people
$a = answer('sb', $closed, 'Accept: text/html,application/xhtml+xml,*/*;q=0.8');
is($a->{headers}{'content-type'}[0], 'text/html; charset=utf-8',
    'a browser gets a page');
like($a->{body}, qr/port $closed.*listens/s, 'that says what to do');
is(answer('none', 80, 'Accept: application/json, text/html;q=0.5')
    ->{headers}{'content-type'}[0], 'application/json',
    'who prefers JSON gets JSON');
for (
	['text/*', 'html'], ['*/*', 'json'], ['application/json;q=0, */*', 'html'],
	['application/json;q=0.5,text/*;q=0.6', 'html'],
	['text/html;q=0.3, text/*;q=0.9, application/json;q=0.5', 'json'],
	["application/json;q=0.8\r\nAccept: text/html", 'html'],
) {
	like(answer('none', 80, "Accept: $_->[0]")->{headers}{'content-type'}[0],
	    qr/$_->[1]/, "\"$_->[0]\" means $_->[1]");
}
is(request($port, 'HEAD', '/sandboxes/none/port/80/', undef)->{status}, 404,
    'HEAD gets the status');

# Not ours
is(answer('sb', $own)->{body}, 'mine', 'the sandbox\'s own error passes');
is(answer('sb', $accel)->{body}, 'mine',
    'a sandbox cannot redirect inside the gateway');
is(get($other, '/sandboxes/none/port/80/')->{body}, 'lost none not_found',
    'error_page can take over, and still knows the sandbox');
$a = get($other, "/sandboxes/sb/port/$closed/");
is_deeply([$a->{status}, $a->{body}], [502, 'sorry refused'],
    'for what goes wrong behind, too, and knows what that was');
$a = get($other, "/taken/sb/port/$slow/");
is_deeply([$a->{status}, $a->{body}], [504, 'sorry slow'], 'and for what is slow');
is(get($other, "/sandboxes/sb/port/$echo/")->{status}, 200, 'an answer is none');
is(get($other, '/bare/')->{status}, 500,
    'the upstream without a route is an error');
like(answer('sb', $short)->{body}, qr/^part$/,
    'an early end of the body stays an early end');

# Smuggling and other tricks
my $to = "/sandboxes/sb/port/$echo/";
for (
	["POST $to HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
	    . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
	    'a length beside chunks'],
	["POST $to HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
	    . "Content-Length: 6\r\n\r\nhello", 400, 'two lengths'],
	["POST $to HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x, chunked\r\n\r\n",
	    501, 'an unknown coding'],
	["GET /sandboxes/sb/port/$echo/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400,
	    'an encoded NUL'],
	["GET /sandboxes/sb%0d%0aX:y/port/$echo/ HTTP/1.1\r\nHost: x\r\n\r\n", 400,
	    'an encoded line break in the id'],
	["GET //sandboxes/sb/port/$echo/ HTTP/1.1\r\nHost: x\r\n\r\n", 400,
	    'a doubled slash before the prefix'],
	["GET /sandboxes/sb/port/0/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, 'port 0'],
	["GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, 'two hosts'],
	["CONNECT sb-80.x:80 HTTP/1.1\r\nHost: x\r\n\r\n", '40[05]', 'CONNECT'],
) {
	my ($bytes, $status, $what) = @$_;
	like(exchange($port, $bytes)->{status}, qr/^$status$/,
	    "$what is a $status");
}
$a = get($port, '/sandboxes/sb%2Fx/port/80/', "X: \ty");
is($a->{status}, 400, 'an encoded slash in the id is a 400');
