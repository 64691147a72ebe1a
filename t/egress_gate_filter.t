#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0

# The packet filter's side of the name gate: what names led to is led to the
# gate on its ports, goes on from there by the gate's own sockets alone, and is
# reached directly by nobody. A gate that lets everything on stands in for ours.

use strict;
use warnings;
use Test::More;
use lib 't/lib';
use Harness;
use FilterWorld;

use constant {
	MARK => '0x5a17c0de',
	PORT => 15380,
};

my ($good, $fine, $evil) = qw(203.0.113.20 203.0.113.21 203.0.113.66);
my ($good6, $fine6) = qw(2001:db8:113::20 2001:db8:113::21);
my ($own, $own6) = qw(10.99.0.2 2001:db8:99::2);
my @gate = ('--mark', MARK, '--gate-port', PORT, '--gated', '443,80');

my $w = filter_world();
serve($w->{internet}, "$good,$fine,$evil,$good6,$fine6", $_)
    for 443, 80, 8000;

my $gates = 0;

# Where the gate writes; and it, in a namespace or by a prefix of the command.
sub gate
{
	my (%where) = @_;
	my $name = 'gate' . ++$gates;
	my $pid = start(name => $name, netns => $where{netns}, cmd => [
		@{ $where{by} || [] }, python(), tool('plain_gate.py'), PORT,
		MARK ]);
	wait_for(sub { read_file(scratch() . "/$name.log") =~ /listening/ });
	return ($pid, scratch() . "/$name.log");
}

sub rule
{
	my ($action, $target, $ports) = @_;
	$ports = $ports ? ",\"ports\":[$ports]" : '';
	return "{\"action\":\"$action\",\"target\":\"$target\"$ports}";
}

sub policy
{
	my ($default, @rules) = @_;
	return "{\"defaultAction\":\"$default\",\"egress\":["
	    . join(',', @rules) . ']}';
}

my $named = policy('deny', rule('allow', 'good.test'));

# Does an attempt come to the gate? What the client saw, and what the gate did.
sub by_gate
{
	my ($log, @attempt) = @_;
	my $before = () = read_file($log) =~ /^for/mg;
	my $said = hostile($w, @attempt);
	my @now = read_file($log) =~ /^for (.*) by/mg;
	return $said . (@now > $before ? " for $now[-1]" : '');
}

sub listed
{
	my ($set) = @_;
	return scalar run_in($w->{sandbox}, 'nft', 'list', 'set', 'inet',
	    'opensandbox', $set);
}

# Its way on, of the last connection.
sub way_on
{
	return (read_file($_[0]) =~ /by (\d+)$/mg)[-1];
}

