#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Behind a proxy that ends TLS: the scheme and host of the client are those
# that a trusted proxy forwards, to the sandbox and in what it answers. Nobody
# else's word counts.

use strict;
use warnings;
use Test::More tests => 30;
use Harness;
use Ingress;

# What it is asked with, as JSON would say it, and links to itself.
my $app = backend(sub {
	my ($socket) = @_;
	my $head = '';
	while (defined(my $line = <$socket>)) {
		$head .= $line;
		last if $line eq "\r\n";
	}
	my ($host) = $head =~ /^Host: (\S+)/mi;
	my ($to) = $head =~ m{^GET \S*?/to=(\S*) };
	$to = defined $to ? $to =~ s/HOST/$host/r : "http://$host/login";
	print $socket "HTTP/1.1 200 OK\r\nContent-Length: " . length($head)
	    . "\r\nLocation: $to\r\nConnection: close\r\n\r\n$head";
});
my @http = (http => <<"EOT");
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token tok; }
EOT

sub server
{
	my ($trust, $more) = @_;
	my $location = '{ opensandbox %s; include %%CONF%%/opensandbox-proxy.conf; %s }';
	return (server => join "\n", "opensandbox_trust_forwarded $trust;",
	    $more // '',
	    sprintf("location /sandboxes/ $location", 'uri', ''),
	    sprintf("location / $location", 'host', ''),
	    'location /v1/ { opensandbox_api; }');
}

my $g = gateway(@http, server('127.0.0.0/8 2001:db8::/32'));
my @front = ('Host: inner.test', 'X-Forwarded-Proto: https',
    'X-Forwarded-Host: gw.test');
my $base = "/sandboxes/sb/port/$app";

sub seen
{
	my ($answer, $name) = @_;
	return join '|', $answer->{body} =~ /^\Q$name\E: (.*)\r$/mgi;
}

sub location { return $_[0]->{headers}{location}[0] }

my $a = get($g->{port}, "$base/", @front);
is(seen($a, 'X-Forwarded-Proto'), 'https', "the sandbox sees the client's scheme");
is(seen($a, 'X-Forwarded-Host'), 'gw.test', 'its host');
is(seen($a, 'X-Forwarded-Port'), '443', 'and its port');
is(seen($a, 'Host'), 'gw.test', 'Host is the same');
is(location($a), "https://gw.test$base/login", 'Location is written with both');
$a = get($g->{port}, "$base/to=https://HOST$base/x", @front);
is(location($a), "https://gw.test$base/x", 'also where it has the prefix');
$a = get($g->{port}, "$base/to=http://127.0.0.1:$app$base/x", @front);
is(location($a), "https://gw.test$base/x", "and the sandbox's own address");
$a = get($g->{port}, "$base/to=http://other.test/x", @front);
is(location($a), 'http://other.test/x', "another host's stays");

$a = get($g->{port}, '/', 'Host: sb-' . $app . '.box.test', 'X-Forwarded-Proto: https');
is(location($a), "https://sb-$app.box.test/login", 'by host, too');
is(get($g->{port}, '/', 'Host: inner.test', "X-Forwarded-Host: sb-$app.box.test")->{status},
    400, 'a forwarded host is no route');

$a = get($g->{port}, "$base/", @front, 'X-Forwarded-Port: 8443');
is(location($a), "https://gw.test:8443$base/login", 'a port counts');
is(seen($a, 'X-Forwarded-Port'), '8443', 'and is seen');
$a = get($g->{port}, "$base/", 'Host: gw.test:81', @front[1, 2], 'X-Forwarded-Port: 443');
is(location($a), "https://gw.test$base/login", 'the standard one is not written');
$a = get($g->{port}, "$base/", 'Host: gw.test:444', $front[1], 'X-Forwarded-Port: 8443');
is(location($a), "https://gw.test:444$base/login", 'one in the host is');
$a = get($g->{port}, "$base/", 'Host: a.test', 'X-Forwarded-Proto: HTTPS , http',
    'X-Forwarded-Host: gw.test, inner.test');
is(location($a), "https://gw.test$base/login", 'of several values the first counts');
$a = get($g->{port}, "$base/", 'Host: a.test', 'X-Forwarded-Proto: ftp',
    'X-Forwarded-Host: a"b/c', 'X-Forwarded-Port: x');
is(location($a), "http://a.test$base/login", 'what is none does not count');

my $link = json(get($g->{port}, "/v1/sandboxes/safe/endpoints/$app?expires="
	. (time + 1000)));
my ($path) = $link->{endpoint} =~ m{(/.*)};
my $cookie = get($g->{port}, "$path/", @front)->{headers}{'set-cookie'}[0];
like($cookie, qr/; Secure/, 'the cookie of a link is Secure');
unlike(get($g->{port}, "$path/")->{headers}{'set-cookie'}[0], qr/; Secure/,
    'not without TLS');
my ($pair) = $cookie =~ /^([^;]+)/;
my @fetch = ("Cookie: $pair", 'Accept: */*');
is(get($g->{port}, "/sandboxes/safe/port/$app/", @front, @fetch,
    'Origin: https://gw.test')->{status}, 200, "a page's Origin is of that host");
is(get($g->{port}, "/sandboxes/safe/port/$app/", @front, @fetch,
    'Origin: http://inner.test')->{status}, 401, 'not of the other');
is(json(get($g->{port}, '/v1/sandboxes/sb/endpoints/80', @front))->{endpoint},
    'gw.test/sandboxes/sb/port/80', 'endpoints are written with it');

# Where the peer is not trusted
for my $trust ('off', '192.0.2.0/24') {
	reload($g, @http, server($trust));
	$a = get($g->{port}, "$base/", @front, 'X-Forwarded-Port: 8443');
	is(seen($a, 'X-Forwarded-Proto') . ' ' . seen($a, 'X-Forwarded-Host') . ' '
	    . seen($a, 'X-Forwarded-Port'), 'http inner.test 80',
	    "$trust: nobody's word counts");
	is(location($a), "http://inner.test$base/login", 'nor in Location');
}

# Another address in the place of the peer's changes nothing
my $real = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;";
reload($g, @http, server('127.0.0.1', $real));
$a = get($g->{port}, "$base/", @front, 'X-Real-IP: 192.0.2.1');
is(seen($a, 'X-Real-IP') . seen($a, 'X-Forwarded-Proto'), '192.0.2.1https',
    'the peer itself is trusted behind real_ip_header');
reload($g, @http, server('192.0.2.1', $real));
$a = get($g->{port}, "$base/", @front, 'X-Real-IP: 192.0.2.1');
is(seen($a, 'X-Forwarded-Proto'), 'http', 'whom it names is not');

# What was asked before the location was known
reload($g, @http, server => 'set $early $opensandbox_client_scheme; location / { '
    . 'opensandbox_trust_forwarded 127.0.0.1; opensandbox any; include %CONF%/opensandbox-proxy.conf; }');
is(seen(get($g->{port}, "$base/", @front), 'X-Forwarded-Proto'), 'https',
    'a location trusts for itself, whatever was asked before it was chosen');

like(config_error(@http, server('10.0.0.0/33')),
    qr{invalid peer "10.0.0.0/33".*nginx.conf:\d+}, 'a range that is none is named');
like(config_error(@http, server('10.0.0.0/8 off')), qr/invalid peer "off"/,
    'off stands alone');
