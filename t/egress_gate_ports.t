# SPDX-License-Identifier: Apache-2.0
#
# The gate's way on and the connection that it goes on for come from one
# address, and go to one address and port: each takes ports that the other has
# just had. None goes past the gate for that, and none comes back into it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use GateWorld;
use World;

my $w = world();
my $peer = root() . '/t/tools/gate_peer.py';

world_dns($w, map { ("--address=/good.test/$_") } GOOD, GOOD6);
for my $address (GOOD, GOOD6) {
	start(name => 'peer', netns => $w->{internet},
	    cmd => [python(), $peer, 'serve', $address, 443]);
}
wait_for(sub { (() = read_file(scratch() . '/peer.log') =~ /listening/g) == 2 }, 20)
    or die "no server\n";

sub client
{
	my ($verb, $address, $n) = @_;
	my ($status, $out) = sees($w, python(), $peer, $verb, $address, 443, 'good.test', $n);
	return $out =~ s/\n\z//r;
}

sub ports
{
	run_in($w->{sandbox}, 'sysctl', '-qw', "net.ipv4.ip_local_port_range=@_");
}

for my $mode (qw(join sidecar)) {
	subtest $mode => sub {
		my $pid = gate_start($w, $mode, allow('good.test'));
		sees($w, 'getent', 'ahosts', 'good.test');
		ports(40000, 40400);
		for my $address (GOOD, GOOD6) {
			my $before = gate_metrics($w)->{accepted_total};
			is(client('resets', $address, 1200), 1200, "the server resets each: $address");
			is(gate_metrics($w)->{accepted_total} - $before, 1200,
			    '  each came through the gate, once');
		}
		my $metrics = gate_metrics($w);
		is($metrics->{failed_total} + $metrics->{dropped_total}, 0, 'none failed');
		ports(32768, 60999);
		stop($pid);
		run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
		capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
		    'netdev', 'opensandbox');
	};
}

done_testing();
