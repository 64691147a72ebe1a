#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# Policies come and go, leases end, processes die: what is open stays open as
# long as it is allowed, and nothing slips through in between.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my ($good, $fine, $evil) = qw(203.0.113.20 203.0.113.21 203.0.113.66);

sub policy
{
	return '{"defaultAction":"deny","egress":[' . join(',', map {
		"{\"action\":\"allow\",\"target\":\"$_\"}" } @_) . ']}';
}

my $w = filter_world();
serve($w->{internet}, "$good,$fine,$evil,10.99.0.77", 80);
serve($w->{internet}, '2001:db8:113::20', 80);
my $d = drive($w);
is(ask($d, 'apply ' . policy('good.test', 'fine.test')), 'ok applied', 'apply');
is(ask($d, "learn good.test $good 30"), 'ok learned', 'learn one name');
is(ask($d, "learn fine.test $fine 30"), 'ok learned', 'learn another');

subtest 'a removed rule ends its connections, and only those' => sub {
	my $kept = hostile_start($w, 'hold', $good, 80, 4);
	my $ended = hostile_start($w, 'hold', $fine, 80, 20);
	my $idle = hostile_start($w, 'idle', $fine, 80, 20);
	my $idle_kept = hostile_start($w, 'idle', $good, 80, 4);
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied', 'one removed');
	my $begun = time;
	is(ask($d, 'end'), 'ok ended', 'sockets are ended');
	like(said($ended), qr/^E(CONNRESET|CONNABORTED|PIPE)/, 'the busy one');
	like(said($idle), qr/^E(CONNRESET|CONNABORTED|PIPE)/, 'the idle one');
	cmp_ok(time - $begun, '<', 2, 'soon');
	is(said($kept), 'alive', 'the allowed one lives');
	is(said($idle_kept), 'alive', 'idle or not');
	is(hostile($w, 'tcp', $fine, 80), 'ECONNREFUSED', 'no new one');
};

subtest 'without sock_diag the next packet ends it' => sub {
	is(ask($d, 'apply ' . policy('good.test', 'fine.test')), 'ok applied',
	    'allowed again');
	is(ask($d, "learn fine.test $fine 30"), 'ok learned', 'learn');
	# With pauses: an echo under way would be refused first, towards its
	# sender, and the connection be over without a word to us.
	my $ended = hostile_start($w, 'hold', $fine, 80, 20, 0.7);
	sleep 0.2;
	my $begun = time;
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied', 'removed');
	like(said($ended), qr/^ECONNRESET/, 'reset');
	cmp_ok(time - $begun, '<', 2, 'soon');
};

subtest 'an identical policy changes nothing' => sub {
	my $kept = hostile_start($w, 'hold', $good, 80, 2);
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied', 'again')
	    for 1 .. 5;
	is(said($kept), 'alive', 'the connection lives');
	is(hostile($w, 'tcp', $good, 80), 'open', 'and new ones are let in');
};

subtest 'a lease ends, its connection does not' => sub {
	is(ask($d, 'apply ' . policy('good.test', 'short.test')), 'ok applied',
	    'apply');
	is(ask($d, "element $evil 1"), 'ok ', 'an address for a second');
	my $kept = hostile_start($w, 'hold', $evil, 80, 3);
	sleep 2;
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'a new one is refused');
	is(said($kept), 'alive', 'the open one lives');
	is(ask($d, "element $evil 2"), 'ok ', 'again');
	is(ask($d, "element $evil 30"), 'ok ', 'and longer');
	sleep 2.5;
	is(hostile($w, 'tcp', $evil, 80), 'open', 'the longer one counts');
	is(ask($d, "element $fine 5"), 'ok ', 'another, for five seconds');
	sleep 2.6;
	is(ask($d, "element $fine 5"), 'ok ', 'for five more');
	sleep 2.6;
	is(hostile($w, 'tcp', $fine, 80), 'open', 'its clock was restarted');
	is(ask($d, "element $evil 0"), 'ok ', 'taken away');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'refused at once');
	is(ask($d, "element $evil 0"), 'ok ', 'taken away though absent');
};

subtest 'an ended lease and another policy' => sub {
	is(ask($d, 'apply ' . policy('good.test', 'long.test')), 'ok applied',
	    'apply');
	is(ask($d, "learn long.test $fine 30"), 'ok learned', 'learn');
	my $kept = hostile_start($w, 'hold', $fine, 80, 3);
	is(ask($d, 'later 100'), 'ok ', 'time passes');
	is(ask($d, 'apply ' . policy('long.test')), 'ok applied', 'apply');
	is(ask($d, 'end'), 'ok ended', 'end');
	is(hostile($w, 'tcp', $fine, 80), 'ECONNREFUSED', 'a new one is refused');
	is(said($kept), 'alive', 'the open one lives');
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied', 'apply');
};

subtest 'who connects inward' => sub {
	my $server = serve($w->{sandbox}, '10.99.0.2', 7000);
	my $in = sub {
		my ($source) = @_;
		return in_netns($w->{internet}, sub {
			my $s = IO::Socket::INET->new(PeerAddr => '10.99.0.2',
			    PeerPort => 7000, LocalAddr => $source,
			    Timeout => 1.5) or return 'refused';
			print $s "hello\n";
			return scalar(<$s>) ? 'open' : 'closed';
		});
	};
	is($in->('10.99.0.1'), 'open', 'a neighbour may');
	reset_counts($w);
	is($in->($good), 'refused', 'a stranger may not, allowed peer or not');
	is($in->($evil), 'refused', 'nor another');
	is(arrived_nothing($w, qw(good evil other)), '', 'and gets no answer');
	is(hostile($w, 'tcp', '10.99.0.1', 80), 'ECONNREFUSED',
	    'who may come in is not who may be called');
	stop($server);
};

