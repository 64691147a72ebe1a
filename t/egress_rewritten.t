# SPDX-License-Identifier: Apache-2.0
#
# A program of the control group's (a load balancer of sockets) leads our
# questions to another address than the resolver's. In the sandbox's own
# namespace they met our redirection. That is noticed at the start, and works;
# nobody else has more rights by it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my $group = "opensandbox-test-$$";
my ($mount) = read_file('/proc/mounts') =~ /^\S+ (\S+) cgroup2 /m;
my @rewriter = (python(), root() . '/t/tools/rewriter.py', $group);

my %service = ('10.96.0.10' => RESOLVER, 'fd00:96::10' => RESOLVER6);

my ($status) = capture(@rewriter, %service{'10.96.0.10'}, 'true');
plan skip_all => 'the kernel takes no program for connect' if $status == 77;
is($status, 0, 'a program is loaded');
END { rmdir "$mount/$group" if $mount; }

my $w = world();
world_dns($w);
watch_cable($w);

sub lookup
{
	return (sees($w, 'dig', '+time=3', '+tries=1', @_))[1];
}

for my $service (sort keys %service) {
	my $true = $service{$service};
	my $name = $service =~ /:/ ? 'ip6' : 'ip4';
	my $pid = sidecar($w, how => 'sidecar', name => $name,
		under => [@rewriter, $service, $true],
		env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => $service,
			OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });

	like(lookup('@10.88.0.1', 'good.test'), qr/NOERROR.*\Q${\GOOD}\E/s,
	    "$service: an allowed name is looked up");
	like(lookup('@10.88.0.1', '+tcp', 'good.test', 'AAAA'),
	    qr/\Q${\GOOD6}\E/, "$service: the other family too");
	like(lookup('@10.88.0.1', 'evil.test'), qr/NXDOMAIN/,
	    "$service: a denied name is denied");
	like(read_file(scratch() . "/$name.log"),
	    qr/rewrites a resolver.*\Q$service\E.*\Q$true\E/,
	    "$service: the log says what was found");

	# The resolver's true address is no more open than any other.
	my $asked = leaked($w, 'resolver');
	like(lookup("\@$true", 'evil.test'), qr/NXDOMAIN/,
	    "$service: asked itself, we answer");
	is(hostile($w, NOBODY, 'udp', $true, 5353), 'EPERM',
	    "$service: another port is refused");
	hostile($w, ROOT, 'marks', $true, 53, 1000);
	is(leaked($w, 'resolver'), $asked,
	    "$service: it is not reached, whatever the mark");
	my ($mark) = run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
	    'opensandbox', 'guess') =~ /meta mark (0x[0-9a-f]+) return/;
	hostile($w, ROOT, 'udp', $true, 53, 0, $mark);
	is(leaked($w, 'resolver'), $asked,
	    "$service: nor by the right one, after so many");
	is(leaked($w), 0, "$service: nothing else left");
	is(stop($pid), 0, "$service: it ends well");
	run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
}

done_testing();
