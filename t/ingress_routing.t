#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A request finds its sandbox by URI, header or host, and the rest of its URI
# arrives byte for byte.

use strict;
use warnings;
use Test::More tests => 62;
use Harness;
use Ingress;

my $one = echo('one');
my $two = echo('two');
my ($root, $hosts, $headers, $bare, $named) = map { free_port() } 1 .. 5;
my $g = gateway(
	http => <<"EOT",
opensandbox_sandbox sb-1 { endpoint 127.0.0.1; port_map 80 127.0.0.1:$one; }
opensandbox_sandbox a.b { endpoint 127.0.0.1; port_map 80 127.0.0.1:$two; }
server {
    listen 127.0.0.1:$root;
    location / {
        opensandbox uri prefix=/;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$hosts;
    location / {
        opensandbox host domain=box.test;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$bare;
    location / {
        opensandbox host;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$headers;
    location / {
        opensandbox header;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$named;
    location / {
        opensandbox header host;
        include %CONF%/opensandbox-proxy.conf;
    }
}
EOT
);
my $port = $g->{port};

# The rest of the URI
for (
	['/', '/'],
	['', '/'],
	['?', '/?'],
	['?a=b', '/?a=b'],
	['/a/b?c=d&e', '/a/b?c=d&e'],
	['/a%2Fb', '/a%2Fb'],
	['/a%20b+c', '/a%20b+c'],
	['//a//b', '//a//b'],
	['/..%2f..%2fetc', '/..%2f..%2fetc'],
	['/a/../b', '/a/../b'],
	["/caf\xc3\xa9", "/caf\xc3\xa9"],
	['/?', '/?'],
	['/port/81/x', '/port/81/x'],
) {
	my ($sent, $expected) = @$_;
	my $a = get($port, "/sandboxes/sb-1/port/80$sent");
	my ($seen) = $a->{body} =~ /^GET (.*) HTTP/m;
	is($seen, $expected, "the rest \"$sent\" arrives as \"$expected\"");
}

my $a = get($root, '/sb-1/80/x%2Fy?');
like($a->{body}, qr{^GET /x%2Fy\? HTTP}m, 'the short form of a URI works');
like($a->{body}, qr{^X-Forwarded-Prefix: /sb-1/80\r}m,
    'its prefix is told to the sandbox');
$a = get($port, '/sandboxes/SB-1/port/80/');
like($a->{body}, qr/^one /, 'an id is found whatever its case');
$a = exchange($port, "GET http://other.test/sandboxes/a.b/port/80/x HTTP/1.1\r\n"
    . "Host: localhost\r\nConnection: close\r\n\r\n");
like($a->{body}, qr{^two \d+\nGET /x HTTP}, 'an absolute URI is a route too');
like($a->{body}, qr/^Host: other\.test\r/m,
    'and its authority is the host that the sandbox sees');

like(exchange($port, "GET /sandboxes/a.b/port/80/x HTTP/1.0\r\n\r\n")->{body},
    qr{^two \d+\nGET /x HTTP/1\.1\r.*^Host: 127\.0\.0\.1:$two\r}ms,
    'a client of HTTP/1.0 has no host, but its sandbox sees one');

# Headers
$a = get($headers, '/a%2Fb//c?', 'OpenSandbox-Ingress-To: a.b-80');
like($a->{body}, qr{^two \d+\nGET /a%2Fb//c\? HTTP},
    'a routing header leaves the URI alone');
unlike($a->{body}, qr/^OpenSandbox-Ingress-To/mi,
    'the routing header stays at the gateway');
$a = get($headers, '/', 'open-sandbox-ingress: sb-1-80');
like($a->{body}, qr/^one /, 'the old name of the header counts');
unlike($a->{body}, qr/^open-sandbox-ingress/mi, 'and does not pass either');
$a = get($headers, '/', 'OpenSandbox-Ingress-To: sb-1-80',
    'Connection: close, OpenSandbox-Ingress-To');
like($a->{body}, qr/^one /,
    'a routing header named by Connection is used all the same');
is(get($headers, '/', 'OpenSandbox-Ingress-To: sb-1-80',
    'OpenSandbox-Ingress-To: sb-1-80')->{status}, 400,
    'two routing headers are refused');
is(get($headers, '/', 'OpenSandbox-Ingress-To: sb-1-80',
    'Open-Sandbox-Ingress: a.b-80')->{status}, 400,
    'so are two names that disagree');
is(get($headers, '/', 'OpenSandbox-Ingress-To: sb-1-80',
    'Open-Sandbox-Ingress: sb-1-80')->{status}, 200,
    'two names that agree are not');
is(get($headers, '/')->{status}, 400, 'no routing header is refused');
for my $value ('sb-1-80.do-main.test:8080', 'https://sb-1-80.box.test/x') {
	like(get($headers, '/', "OpenSandbox-Ingress-To: $value")->{body},
	    qr/^one /, "a routing header may be all of a host: $value");
}
for my $value ('-80.box.test', 'sb-1-0.box.test', 'https://', 'sb-1-x.test') {
	is(get($headers, '/', "OpenSandbox-Ingress-To: $value")->{status},
	    400, "but not $value");
}
like(get($headers, '/', 'OpenSandbox-Ingress-To:', 'Open-Sandbox-Ingress: sb-1-80')
    ->{body}, qr/^one /, 'an empty routing header is none');

# Hosts
$a = get($hosts, '/x?', 'Host: SB-1-80.Box.Test:8080');
like($a->{body}, qr{^one \d+\nGET /x\? HTTP}, 'a host name is a route');
like($a->{body}, qr/^Host: SB-1-80\.Box\.Test:8080\r/m,
    'and arrives as it was sent');
is(get($hosts, '/', 'Host: sb-1-80.other.test')->{status}, 400,
    'a host of another domain is refused');
is(get($hosts, '/', 'Host: box.test')->{status}, 400,
    'a host without a sandbox is refused');
like(get($hosts, '/', 'Host: A.b-80.box.test')->{body}, qr/^two /,
    'an id with a dot takes two labels');
is(get($hosts, '/', 'Host: sb-1-80.a.box.test')->{status}, 400,
    'a port ends them');
like(get($bare, '/', 'Host: a.b-80.do-main.test')->{body}, qr/^two /,
    'so it is where the domain is not known');
like(get($bare, '/', 'Host: sb-1-80.b-81.test')->{body}, qr/^one /,
    'though the first port counts');
is(get($bare, '/', 'Host: 127.0.0.1')->{status}, 400, 'an address is no route');

# Any of them
like(get($port, '/', 'Host: sb-1-80.x.test')->{body}, qr/^one /,
    'any: the host is read');
like(get($port, '/sandboxes/a.b/port/80/', 'Host: sb-1-80.x.test',
    'OpenSandbox-Ingress-To: a.b-80')->{body}, qr/^two /,
    'any: the header comes first');
like(get($port, '/sandboxes/a.b/port/80/', 'Host: my-gateway.test')->{body},
    qr/^two /, 'any: an ordinary host leaves the URI to speak');
like(get($port, '/sandboxes/a.b/port/80/', 'Host: gw.eu-1.test')->{body},
    qr/^two /, 'any: one with a number, too');
like(get($port, '/sandboxes/a.b/port/80/', 'OpenSandbox-Ingress-To:')->{body},
    qr/^two /, 'any: so does an empty header');

# Some of the modes
like(get($named, '/', 'OpenSandbox-Ingress-To: a.b-80', 'Host: sb-1-80.test')->{body},
    qr/^two /, 'header host: the header comes first');
like(get($named, '/', 'Host: sb-1-80.test')->{body}, qr/^one /, '  else the host');
is(get($named, '/', 'Host: sb-80')->{status}, 400, '  which has a domain');
is(get($named, '/sandboxes/sb-1/port/80/')->{status}, 400, '  and no URI');

# What must not be a route
is(get($port, $_->[0])->{status}, $_->[1], $_->[2]) for (
	['/sandboxes/sb-1/port/08080/', 400, 'a port has no leading zero'],
	['/sandboxes/sb-1/port/65536/', 400, 'a port is at most 65535'],
	['/sandboxes/sb-1/port/+80/', 400, 'a port has no sign'],
	['/sandboxes/' . 'a' x 64 . '/port/80/', 400, 'an id is at most 63 long'],
	['/sandboxes/none/port/80/', 404, 'an unknown sandbox is not found'],
	['/sandboxes/%2e%2e/port/80/', 400, 'an encoded dot segment is no id'],
);

like(get($port, '/sandboxes/a.b/port/80/../../../sb-1/port/80/')->{body},
    qr{^two \d+\nGET /\.\./\.\./\.\./sb-1/port/80/ HTTP},
    'dot segments do not lead to another sandbox');

is(get($port, '/status.ok')->{body}, 'OK', 'the gateway says that it is alive');
is(get($headers, '/status.ok')->{status}, 200, 'in every mode');
