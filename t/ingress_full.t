#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A change that takes rights away is never refused for want of room: in a zone
# that is full, and in one whose reserve is used up as well, by the API and by a
# reload of includes. What widens is refused, and loses nothing.

use strict;
use warnings;
use JSON::PP;
use Test::More;
use Harness;
use Ingress;

my $box = echo('box');
my $moved = echo('moved');
my $long = 'h' x 250;
my $zone = 'opensandbox_zone sandboxes:1m;';
my $status = 'location = /status { opensandbox_status; }';
my $false = JSON::PP::false;
my $open = { defaultAction => 'allow', egress => [] };
my $narrow = { defaultAction => 'allow', egress => [map {
	{ action => 'deny', target => "n$_." . 'x' x 50 . '.test' } } 1 .. 9] };
my $g;

sub entry   { return { endpoint => '127.0.0.1', @_ } }
sub policy  { return json(get($g->{port}, "/v1/sandboxes/$_[0]/policy")) }
sub reaches
{
	my ($id, @headers) = @_;
	return get($g->{port}, "/sandboxes/$id/port/$box/", @headers);
}

# Records until there is room for none, of any size; their ids.
sub fill
{
	my ($name) = @_;
	my @ids;
	for my $size (3000, 1000, 250, 100, 4) {
		for (1 .. 10000) {
			my $id = $name . (@ids + 1);
			my $a = api($g, 'PUT', "/$id", entry(accessToken => 't',
			    expose => [1 .. $size / 4]));
			last if $a->{status} == 507;
			die $a->{body} if $a->{status} != 201;
			push @ids, $id;
		}
	}
	return @ids;
}

# The reserve as well, by changes that revoke and take more room.
sub use_up
{
	my ($refused, $n) = (0, 0);
	for my $id (@_) {
		my $a = api($g, 'PATCH', "/$id", { accessToken => 'z' x 255,
		    hostHeader => $long });
		$n++;
		last if $a->{status} == 507 && ++$refused == 20;
	}
	return $refused;
}

# [what, first record, change as [method, body], the headers of one who was in]
my @revoking = (
	['deletion', {}, ['DELETE']],
	['not ready', {}, ['PATCH', { ready => $false, hostHeader => $long }]],
	['paused', {}, ['PATCH', { state => 'paused', hostHeader => $long }]],
	['an id of two', {}, ['PATCH', { state => 'ambiguous', hostHeader => $long }]],
	['narrower ports', { expose => [$box, 1] },
	    ['PATCH', { expose => [1], hostHeader => $long }]],
	['ports where all were', {}, ['PATCH', { expose => [1 .. 100] }]],
	['a token', {}, ['PATCH', { accessToken => 'x' x 255 }]],
	['another token', { accessToken => 'old' },
	    ['PATCH', { accessToken => 'x' x 255 }],
	    'OpenSandbox-Secure-Access: old'],
	['an earlier end', {},
	    ['PATCH', { expiresAt => '2001-01-01T00:00:00Z', hostHeader => $long }]],
	['an end before the end', { expiresAt => '2100-01-01T00:00:00Z' },
	    ['PATCH', { expiresAt => '2001-01-01T00:00:00Z', hostHeader => $long }]],
	['another place', { portMap => { $box => "127.0.0.1:$box" } },
	    ['PATCH', { portMap => { $box => "127.0.0.1:$moved" },
	    hostHeader => $long }]],
	['a place of its own', {}, ['PATCH', { portMap =>
	    { $box => "127.0.0.1:$moved" }, hostHeader => $long }]],
	['another endpoint', {},
	    ['PATCH', { endpoint => '127.0.0.9', hostHeader => $long }]],
	['a PUT with fewer rights', {}, ['PUT', entry(accessToken => 'x' x 255)]],
	['a POST with fewer rights', {}, ['POST', entry(accessToken => 'x' x 255)]],
	['a POST of one among others', {},
	    ['POST', entry(accessToken => 'x' x 255), map { entry(id => "more$_",
	    accessToken => 'x' x 255, hostHeader => $long) } 1 .. 500]],
);

