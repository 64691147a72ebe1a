#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An array of many records is taken while the worker serves others, all or none,
# and judged as each record is.

use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Harness;
use Ingress;

my $slow = free_port();
my $g = gateway(workers => 1, zone => 'opensandbox_zone sandboxes:48m;',
    http => <<"EOT");
client_max_body_size 64m;
keepalive_requests 1000000;
server {
    listen 127.0.0.1:$slow;
    location /v1/ {
        opensandbox_api;
        limit_rate 100;
    }
}
EOT

sub records { return '[' . join(",\n", map {
	"{\"id\":\"$_[0]$_\",\"endpoint\":\"10.0.0.1\"$_[2]}" } 1 .. $_[1]) . ']' }

# Send an array; what others get answered before its answer is there, and the
# longest that one of them waited.
sub alongside
{
	my ($body) = @_;
	my $socket = connect_to($g->{port});
	my $other = connect_to($g->{port});
	print $socket "POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\n"
	    . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
	my ($served, $longest) = (0, 0);
	until (IO::Select->new($socket)->can_read(0)) {
		my $start = time;
		my $a = ask($other, 'GET', '/v1/sandboxes/none');
		die $a->{status} if $a->{status} != 404;
		$served++;
		$longest = time - $start if time - $start > $longest;
	}
	note sprintf '%d served, the longest took %.1f ms', $served, $longest * 1000;
	return (read_answer($socket), $served);
}

# A whole array, again, and one whose last record is bad.
my ($a, $served) = alongside(records('m', 50000, ''));
is($a->{body}, "{\"created\":50000,\"replaced\":0}\n", '50,000 records are taken');
cmp_ok($served, '>', 10, '  while others are served');
($a, $served) = alongside(records('m', 50000, ',"accessToken":"t"'));
is($a->{body}, "{\"created\":0,\"replaced\":50000}\n", 'they are replaced');
cmp_ok($served, '>', 10, '  while others are served');
ok(json(api($g, 'GET', "/m$_"))->{secure}, "  each: m$_") for 1, 31234, 50000;
my $body = records('n', 50000, '');
$body =~ s/10\.0\.0\.1"\}\]$/10.0.0"}]/;
($a, $served) = alongside($body);
is($a->{status}, 400, 'a bad record among them');
is(json($a)->{field}, '[49999].endpoint', '  is named');
is(api($g, 'GET', '/n1')->{status}, 404, '  and none is taken');
($a) = alongside(records('x', 1_000_001, ''));
is($a->{status}, 400, 'more than a million are refused');
like(json($a)->{message}, qr/at most 1000000/, '  with the bound');
is(api($g, 'GET', '/x1')->{status}, 404, '  all of them');

# Arrays that are none, and where they go wrong.
for (
	['', 'bad_record', qr/array/],
	['{}', 'bad_record', qr/array/],
	['"[]"', 'bad_record', qr/array/],
	['{', 'bad_json', qr/line 1$/],
	['[', 'bad_json', qr/line 1$/],
	["[\n{\"id\":\"a\",\"endpoint\":\"[::1]\"}\n", 'bad_json', qr/line 3$/],
	["[{\"id\":\"a\",\n\"endpoint\":\"[::1]\"}\n,\n]", 'bad_json', qr/line 4$/],
	["[{\"id\":\"a\",\"endpoint\":\"[::1]\"}\n\n{}]", 'bad_json', qr/line 3$/],
	["[{\"id\":\"a\",\"endpoint\":\"[::1]\"}]\n x", 'bad_json', qr/line 2$/],
	["[{\"id\":\"a\",\"endpoint\":\"[::1]\"}\n,\n\n{\"id\" 7}]", 'bad_json',
	    qr/line 4$/],
	['[{"id":"a","endpoint":"[::1]","endpoint":"[::1]"}]', 'bad_json',
	    qr/duplicate/],
	["[{\"id\":\"a\",\"endpoint\":\"[::1]\"}\0]", 'bad_json', qr/line 1$/],
	['[{"id":"a","endpoint":"[::1]"},7]', 'bad_record', qr/object/],
	['[{"id":"a","endpoint":"[::1]"},null]', 'bad_record', qr/object/],
	['[{"id":"a","endpoint":"[::1]"},{"id":"A","endpoint":"[::1]"}]',
	    'bad_record', qr/twice/],
) {
	my ($text, $code, $message) = @$_;
	$a = api($g, 'POST', '', $text);
	is($a->{status}, 400, "refused: $text");
	is(json($a)->{code}, $code, '  as what it is');
	like(json($a)->{message}, $message, '  with its place');
	is(api($g, 'GET', '/a')->{status}, 404, '  and nothing is taken');
}
for my $text ('[]', " [ \n ] \r\n", "\t[]") {
	is(api($g, 'POST', '', $text)->{body}, "{\"created\":0,\"replaced\":0}\n",
	    'no records are fine');
}
is(api($g, 'POST', '', "[ {\"id\":\"a\",\"endpoint\":\"[::1]\",\"hostHeader\":"
    . "\"a]\"} ,\n{\"id\":\"b\",\"endpoint\":\"[::1]\"} ] ")->{status}, 200,
    'spaces, and brackets in strings');

