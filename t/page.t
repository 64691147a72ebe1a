#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The operator's page in a real browser: a hundred thousand records, a search,
# what is open and what fails, a wrong token; and a name that a real sandbox is
# denied, allowed with a click. Skipped without Debian's chromium-driver.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress;
use Browser;
use World;

plan skip_all => 'chromium-driver is not installed' if !Browser::available();

my $w = world();
world_dns($w, '--address=/good.test/' . GOOD, '--address=/evil.test/' . EVIL);
world_web($w, 'internet', $_, 80, $_ eq GOOD ? 'good' : 'evil') for GOOD, EVIL;
join_netns($w->{host});

my $socket = tunnel();
my $g = gateway(
	zone => 'opensandbox_zone sandboxes:64m;',
	http => 'opensandbox_api_token s3cret;',
	server => <<'EOT');
client_max_body_size 64m;
location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
location /v1/ { opensandbox_api; }
location = /status { opensandbox_status; }
EOT
my $gate = "http://127.0.0.1:$g->{port}";
my @auth = 'Authorization: Bearer s3cret';
my $b = Browser->new;
my $pictures = build_dir() . '/page';
mkdir $pictures;

# A server that takes every connection for a WebSocket and keeps it.
sub tunnel
{
	return backend(sub {
		my ($s) = @_;
		my $head = Ingress::read_head($s) or return;
		return websocket($s, $head) if $head =~ /^Sec-WebSocket-Key:/mi;
		print $s "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		    . "Connection: close\r\n\r\nok";
	});
}

sub text
{
	my ($selector) = @_;
	return $b->script('const e = document.querySelector(args[0]);'
	    . 'return e && e.checkVisibility() ? e.innerText : null;', $selector);
}

