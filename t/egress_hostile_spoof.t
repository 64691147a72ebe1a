# SPDX-License-Identifier: Apache-2.0
#
# A sandbox with CAP_NET_RAW that shares our namespace sees our questions to
# the resolvers, port, id and all. Its answers in the resolver's name do not
# reach us, whether they come by a raw socket or as frames.

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

liar($w, { map { ("n$_.good.test" => { wait => "$dir/go",
	A => [["n$_.good.test", 60, 'A', GOOD]] }) } (1 .. 4) });
# A kernel that lets sources from elsewhere pass on loopback.
run_in($w->{sandbox}, 'sysctl', '-qw', map { "net.ipv4.conf.$_.rp_filter=0" }
    qw(all default lo eth0));

my $n = 0;
for my $resolver (RESOLVER, RESOLVER6) {
	for my $how (qw(sidecar join)) {
		my $name = 'n' . ++$n . '.good.test';
		my $pid = sidecar($w, how => $how, name => "sidecar-$n", env => {
			OPENSANDBOX_EGRESS_DNS_UPSTREAM => $resolver =~ /:/
			    ? "[$resolver]" : $resolver,
			OPENSANDBOX_EGRESS_RULES => policy_of('*.good.test') });
		my $spoofer = start(name => "spoofer-$n", netns => $w->{sandbox},
		    cmd => [words(ROOT, 'spoofer.py', 'eth0', $resolver, EVIL, 60)]);
		my ($asked, $seen, $asking);

		wait_for(sub { read_file("$dir/spoofer-$n.log") =~ /listening/ });
		unlink "$dir/go";
		$asking = start(name => "dig-$n", netns => $w->{sandbox}, cmd =>
			['dig', '+short', '+time=20', '+tries=1', '@10.88.0.1', $name]);
		ok(wait_for(sub { asked(quotemeta $name) }),
		    "$how, $resolver: we ask the resolver");
		$seen = qr/seen/;
		ok(wait_for(sub { read_file("$dir/spoofer-$n.log") =~ $seen }),
		    "$how, $resolver: which the sandbox sees and answers")
		    if $how eq 'sidecar';
		sleep 1;
		is(read_file("$dir/dig-$n.log"), '',
		    "$how, $resolver: no answer of its own counts");
		write_file("$dir/go", '');
		is(wait_exit($asking, 20), 0, "$how, $resolver: there is an answer");
		is(read_file("$dir/dig-$n.log"), GOOD . "\n",
		    "$how, $resolver: the resolver's");
		is(join(' ', learned($w)), GOOD,
		    "$how, $resolver: nothing else was learned");
		unlike(read_file("$dir/spoofer-$n.log"), $seen,
		    "$how, $resolver: the sandbox does not even see the question")
		    if $how eq 'join';
		stop($spoofer);
		is(stop($pid), 0, "$how, $resolver: it ends well");
		run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
	}
}

done_testing(28);
