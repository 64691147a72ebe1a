#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox_cors: pages of the origins that it names may ask a sandbox that
# wants a token, and read why the gateway refuses; others may not, and what a
# sandbox answers stays as it is.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;
use Browser;

# Answers its own preflights, and says what it was asked.
my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($method) = $head =~ /^(\S+)/;
		my ($origin) = $head =~ /^Origin: (\S+)/mi;
		my $body = $method eq 'OPTIONS' ? '' : "asked $method";
		print $s "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: "
		    . ($origin // 'none') . "\r\nX-Box: $method\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body";
	}
});

my %port = map { $_ => free_port() } qw(some any null off host page);
my $front = "http://page.test:$port{page}";
my $proxy = "include %CONF%/opensandbox-proxy.conf;";
my $some = "opensandbox_cors https://App.example:443 https://*.team.example $front;";
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token secret; }
opensandbox_sandbox open { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$port{some};
    $some
    location / { opensandbox any; $proxy }
    location ~ /denied\$ { opensandbox uri; $proxy deny all; }
    location ~ /paged\$ { opensandbox uri; $proxy error_page 401 404 \@page; }
    location \@page { return 404 "a page"; }
    location = /plain { deny all; }
}
server {
    listen 127.0.0.1:$port{any};
    opensandbox_cors *;
    location / { opensandbox any; $proxy }
}
server {
    listen 127.0.0.1:$port{null};
    opensandbox_cors null;
    location / { opensandbox any; $proxy }
}
server {
    listen 127.0.0.1:$port{off};
    $some
    location / { opensandbox any; opensandbox_cors off; $proxy }
}
server {
    listen 127.0.0.1:$port{host};
    $some
    location / { opensandbox host; $proxy }
}
server {
    listen 127.0.0.1:$port{page};
    location / { default_type text/html; return 200 '<title>page</title>'; }
}
EOT

my $uri = "/sandboxes/safe/port/$box/x";
my @ask = ('Access-Control-Request-Method: PUT',
	'Access-Control-Request-Headers: opensandbox-secure-access,content-type');

sub preflight
{
	my ($server, $target, @headers) = @_;
	return request($port{$server}, 'OPTIONS', $target, undef, @headers);
}

# The headers of an answer that are about origins.
sub cors
{
	my ($answer) = @_;
	my $h = $answer->{headers};
	return { map { s/^access-control-(?:allow-)?//r =>
	    join '; ', @{ $h->{$_} } } grep { /^(?:access-control-|vary$)/ } keys %$h };
}

# Preflights that are answered
my $vary = 'Access-Control-Request-Method, Access-Control-Request-Headers, '
    . 'Access-Control-Request-Private-Network';
my %granted = (origin => 'https://app.example', credentials => 'true',
	methods => 'PUT', headers => 'opensandbox-secure-access,content-type',
	'max-age' => 600, vary => "Origin; $vary");
for (
	['uri mode', 'some', $uri],
	['header mode, where the route comes later', 'some', '/x'],
	['host mode', 'host', '/x', "Host: safe-$box.box.test"],
	['an unknown sandbox, which the request itself hears of', 'some',
		"/sandboxes/none/port/$box/"],
) {
	my ($name, $server, $target, @more) = @$_;
	my $a = preflight($server, $target, 'Origin: https://app.example', @ask, @more);
	is($a->{status}, 204, "$name: the preflight is answered");
	is_deeply(cors($a), \%granted, '  as it asks');
	ok(!$a->{headers}{'x-box'} && !$a->{headers}{'content-length'},
	    '  by the gateway, without a body');
}
my $a = preflight('some', $uri, 'Origin: https://a.b.team.example',
    'Access-Control-Request-Method: GET',
    'Access-Control-Request-Private-Network: true');
is_deeply([$a->{status}, cors($a)], [204, { origin => 'https://a.b.team.example',
	credentials => 'true', methods => 'GET', 'max-age' => 600,
	'private-network' => 'true', vary => "Origin; $vary" }],
    'a host below the name, to a private network');
$a = preflight('any', $uri, 'Origin: https://who.test', @ask);
is_deeply([$a->{status}, cors($a)], [204, { origin => '*', methods => 'PUT',
	headers => $granted{headers}, 'max-age' => 600, vary => $vary }],
    'any origin, without credentials');
is(cors(preflight('any', $uri, 'Origin: null', @ask))->{origin}, '*',
    'that of a frame, too');
$a = preflight('null', $uri, 'Origin: null', @ask);
is_deeply([$a->{status}, @{ cors($a) }{qw(origin credentials)}],
    [204, 'null', undef], 'the one of frames, if it is named, without credentials');