sub shows
{
	my ($selector, $pattern, $name) = @_;
	my $last;
	ok(wait_for(sub { ($last = text($selector) // '') =~ $pattern }, 20), $name)
	    or diag("$selector: $last");
}

sub rows
{
	return @{ $b->script('return [...document.querySelectorAll("#rows tr")]'
	    . '.map((r) => r.innerText.replace(/\s+/g, " ").trim());') };
}

sub row
{
	my ($id) = @_;
	return (grep { /^\Q$id\E / } rows())[0] // '';
}

sub click
{
	$b->script('const e = document.querySelector(args[0]); e.focus();'
	    . 'e.click();', @_);
}

sub fill
{
	my ($selector, $value) = @_;
	$b->script('const e = document.querySelector(args[0]); e.value = args[1];'
	    . 'e.dispatchEvent(new Event("input", { bubbles: true }));', $selector,
	    $value);
}

sub looks
{
	my ($name) = @_;
	for my $scheme (qw(light dark)) {
		for my $width (1200, 360) {
			$b->window($width, $width == 360 ? 760 : 860, $scheme);
			is_deeply([$b->pale], [], "$name: contrast, $scheme, $width pixels");
			is($b->script('const e = document.documentElement;'
			    . 'return e.scrollWidth - e.clientWidth'),
			    0, '  nothing beyond the window');
			$b->picture("$pictures/$name-$scheme-$width.png");
		}
	}
	$b->window(1200, 860, 'light');
}

# Who is no browser is told what he was told before.

is(get($g->{port}, '/status')->{headers}{'content-type'}[0], 'application/json',
    'a program gets JSON');
like(get($g->{port}, '/status', 'Accept: text/plain')->{body}, qr/^# HELP/,
    'and Prometheus its text');
my $page = get($g->{port}, '/status', 'Accept: text/html,*/*;q=0.8');
like($page->{headers}{'content-type'}[0], qr{^text/html}, 'a browser gets the page');
like($page->{headers}{'content-security-policy'}[0], qr/default-src 'self'/,
    '  which loads nothing from elsewhere');
unlike($page->{body}, qr{(?:src|href)="(?:https?:)?//|<style|style=|onclick}i,
    '  and has nothing of script or style inline');
is(get($g->{port}, '/status?file=../nginx.conf')->{headers}{'content-type'}[0],
    'application/json', 'no other file is served');

# A hundred thousand records, and some that stand out.

my @records = map { { id => sprintf('box-%06d', $_), endpoint => '10.88.0.5' } }
    1 .. 100_000;
is(request($g->{port}, 'POST', '/v1/sandboxes', encode_json(\@records),
    @auth)->{status}, 200, 'a hundred thousand records');
for (['app', { endpoint => '127.0.0.1', expose => [$socket, '9000-9010'] }],
    ['sb-1', { endpoint => '10.88.0.5', policy => { egress => [
	{ action => 'deny', target => 'evil.test' },
	{ action => 'allow', target => 'good.test' }] } }],
    ['sleeping', { endpoint => '10.88.0.5', ready => JSON::PP::false }],
    ['away', { endpoint => '127.0.0.1' }]) {
	my ($id, $record) = @$_;
	Ingress::api($g, 'PUT', "/$id", $record, @auth);
}
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
	OPENSANDBOX_EGRESS_POLICY_URL => "$gate/v1/sandboxes/sb-1/policy",
	OPENSANDBOX_EGRESS_POLICY_TOKEN => 's3cret',
	OPENSANDBOX_EGRESS_DENY_WEBHOOK => "$gate/v1/events",
	OPENSANDBOX_EGRESS_DENY_WEBHOOK_TOKEN => 's3cret' });

# What curl in the sandbox makes of a name.
sub opens
{
	my ($name) = @_;
	return (sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null',
	    "http://$name/"))[0] == 0;
}

ok(wait_for(sub { opens('good.test') }, 20), 'the sandbox has the policy');
ok(!opens('evil.test'), '  which denies a name');

$b->open_page("$gate/status");
shows('#total', qr/^100,004$/, 'the count of sandboxes');
shows('#zone-text', qr/MB of 64\.0 MB/, 'what the zone has');
ok(!defined text('#main'), 'without a token no record is shown');
is($b->console, '', 'nothing in the console');
looks('token');

fill('#token', 'wrong');
click('#token-form button');
shows('#problem', qr/does not know this token/, 'a wrong token is said to be');
ok(!defined text('#main'), '  and shows nothing');
$b->console; # the browser tells of the 401

fill('#token', 's3cret');
click('#token-form button');
shows('#main', qr/box-000001/, 'the right one shows the first records');
is(scalar(rows()), 25, '  a page of them');
is($b->script('return Object.keys(localStorage).length + document.cookie.length'),
    0, '  and stays in the tab alone');
like(row('app'), qr/ready api 127\.0\.0\.1.*\Q$socket, 9000-9010\E/,
    'a record\'s state, source, endpoint and ports');

click('#more');
shows('#shown', qr/^26 to 50$/, 'the next page');
click('#back');
shows('#shown', qr/^1 to 25$/, '  and back');

fill('#q', '77777');
shows('#rows', qr/^box-077777\b/, 'a search finds one in a hundred thousand');
is(scalar(rows()), 1, '  and no other');
fill('#q', 'SLEEP');
shows('#rows', qr/^sleeping\s+not ready/, 'in any case, with its state');
fill('#q', '<img src=x>');
shows('#rows-none', qr/No id has "<img src=x>" in it/, 'what is searched for is text');
fill('#q', 'app');

my $ws = connect_to($g->{port});
print $ws "GET /sandboxes/app/port/$socket/ HTTP/1.1\r\nHost: x\r\n"
    . "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
Ingress::read_head($ws);
shows('#rows', qr/\b1\s+(?:0\.0|–)\s*$/, 'a tunnel is counted while it is open');
get($g->{port}, "/sandboxes/app/port/$socket/") for 1 .. 40;
shows('#rows', qr/\b1\s+(?:[1-9]\d*|\d\.\d*[1-9]\d*)\s*$/, 'and requests a second');
close $ws;
shows('#rows', qr/\b0\s+\S+\s*$/, 'and not when it is closed');
is(text('#tunnels'), 0, '  in the sum as well');
fill('#q', '');

get($g->{port}, '/sandboxes/nobody/port/80/');
get($g->{port}, '/sandboxes/away/port/' . free_port() . '/');
shows('#kinds', qr/not_found\s+1\s+1\s+No such sandbox/, 'errors by kind');
shows('#kinds', qr/refused\s+1\s+1\s+Nothing listens/, '  and what to do');

# Two more names, one of a sandbox that is not here.
request($g->{port}, 'POST', '/v1/events', encode_json([
    { hostname => 'api.tracker.example', sandboxId => 'gone' },
    { hostname => 'files.pythonhosted.org', sandboxId => 'box-000003' }]), @auth);
shows('#denied', qr/evil\.test\s+in sb-1/, 'what the sandbox was denied');
shows('#denied', qr/pythonhosted/, '  and others');
looks('sandboxes');
request($g->{port}, 'POST', '/v1/events', encode_json(
    { hostname => '<b>x</b>', sandboxId => 'box-000003' }), @auth);
shows('#denied', qr/<b>x<\/b>/, '  names are text');
sees($w, 'dig', '+tries=1', '*.test.');
request($g->{port}, 'POST', '/v1/events', encode_json([
    map { { hostname => $_, sandboxId => 'sb-1' } } '*.test', '*', '10.0.0.0/8']), @auth);
for my $name ('\\042.test', '*.test', '*', '10.0.0.0/8') {
	ok(wait_for(sub { $b->script('return [...document.querySelectorAll("#denied li")].some('
	    . '(e) => e.innerText.startsWith(args[0] + "\nin sb-1\n")'
	    . '&& e.innerText.endsWith("No name that can be allowed here."))', $name) }, 20),
	    "a sandbox that asks for $name is offered no rule of that meaning")
	    or diag(text('#denied'));
}
click('[data-key="gone api.tracker.example"] button');
shows('#said', qr/was not allowed: .*gone/, 'what cannot be allowed says why');
$b->console; # the browser tells of the 404
ok(!opens('evil.test'), 'the name is still denied');
click('[data-key="sb-1 evil.test"] button');
shows('#said', qr/evil\.test is allowed in sb-1/, 'a click allows it');
ok(wait_for(sub { opens('evil.test') }, 20), '  and the sandbox reaches it');
ok(opens('good.test'), '  and what it reached before');
my $record = json(Ingress::api($g, 'GET', '/sb-1', undef, @auth));
is_deeply($record->{policy}{egress}, [
	{ action => 'allow', target => 'evil.test' },
	{ action => 'allow', target => 'good.test' }], '  by a rule in front');

# Without a mouse, and once more.
is($b->script('document.querySelector("#q").focus();'
    . 'return document.activeElement.labels[0].innerText'), 'Search by id',
    'the search has a label');
is($b->script('return [...document.querySelectorAll("button, input, a, [tabindex]")]'
    . '.filter((e) => e.checkVisibility() && e.tabIndex < 0 && e.id !== "main").length'),
    0, 'all that acts is reached by keyboard');
is($b->script('return [...document.querySelectorAll("button, input, meter")]'
    . '.filter((e) => e.checkVisibility() && !e.innerText.trim() && !e.ariaLabel'
    . '&& !e.getAttribute("aria-labelledby") && !(e.labels && e.labels.length)).length'),
    0, 'and has a name');
$b->open_page("$gate/status");
shows('#main', qr/box-000001/, 'a reload keeps the token');
is($b->console, '', 'nothing in the console');
click('#forget');
ok(!defined text('#main'), 'until it is forgotten');
$b->open_page("$gate/status");
shows('#total', qr/100,004/, '  and then');
ok(!defined text('#main'), '  asked for again');

# Where the API is elsewhere.
shows('#shared', qr/server of its own/, 'pages of sandboxes are of the same origin: a warning');
reload($g, server => 'location = /status { opensandbox_status; }',
    zone => 'opensandbox_zone sandboxes:64m;');
$b->open_page("$gate/status");
shows('#elsewhere', qr/no management API/, 'without an API it says so');
ok(!defined text('#token-form'), '  and asks for no token');
is($b->console, '', '  nor for what is not there');

# At the root of the API's own server, which has no token.
reload($g, server => 'location / { opensandbox_api; }',
    zone => 'opensandbox_zone sandboxes:64m;');
$b->open_page("$gate/");
shows('#main', qr/box-000001/, 'where the API has no token none is asked for');
shows('#total', qr/^100,004$/, '  and the numbers are there');
is($b->console, '', '  with nothing in the console');
ok(!defined text('#shared'), '  nor a warning, where no sandbox has a page');

$b->quit;
stop($pid);
done_testing();
