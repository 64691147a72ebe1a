# SPDX-License-Identifier: Apache-2.0
#
# AF_XDP sockets send past every hook of the kernel's, but each queue of a
# device takes one alone: the sidecar holds them all, also while its worker is
# dead, and those of devices that come later.

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
my $own = '10.88.0.5';
my %rules = (OPENSANDBOX_EGRESS_RULES => policy_of('good.test'));

watch_cable($w);
world_dns($w);

sub xdp
{
	my ($device) = @_;

	return hostile($w, ROOT, 'xdp', $device, $own, EVIL, 7) =~ s/\s.*//sr;
}

sub worker_of
{
	my ($pid) = @_;

	return (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/ ? $1 : 0;
}

if (xdp('eth0') eq 'EAFNOSUPPORT') {
	plan skip_all => 'this kernel has no AF_XDP';
}
cmp_ok(leaked($w), '>', 0, 'before the sidecar, a frame leaves');

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => "sidecar-$how", env => \%rules);
	my ($before, $worker) = (leaked($w), worker_of($pid));

	is(xdp('eth0'), 'EBUSY', "$how: no socket is bound to a device");
	kill 'STOP', $pid;
	kill 'KILL', $worker;
	is(xdp('eth0'), 'EBUSY', "$how: nor while the worker is dead");
	kill 'CONT', $pid;
	ok(wait_for(sub { my $new = worker_of($pid); $new && $new != $worker &&
		(sees($w, 'dig', '+short', '+time=1', '+tries=1',
			'good.test'))[1] eq GOOD . "\n" }, 20),
	    "$how: another worker serves");
	is(xdp('eth0'), 'EBUSY', "$how: and holds the devices");
	for my $time (1, 2) {
		veth($w->{sandbox}, 'late0', $w->{host}, 'late1');
		ok(wait_for(sub { xdp('late0') eq 'EBUSY' }),
		    "$how: one that comes later too, $time");
		$worker = worker_of($pid);
		kill 'KILL', $worker;
		ok(wait_for(sub { my $new = worker_of($pid);
			$new && $new != $worker }), "$how: the next worker");
		is(xdp('late0'), 'EBUSY', "$how: holds it as well, $time");
		run('ip', '-n', $w->{sandbox}, 'link', 'del', 'late0');
	}
	unlike(read_file("$dir/sidecar-$how.log"), qr/AF_XDP/,
	    "$how: no complaint about it");
	is(leaked($w) - $before, 0, "$how: no frame left");
	is(stop($pid), 0, "$how: it ends well");
}

# A device with more queues than the sidecar has sockets left for.
my $pid = sidecar($w, name => 'wide', env => \%rules);
run('ip', '-n', $w->{sandbox}, 'link', 'add', 'late0', 'numtxqueues', '12',
    'numrxqueues', '12', 'type', 'veth', 'peer', 'name', 'late1', 'netns',
    $w->{host});
run('ip', '-n', $w->{sandbox}, 'link', 'set', 'late0', 'up');
ok(wait_for(sub { read_file("$dir/wide.log")
	=~ /AF_XDP: a device that came later has more queues/ }),
    'one that comes later, with more queues than are held, is told of');
is(stop($pid), 0, 'it ends well');
$pid = sidecar($w, name => 'wide-next', env => \%rules);
is(xdp('late0'), 'EBUSY', 'the next start holds it');
unlike(read_file("$dir/wide-next.log"), qr/AF_XDP/, 'whole');
run('ip', '-n', $w->{sandbox}, 'link', 'del', 'late0');
is(stop($pid), 0, 'it ends well');

# A socket from before us.
my $first = hostile_start($w, ROOT, 'first', 'xdp', 'eth0', $own, EVIL, 7, 300);
ok(wait_for(sub { read_file("$dir/first.log") =~ /sent/ }),
    'a stranger is there first') or diag read_file("$dir/first.log");
$pid = sidecar($w, name => 'second', env => \%rules);
like(read_file("$dir/second.log"), qr/AF_XDP: a socket that is not ours/,
    'the sidecar says so');
stop($first);
is(stop($pid), 0, 'it ends well');
$pid = sidecar($w, name => 'third', env => \%rules);
unlike(read_file("$dir/third.log"), qr/AF_XDP/, 'the next one has it');
is(xdp('eth0'), 'EBUSY', 'and keeps it');
is(stop($pid), 0, 'and ends well');

# Many sandboxes
my $agent = start(name => 'agent', netns => $w->{host}, env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER },
    cmd => [build_dir() . '/egress-sidecar', '--agent', '--agent-socket',
	"$dir/agent.sock", '--agent-state', "$dir/state"]);
wait_for(sub { -S "$dir/agent.sock" });
my @curl = ('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}',
    '--unix-socket', "$dir/agent.sock");
is((capture(@curl, '-X', 'PUT', '--data', qq({"netns":"$w->{sandbox}"}),
	'http://agent/v1/sandboxes/sb'))[1], '201', 'the agent takes a sandbox');
is(xdp('eth0'), 'EBUSY', 'whose devices it holds');
veth($w->{sandbox}, 'late0', $w->{host}, 'late1');
ok(wait_for(sub { xdp('late0') eq 'EBUSY' }), 'those that come later too');
is((capture(@curl, '-X', 'DELETE', 'http://agent/v1/sandboxes/sb'))[1], '204',
    'let go of');
ok(wait_for(sub { xdp('eth0') eq 'sent' }), 'it may use them again');
is(stop($agent), 0, 'the agent ends well');

done_testing(44);
