#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A source of 100,000 records is taken in one step while the worker serves
# others; the last of several arrays decides; in a full zone what takes rights
# away is done at least.

use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Harness;
use Ingress;

my $MANY = 100_000;
my $slices = 'client_max_body_size 64m; keepalive_requests 1000000;';
my $g = gateway(workers => 1, zone => 'opensandbox_zone sandboxes:96m;', http => $slices);

sub records
{
	my ($from, $to, $more) = @_;
	return '[' . join(',', map { "{\"id\":\"m$_\",\"endpoint\":\"10.0.0.1\"$more}" }
	    $from .. $to) . ']';
}
sub send_array
{
	my ($body, $source) = @_;
	my $socket = connect_to($g->{port});
	print $socket "PUT /v1/sandboxes?source=" . ($source // 'many') . " HTTP/1.1\r\n"
	    . "Host: localhost\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
	return $socket;
}

# Feed the source; what others get answered before its answer is there.
sub alongside
{
	my ($body) = @_;
	my $other = connect_to($g->{port});
	ask($other, 'GET', '/v1/sandboxes/none');
	my $socket = send_array($body);
	my ($served, $longest, $begin) = (0, 0, time);
	until (IO::Select->new($socket)->can_read(0)) {
		my $start = time;
		my $a = ask($other, 'GET', '/v1/sandboxes/none');
		die $a->{head} if $a->{status} != 404;
		$served++;
		$longest = time - $start if time - $start > $longest;
	}
	note sprintf '%.1f s, %d served, the longest took %.1f ms', time - $begin,
	    $served, $longest * 1000;
	return (json(read_answer($socket)), $served);
}
sub counts
{
	my ($added, $changed, $removed, $unchanged) = @_;
	return { added => $added, changed => $changed, removed => $removed,
	    unchanged => $unchanged, conflicts => [] };
}
sub known { return json(get($g->{port}, "/v1/sources/$_[0]"))->{records} }

api($g, 'PUT', '/mine', { endpoint => '127.0.0.1' });
for my $case (
	['all come', records(1, $MANY, ''), [$MANY, 0, 0, 0], $MANY],
	['none change', records(1, $MANY, ''), [0, 0, 0, $MANY], $MANY],
	['all change', records(1, $MANY, ',"accessToken":"t"'), [0, $MANY, 0, 0], $MANY],
	['half go, half come', records($MANY / 2 + 1, $MANY * 3 / 2, ',"accessToken":"t"'),
	    [$MANY / 2, 0, $MANY / 2, $MANY / 2], $MANY],
	['all go', '[]', [0, 0, $MANY, 0], 0],
) {
	my ($what, $body, $want, $left) = @$case;
	my ($a, $served) = alongside($body);
	is_deeply($a, counts(@$want), "$what");
	cmp_ok($served, '>', 5, '  while others are served');
	is(known('many'), $left, '  and all are counted');
}
is(api($g, 'GET', '/mine')->{status}, 200, 'another source keeps its own');

# A client that goes away, and a reload in the middle
close send_array(records(1, 50000, ''));
ok(wait_for(sub { (known('many') // 0) == 50000 }, 20), 'what a client sent who has gone is taken');
my $late = send_array(records(40001, 90000, ''));
reload($g);
is_deeply(json(read_answer($late)), counts(40000, 0, 40000, 10000),
    'a reload does not break an array off');
is(known('many'), 50000, '  and the new worker knows');
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg|crit)\]|on signal/,
    '  no process died');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# Arrays of one source that overlap, read by several workers: the last one
# decides.
$g = gateway(workers => 4, zone => 'opensandbox_zone sandboxes:96m;', http => $slices);
my $seen = 0;
for my $round (1 .. 6) {
	my @sent = map { send_array(records(1, 4000 * $_, ",\"hostHeader\":\"h$round-$_\"")) }
	    1 .. 4;
	my @answers = map { read_answer($_) } @sent;
	is(scalar(grep { $_->{status} !~ /^(?:200|409)$/ } @answers), 0,
	    'each array is taken, or was overtaken') or diag(map { $_->{head} } @answers);
	$seen += grep { $_->{status} == 409 } @answers;
	my $n = known('many');
	my %hosts = map { $_->{hostHeader} => 1 } map {
	    json(api($g, 'GET', '/m' . ($_ * 1000)))} 1 .. $n / 1000;
	is_deeply([keys %hosts], ["h$round-" . $n / 4000], '  the records are those of one')
	    or diag(join ' ', $n, keys %hosts);
	is($answers[$n / 4000 - 1]{status}, 200, '  which was told so');
}
note "$seen were overtaken";

# One of two sources at a time waits for nobody.
my @two = map { send_array(records(200_000 * $_, 200_000 * $_ + 2000, ''), "s$_") } 1 .. 2;
is(read_answer($_)->{status}, 200, 'sources do not wait for each other') for @two;
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg|crit)\]|on signal/,
    'no process died');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# A zone that is full, pages to the last
$g = gateway(workers => 1, zone => 'opensandbox_zone sandboxes:1m;', http => $slices);
sub feed { return api($g, 'PUT', '?source=many', [map { {
    endpoint => '10.0.0.1', %$_ } } @_]) }
my @old = map { { id => "o$_" } } 1 .. 500;
is(feed(@old)->{status}, 200, 'a source in a small zone');
my @fill;
for my $size (900, 200, 50, 8, 1) {
	for (1 .. 5000) {
		last if api($g, 'PUT', "/f$size-$_", { endpoint => '10.0.0.1', accessToken => 't',
		    expose => [1 .. $size] })->{status} == 507;
		push @fill, "f$size-$_";
	}
}
my $a = feed((map { { %$_, ($_->{id} eq 'o7' ? (expose => [1]) : ()) } } @old[0 .. 399]),
    map { { id => "n$_", expose => [1 .. 400] } } 1 .. 300);
is($a->{status}, 507, 'a full zone takes no more');
is(json($a)->{removed}, 100, '  what is to go goes');
is_deeply(json($a)->{revoked}, ['o7'], '  and what takes rights away is taken');
is(api($g, 'GET', '/o450')->{status}, 404, '  gone');
is(api($g, 'GET', '/o400')->{status}, 200, '  there');
is(api($g, 'GET', '/n1')->{status}, 404, '  not come');
is(known('many'), 400, '  as is counted');
api($g, 'DELETE', "/$_") for @fill;
is_deeply(json(feed(@old[0 .. 9])), counts(0, 1, 390, 9), 'what is left is in order');
is(known('many'), 10, '  and counted');

# A load balancer hears when all is known.
my $server = sub { return <<"EOT" };
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; $_[0] }
location /v1/ { opensandbox_api; }
EOT
reload($g, workers => 1, zone => 'opensandbox_zone sandboxes:1m;',
    server => $server->('opensandbox_sources many other;'));
$a = get($g->{port}, '/status.ok');
is($a->{status} . json($a)->{code} . json($a)->{source}, '503not_readyother',
    'a source that was never fed is waited for');
api($g, 'PUT', '/x?source=other', { endpoint => '10.0.0.1' });
is(get($g->{port}, '/status.ok')->{status}, 503, '  one record is not all of it');
api($g, 'PUT', '?source=other', '[]');
is(get($g->{port}, '/status.ok')->{body}, 'OK', '  none may be');
like(config_error(server => $server->("opensandbox_sources $_;")), qr/invalid source|duplicate/,
    "opensandbox_sources $_ is a mistake") for 'include', 'X', "a; opensandbox_sources b";
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg|crit)\] (?!.*full)|on signal/,
    'no process died');
done_testing();
