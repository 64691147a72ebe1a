#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Records are put, changed, listed and deleted by the management API, take
# effect at once in every worker, and survive a reload.

use strict;
use warnings;
use Test::More tests => 94;
use Harness;
use Ingress;

my $port = echo('box');
my $other = echo('other');
my %config = (
	workers => 2,
	http => 'opensandbox_sandbox declared { endpoint 127.0.0.1; }',
);
my $g = gateway(%config);

# One record
my $a = api($g, 'PUT', '/New.1', { endpoint => '127.0.0.1',
    expose => [$port, '9000-9010'], hostHeader => 'app.test' });
is($a->{status}, 201, 'a new record is created');
is_deeply(json($a), { id => 'new.1', endpoint => '127.0.0.1',
    expose => [$port, '9000-9010'], hostHeader => 'app.test',
    source => 'api', ready => JSON::PP::true }, 'and shown, its id in lower case');
for (1 .. 8) {
	$a = get($g->{port}, "/sandboxes/new.1/port/$port/");
	is($a->{status}, 200, "every worker knows it at once, connection $_");
}
like($a->{body}, qr/^Host: app\.test\r/m, 'the host header is the record\'s');
is(get($g->{port}, '/sandboxes/new.1/port/8999/')->{status}, 403,
    'a port outside of "expose" is refused');
is(json(api($g, 'GET', '/NEW.1'))->{id}, 'new.1', 'a record can be read');
is_deeply(api($g, 'GET', $_)->{headers}{'cache-control'}, ['no-store'], "no cache keeps \"$_\"")
    for '', '/new.1', "/new.1/endpoints/$port", '/unknown';
is(api($g, 'HEAD', '/new.1')->{status}, 200, 'and asked for');
is(api($g, 'PUT', '/new.1', { endpoint => '127.0.0.1' })->{status}, 200,
    'a record can be replaced');
is(get($g->{port}, '/sandboxes/new.1/port/1/')->{status}, 502,
    'which replaces all of it');

