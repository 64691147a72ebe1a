# SPDX-License-Identifier: Apache-2.0
#
# Clients that keep their source port are answered at once by the sidecar that
# follows one which was killed: on the port that the rules already name, and,
# where a hostile sandbox has taken that meanwhile, on another.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my $w = world();
my $dir = scratch();
world_dns($w);

# From one source port, to an address of either family.
sub lookup
{
	my ($from, $to) = @_;
	my (undef, $out) = sees($w, 'dig', '+short', '+time=3', '+tries=1', '-b',
	    $from, "\@$to", 'good.test');

	return $out;
}

sub redirection
{
	return run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
	    'opensandbox', 'dns') =~ /redirect to :(\d+)/ ? $1 : 0;
}

sub answered
{
	my ($what) = @_;

	is(lookup('10.88.0.5#40001', '10.88.0.1'), GOOD . "\n", "$what over IPv4");
	is(lookup('2001:db8:88::5#40002', '2001:db8:88::1'), GOOD . "\n",
	    "$what over IPv6");
	is(lookup('127.0.0.1#40003', '127.0.0.1'), GOOD . "\n",
	    "$what on loopback");
}

sub kill_all
{
	my ($pid) = @_;

	kill 'KILL', -getpgrp($pid);
	wait_exit($pid);
}

# A stranger on what the rules name; kinds: "udp4", "tcp6", ...
sub squat
{
	my ($name, $port, @kinds) = @_;
	my %family = (4 => "2, '0.0.0.0'", 6 => "10, '::1'");
	my $pid = start(name => $name, netns => $w->{sandbox}, cmd =>
		['setpriv', '--reuid', '65534', '--clear-groups', python(), '-c',
		"import socket,time\nheld=[]\n"
		. "def take(kind, family, address):\n"
		. "  s=socket.socket(family, kind); held.append(s)\n"
		. "  s.setsockopt(1, 2, kind == 1)\n"
		. "  for i in range(1000):\n"
		. "    try: s.bind((address, $port)); break\n"
		. "    except OSError: time.sleep(.01)\n"
		. "  kind == 1 and s.listen()\n"
		. join('', map { my ($kind, $v) = /(\D+)(\d)/;
			'take(' . ($kind eq 'tcp' ? 1 : 2) . ", $family{$v})\n" } @kinds)
		. "print('held', flush=True)\ntime.sleep(300)"]);

	wait_for(sub { read_file("$dir/$name.log") =~ /held/ }, 30)
	    or die "$name: ", read_file("$dir/$name.log");
	return $pid;
}

my $n = 0;
for my $how (qw(join sidecar)) {
	my %start = (how => $how, env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });
	my $usual = squat("usual-$how", 15353, 'tcp4');
	my $pid = sidecar($w, %start, name => "first-$how");
	my $port = redirection();

	isnt($port, 15353, "$how: the usual port is a stranger's");
	answered("$how: before, there are answers");
	kill_all($pid);
	stop($usual);
	is(lookup('10.88.0.5#40001', '10.88.0.1') =~ /^\d/, '',
	    "$how: while nobody is there, there is none");
	$pid = sidecar($w, %start, name => "second-$how");
	answered("$how: after a kill, the same source port is answered");
	is(redirection(), $port, "$how: on the same port of ours");

	for my $kinds (['udp4'], ['tcp4'], ['udp6'], ['tcp6'],
	    [qw(udp4 tcp4 udp6 tcp6)]) {
		my $what = join '+', @$kinds;
		my ($squatter, $before) = (undef, redirection());

		answered("$how, $what: before");
		kill_all($pid);
		$squatter = squat('squat-' . ++$n, $before, @$kinds);
		lookup('10.88.0.5#40001', '10.88.0.1');
		$pid = sidecar($w, %start, name => "sidecar-$n");
		answered("$how, $what is a stranger's: we answer");
		isnt(redirection(), $before, "$how, $what: on another port");
		stop($squatter);
	}
	is(stop($pid), 0, "$how: it ends well");
	run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
	$pid = sidecar($w, %start, name => "last-$how");
	is((sees($w, 'dig', '+short', '-p', 15353, '@127.0.0.1', 'good.test'))[1],
	    GOOD . "\n", "$how: where nothing was before, on the usual port");
	is(stop($pid), 0, "$how: which ends well too");
	run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
}

done_testing(94);