sub mark_of
{
	my ($port) = @_;
	my ($line) = grep { /sport=$port\b.*dport=443.*zone-orig=1/ } split /\n/,
	    run_in($w->{sandbox}, 'cat', '/proc/net/nf_conntrack');
	return ($line // '') =~ /mark=(\d+)/ ? sprintf('%#x', $1) : 'none';
}

# A counter of the sandbox's TCP.
sub tcp_count
{
	my ($name) = @_;
	my ($names, $counts) = run_in($w->{sandbox}, 'cat', '/proc/net/netstat')
	    =~ /^TcpExt: (.*)\nTcpExt: (.*)$/m;
	my %count;
	@count{split ' ', $names} = split ' ', $counts;
	return $count{$name} // die "no $name";
}

sub drive_gated { return drive($w, @gate, @_) }

my ($pid, $log) = gate(netns => $w->{sandbox});
my $d = drive_gated('--log', 7);
is(ask($d, "apply $named"), 'ok applied', 'default deny, one name');
is(by_gate($log, 'tcp', $good, 443), 'ECONNREFUSED', 'nothing is known yet');
is(ask($d, "learn good.test $_ 30"), 'ok learned', "the name leads to $_")
    for $good, $good6;

subtest 'what a name led to' => sub {
	is(by_gate($log, 'tcp', $good, $_), "open for $good $_ from $own",
	    "TCP $_ goes by the gate") for 443, 80;
	is(by_gate($log, 'tcp', $good6, 443), "open for $good6 443 from $own6",
	    'IPv6 too');
	is(by_gate($log, 'tcp', $good, 8000), 'open', 'other ports do not');
	is(by_gate($log, 'tcp', $good6, 8000), 'open', 'of IPv6 neither');
	is(by_gate($log, 'udp', $good, 8000), 'open', 'nor UDP');
	is(by_gate($log, 'tcp', $fine, 443), 'ECONNREFUSED',
	    'another address is refused');
	reset_counts($w);
	like(hostile($w, 'udp', $_, 443), qr/^E/, "QUIC to $_ is refused")
	    for $good, $good6;
	like(hostile($w, 'udp', $good, 80), qr/^E/, 'UDP 80 too');
	is(hostile($w, 'bound', 'lo', $good, 443, 'tcp'), 'timeout',
	    'a socket on loopback comes nowhere');
	hostile($w, 'bound', 'eth0', $good, 443, 'tcp');
	is(arrived_nothing($w, qw(good evil other)), '', 'and nothing arrived');
	like(ask($d, 'counts'), qr/learned 2 /, 'two addresses are counted');
};

subtest 'a server of the sandbox\'s own' => sub {
	my $server = serve($w->{sandbox}, $own, 443);
	ask($d, "element $own 60");
	is(by_gate($log, 'tcp', $own, 443), 'open', 'is reached directly');
	stop($server);
};

subtest 'the way on is the gate\'s alone' => sub {
	my $held = hostile_start($w, 'idle', $good, 443, 60);
	my $port = way_on($log);
	is(mark_of($port), '0x80000002', 'it has its mark');
	ok(wait_for(sub { my $n = arrived($w, 'good'); select undef, undef,
	    undef, 0.3; arrived($w, 'good') == $n }), 'and is quiet');
	reset_counts($w);
	my @as_other = ('setpriv', '--reuid', '65534', '--inh-caps', '+net_raw',
	    '--ambient-caps', '+net_raw', python(), tool('hostile.py'));
	my %forged = (
		'a raw socket' => sub { hostile($w, 'segment', $own, $port, $good,
			443) },
		'with its conntrack mark' => sub { hostile($w, 'segment', $own,
			$port, $good, 443, '0x80000002') },
		'with another mark' => sub { hostile($w, 'segment', $own, $port,
			$good, 443, '0x5a17c0df') },
		'another user with its mark' => sub { in_netns($w->{sandbox}, sub {
			(capture(@as_other, 'segment', $own, $port, $good, 443,
			MARK))[1] }) },
		'the server\'s name' => sub { hostile($w, 'segment', $good, 443,
			$own, $port) },
		'a frame' => sub { hostile($w, 'frame', 'eth0', $own, $good, 443) },
		'without a connection' => sub { map { hostile($w, 'segment', $own,
			40000 + $_, $good, 443, $_ > 1 ? '0x80000002' : '') }
			1 .. 3 },
	);
	my $challenged = tcp_count('TCPSYNChallenge');
	for my $attempt (sort keys %forged) {
		reset_counts($w);
		like($forged{$attempt}->(), qr/^(sent|\d|E)/, "forged: $attempt");
		is(arrived($w, 'good'), 0, '  nothing arrived');
		is(mark_of($port), '0x80000002', '  the mark is what it was');
	}
	ok(alive($held), 'it lives');
	stop($held);
	is($challenged, tcp_count('TCPSYNChallenge'),
	    'nothing that the gate answered to them came to its own end');
	unlike(in_netns($w->{sandbox}, sub { (capture(@as_other, 'tcp', $good, 443,
	    MARK))[1] }), qr/open/, 'another user with its mark gets no answer');
	my $sniffer = hostile_start($w, 'marks_seen', 'eth0', 2);
	hostile($w, 'tcp', $good, 443);
	my $said = said($sniffer);
	like($said, qr/packets some marks/, 'packets are seen');
	unlike($said, qr/@{[MARK]}/, 'their mark is not');
};

subtest 'last words of a closed socket' => sub {
	my $slow = hostile_start({ sandbox => $w->{internet} }, 'slow',
	    '203.0.113.53', 443);
	ask($d, 'element 203.0.113.53 60');
	is(hostile($w, 'lastwords', '203.0.113.53', 443, MARK, 200_000), 'said',
	    'more is said than is taken');
	is(said($slow), '200000 bytes, end', 'all of it arrives');
};

subtest 'rules for addresses' => sub {
	is(ask($d, 'apply ' . policy('deny', rule('allow', 'good.test'),
	    rule('allow', $fine), rule('allow', "$evil/32", 443))), 'ok applied',
	    'allow two');
	ask($d, "learn good.test $_ 30") for $fine, $evil;
	is(by_gate($log, 'tcp', $fine, 443), 'open', 'are not gated');
	is(by_gate($log, 'udp', $fine, 443), 'open', 'UDP neither');
	is(by_gate($log, 'tcp', $evil, 443), 'open', 'where they list the port');
	is(by_gate($log, 'tcp', $evil, 80), "open for $evil 80 from $own",
	    'and are on another');
	my $direct = hostile_start($w, 'hold', $fine, 443, 60);
	my $gated = hostile_start($w, 'hold', $good, 443, 60);
	is(ask($d, 'apply ' . policy('deny', rule('allow', 'good.test'),
	    rule('allow', $good))), 'ok applied', 'another one now');
	like(said($direct), qr/^E(CONNRESET|CONNABORTED|PIPE)/,
	    'what was direct ends');
	is(by_gate($log, 'tcp', $fine, 443), "open for $fine 443 from $own",
	    'the one is gated');
	is(by_gate($log, 'tcp', $good, 443), 'open', 'the other no more');
	ok(alive($gated), 'what the gate has is the gate\'s to end');
	stop($gated);
	is(ask($d, 'apply {"defaultAction":"deny","egress":['
	    . rule('allow', 'good.test') . "],\"hosts\":{\"good.test\":"
	    . "[\"$good\"]}}"), 'ok applied', 'a host of the policy\'s');
	is(by_gate($log, 'tcp', $good, 443), 'open', 'is like a rule for it');
	is(ask($d, 'apply ' . policy('deny', rule('allow', 'good.test', 443))),
	    'ok applied', 'a name with a port');
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'is gated on it');
	is(by_gate($log, 'tcp', $good, 80), 'ECONNREFUSED', 'and nowhere else');
};

