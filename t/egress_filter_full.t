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

# Clock ticks that the program itself has used.
sub ticks
{
	my ($d) = @_;

	return (split ' ', read_file("/proc/$d->{pid}/stat") =~ s/^.*\) //sr)[11];
}

# What many ports cost is paid once, not again for each address.
{
	my $d = drive($w, '--private');
	my $apart = join ',', map { 8000 + 2 * $_ } 0 .. 63;
	my %cost;

	apply($d, 'all ports', $wide{'every port'});
	is(ask($d, "flood wild.test 1 $full"), "ok $full learned, all",
	    "all ports: $full addresses");
	for my $kind (qw(one many)) {
		my $begun = ticks($d);

		apply($d, "narrowed to $kind", $narrow =~ s/\[8000[^]]*/[/r
		    =~ s/"ports":\[/'"ports":[' . ($kind eq 'one' ? 8000
			: $apart)/er);
		$cost{$kind} = ticks($d) - $begun;
		apply($d, "all after $kind", $wide{'every port'});
	}
	cmp_ok($cost{many}, '<=', 3 * $cost{one} + 50,
	    "64 ports cost no more ($cost{many}) than one ($cost{one})");
	is(ask($d, 'remove'), 'ok removed', 'all ports: removed');
	quit_drive($d);
}

# One wildcard's names take from themselves alone.
my $d = drive($w, '--private');
my $both = '{"defaultAction":"deny","egress":['
    . '{"action":"allow","target":"*.wild.test"},'
    . '{"action":"allow","target":"*.other.test","ports":[80]}]}';
sub elements
{
	my $n = () = run_in($w->{sandbox}, 'nft', 'list', 'set', 'inet',
	    'opensandbox', $_[0]) =~ /expires/g;
	return $n;
}
apply($d, 'two wildcards', $both);
is(ask($d, "flood wild.test 1 $full"), "ok $full learned, all", 'one fills all');
is(elements('learned4'), $full, 'the kernel has them');
is(ask($d, "learn a.wild.test $evil 3000"),
    'error -28 No space left on device', 'there is no more for it');
is(opens($evil, 80), 'ECONNREFUSED', 'which is not let in');
is(ask($d, "learn a.other.test $good 3000"), 'ok learned',
    'but there is for another');
is(opens($good, 80), 'open', 'which is');
is(ask($d, 'flood other.test 2 1000'), 'ok 1000 learned, all', 'and for more');
is(elements('learned4_ports'), 1001, 'the kernel has these');
cmp_ok(elements('learned4'), '<=', $full - 1001, 'and as many less of those');
is(ask($d, "flood other.test 2 $full"), 'ok 32767 learned, No space left on'
    . ' device', 'for half of all');

# Nor does want of memory stop a narrowing: what was learned goes.
SKIP: {
	skip 'a sanitizer ends where memory does', 5
	    if build_dir() =~ m{/san$};
	my $size = (read_file("/proc/$d->{pid}/status") =~ /VmSize:\s+(\d+)/)[0];
	run('prlimit', "--pid=$d->{pid}", '--as=' . ($size + 512) * 1024 . ':');
	apply($d, 'narrowed without memory', $narrow);
	is(opens($good, 80), 'ECONNREFUSED', 'it counts');
	is(elements('learned4') + elements('learned4_ports'), 0, 'nothing is learned');
	run('prlimit', "--pid=$d->{pid}", '--as=unlimited:');
	is(ask($d, "learn n0.wild.test $good 3000"), 'ok learned',
	    'but may be, anew');
	is(opens($good, 8000), 'open', 'and is let in');
}
is(ask($d, 'remove'), 'ok removed', 'removed');
quit_drive($d);

done_testing();
