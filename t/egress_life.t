# SPDX-License-Identifier: Apache-2.0
#
# The rules outlive the sidecar, however it ends; the next one takes them over,
# and there is one copy of each.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $policy = { OPENSANDBOX_EGRESS_RULES =>
	'{"egress":[{"action":"allow","target":"good.test"}]}' };

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

# The ruleset without what differs from run to run.
sub ruleset
{
	my $text = run_in($w->{sandbox}, 'nft', '-n', 'list', 'ruleset');
	$text =~ s/0x[0-9a-f]+/X/g;
	$text =~ s/redirect to :\d+/redirect/g;
	$text =~ s/elements = \{.*?\}//gs;
	$text =~ s/counter packets \d+ bytes \d+/counter/g;
	$text =~ s/packets \d+ bytes \d+//g;
	# Connections of the process before are judged by a set of their own.
	$text =~ s/^.*\@grace.*\n//mg;
	$text =~ s/^\s*(?:size \d+)?\n//mg;
	return $text;
}

sub worker_of
{
	my ($pid) = @_;
	my (undef, $out) = capture('pgrep', '-P', $pid);
	return (split ' ', $out)[0];
}

my $pid = sidecar($w, env => $policy);
my $first = ruleset();
like($first, qr/table inet opensandbox/, 'the table is there');
is((sees($w, @web, 'http://good.test/'))[1], '200', 'allowed opens');

my $worker = worker_of($pid);
ok($worker, 'there is a worker');
kill 'KILL', $worker;
is((sees($w, @web, 'http://' . EVIL . '/'))[0], 7,
    'denied is refused while the worker is dead');
ok(wait_for(sub { my $new = worker_of($pid); $new && $new != $worker }),
    'the supervisor starts another');
ok(wait_for(sub { (sees($w, @web, 'http://good.test/'))[1] eq '200' }, 15),
    'which serves again, on the same sockets');
is(ruleset(), $first, 'with the same rules, once');

my $group = getpgrp($pid);
kill 'KILL', -$group;
wait_exit($pid);
is(ruleset(), $first, 'kill -9 of both leaves the rules');
is((sees($w, @web, 'http://' . EVIL . '/'))[0], 7, 'and denied is refused');
is((sees($w, @web, '--connect-timeout', '3', 'http://good.test/'))[0], 6,
    'names do not resolve, and go nowhere');

$pid = sidecar($w, env => $policy, name => 'second');
is(ruleset(), $first, 'a new sidecar takes the rules over, once');
is((sees($w, @web, 'http://good.test/'))[1], '200', 'allowed opens again');
is(stop($pid), 0, 'SIGTERM ends it well');
is(ruleset(), $first, 'and leaves the rules');
is(counted($w, 'evil'), 0, 'nothing ever arrived at the denied address');

done_testing(15);