subtest 'a resolver of HTTPS is nobody\'s' => sub {
	my $d2 = drive_gated('--doh', $good);
	ask($d2, "apply $named");
	ask($d2, "learn good.test $good 30");
	reset_counts($w);
	is(by_gate($log, 'tcp', $good, 443), 'ECONNREFUSED', 'refused');
	is(hostile($w, 'tcp', $good, 443, MARK), 'ECONNREFUSED', 'ours too');
	is(arrived($w, 'good'), 0, 'nothing arrived');
	is(by_gate($log, 'tcp', $good, 80), "open for $good 80 from $own",
	    'on another port it is as others');
	quit_drive($d2);
};
quit_drive($d);
$d = drive_gated();
is(ask($d, "apply $named"), 'ok applied', 'only the name again');

subtest 'the next process' => sub {
	ask($d, "learn good.test $good 3000");
	my $held = hostile_start($w, 'hold', $good, 443, 120);
	quit_drive($d, 'KILL');
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'the rules outlive us');
	$d = drive_gated();
	is(ask($d, "apply $named"), 'ok applied', 'applies the same');
	is(ask($d, "leads good.test $good"), 'ok yes', 'knows who led where');
	is(ask($d, "leads evil.test $good"), 'ok no', 'and who did not');
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'and the gate stands there');
	ok(alive($held), 'what was open lives');
	ask($d, 'end');
	select undef, undef, undef, 0.3;
	ok(alive($held), 'and is not ended for its address');
	ask($d, 'apply ' . policy('deny'));
	is(ask($d, 'end'), 'ok ended', 'nor are the gate\'s sockets,');
	like(said($held), qr/^E/, 'but the sandbox\'s, without its name');
	is(by_gate($log, 'tcp', $good, 443), 'ECONNREFUSED', 'which is gone');
	ask($d, "apply $named");
};

