#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# As many addresses as there is room for: each kind of policy holds that many,
# another name still finds a place, and a narrower policy is never refused.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;
use Time::HiRes qw(time);

my ($good, $evil) = qw(203.0.113.20 203.0.113.66);
my $full = 65536;
my $w = filter_world();
serve($w->{internet}, "$good,$evil", $_) for 25, 80, 8000, 9000;

sub apply
{
	my ($d, $what, $policy) = @_;
	my $begun = time;

	is(ask($d, "apply $policy"), 'ok applied', $what);
	note(sprintf('%s: %.0f ms', $what, (time - $begun) * 1000));
}

sub opens { hostile($w, 'tcp', @_) }

my $ports = join ',', 8000 .. 8063;
my $narrow = '{"defaultAction":"deny","egress":[{"action":"allow",'
    . "\"target\":\"*.wild.test\",\"ports\":[$ports]}]}";
my $none = '{"defaultAction":"deny","egress":[]}';
my %wide = (
	'default allow, all but one port' => '{"defaultAction":"allow","egress":'
	    . '[{"action":"deny","target":"*","ports":[25]}]}',
	'every port' => '{"defaultAction":"deny","egress":[{"action":"allow",'
	    . '"target":"*.wild.test"}]}',
	'many ports' => '{"defaultAction":"deny","egress":[{"action":"allow",'
	    . "\"target\":\"*.wild.test\",\"ports\":[80,8000,9000]},"
	    . "{\"action\":\"allow\",\"target\":\"*.wild.test\","
	    . "\"ports\":[$ports]}]}",
);

for my $kind (sort keys %wide) {
	my $d = drive($w, '--private');

	apply($d, "$kind: applied", $wide{$kind});
	is(ask($d, "learn a.wild.test $good 3000"), 'ok learned',
	    "$kind: one address");
	is(opens($good, 8000), 'open', "$kind: is open");
	is(ask($d, 'flood wild.test 1 ' . ($full - 1)),
	    'ok ' . ($full - 1) . ' learned, all', "$kind: $full addresses");
	is(opens($good, 8000), 'open', "$kind: open still");
	is(opens($good, 80), 'open', "$kind: on another port too");
	is(opens($good, 25), 'ECONNREFUSED', "$kind: port 25 is not")
	    if $kind ne 'every port';
	apply($d, "$kind: the same again", $wide{$kind});
	apply($d, "$kind: narrowed to 64 ports", $narrow);
	is(opens($good, 8000), 'open', "$kind: one of the 64");
	is(opens($good, 9000), 'ECONNREFUSED', "$kind: none of them");
	apply($d, "$kind: narrowed to nothing", $none);
	is(opens($good, 8000), 'ECONNREFUSED', "$kind: and closed");
	is(ask($d, 'remove'), 'ok removed', "$kind: removed");
	quit_drive($d);
}

done_testing();
