#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The API as a part of another server's: endpoints alone, next to a lifecycle
# server that has the same paths. And what "/" of the API's own server says.

use strict;
use warnings;
use Test::More tests => 27;
use Harness;
use Ingress;

my $lifecycle = echo('lifecycle');
my $g = gateway(http => <<'EOT', server => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
EOT
location ~ ^/v1/sandboxes/[^/]+/endpoints/ {
    opensandbox_api endpoints;
    opensandbox_api_token key;
    opensandbox_public uri gw.test;
}
location /v1/ { proxy_pass http://127.0.0.1:$lifecycle; }
location /only/ {
    rewrite ^/only(/.*) \$1 break;
    opensandbox_api endpoints;
    if (\$arg_x) { set \$y 1; }
    opensandbox_public uri gw.test;
}
location / { opensandbox_api; opensandbox_api_token key; }
EOT
my $port = $g->{port};
my @key = ('OPEN-SANDBOX-API-KEY: key');

# Where an SDK is pointed to
my $a = get($port, '/v1/sandboxes/sb/endpoints/8000', @key);
is_deeply(json($a), { endpoint => 'gw.test/sb/8000', headers => {} },
    'the gateway answers for endpoints');
is(get($port, '/v1/sandboxes/sb/endpoints/8000')->{status}, 401, 'with its token');
like(request($port, $_->[0], $_->[1], $_->[2], @key)->{body}, qr/^lifecycle /,
    "$_->[0] $_->[1] is the lifecycle server's")
    for ['GET', '/v1/sandboxes'], ['POST', '/v1/sandboxes', '{"image":{}}'],
    ['DELETE', '/v1/sandboxes/sb'], ['POST', '/v1/sandboxes/sb/renew-expiration', '{}'];
is(get($port, '/v1/sandboxes/sb/endpoints/8000', @key)->{status}, 200,
    'nothing became of the record');

# Whatever else reaches it
for my $query ('', '?x=1') {
	is(request($port, $_->[0], "/only$_->[1]$query", $_->[2])->{status}, 404,
	    "endpoints alone: $_->[0] $_->[1]$query is a 404")
	    for ['GET', '/v1/sandboxes'], ['POST', '/v1/sandboxes', '[]'],
	    ['GET', '/v1/sandboxes/sb'], ['DELETE', '/v1/sandboxes/sb'],
	    ['GET', '/v1/sandboxes/sb/policy'];
}
$a = request($port, 'PUT', '/only/v1/sandboxes/sb/endpoints/80', '{}');
is("$a->{status} $a->{headers}{allow}[0]", '405 GET, HEAD', 'another method is a 405');
is(get($port, '/only/v1/sandboxes/sb/endpoints/80')->{status}, 200, 'and the record is there');
like(config_error(server => 'location / { opensandbox_api all; }'),
    qr/invalid parameter "all"/, 'another parameter is refused');

# The page
$a = get($port, '/', 'Accept: text/html');
is("$a->{status} $a->{headers}{'content-type'}[0]", '200 text/html; charset=utf-8', '/ is a page');
like($a->{body}, qr{<title>OpenSandbox gateway</title>}, 'the operator\'s');
is_deeply(json(get($port, '/')), { service => 'OpenSandbox gateway', api => '/v1/sandboxes' },
    'or JSON');
is(request($port, 'HEAD', '/')->{status}, 200, 'HEAD is the same');
is(request($port, 'POST', '/', '')->{status}, 401, 'anything else needs the token');
is(get($port, '/x', @key)->{status}, 404, 'another path is a 404');
is(get($port, '/x')->{status}, 401, 'and the rest are for who has it');
