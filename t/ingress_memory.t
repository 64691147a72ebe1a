#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What records take of the zone: at most 300 bytes beyond their own strings,
# whatever the strings. They lie there in pieces; each record of each length
# comes back whole, to the API and to requests, in the order of the ids.

use strict;
use warnings;
use List::Util qw(shuffle);
use Test::More tests => 25;
use Harness;
use Ingress;

my $LIMIT = 300;
my $N = 500;
my $echo = echo('box');
my $server = <<'EOT';
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; client_max_body_size 16m; }
location /status { opensandbox_status; }
EOT
sub serve { return gateway(server => $server, workers => 1,
	zone => "opensandbox_zone sandboxes:$_[0];") }
my $g = serve('16m');

sub used { return json(get($g->{port}, '/status'))->{zone}{used} }

sub policy
{
	my ($n) = @_;
	return { defaultAction => 'deny', egress => [map { { action => 'allow',
		target => sprintf('name-%02d.example.test', $_) } } 1 .. $n] };
}

sub all
{
	my ($limit) = @_;
	my ($after, @all) = ('');
	do {
		my $page = json(api($g, 'GET', "?secrets=show&limit=$limit$after"));
		push @all, @{ $page->{sandboxes} };
		$after = $page->{next} ? "&after=$page->{next}" : '';
	} while ($after);
	return @all;
}

sub same
{
	my ($one, $two) = @_;
	my $json = JSON::PP->new->canonical;
	return $json->encode($one) eq $json->encode($two);
}

sub ids { return join ' ', map { $_->{id} } @_ }

# Bytes beyond the strings
my $count = 0;
sub takes
{
	my ($name, $strings, %o) = @_;
	my $before = used();
	my $kind = sprintf '%03d', ++$count;
	my $length = delete $o{id};
	my $answer = api($g, 'POST', '', [map { {
		id => substr(sprintf('%04d', $_) . $kind . 'x' x 64, 0, $length),
		endpoint => '10.0.0.1', %o } } 1 .. $N]);
	is(json($answer)->{created}, $N, "$name: records are taken");
	my $each = (used() - $before) / $N - $length - $strings;
	ok($each > 0 && $each <= $LIMIT, "  with at most $LIMIT bytes beyond their strings");
	diag "$each" if $each > $LIMIT;
}

takes('short', 0, id => 8);
takes('a token', 43, id => 36, accessToken => 't' x 43);
takes('a port map too', 43 + 26, id => 36, accessToken => 't' x 43,
	hostHeader => 'h' x 26, portMap => { 80 => '10.0.0.1:8080' });
takes('eight of them', 64 + 30, id => 63, accessToken => 't' x 64,
	hostHeader => 'h' x 30,
	portMap => { map { $_ => "10.0.0.1:$_" } 8001 .. 8008 });
takes('an IPv6 address', 64, id => 50, accessToken => 't' x 64,
	endpoint => '[fd00::5]', portMap => { 80 => '[fd00::5]:8080' });
takes('a path', 70 + 30, id => 20, hostHeader => 'h' x 30,
	endpoint => 'unix:/' . 'p' x 69);
{
	api($g, 'PUT', '/p', { endpoint => '10.0.0.1', policy => policy(20) });
	my $length = length api($g, 'GET', '/p/policy')->{body};
	takes('a policy of a KiB', $length, id => 36, policy => policy(20));
}
is(scalar all(500), 7 * $N + 1, 'all of them are listed');

# Every length
stop($g->{pid});
$g = serve('8m');
my $empty = used();
my @records = map { my $n = $_; {
	id => substr(sprintf('%03d', $n * 271 % 997) . 'i' x 64, 0, 3 + $n % 61),
	endpoint => $n % 3 ? '127.0.0.1' : '[fd00::5]',
	$n % 4 ? (hostHeader => 'h' x ($n % 255 + 1)) : (),
	$n % 2 ? (accessToken => join '', map { chr(97 + $_ % 26) } 1 .. $n % 255 + 1)
	    : (),
	$n % 5 ? () : (policy => policy(1 + $n)),
	ready => JSON::PP::true, source => 'api' } } 1 .. 600;
my $answer = api($g, 'POST', '', [shuffle @records]);
is(json($answer)->{created}, 600, 'records of every length are taken');
my @listed = all(7);
my %by_id = map { $_->{id} => $_ } @records;
is(scalar(grep { same($_, $by_id{ $_->{id} }) } @listed), 600,
	'each comes back as it was');
ok(ids(@listed) eq join(' ', sort keys %by_id), 'in the order of their ids');
my @guarded = grep { $_->{accessToken} && $_->{endpoint} eq '127.0.0.1' } @records;
is(scalar(grep { get($g->{port}, "/sandboxes/$_->{id}/port/$echo/",
	"OpenSandbox-Secure-Access: $_->{accessToken}")->{status} == 200 } @guarded),
	scalar @guarded, 'requests find each, and its token');
my @gone = grep { $_ % 2 } 0 .. $#records;
api($g, 'DELETE', "/$records[$_]{id}") for shuffle @gone;
my @left = map { $records[$_]{id} } grep { $_ % 2 == 0 } 0 .. $#records;
ok(ids(all(100)) eq join(' ', sort @left),
	'deletions leave the others, in order');
api($g, 'DELETE', "/$_") for @left;
is(used(), $empty, 'and at last nothing');

# A full zone
stop($g->{pid});
$g = serve('2m');
my %awkward = (endpoint => '10.0.0.1', accessToken => 't' x 43,
	hostHeader => 'h' x 90, portMap => { 80 => '10.0.0.1:8080' });
sub awkward { return { id => sprintf('%08d', $_[0]) . 'x' x 28, %awkward } }
my $n = 0;
my $status;
do {
	$status = api($g, 'POST', '', [map { awkward(++$n) } 1 .. 5])->{status};
} while ($status == 200);
is($status, 507, 'a full zone takes no more');
cmp_ok($n, '>', 2 * 1024 * 1024 / ($LIMIT + 36 + 43 + 90), 'but many fit in it');
my $one = awkward(1);
api($g, 'PATCH', "/$one->{id}", { ready => JSON::PP::false,
	hostHeader => 'g' x 90 });
is(api($g, 'PATCH', "/$one->{id}", { policy => policy(20) })->{status}, 507,
	'nor a change that needs more room');
ok(same(json(api($g, 'GET', "/$one->{id}?secrets=show")),
	{ %$one, source => 'api', ready => JSON::PP::false,
	    hostHeader => 'g' x 90 }),
	'one that needs no more is whole');
