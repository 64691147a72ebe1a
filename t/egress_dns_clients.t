# SPDX-License-Identifier: Apache-2.0
#
# Clients that take less than they ask for: over UDP without EDNS they get
# whole records under TC, over TCP what they do not read is bounded and they
# are let go.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use DnsWorld;
use Harness;
use Time::HiRes qw(sleep time);
use World;

use constant CLIENTS => 256;

my $w = world();
dns_zone($w, join('', map { "forty A 203.0.113.$_\n" } 101 .. 140)
    . join('', map { sprintf qq{large TXT "%03d %s"\n}, $_, 'x' x 190 } 1 .. 250));
my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_LOG_LEVEL => 'error',
	OPENSANDBOX_EGRESS_RULES => '{"egress":[
	{"action":"allow","target":"forty.test"},
	{"action":"allow","target":"large.test"},
	{"action":"allow","target":"ns.test"}]}' });

sub message
{
	my ($name, $type) = @_;

	return pack('n6', 7, 0x0100, 1, 0, 0, 0) . join('',
	    map { chr(length) . $_ } split /\./, $name) . "\0"
	    . pack('nn', $type, 1);
}

# Without EDNS and without TCP.
{
	my $answer = pack 'H*', question($w, message('forty.test', 1), 3);
	my ($flags, $n) = unpack 'x2nx2n', $answer;
	my @told = map { join '.', unpack 'C4', $_ }
	    unpack("x28(x12a4)$n", $answer);

	cmp_ok(length $answer, '<=', 512, '40 addresses to a client without EDNS');
	ok($flags & 0x0200, '  are truncated');
	cmp_ok($n, '>=', 29, '  and as many as there is room for');
	is_deeply([learned($w)], [sort @told], '  which are the ones learned');
	like(dig($w, '+noedns', 'forty.test'), qr/ANSWER: 40,/,
	    'over TCP there are all');
	is(scalar(() = learned($w)), 40, '  learned as well');
}

# The worker's memory at its highest, KiB.
sub peak
{
	my ($worker) = split ' ', read_file("/proc/$pid/task/$pid/children");

	return read_file("/proc/$worker/status") =~ /^VmHWM:\s*(\d+)/m ? $1 : 0;
}

# Many over TCP, who ask and ask, and never read.
{
	my $before = peak();
	my $open = scratch() . '/open';
	my $asker = spawn('asker', sub {
		in_netns($w->{sandbox}, sub {
			my $message = message('large.test', 16);
			my $question = pack('n', length $message) . $message;
			my (@sockets, $last);

			for (1 .. CLIENTS) {
				my $s = IO::Socket::INET->new(Proto => 'tcp',
				    PeerAddr => RESOLVER, PeerPort => 53)
				    or die "connect: $!";
				setsockopt $s, SOL_SOCKET, SO_RCVBUF, 4096;
				$s->blocking(0);
				push @sockets, $s;
			}
			local $SIG{PIPE} = 'IGNORE';
			for my $round (0 .. 12) {
				my $gone = 0;
				for my $s (@sockets) {
					my $sent = $s->syswrite($question
					    x ($round ? 1 : 40));
					$gone++ if !defined $sent && !$!{EAGAIN};
				}
				write_file("$open.new", CLIENTS - $gone);
				rename "$open.new", $open;
				sleep 4;
			}
			return '';
		});
	});
	ok(wait_for(sub { -e $open }, 30), CLIENTS . ' clients ask and do not read');
	ok(wait_for(sub { read_file($open) == 0 }, 50), 'all of them are let go')
	    or diag read_file($open) . ' are left';
	SKIP: {
		skip 'a sanitizer keeps what is freed for a while', 1
		    if build_dir() =~ m{/san$};
		cmp_ok(peak() - $before, '<', 80 * 1024,
		    'their answers took < 80 MiB');
	}
	like(dig($w, '+tcp', 'ns.test'), qr/status: NOERROR/,
	    'another client is served over TCP');
	stop($asker);
}

# One who reads late, and one who has much to read, get it all.
{
	my $message = message('large.test', 16);
	my $question = pack('n', length $message) . $message;
	my @answers = tcp_questions($w, $question x 100, 100);

	is(scalar @answers, 100, 'a hundred large answers to who reads them');
	is(scalar(grep { substr($_, 4, 4) ne '8180' } @answers), 0,
	    '  none of them a failure');
}
is(stop($pid), 0, 'the sidecar ends');
done_testing();
