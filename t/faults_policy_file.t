# SPDX-License-Identifier: Apache-2.0
#
# A disk that fails at any step of keeping a policy: what the API shows, what
# the kernel does and what the next start reads are one and the same, the new
# policy where the change was answered with 200 and the old one where it was
# not.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Faults qw(worker_of);
use Harness;
use World;

plan skip_all => 'no strace' if !grep { -x "$_/strace" } split /:/, $ENV{PATH};

my $w = world();
my $dir = scratch();
my $file = "$dir/kept/policy.json";
my @faults = map { my $call = $_; map { "$call:error=EIO:when=$_" } 1 .. 4 }
    'fsync', 'renameat,renameat2,rename';
mkdir "$dir/kept";

sub policy { { defaultAction => 'deny', egress => [
	{ action => 'allow', target => $_[0] }] } }

# A system call of the worker fails while code runs; how often it did.
sub failing
{
	my ($pid, $inject, $code) = @_;
	my $log = "$dir/strace.log";
	my ($calls) = $inject =~ /^([^:]+)/;

	unlink $log;
	my $strace = start(name => 'strace', cmd => ['strace', '-f', '-qq', '-p',
			worker_of($pid), '-e', "trace=$calls", '-e',
			"inject=$inject", '-o', $log]);
	wait_for(sub { read_file('/proc/' . worker_of($pid) . '/status')
		=~ /^TracerPid:\s+[1-9]/m }) or die "strace does not trace\n";
	$code->();
	stop($strace, 'INT');
	return scalar(() = read_file($log) =~ /INJECTED/g);
}

# The addresses that the kernel lets out, of those that the test allows.
sub kernel
{
	my $rules = run_in($w->{sandbox}, 'nft', '-n', 'list', 'table', 'inet',
	    'opensandbox');
	return join ' ', sort grep { $rules =~ /\b\Q$_\E\b/ }
	    map { "198.51.100.$_" } 1 .. 200;
}

# One truth, for what starts, asks and changes.
sub one_truth
{
	my ($name, %do) = @_;
	my ($injected, $now) = (0, '198.51.100.1');
	my (@shown, @enforced, @next);
	my $pid = $do{start}->();

	$do{change}->($now);
	for my $n (2 .. @faults + 1) {
		my $wanted = "198.51.100.$n";
		my $status = 0;

		$injected += failing($pid, $faults[$n - 2], sub {
			$status = $do{change}->($wanted) });
		$now = $wanted if $status == 200;
		push @shown, "$faults[$n - 2]: $status" if $do{show}->() ne $now;
		push @enforced, "$faults[$n - 2]: $status" if kernel() ne $now;
		kill 'KILL', -$pid;
		kill_now($pid);
		$pid = $do{start}->();
		push @next, "$faults[$n - 2]: $status" if $do{show}->() ne $now;
	}
	cmp_ok($injected, '>', 2, "$name: $injected failures");
	is("@shown", '', '  the API shows what was answered');
	is("@enforced", '', '  the kernel does what was answered');
	is("@next", '', '  the next start reads what was answered');
	stop($pid);
}

sub target { $_[0]{policy}{egress}[0]{target} // '' }

my $number = 0;
one_truth('sidecar',
	start => sub { sidecar($w, name => 'sidecar' . $number++, env => {
		OPENSANDBOX_EGRESS_POLICY_FILE => $file }) },
	change => sub { (api($w, 'PUT', '/policy', policy($_[0])))[0] },
	show => sub { target((api($w, 'GET', '/policy'))[2]) });
is_deeply([glob "$dir/kept/*"], [$file], '  no other file is left behind');

my $place = "/v1/sandboxes/sb";
one_truth('agent, by PUT',
	start => sub { agent($w->{host}, 'agent' . $number++,
		{ OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER }) },
	change => sub { (ask('PUT', $place, { netns => $w->{sandbox},
		policy => policy($_[0]) }))[0] },
	show => sub { target((ask('GET', $place))[1]) });
is_deeply([map { s{.*/}{}r } glob agent_state() . '/*'],
    ['sb.place', 'sb.policy'], '  no other file is left behind');
done_testing(10);
