#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The state file: whole at any instant and at most a second behind, whoever is
# killed; written and synced by a thread, not by the loop; a full disk leaves
# the old one; a damaged one is named with its lines.

use strict;
use warnings;
use JSON::PP qw(decode_json);
use POSIX qw(_exit);
use Test::More tests => 29;
use Time::HiRes qw(sleep time);
use Harness;
use Ingress;

my $echo = echo('box');
my $churns = 0;
my %config = (zone => 'opensandbox_zone sandboxes:8m state=%PREFIX%/state;',
    server => <<'EOT');
location = /pid { return 200 $pid; }
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
EOT

sub entry { return { endpoint => '127.0.0.1', @_ } }
sub logged { my ($g) = @_; return read_file("$g->{prefix}/error.log") }

# The ids in a state file; dies if a line of it is not whole.
sub saved
{
	my ($file) = @_;
	my $text = read_file($file);
	die "torn: $text" if $text !~ /\A(?:.*\n)*\z/;
	return map { decode_json($_)->{id} => 1 } split /\n/, $text;
}

sub becomes_saved
{
	my ($file, $id) = @_;
	return wait_for(sub { my %ids = saved($file); $ids{$id} }, 10);
}

sub kill_all
{
	my ($g) = @_;
	kill 'KILL', $g->{pid}, workers($g);
	wait_exit($g->{pid});
	wait_closed($g);
}

# Records put one after the other by another process, the time of each answer
# in a file, until it is stopped.
sub churn
{
	my ($g, $file) = @_;
	my $prefix = 'n' . ++$churns . '-';
	return spawn('churn', sub {
		my $done = 0;
		$SIG{TERM} = sub { $done = 1 };
		open my $fh, '>', $file or _exit(1);
		$fh->autoflush(1);
		for (my $n = 1; !$done; $n++) {
			my $answer = eval { api($g, 'PUT', "/$prefix$n",
				entry()) };
			print $fh time, " $prefix$n\n"
			    if $answer && $answer->{status} == 201;
			eval { api($g, 'PUT', '/same', entry(
				hostHeader => "h$n")) };
		}
		_exit(0);
	});
}

sub end_churn
{
	my ($pid) = @_;
	kill 'TERM', $pid;
	wait_exit($pid, 30);
}

# Those that were answered before a time: [id...]
sub answered
{
	my ($file, $before) = @_;
	return [map { /^(\S+) (\S+)/ && $1 < $before ? $2 : () }
	    split /\n/, read_file($file)];
}

sub reaches
{
	my ($g, $id) = @_;
	return get($g->{port}, "/sandboxes/$id/port/$echo/")->{status};
}

sub missing
{
	my ($g, $ids) = @_;
	return join ' ', grep { api($g, 'GET', "/$_")->{status} != 200 } @$ids;
}

my $g = gateway(%config);
my $state = "$g->{prefix}/state";

# All processes are killed
my $times = scratch() . '/times';
my $pid = churn($g, $times);
sleep 4;
my $end = time;
kill_all($g);
end_churn($pid);
ok(eval { saved($state); 1 }, 'the file is whole after kill -9 of all') or diag $@;
Ingress::launch($g);
my $early = answered($times, $end - 1.5);
cmp_ok(scalar @$early, '>', 20, 'many records were older than a second');
is(missing($g, $early), '', 'and all of those are there again');

# Workers are killed
$pid = churn($g, $times);
for (1 .. 10) {
	sleep 0.3;
	my @workers = workers($g);
	kill 'KILL', $workers[$_ % @workers] if @workers;
}
sleep 0.5;
end_churn($pid);
my $all = answered($times, time);
cmp_ok(scalar @$all, '>', 20, 'changes go on while workers are killed');
is(missing($g, $all), '', 'none that was taken is lost');
is(api($g, 'PUT', '/after', entry())->{status}, 201, 'the zone is usable');
ok(becomes_saved($state, 'after'), 'and the file is written');
my %ids = saved($state);
is(join(' ', grep { !$ids{$_} } @$all), '', 'with all of them');
is(scalar(grep { !/^state$/ } map { m{/(state[^/]*)$} } glob "$state*"), 0,
    'nothing is left beside it');

# The first worker is the writer, while it is able to
restart($g);
wait_for(sub { workers($g) == 2 });
my ($writer) = sort { $a <=> $b } workers($g);
becomes_saved($state, 'after');
sleep 1;
my $side = served_by($g, grep { $_ != $writer } workers($g));
kill 'STOP', $writer;
is(ask($side, 'PUT', '/v1/sandboxes/stopped', entry())->{status}, 201,
    'the writer hangs, another worker takes changes');
