# SPDX-License-Identifier: Apache-2.0
#
# The sidecar's worker, its supervisor, or both die by SIGKILL at random
# moments, under questions, connections and changes of policy; FAULTS_TIME says
# for how long. Not one packet leaves that no policy allows, connections live
# on, no policy is lost whose change was answered, and there is service again:
# by itself where the supervisor lives, else when it is started, which takes no
# more than that: the worker ends with its supervisor.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 13;
use Time::HiRes qw(sleep time);
use Faults;
use Harness;
use Hostile;
use World;

my $w = faults_world();
my $dir = scratch();
my $number = 0;
my $seed = $ENV{FAULTS_SEED} || time % 1e6;
srand $seed;
note "FAULTS_SEED=$seed";

sub begin
{
	return sidecar($w, name => 'sidecar-' . ++$number, env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test', '*.good.test'),
		OPENSANDBOX_EGRESS_POLICY_FILE => "$dir/policy.json" });
}

my $pid = begin();
ok(serves($w), 'there is service');
probe($w, 'kill');
my $held = hostile_start($w, NOBODY, 'held', 'hold', GOOD, 7, 3600);
ok(wait_for(sub { read_file("$dir/held.log") =~ /connected/ }),
    'a connection is open');
my $questions = spawn('questions', sub {
	for (my $i = 0;; $i++) {
		lookup($w, 'q' . $i % 200 . '.good.test');
	}
});

my (%done, $open, $silent, $lost, $left);
my ($acknowledged, $asked) = ('', '');
my $end = time + faults_time();
while (time < $end || !$done{worker} || keys %done < 2) {
	# A change, or one under way when the process dies.
	$asked = 'p' . ++$number . '.test';
	my $changing = spawn("change-$number", sub {
		my ($status) = api($w, 'PUT', '/policy',
		    policy_of('good.test', '*.good.test', $asked), '-m', 3);
		write_file("$dir/changed", "$asked " . ($status || 0));
	});
	sleep rand 0.2;
	my $worker = worker_of($pid);
	my $victim = (qw(worker worker both supervisor))[rand 4];
	$done{$victim}++;
	kill 'KILL', $victim eq 'worker' ? $worker : $victim eq 'both'
	    ? -getpgrp($pid) : $pid;
	$open++ if !refuses($w);
	wait_exit($changing, 10);
	if (read_file("$dir/changed") =~ /^(\S+) 200$/ && $1 eq $asked) {
		$acknowledged = $asked;
	}
	if ($victim ne 'worker') {
		wait_exit($pid, 5);
		$left++ if !wait_for(sub { !kill 0, $worker });
		$pid = begin();
	}
	if (!serves($w, 20)) {
		$silent++;
		last;
	}
	my (undef, undef, $now) = @{ wait_for(sub {
		my @a = api($w, 'GET', '/policy', undef, '-m', 2);
		return ($a[0] || 0) == 200 ? \@a : undef }, 10) || [] };
	my ($found) = map { $_->{target} } grep { $_->{target} =~ /^p\d+\.test$/ }
	    @{ $now->{policy}{egress} };
	$lost++ if ($found // '') ne $acknowledged && ($found // '') ne $asked;
	$acknowledged = $found // '';
}
note join ', ', map { "$_ died $done{$_} times" } sort keys %done;
cmp_ok($done{worker} // 0, '>', 0, 'workers died');
cmp_ok(($done{both} // 0) + ($done{supervisor} // 0), '>', 0, 'and supervisors');
is($open, undef, 'none of the deaths opened anything');
is($silent, undef, 'after each there was service');
is($left, undef, 'no worker outlives its supervisor');
is($lost, undef, 'no change that was answered is lost');
ok(alive($questions), 'questions were asked all the while');
is(read_file("$dir/held.log"), "connected\n",
    'the open connection has lived through it all');
ok(probes_alive(), 'the sandbox has tried to get out all the while');
is(leaked($w), 0, 'not one packet left');
is(stop($pid), 0, 'it ends well');
