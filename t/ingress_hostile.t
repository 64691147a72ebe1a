#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What a hostile client sends to get at another sandbox, to slip a request past
# the gateway or a header into one: each has its status, in every mode, and no
# more than what was asked for reaches a sandbox.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 99;
use Harness;
use Ingress;

# Every head that reaches the sandbox is kept, byte for byte.
my $dir = scratch();
my $box = backend(sub {
	my ($s) = @_;
	while (sysread $s, my $bytes, 65536) {
		open my $fh, '>>', "$dir/seen" or die;
		syswrite $fh, $bytes;
		print $s "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		    for $bytes =~ /\r\n\r\n/;
	}
});
my ($headers, $hosts, $short) = map { free_port() } 1 .. 3;
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; port_map 80 127.0.0.1:$box; }
opensandbox_sandbox a-b-c-d-80 { endpoint 127.0.0.1; port_map 80 127.0.0.1:$box; }
opensandbox_sandbox other { endpoint 127.0.0.1; port_map 80 127.0.0.1:1; }
server {
    listen 127.0.0.1:$headers;
    location / { opensandbox header; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$hosts;
    location / { opensandbox host; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$short;
    location / { opensandbox uri prefix=/; include %CONF%/opensandbox-proxy.conf; }
}
EOT
my $port = $g->{port};

# Send bytes; the status, and what the sandbox has seen because of them.
sub try
{
	my ($to, $bytes) = @_;
	unlink "$dir/seen";
	my $s = connect_to($to);
	print $s $bytes;
	my $status = read_answer($s, $bytes =~ /^HEAD/ ? 'HEAD' : '')->{status};
	close $s;
	return ($status, read_file("$dir/seen"));
}

sub refused
{
	my ($to, $bytes, $expected, $what) = @_;
	my ($status, $seen) = try($to, $bytes);
	is("$status $seen", "$expected ", "$what: $expected");
}

sub head { return join("\r\n", @_, '', '') }
my $uri = '/sandboxes/sb/port/80';

# Smuggling: what two servers might cut at different places.
for (
	['a length beside chunks',
	    ['Content-Length: 4', 'Transfer-Encoding: chunked'], 400],
	['chunks beside a length',
	    ['Transfer-Encoding: chunked', 'Content-Length: 4'], 400],
	['two lengths', ['Content-Length: 4', 'Content-Length: 0'], 400],
	['a list of lengths', ['Content-Length: 4, 4'], 400],
	['a length with a sign', ['Content-Length: +4'], 400],
	['a negative length', ['Content-Length: -4'], 400],
	['a length that overflows', ['Content-Length: 99999999999999999999'], 400],
	['a length in hex', ['Content-Length: 0x4'], 400],
	['chunks that are not last', ['Transfer-Encoding: chunked, identity'], 501],
	['chunks twice', ['Transfer-Encoding: chunked, chunked'], 501],
	['two codings', ['Transfer-Encoding: chunked',
	    'Transfer-Encoding: identity'], 400],
	['an unknown coding', ['Transfer-Encoding: xchunked'], 501],
	['a coding with a control character',
	    ["Transfer-Encoding: \x0bchunked"], 501],
	['an obsolete folded line', ['X: a', " b\r\n: c"], 400],
	['a NUL in a header', ["X: a\0b"], 400],
	['a header without a name', [': x'], 400],
) {
	my ($what, $lines, $status) = @$_;
	refused($port, head("POST $uri/ HTTP/1.1", 'Host: x', @$lines)
	    . "0\r\n\r\nGET $uri/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", $status,
	    $what);
}
for (
	['a chunk size that overflows', "fffffffffffffffff\r\n"],
	['a chunk size that is none', "g\r\n"],
	['a chunk longer than it says', "1\r\nabc\r\n0\r\n\r\n"],
) {
	my ($what, $chunks) = @$_;
	my ($status, $seen) = try($port, head("POST $uri/ HTTP/1.1", 'Host: x',
	    'Transfer-Encoding: chunked') . $chunks
	    . "GET $uri/smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
	is($status, 400, "$what: 400");
	unlike($seen, qr/smuggled/, '  and nothing behind it passes');
}

# A header whose name ends in a blank, and one with an underscore, are no
# headers to nginx: neither routes, frames, nor passes.
my ($status, $seen) = try($port, head("POST $uri/ HTTP/1.1", 'Host: x',
    'Transfer-Encoding : chunked', 'Content-Length: 5') . 'hello');
ok($status == 400 || $seen !~ /transfer-encoding/i,
    'a blank before the colon does not frame');
($status, $seen) = try($port, head("GET $uri/ HTTP/1.1", 'Host: x',
    'OpenSandbox_Ingress_To: other-80', 'X-Good: 1'));
is($status, 200, 'a header with underscores does not route');
unlike($seen, qr/OpenSandbox_/, 'and does not pass');
like($seen, qr/^X-Good: 1\r$/m, 'unlike others');

# The request line
for (
	['an encoded NUL', "$uri/%00", 400],
	['a NUL', "$uri/\0", 400],
	['a bad escape', "$uri/%zz", 400],
	['an escape cut off', "$uri/%2", 400],
	['a doubled slash before the prefix', "/$uri/", 400],
	['an encoded slash in the prefix', '/sandboxes%2Fsb/port/80/', 400],
	['an encoded id', '/sandboxes/%73b/port/80/', 400],
	['an encoded port', '/sandboxes/sb/port/%38%30/', 400],
	['an encoded dot segment as the id', '/sandboxes/%2e%2e/port/80/', 400],
	['dot segments above the root', '/../../sandboxes/x', 400],
	['a line break in the id', '/sandboxes/sb%0d%0aX:y/port/80/', 400],
	['a line break in the port', '/sandboxes/sb/port/80%0d%0aX:y/', 400],
	['port 0', '/sandboxes/sb/port/0/', 400],
	['port 65536', '/sandboxes/sb/port/65536/', 400],
	['port 08080', '/sandboxes/sb/port/08080/', 400],
	['port +80', '/sandboxes/sb/port/+80/', 400],
	['port -1', '/sandboxes/sb/port/-1/', 400],
	['a port that overflows', '/sandboxes/sb/port/18446744073709551696/', 400],
	['no port', '/sandboxes/sb/port//', 400],
	['an id of 64 bytes', '/sandboxes/' . 'a' x 64 . '/port/80/', 400],
	['an id of 4000 bytes', '/sandboxes/' . 'a' x 4000 . '/port/80/', 400],
	['an id with a slash', '/sandboxes/sb/../sb/port/80/', 400],
	['an id with a blank', '/sandboxes/s%20b/port/80/', 400],
	['an id of UTF-8', "/sandboxes/s\xc3\xa4b/port/80/", 400],
	['an empty id', '/sandboxes//port/80/', 400],
) {
	my ($what, $target, $expected) = @$_;
	refused($port, head("GET $target HTTP/1.1", 'Host: x'), $expected, $what);
}
refused($port, head("GET $uri/ HTTP/1.1"), 400, 'no Host');
refused($port, head("GET $uri/ HTTP/1.1", 'Host: x', 'Host: x'), 400, 'two');
refused($port, head("GET $uri/ HTTP/1.1", 'Host: a b'), 400, 'a bad one');
refused($port, head("GET $uri/ HTTP/1.1", 'Host: a/b'), 400, 'another');
refused($port, head("GET $uri/ HTTP/3.0", 'Host: x'), 505, 'another version');
refused($port, head("GET  $uri/\tHTTP/1.1", 'Host: x'), 400, 'a tab');

# What the sandbox may see of an odd URI is what was sent, and nothing else.
for (
	['an absolute URI', "http://y$uri/y", '/y'],
	['one with a user', "http://u:p\@x$uri/y", '400'],
	['an encoded line break behind the route', "$uri/%0d%0aX:%20y", '/%0d%0aX:%20y'],
	['encoded dot segments behind it', "$uri/%2e%2e/%2e%2e/y", '/%2e%2e/%2e%2e/y'],
	['a doubled slash behind it', "$uri//evil.test/y", '//evil.test/y'],
	['a query that is a URI', "$uri?http://evil.test/", '/?http://evil.test/'],
) {
	my ($what, $target, $expected) = @$_;
	my ($status, $seen) = try($port, head("GET $target HTTP/1.1", 'Host: x'));
	if ($expected =~ /^4/) {
		is($status, $expected, "$what: $expected");
		next;
	}
	is($seen =~ /^GET (\S*) HTTP/ ? $1 : '', $expected, "$what arrives as sent");
}

# Headers
for (
	['twice the same', ['OpenSandbox-Ingress-To: sb-80'] ,
	    ['OpenSandbox-Ingress-To: sb-80']],
	['two that differ', ['OpenSandbox-Ingress-To: sb-80'],
	    ['OpenSandbox-Ingress-To: other-80']],
	['old and new that differ', ['OpenSandbox-Ingress-To: sb-80'],
	    ['OPEN-SANDBOX-INGRESS: other-80']],
	['the old one twice', ['OPEN-SANDBOX-INGRESS: sb-80'],
	    ['open-sandbox-ingress: sb-80']],
	['a list', ['OpenSandbox-Ingress-To: sb-80, other-80']],
	['empty', ['OpenSandbox-Ingress-To:']],
	['without a port', ['OpenSandbox-Ingress-To: sb']],
	['port 0', ['OpenSandbox-Ingress-To: sb-0']],
	['port 65536', ['OpenSandbox-Ingress-To: sb-65536']],
	['port 080', ['OpenSandbox-Ingress-To: sb-080']],
	['port +80', ['OpenSandbox-Ingress-To: sb-+80']],
	['an id of 64 bytes', ['OpenSandbox-Ingress-To: ' . 'a' x 64 . '-80']],
	['an escape', ['OpenSandbox-Ingress-To: %73b-80']],
	['a path', ['OpenSandbox-Ingress-To: sb-80/x']],
	['a blank within', ['OpenSandbox-Ingress-To: s b-80']],
) {
	my ($what, @lines) = @$_;
	refused($headers, head('GET / HTTP/1.1', 'Host: x', map { @$_ } @lines),
	    400, "a routing header, $what");
}
($status, $seen) = try($headers, head('GET /x HTTP/1.1', 'Host: x',
    'OpenSandbox-Ingress-To: sb-80', 'OpenSandbox-Secure-Access: mine',
    'Connection: keep-alive, OpenSandbox-Ingress-To, X-Real-IP, X-Forwarded-For',
    'X-Forwarded-For: 1.2.3.4', 'X-Real-IP: 1.2.3.4',
    'X-Forwarded-Prefix: /evil'));
is($status, 200, 'Connection cannot take the routing header away');
like($seen, qr/^X-Real-IP: 127\.0\.0\.1\r$/m, 'nor what the gateway says');
like($seen, qr/^X-Forwarded-For: 1\.2\.3\.4, 127\.0\.0\.1\r$/m,
    'of which the client\'s word is but the first');
unlike($seen, qr/evil|mine|Ingress/i, 'a made up prefix, and credentials, go');

# Hosts
for (
	['without a port', 'sb.x', 400], ['port 0', 'sb-0.x', 400],
	['port 65536', 'sb-65536.x', 400], ['port 080', 'sb-080.x', 400],
	['an empty id', '-80.x', 400], ['a trailing hyphen', 'sb-80-.x', 400],
	['an id of 64 bytes', 'a' x 64 . '-80.x', 400],
	['six hyphens, another sandbox', 'a-b-c-d-e-f-80.x', 404],
) {
	my ($what, $host, $expected) = @$_;
	($status, $seen) = try($hosts, head('GET / HTTP/1.1', "Host: $host"));
	ok($status == $expected && $seen eq '', "a host, $what: $expected")
	    or diag "$status $seen";
}
($status, $seen) = try($hosts, head('GET / HTTP/1.1', 'Host: a-b-c-d-80-80.x'));
is($status, 200, 'an id with five hyphens is found');
($status, $seen) = try($hosts, head('GET http://sb-80.x/y HTTP/1.1',
    'Host: other-80.x'));
like($seen, qr{^GET /y HTTP.*^Host: sb-80\.x\r$}ms,
    'the host of an absolute URI counts, for both');
($status, $seen) = try($short, head('GET /sb/80/../../other/80/ HTTP/1.1',
    'Host: x'));
like($seen, qr{^GET /\.\./\.\./other/80/ HTTP},
    'dot segments do not lead to another sandbox');

# Round in circles: a sandbox at the address of the gateway itself
for (
	['by a host', $hosts, 'GET / HTTP/1.1', "Host: sb-$hosts.x"],
	['by a path', $short, 'GET ' . "/sb/$short" x 300 . ' HTTP/1.1', 'Host: x'],
) {
	my ($what, $to, @head) = @$_;
	my $s = connect_to($to);
	print $s head(@head);
	my $a = read_answer($s, '');
	is($a->{status}, 502, "a request that goes round $what ends");
	like($a->{body}, qr/more than 20 proxies/, 'and says why, before it has all connections');
}
($status, $seen) = try($hosts, head('GET / HTTP/1.1', 'Host: sb-80.x',
    'X-Forwarded-For: ' . join(', ', ('1.2.3.4') x 19), 'X-Forwarded-For: 1.2.3.4'));
is($status, 200, 'twenty proxies are no circle');
unlike(read_file("$g->{prefix}/error.log"), qr/\[alert\]|\[emerg\]|signal/,
    'nothing alarms the gateway');
