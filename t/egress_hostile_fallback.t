# SPDX-License-Identifier: Apache-2.0
#
# On a kernel that lacks a feature the sidecar says what that costs, and costs
# it no more than that: every other attempt of a hostile sandbox still gets
# nowhere. --without stands for such a kernel.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my ($own, $own6) = ('10.88.0.5', '2001:db8:88::5');
my $w = world();
watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, GOOD6, EVIL, EVIL6),
	7, 600]);

# The feature, what the log says, and the attempts that succeed without it.
my @cases = (
	['egress-hook', qr/netdev egress hook.*Linux 5\.16.*packet\(7\)/,
		qr/\A(?:a|an IPv6) frame(?! of)/],
	['route-lookup', qr/route lookup.*forge their source/, undef],
	['packet-log', qr/logging.*counted, not logged/, undef],
	['xdp', qr/AF_XDP.*past the policy/, qr/AF_XDP/],
	['egress-hook,route-lookup,packet-log,xdp', qr/egress hook/, qr/frame/],
);

for my $case (@cases) {
	my ($without, $line, $gone) = @$case;
	my $how = $without =~ /lookup/ ? 'sidecar' : 'join';
	my $pid = sidecar($w, how => $how, name => $without, args =>
		['--without', $without], env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });
	my $log = scratch() . "/$without.log";
	my @stay = grep { !$gone || $_->[0] !~ $gone } attempts_raw();
	my @go = grep { $gone && $_->[0] =~ $gone } attempts_raw();

	like(read_file($log), $line, "$without: the log says what that costs");
	is((sees($w, 'dig', '+short', 'good.test'))[1], GOOD . "\n",
	    "$without: names are answered");
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
	    "$without: the allowed neighbour opens");
	try_all($w, $without, NOBODY, attempts_plain());
	try_all($w, $without, ROOT, @stay);
	for my $attempt (@go) {
		my ($name, undef, @args) = @$attempt;
		my $before = leaked($w) + leaked($w, 'good');

		hostile($w, ROOT, @args);
		cmp_ok(leaked($w) + leaked($w, 'good') - $before, '>', 0,
		    "$without: $name does leave");
	}
	if ($without =~ /lookup/) {
		my $before = leaked($w, 'good');

		is(hostile($w, ROOT, 'header', '192.0.2.9', GOOD, 7), 'sent',
		    "$without: a source may be forged towards an allowed address");
		cmp_ok(leaked($w, 'good') - $before, '>', 0,
		    "$without: where it arrives");
	}
	my $told = read_file($log) =~ /egress\.denied.*"protocol"/;
	is($told ? 'told' : 'not told', $without =~ /packet-log/ ? 'not told'
	    : 'told', "$without: refused packets in the log");
	is(stop($pid), 0, "$without: it ends well");
	run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
}

my ($status, $out) = capture(build_dir() . '/egress-sidecar', '--without',
    'seatbelt');
is($status, 2, 'an unknown feature is none');
like($out, qr/--without: "seatbelt": expected egress-hook/, 'which is said');

done_testing(381);
