#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# In uri mode, what a sandbox says of its own paths comes back under the
# prefix; what it says of others, and in other modes, stays as it is.

use strict;
use warnings;
use Test::More tests => 39;
use Harness;
use Ingress;

# Answers with the headers that the query asks for, one a "|".
my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($query) = $head =~ /^GET \S*\?(\S*)/;
		$query =~ s/%(..)/chr hex $1/ge;
		print $s "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
		    . join('', map { "$_\r\n" } split /\|/, $query) . "\r\n";
	}
});
my $g = gateway(http =>
    'opensandbox_sandbox sb { endpoint 127.0.0.1; }');
my $base = "/sandboxes/sb/port/$box";
my $here = "localhost:$g->{port}";

sub comes_back
{
	my ($header, $sent, $expected) = @_;
	my $query = "$header: $sent";
	$query =~ s/([^\w])/sprintf '%%%02x', ord $1/ge;
	my $a = get($g->{port}, "$base/app/page?$query", "Host: $here");
	is($a->{headers}{ lc $header }[0], $expected, "$header \"$sent\"");
}

comes_back('Location', '/login?x=1', "$base/login?x=1");
comes_back('Location', '/', "$base/");
comes_back('Location', 'login', 'login');
comes_back('Location', '?x', '?x');
comes_back('Location', "$base/login", "$base/login");
comes_back('Location', "http://$here/login", "http://$here$base/login");
comes_back('Location', "https://127.0.0.1:$box/login", "http://$here$base/login");
comes_back('Location', "//$here/login", "//$here$base/login");
comes_back('Location', 'https://example.com/login', 'https://example.com/login');
comes_back('Location', '//example.com/login', '//example.com/login');
comes_back('Location', "http://localhost:80/login", 'http://localhost:80/login');
comes_back('Content-Location', '/doc.html', "$base/doc.html");
comes_back('Refresh', '5; url=/next', "5; url=$base/next");
comes_back('Refresh', '5', '5');
comes_back('Refresh', '0;/next', "0;$base/next");
comes_back('Refresh', '0.5 , URL = "/next"', qq(0.5 , URL = "$base/next"));
comes_back('Refresh', '0; url=next?url=/there', '0; url=next?url=/there');
comes_back('Set-Cookie', 'a=b; Path=/; HttpOnly', "a=b; Path=$base/; HttpOnly");
comes_back('Set-Cookie', 'a=b;path=/app', "a=b;path=$base/app");
comes_back('Set-Cookie', 'a=b', 'a=b');
comes_back('Set-Cookie', "a=b; PATH =\t/app ; Secure", "a=b; PATH =\t$base/app ; Secure");
comes_back('Set-Cookie', 'a="b; Path=/c"; Path=/',
    qq(a="b; Path=$base/c"; Path=$base/));
comes_back('Set-Cookie', 'a=b; Pathology=/; Path; Path=', 'a=b; Pathology=/; Path; Path=');
comes_back('Set-Cookie', 'a=b; Path=/sandboxes/other/port/80',
    "a=b; Path=$base/sandboxes/other/port/80");
comes_back('Service-Worker-Allowed', '/', "$base/");
comes_back('X-Location', '/login', '/login');

my $a = get($g->{port}, '/?Location%3a%20%2flogin',
    "OpenSandbox-Ingress-To: sb-$box");
is($a->{headers}{location}[0], '/login', 'a routing header has no prefix');

# The port that a scheme has anyway
$a = get($g->{port}, "$base/?Location%3a%20https://box.test:443/login", 'Host: box.test');
is($a->{headers}{location}[0], "http://box.test$base/login", 'the usual port is no other host');

$a = exchange($g->{port}, "GET $base/?Location%3a%20http://127.0.0.1:$box/login HTTP/1.0\r\n\r\n");
is($a->{headers}{location}[0], "http://127.0.0.1:$g->{port}$base/login",
    'a client that has named no host gets the address that it has asked');

# Orders for the whole origin, which sandboxes share below their prefixes
for (['Clear-Site-Data', '"cookies"'], ['NEL', '{"report_to":"x","max_age":99}'],
    ['report-to', '{"group":"x"}'], ['Strict-Transport-Security', 'max-age=99'],
    ['Alt-Svc', 'h3=":443"']) {
	my ($name, $value) = @$_;
	comes_back($name, $value, undef);
	$a = get($g->{port}, "/?$name%3a%20x", "OpenSandbox-Ingress-To: sb-$box");
	is($a->{headers}{ lc $name }[0], 'x', 'an origin of its own is its own matter');
}
