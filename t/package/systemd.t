#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The units under systemd itself: what they may do, that they come back, and an
# upgrade of the first packages there were to these, with sandboxes that ask all
# the time.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Package;
use POSIX qw(_exit);
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use World;

my $first = previous() or plan skip_all => 'no history of the sources here';
my ($version) = read_file(root() . '/common/version.h')
    =~ /^#define OPENSANDBOX_VERSION "(.*)"$/m;
my ($older) = $first->{'opensandbox-egress'} =~ /_([^_]+)_/;
my @names = qw(opensandbox-discovery opensandbox-egress);
my $policy = '{"defaultAction":"deny","egress":[{"action":"allow","target":"good.test"}]}';

# A world of one sandbox, and another sandbox for the unit of one.
my $w = world();
world_dns($w);
world_web($w, 'internet', $_->[0], 80, $_->[1]) for [GOOD, 'good'], [EVIL, 'evil'];
my $other = { %$w, sandbox => netns('other') };
veth($other->{sandbox}, 'eth0', $w->{host}, 'sb1');
addr($other->{sandbox}, 'eth0', '10.89.0.5/24');
addr($w->{host}, 'sb1', '10.89.0.1/24');
run('ip', '-n', $other->{sandbox}, 'route', 'add', 'default', 'via', '10.89.0.1');
netns_etc($other->{sandbox}, 'resolv.conf', "nameserver 10.89.0.1\n");

my $root = machine($w->{host}, box => $w->{sandbox}, other => $other->{sandbox});

sub unit
{
	my ($name, $property) = @_;
	return ran("systemctl show -P $property $name") =~ s/\n//r;
}

sub journal { return ran("journalctl -q --no-pager -o cat -u '$_[0]'") }

sub asked
{
	my ($path, @more) = @_;
	return ran(join ' ', 'curl -s -m 10 --unix-socket /run/opensandbox/egress.sock', @more,
	    "http://agent$path || :");
}

sub fetched { return (sees($_[0], 'curl', '-s', '-m', '5', "http://$_[1]/"))[1] }

sub guarded
{
	my ($name, $at) = @_;
	like(fetched($at, 'good.test'), qr/"app": "good"/, "$name: what is allowed is reached");
	my $evil = counted($w, 'evil');
	is(fetched($at, 'evil.test'), '', '  no other name');
	is(fetched($at, EVIL), '', '  nor address');
	is(counted($w, 'evil'), $evil, '  no packet of it arrives');
}

# Each sandbox asks and connects without a pause, and tries what it may not.
sub asking
{
	my %file = map { $_ => scratch() . "/asking-$_" } qw(box other);
	my @pids = map {
		my ($name, $at) = @$_;
		spawn("asking-$name", sub {
			my ($done, $good, $tries) = (0, 0, 0);
			$SIG{TERM} = sub { $done = 1 };
			while (!$done) {
				$tries++;
				$good++ if fetched($at, 'good.test') =~ /good/;
				capture('ip', 'netns', 'exec', $at->{sandbox}, 'curl', '-s', '-m', '1', 'http://' . EVIL);
			}
			write_file($file{$name}, "$good $tries");
			_exit(0);
		});
	} ['box', $w], ['other', $other];
	return sub {
		kill 'TERM', @pids;
		wait_exit($_, 60) for @pids;
		return map { [split ' ', read_file($file{$_})] } qw(box other);
	};
}

# The first ones
like(ran('systemctl is-system-running || :'), qr/^running$/, 'systemd runs')
    or diag ran('systemctl --no-pager --failed');
my ($status, $out) = install_debs(@$first{@names});
is($status, 0, "version $older is installed") or diag $out;
is(unit('opensandbox-egress-agent', 'ActiveState'), 'active', '  the agent is started');
is(unit('opensandbox-egress-agent', 'UnitFileState'), 'enabled', '  and enabled');
is(unit('opensandbox-discovery', 'ActiveState'), 'inactive', '  discovery is not');
my %env = ('egress-agent' => 'OPENSANDBOX_EGRESS_DNS_UPSTREAM=' . RESOLVER . "\n");
$env{'egress-other'} = $env{'egress-agent'} . "OPENSANDBOX_EGRESS_HTTP_ADDR=127.0.0.1:18081\n"
    . "OPENSANDBOX_EGRESS_POLICY_FILE=/var/lib/opensandbox/other.json\n";
write_file("$root/etc/opensandbox/$_.env", $env{$_}) for keys %env;
ran("mkdir -p /var/lib/opensandbox && echo '$policy' >/var/lib/opensandbox/other.json");
ran('systemctl restart opensandbox-egress-agent && systemctl start opensandbox-egress@other opensandbox-discovery');
ok(wait_for(sub { asked('/healthz') =~ /\S/ }), '  the agent answers');
like(asked('/v1/sandboxes/box', '-X PUT', "--data '{\"netns\":\"box\",\"policy\":$policy}'"),
    qr/"guarded"/, '  and guards a sandbox');
ok(wait_for(sub { fetched($other, 'good.test') =~ /good/ }, 30), '  another one has a unit of its own');

# Upgraded while they ask
my $evil = counted($w, 'evil');
my $asking = asking();
my %pid = map { $_ => unit($_, 'MainPID') } qw(opensandbox-egress-agent opensandbox-egress@other
    opensandbox-discovery);
