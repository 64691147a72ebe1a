#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Sources outlive reloads, binary upgrades, another size of the zone and, with
# a state file, restarts. Where a worker dies in the middle of taking all of a
# source, another one does the rest of what was decided, and else nothing.

use strict;
use warnings;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $g;

sub feed
{
	my ($source, @records) = @_;
	return json(api($g, 'PUT', "?source=$source", \@records));
}
sub entry { my $id = shift; return { id => $id, endpoint => '10.0.0.1', @_ } }
sub fed { return json(get($g->{port}, "/v1/sources/$_[0]")) }
sub shown
{
	return join ' ', map { "$_->{id}=$_->{source}" }
	    @{ json(api($g, 'GET', '?limit=1000'))->{sandboxes} };
}

my $declare = 'opensandbox_sandbox inc { endpoint 127.0.0.1; }';
my $zone = 'opensandbox_zone sandboxes:4m state=%PREFIX%/state;';
$g = gateway(daemon => 1, zone => $zone,
    http => $declare);
feed('docker', entry('a'), entry('b'));
feed('pods', entry('p'));
api($g, 'PUT', '/mine', { endpoint => '127.0.0.1' });
my $all = 'a=docker b=docker inc=include mine=api p=pods';
is(shown(), $all, 'records of several sources');
my $fed = fed('docker');
is($fed->{records}, 2, '  one was fed in whole');
reload($g);
is(shown(), $all, 'a reload keeps them');
is_deeply(fed('docker'), $fed, '  and when they were fed');
reload($g, zone => $zone =~ s/4m/8m/r, http => $declare);
is(shown(), $all, 'so does another size');
is_deeply(fed('docker'), $fed, '  when, too');
my $new = upgrade($g);
is(shown(), $all, 'a binary upgrade');
is_deeply(fed('docker'), $fed, '  and when');
quit($g->{pid});
$g->{pid} = adopt($new, 'upgraded');
is_deeply(feed('docker', entry('a'), entry('c')),
    { added => 1, changed => 0, removed => 1, unchanged => 1, conflicts => [] },
    '  whose workers go on from there');
ok(wait_for(sub { read_file("$g->{prefix}/state") =~ /"c","source":"docker"/ }, 20),
    'the state file has sources');
restart($g);
is(shown(), 'a=docker c=docker inc=include mine=api p=pods', 'a restart takes them from it');
is(get($g->{port}, '/v1/sources/docker')->{status}, 404, '  to be fed again');
is(api($g, 'PUT', '/a', { endpoint => '127.0.0.1' })->{status}, 409, '  each with its source');
is_deeply(feed('docker', entry('a'), entry('c')),
    { added => 0, changed => 0, removed => 0, unchanged => 2, conflicts => [] },
    '  nothing of which has changed');

# What comes to be declared is the configuration's, and is a conflict then.
reload($g, zone => $zone,
    http => "$declare opensandbox_sandbox a { endpoint 127.0.0.1; }");
is(shown(), 'a=include c=docker inc=include mine=api p=pods',
    'what a reload declares is the configuration\'s');
is_deeply(feed('docker', entry('a'), entry('c'))->{conflicts}, ['a'], '  and its feeder is told');
is(fed('docker')->{records}, 1, '  the counts go along');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# 300 stay, 200 go, 200 change, 200 come.
$g = gateway(workers => 1);
my @before = map { entry("k$_") } 1 .. 700;
my @after = ((map { entry("k$_") } 1 .. 300),
    (map { entry("k$_", accessToken => 't') } 501 .. 700), map { entry("k$_") } 701 .. 900);
sub tally
{
	my ($secure, $n, %ids) = (0, 0);
	my $after = '';
	do {
		my $page = json(api($g, 'GET', "?limit=1000&after=$after"));
		for (@{ $page->{sandboxes} || [] }) {
			$n++;
			$secure++ if $_->{secure};
			$ids{ $_->{id} }++;
		}
		$after = $page->{next} // '';
	} while ($after);
	my $gone = grep { $ids{"k$_"} } 301 .. 500;
	return "$n records, $secure changed, $gone old";
}
my ($is_old, $is_new) = ('700 records, 0 changed, 200 old', '700 records, 200 changed, 0 old');
for my $case (
	['sheet_note', 1, 5], ['sheet_note', 150, 30], ['sheet_note', 350, 1],
	['batch_commit', 1, 1],
	['table_remove', 1, 1], ['table_remove', 1, 30], ['table_remove', 70, 12],
	['table_remove', 199, 300], ['table_publish', 1, 1], ['table_publish', 65, 200],
	['table_publish', 399, 500], ['batch_close', 1, 60],
) {
	my ($function, $call, $n) = @$case;
	feed('docker', @before);
	is(tally(), $is_old, "before a worker dies in $function, call $call, instruction $n");
	ok(worker_dies($g, $function, $call, $n, sub { eval { feed('docker', @after) } }),
	    '  it dies') or next;
	my $want = $function =~ /sheet|commit/ ? $is_old : $is_new;
	ok(wait_for(sub { tally() eq $want }, 20), "  then there are $want") or diag(tally());
	is(fed('docker')->{records}, 700, '  and counted');
	is_deeply(feed('docker', @after), $want eq $is_new
	    ? { added => 0, changed => 0, removed => 0, unchanged => 700, conflicts => [] }
	    : { added => 200, changed => 200, removed => 200, unchanged => 300, conflicts => [] },
	    '  the next array is taken');
}

# One that is killed at any moment, and the next array at once
for my $round (1 .. 10) {
	feed('docker', @before);
	my ($pid) = workers($g);
	my $child = spawn("feed$round", sub { eval { feed('docker', @after) } });
	sleep 0.002 * $round;
	kill 'KILL', $pid;
	wait_exit($child, 20);
	wait_for(sub { grep { $_ != $pid } workers($g) }, 10);
	my $last = feed('docker', @after, entry('last'));
	is($last->{added} . ' ' . tally(), ($last->{changed} ? 201 : 1)
	    . ' 701 records, 200 changed, 0 old', 'killed, and fed again');
}
unlike(read_file("$g->{prefix}/error.log"), qr/signal (?:11|6|7)\b/,
    'no worker died of itself');
done_testing();
