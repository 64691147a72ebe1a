# SPDX-License-Identifier: Apache-2.0
#
# What a running sidecar's rules do to real packets is what the reference of
# t/model says: random policies, always-files and names; TCP, UDP, ICMP and
# another protocol; IPv4 and IPv6. A packet arrives outside if, and only if, the
# policy lets it.
#
# MODEL_POLICIES says how many policies, MODEL_SEED repeats a run.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 6;
use Harness;
use World;

my $PACKETS = 40;
my $policies = $ENV{MODEL_POLICIES} || 150;
my $seed = $ENV{MODEL_SEED} || time;
my $tool = build_dir() . '/t/tools/egress_model';
my $dir = scratch() . '/always';
my $w = world();
my (%always, @records);

note "MODEL_SEED=$seed";
for (split /\n/, run($tool, 'plan', $seed)) {
	push @{ $always{$1} }, $2 if /^always (\S+) (\S+)$/;
	push @records, "--host-record=$1,$2" if /^name (\S+) (\S+)$/;
}
ok(%always && @records, 'there are always-rules and names');
mkdir $dir;
write_file("$dir/$_", join '', map { "$_\n" } @{ $always{$_} }) for keys %always;
world_dns($w, @records, '--address=/good.test/' . GOOD);
run_in($w->{sandbox}, 'ping', '-q', '-c', 1, '-W', 5, $_)
    for '10.88.0.1', '2001:db8:88::1';
my $pid = sidecar($w, args => ['--always-dir', $dir]);

my ($status, $out) = capture($tool, 'run', $seed, $policies, $PACKETS,
    $w->{host}, $w->{sandbox}, 'sb0', 18080);
is($status, 0, 'every packet fares as the reference says')
    or diag "MODEL_SEED=$seed\n$out";
my ($lookups, $arrived, $refused) = $out =~
    /^$policies policies (\d+) lookups (\d+) arrived (\d+) refused 0 wrong$/m;
is(($arrived // 0) + ($refused // 0), $policies * $PACKETS, 'of all of them')
    or diag $out;
cmp_ok($arrived // 0, '>', $policies * 5, 'many of which arrive');
cmp_ok($refused // 0, '>', $policies * 5, 'and many of which do not');
note $out;
is(stop($pid), 0, 'the sidecar ends well');
