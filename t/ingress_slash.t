#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A browser that opens a sandbox's address without the slash at its end is sent
# to the slash, where the page's relative links lead to the sandbox. Other
# clients get the root as before.

use strict;
use warnings;
use Test::More tests => 29;
use Harness;
use Ingress;

my $box = echo('box');
my $routes = 'include %CONF%/opensandbox-proxy.conf;';
my $g = gateway(http => <<"EOT", server => <<"EOT");
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox off { endpoint 127.0.0.1; ready off; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token tok; }
EOT
location /sandboxes/ { opensandbox uri; $routes }
location / { opensandbox uri prefix=/; $routes }
location /other/ { opensandbox any prefix=/other; $routes }
location /v1/ { opensandbox_api; opensandbox_public uri localhost/sandboxes; }
EOT
my $port = $g->{port};
my $base = "/sandboxes/sb/port/$box";
my $html = 'Accept: text/html,*/*;q=0.8';

sub sent_to
{
	my ($target, @headers) = @_;
	my $a = get($port, $target, @headers);
	return "$a->{status} " . ($a->{headers}{location}[0] // '');
}

is(sent_to($base, $html), "308 $base/", 'a page is sent to the slash');
is(sent_to("$base?a=%20b", $html), "308 $base/?a=%20b", 'its query is kept as it is');
is(sent_to("$base?", $html), "308 $base/?", 'also an empty one');
is(sent_to($base, 'Sec-Fetch-Mode: navigate', 'Accept: */*'), "308 $base/",
    'Sec-Fetch-Mode tells a navigation');
is(sent_to("/sb/$box?x", $html), "308 /sb/$box/?x", 'so in the short form');
is(sent_to("/other/SB/port/$box", $html), "308 /other/SB/port/$box/",
    'and under another prefix, the id as it was spelled');
my $a = request($port, 'HEAD', $base, undef, $html);
is("$a->{status} $a->{headers}{location}[0]", "308 $base/", 'HEAD is the same');
is($a->{headers}{'cache-control'}[0], 'no-store', 'nobody keeps it');

is(sent_to("$base/", $html), '200 ', 'with the slash, nobody is sent');
is(sent_to("$base/x?y", $html), '200 ', 'nor with a path');
is(sent_to($base), '200 ', 'nor a client that takes anything');
is(sent_to($base, 'Accept: application/json'), '200 ', 'or JSON');
is(sent_to($base, $html, 'Sec-Fetch-Mode: cors'), '200 ', 'nor what a page fetches');
is(request($port, 'POST', $base, 'x', $html)->{status}, 200, 'nor a POST');
is(sent_to('/', $html, "OpenSandbox-Ingress-To: sb-$box"), '400 ',
    'a location without the header mode takes no header');
is(sent_to('/other/', $html, "OpenSandbox-Ingress-To: sb-$box"), '200 ',
    'a routing header has no prefix to end');
is(sent_to("/sandboxes/none/port/$box", $html), '404 ', 'a sandbox that is not there is said');
is(sent_to("/sandboxes/safe/port/$box", $html), '401 ', 'and one that does not admit');
is(sent_to("/sandboxes/off/port/$box", $html), '503 ', 'and one that is not ready');

# A signed link
my $later = time + 1000;
for my $signature (qw(short long)) {
	my $link = json(get($port, "/v1/sandboxes/safe/endpoints/$box?expires=$later"
	    . "&signature=$signature"))->{endpoint} =~ s/^localhost//r;
	$a = get($port, $link, $html);
	is("$a->{status} $a->{headers}{location}[0]", "308 $link/",
	    "$signature: the signature stays in the address");
	like($a->{headers}{'set-cookie'}[0],
	    qr{^opensandbox-access=\S+; Path=/sandboxes/safe/port/$box;},
	    'the cookie comes with it');
	is($a->{headers}{'referrer-policy'}[0], 'no-referrer', 'the link is not told');
	is(sent_to("$link/", $html), '200 ', 'which opens');
	is(sent_to($link), '200 ', 'a client that is no browser gets the root');
}