sub change
{
	my ($id, $method, $body, @more) = @_;
	return api($g, 'POST', '', [@more, { %$body, id => $id }])
	    if $method eq 'POST';
	return api($g, $method, "/$id", $body);
}

sub revoke_all
{
	my ($state, $may_refuse) = @_;
	my $n = 0;
	for my $case (@revoking) {
		my ($what, undef, $change, @headers) = @$case;
		my $id = "$state-" . $n++;
		is(reaches($id, @headers)->{body} =~ /^box/, 1,
		    "$state: before $what there is entry");
		my $a = change($id, @$change);
		my $taken = $a->{status} =~ /^20[04]$/;
		ok($taken || $may_refuse && $a->{status} == 507
		    || $change->[2] && $a->{status} == 507, "  $what: $a->{status}")
		    or diag($a->{body});
		$a = reaches($id, @headers);
		unlike($a->{body}, qr/^box/, "  is in force: $a->{status}");
	}
	my $a = api($g, 'PATCH', "/$state-policy",
	    { policy => $narrow, hostHeader => $long });
	ok($a->{status} == 200 || $may_refuse, "$state: a narrower policy");
	my $now = policy("$state-policy");
	ok(@{ $now->{egress} } == 9 || $now->{defaultAction} eq 'deny',
	    '  is in force, or none');
	is(reaches("$state-policy")->{status}, 200, '  and nothing but that');
}

