#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What the operator's page asks the management API for: a search in the list,
# what single sandboxes do, and names that sidecars reported as denied, which
# are bounded, counted, and gone before the newer ones.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress;

my @auth = 'Authorization: Bearer s3cret';
my $one = echo('one');
my $setting = 'client_max_body_size 1m; location / { opensandbox uri; '
    . 'include %CONF%/opensandbox-proxy.conf; } '
    . 'location /v1/ { opensandbox_api; }';
my %with = (http => 'opensandbox_api_token s3cret;', server => $setting,
    workers => 2);
my $g = gateway(%with);
my $port = $g->{port};

sub post
{
	my ($body, @more) = @_;
	return request($port, 'POST', '/v1/events', ref $body ? encode_json($body)
	    : $body, @more ? @more : @auth);
}

sub events
{
	my ($query) = @_;
	return json(get($port, '/v1/events' . ($query // ''), @auth))->{events};
}

# Who may
is(post('{"hostname":"a.test"}', 'X: y')->{status}, 401, 'events need the token');
is(get($port, '/v1/events')->{status}, 401, 'so does their list');
is(get($port, '/v1/status')->{status}, 401, 'and the status');
is(json(get($port, '/v1/status', @auth))->{sandboxes}{total}, 0, 'which is given with it');
is_deeply(events(), [], 'nothing yet');

# What a sidecar posts
my $answer = post({ hostname => 'Evil.test', timestamp => '2026-11-29T08:00:00Z',
	source => 'opensandbox-egress', sandboxId => 'SB-1' });
is("$answer->{status} $answer->{body}", qq(202 {"accepted":1}\n), 'one event is taken');
post([{ hostname => 'evil.test', sandboxId => 'sb-1' },
	{ hostname => '192.0.2.1', sandboxId => 'sb-2', pending => JSON::PP::true },
	{ hostname => 'evil.test' }]);
my %by = map { ("$_->{sandboxId} $_->{hostname}" => $_) } @{ events() };
is(join(',', sort keys %by), ' evil.test,sb-1 evil.test,sb-2 192.0.2.1',
    'an array, too: by sandbox and name, whatever their case');
is($by{'sb-1 evil.test'}{count}, 2, 'and counted');
ok($by{'sb-2 192.0.2.1'}{pending}, 'what waits says so');
like($by{'sb-1 evil.test'}{last}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'with the time');
is(scalar(@{ events('?sandbox=SB-1') }), 1, 'those of one sandbox');
is(scalar(@{ events('?limit=2') }), 2, 'no more than are asked for');

# Mistakes
for my $case (
	['[{"hostname":"a.test"},{"hostname":7}]', '[1].hostname', 'a name that is none'],
	['{"sandboxId":"sb"}', 'hostname', 'no name'],
	['{"hostname":""}', 'hostname', 'an empty one'],
	[{ hostname => 'x' x 256 }, 'hostname', 'a long one'],
	[{ hostname => "a b" }, 'hostname', 'one with a space'],
	['{"hostname":"a.test","sandboxId":"a/b"}', 'sandboxId', 'no id'],
	['{"hostname":"a.test","sandboxId":7}', 'sandboxId', 'a number for it'],
	['{"hostname":"a.test","pending":"yes"}', 'pending', 'a text for pending'],
	['7', '', 'no object'], ['{', '', 'no JSON'], ['', '', 'nothing']) {
	my ($body, $field, $name) = @$case;
	$answer = post($body);
	is("$answer->{status} " . json($answer)->{field}, "400 $field", "$name: 400 that names it");
}
is(scalar(@{ events() }), 3, 'and none of it was taken');
is(post([map { { hostname => "n$_.test" } } 1 .. 1025])->{status}, 413, 'too many: 413');
is(post('"' . 'x' x 1_100_000 . '"')->{status}, 413, 'too long: 413');
is(get($port, "/v1/events?$_", @auth)->{status}, 400, "$_: 400")
    for 'limit=0', 'limit=1025', 'limit=x', 'sandbox=', 'sandbox=a/b';
$answer = request($port, 'DELETE', '/v1/events', undef, @auth);
is("$answer->{status} $answer->{headers}{allow}[0]", '405 GET, HEAD, POST', 'no other method');

# Bounded
sleep 1.1;
post([map { { hostname => "n$_.test", sandboxId => 'many' } } 1 .. 1023]);
is(scalar(@{ events('?limit=1024') }), 1024, 'as many as there is room for');
sleep 1.1;
post({ hostname => 'last.test', sandboxId => 'sb-1' });
my @all = @{ events('?limit=1024') };
is(scalar(@all), 1024, 'one more is no more');
is($all[0]{hostname}, 'last.test', '  but the latest is first');
ok(!(grep { $_->{hostname} eq '192.0.2.1' } @all), '  and the oldest have gone');
reload($g, %with);
is(scalar(@{ events('?limit=1024') }), 1024, 'a reload keeps them');

# The search
Ingress::api($g, 'PUT', "/$_", { endpoint => '127.0.0.1' }, @auth)
    for 'web-1', 'web-2', 'db-1', 'db.web';
sub ids
{
	return join ' ', map { $_->{id} }
	    @{ json(get($port, "/v1/sandboxes?$_[0]", @auth))->{sandboxes} };
}
is(ids('q=web'), 'db.web web-1 web-2', 'a part of the id finds it');
is(ids('q=WEB-'), 'web-1 web-2', '  in any case');
is(ids('q=web&limit=2'), 'db.web web-1', '  a page of them');
is(ids('q=web&after=web-1'), 'web-2', '  and the next');
is(ids('q=nothing'), '', '  or none');
is(ids('q=%22%5c'), '', '  whatever is asked for');
is(ids('q='), 'db-1 db.web web-1 web-2', 'an empty search is none');

# What they do
sub live
{
	return json(get($port, "/v1/sandboxes?live=1&q=$_[0]", @auth))->{sandboxes}[0]{live};
}
is_deeply(live('web-1'), { requests => 0, tunnels => 0 }, 'nothing so far');
get($port, "/sandboxes/web-1/port/$one/") for 1 .. 20;
is(live('web-1')->{requests}, 20, 'requests are counted, over all workers');
is(live('web-2')->{requests}, 0, '  each for its own');
ok(!exists json(get($port, '/v1/sandboxes?q=web-1', @auth))->{sandboxes}[0]{live},
    'a list without live=1 is as it was');
done_testing();
