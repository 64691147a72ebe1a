#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What a page in uri mode asks for outside of its prefix: the answer says whose
# page it was and what to do, or, where that is asked for, the request goes to
# that page's sandbox. Whether it is admitted is judged as ever.

use strict;
use warnings;
use Test::More tests => 48;
use Harness;
use Ingress;

my $a = echo('a');
my $b = echo('b');
my $sets = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 204 No Content\r\nConnection: close\r\n"
	    . "Set-Cookie: OpenSandbox-Page-b-80=1; Path=/\r\nSet-Cookie: own=1\r\n\r\n";
});
my $ws = backend(sub { websocket($_[0], Ingress::read_head($_[0])) });
my $location = '{ opensandbox %s; include %%CONF%%/opensandbox-proxy.conf; %s }';
my @http = (http => <<"EOT");
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox a { endpoint 127.0.0.1; }
opensandbox_sandbox b { endpoint 127.0.0.1; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token tok; }
EOT

sub server
{
	my ($root, $more) = @_;
	return (server => join "\n", $more // '',
	    sprintf("location /sandboxes/ $location", 'uri', ''),
	    sprintf("location / $location", $root, ''),
	    'location /v1/ { opensandbox_api; opensandbox_public uri localhost/sandboxes; }');
}

my $g = gateway(@http, server('header'));
my $port = $g->{port};
my $page = "/sandboxes/a/port/$a";
my @from = ("Host: gw.test:81", "Referer: http://gw.test:81$page/index.html?x");

# The message
for my $mode ('header', 'any', 'uri', 'uri prefix=/') {
	reload($g, @http, server($mode)) if $mode ne 'header';
	my $answer = get($port, '/_next/x.js', @from);
	is($answer->{status}, 400, "$mode: a page's path outside of its prefix is no route");
	like(json($answer)->{message}, qr{page of sandbox a, port $a,.*host name.*base path $page/},
	    'the answer says whose page asked, and what to do');
	unlike(json(get($port, '/_next/x.js', @$_))->{message}, qr/page of sandbox/,
	    'not of ' . (join(' ', @$_) || 'nobody')) for [],
	    ['Host: gw.test', "Referer: http://other.test$page/"],
	    ['Host: gw.test', 'Referer: http://gw.test/sandboxes/a/port/x/'];
}
like(json(get($port, '/sandboxes/a/port/x/', @from))->{message}, qr/a port is a number/,
    'a wrong route is told as one');
like(get($port, '/x', @from, 'Accept: text/html')->{body}, qr/page of sandbox a/, 'as a page');

# Followed
my $follow = 'opensandbox_follow_referer on;';
reload($g, @http, server('any', $follow));
my $answer = get($port, '/_next/x%20.js?y', @from);
like($answer->{body}, qr{^a \d+\nGET /_next/x%20\.js\?y }, 'the request goes to the sandbox');
like($answer->{body}, qr{^X-Forwarded-Prefix: \Q$page\E\r$}m, 'as under its prefix');
like(request($port, 'POST', '/api', 'data', @from)->{body}, qr{^a \d+\nPOST /api .*data$}s,
    'whatever the method');
$answer = get($port, '/about?x=%20', @from, 'Accept: text/html');
is("$answer->{status} $answer->{headers}{location}[0]", "307 $page/about?x=%20",
    'a page is opened below the prefix');
$answer = get($port, '/sw.js', @from, 'Service-Worker: script');
is($answer->{status}, 400, 'but a service worker of the root gets nowhere');
like(json($answer)->{message}, qr/pages of all sandboxes/, 'since it would have them all');
is(get($port, "$page/sw.js", @from, 'Service-Worker: script')->{status}, 200,
    'one below the prefix does');
is(get($port, '/x', "OpenSandbox-Ingress-To: b-$b", @from)->{body} =~ /^b / ? 1 : 0, 1,
    'a routing header comes first');
is(get($port, "/sandboxes/b/port/$b/x", @from)->{body} =~ /^b / ? 1 : 0, 1, 'and a route');
is(get($port, '/x', 'Host: gw.test', 'Referer: http://other.test/')->{status}, 400,
    'another page is not followed');
is(get($port, '/x', @from, $from[1])->{status}, 400, 'nor two of them');

# Access
my $safe = "/sandboxes/safe/port/$a";
my @safe = ('Host: gw.test', "Referer: http://gw.test$safe/");
is(get($port, '/x', @safe)->{status}, 401, 'a sandbox with a token still asks for it');
is(get($port, '/x', @safe, 'OpenSandbox-Secure-Access: tok')->{status}, 200,
    'which admits');
my $link = json(get($port, "/v1/sandboxes/safe/endpoints/$a?expires=" . (time + 1000)))
    ->{endpoint} =~ s/^localhost//r;
@safe = ('Host: gw.test', "Referer: http://gw.test$link/");
like(get($port, '/x', @safe)->{body}, qr{^a \d+\nGET /x .*Prefix: \Q$link\E\r}s,
    "so does the page's signature");
is(get($port, '/x', $safe[0], $safe[1] =~ s{(.)k/$}{($1 eq "a" ? "b" : "a") . "k/"}er)->{status}, 401,
    'a wrong one does not');

# The page's cookie
my $set = get($port, "$page/", 'Accept: text/html')->{headers}{'set-cookie'};
is_deeply($set, ["opensandbox-page-a-$a=1; Path=/; HttpOnly; SameSite=Lax"],
    'a page leaves a cookie that tells its sandbox');
is(get($port, "$page/x.js")->{headers}{'set-cookie'}, undef, 'nothing else does');
my $cookie = "Cookie: x=y; opensandbox-page-a-$a=1";
$answer = get($port, '/font.woff', $cookie, 'Host: gw.test', 'Referer: http://gw.test/x.css');
like($answer->{body}, qr{^a \d+\n.*^Cookie: x=y\r$}ms, 'it tells where no referer does');
is(get($port, '/x', "$cookie; opensandbox-page-b-$b=1")->{status}, 400,
    'not where there are two');
like(get($port, '/x', "$cookie; opensandbox-page-b-$b=1", @from)->{body}, qr/^a /,
    'but the referer does');
is(get($port, '/x', "Cookie: opensandbox-page-safe-$a=1")->{status}, 401,
    'nor does it admit');
is(get($port, '/x', 'Cookie: opensandbox-page-a=1')->{status}, 400, 'one that is none counts not');
is(exchange($port, "GET /websockify HTTP/1.1\r\nHost: gw.test\r\n"
    . "Origin: http://gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    . "Cookie: opensandbox-page-a-$ws=1\r\n\r\n")->{status}, 101,
    'a WebSocket, which has no referer, finds its way');
is_deeply(get($port, "/sandboxes/a/port/$sets/")->{headers}{'set-cookie'}, ['own=1'],
    'a sandbox cannot set one');
reload($g, @http, server('any'));
is(get($port, '/x', $cookie)->{status}, 400, 'nothing of this without the directive');
is(get($port, "$page/", 'Accept: text/html')->{headers}{'set-cookie'}, undef, 'nor a cookie');
