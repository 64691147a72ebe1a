# SPDX-License-Identifier: Apache-2.0
#
# What the kernel and the machine may do to the sidecar: netlink messages that
# do not get through either way, a batch that the kernel refuses, a disk that
# is read-only, no descriptor left, a clock that jumps. No packet leaves that
# the policy in force denies, that policy is the one which is shown, and there
# is service when it is over, if not before.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Faults;
use Harness;
use Hostile;
use World;

use constant SOMETIMES => '203.0.113.21';

my $w = faults_world(allowed => SOMETIMES);
my $dir = scratch();
my $disk = "$dir/disk";
my $pid;

END {
	local $?;
	capture('umount', $disk) if $disk && -d $disk;
}

sub policy
{
	my ($open, @more) = @_;

	return policy_of('good.test', '*.good.test', @more,
	    $open ? SOMETIMES : ());
}

# Is what the kernel does what the API shows?
sub agrees
{
	my (undef, undef, $shown) = @{ wait_for(sub {
		my @answer = api($w, 'GET', '/policy', undef, '-m', 2);
		return ($answer[0] || 0) == 200 ? \@answer : undef;
	}, 20) || [] };
	my $open = grep { $_->{target} eq SOMETIMES } @{ $shown->{policy}{egress} };

	return hostile($w, NOBODY, 'tcp', SOMETIMES, 7)
	    eq ($open ? 'open' : 'ECONNREFUSED');
}

# Have a system call of the worker fail now and then while code runs.
sub failing
{
	my ($inject, $code) = @_;
	my $log = "$dir/strace.log";

	unlink $log;
	my $strace = start(name => 'strace', cmd => ['strace', '-f', '-qq', '-p',
			worker_of($pid), '-e', "trace=" . ($inject =~ /^(\w+)/)[0],
			'-e', "inject=$inject", '-o', $log]);
	wait_for(sub { read_file('/proc/' . worker_of($pid) . '/status')
		=~ /^TracerPid:\s+[1-9]/m }) or die "strace does not trace\n";
	$code->();
	stop($strace, 'INT');
	return scalar(() = read_file($log) =~ /INJECTED/g);
}

$pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES => policy(0) });
ok(serves($w), 'there is service');

# One message that gets lost, each in its turn, while a policy changes.
for my $call (qw(sendto recvfrom)) {
	my ($injected, $agreed, $taken, %status) = (0, 0, 0);
	for my $i (1 .. 12) {
		$injected += failing("$call:error=ENOBUFS:when=$i", sub {
			my ($status) = api($w, 'PUT', '/policy',
			    policy($i % 2, "n$i.test"), '-m', 3);
			$status{ $status || 'none' }++;
		});
		$agreed++ if wait_for(\&agrees, 5);
		$taken++ if (api($w, 'PUT', '/policy', policy($i % 2)))[0] == 200
		    && agrees();
	}
	cmp_ok($injected, '>', 4, "one $call lost, $injected times: statuses "
	    . join ', ', map { "$_ ($status{$_})" } sort keys %status);
	is($agreed, 12, '  the policy shown is, or soon is, the one in force');
	is($taken, 12, '  and so is the next');
}
api($w, 'PUT', '/policy', policy(0));
probe($w, 'egress');

# Many, for a while.
for my $inject ('sendto:error=ENOBUFS:when=1+3', 'sendto:error=ENOMEM:when=2+4',
	'recvfrom:error=ENOBUFS:when=3+5', 'recvfrom:error=ENOMEM:when=2+7') {
	my $closed = 0;
	my $injected = failing($inject, sub {
		for my $i (1 .. 8) {
			api($w, 'PUT', '/policy', policy($i % 2), '-m', 3);
			lookup($w, "n$i.good.test");
			$closed++ if refuses($w);
		}
	});
	cmp_ok($injected, '>', 3, "$inject: $injected times");
	is($closed, 8, '  what is denied is refused');
	ok(serves($w), '  there is service after it');
	ok(wait_for(\&agrees, 10), '  under the policy that is shown');
	is((api($w, 'PUT', '/policy', policy(0)))[0], 200, '  and the next policy');
	ok(agrees(), '  in force');
}

# Somebody with the right to do so puts something of his own into our table,
# that refers to a chain of ours: the kernel takes no batch that removes it.
run_in($w->{sandbox}, 'nft', 'add map inet opensandbox foreign'
	. ' { type ipv4_addr : verdict; elements = { 192.0.2.1 : goto judge }; }');
my ($status) = api($w, 'PUT', '/policy', policy(1));
like($status, qr/^(?:200|500)$/, "a batch that the kernel refuses: $status");
ok(agrees(), '  the policy shown is the one in force');
ok(serves($w), '  there is service');
ok(refuses($w), '  what is denied is refused');
capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft',
    'delete map inet opensandbox foreign');
