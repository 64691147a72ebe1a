#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# Whoever is root under our user and may mark packets could guess the mark that
# lets our own traffic out. A few guesses are judged as without the mark; one
# too many, and for a while the right one is of no use either.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

use constant {
	MARK  => '0x5a17c0de',
	WRONG => '0x5a17c0df',
	PORT  => 15380,
	TRIES => 16,
};

my ($resolver, $good, $fine, $evil) = map { "203.0.113.$_" } 53, 20, 21, 66;
my ($resolver6, $good6, $fine6) = map { "2001:db8:113::$_" } 53, 20, 21;
my ($own, $stub) = ('10.99.0.2', '127.0.0.11');

my $w = filter_world();
serve($w->{internet}, "$resolver,$resolver6", 53);
serve($w->{internet}, "$good,$fine,$good6,$fine6", $_) for 443, 8000;
serve($w->{sandbox}, $stub, 53);
start(name => 'gate', netns => $w->{sandbox}, cmd => [python(),
	tool('plain_gate.py'), PORT, MARK]);
my $gate_log = scratch() . '/gate.log';
wait_for(sub { read_file($gate_log) =~ /listening/ });

my @resolvers = map { ('--resolver', $_) } $resolver, $resolver6, $stub;
my @gate = ('--gate-port', PORT, '--gated', '443');
my @peers = map { ('--peer', "$_#8000") } $fine, $fine6;
my $policy = '{"defaultAction":"deny","egress":[{"action":"allow",'
    . '"target":"good.test"}]}';

sub listed
{
	my ($set) = @_;
	return scalar run_in($w->{sandbox}, 'nft', 'list', 'set', 'inet',
	    'opensandbox', $set);
}

sub locked { return listed('locked') =~ /elements/ ? 1 : 0 }

# What would take its time.
sub unlock
{
	run_in($w->{sandbox}, 'nft', 'flush set inet opensandbox tried;'
	    . 'flush set inet opensandbox locked');
}

# What earlier attempts have still to say counts as well.
sub calm
{
	run_in($w->{sandbox}, 'ss', '-K', '-tn', 'dport = :443 or dport = :53'
	    . ' or dport = :8000');
	unlock();
}

# An attempt with a mark.
sub marked
{
	my ($kind, $address, $port, $mark) = @_;
	return hostile($w, 'udp', $address, $port, 0, $mark) if $kind eq 'udp';
	return hostile($w, 'tcp', $address, $port, $mark);
}

# What a server sees of a mark that it is sent: SO_RCVMARK.
sub seen_mark
{
	my ($device, $address, $port, $mark) = @_;
	my $sniffer = hostile_start($w, 'marks_seen', $device, 2);
	marked('udp', $address, $port, $mark);
	return said($sniffer) =~ /\b\Q$mark\E\b/ ? 'as it is' : 'not';
}

sub place
{
	my ($address) = @_;
	return $address =~ /53$/ ? 'resolver' : 'good';
}

sub holds
{
	my (@holes) = @_;

	for my $hole (@holes) {
		my ($name, $kind, $address, $port) = @$hole;

		calm();
		hostile($w, 'guess', $kind, $address, $port, TRIES);
		is(locked(), 0, "$name: so many tries lock nothing");
		is(marked($kind, $address, $port, MARK), 'open',
		    "$name: ours goes there");
		unlock();
		hostile($w, 'guess', $kind, $address, $port, 300);
		select undef, undef, undef, 0.3; # what the gate took before
		reset_counts($w);
		is(locked(), 1, "$name: more do");
		my $said = marked($kind, $address, $port, MARK);
		like($said, qr/^(EPERM|timeout)/, "$name: nor the right mark");
		is(marked($kind, $address, $port, WRONG), $said,
		    "$name: which looks like a wrong one");
		is(arrived($w, place($address)), 0, "$name: nothing arrived");
	}
	unlock();
}

my $d = drive($w, '--mark', MARK, @resolvers, @gate, @peers, '--log', 7);
is(ask($d, "apply $policy"), 'ok applied', 'all that there may be');
ask($d, "learn good.test $_ 300") for $good, $good6;

