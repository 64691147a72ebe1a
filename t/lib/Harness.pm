# SPDX-License-Identifier: Apache-2.0
package Harness;

# What every system test stands on: a scratch folder, child processes and
# network namespaces that are gone when the test is, however it ends.

use strict;
use warnings;
use Exporter 'import';
use Carp qw(croak);
use Cwd qw(abs_path);
use Fcntl qw(LOCK_EX LOCK_NB);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h setpgid _exit);
use Socket qw(SOL_SOCKET SO_REUSEADDR);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(scratch root build_dir start spawn adopt stop kill_now alive
    wait_exit run run_in capture netns netns_etc veth addr in_netns join_netns free_port
    wait_for wait_port write_file read_file python tool nginx_env);

my $owner = $$;
my (%children, @namespaces, %ports, $scratch);

# The repository's folder, absolute.
sub root
{
	return abs_path(dirname(__FILE__) . '/../..');
}

# The folder with the two programs.
sub build_dir
{
	return $ENV{BUILD} || root() . '/build';
}

# A folder that the end of the test removes. World-searchable, since nginx's
# workers are not root.
sub scratch
{
	if (!$scratch) {
		$scratch = tempdir('opensandbox-test-XXXXXXXX', TMPDIR => 1);
		chmod 0755, $scratch;
	}
	return $scratch;
}

# Debian's Python, whatever else PATH holds first: the packages that tests
# import belong to it.
sub python
{
	return '/usr/bin/python3';
}

# The environment that nginx must run in: a sanitized module needs its runtime
# before anything else in the process. What nginx itself leaves at its end is
# none of ours.
sub nginx_env
{
	return {} if build_dir() !~ m{/san\b};
	my (undef, $asan) = capture('gcc', '-print-file-name=libasan.so');
	my (undef, $ubsan) = capture('gcc', '-print-file-name=libubsan.so');
	chomp($asan, $ubsan);
	return {
		LD_PRELOAD    => "$asan:$ubsan",
		ASAN_OPTIONS  => 'detect_leaks=0',
		UBSAN_OPTIONS => 'print_stacktrace=1',
	};
}

# A copy of t/tools/NAME that a user who is nobody can read too, wherever the
# repository lies.
sub tool
{
	my ($name) = @_;
	my $copy = scratch() . "/$name";

	copy(root() . "/t/tools/$name", $copy) if !-e $copy;
	return $copy;
}

# start(name => ..., cmd => [...], netns => NAME, env => {...}, log => FILE)
# starts a child in a process group of its own and returns its pid. Its output
# goes to log, default NAME.log in the scratch folder.
sub start
{
	my (%o) = @_;
	my @cmd = @{ $o{cmd} };
	my $log = $o{log} || scratch() . "/$o{name}.log";
	unshift @cmd, 'ip', 'netns', 'exec', $o{netns} if defined $o{netns};

	my $pid = fork();
	croak "fork: $!" unless defined $pid;
	if ($pid == 0) {
		setpgid(0, 0);
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $log;
		open STDERR, '>&', \*STDOUT;
		$ENV{$_} = $o{env}{$_} for keys %{ $o{env} || {} };
		exec { $cmd[0] } @cmd or do {
			print STDERR "exec $cmd[0]: $!\n";
			_exit(127);
		};
	}
	setpgid($pid, $pid);
	$children{$pid} = $o{name};
	return $pid;
}

# spawn(NAME, CODE): the same for Perl code, which the child runs to its end.
sub spawn
{
	my ($name, $code) = @_;
	my $pid = fork();
	croak "fork: $!" unless defined $pid;
	if ($pid == 0) {
		setpgid(0, 0);
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
		$code->();
		_exit(0);
	}
	setpgid($pid, $pid);
	$children{$pid} = $name;
	return $pid;
}

# A process that is no child of ours, the leader of its process group: it ends
# with the test.
sub adopt
{
	my ($pid, $name) = @_;
	$children{$pid} = $name;
	return $pid;
}

sub alive
{
	my ($pid) = @_;
	return 0 unless exists $children{$pid};
	if (waitpid($pid, WNOHANG) == $pid) {
		$children{$pid} = undef;
		delete $children{$pid};
		return 0;
	}
	return 1;
}