# A body in chunks, as its sender has the pieces
my $socket = connect_to($g->{port});
print $socket "PUT /v1/sandboxes/new.1 HTTP/1.1\r\nHost: localhost\r\n",
    "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    "c\r\n{\"endpoint\":\r\nc\r\n\"127.0.0.1\"}\r\n0\r\n\r\n";
$a = read_answer($socket);
is($a->{status}, 200, 'a body in chunks is read');
is(json($a)->{endpoint}, '127.0.0.1', 'all of it');

# Changes
is(api($g, 'PATCH', '/new.1', { ready => JSON::PP::false })->{status}, 200,
    'a record can be changed in part');
is(get($g->{port}, "/sandboxes/new.1/port/$port/")->{status}, 503,
    'a sandbox that is not ready is unavailable');
is(json(api($g, 'GET', '/new.1'))->{endpoint}, '127.0.0.1',
    'what the change does not name stays');
is(api($g, 'PATCH', '/new.1', { ready => JSON::PP::true,
    portMap => { 80 => "127.0.0.1:$port", 81 => "127.0.0.1:$port" } })->{status},
    200, 'a port map can be added');
api($g, 'PATCH', '/new.1', { portMap => { 80 => "127.0.0.1:$other",
    81 => undef } });
is_deeply(json(api($g, 'GET', '/new.1'))->{portMap},
    { 80 => "127.0.0.1:$other" }, 'and changed one by one');
like(get($g->{port}, '/sandboxes/new.1/port/80/')->{body}, qr/^other /,
    'a mapped port leads where the map says');
is(api($g, 'PATCH', '/new.1', { expiresAt => '2001-01-01T00:00:00Z' })
    ->{status}, 200, 'an end can be set');
is(get($g->{port}, '/sandboxes/new.1/port/80/')->{status}, 410,
    'an expired sandbox is gone');
is(api($g, 'PATCH', '/new.1', { expiresAt => undef })->{status}, 200,
    'and taken away');
is(get($g->{port}, '/sandboxes/new.1/port/80/')->{status}, 200,
    'then it is back');
is(api($g, 'PUT', '/nowhere', { ready => JSON::PP::false })->{status}, 201,
    'a sandbox that is not ready need not be anywhere yet');
is(get($g->{port}, "/sandboxes/nowhere/port/$port/")->{status}, 503, 'it is unavailable');
is(api($g, 'GET', "/nowhere/endpoints/$port")->{status}, 200, 'its endpoint here is known');
$a = api($g, 'PATCH', '/nowhere', { ready => JSON::PP::true });
is($a->{status}, 400, 'but a ready one must be');
is(json($a)->{field}, 'endpoint', 'which the answer says');
is(api($g, 'PATCH', '/nowhere', { ready => JSON::PP::true, endpoint => '127.0.0.1' })->{status},
    200, 'it is ready where it is');
is(api($g, 'DELETE', '/nowhere')->{status}, 204, 'and goes');
is(api($g, 'PATCH', '/none', { ready => JSON::PP::true })->{status}, 404,
    'what is not there cannot be changed');

# Secrets
$a = api($g, 'PUT', '/secret', { endpoint => '127.0.0.1',
    accessToken => 'hush' });
unlike($a->{body}, qr/hush/, 'a token is not shown');
unlike(api($g, 'GET', '/secret')->{body}, qr/hush/, 'by no answer');
unlike(api($g, 'GET', '')->{body}, qr/hush/, 'nor by the list');
$a = api($g, 'GET', '/secret?secrets=show');
is(json($a)->{accessToken}, 'hush', 'unless it is asked for');
is(api($g, 'PUT', '/secret?secrets=show', $a->{body})->{body}, $a->{body},
    'and then, what is read can be written back');
unlike(read_file("$g->{prefix}/error.log"), qr/hush/, 'nor is it logged');

# Mistakes change nothing
my $before = api($g, 'GET', '')->{body};
for (
	['{', undef, 'JSON that ends early'],
	['{"endpoint":"127.0.0.1","endpoint":"::1"}', undef, 'a doubled key'],
	['[]', undef, 'an array'],
	['{}', 'endpoint', 'no endpoint'],
	['{"endpoint":7}', 'endpoint', 'an endpoint that is a number'],
	['{"endpoint":"10.0.0.256"}', 'endpoint', 'an address out of range'],
	['{"endpoint":"10.0.0.1:80"}', 'endpoint', 'an address with a port'],
	['{"endpoint":"0.0.0.0"}', 'endpoint', 'an address of nobody'],
	['{"endpoint":"unix:relative"}', 'endpoint', 'a relative socket'],
	['{"endpoint":"a b"}', 'endpoint', 'a host with a space'],
	['{"endpoint":"::1","color":"red"}', 'endpoint', 'a bare IPv6 address'],
	['{"endpoint":"-a.test"}', 'endpoint', 'a label that begins with a hyphen'],
	['{"endpoint":"a-.test"}', 'endpoint', 'one that ends with it'],
	['{"endpoint":"[::1]","color":"red"}', 'color', 'an unknown key'],
	['{"endpoint":"[::1]","expose":[0]}', 'expose', 'port 0'],
	['{"endpoint":"[::1]","expose":["9-8"]}', 'expose', 'a range backwards'],
	['{"endpoint":"[::1]","portMap":{"x":"1.1.1.1:1"}}', 'portMap', 'a bad map'],
	['{"endpoint":"[::1]","ready":"yes"}', 'ready', 'a string for a truth'],
	['{"endpoint":"[::1]","accessToken":"a\r\nb: c"}', 'accessToken',
	    'a token with a line break'],
	['{"endpoint":"[::1]","hostHeader":"a\r\nb: c"}', 'hostHeader',
	    'a host with a line break'],
	['{"endpoint":"[::1]","expiresAt":"tomorrow"}', 'expiresAt', 'no time'],
	['{"endpoint":"[::1]","id":"other"}', 'id', 'another id'],
) {
	my ($body, $field, $what) = @$_;
	$a = api($g, 'PUT', '/new.1', $body);
	my $fault = json($a);
	ok($a->{status} == 400 && $fault->{code} && $fault->{message}
	    && $fault->{field} eq ($field // ''),
	    "$what is refused") or diag($a->{body});
}
is(api($g, 'GET', '')->{body}, $before, 'and nothing has changed');
is(api($g, 'POST', '/new.1', {})->{status}, 405, 'other methods are refused');

# Many at once
is_deeply(json(api($g, 'POST', '', [map { { id => "m$_",
    endpoint => '127.0.0.1' } } 10 .. 29])), { created => 20, replaced => 0 },
    'an array of records is taken at once');
$a = api($g, 'POST', '', [{ id => 'm30', endpoint => '127.0.0.1' },
    { id => 'm31', endpoint => '?' }]);
is(json($a)->{field}, '[1].endpoint', 'one bad record refuses them all');
is(api($g, 'GET', '/m30')->{status}, 404, 'the good ones too');
my (@ids, $next);
my $pages = 0;
do {
	my $page = json(api($g, 'GET', '?limit=7' . ($next ? "&after=$next" : '')));
	push @ids, map { $_->{id} } @{ $page->{sandboxes} };
	$next = $page->{next};
	$pages++;
} while ($next && $pages < 10);
is(api($g, 'GET', '?limit=&after=')->{body}, api($g, 'GET', '')->{body},
    'nothing for limit and after is as good as none');
is_deeply(\@ids, ['declared', (map { "m$_" } 10 .. 29), 'new.1', 'secret'],
    'a list comes in pages, in order, each record once');

# Reload
reload($g, %config, http => 'opensandbox_sandbox other { endpoint 127.0.0.1; }');
is(api($g, 'GET', '/declared')->{status}, 404,
    'a reload drops what the configuration no longer declares');
is(api($g, 'GET', '/other')->{status}, 200, 'adds what it does');
is(api($g, 'GET', '/m29')->{status}, 200, 'and keeps the rest');
is(api($g, 'DELETE', '/m29')->{status}, 204, 'a record can be deleted');
is(get($g->{port}, '/sandboxes/m29/port/80/')->{status}, 404,
    'and is gone at once');

# Pages that a browser shows there
my @array = ('POST', '/v1/sandboxes', '[{"id":"page","endpoint":"127.0.0.1"}]', 'Content-Type: text/plain');
for (['Origin: http://other.test'], ['Origin: null'], ['Sec-Fetch-Site: cross-site'],
    ['Sec-Fetch-Site: same-site', 'Origin: http://localhost']) {
	$a = request($g->{port}, @array, @$_);
	is($a->{status}, 403, "a page of another origin changes nothing, @$_");
	is(json($a)->{code}, 'forbidden', '  and is told so');
}
is(api($g, 'GET', '/page')->{status}, 404, 'nothing came of it');
is(request($g->{port}, 'DELETE', '/v1/sandboxes/m28', undef, 'Origin: http://other.test')->{status},
    403, 'whatever the method');
is(request($g->{port}, @array, @$_)->{status}, 200, "the page's own requests do, @$_")
    for ['Origin: http://localhost'], ['Sec-Fetch-Site: same-origin', 'Origin: https://front.test'];
reload($g, %config, http => 'opensandbox_api_token t0p;');
is(request($g->{port}, @array, 'Origin: http://other.test')->{status}, 401,
    'where there is a token');
is(request($g->{port}, @array, 'Origin: http://other.test', 'Authorization: Bearer t0p')->{status},
    200, 'it alone decides');
