#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A real sidecar follows the policy that a real gateway serves: a change of an
# include and a reload, or a change by the API, and the sandbox's rights change;
# the gateway away, they stay.

use strict;
use warnings;
use Test::More;
use Harness;
use Ingress;
use Sidecar;

my $file = scratch() . '/names.conf';
my $ns = netns('sb');

sub include { write_file($file, join '', map { "allow $_;\n" } @_) }

include('one.test');
my $g = gateway(http => "opensandbox_policy dev { default deny; include $file; }
    opensandbox_sandbox sb-1 { endpoint 127.0.0.1; policy dev; }",
    server => 'location /v1/ { opensandbox_api; opensandbox_api_token t0; }');

my $pid = follow($ns,
	"http://127.0.0.1:$g->{port}/v1/sandboxes/sb-1/policy", 't0');

sub updates { return () = sidecar_log() =~ /"event":"egress\.updated"/g }

becomes('the include is in force', 'one.test');
for my $n (1 .. 3) {
	include('one.test', map { "n$_.test" } 1 .. $n);
	reload($g);
	becomes("reload $n: so is the changed one",
	    'one.test', map { "n$_.test" } 1 .. $n);
}
is(updates(), 4, 'each was taken once');

include('one.test', '-bad-.test!');
kill 'HUP', $g->{pid};
ok(wait_for(sub {
	read_file("$g->{prefix}/error.log") =~ /\[emerg\].*names\.conf:2/ }, 10),
    'a mistake is refused by the reload, with its place');
is(in_force(), rules('one.test', map { "n$_.test" } 1 .. 3),
    'and changes nothing');

is(api($g, 'PATCH', '/sb-1', { policy => { egress =>
	[{ action => 'allow', target => 'api.test' }] } },
    'Authorization: Bearer t0')->{status}, 200, 'a change by the API');
becomes('is followed', 'api.test');

stop($g->{pid}, 'QUIT');
ok(wait_for(sub { sidecar_log() =~ /policy URL failed/ }, 20),
    'the gateway goes away');
is(in_force(), rules('api.test'), 'the last policy stays');
include('back.test');
Ingress::launch($g);
becomes('and the gateway is followed again', 'back.test');

ok(alive($pid), 'the sidecar lives');
is(stop($pid), 0, 'and ends');

done_testing();
