# SPDX-License-Identifier: Apache-2.0
#
# A resolver that is away for a moment, or ends its TCP connections as it
# likes, is asked again within the time that a question has: no client is told
# SERVFAIL for it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep);
use World;

my $w = world();
my %env = (OPENSANDBOX_EGRESS_RULES => '{"egress":[
	{"action":"allow","target":"good.test"},
	{"action":"allow","target":"*.good.test"}]}');
my $number = 0;

# Ask for these names at once; what came, "NAME RCODE ANSWERS" sorted.
sub ask_all
{
	my (@names) = @_;

	return split /\n/, in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(Proto => 'udp',
		    PeerAddr => RESOLVER, PeerPort => 53) or die "socket: $!";
		my $ready = IO::Select->new($s);
		my (%left, @came);

		for my $i (0 .. $#names) {
			$left{$i} = $names[$i];
			$s->send(pack('n6', $i, 0x0100, 1, 0, 0, 0) . join('',
			    map { chr(length) . $_ } split /\./, $names[$i])
			    . "\0" . pack('nn', 1, 1));
		}
		while (%left && $ready->can_read(12)) {
			defined $s->recv(my $m, 65535) or next;
			my ($id, undef, $flags, undef, $n) = unpack 'nCCnn', $m;
			my $name = delete $left{$id} // next;
			push @came, "$name " . ($flags & 15) . " $n";
		}
		return join("\n", sort @came);
	});
}

sub serves
{
	my ($how, $code) = @_;
	my ($liar, $seen) = dns_liar($w, RESOLVER, $how);
	my $pid = sidecar($w, name => 'sidecar-' . $number++, env => {%env});

	$code->($liar, $seen);
	is(stop($pid), 0, 'the sidecar ends');
	stop($liar);
	unlink $seen;
}

for my $n (4, 16) {
	serves('closes', sub {
		my @names = map { "n$_.good.test" } 1 .. $n;

		is_deeply([ask_all(@names)], [sort map { "$_ 0 1" } @names],
		    "$n at once, of a resolver that closes after each answer");
	});
}

serves('away', sub {
	my ($liar, $seen) = @_;

	ask_all("n$_.good.test") for 1 .. 3;
	is_deeply([ask_all('away.good.test')], ['away.good.test 0 1'],
	    'a resolver that was silent for a moment');
});

# One that is started anew: nobody is there for a second.
{
	my ($liar, $seen) = dns_liar($w, RESOLVER, 'honest');
	my $pid = sidecar($w, name => 'sidecar-' . $number++, env => {%env});

	is_deeply([ask_all('n1.good.test')], ['n1.good.test 0 1'], 'a resolver');
	stop($liar);
	unlink $seen;
	my $asker = spawn('asker', sub {
		write_file(scratch() . '/asked', join ' ', ask_all('n2.good.test'));
		exit 0;
	});
	sleep 1;
	($liar, $seen) = dns_liar($w, RESOLVER, 'honest');
	wait_exit($asker, 20);
	is(read_file(scratch() . '/asked'), 'n2.good.test 0 1',
	    'that was started anew meanwhile');

	# A link that was down: no route at all.
	run('ip', '-n', $w->{host}, 'link', 'set', 'wan0', 'down');
	$asker = spawn('asker', sub {
		write_file(scratch() . '/asked', join ' ', ask_all('n3.good.test'));
		exit 0;
	});
	sleep 1;
	run('ip', '-n', $w->{host}, 'link', 'set', 'wan0', 'up');
	wait_exit($asker, 20);
	is(read_file(scratch() . '/asked'), 'n3.good.test 0 1',
	    'or that no link led to');
	is(stop($pid), 0, 'the sidecar ends');
	stop($liar);
	unlink $seen;
}
done_testing();
