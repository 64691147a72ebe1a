#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# The network around a guarded sandbox goes on working: neighbours find each
# other, devices and addresses come and go, containers inside are guarded too.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my ($good, $good6) = ('203.0.113.20', '2001:db8:113::20');
my ($evil, $evil6) = ('203.0.113.66', '2001:db8:113::66');
my $policy = '{"defaultAction":"deny","egress":['
    . '{"action":"allow","target":"203.0.113.20"},'
    . '{"action":"allow","target":"2001:db8:113::20"}]}';

my $w = filter_world();
my ($sandbox, $internet) = @$w{qw(sandbox internet)};
serve($internet, "$good,$evil,10.99.0.1", 80);
serve($internet, "$good6,$evil6,2001:db8:99::1,2001:db8:99::77", 80);
my $d = drive($w);
is(ask($d, "apply $policy"), 'ok applied', 'apply');

sub ping6
{
	my ($from, $to) = @_;
	my ($status) = capture('ip', 'netns', 'exec', $from, 'ping', '-6', '-c1',
	    '-W2', $to);
	return $status == 0 ? 'answers' : 'silent';
}

subtest 'neighbour discovery under default deny' => sub {
	for my $ns ($sandbox, $internet) {
		wait_for(sub { run('ip', '-n', $ns, '-6', 'addr') !~ /tentative/ });
	}
	run('ip', '-n', $_, 'neigh', 'flush', 'all') for $sandbox, $internet;
	is(hostile($w, 'tcp', $good6, 80), 'open', 'the router is found');
	run('ip', '-n', $_, 'neigh', 'flush', 'all') for $sandbox, $internet;
	is(ping6($internet, '2001:db8:99::2'), 'answers', 'we are found');
	my ($link) = run('ip', '-n', $sandbox, '-6', 'addr', 'show', 'dev', 'eth0',
	    'scope', 'link') =~ /inet6 (fe80::[0-9a-f:]+)/;
	is(ping6($internet, "$link%eth0"), 'answers', 'by our link-local address');
	like(hostile($w, 'udp', '2001:db8:99::77', 80), qr/^E/,
	    'a neighbour is no less refused');
	run('ip', '-n', $sandbox, 'addr', 'add', '2001:db8:99::3/64', 'dev',
	    'eth0');
	ok(wait_for(sub { run('ip', '-n', $sandbox, '-6', 'addr', 'show', 'dev',
	    'eth0') !~ /tentative/ }), 'duplicate address detection ends');
	unlike(run('ip', '-n', $sandbox, '-6', 'addr', 'show', 'dev', 'eth0'),
	    qr/dadfailed/, 'without a duplicate');
	is(ping6($internet, '2001:db8:99::3'), 'answers', 'the new one is found');
};

# The filter and the policy have one notion of a private address.
subtest 'who may connect inward' => sub {
	my $may = sub {
		my ($a) = @_;
		my $set = $a =~ /:/ ? 'inbound6' : 'inbound4';
		my ($status) = capture('ip', 'netns', 'exec', $sandbox, 'nft',
		    'get', 'element', 'inet', 'opensandbox', $set, "{ $a }");
		return $status == 0;
	};
	ok($may->($_), "$_ may") for qw(10.0.0.1 172.16.0.1 172.31.255.255
	    192.168.0.1 100.64.0.1 198.18.0.0 198.19.255.255 169.254.0.1
	    fc00::1 fdff::1 fe80::1 fec0::1);
	ok(!$may->($_), "$_ may not") for qw(9.255.255.255 11.0.0.0 172.32.0.0
	    198.17.255.255 198.20.0.0 203.0.113.20 2001:db8:113::20 ff02::1);
};

subtest 'neighbour discovery is no way out' => sub {
	reset_counts($w);
	my $said = in_netns($sandbox, sub {
		my (undef, $out) = capture(python(), '-c', <<'PY');
import socket, struct
def send(to, kind, size, hops):
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
    s.setsockopt(41, 16, hops)
    s.setsockopt(41, 18, hops)
    try:
        s.sendto(bytes([kind, 0, 0, 0]) + b"x" * (size - 4), (to, 0))
        print("sent", end=" ")
    except OSError as e:
        print("refused", end=" ")
send("2001:db8:113::66", 135, 24, 255)  # a far address
send("2001:db8:99::77", 135, 600, 255)  # too much to say
send("2001:db8:99::77", 135, 24, 64)    # the wrong hop limit
send("2001:db8:99::77", 137, 40, 255)   # a redirect
send("2001:db8:99::77", 134, 40, 255)   # a router's advertisement
send("2001:db8:99::77", 143, 28, 1)     # a report to one neighbour
send("2001:db8:99::77", 139, 40, 255)   # a node information query
PY
		return $out;
	});
	is($said, 'refused ' x 7, 'refused');
	is(arrived_nothing($w, qw(evil near other)), '', 'nothing arrived');
};