subtest 'in a connection of ours' => sub {
	my $held = hostile_start($w, 'hold', $good, 443, 60);
	my $port;
	ok(wait_for(sub { ($port) = read_file($gate_log) =~ /by (\d+)$/m }),
	    'the gate goes on');
	hostile($w, 'guess', 'segment', $good, 443, 300, $own, $port);
	is(locked(), 1, 'guesses count');
	select undef, undef, undef, 0.3;
	reset_counts($w);
	is(hostile($w, 'segment', $own, $port, $good, 443, MARK), 'sent 0',
	    'the right mark is none');
	is(arrived($w, 'good'), 0, 'nothing arrived');
	unlock();
	ok(wait_for(sub { arrived($w, 'good') > 0 }), 'it goes on');
	ok(alive($held), 'and lives');
	stop($held);
};

# Whatever tells the right mark from wrong ones where nobody counts is as good
# as an answer.
subtest 'elsewhere no mark is special' => sub {
	unlock();
	for my $way (['lo', '127.0.0.1', 9], ['eth0', $good, 8000]) {
		is(seen_mark(@$way, $_), 'as it is', "@$way: $_ is seen")
		    for WRONG, MARK;
	}
	my $front = serve($w->{sandbox}, '127.0.0.1', 15353);
	is(marked('tcp', $evil, 53, $_), 'open', "DNS over TCP with $_")
	    for WRONG, MARK;
	stop($front);
	hostile($w, 'segment', $own, 41000 + $_->[0], $good, 8000, $_->[1])
	    for [1, WRONG], [2, MARK];
	my $known = run_in($w->{sandbox}, 'cat', '/proc/net/nf_conntrack');
	unlike($known, qr/dport=8000 .*zone-orig=1/, 'nor has a connection a zone');
	is(locked(), 0, 'nothing of which was counted');
	my $held = hostile_start($w, 'remarked', $good, 443, 300);
	is(said($held), 'stopped', 'marks of a socket in the gate\'s way');
	is(locked(), 1, 'are');
	unlock();
};

subtest 'wherever the mark leads' => sub {
	holds(['a resolver', 'udp', $resolver, 53],
	    ['a resolver over TCP', 'tcp', $resolver, 53],
	    ['a resolver over IPv6', 'udp', $resolver6, 53],
	    ['a resolver over both', 'tcp', $resolver6, 53],
	    ['a resolver on loopback', 'udp', $stub, 53],
	    ['the same over TCP', 'tcp', $stub, 53],
	    ['an outlet', 'tcp', $fine, 8000],
	    ['an outlet over IPv6', 'tcp', $fine6, 8000],
	    ['past the gate', 'tcp', $good, 443],
	    ['past the gate over IPv6', 'tcp', $good6, 443]);
};

subtest 'one for all' => sub {
	is(ask($d, "apply $policy"), 'ok applied', 'all is ours again');
	ask($d, "learn good.test $_ 300") for $good, $good6;
	hostile($w, 'guess', 'udp', $resolver, 53, 300);
	reset_counts($w);
	isnt(marked(@$_, MARK), 'open', "@$_") for ['tcp', $good6, 443],
	    ['tcp', $fine, 8000], ['udp', $stub, 53], ['udp', $resolver6, 53];
	is(arrived_nothing($w, qw(good resolver)), '', 'nothing arrived');
	is(hostile($w, 'tcp', $good, 8000), 'open',
	    'the sandbox goes where it may');
	is(hostile($w, 'udp', $resolver, 53), 'ECONNREFUSED',
	    'its questions come to us');
	is(ask($d, "apply $policy"), 'ok applied', 'a change of policy');
	is(locked(), 1, 'ends no lock');
	calm();
	ask($d, 'log');
	my ($before) = ask($d, 'counts') =~ /guessed (\d+)/;
	hostile($w, 'guess', 'udp', $resolver, 53, 300);
	select undef, undef, undef, 0.3; # the kernel gathers them
	my @told = ask($d, 'log') =~ /(\S+) proto 17 port 53 guess;/g;
	is("@told", $resolver, 'told once');
	my ($after) = ask($d, 'counts') =~ /guessed (\d+)/;
	is($after - $before, 300 - TRIES, 'all of them are counted');
	unlock();
};