subtest 'a process without a gate, and one with it again' => sub {
	ask($d, "learn good.test $good 3000");
	quit_drive($d);
	$d = drive($w, '--mark', MARK);
	is(ask($d, "apply $named"), 'ok applied', 'without');
	is(by_gate($log, 'tcp', $good, 443), 'open', 'it is direct');
	unlike(run_in($w->{sandbox}, 'nft', 'list', 'ruleset'), qr/gated|15380/,
	    'and nothing of the gate is left');
	my $held = hostile_start($w, 'hold', $good, 443, 60);
	quit_drive($d);
	$d = drive_gated();
	is(ask($d, "apply $named"), 'ok applied', 'with it');
	like(said($held), qr/^E/, 'what was direct ends');
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'and comes by the gate');
};

subtest 'the end of a lease' => sub {
	is(ask($d, "learn good.test $good 3000"), 'ok learned', 'long');
	is(ask($d, 'apply ' . policy('deny', rule('allow', 'good.test'),
	    rule('allow', '*.wild.test', '80,443'))), 'ok applied', 'two names');
	ask($d, "learn good.test $fine 5");
	ask($d, "learn a.wild.test $fine 3000");
	like(listed('gated4'), qr/\Q$fine\E \. 443 timeout 50m30s/,
	    'an address is gated as long as the longer of two leases');
	ask($d, "learn good.test $fine 60");
	like(listed('gated4'), qr/\Q$fine\E \. 443 timeout 50m30s/,
	    'whichever comes last');
	is(ask($d, "element $evil 2"), 'ok ', 'one of two seconds');
	is(by_gate($log, 'tcp', $evil, 443), "open for $evil 443 from $own",
	    'is gated');
	ok(wait_for(sub { listed('gated4') !~ /\Q$evil\E/ }), 'ends');
	reset_counts($w);
	is(by_gate($log, 'tcp', $evil, 443), 'ECONNREFUSED', 'refused');
	is(hostile($w, 'tcp', $evil, 443, MARK), 'ECONNREFUSED', 'to us too');
	is(arrived($w, 'evil'), 0, 'nothing arrived');
	run_in($w->{sandbox}, 'nft', 'delete', 'element', 'inet', 'opensandbox',
	    'gated4', "{ $good . 443 }");
	is(by_gate($log, 'tcp', $good, 443), 'ECONNREFUSED',
	    'whichever of its elements goes first');
	is(arrived($w, 'good'), 0, 'nothing arrived');
	ok(wait_for(sub { ask($d, 'lost') ne 'ok nothing' }), 'it is noticed');
	is(ask($d, "apply $named"), 'ok applied', 'and written again');
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'gated');
};

subtest 'what is open keeps its lease' => sub {
	ask($d, "learn good.test $_ 30") for $good6, $fine6;
	my $held = hostile_start($w, 'hold', $good6, 443, 60);
	ok(wait_for(sub { run_in($w->{sandbox}, 'cat',
	    '/proc/net/nf_conntrack') =~ /ASSURED.*mark=2147483650/ }),
	    'by the gate');
	ask($d, 'later 50');
	is(ask($d, 'renew'), 'ok renewed', 'its lease nears its end');
	ask($d, 'later 40');
	is(ask($d, "leads good.test $good6"), 'ok yes', 'and goes on');
	is(ask($d, "leads good.test $fine6"), 'ok no', 'nobody uses the other');
	stop($held);
};

