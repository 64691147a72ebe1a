#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A worker dies at one instruction or another of a change of records: in place,
# in a zone that is full, and of an array of records. Everybody sees records as
# they were or as they were to be, an array all or none, at any time after.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $g;

sub entry { return { endpoint => '127.0.0.1', @_ } }

# A record in several pieces, and another that fits in its place.
my $old = entry(expose => [1 .. 110], hostHeader => 'a' x 200);
my $new = entry(expose => [map { "$_-6000" } 1 .. 60], hostHeader => 'b' x 90,
    accessToken => 't' x 99);
sub shown { my ($a) = @_; return JSON::PP->new->canonical->encode(json($a)) }

$g = gateway(workers => 1, zone => 'opensandbox_zone sandboxes:128k;');
is(api($g, 'PUT', '/x', $new)->{status}, 201, 'a record');
my $as_new = shown(api($g, 'GET', '/x'));
is(api($g, 'PUT', '/x', $old)->{status}, 200, 'and another');
my $as_old = shown(api($g, 'GET', '/x'));
for my $size (900, 400, 200, 100, 50, 20, 8, 1) {
	for (1 .. 500) {
		last if api($g, 'PUT', "/f$size-$_", entry(expose =>
		    [1 .. $size]))->{status} == 507;
	}
}
is(api($g, 'PUT', '/x', $new)->{status}, 200, 'in a full zone one replaces another');
is(shown(api($g, 'GET', '/x')), $as_new, '  in its place');
my %seen;
for my $n (1, 12, 30, 60, 90, 130, 180, 240) {
	api($g, 'PUT', '/x', $old);
	is(shown(api($g, 'GET', '/x')), $as_old, "the record, before instruction $n");
	ok(worker_dies($g, 'node_write', 1, $n, sub { eval { api($g, 'PUT', '/x', $new) } }),
	    "  a worker dies at it") or next;
	my $now = shown(api($g, 'GET', '/x'));
	ok($now eq $as_old || $now eq $as_new, '  the record is whole')
	    or diag($now);
	$seen{ $now eq $as_old ? 'old' : 'new' }++;
	is(scalar(grep { $_->{id} eq 'x' } @{ json(api($g, 'GET',
	    '?limit=1000'))->{sandboxes} || [] }), 1, '  and listed');
	is(api($g, 'PUT', '/x', $old)->{status}, 200, '  and can be changed');
}
note join ', ', map { "$seen{$_} $_" } sort keys %seen;
stop($g->{pid}, 'QUIT');
wait_closed($g);

# An array: none of it, or by and by all of it, where it was decided on.
$g = gateway(workers => 1);
api($g, 'PUT', "/a$_", $old) for 1 .. 20;
my @records = map { { %$new, id => "a$_" } } 1 .. 400;
sub all_new
{
	my $list = json(api($g, 'GET', '?limit=1000'))->{sandboxes} || [];
	return grep { ($_->{hostHeader} // '') =~ /^b/ } @$list;
}
for my $case (['batch_add', 1, 1], ['batch_add', 300, 40], ['batch_commit', 1, 1],
    ['table_publish', 1, 1], ['table_publish', 10, 300],
    ['table_publish', 70, 2], ['table_publish', 399, 500],
    ['batch_close', 1, 60]) {
	my ($function, $call, $n) = @$case;
	api($g, 'DELETE', "/a$_") for 21 .. 400;
	api($g, 'POST', '', [map { { %$old, id => "a$_" } } 1 .. 20]);
	ok(worker_dies($g, $function, $call, $n, sub { eval {
		api($g, 'POST', '', \@records) } }), "a worker dies in $function, "
	    . "call $call, instruction $n") or next;
	my $want = $function =~ /publish|close/ ? 400 : 0;
	ok(wait_for(sub { all_new() == $want }, 15), "  then $want of 400 are there")
	    or diag(scalar all_new());
	is(api($g, 'GET', '/a20')->{status}, 200, '  and those that were');
	is(api($g, 'PUT', '/a1', $old)->{status}, 200, '  and can be changed');
}
sleep 2;
api($g, 'DELETE', "/a$_") for 1 .. 400;
my $a = api($g, 'POST', '', \@records);
is($a->{body}, "{\"created\":400,\"replaced\":0}\n", 'what was not decided on is given back');
unlike(read_file("$g->{prefix}/error.log"), qr/signal (?:11|6|7)\b/,
    'no worker died of itself');

done_testing();
