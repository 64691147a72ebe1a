#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# A change of policy writes what differs: the sets of what was learned stay in
# the kernel, and hold what the new policy gives them, no more and no less.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

my ($good, $fine, $evil) = qw(203.0.113.20 203.0.113.21 203.0.113.66);
my $many = 3000;
my $w = filter_world();
serve($w->{internet}, "$good,$fine,$evil", $_) for 80, 8000;
my $d = drive($w, '--private');

sub rule
{
	my ($action, $target, @ports) = @_;
	my $ports = @ports ? ',"ports":[' . join(',', @ports) . ']' : '';
	return "{\"action\":\"$action\",\"target\":\"$target\"$ports}";
}

sub apply
{
	my ($what, @rules) = @_;
	is(ask($d, 'apply {"defaultAction":"deny","egress":['
	    . join(',', @rules) . ']}'), 'ok applied', $what);
}

sub opens { hostile($w, 'tcp', @_) }

sub listed
{
	my ($set) = @_;
	return scalar run_in($w->{sandbox}, 'nft', '-a', 'list', 'set', 'inet',
	    'opensandbox', $set);
}

sub handles
{
	return join ' ', map { listed($_) =~ /# handle (\d+)/ }
	    @_ ? @_ : qw(learned4 learned4_ports grace4 grace4_ports);
}

sub elements
{
	my $n = () = listed($_[0]) =~ /comment/g;
	return $n;
}

sub element
{
	return listed('learned4') =~ /(\Q$_[0]\E [^,}]*)/ ? $1 : 'none';
}

# Those that are as they were learned: one that is written again has what is
# left of its lease for its timeout.
sub first
{
	my $n = () = listed($_[0]) =~ /timeout 50m30s /g;
	return $n;
}

my @wide = (rule('allow', '*.wild.test', 80, 8000),
    rule('allow', '*.other.test'));
apply('two wildcards', @wide);
is(ask($d, "learn a.wild.test $good 3000"), 'ok learned', 'on ports');
is(ask($d, "learn b.other.test $evil 3000"), 'ok learned', 'on all');
is(ask($d, "flood wild.test 1 $many"), "ok $many learned, all", 'many');
is(ask($d, "flood other.test 2 $many"), "ok $many learned, all", 'and more');
my $before = handles();
like($before, qr/^\d+( \d+){3}$/, 'four sets');

subtest 'the same policy writes nothing' => sub {
	ask($d, 'later 3');
	apply('again', @wide) for 1 .. 3;
	is(handles(), $before, 'the sets are the same');
	is(first($_), $many + 1, "$_: each element too")
	    for qw(learned4 learned4_ports);
	is(opens($good, 8000), 'open', 'a listed port');
	is(opens($evil, 80), 'open', 'any port');
	is(elements('learned4_ports'), $many + 1, 'all there');
};

subtest 'one name less, one element' => sub {
	is(ask($d, "learn c.other.test $fine 3000"), 'ok learned', 'learned');
	is(opens($fine, 80), 'open', 'is open');
	apply('denied', rule('deny', 'c.other.test'), @wide);
	is(first('learned4'), $many + 1, 'no other is written');
	is(opens($fine, 80), 'ECONNREFUSED', 'and closed');
	is(opens($evil, 80), 'open', 'another is open');
	is(handles(), $before, 'the sets are the same');
};

subtest 'another list of ports' => sub {
	my $other = handles('learned4', 'grace4');
	apply('one port less', rule('allow', '*.wild.test', 80), $wide[1]);
	is(opens($good, 8000), 'ECONNREFUSED', 'it is closed');
	is(opens($good, 80), 'open', 'the other is open');
	is(opens($evil, 8000), 'open', 'who has all still does');
	is(handles('learned4', 'grace4'), $other, 'in the same set');
	for my $i (1 .. 70) {
		ask($d, 'apply {"defaultAction":"deny","egress":['
		    . join(',', rule('allow', 'a.wild.test', 1000 + $i),
		    rule('allow', '*.wild.test', 80), $wide[1]) . ']}');
	}
	is(opens($good, 80), 'open', 'after many other lists');
	is(opens($good, 8000), 'ECONNREFUSED', 'and none that was');
	is(opens($good, 1070), 'ECONNREFUSED', 'nobody serves the last');
	apply('back', @wide);
	is(opens($good, 8000), 'open', 'open again');
	is(elements('learned4_ports'), $many + 1, 'all there');
	my $chain = run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
	    'opensandbox', 'named4');
	my $rules = () = $chain =~ /\@learned4_ports/g;
	is($rules, 4, 'and rules for its two ports, TCP and UDP, alone');
};

subtest 'one of two names: its lease, and its name' => sub {
	is(ask($d, "learn short.other.test $fine 300"), 'ok learned', 'short');
	is(ask($d, "learn long.other.test $fine 3000"), 'ok learned', 'long');
	like(element($fine), qr/long\.other/, 'the long one');
	$before = handles();
	apply('without it', rule('deny', 'long.other.test'), @wide);
	like(element($fine), qr/expires 5m.*short\.other/, 'the other one');
	is(opens($fine, 80), 'open', 'is open');
	is(handles(), $before, 'the sets are the same');
};

subtest 'what somebody took away is written whole' => sub {
	apply('the two wildcards', @wide);
	run_in($w->{sandbox}, 'nft', 'flush', 'set', 'inet', 'opensandbox',
	    'learned4');
	ok(wait_for(sub { ask($d, 'lost') ne 'ok nothing' }), 'it is noticed');
	apply('again', @wide);
	is(opens($evil, 80), 'open', 'open again');
	cmp_ok(elements('learned4'), '>=', $many + 1, 'all there');
	run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
	ok(wait_for(sub { ask($d, 'lost') ne 'ok nothing' }), 'and all of it');
	apply('again', @wide);
	is(opens($evil, 80), 'open', 'open again');
	is(opens($good, 8000), 'open', 'on ports too');
	is(elements('learned4_ports'), $many + 1, 'all there');
};

subtest 'ended leases are for what is open alone' => sub {
	my $held = hostile_start($w, 'hold', $good, 80, 60);
	ask($d, 'later 4000');
	apply('later', @wide);
	is(opens($good, 80), 'ECONNREFUSED', 'nothing new');
	is(elements('grace4_ports'), $many + 1, 'all of them');
	is(elements('learned4_ports'), 0, 'none of those');
	$before = handles();
	apply('again', @wide) for 1 .. 3;
	is(handles(), $before, 'the sets are the same');
	ok(alive($held), 'the open one lives');
	apply('its name denied', rule('deny', 'a.wild.test'), @wide);
	like(said($held, 60), qr/^E(CONNRESET|CONNABORTED|PIPE)/, 'and ends');
	is(elements('grace4_ports'), $many, 'one less');
};

is(ask($d, 'remove'), 'ok removed', 'removed');
quit_drive($d);
done_testing();