# The API
$g = gateway(zone => $zone =~ s/;/ state=%PREFIX%\/state;/r);
for my $state ('full', 'spent') {
	my $n = 0;
	api($g, 'PUT', "/$state-" . $n++, entry(%{ $_->[1] })) for @revoking;
	api($g, 'PUT', "/$state-policy", entry(policy => $open));
	api($g, 'PUT', "/$state-wider", entry(expose => [1], ready => $false));
}
my @ids = fill('fill');
cmp_ok(@ids, '>', 20, 'the zone is full');
revoke_all('full', 0);
cmp_ok(use_up(@ids), '>', 0, 'the reserve is used up');
push @ids, fill('again');
for my $patch ({ expose => [1 .. 100, $box] }, { hostHeader => $long },
    { policy => $narrow }) {
	my $before = api($g, 'GET', '/spent-wider')->{body};
	is(api($g, 'PATCH', '/spent-wider', $patch)->{status}, 507,
	    'what widens is refused: ' . join ' ', keys %$patch);
	is(api($g, 'GET', '/spent-wider')->{body}, $before, '  and loses nothing');
}
revoke_all('spent', 1);
my $a = api($g, 'PATCH', '/spent-wider', { ready => JSON::PP::true });
is($a->{status}, 200, 'what fits in the old place is taken');
sub spent { return map { my $a = api($g, 'GET', "/spent-$_");
	$a->{status} == 200 ? $a->{body} : () } 0 .. $#revoking, 'policy', 'wider' }
my %before = map { $_ => 1 } spent();
ok(wait_for(sub { read_file("$g->{prefix}/state") =~ /"spent-wider".*"ready":true/ },
    10), 'the state file has the last change');
restart($g);
is_deeply([grep { !$before{$_} } spent()], [], 'a restart gives nothing back');
api($g, 'DELETE', "/$_") for @ids;
is(change('spent-4', 'PUT', entry(hostHeader => $long))->{status}, 200,
    'with room again records are what they are put as');
is(reaches('spent-4')->{status}, 200, '  and serve');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# A zone so small that its journal has no room for a large policy
$g = gateway(zone => 'opensandbox_zone sandboxes:128k;');
my $large = { defaultAction => 'allow', egress => [map {
	{ action => 'deny', target => "n$_.example.test" } } 1 .. 700] };
is(api($g, 'PUT', '/large', entry(policy => $large))->{status}, 201,
    'a small zone takes a large policy');
api($g, 'PUT', '/neighbour', entry());
@ids = fill('fill');
use_up(@ids);
fill('again');
$a = api($g, 'PATCH', '/large', { accessToken => 'x' x 255, hostHeader => $long });
isnt(reaches('large')->{status}, 200, "  and a token for it: $a->{status}");
is(reaches('neighbour')->{status}, 200, '  the others are as they were');
is(scalar(grep { $_->{id} =~ /^(?:large|neighbour)$/ } @{ json(api($g, 'GET',
    '?limit=1000'))->{sandboxes} }), 2, '  and so are lists');
is(api($g, 'DELETE', '/large')->{status}, 204, '  it can go');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# Reload
sub declared
{
	my (%lines) = @_;
	return join "\n", map { "opensandbox_sandbox $_ { endpoint 127.0.0.1; "
	    . "$lines{$_} }" } sort keys %lines;
}

sub waiting
{
	return json(get($g->{port}, '/status'))->{declared}{waiting};
}

my %config = (zone => $zone, workers => 1, server => "$status
	location /v1/ { opensandbox_api; }
	location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }");
my $policy = 'opensandbox_policy open { default allow; }
    opensandbox_policy narrow { default allow; deny '
    . join(' ', map { $_->{target} } @{ $narrow->{egress} }) . '; }';
$g = gateway(%config, http => $policy . declared(gone => '', off => '',
    secret => '', ports => '', same => '', shut => 'policy open;',
    map { ("keep$_" => '') } 1 .. 20));
is(reaches($_)->{status}, 200, "a declared sandbox: $_")
    for qw(gone off secret ports same shut);
is(waiting(), 0, '  all have room');
@ids = fill('fill');
use_up(@ids);
my $huge = join ' ', 'expose', 1 .. 200, ';';
reload($g, %config, http => $policy . declared(
    off => "ready off; host_header $long;", secret => 'access_token '
    . 'x' x 255 . ';', ports => $huge, same => '',
    shut => "policy narrow; host_header $long;",
    (map { ("keep$_" => '') } 1 .. 20),
    map { ("new$_" => "host_header $long; $huge") } 1 .. 30));
ok(wait_for(sub { waiting() }, 10), 'a reload declares more than there is room for');
is(reaches('gone')->{status}, 404, '  what is declared no more is gone');
isnt(reaches($_)->{status}, 200, "  what is narrower is: $_")
    for qw(off secret ports);
my $now = policy('shut');
ok(@{ $now->{egress} } == 9 || $now->{defaultAction} eq 'deny',
    '  a narrower policy too');
is(reaches($_)->{status}, 200, "  what is the same stays: $_")
    for 'same', map { "keep$_" } 1, 20;
like(read_file("$g->{prefix}/error.log"),
    qr/"sandboxes" has no room for \d+ of the declared sandboxes, "\w+" is one/,
    '  the log says so');
like(get($g->{port}, '/status?format=prometheus')->{body},
    qr/^opensandbox_declared_waiting [1-9]/m, '  and so do the metrics');
is(api($g, 'PUT', '/new1', entry())->{status} =~ /^20|507/, 1,
    'an API may take one of the ids');
api($g, 'DELETE', "/$_") for @ids;
ok(wait_for(sub { waiting() == 0 }, 10), 'with room again all come');
for ([off => 503], [secret => 401], [ports => 403], [new2 => 403],
    [new30 => 403]) {
	is(reaches($_->[0])->{status}, $_->[1], "  as they are declared: $_->[0]");
}
is(@{ policy('shut')->{egress} }, 9, '  and the policy');
is(reaches('shut')->{status}, 200, '  with it its sandbox');
like(read_file("$g->{prefix}/error.log"), qr/has all declared sandboxes/,
    '  and the log says that');
unlike(read_file("$g->{prefix}/error.log"), qr/exited on signal|\[alert\]/,
    'no process died');

done_testing();
