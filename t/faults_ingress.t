# SPDX-License-Identifier: Apache-2.0
#
# What the machine may do to the gateway: a full and a read-only disk under the
# state file, no descriptor left, workers killed and reloads ordered at random
# moments under load and changes (FAULTS_TIME says for how long), a clock that
# jumps. Every change that was answered is there afterwards, and in the file
# within moments once it can be written; nobody is let in who may not enter.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 31;
use Time::HiRes qw(sleep time);
use JSON::PP;
use Harness;
use Ingress;

my $dir = scratch();
my $disk = "$dir/disk";
my $seed = $ENV{FAULTS_SEED} || time % 1e6;
srand $seed;
note "FAULTS_SEED=$seed";

END {
	local $?;
	capture('umount', $disk) if $disk && -d $disk;
}

my $echo = echo('box');
my $g;

sub entry   { return { endpoint => '127.0.0.1', @_ } }
sub reaches { return (eval { get($g->{port}, "/sandboxes/$_[0]/port/$echo/") }
	|| {})->{status} // 0 }
sub put     { return api($g, 'PUT', "/$_[0]", entry(@_[1 .. $#_]))->{status} }

# -- disks --

mkdir $disk;
run('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=777', 'none', $disk);
my %config = (zone => "opensandbox_zone sandboxes:4m state=$disk/state;");
$g = gateway(%config);
is(put('first'), 201, 'a record');
ok(wait_for(sub { read_file("$disk/state") =~ /"first"/ }, 5), '  is in the file');
open my $fill, '>', "$disk/fill" or die $!;
1 while defined syswrite $fill, 'x' x 4096;
close $fill;
is(put("full-$_", hostHeader => 'h' x 200), 201, "a full disk: record $_")
    for 1 .. 3;
ok(wait_for(sub { read_file("$g->{prefix}/error.log")
	=~ /\[err.*state file "\Q$disk\E\/state".*space/ }, 5), '  the log says so');
is(reaches('full-3'), 200, '  it is served all the same');
like(read_file("$disk/state"), qr/"first"/, '  the old file is whole');
is_deeply([grep { !/^\.\.?$/ } do { opendir(my $d, $disk); sort(readdir $d) }],
    ['fill', 'state'], '  with nothing beside it');
unlink "$disk/fill";
ok(wait_for(sub { read_file("$disk/state") =~ /"full-3"/ }, 5),
    'with room again the file has it, by itself');
run('mount', '-o', 'remount,ro', $disk);
is(put('readonly'), 201, 'a read-only disk: a record');
ok(wait_for(sub { read_file("$g->{prefix}/error.log")
	=~ /\[err.*state file.*[Rr]ead-only/ }, 5), '  the log says so');
is(reaches('readonly'), 200, '  it is served all the same');
run('mount', '-o', 'remount,rw', $disk);
ok(wait_for(sub { read_file("$disk/state") =~ /"readonly"/ }, 5),
    'later the file has it, by itself');
restart($g);
is(reaches($_), 200, "  $_ is there after a restart")
    for qw(first full-3 readonly);
stop($g->{pid}, 'QUIT');
wait_closed($g);
run('umount', $disk);
rmdir $disk;
undef $disk;

# -- descriptors --

$g = gateway(workers => 1, main => 'worker_rlimit_nofile 40;');
put('box', accessToken => 'hush');
put('open');
my @held = grep { defined } map {
	eval { connect_to($g->{port}) } } 1 .. 60;
sleep 0.3;
cmp_ok(@held, '>', 30, 'connections take every descriptor');
@held = ();
ok(wait_for(sub { reaches('open') == 200 }, 10), '  when they end there is service');
is(reaches('box'), 401, '  and nobody gets in who may not');
like(read_file("$g->{prefix}/error.log"), qr/Too many open files/,
    '  the log says what was the matter');
stop($g->{pid}, 'QUIT');
wait_closed($g);

# -- deaths and reloads --

$g = gateway(workers => 2, zone =>
	'opensandbox_zone sandboxes:8m state=%PREFIX%/state;');
put('steady');
put('secret', accessToken => 'hush');

# Change records, and note what the last answered change made of each; those
# whose change got no answer may be either.
my $churn = spawn('churn', sub {
	my (%known, %maybe, $go);
	$go = 1;
	$SIG{TERM} = sub { $go = 0 };
	my $changes = 0;
	while ($go) {
		my $id = 'r' . int rand 300;
		my $host = 'h' . ++$changes;
		my $a = eval { rand > 0.3 ?
			api($g, 'PUT', "/$id", entry(hostHeader => $host)) :
			api($g, 'DELETE', "/$id") };
		my $status = ($a || {})->{status} || 0;
		if ($status == 200 || $status == 201) {
			$known{$id} = $host;
			delete $maybe{$id};
		} elsif ($status == 204 || $status == 404) {
			$known{$id} = '';
			delete $maybe{$id};
		} else {
			push @{ $maybe{$id} }, $host, '', $known{$id} // '';
		}
	}
	write_file("$dir/known", encode_json(
		{ known => \%known, maybe => \%maybe, changes => $changes }));
});
my $load = spawn('load', sub {
	my ($served, $entered, $go) = (0, 0, 1);
	$SIG{TERM} = sub { $go = 0 };
	while ($go) {
		$served++ if reaches('steady') == 200;
		$entered++ if reaches('secret') == 200;
	}
	write_file("$dir/load", "$served $entered");
});
my %done;
my $end = time + ($ENV{FAULTS_TIME} || 8);
while (time < $end) {
	my @workers = workers($g);
	if (@workers && rand > 0.4) {
		kill 'KILL', $workers[rand @workers];
		$done{deaths}++;
	} else {
		for (1 .. 1 + rand 4) {
			kill 'HUP', $g->{pid};
			$done{reloads}++;
		}
	}
	sleep rand 0.4;
}
note join ', ', map { "$done{$_} $_" } sort keys %done;
ok(wait_for(sub { reaches('steady') == 200 }, 10), 'there is service by itself');
stop($churn);
stop($load);
my ($served, $entered) = split ' ', read_file("$dir/load");
cmp_ok($served, '>', 10, "  and was: $served requests served");
is($entered, 0, '  nobody got in who may not');
my $said = decode_json(read_file("$dir/known") || '{}');
cmp_ok($said->{changes} // 0, '>', 50, "  changes: " . ($said->{changes} // 0));

sub wrong_records
{
	my @wrong;
	for my $id (sort keys %{ $said->{known} }) {
		my $a = api($g, 'GET', "/$id");
		my $now = $a->{status} == 200 ? json($a)->{hostHeader} : '';
		my @may = @{ $said->{maybe}{$id} || [$said->{known}{$id}] };
		push @wrong, "$id is '$now', not " . join ' or ', @may
		    if !grep { $_ eq $now } @may;
	}
	return join "\n", @wrong;
}
is(wrong_records(), '', '  every change that was answered is there');
sleep 1.5;
kill 'KILL', $g->{pid}, workers($g);
wait_exit($g->{pid});
wait_closed($g);
Ingress::launch($g);
is(wrong_records(), '', '  and in the file, when all processes died');
unlike(read_file("$g->{prefix}/error.log"), qr/\[emerg\]/, '  no reload failed');
stop($g->{pid}, 'QUIT');

# -- the time of day --

SKIP: {
	skip 'a sanitizer must be loaded first', 3 if build_dir() =~ m{/san$};
	my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1';
	my $clock = write_file("$dir/clock", '+0');
	local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
	    FAKETIME_DONT_FAKE_MONOTONIC)} = ($library, $clock, 1, 1);
	$g = gateway(main => join ' ', map { "env $_;" } qw(LD_PRELOAD
	    FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
	    FAKETIME_DONT_FAKE_MONOTONIC));
	delete $ENV{LD_PRELOAD};
	my @t = gmtime(time + 3600);
	put('hour', expiresAt => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', @t));
	is(reaches('hour'), 200, 'a sandbox that lives for an hour');
	write_file($clock, '+2h');
	ok(wait_for(sub { reaches('hour') == 410 }, 5),
	    '  is gone when the clock jumps ahead by two');
	write_file($clock, '+0');
	ok(wait_for(sub { reaches('hour') == 200 }, 5), '  and back when it does');
}
