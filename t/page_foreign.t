#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A browser reaches the management API for whatever page it shows. A page of
# another origin, and one whose own name has been made to lead here (DNS
# rebinding), get nothing from an API without a token, and change nothing there;
# programs, and the API's own pages, are served as ever.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress;
use Browser;

my %api = (server => 'server_name ops.test *.lab.test; location / { opensandbox_api; }');
my $g = gateway(%api);
my $port = $g->{port};
my $own = "Host: 127.0.0.1:$port";
Ingress::api($g, 'PUT', '/sb-1', { endpoint => '10.88.0.5', accessToken => 's3cret' });

sub answer
{
	my ($method, @headers) = @_;
	my $a = request($port, $method, $method eq 'POST' ? '/v1/events'
	    : '/v1/sandboxes/sb-1', $method eq 'GET' ? undef
	    : $method eq 'POST' ? '{"hostname":"a.test"}' : '{"endpoint":"10.88.0.6"}',
	    @headers);
	return $a->{status} == 403 ? '403 ' . json($a)->{code} : $a->{status};
}

# Headers as browsers send them; what the page wants.
my $language = 'Accept-Language: en-US';
for my $case (
	['no browser, any host', 1, 'Host: gateway.example.com'],
	['no browser, no host of ours', 1, 'Host: x'],
	['a page of the API, by address', 1, $own, $language, "Origin: http://127.0.0.1:$port"],
	['by localhost', 1, "Host: localhost:$port", $language,
		"Origin: http://localhost:$port", 'Sec-Fetch-Site: same-origin'],
	['by a name below it', 1, "Host: a.localhost:$port", $language],
	['by an IPv6 address', 1, "Host: [::1]:$port", $language, "Origin: http://[::1]:$port"],
	['by a container\'s name', 1, 'Host: gateway', $language, 'Origin: http://gateway'],
	['by the server\'s name', 1, "Host: OPS.test:$port", $language,
		"Origin: http://ops.test:$port"],
	['by one of many', 1, 'Host: a.b.lab.test', $language, 'Origin: http://a.b.lab.test'],
	['over TLS, by a proxy', 1, $own, $language, 'Origin: https://ops.example.com',
		'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors'],
	['typed into the browser', 1, $own, $language, 'Sec-Fetch-Site: none'],
	['Node', 1, $own, 'Accept-Language: *', 'Sec-Fetch-Mode: cors'],
	['Node, any host', 1, 'Host: gateway.example.com', 'Accept-Language: *',
		'Sec-Fetch-Mode: cors'],
	['another site', 0, $own, $language, 'Origin: http://evil.example',
		'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors'],
	['a sandbox below a name of ours', 0, "Host: ops.test:$port", $language,
		'Origin: http://sb-80.ops.test', 'Sec-Fetch-Site: same-site'],
	['another site, over plain HTTP', 0, $own, $language, 'Origin: http://evil.example'],
	['another port', 0, $own, $language, 'Origin: http://127.0.0.1:1'],
	['a frame without an origin', 0, $own, $language, 'Origin: null'],
	['a rebound name', 0, "Host: evil.example:$port", $language,
		"Origin: http://evil.example:$port"],
	['a rebound name that hides its origin', 0, 'Host: evil.example', 'Accept-Language: *'],
	['one with a dot at its end', 0, 'Host: localhost.evil.example.', $language],
	['one like an address', 0, 'Host: 127.0.0.1.evil.example', $language],
	['one that ends as ours does', 0, 'Host: notops.test', $language],
) {
	my ($name, $served, @headers) = @$case;
	for my $method (qw(GET PUT POST PATCH)) {
		my $expected = !$served ? '403 foreign_page'
		    : { GET => 200, PUT => 200, POST => 202, PATCH => 200 }->{$method};
		is(answer($method, @headers), $expected, "$name: $method");
	}
}
is(answer('GET', $own, $language, 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate',
    'Accept: text/html'), 200, 'a link from elsewhere is but opened');
is(answer('GET', 'Host: evil.example', $language, 'Accept: text/html'), '403 foreign_page',
    'not under a rebound name, whose frame may be read');

