# SPDX-License-Identifier: Apache-2.0
#
# One agent, four sandboxes that ask for more names than any resolver answers,
# and one that asks for what it needs: that one is served.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Agent;
use DnsWorld;
use Harness;
use Time::HiRes qw(sleep time);
use World;

use constant {
	HOSTILE => 4,
	RATE    => 1200, # names a second, of each
	SECONDS => 12,
};

my $w = world();
my ($liar, $seen) = dns_liar($w, RESOLVER, 'honest');

# The resolver never answers names that begin with "mute": they do not reach it.
write_file(scratch() . '/mute.nft', "table inet mute {\nchain arrive {\n"
    . "type filter hook prerouting priority -300;\n"
    . "udp dport 53 \@th,168,32 0x6d757465 drop\n}\n}\n");
run_in($w->{internet}, 'nft', '-f', scratch() . '/mute.nft');
my @sandboxes = map { netns("sb$_") } 0 .. HOSTILE;
my $agent = agent($w->{host}, 'agent', {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
	OPENSANDBOX_EGRESS_LOG_LEVEL => 'error' });

for my $i (0 .. $#sandboxes) {
	run('ip', '-n', $sandboxes[$i], 'link', 'add', 'eth0', 'type', 'veth',
	    'peer', 'name', 'eth1');
	addr($sandboxes[$i], 'eth0', '10.88.9.2/24');
	run('ip', '-n', $sandboxes[$i], 'link', 'set', $_, 'up') for qw(eth0 eth1);
	run('ip', '-n', $sandboxes[$i], 'route', 'add', 'default', 'via',
	    '10.88.9.1');
	my ($status, $answer) = ask('PUT', "/v1/sandboxes/sb$i", {
		netns => $sandboxes[$i], policy => { egress => [
			{ action => 'allow', target => '*.good.test' },
			{ action => 'allow', target => '*.wild.test' }] } });
	is($status, 201, "sandbox $i is guarded") or diag explain $answer;
}

# A question for an address, from a sandbox's socket.
sub send_question
{
	my ($s, $id, $name) = @_;

	$s->send(pack('n6', $id, 0x0100, 1, 0, 0, 0) . join('',
	    map { chr(length) . $_ } split /\./, $name) . "\0"
	    . pack('nn', 1, 1));
}

sub dns_socket
{
	return IO::Socket::INET->new(Proto => 'udp', PeerAddr => '192.0.2.53',
	    PeerPort => 53) // die "socket: $!";
}

# Names that nobody answers, each asked for once, at RATE.
sub flood
{
	my ($who) = @_;
	my $s = dns_socket();
	my ($start, $n) = (time, 0);

	while ((my $passed = time - $start) < SECONDS) {
		send_question($s, $n % 65536, "mute$who-" . $n++ . '.wild.test')
		    while $n < $passed * RATE;
		sleep 0.01;
	}
}

my @floods = map {
	my $i = $_;
	spawn("flood$i", sub { in_netns($sandboxes[$i], sub { flood($i); '' }) });
} 1 .. HOSTILE;

# They have all under way that they may.
for my $i (1 .. HOSTILE) {
	ok(wait_for(sub {
		my (undef, $sandbox) = ask('GET', "/v1/sandboxes/sb$i");
		return $sandbox->{counts}{'dns.query.failed_total'};
	}, 30), "sandbox $i asks for too much");
}
my $answers = in_netns($sandboxes[0], sub {
	my $s = dns_socket();
	my $ready = IO::Select->new($s);
	my %rcode;

	for my $n (1 .. 100) {
		send_question($s, $n, "n$n.good.test");
		if ($ready->can_read(7) && defined $s->recv(my $m, 65535)) {
			$rcode{ unpack('x3C', $m) & 15 }++;
		} else {
			$rcode{none}++;
		}
		sleep 0.01;
	}
	return join ' ', map { "$_=$rcode{$_}" } sort keys %rcode;
});
is($answers, '0=100', 'every name of the fifth is answered');
stop($_) for @floods;
is(stop($agent), 0, 'the agent ends');
done_testing();