is((api($w, 'PUT', '/policy', policy(0)))[0], 200,
    '  without it the next policy is taken');
ok(agrees(), '  and in force');
is(stop($pid), 0, 'the sidecar ends well');

# A read-only disk under the policy file.
mkdir $disk;
run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', $disk);
$pid = sidecar($w, name => 'readonly', env => {
	OPENSANDBOX_EGRESS_RULES => policy(0),
	OPENSANDBOX_EGRESS_POLICY_FILE => "$disk/policy.json" });
is((api($w, 'PUT', '/policy', policy(0, 'more.test')))[0], 200,
    'a policy is written');
my $old = read_file("$disk/policy.json");
run('mount', '-o', 'remount,ro', $disk);
($status, my $text) = api($w, 'PUT', '/policy', policy(1));
is($status, 500, 'on a read-only disk it is refused');
like($text, qr/policy file.*read-only/i, '  and the answer says why');
ok(agrees(), '  the old one is in force');
is(read_file("$disk/policy.json"), $old, '  and in the file');
run('mount', '-o', 'remount,rw', $disk);
is((api($w, 'PUT', '/policy', policy(1)))[0], 200, '  later it is taken');
isnt(read_file("$disk/policy.json"), $old, '  and written');
ok(agrees(), '  and in force');
api($w, 'PUT', '/policy', policy(0));

is(lookup($w), GOOD . "\n", 'a name becomes known');

# No descriptor left: connections to the API and questions over TCP take them.
my $worker = worker_of($pid);
my $used = () = glob "/proc/$worker/fd/*";
run('prlimit', '--pid', $worker, '--nofile=' . ($used + 8));
my $eaters = start(name => 'eaters', netns => $w->{host}, cmd => [python(), '-c',
	"import socket,time\nheld=[]\n"
	. "for n in range(40):\n  s=socket.socket(); s.settimeout(1)\n"
	. "  try: s.connect(('127.0.0.1',18080)); held.append(s)\n"
	. "  except OSError: pass\n"
	. "print('held', flush=True)\ntime.sleep(3600)"]);
wait_for(sub { read_file("$dir/eaters.log") =~ /held/ }, 60);
ok(wait_for(sub { (() = glob "/proc/$worker/fd/*") >= $used + 6 }),
    'descriptors are short');
ok(refuses($w), '  what is denied is refused');
is(lookup($w), GOOD . "\n", '  what is known is answered');
for my $i (1 .. 20) {
	lookup($w, "short$i.good.test");
}
is((sees($w, 'dig', '+time=2', '+tries=1', '@10.88.0.1', 'evil.test'))[1]
    =~ /(NXDOMAIN)/ ? $1 : '', 'NXDOMAIN', '  what is denied is denied');
stop($eaters);
ok(wait_for(sub { ((api($w, 'PUT', '/policy', policy(0), '-m', 2))[0] || 0)
	== 200 }, 20), '  with descriptors again the API answers');
ok(wait_for(sub { lookup($w, 'later.good.test') eq GOOD . "\n" }, 20),
    '  and new names are looked up');
is(worker_of($pid), $worker, '  by the same worker');
is(stop($pid), 0, 'the sidecar ends well');

# The wall clock jumps.
my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1';
ok($library, 'there is a clock to turn');
SKIP: {
	skip 'a sanitizer must be loaded first', 9 if build_dir() =~ m{/san$};
	my $clock = write_file("$dir/clock", '+0');
	$pid = sidecar($w, name => 'clock', env => {
		OPENSANDBOX_EGRESS_RULES => policy(0), LD_PRELOAD => $library,
		FAKETIME_TIMESTAMP_FILE => $clock, FAKETIME_NO_CACHE => 1,
		FAKETIME_DONT_FAKE_MONOTONIC => 1 });
	ok(serves($w), 'there is service');
	for my $jump ('+400d', '-9000d', '+0') {
		write_file($clock, $jump);
		lookup($w, 'jump' . length($jump) . '.good.test');
		ok(serves($w) && refuses($w) && agrees(),
		    "the clock jumps by $jump: service as before");
		is((api($w, 'PUT', '/policy', policy(0)))[0], 200,
		    '  and policies');
	}
	like(read_file("$dir/clock.log"), qr/"time":"2002-/,
	    'it believed in what it was told');
	is(stop($pid), 0, 'the sidecar ends well');
}

ok(probes_alive(), 'the sandbox has tried to get out all the while');
is(leaked($w), 0, 'not one packet left');

done_testing(67);
