# SPDX-License-Identifier: Apache-2.0
#
# Sandboxes that are no process of their namespace but a machine behind it. One
# whose frames tc redirects from device to device cannot be judged, and is
# refused or told of; a network stack on a packet socket is told of.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Agent;
use Harness;
use World;

plan skip_all => 'no tap devices here' if !-e '/dev/net/tun';

my $dir = scratch();
my $w = world();
my $pod = netns('pod');
my $raw = netns('raw');
my $agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });

sub put { ask('PUT', "/v1/sandboxes/$_[0]", { netns => $_[1] }) }
sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }
sub tc { run('ip', 'netns', 'exec', $pod, 'tc', @_) }
sub log_has { my ($like) = @_;
	return wait_for(sub { read_file("$dir/agent.log") =~ $like }) }

# As Kata's runtime does it: what comes to eth0 goes to the tap, and back.
sub redirect
{
	my ($from, $to) = @_;
	tc('qdisc', 'add', 'dev', $from, 'ingress');
	tc(qw(filter add dev), $from, qw(parent ffff: protocol all u32 match u8 0
	    0 action mirred egress redirect dev), $to);
}
veth($pod, 'eth0', $w->{host}, 'vm0');
run('ip', '-n', $pod, 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap');
run('ip', '-n', $pod, 'link', 'set', 'tap0', 'up');
redirect('eth0', 'tap0');
redirect('tap0', 'eth0');

my ($status, $body) = put('vm', $pod);
is($status, 422, 'a machine behind a redirected tap is refused');
is($body->{code}, 'unsupported', '  as not supported');
like($body->{message}, qr/eth0|tap0/, '  by its device');
like($body->{message}, qr/routed tap/, '  and told what is');
ok(!table($pod), '  and nothing is changed');
is((ask('GET', '/v1/sandboxes/vm'))[0], 404, '  nor kept');
tc('qdisc', 'del', 'dev', $_, 'ingress') for qw(eth0 tap0);
is((put('vm', $pod))[0], 201, 'without redirection it is taken');

# The runtime makes its tap when CNI has been.
redirect('tap0', 'eth0');
ok(log_has(qr/tc redirects a device's frames.*"sandbox_id":"vm"/),
    'one that comes later is told of');
is((put('vm', $pod))[0], 200, '  and its policy may change all the same');
kill 'KILL', -$agent;
kill_now($agent);
unlink "$dir/agent.log";
$agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });
ok(log_has(qr/tc redirects a device's frames.*"sandbox_id":"vm"/),
    '  by the next agent too');
is((ask('GET', '/v1/sandboxes/vm'))[0], 200, '  which guards it');

# As gVisor does it. A sandbox could open such a socket to stay unguarded.
veth($raw, 'eth0', $w->{host}, 'raw0');
start(name => 'packet', netns => $raw, cmd => [python(), '-c', <<'EOT']);
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 0))
print("bound", flush=True)
time.sleep(600)
EOT
wait_for(sub { read_file("$dir/packet.log") =~ /bound/ }) or die;
($status, $body) = put('raw', $raw);
is($status, 201, 'a namespace with a packet socket is guarded');
like($body->{warnings}[0], qr/packet socket.*gVisor/, '  with a warning');
ok(table($raw), '  and closed');
is((put('vm', $pod))[1]{warnings}, undef, 'there is none without a reason');
is(stop($agent), 0, 'it ends well');

# Join mode says it at its start.
my $log = "$dir/join.log";
my $join = start(name => 'join', netns => $w->{host}, cmd => [
	build_dir() . '/egress-sidecar', '--netns', $pod], env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });
ok(wait_for(sub { read_file($log) =~ /tc redirects a device's frames/ }),
    'join mode says it as well') or diag read_file($log);
is(stop($join), 0, '  and ends well');
done_testing(18);
