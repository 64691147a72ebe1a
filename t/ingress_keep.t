#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A program with a base path of its own gets the path with its prefix, byte for
# byte; what it answers stays under it, also through signed links and cookies.

use strict;
use warnings;
use Test::More tests => 57;
use Harness;
use Ingress;

# Answers with its request, and with the headers that the query asks for.
my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($query) = $head =~ /^\S+ \S*\?head=(\S*)/;
		$query =~ s/%(..)/chr hex $1/ge if defined $query;
		print $s "HTTP/1.1 200 OK\r\nContent-Length: " . length($head) . "\r\n"
		    . join('', map { "$_\r\n" } split /\|/, $query // '') . "\r\n$head";
	}
});
my $proxy = 'include %CONF%/opensandbox-proxy.conf;';
my %config = (http => <<"EOT", server => <<"EOT");
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox cut { endpoint 127.0.0.1; keep_prefix off; }
opensandbox_sandbox own { endpoint 127.0.0.1; keep_prefix on; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token tok; }
EOT
location /sandboxes/ { opensandbox uri; opensandbox_keep_prefix on; $proxy }
location / { opensandbox any prefix=/; opensandbox_keep_prefix on; $proxy }
location /cut/ { opensandbox uri prefix=/cut; $proxy }
location /strict/ { opensandbox uri prefix=/strict; opensandbox_keep_prefix on;
    opensandbox_access_cookie strict; $proxy }
location /v1/ { opensandbox_api; opensandbox_public uri localhost/sandboxes; }
EOT
my $g = gateway(%config);
my $port = $g->{port};
my $here = "localhost:$port";
my $base = "/sandboxes/sb/port/$box";
my $html = 'Accept: text/html';

sub seen { return (get($port, @_)->{body} =~ /^\S+ (\S+) /)[0] // '' }

# Requests
is(seen($_), $_, "$_ arrives as it is") for "$base/", "$base/a%2Fb//c?x=%20", $base,
    "$base?q", "/sb/$box/lab", "$base/..%2fx";
is(seen("/sandboxes/cut/port/$box/x"), '/x', "a record's own word counts");
is(seen("/cut/sb/port/$box/x"), '/x', "so does the location's");
is(seen("/cut/own/port/$box/x"), "/cut/own/port/$box/x", 'against which the record has it');
is(seen('/x', "OpenSandbox-Ingress-To: sb-$box"), '/x', 'a header has no prefix');
unlike(get($port, "$base/")->{body}, qr/X-Forwarded-Prefix/i,
    'X-Forwarded-Prefix would be added to it');
my $a = get($port, $base, $html);
is($a->{status}, 200, 'the slash is the program\'s own matter');

# Answers
sub comes_back
{
	my ($header, $sent, $expected, $at, @headers) = @_;
	my $query = "$header: $sent" =~ s/([^\w])/sprintf '%%%02x', ord $1/ger;
	$a = get($port, ($at // $base) . "/page?head=$query", "Host: $here", @headers);
	is($a->{headers}{ lc $header }[0], $expected, "$header \"$sent\"");
}

comes_back('Location', "$base/login?x", "$base/login?x");
comes_back('Location', $base, $base);
comes_back('Location', '/login', "$base/login");
comes_back('Location', 'login', 'login');
comes_back('Location', "http://127.0.0.1:$box$base/x", "http://$here$base/x");
comes_back('Location', "https://$here$base/x", "http://$here$base/x");
comes_back('Location', "//127.0.0.1:$box$base/x", "//$here$base/x");
comes_back('Location', "https://example.com$base/x", "https://example.com$base/x");
comes_back('Refresh', "1; url=$base/x", "1; url=$base/x");
comes_back('Set-Cookie', "a=b; Path=$base/", "a=b; Path=$base/");
comes_back('Set-Cookie', "a=b; Path=$base", "a=b; Path=$base");
comes_back('Set-Cookie', 'a=b; Path=/; HttpOnly', "a=b; Path=$base/; HttpOnly");
comes_back('Service-Worker-Allowed', "$base/", "$base/");
comes_back('Service-Worker-Allowed', '/', "$base/");

# Signed links: the program does not know of signatures
my $safe = "/sandboxes/safe/port/$box";
my $later = time + 1000;
for my $kind ('', '&signature=long') {
	my $link = json(get($port, "/v1/sandboxes/safe/endpoints/$box?expires=$later$kind"))
	    ->{endpoint} =~ s/^localhost//r;
	is(seen("$link/lab?x=%20"), "$safe/lab?x=%20", 'the signature is cut');
	is(seen("$link?x"), "$safe?x", 'no slash is added');
	is(seen("$link/", 'OpenSandbox-Secure-Access: tok'), "$safe/",
	    'the token admits to the same path');
	comes_back('Location', "$safe/login", "$link/login", $link);
	comes_back('Location', "http://127.0.0.1:$box$safe/x", "http://$here$link/x", $link);
	comes_back('Location', '/login', "$link/login", $link);
	comes_back('Location', "$link/login", "$link/login", $link);
	comes_back('Set-Cookie', "a=b; Path=$safe/", "a=b; Path=$safe/", $link);
	comes_back('Set-Cookie', 'a=b; Path=/', "a=b; Path=$safe/", $link);
	comes_back('Service-Worker-Allowed', "$safe/", "$safe/", $link);

	# a browser goes on to where the program's own paths are
	$a = get($port, "$link/lab?x", $html);
	is("$a->{status} $a->{headers}{location}[0]", "303 $safe/lab?x",
	    'a browser is sent to the path without it');
	my ($cookie) = $a->{headers}{'set-cookie'}[0] =~ /^([^;]+); Path=\Q$safe\E;/;
	is(seen("$safe/lab?x", $html, "Cookie: $cookie"), "$safe/lab?x",
	    'where its cookie admits');
	$a = get($port, $link, $html, "Cookie: $cookie");
	is("$a->{status} $a->{headers}{location}[0]", "303 $safe",
	    'also where it has the cookie');
}
my ($signed) = json(get($port, "/v1/sandboxes/safe/endpoints/$box?expires=$later"))
    ->{endpoint} =~ m{(/[^/]+/[^/]+)$};
$a = get($port, "/strict/safe/port/$box$signed/x", $html);
is("$a->{status} $a->{headers}{refresh}[0]", "200 0; url=/strict/safe/port/$box/x",
    'a strict cookie wants a page that goes on');

# Records
api($g, 'PUT', '/put', { endpoint => '127.0.0.1', keepPrefix => JSON::PP::true });
is(json(api($g, 'GET', '/put'))->{keepPrefix}, JSON::PP::true, 'a record shows it');
is(seen("/cut/put/port/$box/x"), "/cut/put/port/$box/x", 'and has it');
api($g, 'PATCH', '/put', { keepPrefix => undef });
is(seen("/cut/put/port/$box/x"), '/x', 'until it is taken away');
is(json(api($g, 'PATCH', '/put', { keepPrefix => 'on' }))->{field}, 'keepPrefix',
    'it is true or false');
