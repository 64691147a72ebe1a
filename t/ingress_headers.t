#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Headers that a record has for an endpoint are given with it to the caller of
# the API, who has a token; nobody else learns them, and no log does.

use strict;
use warnings;
use Test::More tests => 42;
use Harness;
use Ingress;

my $echo = echo('box');
my $key = 'OPENSANDBOX-EGRESS-AUTH';
my %config = (zone => 'opensandbox_zone sandboxes:4m state=%PREFIX%/state;',
    http => <<"EOT", server => <<'EOT');
opensandbox_api_token master;
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox declared {
    endpoint 127.0.0.1;
    endpoint_header 18080 $key declared-hush;
    endpoint_header 18080 X-Other "two words";
    endpoint_header 80 X-Other o;
}
EOT
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
location /v1/ { opensandbox_api; opensandbox_public uri gw.test; opensandbox_public header gw.test; }
EOT
my $g = gateway(%config);
my @auth = ('Authorization: Bearer master');

sub call { my ($method, $path, $data) = @_; return api($g, $method, $path, $data, @auth) }
sub headers { return json(call('GET', "/$_[0]/endpoints/" . ($_[1] // 18080)))->{headers} }

# The token of the API
for (['no token', 401], ['the bearer token', 200, @auth],
    ['the key that SDKs send', 200, 'OPEN-SANDBOX-API-KEY: master'],
    ['a wrong key', 401, 'Open-Sandbox-Api-Key: maste'],
    ['an empty key', 401, 'OPEN-SANDBOX-API-KEY: '],
    ['two keys', 401, ('OPEN-SANDBOX-API-KEY: master') x 2],
    ['a key beside the bearer token of another', 200, 'OPEN-SANDBOX-API-KEY: master',
	'Authorization: Bearer other'],
    ['a wrong key beside the bearer token', 200, 'OPEN-SANDBOX-API-KEY: x', @auth]) {
	my ($what, $status, @headers) = @$_;
	is(api($g, 'GET', '/declared/endpoints/80', undef, @headers)->{status}, $status, $what);
}

# Headers
my $value = { 18080 => { $key => 'hush' } };
my $a = call('PUT', '/sb', { endpoint => '127.0.0.1', endpointHeaders => $value });
is($a->{status}, 201, 'a record has headers for a port');
unlike($a->{body}, qr/hush/, 'which are not shown');
is_deeply(json(call('GET', '/sb'))->{endpointHeaders}, { 18080 => [$key] },
    'their names are');
is_deeply(json(call('GET', '/sb?secrets=show'))->{endpointHeaders}, $value,
    'unless they are asked for');
unlike(call('GET', '')->{body}, qr/hush/, 'nor in a list');
is_deeply(headers('sb'), { $key => 'hush' }, 'they come with the endpoint');
is_deeply(headers('sb', 80), {}, 'of that port');
is_deeply(headers('declared'), { $key => 'declared-hush', 'X-Other' => 'two words' },
    'those of a declared record too');
is_deeply(json(call('GET', '/sb/endpoints/18080?mode=header'))->{headers},
    { $key => 'hush', 'OpenSandbox-Ingress-To' => 'sb-18080' }, "next to the gateway's own");
call('PATCH', '/sb', { ready => JSON::PP::true });
is_deeply(headers('sb'), { $key => 'hush' }, 'another change keeps them');
call('PATCH', '/sb', { endpointHeaders => { 80 => { a => 'b' } } });
is_deeply([headers('sb'), headers('sb', 80)], [{ $key => 'hush' }, { a => 'b' }],
    'a change adds');
my $later = time + 1000;
call('PATCH', '/sb', { accessToken => 'tok' });
is_deeply(headers('sb'), { $key => 'hush', 'OpenSandbox-Secure-Access' => 'tok' },
    'they come with the access token');
is_deeply(headers('sb', "18080?expires=$later"), { $key => 'hush' },
    'and with a signed endpoint');
is_deeply(headers('sb', "18080?expires=$later&link=browser"), {},
    'not with a link for a browser, which is given away');

# Nobody else
is(api($g, 'GET', '/sb/endpoints/18080')->{status}, 401, 'who has no token learns nothing');
unlike(get($g->{port}, "/sandboxes/declared/port/$echo/")->{body}, qr/hush/,
    'the gateway sends none of them');

# Restart
wait_for(sub { read_file("$g->{prefix}/state") =~ /hush.*tok|tok.*hush/s }, 10);
restart($g);
is_deeply(headers('sb', "18080?expires=$later"), { $key => 'hush' }, 'a restart keeps them');
is((call('PATCH', '/sb', { endpointHeaders => undef }))->{status}, 200, 'they can be removed');
is_deeply(headers('sb', "18080?expires=$later"), {}, 'and are gone');

# Mistakes
for (['not an object', 'x'], ['a port that is none', { 0 => { a => 'b' } }],
    ['no headers', { 80 => 'b' }], ['a value that is none', { 80 => { a => 1 } }],
    ['an empty value', { 80 => { a => '' } }],
    ['a line break', { 80 => { a => "secret\r\nb: c" } }],
    ['a name with a colon', { 80 => { 'a:' => 'secret' } }], ['no name', { 80 => { '' => 'b' } }],
    ["the gateway's own", { 80 => { 'opensandbox-Secure-Access' => 'secret' } }],
    ['a name twice', { 80 => { a => 'b', A => 'c' } }]) {
	my ($what, $headers) = @$_;
	$a = call('PUT', '/bad', { endpoint => '127.0.0.1', endpointHeaders => $headers });
	is_deeply([$a->{status}, json($a)->{field}, $a->{body} =~ /secret/ ? 1 : 0],
	    [400, 'endpointHeaders', 0], "$what is refused");
}
is(call('GET', '/bad')->{status}, 404, 'and nothing is left of it');
like(config_error(http => "opensandbox_sandbox x { endpoint 127.0.0.1;\n"
    . "endpoint_header 80 $_->[0]; }"), qr/$_->[1].*nginx.conf:\d+/s, "declared: $_->[0]")
    for ['a hush; endpoint_header 80 a hush', 'invalid value "80"'],
    ['"a b" hush', 'not one of a header'];
my $log = join '', map { read_file("$g->{prefix}/$_") } 'error.log';
unlike($log =~ s/request: .*//gr, qr/hush|secret/, 'no log has them');
is(config_error(http => "opensandbox_sandbox x { endpoint 127.0.0.1;\n"
    . 'endpoint_header 80 "a b" hush; }') =~ /hush/ ? 1 : 0, 0, 'nor has a mistake');
