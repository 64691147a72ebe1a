#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A signed link that a browser opens leaves a cookie, which admits the page's
# own requests and WebSockets, and nothing else: no other sandbox or port, no
# page of another origin. The sandbox never sees it, and cannot set it.

use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use Test::More tests => 136;
use Harness;
use Ingress;
use Links;

my $secret = 'a secret';
my $name = 'opensandbox-access';
my @browser = ('Sec-Fetch-Mode: navigate', 'Sec-Fetch-Site: none',
    'Accept: text/html,*/*;q=0.8');
my @plain = ('Accept: text/html,application/xhtml+xml,*/*;q=0.8');

# A sandbox that tells what it was asked, echoes WebSocket messages, and adds
# the headers that the query names, one a "|".
my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		return websocket($s, $head) if $head =~ /^Sec-WebSocket-Key:/mi;
		my ($query) = $head =~ /^\S+ [^ ?]*\?(\S*)/;
		$query //= '';
		$query =~ s/%(..)/chr hex $1/ge;
		my $body = "box\n$head";
		print $s "HTTP/1.1 200 OK\r\nContent-Length: " . length($body)
		    . "\r\n" . join('', map { "$_\r\n" } grep { /: / }
		    split /\|/, $query) . "\r\n" . ($head =~ /^HEAD/ ? '' : $body);
	}
});
my $other = echo('other');
my $tls = free_port();
my $proxy = 'include %CONF%/opensandbox-proxy.conf;';
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=box.test', '-keyout', scratch() . '/key.pem',
    '-out', scratch() . '/cert.pem');

my $records = <<'EOT';
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token tok; }
opensandbox_sandbox safe2 { endpoint 127.0.0.1; access_token tok; }
opensandbox_sandbox open { endpoint 127.0.0.1; }
EOT
my %config = (
	http => 'opensandbox_access_keys k=' . encode_base64($secret, '')
	    . ' b=b3RoZXI=; ' . $records,
	server => <<"EOT");
listen 127.0.0.1:$tls ssl http2;
ssl_certificate @{[scratch()]}/cert.pem;
ssl_certificate_key @{[scratch()]}/key.pem;
access_log %PREFIX%/access.log cookies;
location / { opensandbox any; $proxy }
location /off/ { opensandbox uri prefix=/off; opensandbox_access_cookie off; $proxy }
location /strict/ { opensandbox uri prefix=/strict; opensandbox_access_cookie strict; $proxy }
location /frame/ { opensandbox uri prefix=/frame; opensandbox_access_cookie none; $proxy }
location /secure/ { opensandbox uri prefix=/secure; opensandbox_access_cookie lax secure; $proxy }
location /s/ { rewrite ^/s/(.*) /.opensandbox/\$1 break;
    opensandbox host; opensandbox_access_cookie strict; $proxy }
location /again/ { opensandbox uri prefix=/again; error_page 502 = \@again; $proxy }
location \@again { opensandbox uri prefix=/again; $proxy }
location /asked/ { opensandbox uri prefix=/asked; $proxy
    auth_request /asked/safe/port/$box/auth;
    mirror /asked/safe/port/$box/mirror; }
