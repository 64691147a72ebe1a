#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A 401 says what was missing: it speaks of links to whoever had one, names the
# directive where a frame of another site gets no cookie, and asks whoever came
# directly for the token.

use strict;
use warnings;
use Test::More tests => 26;
use Harness;
use Ingress;

my $box = echo('box');
my $location = 'include %CONF%/opensandbox-proxy.conf; }';
my $g = gateway(http => <<"EOT", server => <<"EOT");
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox sb { endpoint 127.0.0.1; access_token tok; }
EOT
location / { opensandbox any domain=box.test; $location
location /none/ { opensandbox uri prefix=/none; opensandbox_access_cookie none; $location
location /off/ { opensandbox uri prefix=/off; opensandbox_access_cookie off; $location
location /v1/ { opensandbox_api; opensandbox_public uri localhost/sandboxes; }
EOT
my $port = $g->{port};
my $route = "sb/port/$box";
my $link = json(get($port, "/v1/sandboxes/sb/endpoints/$box?link=browser&expires="
	. (time + 1000)))->{endpoint} =~ s{.*(?=/sandboxes)}{}r;
my @frame = ('Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate',
    'Sec-Fetch-Dest: iframe');
my @host = ("Host: sb-$box.box.test");
my @part = ('Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: script');

# What the page and the JSON say to a request, whatever it is.
sub told
{
	my ($target, @headers) = @_;
	my $page = get($port, $target, @headers, 'Accept: text/html');
	my $json = get($port, $target, @headers);
	is("$page->{status} $json->{status}", '401 401', "$target is refused");
	return ($page->{body} =~ s/<[^>]*>//gr, json($json)->{message});
}

my ($page, $message) = told("/sandboxes/$route/");
like($message, qr/needs an access token: no credential$/, 'a direct one asks for the token');
unlike($page . $message, qr/link/, 'and does not speak of links');
like($page, qr/OpenSandbox-Secure-Access/, 'but of the header');
($page, $message) = told('/', "OpenSandbox-Ingress-To: sb-$box", @frame);
unlike($page . $message, qr/link|cookie/, 'a header is no link');

($page, $message) = told($link =~ s{(.)k/$}{($1 eq "a" ? "b" : "a") . "k/"}er);
like($page, qr/wrong signature.*link for a new one/s, 'a link that is none asks for another');
($page, $message) = told("/sandboxes/$route/", 'Cookie: opensandbox-access=x-y');
like($page, qr/no cookie is valid here.*link for a new one/s, 'so does its cookie');

($page, $message) = told('/', @host, @frame);
like($message, qr/frame of another site.*"opensandbox_access_cookie none"/,
    'a frame of another site is told the directive');
like($page, qr/Open the link in a window of its own/, 'and a person a way');
($page, $message) = told('/', @host, @frame[0, 1], 'Sec-Fetch-Dest: document');
unlike($page . $message, qr/frame/, 'a window is none');
($page, $message) = told("/sandboxes/$route/x.js", @part, 'Sec-Fetch-Storage-Access: none');
like($message, qr/opensandbox_access_cookie none/, 'parts of a page there too');
($page, $message) = told("/sandboxes/$route/x.js", @part, "Referer: http://localhost$link");
like($message, qr/signed link, but its cookie did not come.*opensandbox_access_cookie none/,
    'where the browser does not say so, the address of the page does');
($page, $message) = told("/sandboxes/$route/x.js", @part,
    "Referer: http://localhost/sandboxes/$route/");
unlike($page . $message, qr/link|frame/, 'that of another page does not');
($page, $message) = told("/none/$route/x.js", @frame);
unlike($message, qr/opensandbox_access_cookie/, 'where it is so, it is not advised');
like($message, qr/the browser keeps none there/, 'the browser it is');
($page, $message) = told("/off/$route/x.js", @part,
    "Referer: http://localhost/off/" . ($link =~ s{^/sandboxes/}{}r));
like($message, qr/off here \(opensandbox_access_cookie\)/, 'where there are none, that is said');
