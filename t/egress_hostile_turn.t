# SPDX-License-Identifier: Apache-2.0
#
# A rule is taken back in the very turn of the sidecar's loop in which an answer
# for it has come in: the address is not learned after the rule has gone. The
# worker is stopped while both arrive, so that it finds them together.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::IP;
use Test::More;
use Harness;
use Hostile;
use World;

use constant SLOW => '203.0.113.99';

my $dir = scratch();
my $w = world();
# Each attempt has a name of its own: what came too late for a policy may be in
# the cache for the next one.
liar($w, { map { ("$_.test" => { A => [["$_.test", 60, 'A', SLOW]],
	wait => "$dir/go" }) } 'slow', map { "slow$_" } 1 .. 3 });
world_web($w, 'internet', SLOW, 80, 'slow');

sub asked_slow
{
	return scalar asked('slow\d?\.test');
}

# On one connection to the API: nothing happens; then the worker is stopped, an
# answer and a change arrive, and it goes on. The status of the change.
sub change
{
	my ($worker, $body) = @_;
	my ($host, $port) = $w->{api} =~ m{//([\d.]+):(\d+)};

	return in_netns($w->{host}, sub {
		my $api = IO::Socket::IP->new(PeerHost => $host,
		    PeerPort => $port) or return "connect: $!";
		my $text = '';

		$api->print("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
		$api->flush;
		sysread $api, $text, 4096;
		kill 'STOP', $worker;
		write_file("$dir/go", '');
		select undef, undef, undef, 0.5;
		$api->print("PUT /policy HTTP/1.1\r\nHost: x\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body");
		$api->flush;
		select undef, undef, undef, 0.2;
		kill 'CONT', $worker;
		sysread $api, $text, 4096;
		return $text =~ m{^HTTP/1.1 (\d+)} ? $1 : "answer: $text";
	});
}

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => $how, env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('slow.test') });
	my ($worker) = (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/;

	for my $round (1 .. 3) {
		my $asked = asked_slow();

		unlink "$dir/go";
		is((api($w, 'PUT', '/policy', policy_of("slow$round.test")))[0], 200,
		    "$how, $round: a name is allowed");
		my $dig = start(name => "$how-dig-$round",
		    netns => $w->{sandbox}, cmd => ['dig', '+time=10',
			'+tries=1', '@10.88.0.1', "slow$round.test"]);
		ok(wait_for(sub { asked_slow() > $asked }),
		    "$how, $round: its question is under way");
		is(change($worker, policy_of('other.test')), 200,
		    "$how, $round: answer and revocation arrive together");
		ok(defined wait_exit($dig, 12),
		    "$how, $round: the question is answered");
		is(join(' ', learned($w)), '',
		    "$how, $round: the kernel has learned nothing of it");
		is(hostile($w, NOBODY, 'tcp', SLOW, 80), 'ECONNREFUSED',
		    "$how, $round: the address is closed");
	}

	# And what is allowed by the new policy too stays learned.
	my $asked = asked_slow();
	unlink "$dir/go";
	is((api($w, 'PUT', '/policy', policy_of('slow.test')))[0], 200,
	    "$how: a name is allowed");
	my $dig = start(name => "$how-dig", netns => $w->{sandbox}, cmd => ['dig',
		'+short', '+time=10', '+tries=1', '@10.88.0.1', 'slow.test']);
	ok(wait_for(sub { asked_slow() > $asked }), "$how: it is asked for");
	is(change($worker, policy_of('other.test', 'slow.test')), 200,
	    "$how: answer and another policy that allows it arrive together");
	ok(defined wait_exit($dig, 12), "$how: it is answered");
	like(read_file("$dir/$how-dig.log"), qr/^\Q${\SLOW}\E$/m,
	    "$how: with its address");
	is(join(' ', learned($w)), SLOW, "$how: which is learned");
	is(stop($pid), 0, "$how: the sidecar ends well");
}

done_testing(50);