subtest 'a connection from outside lives through policies' => sub {
	my $server = serve($w->{sandbox}, '10.99.0.2', 7001);
	my $said = in_netns($w->{internet}, sub {
		my $s = IO::Socket::INET->new(PeerAddr => '10.99.0.2',
		    PeerPort => 7001, Timeout => 2) or return "no: $@";
		$s->autoflush(1);
		for my $n (1 .. 5) {
			ask($d, 'apply ' . policy('good.test', "n$n.test"));
			ask($d, 'end');
			print $s "hello\n";
			return 'lost' unless defined scalar(<$s>);
		}
		return 'alive';
	});
	is($said, 'alive', 'five of them');
	stop($server);
};

subtest 'the next process takes over' => sub {
	is(ask($d, "learn good.test $good 30"), 'ok learned', 'learn');
	is(ask($d, 'apply ' . policy('good.test', 'fine.test')), 'ok applied',
	    'apply');
	is(ask($d, "learn fine.test $fine 30"), 'ok learned', 'learn');
	my $kept = hostile_start($w, 'hold', $good, 80, 4);
	my $ended = hostile_start($w, 'hold', $fine, 80, 20);
	my $denied = hostile_start($w, 'probe', $evil, 80, 3);
	reset_counts($w);
	quit_drive($d, 'KILL');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'meanwhile closed');
	is(hostile($w, 'tcp', $good, 80), 'open', 'meanwhile usable');
	$d = drive($w);
	is(hostile($w, 'tcp', $good, 80), 'open', 'opening changes nothing');
	is(ask($d, 'apply ' . policy('good.test', 'fine.test')), 'ok applied',
	    'apply');
	is(hostile($w, 'tcp', $good, 80), 'open', 'what was learned stays so');
	is(hostile($w, 'tcp', $fine, 80), 'open', 'and so does this');
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied', 'less');
	is(ask($d, 'end'), 'ok ended', 'end');
	is(hostile($w, 'tcp', $fine, 80), 'ECONNREFUSED',
	    'and is judged by its name');
	is(said($kept), 'alive', 'the open one lives');
	like(said($ended), qr/^E/, 'but not the revoked one');
	like(said($denied), qr/ sent 0$/, 'the denied one got nothing out');
	is(arrived($w, 'evil'), 0, 'and nothing arrived');
	my $rules = run_in($w->{sandbox}, 'nft', 'list', 'ruleset');
	my @tables = $rules =~ /^table/mg;
	is(scalar @tables, 2, 'two tables');
	my @judge = $rules =~ /goto judge/g;
	is(scalar @judge, 3, 'each rule once');
};

subtest 'a thousand replacements, a packet a millisecond' => sub {
	is(ask($d, "learn good.test $good 300"), 'ok learned', 'learn');
	my @many = map { '198.51.' . int($_ / 64) . '.' . ($_ % 64) * 4 . '/31' }
	    0 .. 299;
	my $one = policy('good.test', 'a.test');
	my $two = policy('good.test', @many);
	reset_counts($w);
	my $denied = hostile_start($w, 'probe', $evil, 80, 12);
	my $allowed = hostile_start($w, 'answered', $good, 80, 12);
	my $answer = ask($d, "repeat 1000 $one $two");
	like($answer, qr/^ok \d+$/, 'a thousand replacements');
	diag('microseconds a replacement: ' . ($answer =~ s/^ok //r));
	like(my $said = said($denied, 20), qr/^tried [1-9]\d{3,} sent 0$/,
	    'the denied packets were all refused');
	note($said);
	is(arrived($w, 'evil'), 0, 'none arrived');
	like(said($allowed), qr/ lost 0$/, 'of the allowed ones none was lost');
};

subtest 'failures change nothing' => sub {
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied', 'apply');
	is(ask($d, "learn good.test $good 30"), 'ok learned', 'learn');
	my $rules = run_in($w->{sandbox}, 'nft', '-s', 'list', 'table', 'inet',
	    'opensandbox');
	run_in($w->{sandbox}, 'nft', 'add', 'chain', 'inet', 'opensandbox',
	    'other');
	run_in($w->{sandbox}, 'nft', 'add', 'rule', 'inet', 'opensandbox',
	    'other', 'ip', 'saddr', '@inbound4', 'accept');
	is(hostile($w, 'tcp', $good, 80), 'open', 'open before');
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied',
	    'a foreign rule in our table goes');
	unlike(run_in($w->{sandbox}, 'nft', 'list', 'table', 'inet',
	    'opensandbox'), qr/chain other|saddr \@inbound4 accept/,
	    'with its chain');
	run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
	is(ask($d, "element $evil 5") =~ /^error/ ? 1 : 0, 1,
	    'learning without a table fails');
	is(ask($d, 'apply ' . policy('good.test')), 'ok applied',
	    'and the next policy brings it back');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'closed again');
};

is(ask($d, 'remove'), 'ok removed', 'released');
is(run_in($w->{sandbox}, 'nft', 'list', 'ruleset'), '', 'without a trace');
is(hostile($w, 'tcp', $evil, 80), 'open', 'and free');
quit_drive($d);
done_testing();