subtest 'path MTU and other errors come back' => sub {
	my $said = in_netns($sandbox, sub {
		my $s = IO::Socket::INET->new(PeerAddr => $good, PeerPort => 4,
		    Proto => 'udp') or return $!;
		$s->send('x');
		select undef, undef, undef, 0.2;
		$s->send('x');
		return $!{ECONNREFUSED} ? 'told' : 'not told';
	});
	is($said, 'told', 'port unreachable');
};

subtest 'a device that comes later' => sub {
	run('ip', '-n', $sandbox, 'link', 'add', 'eth1', 'type', 'veth', 'peer',
	    'name', 'eth1', 'netns', $internet);
	run('ip', '-n', $_, 'link', 'set', 'eth1', 'up') for $sandbox, $internet;
	addr($sandbox, 'eth1', '10.98.0.2/24', '2001:db8:98::2/64');
	addr($internet, 'eth1', '10.98.0.1/24', '2001:db8:98::1/64');
	is(hostile($w, 'tcp', '10.98.0.1', 80), 'ECONNREFUSED',
	    'is guarded by address at once');
	is(ask($d, 'log'), 'ok 0', 'the change is heard');
	like(run_in($sandbox, 'nft', 'list', 'table', 'netdev', 'opensandbox'),
	    qr/eth1/, 'the device gets its hook');
	like(run_in($sandbox, 'nft', 'list', 'set', 'inet', 'opensandbox',
	    'onlink6'), qr/2001:db8:98::/, 'and has neighbours');
	is(ping6($internet, '2001:db8:98::2'), 'answers', 'which find us');
	run('ip', '-n', $sandbox, 'link', 'del', 'eth1');
	is(ask($d, 'log'), 'ok 0', 'its end is heard too');
	is(ask($d, "apply $policy"), 'ok applied', 'and is no error');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'still closed');
	is(hostile($w, 'tcp', $good, 80), 'open', 'still open');
};