subtest 'by turns' => sub {
	calm();
	hostile($w, 'guess', 'udp', $resolver, 53, 6);
	hostile($w, 'guess', 'tcp', $good, 443, 6);
	is(locked(), 0, 'six here and six there');
	hostile($w, 'guess', 'tcp', $fine6, 8000, 6);
	is(locked(), 1, 'and six elsewhere');
	unlock();
};

subtest 'between the same two ends' => sub {
	hostile($w, 'guess', 'segment', @$_, 300, $own, 40001)
	    for [$good, 443];
	is(locked(), 1, 'guesses count past the gate');
	reset_counts($w);
	is(hostile($w, 'segment', $own, 40001, $good, 443, MARK), 'sent 0',
	    'the right mark is none');
	is(arrived($w, 'good'), 0, 'nothing arrived');
	unlock();
};

subtest 'another user' => sub {
	in_netns($w->{sandbox}, sub { capture('setpriv', '--reuid', '65534',
	    '--inh-caps', '+net_raw', '--ambient-caps', '+net_raw', python(),
	    tool('hostile.py'), 'guess', 'udp', $resolver, 53, 300); '' });
	is(locked(), 1, 'finds out nothing either');
	unlock();
};

subtest 'marks of others' => sub {
	calm();
	hostile($w, 'guess', @$_, 300) for ['udp', $good, 8000],
	    ['tcp', $evil, 53], ['tcp', $evil, 8000],
	    ['tcp', $good, 8000], ['udp', $evil, 53], ['udp', $evil, 7],
	    ['udp', $good, 443];
	is(locked(), 0, 'elsewhere lock nothing');
	is(hostile($w, 'tcp', $good, 8000, WRONG), 'open', 'and are no hindrance');
	hostile($w, 'udp', $resolver, 53, 0, WRONG) for 1 .. TRIES + 4;
	hostile($w, 'tcp', $good, 443, WRONG) for 1 .. 4;
	is(locked(), 0, 'nor does the same one, ever again');
	is(hostile($w, 'tcp', $good, 443, WRONG), 'open', 'which the gate takes');
};

subtest 'the end of a lock' => sub {
	hostile($w, 'guess', 'udp', $resolver, 53, 300);
	isnt(marked('udp', $resolver, 53, MARK), 'open', 'locked');
	ok(wait_for(sub { !locked() }, 60), 'it ends');
	is(marked('udp', $resolver, 53, MARK), 'open', 'we ask again');
	is(marked('tcp', $good, 443, MARK), 'open', 'and the gate goes on');
	hostile($w, 'guess', 'udp', $resolver, 53, 300);
	is(locked(), 1, 'whoever goes on guessing is locked out again');
	isnt(marked('udp', $resolver, 53, MARK), 'open', 'in vain');
};
quit_drive($d);

subtest 'a gate alone' => sub {
	my $d2 = drive($w, '--mark', MARK, @gate);
	ask($d2, "apply $policy");
	ask($d2, "learn good.test $_ 300") for $good, $good6;
	holds(['IPv4', 'tcp', $good, 443], ['IPv6', 'tcp', $good6, 443]);
	quit_drive($d2);
};

subtest 'DNS alone' => sub {
	my $d2 = drive($w, '--mark', MARK, @resolvers, '--dns-only');
	ask($d2, "apply $policy");
	holds(['UDP', 'udp', $resolver, 53], ['TCP', 'tcp', $resolver, 53]);
	is(marked('tcp', $good, 8000, MARK), 'open', 'all else is as ever');
	quit_drive($d2);
};

subtest 'where there is nothing to guess' => sub {
	for my $options ([], ['--mark', MARK, @resolvers, '--audit']) {
		my $d2 = drive($w, @$options);
		ask($d2, "apply $policy");
		unlike(run_in($w->{sandbox}, 'nft', 'list', 'ruleset'),
		    qr/guess|tried|locked/, "no rule: @$options");
		quit_drive($d2);
	}
};

done_testing();