# What policies were not taken as, by id.
$a = json(api($g, 'POST', '', encode_json([
	{ id => 'Odd-1', endpoint => '[::1]', policy => { egress => [
		{ target => 'a.test' }], comment => 'x' } },
	{ id => 'even', endpoint => '[::1]', policy => { egress => [] } },
	{ id => 'odd-2', endpoint => '[::1]', policy => { egress => [
		{ action => 'allow', target => '10.0.0.1/8' }] } }])));
is_deeply($a, { created => 3, replaced => 0, warnings => [
	'odd-1: unknown key "comment" ignored',
	'odd-1: egress[0]: no action, taken as deny',
	'odd-2: egress[0].target: "10.0.0.1/8": host bits cleared, taken as 10.0.0.0/8'
    ] }, 'the answer warns, and names the ids');
$a = json(api($g, 'POST', '', encode_json([map { { id => "w$_",
	endpoint => '[::1]', policy => { other => 1 } } } 1 .. 130])));
is(scalar @{ $a->{warnings} }, 101, 'of many warnings it has a hundred');
is($a->{warnings}[-1], 'and 30 more', '  and says how many there are');
$a = json(api($g, 'PUT', '/hosted', encode_json({ endpoint => '[::1]', policy => {
	hosts => { 'api.internal' => ['192.0.2.10'] }, egress => [] } })));
ok(!$a->{warnings}, 'a policy with hosts is taken as it is');
is_deeply(json(api($g, 'GET', '/hosted/policy'))->{hosts},
    { 'api.internal' => ['192.0.2.10'] }, '  and served so');
$a = api($g, 'PUT', '/hosted', encode_json({ endpoint => '[::1]', policy => {
	hosts => { 'api.internal' => ['127.0.0.1'] } } }));
is($a->{status}, 400, 'one with a loopback address is not');
like(json($a)->{message}, qr/hosts\["api\.internal"\]\[0\]/, '  and says which');

# An answer that goes out in parts goes out once; the log is looked at below.
my $socket = connect_to($slow);
$body = records('slow', 2, '');
print $socket "POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\n"
    . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
is(read_answer($socket)->{body}, "{\"created\":2,\"replaced\":0}\n",
    'the answer is whole where the client reads slowly');

# A client that goes away, a reload, and the end of the gateway in the middle.
$socket = connect_to($g->{port});
$body = records('gone', 50000, '');
print $socket "POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\n"
    . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
close $socket;
ok(wait_for(sub { api($g, 'GET', '/gone50000')->{status} == 200 }, 20),
    'what a client sent who has gone is taken');
$socket = connect_to($g->{port});
$body = records('late', 50000, '');
print $socket "POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\n"
    . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
reload($g);
is(read_answer($socket)->{body}, "{\"created\":50000,\"replaced\":0}\n",
    'a reload does not break an array off');
is(api($g, 'GET', '/late50000')->{status}, 200, '  and the new worker has it');
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg)\]|on signal/,
    'no process died');

done_testing();
