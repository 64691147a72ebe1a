# SPDX-License-Identifier: Apache-2.0
#
# Nothing that ends, kills or starves the sidecar opens the sandbox for one
# packet: SIGTERM, kill -9 of the worker and of both, a stranger on its ports
# while it is away, a full disk under its policy file. It is back in service by
# itself where a process is left.

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

watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, GOOD6, EVIL, EVIL6),
	7, 600]);
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ });

my $rules = { OPENSANDBOX_EGRESS_RULES => policy_of('good.test') };

sub lookup
{
	my ($name) = @_;

	return (sees($w, 'dig', '+short', '+time=2', '+tries=1', '@10.88.0.1',
	    $name))[1];
}

sub worker_of
{
	my ($pid) = @_;

	return (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/ ? $1 : 0;
}

# How many copies there are of what must be there once.
sub copies
{
	my $rules = run_in($w->{sandbox}, 'nft', 'list', 'ruleset');
	my $tables = () = $rules =~ /^table inet opensandbox /mg;
	my $redirects = () = $rules =~ /tcp dport 53 .*redirect/g;

	return "$tables table $redirects redirection";
}

for my $how (qw(join sidecar)) {
	my $before = leaked($w);
	my %start = (how => $how, env => $rules);
	my $pid = sidecar($w, %start, name => "first-$how");
	my ($refused, $worker, $child, %child);

	is(lookup('good.test'), GOOD . "\n", "$how: an allowed name is looked up");
	is(copies(), '1 table 1 redirection', "$how: the rules are there");
	$child{udp} = hostile_start($w, NOBODY, "$how-udp", 'probe', EVIL, 7, 300);
	$child{udp6} = hostile_start($w, NOBODY, "$how-udp6", 'probe', EVIL6, 7,
	    300);
	$child{raw} = hostile_start($w, ROOT, "$how-raw", 'probe', EVIL, 53000,
	    300);
	$child{tcp} = hostile_start($w, NOBODY, "$how-tcp", 'hold', GOOD, 7, 300);
	ok(wait_for(sub { read_file("$dir/$how-tcp.log") =~ /connected/ }),
	    "$how: a connection is open");

	for my $time (1 .. 3) {
		$worker = worker_of($pid);
		kill 'KILL', $worker;
		is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
		    "$how: death $time of the worker opens nothing");
		ok(wait_for(sub { my $new = worker_of($pid); $new && $new != $worker
			&& lookup('good.test') eq GOOD . "\n" }, 20),
		    "$how: and another serves");
	}
	is(copies(), '1 table 1 redirection', "$how: with the rules once");

	is(stop($pid), 0, "$how: SIGTERM ends it");
	is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
	    "$how: which opens nothing");
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
	    "$how: nor closes what was learned");
	$pid = sidecar($w, %start, name => "second-$how");
	is(lookup('good.test'), GOOD . "\n", "$how: the next one serves");
	is(copies(), '1 table 1 redirection', "$how: with the rules once");

	kill 'KILL', -getpgrp($pid);
	wait_exit($pid);
	is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
	    "$how: kill -9 of both opens nothing");

	# A stranger takes our ports while we are away.
	my ($port) = run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
	    'opensandbox', 'dns') =~ /redirect to :(\d+)/;
	ok($port, "$how: the redirection names a port");
	my $squat = start(name => "$how-squat", netns => $w->{sandbox}, cmd =>
		['setpriv', '--reuid', '65534', '--clear-groups', python(), '-c',
		"import socket,time\n"
		. "held=[]\n"
		. "for f,a in ((2,'127.0.0.1'),(10,'::1')):\n"
		. "  for k in (1,2):\n"
		. "    s=socket.socket(f,k); held.append(s)\n"
		. "    for i in range(1000):\n"
		. "      try: s.bind((a,$port)); break\n"
		. "      except OSError: time.sleep(.01)\n"
		. "    k==1 and s.listen()\n"
		. "print('held', flush=True)\ntime.sleep(300)"]);
	ok(wait_for(sub { read_file("$dir/$how-squat.log") =~ /held/ }, 30),
	    "$how: a stranger has our ports")
	    or diag read_file("$dir/$how-squat.log");
	is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
	    "$how: which opens nothing");
	$pid = sidecar($w, %start, name => "third-$how");
	is(lookup('good.test'), GOOD . "\n", "$how: we serve beside him");
	is((sees($w, 'dig', '+time=2', '+tries=1', '@10.88.0.1', 'evil.test'))[1]
	    =~ /(NXDOMAIN)/, 1, "$how: and refuse");
	stop($squat);

	is(read_file("$dir/$how-tcp.log"), "connected\n",
	    "$how: the open connection has lived through it all");
	ok(alive($child{$_}), "$how: $_ was at it all the while")
	    for qw(udp udp6 raw);
	is(leaked($w) - $before, 0, "$how: not one packet left");
	is(stop($pid), 0, "$how: it ends well");
	stop($_) for values %child;
}

