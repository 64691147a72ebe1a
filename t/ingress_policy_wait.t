#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Those who wait for another policy cost a worker next to nothing: other records
# change, and neither its memory grows nor is their policy read.

use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $g = gateway(workers => 1);
my $big = { defaultAction => 'deny', egress => [map {
	{ action => 'allow', target => "n$_.example.test" } } 1 .. 1000] };

sub tag { return $_[0]{headers}{etag}[0] // '' }
sub resident
{
	my ($pid) = workers($g);
	return read_file("/proc/$pid/status") =~ /^VmRSS:\s*(\d+) kB/m ? $1 : 0;
}

# How many of them have an answer.
sub answered
{
	my @ready = IO::Select->new(@_)->can_read(0.4);
	return scalar @ready;
}

sub wait_policy
{
	my ($id, $etag) = @_;
	my $socket = connect_to($g->{port});
	print $socket "GET /v1/sandboxes/$id/policy HTTP/1.1\r\n"
	    . "Host: localhost\r\nIf-None-Match: $etag\r\nPrefer: wait=60\r\n\r\n";
	return $socket;
}

is(api($g, 'PUT', "/sb$_", { endpoint => '127.0.0.1', policy => $big })
    ->{status}, 201, "a large policy, sandbox $_") for 1 .. 20;
my $a = get($g->{port}, '/v1/sandboxes/sb1/policy');
cmp_ok(length $a->{body}, '>', 40000, 'as large as they come');
my %waits = map { $_ => wait_policy("sb$_", tag($a)) } 1 .. 20;
api($g, 'PUT', '/other', { endpoint => '127.0.0.1' }) for 1 .. 30;
my $before = resident();
my $open = { endpoint => '127.0.0.1', policy => { defaultAction => 'allow' } };
for my $n (1 .. 300) {
	api($g, 'PUT', '/other', { endpoint => '127.0.0.1',
	    hostHeader => "h$n.test", $n % 2 ? %$open : () });
	sleep 0.01;
}
my $grown = resident() - $before;
note "the worker has grown by $grown kB";
SKIP: {
	skip 'a sanitizer keeps what is freed', 1 if build_dir() =~ m{/san\b};
	cmp_ok($grown, '<', 4096, 'changes of others do not grow the worker');
}
is(answered(values %waits), 0, 'nor end a wait');

# Each wakes for its own.
api($g, 'PATCH', '/sb7', { policy => { defaultAction => 'allow' } });
$a = read_answer($waits{7});
is($a->{status}, 200, 'a change ends the wait of its sandbox');
is(json($a)->{defaultAction}, 'allow', '  with the policy');
delete $waits{7};
is(answered(values %waits), 0, '  and of no other');
api($g, 'PUT', '/sb8', { endpoint => '127.0.0.2', policy => $big });
api($g, 'PATCH', '/sb9', { policy => { defaultAction => 'allow' } })->{status}
    == 200 and api($g, 'PATCH', '/sb9', { policy => $big });
cmp_ok(answered($waits{8}, $waits{9}), '<=', 1,
    'nor does a change of something else, or one that is taken back at once');
api($g, 'DELETE', '/sb10');
is(read_answer($waits{10})->{status}, 404, 'the end of a sandbox does');
api($g, 'DELETE', '/sb11');
api($g, 'PUT', '/sb11', { endpoint => '127.0.0.1', policy => { egress => [] } });
$a = read_answer($waits{11});
ok($a->{status} == 404 || $a->{status} == 200, 'also where another follows');
api($g, 'POST', '', [map { { id => "sb$_", endpoint => '127.0.0.1' } } 12, 13]);
is(read_answer($waits{$_})->{status}, 200, "an array does: sb$_") for 12, 13;
close delete $waits{14};
my @rest = @waits{15 .. 20};
reload($g);
is(read_answer($_)->{status}, 304, 'a reload ends those that are left') for @rest;
unlike(read_file("$g->{prefix}/error.log"), qr/\[alert\]|on signal/,
    'no process died, nothing was left open');

done_testing();
