#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Conditional requests of the management API (RFC 9110, 13): a condition is
# judged before anything changes; merge patches (RFC 7396) and times (RFC 3339).

use strict;
use warnings;
use Test::More;
use Harness;
use Ingress;

my $g = gateway();

sub put { return api($g, 'PUT', '/sb', { endpoint => '127.0.0.1', @_ }) }
sub tag { return $_[0]{headers}{etag}[0] // '' }
sub now { return api($g, 'GET', '/sb?secrets=show')->{body} }

# Tags
put(hostHeader => 'one.test');
my $a = api($g, 'GET', '/sb');
my $one = tag($a);
like($one, qr/^"[0-9a-f]{32}"$/, 'a record has a strong tag');
is(tag(api($g, 'HEAD', '/sb')), $one, '  HEAD shows it too');
my $b = put(hostHeader => 'two.test');
my $two = tag(api($g, 'GET', '/sb'));
isnt($two, $one, 'another record has another');
is(tag($b), $two, '  which the change has told');
is(tag(put(hostHeader => 'one.test')), $one, 'and the same has the same');
api($g, 'PUT', '/sb', '{"hostHeader":"one.test","endpoint":"127.0.0.1"}');
is(tag(api($g, 'GET', '/sb')), $one, '  whatever the order of its keys');
put(hostHeader => 'one.test', accessToken => 'a');
$a = tag(api($g, 'GET', '/sb'));
put(hostHeader => 'one.test', accessToken => 'b');
isnt(tag(api($g, 'GET', '/sb')), $a, 'a token that is not shown counts');
put(hostHeader => 'one.test');

# Reading
for my $match ($one, "W/$one", "\"x\", $one", "\"x\" ,W/$one", '*',
    "\"a,b\",$one") {
	$a = api($g, 'GET', '/sb', undef, "If-None-Match: $match");
	is($a->{status}, 304, "not modified: $match");
	is(tag($a), $one, '  with the tag');
	is($a->{body}, '', '  without a body');
}
for my $match ('"x"', $two, '""', "x$one", '"' . $one . '"',
    substr($one, 0, 9)) {
	is(api($g, 'GET', '/sb', undef, "If-None-Match: $match")->{status}, 200,
	    "modified: $match");
}
is(api($g, 'GET', '/sb', undef, 'If-Match: "x"')->{status}, 412,
    'a reader may have a condition');
is(api($g, 'GET', '/none', undef, 'If-None-Match: *')->{status}, 404,
    'what is not there is not found');
is(api($g, 'GET', '/sb', undef,
    'If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT')->{status}, 200,
    'there are no dates to judge by');
is(get($g->{port}, '/v1/sandboxes/sb/policy', 'If-Match: "x"')->{status}, 412,
    'a policy, too');

# Changes
my @changes = (
	['PUT', '/sb', { endpoint => '127.0.0.2' }],
	['PATCH', '/sb', { hostHeader => 'three.test' }],
	['DELETE', '/sb', undef],
	['POST', '', [{ id => 'sb', endpoint => '127.0.0.2' }]],
);
for my $change (@changes) {
	my ($method, $path, $body) = @$change;
	my $before = now();
	for my $condition ('If-Match: "x"', "If-Match: W/$one", 'If-Match: "x", "y"',
	    'If-None-Match: *', "If-None-Match: $one", "If-None-Match: W/$one",
	    "If-Match: *\r\nIf-None-Match: *") {
		next if $method eq 'POST' && $condition =~ /None-Match: [W"]/;
		$a = api($g, $method, $path, $body, $condition);
		is($a->{status}, 412, "$method with $condition");
		is(json($a)->{code}, 'precondition_failed', '  says why');
		is(now(), $before, '  and has changed nothing');
	}
}
is(api($g, 'PUT', '/new', { endpoint => '127.0.0.1' }, 'If-Match: *')->{status},
    412, 'If-Match: * wants a record to be there');
is(api($g, 'GET', '/new')->{status}, 404, '  and makes none');
is(api($g, 'PATCH', '/new', {}, 'If-Match: *')->{status}, 404,
    'what is not there is not found, whatever the condition');
is(api($g, 'DELETE', '/new', undef, 'If-Match: "x"')->{status}, 404,
    '  nor is it to be deleted');
is(api($g, 'PUT', '/new', { endpoint => '127.0.0.1' },
    'If-None-Match: *')->{status}, 201, 'If-None-Match: * wants it to be new');
is(api($g, 'PUT', '/sb', { endpoint => '127.0.0.2' },
    "If-Match: \"x\", $one")->{status}, 200, 'a condition that holds');
is(json(api($g, 'GET', '/sb'))->{endpoint}, '127.0.0.2', '  lets the change in');
$a = api($g, 'PATCH', '/sb', { hostHeader => 'x.test' },
    'If-Match: ' . tag(api($g, 'GET', '/sb')));
is($a->{status}, 200, 'so it does with PATCH');
is(api($g, 'DELETE', '/sb', undef, 'If-Match: ' . tag($a))->{status}, 204,
    '  whose answer has the next tag, and with DELETE');
is(api($g, 'POST', '', [{ id => 'sb', endpoint => '127.0.0.1' }],
    'If-Match: *')->{status}, 200, 'the collection is always there');

# Of writers that read first, one wins.
$one = tag(put());
my @won = grep { api($g, 'PUT', '/sb', { endpoint => "127.0.0.$_" },
    "If-Match: $one")->{status} == 200 } 2 .. 6;
is_deeply(\@won, [2], 'of many writers with one tag the first has it');

# Merge patches
sub merges
{
	my ($patch, $want, $what) = @_;
	$a = api($g, 'PATCH', '/sb', $patch);
	is($a->{status}, 200, $what) or diag($a->{body});
	my $now = json(api($g, 'GET', '/sb'));
	delete @$now{qw(id source endpoint ready)};
	is_deeply($now, $want, '  RFC 7396');
}

my $allow = [{ action => 'allow', target => 'a.test' }];
put();
merges('{"policy":{"defaultAction":null,"egress":[{"action":"allow",'
    . '"target":"a.test"}]}}', { policy => { defaultAction => 'deny',
    egress => $allow } }, 'a null inside of an object that is new');
merges('{"portMap":{"80":null}}', { policy => { defaultAction => 'deny',
    egress => $allow } }, 'an object of nulls alone');
merges('{"policy":{"egress":null,"defaultAction":"allow"}}', { policy =>
    { defaultAction => 'allow', egress => [] } }, 'a null in one that is there');
merges('{"policy":null,"hostHeader":null,"ready":null}', {},
    'a null for what is not there');
for my $patch ('null', '[]', '7', '"x"', '{"egress":[null]}',
    '{"policy":{"egress":[null]}}', '{"id":"other"}', '{"id":{"a":null}}',
    '{"a":' x 100 . '1' . '}' x 100) {
	my $before = now();
	is(api($g, 'PATCH', '/sb', $patch)->{status}, 400,
	    'refused: ' . substr($patch, 0, 40));
	is(now(), $before, '  nothing has changed');
}

# Times
for my $time ('2024-02-29T00:00:00Z', '2030-06-30T23:59:60Z',
    '0001-01-01T00:00:00Z', '1969-12-31T23:59:59Z', '9999-12-31T23:59:59Z',
    '2030-12-31T23:59:59.999z', '2030-01-31t12:00:00+23:59',
    '0000-12-31T23:59:59-00:01', '9999-12-31T23:59:59+00:01') {
	is(put(expiresAt => $time)->{status}, 200, "a time: $time");
	my $shown = json(api($g, 'GET', '/sb'))->{expiresAt} // '';
	like($shown, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '  shown as one');
	is(put(expiresAt => $shown)->{status}, 200, '  that can be written back');
	is(json(api($g, 'GET', '/sb'))->{expiresAt}, $shown, '  and stays');
}
put(expiresAt => '1969-12-31T23:59:59Z');
is(get($g->{port}, '/sandboxes/sb/port/80/')->{status}, 410,
    'a time before 1970 has passed');
for my $time ('2023-02-29T00:00:00Z', '2030-02-31T00:00:60Z',
    '2030-04-31T00:00:00Z', '2030-13-01T00:00:00Z', '2030-00-01T00:00:00Z',
    '2030-01-00T00:00:00Z', '2030-01-01T24:00:00Z', '2030-01-01T00:60:00Z',
    '2030-01-01T00:00:61Z', '2030-01-01T00:00:00+24:00',
    '2030-01-01T00:00:00+01:60', '2030-01-01T00:00:00.Z',
    '0000-12-31T23:59:59Z', '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01', '9999-12-31T23:59:60Z',
    '2100-02-29T00:00:00Z', '2030-01-01 00:00:00Z', '2030-01-01T00:00:00') {
	is(put(expiresAt => $time)->{status}, 400, "no time: $time");
}

done_testing();