# A policy file on a disk that is full: the change is refused as a whole.
our $disk = "$dir/disk";
END {
	local $?;
	capture('umount', $disk) if $disk;
}
mkdir $disk or die "$disk: $!";
run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', $disk);
my $pid = sidecar($w, name => 'full', env => { %$rules,
	OPENSANDBOX_EGRESS_POLICY_FILE => "$disk/policy.json" });
is((api($w, 'PUT', '/policy', policy_of('good.test')))[0], 200,
    'with room on the disk a policy is taken');
my $old = read_file("$disk/policy.json");
like($old, qr/good\.test/, 'and written');
open my $fill, '>', "$disk/fill" or die $!;
1 while defined syswrite $fill, 'x' x 4096;
close $fill;
my ($status, $text) = api($w, 'PUT', '/policy',
    policy_of('good.test', 'evil.test', map { "filler-$_.test" } 1 .. 500));
is($status, 500, 'without room it is not');
like($text, qr/policy file.*(space|room)/i, 'and the answer says why');
is(read_file("$disk/policy.json"), $old, 'the old file is whole');
is_deeply([grep { !/^\.\.?$/ } do { opendir(my $d, $disk); sort(readdir $d) }],
    ['fill', 'policy.json'], 'nothing is left beside it');
my (undef, undef, $now) = api($w, 'GET', '/policy');
is(scalar @{ $now->{policy}{egress} }, 1, 'the old policy is in force');
is(lookup('evil.test'), '', 'for names');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'and packets');
is(lookup('good.test'), GOOD . "\n", 'and what it allows is answered');
unlink "$disk/fill";
is((api($w, 'PUT', '/policy', policy_of('good.test', 'more.test')))[0], 200,
    'with room again it is taken');
like(read_file("$disk/policy.json"), qr/more\.test/, 'and written');
is(stop($pid), 0, 'it ends well');
run('umount', $disk);
undef $disk;

# A worker that may have little memory, and a policy that needs more.
$pid = sidecar($w, name => 'poor', env => $rules);
my $worker = worker_of($pid);
run('prlimit', '--pid', $worker, '--as=' . 60_000_000);
my $huge = write_file("$dir/huge.json", policy_of('good.test', map { my $n = $_;
	map { "$_.$n.filler-filler-filler-filler.test" } 1 .. 63 } 1 .. 64));
($status) = api($w, 'PUT', '/policy', "\@$huge");
like($status, qr/^(200|500|000)$/, 'a huge policy in little memory');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'opens nothing');
ok(wait_for(sub { lookup('good.test') eq GOOD . "\n" }, 20),
    'and there is service, from the same worker or the next');
is(stop($pid), 0, 'which ends well');

# More news of devices than the socket holds, while the worker cannot look.
$pid = sidecar($w, name => 'deaf', env => $rules);
$worker = worker_of($pid);
kill 'STOP', $worker;
run('ip', '-n', $w->{sandbox}, '-b', write_file("$dir/addresses",
	"addr add 10.77.0.1/32 dev eth0\naddr del 10.77.0.1/32 dev eth0\n" x 1000));
veth($w->{sandbox}, 'late0', $w->{host}, 'late1');
kill 'CONT', $worker;
ok(wait_for(sub { run_in($w->{sandbox}, 'nft', 'list', 'table', 'netdev',
	'opensandbox') =~ /late0/ }), 'a device that came meanwhile is guarded');
is(worker_of($pid), $worker, 'by the same worker');
is(lookup('good.test'), GOOD . "\n", 'which serves');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'and refuses');
is(stop($pid), 0, 'and ends well');

is(leaked($w), 0, 'no packet left in all that time');

done_testing(77);
