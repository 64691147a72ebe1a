# SPDX-License-Identifier: Apache-2.0
#
# From another namespace, the sidecar lets a sandbox reach what its policy
# allows, over IPv4 and IPv6, and nothing else: not one packet.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my @dig = ('dig', '+time=2', '+tries=1');

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', GOOD6, 80, 'good6');
world_web($w, 'internet', EVIL, 80, 'evil');
world_web($w, 'internet', EVIL6, 80, 'evil6');

is((sees($w, @web, 'http://' . EVIL . '/'))[1], '200',
    'before the sidecar, the world is open');

# Questions from one socket, all there when the sidecar comes to read: answers
# of one length share a datagram on the way, and come one by one.
sub at_once
{
	my ($worker, $resolver) = @_;
	require IO::Socket::IP;
	my $s = IO::Socket::IP->new(Proto => 'udp', PeerHost => $resolver,
	    PeerPort => 53) or return "no socket: $@";
	my (%asked, $wrong);

	kill 'STOP', $worker;
	for my $id (1 .. 200) {
		my $label = $id % 7 == 0 ? 'good' : $id % 11 == 0 ? 'no' : 'evil';
		my $body = pack('C/a C/a x n n', $label, 'test', 1, 1);
		$asked{$id} = [$label, $body];
		$s->send(pack('n6', $id, 0x0100, 1, 0, 0, 0) . $body);
	}
	kill 'CONT', $worker;
	vec(my $readable = '', fileno($s), 1) = 1;
	while (%asked && select(my $now = $readable, undef, undef, 3)) {
		$s->recv(my $answer, 4096);
		my ($id, $flags) = unpack('n2', $answer);
		my $was = delete $asked{$id} or return "answer $id: not asked for";
		my ($label, $body) = @$was;
		my $good = $label eq 'good';

		$wrong++ if ($flags & 15) != ($good ? 0 : 3)
		    || substr($answer, 12, length $body) ne $body
		    || length($answer) != 12 + length($body) + ($good ? 16 : 0);
	}
	return sprintf '%d open, %d wrong', scalar(keys %asked), $wrong // 0;
}

for my $how (qw(join sidecar)) {
	my $before = counted($w, 'evil');
	# As it is in a namespace that nobody has cared for.
	run('ip', '-n', $w->{sandbox}, 'link', 'set', 'lo', 'down');
	my $pid = sidecar($w, how => $how, name => "sidecar-$how", env => {
		OPENSANDBOX_EGRESS_RULES =>
		    '{"egress":[{"action":"allow","target":"good.test"}]}' });

	is((sees($w, @web, 'http://good.test/'))[1], '200',
	    "$how: an allowed name opens");
	is((sees($w, @web, '-6', 'http://good.test/'))[1], '200',
	    "$how: and over IPv6");
	is((sees($w, @web, '-4', 'http://' . GOOD . '/'))[1], '200',
	    "$how: its learned address opens too");
	is((sees($w, @web, 'http://evil.test/'))[0], 6,
	    "$how: a denied name does not resolve");
	my (undef, $answer) = sees($w, @dig, '@10.88.0.1', 'evil.test');
	like($answer, qr/status: NXDOMAIN/, "$how: NXDOMAIN for it");
	like($answer, qr/EDE: 15 /, "$how: with the reason in EDNS");
	(undef, $answer) = sees($w, @dig, '+noedns', '@10.88.0.1', 'evil.test');
	unlike($answer, qr/OPT PSEUDOSECTION/, "$how: no EDNS for a client without");
	for my $resolver (RESOLVER, RESOLVER6, '198.51.100.1') {
		for my $transport ('+notcp', '+tcp') {
			(undef, $answer) = sees($w, @dig, $transport, "\@$resolver",
			    'evil.test');
			like($answer, qr/status: NXDOMAIN/,
			    "$how: another resolver, $resolver $transport, is us");
			(undef, $answer) = sees($w, @dig, $transport, '+short',
			    "\@$resolver", 'good.test');
			is($answer, GOOD . "\n",
			    "$how: which answers what is allowed");
		}
	}
	my ($worker) = split ' ', read_file("/proc/$pid/task/$pid/children");
	is(in_netns($w->{sandbox}, sub { at_once($worker, $_) }), '0 open, 0 wrong',
	    "$how: two hundred questions at once, $_") for RESOLVER, RESOLVER6;
	is((sees($w, @web, 'http://' . EVIL . '/'))[0], 7,
	    "$how: a raw address is refused at once");
	is((sees($w, @web, 'http://[' . EVIL6 . ']/'))[0], 7,
	    "$how: a raw IPv6 address is too");
	isnt((sees($w, 'ping', '-c', '1', '-W', '1', EVIL))[0], 0,
	    "$how: no ping");
	isnt((sees($w, 'ping', '-c', '1', '-W', '1', EVIL6))[0], 0,
	    "$how: no ping over IPv6");
	my $udp = in_netns($w->{sandbox}, sub {
		require IO::Socket::INET;
		my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => EVIL,
		    PeerPort => 443);
		$s->send('quic') ? 'sent' : "$!";
	});
	is($udp, 'Operation not permitted', "$how: no UDP to 443")
	    or diag $udp;
	is(counted($w, 'evil') - $before, 0,
	    "$how: not one packet for the denied address arrived");
	is(stop($pid), 0, "$how: SIGTERM ends it with status 0");
	is((sees($w, @web, 'http://' . EVIL . '/'))[0], 7,
	    "$how: the rules stay when it has ended");
	is((sees($w, @dig, '@' . RESOLVER, 'evil.test'))[0], 9,
	    "$how: and no resolver answers meanwhile");
	is(counted($w, 'evil') - $before, 0, "$how: still nothing arrived");
}

done_testing(1 + 2 * 31);