ok(becomes_saved($state, 'stopped'), 'and writes them');
kill 'CONT', $writer;

# Reloads: the draining worker and its successor
$pid = churn($g, $times);
for (1 .. 5) {
	sleep 0.3;
	kill 'HUP', $g->{pid};
}
end_churn($pid);
restart($g);
is(missing($g, answered($times, time)), '', 'after reloads the file has all');

# A graceful end
api($g, 'PUT', '/mark', entry());
becomes_saved($state, 'mark');
sleep 1;
api($g, 'DELETE', '/mark');
api($g, 'PUT', '/final', entry());
stop($g->{pid}, 'QUIT');
wait_closed($g);
%ids = saved($state);
is(join(',', map { $ids{$_} // 0 } qw(mark final)), '0,1',
    'the last changes are written at the end');

# Who writes, and in which order
my $trace = scratch() . '/trace';
$g->{under} = ['strace', '-f', '-y', '-o', $trace, '-e',
    'trace=fsync,rename,openat,write,clone3,clone'];
Ingress::launch($g);
api($g, 'PUT', '/traced', entry());
becomes_saved($state, 'traced');
my ($master) = read_file("$g->{prefix}/nginx.pid") =~ /(\d+)/;
kill 'QUIT', $master;
wait_exit($g->{pid}, 30);
wait_closed($g);
delete $g->{under};
my @calls = grep { /\Q$g->{prefix}\E\/state|fsync\(\d+<\Q$g->{prefix}\E>/ }
    split /\n/, read_file($trace);
my %forked = map { $_ => 1 } read_file($trace) =~ /clone\(.*= (\d+)$/mg;
my ($thread) = map { /^(\d+) +rename\(/ ? $1 : () } @calls;
ok($thread && !$forked{$thread}, 'a thread writes the file');
my $order = join ' ', map { /^$thread +(fsync|rename)\S+?(\.new|>|,)/ ? $1 : () }
    @calls;
is($order, 'fsync rename fsync', 'syncs it, gives it its name, syncs the folder')
    or diag join "\n", @calls;

# A disk that is full
my $small = scratch() . '/small';
mkdir $small;
run('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=777', 'tmpfs', $small);
END { Harness::capture('umount', '-l', $small) if $small }
my $full = gateway(zone => "opensandbox_zone sandboxes:8m state=$small/state;");
api($full, 'PUT', '/first', entry());
ok(becomes_saved("$small/state", 'first'), 'a small disk is written to');
my $before = read_file("$small/state");
api($full, 'PUT', "/big$_", entry(hostHeader => 'h' x 250)) for 1 .. 400;
ok(wait_for(sub { logged($full) =~ /cannot write state file .*No space left/ },
	10), 'a full disk is logged');
sleep 2;
my $lines = () = logged($full) =~ /cannot \w+ state file/g;
is($lines, 1, 'once');
ok(eval { my %ids = saved("$small/state"); $ids{first} },
    'the file that was there is whole') or diag $@;
is(reaches($full, 'big400'), 200, 'requests go on');
api($full, 'DELETE', "/big$_") for 1 .. 400;
api($full, 'PUT', '/later', entry());
ok(becomes_saved("$small/state", 'later'), 'with room, it is written again');
ok(wait_for(sub { logged($full) =~ /is written again/ }, 5),
    'which is logged');
stop($full->{pid}, 'QUIT');

# A damaged file
write_file($state, join "\n", '{"id":"good","endpoint":"127.0.0.1"}',
    '{"id":"bad","endpoint":"127.0.0.1","ready":7}', 'nonsense',
    '{"id":"better","endpoint":"127.0.0.1"}',
    '{"id":"torn","endpoint":"127.0');
Ingress::launch($g);
is(join(',', map { api($g, 'GET', "/$_")->{status} }
	qw(good better bad torn)), '200,200,404,404',
    'good lines of a damaged file are in use');
for my $line (2, 3, 5) {
	like(logged($g), qr/state file "\Q$state\E", line $line: /,
	    "line $line is named");
}
like(read_file("$state.bad"), qr/^nonsense$/m, 'the file is kept');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# One that cannot be read
unlink $state;
mkdir $state;
my $refused = start(name => 'refused', env => Ingress::nginx_env(),
    cmd => [Ingress::nginx_binary(), '-p', $g->{prefix}, '-c',
	"$g->{prefix}/nginx.conf"]);
is(wait_exit($refused, 10), 1 << 8,
    'nginx does not start with a file that it cannot read');
like(logged($g), qr/\[emerg\].*cannot read state file "\Q$state\E"/,
    'and says which');
