# SPDX-License-Identifier: Apache-2.0
#
# A policy replaced a thousand times is never an instant of no policy: of a
# packet a millisecond to a denied address none leaves, and none is lost on the
# way to an allowed one.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Harness;
use Hostile;
use World;

use constant REPLACEMENTS => 1000;

my $w = world();
my $dir = scratch();

watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, GOOD6, EVIL, EVIL6),
	7, 600]);
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ });

# Two policies that differ in all but good.test.
my @policy = map {
	my $n = $_;
	encode_json({ defaultAction => 'deny', egress => [
		{ action => 'allow', target => 'good.test' },
		map({ { action => 'allow', target => "198.18.$n.$_" } } 1 .. 20),
		map({ { action => 'deny', target => "*.d$_.test" } } 1 .. 20),
		$n ? { action => 'allow', target => 'api.test', ports => [443] } : (),
	] })
} 0, 1;

# Replace it n times over one connection; returns how many were taken.
sub replace
{
	return in_netns($w->{host}, sub {
		my $socket = IO::Socket::INET->new($w->{api} =~ m{//(.*)})
		    or return "connect: $!";
		my $taken = 0;

		for my $i (1 .. REPLACEMENTS) {
			my $body = $policy[$i % 2];
			my ($head, $size) = ('', 0);

			$socket->syswrite("PUT /policy HTTP/1.1\r\nHost: x\r\n"
			    . 'Content-Length: ' . length($body) . "\r\n\r\n$body")
			    or last;
			while ($head !~ /\r\n\r\n/) {
				$socket->sysread($head, 65536, length $head) or last;
			}
			($size) = $head =~ /Content-Length: (\d+)/i or last;
			while (length($head) < index($head, "\r\n\r\n") + 4 + $size) {
				$socket->sysread($head, 65536, length $head) or last;
			}
			$taken++ if $head =~ m{\AHTTP/1.1 200 };
			if ($head =~ /^Connection: close/im) {
				$socket = IO::Socket::INET->new($w->{api} =~ m{//(.*)})
				    or last;
			}
		}
		return $taken;
	});
}

# Packets that the kernel has refused in the sandbox's namespace.
sub refused
{
	my $out = run_in($w->{sandbox}, 'nft', 'list', 'counters');

	return $out =~ /packets (\d+)/ ? $1 : die "no counter: $out";
}

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => "sidecar-$how",
	    env => { OPENSANDBOX_EGRESS_RULES => $policy[0] });
	my ($leaked, $evil) = (leaked($w), counted($w, 'evil'));
	my %ask = (
		udp  => ['probe', EVIL, 7, 300], udp6 => ['probe', EVIL6, 7, 300],
		good => ['answered', GOOD, 7, 5],
		tcp  => ['hold', GOOD, 7, 300],
	);
	my ($refused, %child) = (refused());

	is((sees($w, 'dig', '+short', '@10.88.0.1', 'good.test'))[1],
	    GOOD . "\n", "$how: an allowed name is looked up");
	$child{$_} = hostile_start($w, NOBODY, "$how-$_", @{ $ask{$_} })
	    for keys %ask;
	ok(wait_for(sub { read_file("$dir/$how-tcp.log") =~ /connected/ }),
	    "$how: a connection is open");
	is(replace(), REPLACEMENTS, "$how: every replacement was taken");
	ok(alive($child{$_}), "$how: $_ was at it all the while")
	    for qw(udp udp6 tcp);
	cmp_ok(refused() - $refused, '>', REPLACEMENTS,
	    "$how: more packets were refused than policies replaced");
	ok(defined wait_exit($child{good}, 30), "$how: the allowed one is done");
	like(read_file("$dir/$how-good.log"), qr/^tried [1-9]\d* lost 0$/,
	    "$how: and lost nothing");
	is(leaked($w) - $leaked, 0, "$how: not one packet left");
	is(counted($w, 'evil') - $evil, 0, "$how: nothing arrived");
	is(read_file("$dir/$how-tcp.log"), "connected\n",
	    "$how: the open connection lives on");
	stop($_) for values %child;
	is(hostile($w, NOBODY, 'udp', GOOD, 7), 'open',
	    "$how: the allowed address is still open, without a lookup");
	is(stop($pid), 0, "$how: the sidecar ends well");
}

done_testing(28);