my $headers = get($port, '/v1/sandboxes/sb-1')->{headers};
is("$headers->{'cache-control'}[0] $headers->{'x-content-type-options'}[0]", 'no-store nosniff',
    'answers are kept nowhere, and are what they say');
$headers = get($port, '/v1/sandboxes?limit=x')->{headers};
is("$headers->{'cache-control'}[0] $headers->{'x-content-type-options'}[0]", 'no-store nosniff',
    'so are errors');

# Real pages, in a real browser, to which every name is this host's.
SKIP: {
	skip 'chromium-driver is not installed', 11 if !Browser::available();
	my $b = Browser->new;
	my $elsewhere = backend(sub {
		my ($s) = @_;
		Ingress::read_head($s) or return;
		print $s "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n"
		    . "Connection: close\r\n\r\n<title></title>";
	});
	Ingress::api($g, 'PUT', '/sb-1', { endpoint => '10.88.0.5', accessToken => 's3cret' });
	my $before = get($port, '/v1/sandboxes/sb-1?secrets=show')->{body};
	my $events = get($port, '/v1/events')->{body};

	# What fetch() gives a page: its answer, or "refused" where nothing is shown.
	my $fetch = 'try { const a = await fetch(args[0], args[1]); const t = await a.text();'
	    . 'return a.type === "opaque" ? "hidden" : `${a.status} ${t}`; }'
	    . 'catch (e) { return "refused"; }';
	my $put = { method => 'PUT', body => '{"endpoint":"10.88.0.9"}' };
	my $simple = { method => 'POST', mode => 'no-cors',
	    body => '[{"id":"sb-2","endpoint":"10.88.0.9"}]' };
	my $note = { %$simple, body => '{"hostname":"evil.test"}' };

	$b->open_page("http://evil.test:$elsewhere/");
	$b->script($fetch, "http://127.0.0.1:$port/v1/$_->[0]", $_->[1])
	    for ['sandboxes/sb-1', $put], ['sandboxes', $simple], ['events', $note];
	$b->script('const f = document.createElement("form"); f.method = "post";'
	    . 'f.action = args[0]; f.enctype = "text/plain"; const i = document.createElement("input");'
	    . 'i.name = \'[{"id":"sb-2","endpoint":"10.88.0.9","hostHeader":"\'; i.value = \'"}]\';'
	    . 'f.append(i); document.body.append(f); setTimeout(() => f.submit());',
	    "http://127.0.0.1:$port/v1/sandboxes");
	ok(wait_for(sub { $b->address =~ m{/v1/sandboxes$} }, 20), 'a page of another origin asks');
	is(get($port, '/v1/sandboxes/sb-1?secrets=show')->{body}, $before, 'the record is as it was');
	is(get($port, '/v1/sandboxes/sb-2')->{status}, 404, '  no other has come, by a form neither');
	is(get($port, '/v1/events')->{body}, $events, '  no event');

	$b->open_page("http://evil.test:$port/?file=icon.svg");
	like($b->script($fetch, $_, {}), qr/^403 .*foreign_page/, "a rebound page reads no $_")
	    for '/v1/sandboxes?secrets=show', '/v1/sandboxes/sb-1/endpoints/80', '/v1/status';
	like($b->script($fetch, '/v1/sandboxes/sb-1', $put), qr/^403 .*foreign_page/,
	    '  nor changes anything');
	is(get($port, '/v1/sandboxes/sb-1?secrets=show')->{body}, $before, 'the record is as it was');

	$b->open_page("http://evil.test:$port/");
	ok(wait_for(sub { ($b->text('#problem') // '') =~ /server_name/ }, 20),
	    'the operator\'s page under that name says what is to be set');
	$b->open_page("http://ops.test:$port/");
	ok(wait_for(sub { ($b->text('#rows') // '') =~ /sb-1/ }, 20), 'under its own it shows');
	$b->quit;
}

# With a token it is the token that counts.
reload($g, %api, http => 'opensandbox_api_token t0ken;');
is(answer('PUT', 'Host: evil.example', $language, 'Origin: http://evil.example'), 401,
    'with a token: 401 without it');
is(answer('PUT', 'Host: evil.example', $language, 'Origin: http://evil.example',
    'Authorization: Bearer t0ken'), 200, '  whoever knows it is served');

done_testing();
