#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The API tells the address of a port as clients reach it, signed on request;
# that address works.

use strict;
use warnings;
use Test::More tests => 46;
use Harness;
use Ingress;

my $echo = echo('box');
my %modes = (
	uri    => 'uri localhost/sandboxes/',
	short  => 'uri https://gw.test',
	host   => 'host https://box.test',
	header => 'header gw.test',
	several => 'header http://gw.test:81; opensandbox_public uri https://gw.test/s/; '
	    . 'opensandbox_public host box.test',
);
my $g = gateway(
	http => <<"EOT",
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox safe { endpoint 127.0.0.1; expose $echo; access_token tok; }
opensandbox_sandbox open.1 { endpoint 127.0.0.1; }
opensandbox_sandbox open-2 { endpoint 127.0.0.1; }
EOT
	server => join("\n", 'location /v1/ { opensandbox_api; }',
	    'location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }',
	    map { "location /$_/ { rewrite ^/$_(/.*) \$1 break; opensandbox_api; "
		. "opensandbox_public $modes{$_}; }" } sort keys %modes));
my $port = $g->{port};
my $later = time + 1000;

sub endpoint
{
	my ($mode, $id, $p, $query) = @_;
	return get($port, "/$mode/v1/sandboxes/$id/endpoints/$p" . ($query // ''));
}

sub address { return json(endpoint(@_)) }

is_deeply(address('uri', 'open.1', 80),
    { endpoint => 'localhost/sandboxes/open.1/port/80', headers => {} },
    'a URI with the configured prefix');
is(address('short', 'open.1', 80)->{endpoint}, 'gw.test/open.1/80',
    'or in the short form, without the scheme that clients add');
is_deeply(address('host', 'safe', $echo), {
    endpoint => "safe-$echo.box.test",
    headers  => { 'OpenSandbox-Secure-Access' => 'tok' } },
    'a host, with the token that a client must send');
is_deeply(address('header', 'open.1', 80), { endpoint => 'gw.test',
    headers => { 'OpenSandbox-Ingress-To' => 'open.1-80' } },
    'or the gateway, with the routing header');

my $signed = address('uri', 'safe', $echo, "?expires=$later");
like($signed->{endpoint}, qr{/port/$echo/[0-9a-z]+/[0-9a-f]{8}k$},
    'with an expiry it is signed');
is_deeply($signed->{headers}, {}, 'and needs no token');
my ($path) = $signed->{endpoint} =~ m{(/.*)};
is(get($port, "$path/")->{status}, 200, 'it opens the sandbox');
$signed = address('uri', 'safe', $echo, "?expires=$later&signature=long");
($path) = $signed->{endpoint} =~ m{(/.*)};
like($path, qr{/[a-z2-7]{26}k$}, 'a long signature can be asked for');
is(get($port, "$path/")->{status}, 200, 'and opens it too');
$signed = address('host', 'safe', $echo, "?expires=$later");
my $host = $signed->{endpoint};
is(get($port, '/', "Host: $host")->{status}, 200, 'so does a signed host');
is(address('uri', 'open.1', $echo, "?expires=$later")->{endpoint},
    "localhost/sandboxes/open.1/port/$echo",
    'an open sandbox would get a signature as a part of its path');
like(address('host', 'open-2', $echo, "?expires=$later")->{endpoint},
    qr{^open-2-$echo-[0-9a-z]+-[0-9a-f]{8}k\.box\.test$}, 'but not that of a host');

# What a browser opens
my %opens = (uri => "http://localhost/sandboxes/safe/port/$echo/E/S/",
    short => "https://gw.test/safe/$echo/E/S/",
    host => "https://safe-$echo.box.test/.opensandbox/E/S/");
for (sort keys %opens) {
	my $link = address($_, 'safe', $echo, "?link=browser&expires=$later")->{endpoint};
	is($link =~ s{/[0-9a-z]+/[a-z2-7]{26}k/}{/E/S/}r, $opens{$_},
	    "$_: a browser's link has a scheme and a slash");
}
is(get($port, address('uri', 'safe', $echo, "?link=browser&expires=$later")->{endpoint}
    =~ s{.*localhost}{}r)->{status}, 200, 'it opens the sandbox as it is');
is(address('short', 'open.1', 80, '?link=browser')->{endpoint}, 'https://gw.test/open.1/80/',
    'an open sandbox needs no expiry for one');

# One of several
is_deeply([map { address('several', 'safe', $echo, "?mode=$_")->{endpoint} }
    qw(uri header host)], ["gw.test/s/safe/port/$echo", 'gw.test:81', "safe-$echo.box.test"],
    'the mode chooses one of several');
is(address('several', 'safe', $echo)->{endpoint}, 'gw.test:81', 'else the first counts');
is(address('several', 'safe', $echo, '?mode=uri&link=browser&expires=' . $later)->{endpoint}
    =~ s{\d/.*}{}r, 'https://gw.test/s/safe/port/' . substr($echo, 0, -1),
    'for a browser too');
is(json(endpoint('several', 'safe', $echo, "?mode=$_"))->{field}, 'mode',
    "a mode \"$_\" is refused") for 'any', 'x', '';
is(address('short', 'open.1', 80, '?mode=header')->{endpoint}, 'localhost',
    'a mode without opensandbox_public is looked for among the locations');
is(endpoint('short', 'open.1', 80, '?mode=host')->{status}, 503,
    'one that none serves has no address');

is(endpoint('uri', 'safe', $echo, '?expires=1')->{status}, 400,
    'an expiry in the past is refused');
is(endpoint('uri', 'safe', $echo, '?expires=soon')->{status}, 400,
    'and one that is no number');
is(json(endpoint('uri', 'safe', $echo, "?expires=$later&signature=$_"))->{field}, 'signature',
    "a signature \"$_\" is refused") for 'longer', '';
is(endpoint('uri', 'none', 80)->{status}, 404, 'an unknown sandbox is a 404');
is(endpoint('uri', 'safe', 1)->{status}, 403, 'a port not exposed is a 403');
is(endpoint('host', 'open.1', 80)->{status}, 400,
    'an id with a dot does not fit in a label');

# Without opensandbox_public, the locations that route tell the address
sub told
{
	my ($what, $server, $endpoint, $header) = @_;
	my $api = free_port();
	my $to = gateway(http => 'opensandbox_sandbox sb { endpoint 127.0.0.1; } '
	    . "server { listen 127.0.0.1:$api; location / { opensandbox_api; } }",
	    server => $server);
	$endpoint =~ s/PORT/$to->{port}/;
	is_deeply(json(get($api, '/v1/sandboxes/sb/endpoints/80', "Host: localhost:$api")),
	    { endpoint => $endpoint, headers => $header // {} }, $what);
	stop($to->{pid});
}

sub routes { my ($mode, $at) = (@_, ""); return "location /$at { opensandbox $mode; }" }

my $place = 'localhost:PORT';
told('by URI, under its prefix', routes('any'), "$place/sandboxes/sb/port/80");
told('or in the short form', routes('uri prefix=/'), "$place/sb/80");
told('by header', routes('header'), $place, { 'OpenSandbox-Ingress-To' => 'sb-80' });
told('by the domain of hosts', routes('host domain=box.test'), 'sb-80.box.test:PORT');
told('or by a server name that is one', 'server_name *.box.test;' . routes('host'),
    'sb-80.box.test:PORT');
told('by the name of a server', 'server_name _ gw.test;' . routes('header')
    . routes('uri', 'sandboxes/'), "$place/sandboxes/sb/port/80");
told('if that is its first', 'server_name gw.test;' . routes('any'),
    'gw.test:PORT/sandboxes/sb/port/80');
my @record = (http => 'opensandbox_sandbox sb { endpoint 127.0.0.1; }');
my $bare = gateway(@record,
    server => 'location /v1/ { opensandbox_api; }' . routes('uri', 'sandboxes/'));
is(json(get($bare->{port}, '/v1/sandboxes/sb/endpoints/80', 'Host: other.test:81'))
    ->{endpoint}, 'other.test:81/sandboxes/sb/port/80',
    'one server for both is asked and reached by the same name');
reload($bare, @record, server => 'location /v1/ { opensandbox_api; }' . routes('host'));
is(get($bare->{port}, '/v1/sandboxes/sb/endpoints/80')->{status}, 503,
    'a host without any domain has no address');
reload($bare, @record, server => 'location /v1/ { opensandbox_api; }');
is(get($bare->{port}, '/v1/sandboxes/sb/endpoints/80')->{status}, 503,
    'nor has a gateway that routes nothing');
like(config_error(@record, server => "opensandbox_public $_->[0];"), qr/$_->[1]/,
    "opensandbox_public $_->[0]") for ['any gw.test', 'invalid mode "any"'],
    ['uri https://', 'invalid address "https://"'], ['uri ftp://gw.test', 'invalid address'],
    ['uri a; opensandbox_public uri b', 'duplicate'];