subtest 'a container inside' => sub {
	my $inner = netns('inner');
	veth($inner, 'eth0', $sandbox, 'inner0');
	addr($inner, 'eth0', '172.17.0.2/24');
	addr($sandbox, 'inner0', '172.17.0.1/24');
	run('ip', '-n', $inner, 'route', 'add', 'default', 'via', '172.17.0.1');
	run_in($sandbox, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
	run_in($sandbox, 'nft', 'add', 'table', 'ip', 'nat');
	run_in($sandbox, 'nft',
	    'add chain ip nat post { type nat hook postrouting priority 100; }');
	run_in($sandbox, 'nft',
	    'add rule ip nat post oifname eth0 masquerade');
	run_in($sandbox, 'nft',
	    'add chain ip nat pre { type nat hook prerouting priority -100; }');
	run_in($sandbox, 'nft', 'add rule ip nat pre iifname eth0'
	    . ' tcp dport 7070 dnat to 172.17.0.2:70');
	is(ask($d, "apply $policy"), 'ok applied', 'apply');
	my %in = (%$w, sandbox => $inner);
	reset_counts($w);
	is(hostile(\%in, 'tcp', $good, 80), 'open', 'what is allowed');
	is(hostile(\%in, 'tcp', $evil, 80), 'timeout-late', 'what is not');
	is(hostile(\%in, 'udp', $evil, 53), 'timeout', 'another resolver');
	hostile(\%in, 'header', $evil, $good, 80);
	hostile(\%in, 'forge', $evil, $good, 80);
	is(arrived_nothing($w, qw(evil other)), '', 'nothing arrived');
	reset_counts($w);
	hostile(\%in, 'header', '172.17.0.2', $good, 80);
	ok(wait_for(sub { arrived($w, 'good') > 0 }), 'its own header');
	reset_counts($w);
	hostile(\%in, 'header', '192.0.2.9', $good, 80);
	sleep 0.2;
	is(arrived($w, 'good'), 0, 'with a source that is not its own');
	serve($inner, '172.17.0.2', 70);
	my $said = in_netns($internet, sub {
		my $s = IO::Socket::INET->new(PeerAddr => '10.99.0.2',
		    PeerPort => 7070, Timeout => 2) or return "no: $@";
		print $s "hello\n";
		return scalar(<$s>) ? 'open' : 'closed';
	});
	is($said, 'open', 'a port that is forwarded to it');
};

# Each on a network of its own, so that none can be taken together.
subtest 'hundreds of addresses, a hundred devices' => sub {
	my $batch = join '', map { my $n = $_;
		("link add many$n type veth peer name more$n\n",
		"link set many$n up\n", "link set more$n up\n",
		map { ("addr add 10.100.$n." . 16 * $_ . "/30 dev many$n\n",
			"addr add 2001:db8:10$n:${_}0::1/64 dev more$n nodad\n") }
		    1 .. 6) } 11 .. 60;
	run('ip', '-n', $sandbox, '-b', write_file(scratch() . '/many', $batch));
	is(ask($d, 'log'), 'ok 0', 'are heard of');
	my $sets = run_in($sandbox, 'nft', 'list', 'set', 'inet', 'opensandbox',
	    'onlink6');
	is(scalar(grep { $sets =~ /2001:db8:10${_}:10::/ } 11 .. 60), 50,
	    'all of them are neighbours');
	is(ask($d, "apply $policy"), 'ok applied', 'apply');
	is(hostile($w, 'tcp', $evil, 80), 'ECONNREFUSED', 'still closed');
	is(hostile($w, 'tcp', $good, 80), 'open', 'still open');
	like(run_in($sandbox, 'nft', 'list', 'table', 'netdev', 'opensandbox'),
	    qr/more60/, 'the last device has its hook');
	run('ip', '-n', $sandbox, 'link', 'del', "many$_") for 11 .. 60;
	is(ask($d, 'log'), 'ok 0', 'their end is heard too');
	unlike(run_in($sandbox, 'nft', 'list', 'set', 'inet', 'opensandbox',
	    'onlink6'), qr/2001:db8:1011/, 'and they are gone');
	is(hostile($w, 'tcp', $good, 80), 'open', 'and it is still open');
};

quit_drive($d);

# Who listens inside, and who opens a connection to it.
sub comes_in
{
	my ($source) = @_;

	return in_netns($internet, sub {
		my $s = IO::Socket::INET->new(PeerAddr => '10.99.0.2',
		    PeerPort => 7100, LocalAddr => $source, Timeout => 1.5)
		    or return 'refused';
		print $s "hello\n";
		return scalar(<$s>) ? 'open' : 'closed';
	});
}

subtest 'who may connect inward' => sub {
	my %rows = (
		'nothing said' => [[], '10.99.0.1'],
		'one more' => [[$evil], '10.99.0.1', $evil],
		'one alone' => [[$evil, 'only'], $evil],
		'nobody' => [['only']],
	);
	serve($sandbox, '10.99.0.2', 7100);
	for my $row (sort keys %rows) {
		my ($list, @open) = @{ $rows{$row} };
		my %open = map { $_ => 1 } @open;
		my $d2 = drive($w, map { ('--inbound', $_) } @$list);

		is(ask($d2, "apply $policy"), 'ok applied', $row);
		is(comes_in($_), $open{$_} ? 'open' : 'refused', "$row: $_")
		    for '10.99.0.1', $good, $evil;
		quit_drive($d2);
	}
};

subtest 'without IPv6' => sub {
	my $v4 = netns('v4');
	run_in($v4, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1',
	    'net.ipv6.conf.default.disable_ipv6=1');
	my %v4 = (%$w, sandbox => $v4);
	my $d4 = drive(\%v4);
	is(ask($d4, "apply $policy"), 'ok applied', 'no error');
	quit_drive($d4);
};

subtest 'without rights' => sub {
	my (undef, $said) = capture('unshare', '-U', build_dir()
	    . '/t/tools/filter_drive');
	like($said, qr/^error -1 .*CAP_NET_ADMIN/, 'says what is missing');
};
done_testing();
