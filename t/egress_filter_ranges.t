#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# A policy that has most of its ranges in common with the one before changes
# the kernel's maps instead of writing them anew: what is in them afterwards is
# what a fresh sandbox has of the same policy, element by element.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use FilterWorld;
use Harness;

my @map = qw(ranges4 ranges6);
my $seed = $ENV{SEED} // time;
srand $seed;
diag "SEED=$seed";

my $w = filter_world();
serve($w->{internet}, '203.0.113.20,203.0.113.21', 80);
my %fresh = (%$w, sandbox => netns('fresh'));
my ($d, $f) = (drive($w), drive(\%fresh));

sub document
{
	return '{"defaultAction":"deny","egress":[' . join(',', @_) . ']}';
}

sub rule
{
	my ($action, $target, $ports) = @_;
	return "{\"action\":\"$action\",\"target\":\"$target\""
	    . ($ports ? ",\"ports\":[$ports]}" : '}');
}

sub map_of
{
	my ($ns, $map) = @_;
	return run_in($ns, 'nft', 'list', 'map', 'inet', 'opensandbox', $map);
}

# Another map of the same name has another handle.
sub handles
{
	my $table = run_in($w->{sandbox}, 'nft', '-a', 'list', 'table', 'inet',
	    'opensandbox');
	return join ' ', map { $table =~ /map $_ \{ # handle (\d+)/ } @map;
}

# Apply to both, the other one with nothing to build upon.
sub same_as_fresh
{
	my @rules = @_;
	my $document = document(@rules);

	for (["apply $document", $d], ['apply {"egress":[]}', $f],
	    ["apply $document", $f]) {
		my $said = ask($_->[1], $_->[0]);
		return "$said: $document" if $said ne 'ok applied';
	}
	for my $map (@map) {
		my ($is, $want) = map { map_of($_->{sandbox}, $map) } $w, \%fresh;
		return "$document\n$is\n$want" if $is ne $want;
	}
	return 'the same';
}

my @many = map { rule('allow', "20.0.$_.0/25") } 1 .. 100;

subtest 'few changes leave the maps' => sub {
	is(same_as_fresh(@many), 'the same', 'a hundred ranges');
	my $before = handles();
	is(same_as_fresh(@many[1 .. 99]), 'the same', 'the first goes');
	is(same_as_fresh(@many[1 .. 98]), 'the same', 'the last goes');
	is(same_as_fresh(@many[1 .. 50, 52 .. 98]), 'the same', 'one between');
	is(same_as_fresh(@many), 'the same', 'they come again');
	is(same_as_fresh(rule('deny', '20.0.7.0/26'), @many), 'the same',
	    'one is cut in two');
	is(same_as_fresh(rule('deny', '20.0.7.64/32'), @many), 'the same',
	    'in three, at another place');
	is(same_as_fresh(rule('deny', '20.0.7.0/25'), @many), 'the same',
	    'one has another verdict');
	is(same_as_fresh(@many, rule('allow', '20.0.7.128/25')), 'the same',
	    'its neighbour comes');
	is(same_as_fresh(@many, rule('allow', '255.255.255.0/24'),
		rule('allow', '0.0.0.0/32')), 'the same', 'both ends');
	is(same_as_fresh(@many, rule('allow', '255.255.255.255')), 'the same',
	    'the last address alone');
	is(same_as_fresh(@many, rule('allow', '2001:db8::/64'),
		rule('allow', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120')),
	    'the same', 'IPv6 comes');
	is(same_as_fresh(@many), 'the same', 'and goes');
	is(handles(), $before, 'with the maps of before');
	is(same_as_fresh(map { rule('deny', "20.0.$_.0/25") } 1 .. 100),
	    'the same', 'all are denied');
	isnt(handles(), $before, 'in other maps');
	is(same_as_fresh(@many, rule('allow', '0.0.0.0/0')), 'the same',
	    'all that is left');
};

subtest 'ports' => sub {
	my @ports = (@many, rule('allow', '30.0.0.0/8', '443'),
	    rule('allow', '31.0.0.0/8', '80, 443'));
	is(same_as_fresh(@ports), 'the same', 'two ranges with ports');
	my $before = handles();
	is(same_as_fresh(@ports[1 .. 101]), 'the same', 'a range less');
	is(same_as_fresh(@many, rule('allow', '30.0.0.0/8', '22'),
		rule('allow', '31.0.0.0/8', '80, 443')), 'the same',
	    'other ports');
	is(same_as_fresh(@many, rule('allow', '31.0.0.0/8', '80, 443'),
		rule('allow', '30.0.0.0/8', '22')), 'the same', 'in other order');
	is(handles(), $before, 'with the maps of before');
	is(same_as_fresh(@many, rule('allow', '30.0.0.0/8', '443')), 'the same',
	    'one range without its ports');
};

subtest 'what passes' => sub {
	is(same_as_fresh(@many, rule('allow', '203.0.113.20')), 'the same',
	    'one is allowed');
	is(hostile($w, 'tcp', '203.0.113.20', 80), 'open', 'and opens');
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'ECONNREFUSED',
	    'its neighbour does not');
	is(same_as_fresh(@many, rule('allow', '203.0.113.21')), 'the same',
	    'the neighbour is allowed instead');
	is(hostile($w, 'tcp', '203.0.113.20', 80), 'ECONNREFUSED',
	    'the one does not open any more');
	is(hostile($w, 'tcp', '203.0.113.21', 80), 'open', 'the neighbour does');
};

# What the kernel does not expect to be there is no reason to fail.
subtest 'somebody emptied the map' => sub {
	is(same_as_fresh(@many), 'the same', 'a hundred ranges');
	run_in($w->{sandbox}, 'nft', 'flush', 'map', 'inet', 'opensandbox',
	    'ranges4');
	is(same_as_fresh(@many[0 .. 98]), 'the same', 'one goes');
	run_in($w->{sandbox}, 'nft', 'add', 'element', 'inet', 'opensandbox',
	    'ranges4', '{ 20.0.100.0/28 : goto refuse }');
	is(same_as_fresh(@many), 'the same', 'one comes where another is');
};

# Ranges that touch and overlap, a few rules changed at a time.
subtest 'at random' => sub {
	my $range = sub {
		my $bits = 20 + int rand 13;
		my $n = int(rand 1 << ($bits - 18)) << (32 - $bits);
		my $v6 = rand() < 0.2;
		my @octets = (10, 9, $n >> 8 & 255, $n & 255);
		return rule(rand() < 0.6 ? 'allow' : 'deny', $v6
		    ? sprintf('2001:db8::%x/%d', $n & 0xffff, 96 + $bits)
		    : join('.', @octets) . "/$bits",
		    rand() < 0.1 ? 1 + int rand 3 : undef);
	};
	my @rules = map { $range->() } 1 .. 40;
	my $wrong = '';
	for my $step (1 .. 30) {
		splice @rules, int rand @rules, int rand 3;
		splice @rules, int rand @rules, 0,
		    map { $range->() } 1 .. 1 + int rand 3
		    if @rules < 45;
		$wrong = same_as_fresh(@rules);
		last if $wrong ne 'the same';
	}
	is($wrong, 'the same', 'always');
};

quit_drive($_) for $d, $f;
done_testing();