($status, $out) = install_debs(@{ debs() }{@names});
is($status, 0, "version $version over it") or diag $out;
for (sort keys %pid) {
	ok(wait_for(sub { unit($_, 'ActiveState') eq 'active' && unit($_, 'MainPID') ne $pid{$_} }, 30),
	    "  $_ runs anew") or diag journal($_);
	is(ran('readlink /proc/' . unit($_, 'MainPID') . '/exe') =~ /deleted/, '', '  from the new file');
}
ok(wait_for(sub { fetched($_, 'good.test') =~ /good/ }, 30), '  names are answered again') for $w, $other;
sleep 1;
for ($asking->()) {
	my ($good, $tries) = @$_;
	cmp_ok($tries, '>', 3, '  a sandbox asked all along');
	cmp_ok($good, '>', 0, '  and was answered');
	diag "$good of $tries answered";
}
is(counted($w, 'evil'), $evil, '  nothing got out that may not');
like(asked('/v1/sandboxes/box'), qr/"guarded"/, '  the agent found its sandbox again');
guarded('the agent\'s', $w);
guarded('the unit\'s own', $other);

# What is held is held without a complaint, under all that the units forbid.
for my $unit (['opensandbox-egress-agent', 4], ['opensandbox-egress@other', 4],
	['opensandbox-discovery', 2.5]) {
	my ($name, $most) = @$unit;
	($status, $out) = inside('systemd-analyze', 'verify', '--man=no', "$name.service");
	is($out, '', "$name: systemd finds no fault");
	my ($exposure) = ran("systemd-analyze --no-pager security $name") =~ /exposure level.*: ([\d.]+)/;
	cmp_ok($exposure, '<=', $most, '  and little that it may do');
	unlike(journal($name), qr/not permitted|EPERM|AF_XDP cannot/, '  which is all it needs')
	    or diag journal($name);
	is(unit($name, 'NRestarts'), 0, '  it never ended by itself');
}
# A guest's device: the one switch that is set below /proc/sys.
run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
veth($w->{sandbox}, 'guest0', $w->{sandbox}, 'guest1');
asked('/v1/sandboxes/box', '-X PUT', "--data '{\"netns\":\"box\",\"policy\":$policy}'");
is(run_in($w->{sandbox}, 'sysctl', '-n', 'net.ipv4.conf.guest0.route_localnet'), "1\n",
    'the agent sets what a guest\'s device needs');
my $main = unit('opensandbox-egress-agent', 'MainPID');
isnt((inside('nsenter', '-t', $main, '-m', 'sh', '-c', 'echo 1 >/proc/sys/kernel/sysrq'))[0], 0,
    '  and can set nothing else');
ran('ip netns add late');
like(asked('/v1/sandboxes/late', '-X PUT', "--data '{\"netns\":\"late\"}'"), qr/"guarded"/,
    'a namespace that is made later is seen');

# They come back, and nothing opens meanwhile.
for (['opensandbox-egress-agent', $w], ['opensandbox-egress@other', $other], ['opensandbox-discovery']) {
	my ($name, $at) = @$_;
	my $before = counted($w, 'evil');
	for my $n (1 .. 7) {
		my $pid = unit($name, 'MainPID');
		ran("systemctl kill --kill-who=main --signal=KILL $name");
		fetched($at, EVIL) if $at;
		last if !ok(wait_for(sub { unit($name, 'SubState') eq 'running'
			&& unit($name, 'MainPID') ne $pid }, 30), "$name comes back, $n") ;
	}
	is(counted($w, 'evil'), $before, '  and nothing opens meanwhile');
	next if !$at;
	ok(wait_for(sub { fetched($at, 'good.test') =~ /good/ }, 30), '  names are answered again');
}

# What no restart mends is not tried again.
for (['opensandbox-egress-agent', 'egress-agent', 'OPENSANDBOX_EGRESS_GATE'],
	['opensandbox-egress@other', 'egress-other', 'OPENSANDBOX_EGRESS_GATE'],
	['opensandbox-discovery', 'discovery', 'OPENSANDBOX_DISCOVERY_GATEWAY']) {
	my ($name, $file, $variable) = @$_;
	my $text = read_file("$root/etc/opensandbox/$file.env");
	write_file("$root/etc/opensandbox/$file.env", "$text\n$variable=no:such:thing\n");
	inside('systemctl', 'restart', $name);
	ok(wait_for(sub { unit($name, 'ActiveState') eq 'failed' }, 20), "$name with a wrong setting fails");
	is(unit($name, 'ExecMainStatus'), 2, '  once');
	like(journal($name), qr/\Q$variable\E/, '  and says by which');
	write_file("$root/etc/opensandbox/$file.env", $text);
	ran("systemctl restart $name");
	ok(wait_for(sub { unit($name, 'SubState') eq 'running' }, 20), '  mended, it starts');
}

# Ends
ran("systemctl stop $_") for sort keys %pid;
is(unit($_, 'Result'), 'success', "$_ ends well") for sort keys %pid;
$evil = counted($w, 'evil');
is(fetched($_, EVIL), '', 'without it, its sandbox stays closed') for $w, $other;
is(counted($w, 'evil'), $evil, '  no packet arrives');
($status, $out) = inside('apt-get', 'purge', '-q', '-y', @names);
is($status, 0, 'purged') or diag $out;
is(ran('ls -d /etc/opensandbox /run/opensandbox /var/lib/opensandbox 2>/dev/null || :'), '',
    '  nothing is left');
is(ran("systemctl list-units --all --no-legend 'opensandbox*'"), '', '  no unit either');
is(fetched($_, EVIL), '', '  the sandboxes stay closed') for $w, $other;
done_testing();
