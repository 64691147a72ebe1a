# SPDX-License-Identifier: Apache-2.0
package DnsWorld;

# What the DNS tests add to the world: an authoritative server with a zone of
# their own, a resolver that misbehaves on demand, raw questions, and a look at
# the kernel's sets.

use strict;
use warnings;
use Exporter 'import';
use Harness;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes ();
use World;

our @EXPORT = qw(dns_zone dns_liar question tcp_questions learned dig);

# nsd on the resolver's addresses, with this zone for test.
sub dns_zone
{
	my ($w, $zone) = @_;
	my $dir = scratch();

	write_file("$dir/test.zone", "\$ORIGIN test.\n\$TTL 300\n"
	    . "\@ SOA ns admin 1 3600 600 86400 60\n\@ NS ns\nns A 203.0.113.53\n"
	    . $zone);
	write_file("$dir/nsd.conf", <<"END");
server:
  ip-address: @{[RESOLVER]}
  ip-address: @{[RESOLVER6]}
  username: ""
  zonesdir: "$dir"
  database: ""
  pidfile: "$dir/nsd.pid"
  xfrdfile: "$dir/xfrd.state"
  zonelistfile: "$dir/zone.list"
  server-count: 1
  tcp-count: 100
remote-control:
  control-enable: no
zone:
  name: test
  zonefile: test.zone
END
	my $pid = start(name => 'nsd', netns => $w->{internet},
	    cmd => ['nsd', '-d', '-c', "$dir/nsd.conf"]);
	wait_for(sub {
		my ($status) = capture('ip', 'netns', 'exec', $w->{internet},
		    'dig', '+time=1', '+tries=1', '@' . RESOLVER, 'ns.test');
		return $status == 0;
	}) or die "nsd did not start: " . read_file("$dir/nsd.log");
	return $pid;
}

# t/tools/lying_resolver.py on ADDRESS; what it is asked goes to a file, a line each.
sub dns_liar
{
	my ($w, $address, @how) = @_;
	my $name = "liar-$address";
	my $seen = scratch() . "/$name.seen";

	my $pid = start(name => $name, netns => $w->{internet},
	    cmd => [python(), root() . '/t/tools/lying_resolver.py', $address, $seen,
		@how]);
	wait_for(sub { -e $seen }) or die "the liar did not start";
	return ($pid, $seen);
}

# Send bytes over UDP from the sandbox; returns the answer in hex, '' for none.
sub question
{
	my ($w, $bytes, $seconds) = @_;

	return in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(Proto => 'udp',
		    PeerAddr => RESOLVER, PeerPort => 53) or die "socket: $!";
		my $answer;

		defined $s->send($bytes) or die "send: $!";
		eval {
			local $SIG{ALRM} = sub { die "none\n" };
			Time::HiRes::alarm($seconds // 0.5);
			$s->recv($answer, 65535);
			Time::HiRes::alarm(0);
		};
		return defined $answer ? unpack('H*', $answer) : '';
	});
}

# Write bytes to a TCP connection from the sandbox and read messages until n
# have come or the other side closes; returns them in hex, a line each.
sub tcp_questions
{
	my ($w, $bytes, $n) = @_;

	return split /\n/, in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(Proto => 'tcp',
		    PeerAddr => RESOLVER, PeerPort => 53) or die "connect: $!";
		my ($buffer, @answers) = ('');

		$s->syswrite($bytes);
		eval {
			local $SIG{ALRM} = sub { die "late\n" };
			alarm 5;
			while (@answers < $n && $s->sysread($buffer, 65536,
			    length $buffer)) {
				while (length $buffer >= 2) {
					my $len = unpack('n', $buffer);
					last if length $buffer < $len + 2;
					push @answers,
					    unpack('H*', substr($buffer, 2, $len));
					substr($buffer, 0, $len + 2, '');
				}
			}
			alarm 0;
		};
		return join("\n", @answers);
	});
}

# The addresses that the sandbox's kernel lets through by name.
sub learned
{
	my ($w) = @_;
	my %seen;

	for my $set (qw(learned4 learned6)) {
		my $json = run_in($w->{sandbox}, 'nft', '-j', 'list', 'set', 'inet',
		    'opensandbox', $set);
		for my $e (map { @{ $_->{set}{elem} || [] } }
		    grep { $_->{set} } @{ decode_json($json)->{nftables} }) {
			$seen{ ref $e ? $e->{elem}{val} : $e } = 1;
		}
	}
	return sort keys %seen;
}

# dig from the sandbox: its whole output.
sub dig
{
	my ($w, @args) = @_;

	return (sees($w, 'dig', '+time=3', '+tries=1', '@' . RESOLVER, @args))[1];
}

1;