subtest 'default allow' => sub {
	is(ask($d, 'apply ' . policy('allow', rule('deny', 'evil.test'))),
	    'ok applied', 'but one name');
	ask($d, "learn good.test $good 30");
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'what a name led to is gated');
	reset_counts($w);
	like(hostile($w, 'udp', $good, 443), qr/^E/, 'and no QUIC');
	is(arrived($w, 'good'), 0, 'nothing arrived');
	is(by_gate($log, 'tcp', $good, 8000), 'open', 'other ports are open');
	is(by_gate($log, 'udp', $evil, 443), 'open', 'other addresses too');
	is(ask($d, "apply $named"), 'ok applied', 'back');
};

subtest 'nobody listens' => sub {
	my $held = hostile_start($w, 'hold', $good, 443, 60);
	kill_now($pid);
	like(said($held), qr/^(closed|E\w+)$/, 'what was open ends');
	ok(wait_for(sub { my $n = arrived($w, 'good'); select undef, undef,
	    undef, 0.3; arrived($w, 'good') == $n }), 'its end is over');
	reset_counts($w);
	is(hostile($w, 'tcp', $_, 443), 'ECONNREFUSED', "$_ is refused")
	    for $good, $good6;
	is(arrived($w, 'good'), 0, 'nothing arrived');
	is(hostile($w, 'tcp', $good, 8000), 'open', 'other ports are open');
	($pid, $log) = gate(netns => $w->{sandbox});
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'the next gate serves');
};

subtest 'a machine behind' => sub {
	my $guest = netns('guest');
	veth($w->{sandbox}, 'vm0', $guest, 'eth0');
	addr($w->{sandbox}, 'vm0', '172.16.0.1/24', '2001:db8:16::1/64');
	addr($guest, 'eth0', '172.16.0.2/24', '2001:db8:16::2/64');
	run('ip', '-n', $guest, 'route', 'add', 'default', 'via', $_)
	    for '172.16.0.1', '2001:db8:16::1';
	run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1',
	    'net.ipv6.conf.all.forwarding=1');
	run('ip', '-n', $w->{internet}, 'route', 'add', '172.16.0.0/24', 'via',
	    $own);
	run('ip', '-n', $w->{internet}, 'route', 'add', '2001:db8:16::/64',
	    'via', $own6);
	ask($d, 'log'); # devices are followed there
	ask($d, "apply $named");
	ask($d, "learn good.test $_ 60") for $good, $good6;
	my %in = (%$w, sandbox => $guest);
	is(hostile(\%in, 'tcp', $good, 443), 'open', 'reaches what it may');
	like(read_file($log), qr/^for \Q$good\E 443 from 172\.16\.0\.2/m,
	    'by the gate');
	is(hostile(\%in, 'tcp', $good, 8000), 'open', 'other ports directly');
	my $held = hostile_start(\%in, 'hold', $good, 443, 60);
	ask($d, 'end');
	select undef, undef, undef, 0.3;
	ok(alive($held), 'what is open is not ended');
	stop($held);
	reset_counts($w);
	hostile(\%in, 'udp', $good, 443);
	hostile(\%in, 'tcp', $good6, 443);
	hostile(\%in, 'segment', '172.16.0.2', 40000, $good, 443);
	kill_now($pid);
	is(hostile(\%in, 'tcp', $good, 443), 'ECONNREFUSED',
	    'without a gate it is refused');
	is(arrived($w, 'good'), 0, 'nothing arrived: no QUIC, no IPv6');
};
quit_drive($d);