# What is not answered
my $app = 'Origin: https://app.example';
for (
	['another origin', 'some', 401, 'Origin: https://app.example.evil', @ask],
	['another scheme', 'some', 401, 'Origin: http://app.example', @ask],
	['another port', 'some', 401, 'Origin: https://app.example:8443', @ask],
	['the name alone', 'some', 401, 'Origin: https://team.example', @ask],
	['a name that ends so', 'some', 401, 'Origin: https://xteam.example', @ask],
	['a user before the name', 'some', 401, 'Origin: https://x@y.team.example', @ask],
	['a path before the name', 'some', 401, 'Origin: https://evil/.team.example', @ask],
	['a frame', 'some', 401, 'Origin: null', @ask],
	['two origins', 'some', 401, $app, $app, @ask],
	['no origin', 'some', 401, @ask],
	['another one where frames may', 'null', 401, $app, @ask],
	['"off"', 'off', 401, $app, @ask],
) {
	my ($name, $server, $status, @headers) = @$_;
	$a = preflight($server, $uri, @headers);
	is($a->{status}, $status, "$name is refused");
	is(cors($a)->{origin}, undef, '  and not let read it');
}
for (
	['OPTIONS that is no preflight', $app],
	['a method that is none', $app, 'Access-Control-Request-Method: P U T'],
	['headers that are none', $app, $ask[0], 'Access-Control-Request-Headers: a<b'],
) {
	my ($name, @headers) = @$_;
	$a = preflight('some', $uri, @headers);
	is($a->{status}, 401, "$name is refused");
	is(cors($a)->{origin}, 'https://app.example', '  and may read it');
}

# What a sandbox is asked itself
for (
	['a sandbox without a token', '/sandboxes/open/port/' . $box . '/'],
	['one with it', $uri, 'OpenSandbox-Secure-Access: secret'],
) {
	my ($name, $target, @more) = @$_;
	$a = preflight('some', $target, $app, @ask, @more);
	is_deeply([$a->{status}, $a->{headers}{'x-box'}, cors($a)],
	    [200, ['OPTIONS'], { origin => 'https://app.example' }],
	    "$name answers its own");
}
$a = get($port{some}, $uri, $app, 'OpenSandbox-Secure-Access: secret');
is_deeply([$a->{body}, cors($a)], ['asked GET', { origin => 'https://app.example' }],
    'its other answers are its own');

# Errors of the gateway
my $read = { origin => 'https://app.example', credentials => 'true',
	'access-control-expose-headers' => undef,
	'expose-headers' => 'Retry-After, WWW-Authenticate', vary => 'Origin' };
delete $read->{'access-control-expose-headers'};
my $closed = free_port();
for (
	[401, $uri], [404, "/sandboxes/none/port/$box/"], [400, '/sandboxes/open'],
	[502, "/sandboxes/open/port/$closed/"],
	[403, "/sandboxes/open/port/$box/denied"],
	[404, "/sandboxes/none/port/$box/paged"],
) {
	my ($status, $target) = @$_;
	$a = get($port{some}, $target, $app);
	is($a->{status}, $status, "$status of $target");
	is_deeply(cors($a), $read, '  may be read');
	is_deeply(cors(get($port{some}, $target, 'Origin: https://evil.test')),
	    { vary => 'Origin' }, '  not by others');
}
is_deeply(cors(get($port{any}, $uri, $app)), { origin => '*',
	'expose-headers' => 'Retry-After, WWW-Authenticate' }, 'or by any');
is_deeply(cors(get($port{off}, $uri, $app)), {}, 'or, off, by none');
is_deeply(cors(get($port{some}, '/plain', $app)), {},
    'nginx\'s own locations are its own');

# Mistakes
for (['app.example', qr/is expected/], ['https://a.test/', qr/no path/],
	['https://', qr/is expected/], ['https://a.*.test', qr/first labels/],
	['https://*', qr/first labels/], ['https://u@a.test', qr/no path/],
	['* https://a.test', qr/goes with no other/],
	['https://a.test off', qr/invalid origin "off"/],
	['null; opensandbox_cors off', qr/duplicate/]) {
	like(config_error(http => "opensandbox_cors $_->[0];"),
	    qr/$_->[1].* in .*nginx\.conf:\d/, "$_->[0] is a mistake");
}

SKIP: {
	skip 'no chromium', 5 unless Browser::available();
	my $b = Browser->new;
	my $fetch = 'const r = await fetch(args[0], args[1]);'
	    . 'return r.status + " " + await r.text();';
	my $base = "http://gw.test:$port{some}";
	my $by = { headers => { 'OpenSandbox-Secure-Access' => 'secret' } };
	$b->open_page("$front/");
	like($b->script($fetch, "$base$uri", $by), qr/^200 asked GET/,
	    'a page of another origin asks with a token');
	like($b->script($fetch, "$base/x", { method => 'PUT', headers => {
		'OpenSandbox-Secure-Access' => 'secret',
		'OpenSandbox-Ingress-To' => "safe-$box" } }), qr/^200 asked PUT/,
	    'or with a routing header');
	like($b->script($fetch, "$base$uri", { headers => {
		'OpenSandbox-Secure-Access' => 'wrong' } }), qr/^401 .*unauthorized/,
	    'and reads why not');
	like($b->script($fetch, "$base$uri", { credentials => 'include', %$by }),
	    qr/^error/, 'with credentials only if the sandbox says so, too');
	$b->open_page("http://other.test:$port{page}/");
	like($b->script($fetch, "$base$uri", $by), qr/^error/,
	    'one of an origin that is not named does not');
	$b->quit;
}
done_testing();