location = /asked/safe/port/$box/auth { opensandbox uri prefix=/asked; $proxy }
location = /asked/safe/port/$box/mirror { opensandbox uri prefix=/asked; $proxy }
location /header/ { opensandbox header; $proxy }
location /v1/ { opensandbox_api; opensandbox_public host http://box.test; }
location /uri/ { rewrite ^/uri(/.*) \$1 break; opensandbox_api;
    opensandbox_public uri http://localhost/sandboxes; }
location /hdr/ { rewrite ^/hdr(/.*) \$1 break; opensandbox_api;
    opensandbox_public header localhost; }
EOT
$config{http} .= 'log_format cookies "$request_uri $http_cookie";';
my $g = gateway(%config);
my $port = $g->{port};

sub short { return short_signature("k=$secret", @_) }
sub long { return long_signature("k=$secret", @_) }
sub value { return "$_[2]-" . long('cookie', @_) }

sub cookies { return @{ $_[0]{headers}{'set-cookie'} // [] } }

my $later = base36(time + 1000);
my $latest = base36(time + 2000);
my $past = base36(time - 10);
my $base = "/sandboxes/safe/port/$box";
my $link = "$later/" . short('safe', $box, $later);
my $long = "$later/" . long('long', 'safe', $box, $later);
my $good = value('safe', $box, $later);
my $cookie = "Cookie: $name=$good";
my $host = "Host: safe-$box.box.test";

# Subrequests
my $asked = get($port, "/asked/safe/port/$box/page", $cookie);
is($asked->{status}, 200, 'a subrequest before it leaves a request its cookie');
unlike($asked->{body}, qr/opensandbox-access/, 'which goes no further');
is(get($port, "/asked/safe/port/$box/page")->{status}, 401, 'and is needed');
is(get($port, "/asked/safe2/port/$box/page", $cookie)->{status}, 401,
    'and admits to no other sandbox');

# A link sets the cookie
my $a = get($port, "$base/$link/?Set-Cookie%3a%20a=b", @browser);
is($a->{status}, 200, 'a browser opens a signed link');
my ($own) = grep { /^$name=/ } cookies($a);
like($own, qr{^$name=\Q$good\E; Path=\Q$base\E; Max-Age=(?:1000|\d{1,3}); HttpOnly; SameSite=Lax$},
    'and gets one cookie, for the sandbox and port alone');
is(scalar cookies($a), 2, 'beside the one of the sandbox');
is((grep { /^a=b/ } cookies($a))[0], 'a=b', 'which stays as it was');
like((cookies(get($port, "$base/$long/", @plain)))[0], qr/^$name=\Q$good;/,
    'so does a browser that only says what it accepts, by a long link');
like((cookies(request($port, 'HEAD', "$base/$link/", undef, @browser)))[0],
    qr/^$name=/, 'and one that asks for the head');
like((cookies(get($port, "/sandboxes/SAFE/port/$box/$link/x", @browser)))[0],
    qr{^$name=\Q$good\E; Path=/sandboxes/SAFE/port/$box; },
    'the path is spelled as the browser spells it');
like((cookies(get($port, "$base/$link/", @$_)))[0], qr/^$name=\Q$good;/,
    'so does ' . ($_->[0] // 'a bare request')) for [], ['Accept: */*'];
is_deeply([cookies(get($port, "$base/$link/", @$_))], [], 'no cookie for '
    . $_->[0]) for ['Accept: application/json'], ['Sec-Fetch-Mode: cors', @plain],
    ['Sec-Fetch-Site: same-origin', @plain],
    ['OpenSandbox-Secure-Access: tok', @browser],
    ["OpenSandbox-Ingress-To: safe-$box-" . $link =~ s{/}{-}r, @browser];
like((cookies(get($port, '/', "Host: safe-$box-" . $link =~ s{/}{-}r
    . '.box.test', @browser)))[0], qr{^$name=\Q$good\E; Path=/; Max-Age=\d+; HttpOnly},
    'a signed host has a cookie of that host');
is_deeply([cookies(request($port, 'POST', "$base/$link/", '', @browser))], [],
    'no cookie for a form that is sent');
is_deeply([cookies(get($port, "$base/", @browser))], [], 'nor without a link');
is_deeply([cookies(get($port, "/sandboxes/open/port/$box/$link/", @browser))],
    [], 'nor where the sandbox is open');
my $none = "/sandboxes/safe/port/1/$later/" . short('safe', 1, $later);
my $down = get($port, "$none/", @browser);
is($down->{status}, 502, 'a link to a sandbox that does not answer');
is(scalar cookies($down), 1, 'is opened all the same');

my $bogus = "Cookie: $name=" . ($good =~ s/.k$/0k/r);
is_deeply([cookies(get($port, "$base/$link/", @browser, $_->[0]))], [],
    "$_->[1] is not replaced") for [$cookie, 'the same cookie'],
    ["Cookie: $name=" . value('safe', $box, $latest), 'a later one'];
is(scalar cookies(get($port, "$base/$link/", @browser, $_)), 1,
    'one that is not valid is') for $bogus,
    "Cookie: $name=" . value('safe', $box, base36(time + 500));
my $far = base36(time + 4e9);
like((cookies(get($port, "$base/$far/" . short('safe', $box, $far) . '/',
    @browser)))[0], qr/Max-Age=34560000;/, 'none lives over 400 days');

# The cookie admits
is(get($port, "$base/app.js?x", $cookie)->{status}, 200,
    'the page\'s own request is admitted');
is(get($port, $base, $cookie)->{status}, 200, 'one without a slash too');
is(request($port, 'POST', "$base/", 'x', $cookie,
    'Sec-Fetch-Mode: cors', 'Sec-Fetch-Site: same-origin',
    "Referer: http://localhost$base/$link/")->{status}, 200, 'or a POST');
is(get($port, "$base/", "Cookie: a=b; $name=x; $name=$good;c=d")->{status},
    200, 'one valid cookie among others is enough');
is(get($port, "$base/", 'Cookie: a=b', "Cookie: $name=$good")->{status}, 200,
    'in a header of its own too');
is(get($port, '/again/safe/port/1/', "Cookie: $name="
    . value('safe', 1, $later))->{status}, 502,
    'and stays so where an error leads to another location');
is(get($port, '/', $host, $cookie)->{status}, 200, 'at the sandbox\'s host');
is(get($port, '/', $host, "Cookie: __Host-$name=$good")->{status}, 200,
    'by its name for hosts too');

# And does not
is(get($port, "$base/")->{status}, 401, 'nothing without it');
for (
	[$good =~ s/.k$/0k/r, 'a forged one'],
	["$latest-" . long('cookie', 'safe', $box, $later), 'another expiry'],
	[value('safe', $box, $past), 'an expired one'],
	[value('safe2', $box, $later), 'another sandbox\'s'],
	[value('safe', $other, $later), 'another port\'s'],
	[$long =~ s{/}{-}r, 'a link as a cookie'],
	[$link =~ s{/}{-}r, 'a short link as a cookie'],
	[$good =~ s/k$/b/r, 'one by another key'],
	[$good =~ s/k$/z/r, 'one by an unknown key'],
	["0$good", 'one with a leading zero'],
	[uc $good, 'one in capitals'],
	['', 'an empty one'], ['-', 'a dash'], ["$good;", 'a quoted one', '"'],
) {
	my ($text, $what, $quote) = (@$_, '');
	$text = "\"$good\"" if $quote;
	is(get($port, "$base/", "Cookie: $name=$text")->{status}, 401,
	    "$what is refused");
}
is(get($port, "$base/", "Cookie: x$name=$good; ${name}x=$good; "
    . uc($name) . "=$good")->{status}, 401, 'so are other names');
is(get($port, "$base/$later/" . long('cookie', 'safe', $box, $later) . '/')
    ->{status}, 401, 'a cookie is no link');
is(get($port, "$base/", $cookie, 'OpenSandbox-Secure-Access: x')->{status}, 401,
    'a wrong token beside a right cookie is refused');
is(get($port, "$base/$later/00000000k/", $cookie)->{status}, 401,
    'so is a wrong signature');
is(get($port, '/', "OpenSandbox-Ingress-To: safe-$box", $cookie)->{status}, 401,
    'a routing header needs another credential');
is(get($port, "/off/safe/port/$box/", $cookie)->{status}, 401,
    'where it is off, nothing is admitted');
is_deeply([cookies(get($port, "/off/safe/port/$box/$link/", @browser))], [],
    'and nothing set');
is(get($port, "$base/", 'Cookie: ' . join('; ', ("$name=$later-"
    . 'a' x 26 . 'k') x 31, "$name=$good"))->{status}, 200,
    'planted cookies do not hide the real one');

# It goes no further
sub seen
{
	my ($path, @headers) = @_;
	my @lines = get($port, $path, @headers)->{body} =~ /^(cookie:.*?)\r$/mig;
	return \@lines;
}
is_deeply(seen("$base/", $cookie), [], 'the sandbox does not see it');
is_deeply(seen("$base/", "Cookie: $name=$good; a=b;  c=\"d\"; "
    . "__Host-$name=x; ${name}s=1"), ["Cookie: a=b;  c=\"d\"; ${name}s=1"],
    'and sees the others as they were');
is_deeply(seen("$base/", "Cookie: a=b; $name=$good;c"), ['Cookie: a=b;c'],
    'also around it');
is_deeply(seen("$base/", 'Cookie: a=b', $cookie, 'Cookie: c=d;'),
    ['Cookie: a=b', 'Cookie: c=d;'], 'or in other headers');
is_deeply(seen("/sandboxes/open/port/$box/", $cookie), [],
    'nor an open sandbox');
is_deeply(seen('/', "OpenSandbox-Ingress-To: open-$box", "Cookie: $name=x"), [],
    'nor one behind a routing header');
is_deeply(seen("/off/open/port/$box/", "Cookie: $name=x; y"), ['Cookie: y'],
    'nor where it is off');
is_deeply(seen("$base/", 'Cookie: a=b;; c', 'OpenSandbox-Secure-Access: tok'),
    ['Cookie: a=b;; c'], 'cookies without it are left alone');
$a = get($port, "$base/", 'X-1: 1', $cookie, map { "X-$_: $_" } 2 .. 60);
is(scalar(() = $a->{body} =~ /^X-\d+: \d+\r$/mg), 60,
    'no other header is lost with it');

# The sandbox cannot touch it
for my $planted ("$name=x; Path=/", "__Host-$name=x", "$name; Max-Age=0",
	" =$name=x", 'OpenSandbox-Access =x') {
	my $query = "Set-Cookie: $planted|Set-Cookie: a=b";
	$query =~ s/([^\w])/sprintf '%%%02x', ord $1/ge;
	is_deeply([map { [cookies($_)] }
	    get($port, "/sandboxes/open/port/$box/?$query"),
	    get($port, "/?$query", $host, $cookie)], [['a=b'], ['a=b']],
	    "\"$planted\" of a sandbox is dropped");
}
is((cookies(get($port, "$base/?Set-Cookie%3a%20${name}s=1", $cookie)))[0],
    "${name}s=1", 'another name is not');

# Other pages
sub from
{
	my ($target, @headers) = @_;
	return request($port, 'GET', $target, undef, $cookie, @headers)->{status};
}
my $here = 'http://localhost';
is(from("$base/", "Sec-Fetch-Site: $_", 'Sec-Fetch-Mode: cors'), 401,
    "a $_ page's request is refused") for qw(same-site cross-site);
is(from("$base/", 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate'),
    200, 'but its link opens');
is(request($port, 'POST', "$base/", '', $cookie, 'Sec-Fetch-Site: same-site',
    'Sec-Fetch-Mode: navigate')->{status}, 401, 'and its form does not');
is(from("$base/", "Origin: $_"), 401, "Origin $_ is refused")
    for 'http://evil.test', 'null', "$here:81";
is(from("$base/", "Origin: $here"), 200, 'its own is not');
is(from("$base/", 'Origin: http://evil.test', @plain), 401,
    'whatever the request accepts');
$a = get($port, "$base/", $cookie, 'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-Mode: cors', "Referer: $here/sandboxes/safe2/port/$box/");
is($a->{status}, 401, 'another sandbox\'s page of the same origin is refused');
like(json($a)->{message}, qr/pages of another sandbox/, 'which the answer says');
is(from("$base/", 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors',
    "Referer: $here$_/safe2/port/$box/"), 401,
    "whichever location the page is of: $_") for '/strict', '/off';
is(from("$base/", 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors',
    "Referer: $here/strict/safe/port/$box/"), 200, 'the sandbox\'s own pages pass');
is(from("$base/", 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors', @$_),
    200, ($_->[0] // 'no Referer') . ' passes') for [],
    ["Referer: $here$base/a"], ["Referer: $here/sandboxes/SAFE/port/1/x"],
    ["Referer: $here/"], ["Referer: $here/portal"];

# WebSockets
sub tunnel
{
	my ($target, @headers) = @_;
	my $s = connect_to($port);
	print $s join("\r\n", "GET $target HTTP/1.1", @headers,
	    'Connection: keep-alive, Upgrade', 'Upgrade: websocket',
	    'Sec-WebSocket-Version: 13',
	    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', '');
	my $answer = read_answer($s);
	return $answer->{status} if $answer->{status} != 101;
	print $s "\x81\x85\1\2\3\4" . ('hello' ^ "\1\2\3\4\1");
	read($s, my $frame, 7);
	return substr($frame, 2) . ' '
	    . $answer->{headers}{'sec-websocket-accept'}[0];
}
my $accept = 'hello s3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
is(tunnel("$base/ws", 'Host: localhost', "Origin: $here", $cookie), $accept,
    'the page\'s WebSocket is admitted');
is(tunnel('/ws', $host, "Origin: http://safe-$box.box.test", $cookie), $accept,
    'at its host too');
is(tunnel('/ws', $host, 'Sec-Fetch-Mode: websocket', "Cookie: __Host-$name=$good",
    'Sec-Fetch-Site: same-origin'), $accept, 'from Firefox too');
is(tunnel("$base/ws", 'Host: localhost', "Origin: $here"), 401,
    'not without the cookie');
is(tunnel("$base/ws", 'Host: localhost', 'Origin: http://evil.test', $cookie),
    401, 'nor from another site');
is(tunnel('/ws', $host, "Origin: http://safe2-$box.box.test", $cookie), 401,
    'nor from another sandbox\'s host');

# A link at the sandbox's host
my $at = "/.opensandbox/$long";
$a = get($port, "$at/a%2Fb?c", $host);
is($a->{status}, 303, 'a link at a host sends on');
is($a->{headers}{location}[0], '/a%2Fb?c', 'to the rest');
like((cookies($a))[0], qr{^$name=\Q$good\E; Path=/; Max-Age=\d+; HttpOnly; SameSite=Lax$},
    'with the host\'s cookie');
is_deeply([map { $a->{headers}{$_}[0] } 'cache-control', 'referrer-policy'],
    ['no-store', 'no-referrer'], 'and leaves no trace');
is(get($port, "/.opensandbox/$link$_->[0]", $host, $cookie)
    ->{headers}{location}[0], $_->[1], "\"$_->[0]\" leads to \"$_->[1]\"")
    for ['', '/'], ['/', '/'], ['?x', '/?x'], ['//evil.test/', '/.//evil.test/'],
    ['/\\evil.test', '/./\\evil.test'], ['/%2f/evil.test', '/%2f/evil.test'];
for (
	["/.opensandbox/$later/" . long('long', 'safe2', $box, $later), 'for another'],
	["/.opensandbox/$past/" . short('safe', $box, $past), 'that has expired'],
	["/.opensandbox/$later/00000000k", 'made up'],
	['/.opensandbox/' . $good =~ s{-}{/}r, 'that is a cookie'],
) {
	$a = get($port, "$_->[0]/", $host, $cookie);
	is_deeply([$a->{status}, cookies($a)], [401], "a link $_->[1] is refused");
}
is(request($port, 'POST', "$at/", '', $host, $cookie)->{status}, 401,
    'a link is not for POST');
like(get($port, "$at/", "Host: open-$box.box.test")->{body},
    qr{^GET \Q$at\E/ HTTP}m, 'it is a path where the sandbox is open');

# The other kinds
$a = get($port, "/s/$long/x", $host);
is_deeply([$a->{status}, $a->{headers}{refresh}[0]], [200, '0; url=/x'],
    'a strict cookie needs a page to go on from');
like((cookies($a))[0], qr/SameSite=Strict$/, 'and is set there');
like((cookies(get($port, "/strict/safe/port/$box/$link/", @browser)))[0],
    qr/SameSite=Strict$/, 'strict');
like((cookies(get($port, "/frame/safe/port/$box/$link/", @browser)))[0],
    qr/SameSite=None; Secure; Partitioned$/, 'for frames of other sites');
like((cookies(get($port, "/secure/safe/port/$box/$link/", @browser)))[0],
    qr/SameSite=Lax; Secure$/, 'behind what ends TLS');
sub over_tls
{
	my ($flag, $path, $at) = @_;
	return (capture('curl', '-ski', $flag, '--resolve', "$at:$tls:127.0.0.1",
	    '-H', 'Accept: text/html', "https://$at:$tls$path"))[1];
}
like(over_tls('--http2', "$base/$link/", 'localhost'),
    qr{^set-cookie: $name=.*; Path=\Q$base\E; .*; Secure\r$}mi,
    'over TLS it is Secure');
my $jar = over_tls('--http1.1', "$at/", "safe-$box.box.test");
like($jar, qr{^set-cookie: __Host-$name=.*; Path=/; .*; Secure\r$}mi,
    'and bound to the host by its name');
my ($pair) = $jar =~ /^set-cookie: ([^;]+)/mi;
like((capture('curl', '-sk', '--http2', '--resolve', "safe-$box.box.test:$tls:127.0.0.1",
    '-b', "a=b; $pair", "https://safe-$box.box.test:$tls/x"))[1],
    qr/^GET \/x(?!.*access).*^Cookie: a=b\r$/msi, 'HTTP/2 is the same');

# The API
sub endpoint { return json(get($port, "$_[0]/v1/sandboxes/$_[1]")) }
my $ask = "?link=browser&expires=" . (time + 1000);
my $e = endpoint('', "safe/endpoints/$box$ask");
like($e->{endpoint}, qr{^http://safe-$box\.box\.test/\.opensandbox/\w+/[a-z2-7]{26}k/$},
    'the API gives the link of a host');
is_deeply($e->{headers}, {}, 'which needs nothing else');
is(get($port, $e->{endpoint} =~ s{http://[^/]*}{}r, $host)->{status}, 303,
    'and works');
like(endpoint('/uri', "safe/endpoints/$box$ask")->{endpoint},
    qr{^http://localhost/sandboxes/safe/port/$box/\w+/\w+k/$}, 'or that of a URI');
is(endpoint('', "open/endpoints/$box$ask")->{endpoint},
    "http://open-$box.box.test/", 'an open sandbox needs none');
is_deeply([map { $_->{field} } endpoint('', "safe/endpoints/$box?link=browser"),
    endpoint('', "safe/endpoints/$box?link=x&expires=99999999999"),
    endpoint('/hdr', "safe/endpoints/$box$ask")], [('link') x 3],
    'what cannot be is refused');

# Logs
my $log = read_file("$g->{prefix}/error.log");
unlike(join('', $log =~ /(opensandbox: .*?)(?:, client|$)/mg), qr/\Q$good\E/,
    'no line of the module\'s has the cookie');
unlike(read_file("$g->{prefix}/access.log"), qr/[ ;]$name=\Q$good\E/,
    'nor has $http_cookie');
like(config_error(http => "opensandbox_access_cookie $_->[0];"), qr/$_->[1]/,
    "opensandbox_access_cookie $_->[0]") for ['loose', 'invalid value'],
    ['lax x', 'invalid parameter'], ['lax; opensandbox_access_cookie off', 'duplicate'];

reload($g, %config, http => $records
    . 'log_format cookies "$request_uri $http_cookie";');
is(get($port, "$base/", $cookie)->{status}, 401, 'without keys it is nothing');