subtest 'audit' => sub {
	my $d2 = drive_gated('--audit', '--log', 9);
	($pid, $log) = gate(netns => $w->{sandbox});
	is(ask($d2, "apply $named"), 'ok applied', 'apply');
	ask($d2, "learn good.test $good 30");
	1 while ask($d2, 'log') ne 'ok 0';
	is(by_gate($log, 'tcp', $good, 443), "open for $good 443 from $own",
	    'the gate judges as well');
	is(hostile($w, 'udp', $good, 443), 'open', 'QUIC is let on');
	like(ask($d2, 'log'), qr/> \Q$good\E proto 17 port 443 audit;/,
	    'and told of');
	is(ask($d2, 'remove'), 'ok removed', 'removed');
	quit_drive($d2);
	kill_now($pid);
};

# Our user has a number there, or none.
my %maps = (same => '0 0 1', other => '0 100000 65536');
for my $map (sort keys %maps) { subtest "user namespace: $map" => sub {
	my $veth = "eth$map";
	my $sleeper = start(name => $map, cmd => ['unshare', '-Un', 'sleep',
		'300']);
	my $net = "/proc/$sleeper/ns/net";
	my @in = ('nsenter', "--net=$net");
	ok(wait_for(sub { (readlink($net) // '') ne readlink('/proc/self/ns/net')
	    }), 'it is there');
	write_file("/proc/$sleeper/${_}_map", $maps{$map}) for qw(uid gid);
	run('ip', '-n', $w->{internet}, 'link', 'add', $veth, 'type', 'veth',
	    'peer', 'name', 'eth0', 'netns', $sleeper);
	run('ip', '-n', $w->{internet}, 'link', 'set', $veth, 'up');
	run('ip', '-n', $w->{internet}, 'addr', 'add', '10.98.0.1/24', 'dev',
	    $veth);
	run(@in, 'ip', 'link', 'set', $_, 'up') for qw(lo eth0);
	run(@in, 'ip', 'addr', 'add', '10.98.0.2/24', 'dev', 'eth0');
	run(@in, 'ip', 'route', 'add', 'default', 'via', '10.98.0.1');
	run_in($w->{internet}, 'nft', "add table inet foreign; add counter inet"
	    . " foreign $map; add chain inet foreign $map { type filter hook"
	    . " prerouting priority -300; }; add rule inet foreign $map iifname"
	    . " $veth ip daddr $good counter name $map");
	my $count = sub { run_in($w->{internet}, 'nft', 'list', 'counter',
		'inet', 'foreign', $map) =~ /packets (\d+)/ ? $1 : -1 };
	my $d2 = drive({ sandbox => $net }, @gate);
	my ($pid2, $log2) = gate(by => \@in);
	is(ask($d2, "apply $named"), 'ok applied', 'apply');
	ask($d2, "learn good.test $good 30");
	my @inside = ('nsenter', '-U', '-n', '-S', '0', '-G', '0', '-t',
	    $sleeper, python(), tool('hostile.py'), 'tcp', $good, 443);
	is((capture(@inside))[1], "open\n", 'the sandbox gets on');
	like(read_file($log2), qr/^for \Q$good\E 443 from 10\.98\.0\.2 by \d/m,
	    'by the gate');
	kill_now($pid2);
	select undef, undef, undef, 0.5;
	my $before = $count->();
	cmp_ok($before, '>', 0, 'which was counted');
	is((capture(@inside))[1], "ECONNREFUSED\n", 'and not without it');
	unlike((capture(@inside, MARK))[1], qr/open/,
	    'nor by its mark, whose owner it is not') if $map eq 'other';
	is($count->() - $before, 0, 'nothing arrived');
	quit_drive($d2);
	kill_now($sleeper);
} }

subtest 'half a gate is none' => sub {
	is(eval { drive($w, '--gated', '443', '--gate-port', PORT); 1 }, undef,
	    'without a mark nothing is opened');
	like($@, qr/-22 .*gate/, 'which is said');
};

done_testing();