# Wait for a child's end; returns its wait status, undef if it did not end.
sub wait_exit
{
	my ($pid, $seconds) = @_;
	my $end = time + ($seconds // 10);
	while (time < $end) {
		if (waitpid($pid, WNOHANG) == $pid) {
			my $status = $?;
			delete $children{$pid};
			return $status;
		}
		sleep 0.02;
	}
	return undef;
}

# End a child and what it started, gently first.
sub stop
{
	my ($pid, $signal) = @_;
	return unless $pid && exists $children{$pid};
	kill $signal || 'TERM', $pid;
	my $status = wait_exit($pid, 5);
	kill 'KILL', -$pid;
	if (!defined $status) {
		waitpid($pid, 0);
		delete $children{$pid};
	}
	return $status;
}

sub kill_now
{
	my ($pid) = @_;
	kill 'KILL', $pid;
	waitpid($pid, 0);
	delete $children{$pid};
}

# Run to the end; dies with the command's output if it failed.
sub run
{
	my (@cmd) = @_;
	my ($status, $out) = capture(@cmd);
	croak "@cmd: status $status: $out" if $status != 0;
	return $out;
}

sub run_in
{
	my ($ns, @cmd) = @_;
	return run('ip', 'netns', 'exec', $ns, @cmd);
}

# (exit status, output with errors among it)
sub capture
{
	my (@cmd) = @_;
	my $pid = open(my $fh, '-|');
	croak "fork: $!" unless defined $pid;
	if ($pid == 0) {
		open STDIN, '<', '/dev/null';
		open STDERR, '>&', \*STDOUT;
		exec { $cmd[0] } @cmd or do {
			print "exec $cmd[0]: $!\n";
			_exit(127);
		};
	}
	local $/;
	my $out = <$fh>;
	close $fh;
	return ($? >> 8 || $? & 127, $out // '');
}

# A new namespace with loopback up; returns its full name, unique to this test.
sub netns
{
	my ($name) = @_;
	my $full = "osb-$$-$name";
	# First of all, so that an end in between takes it along.
	push @namespaces, $full;
	run('ip', 'netns', 'add', $full);
	run('ip', '-n', $full, 'link', 'set', 'lo', 'up');
	return $full;
}

# netns_etc(NS, FILE, CONTENT): what `ip netns exec` shows as /etc/FILE inside.
sub netns_etc
{
	my ($ns, $file, $content) = @_;
	make_path("/etc/netns/$ns");
	write_file("/etc/netns/$ns/$file", $content);
}

# veth(NS_A, IF_A, NS_B, IF_B): a cable between two namespaces, both ends up.
sub veth
{
	my ($a, $if_a, $b, $if_b) = @_;
	run('ip', '-n', $a, 'link', 'add', $if_a, 'type', 'veth',
	    'peer', 'name', $if_b, 'netns', $b);
	run('ip', '-n', $a, 'link', 'set', $if_a, 'up');
	run('ip', '-n', $b, 'link', 'set', $if_b, 'up');
}

# addr(NS, IF, ADDRESS/LEN...): addresses, usable at once.
sub addr
{
	my ($ns, $if, @addresses) = @_;
	for my $address (@addresses) {
		my @nodad = $address =~ /:/ ? ('nodad') : ();
		run('ip', '-n', $ns, 'addr', 'add', $address, 'dev', $if, @nodad);
	}
}

# From here on the test itself, and what it starts, is in that namespace.
sub join_netns
{
	my ($ns) = @_;
	# setns(2) has no wrapper in core Perl.
	my %setns = (x86_64 => 308, aarch64 => 268);
	my $number = $setns{ (POSIX::uname())[4] }
	    or die "setns: its number is not known here\n";

	open my $fh, '<', "/run/netns/$ns" or die "netns $ns: $!\n";
	syscall($number, fileno($fh), 0x40000000) == 0 or die "setns: $!\n";
}

# Call code in a forked child inside a namespace; returns what it returned,
# as a string. For sockets that a test opens itself.
sub in_netns
{
	my ($ns, $code) = @_;
	pipe(my $r, my $w) or croak "pipe: $!";
	my $pid = fork();
	croak "fork: $!" unless defined $pid;
	if ($pid == 0) {
		close $r;
		my $result = eval {
			join_netns($ns);
			$code->();
		};
		$result = "died: $@" if $@;
		print $w $result // '';
		close $w;
		_exit(0);
	}
	close $w;
	local $/;
	my $out = <$r>;
	waitpid($pid, 0);
	return $out;
}

# A TCP port of 127.0.0.1 that nothing listens on now, and that no other test
# takes while this one runs: below the range that connections take theirs from,
# with a lock on a file of its number. Also above the ports that programs and
# tests use by number (10000, 15353, 18080): in a namespace of a test these look
# free until the program starts there, and its clients meet who came first.
sub free_port
{
	for (1 .. 1000) {
		my $port = 20_001 + int rand 8_000;
		open my $lock, '>', "/tmp/opensandbox-port-$port" or next;
		flock($lock, LOCK_EX | LOCK_NB) or next;
		IO::Socket::INET->new(
			Listen    => 1,
			LocalAddr => '127.0.0.1',
			LocalPort => $port,
			ReuseAddr => 1,
		) or next;
		$ports{$port} = $lock;
		return $port;
	}
	croak 'free_port: none of a thousand is free';
}

# Call code until it is true; returns what it said, false after seconds.
sub wait_for
{
	my ($code, $seconds) = @_;
	my $end = time + ($seconds // 10);
	my $result;
	do {
		$result = $code->();
		return $result if $result;
		sleep 0.02;
	} while (time < $end);
	return $result;
}

sub wait_port
{
	my ($port, $seconds) = @_;
	return wait_for(sub {
		IO::Socket::INET->new("127.0.0.1:$port") ? 1 : 0;
	}, $seconds);
}

sub write_file
{
	my ($path, $content) = @_;
	open my $fh, '>', $path or croak "$path: $!";
	print $fh $content;
	close $fh or croak "$path: $!";
	return $path;
}

sub read_file
{
	my ($path) = @_;
	open my $fh, '<', $path or return '';
	local $/;
	return <$fh> // '';
}

sub cleanup
{
	return if $$ != $owner;
	local ($?, $!, $@);
	kill 'TERM', $_ for keys %children;
	my $end = time + 3;
	while (%children && time < $end) {
		for my $pid (keys %children) {
			if (waitpid($pid, WNOHANG) != 0) {
				kill 'KILL', -$pid;
				delete $children{$pid};
			}
		}
		sleep 0.02;
	}
	for my $pid (keys %children) {
		kill 'KILL', -$pid;
		waitpid($pid, 0);
	}
	%children = ();
	for my $ns (@namespaces) {
		# What was started inside by other means ends with its namespace.
		my (undef, $pids) = capture('ip', 'netns', 'pids', $ns);
		kill 'KILL', grep { /^\d+$/ && $_ != $$ } split ' ', $pids;
		capture('ip', 'netns', 'del', $ns);
		remove_tree("/etc/netns/$ns");
	}
	rmdir '/etc/netns' if @namespaces;
	@namespaces = ();
	unlink map { "/tmp/opensandbox-port-$_" } keys %ports;
	%ports = ();
	if ($scratch && !$ENV{KEEP}) {
		remove_tree($scratch, { safe => 0 });
		undef $scratch;
	}
}

# However the test ends, what it made goes with it; it ends when what runs it
# (prove) does: prctl(PR_SET_PDEATHSIG), which has no wrapper in core Perl.
# Whoever ends the test may end what reads its output, too. Another signal then,
# in an END block of somebody else's, would leave out ours.
my @ends = qw(INT TERM HUP PIPE);
$SIG{$_} = sub {
	@SIG{@ends} = ('IGNORE') x @ends;
	cleanup();
	exit 130;
} for @ends;
{
	my %prctl = (x86_64 => 157, aarch64 => 167);
	my $number = $prctl{ (POSIX::uname())[4] };
	syscall($number, 1, 15, 0, 0, 0) if $number;
}

# What a sanitizer said of a program of ours, whichever test noticed.
sub sanitizer_reports
{
	return '' if $$ != $owner || !$scratch;
	return join '', grep { /: runtime error: |Sanitizer/ }
	    map { split /^/, read_file($_) } glob "$scratch/*.log";
}

END {
	my $reports = sanitizer_reports();
	cleanup();
	if ($reports) {
		print STDERR $reports;
		$? ||= 1;
	}
}

1;
