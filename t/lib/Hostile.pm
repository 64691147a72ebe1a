# SPDX-License-Identifier: Apache-2.0
package Hostile;

# A sandbox that wants out: who it may be, what it sends by hand, and what of
# it is seen beyond its own interface.

use strict;
use warnings;
use Exporter 'import';
use Harness;
use IO::Select;
use IO::Socket::IP;
use JSON::PP;
use Socket;
use Test::More ();
use World;

our @EXPORT = qw(watch_cable leaked NOBODY RAW ROOT hostile hostile_start
    words liar lies asked dns_name dns_question dns_send dns_rcode learned
    policy_of attempts_plain attempts_raw try_all locked unlocked);

# Who the sandbox's code is: an ordinary user, one with CAP_NET_RAW, and root
# as a container has it, with CAP_NET_RAW and nothing else.
my @none = ('--bounding-set', '-all', '--inh-caps', '-all');
my @raw = ('--bounding-set', '-all,+net_raw', '--inh-caps', '-all,+net_raw');
my @user = ('--reuid', '65534', '--regid', '65534', '--clear-groups');

use constant {
	NOBODY => 'nobody',
	RAW    => 'nobody with CAP_NET_RAW',
	ROOT   => 'root with CAP_NET_RAW',
};
my %who = (
	NOBODY() => [@user, @none],
	RAW()    => [@user, @raw, '--ambient-caps', '-all,+net_raw'],
	ROOT()   => [@raw],
);

# Count every frame on the sandbox's cable, at its far end, before anything
# could drop it: "leak" is what is neither ARP, neighbour discovery, the API's
# answers to the host, nor for an allowed address.
sub watch_cable
{
	my ($w, %o) = @_;
	my @allowed = @{ $o{allowed} || [GOOD, GOOD6] };
	my $rules = "table netdev cable {\n"
	    . join('', map { "counter $_ { }\n" } qw(resolver good leak))
	    . "chain arrive {\n"
	    . "type filter hook ingress device sb0 priority -500;\n"
	    . "ether type arp return\n"
	    . "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert,"
	    . " nd-router-solicit, mld2-listener-report, mld-listener-report,"
	    . " mld-listener-done } return\n"
	    . 'ip daddr 10.88.0.1 tcp sport 18080 return' . "\n"
	    . 'ip daddr ' . RESOLVER . ' counter name resolver return' . "\n"
	    . 'ip6 daddr ' . RESOLVER6 . ' counter name resolver return' . "\n";

	$rules .= (/:/ ? 'ip6' : 'ip') . " daddr $_ counter name good return\n"
	    for @allowed;
	$rules .= "counter name leak\n}\n}\n";
	write_file(scratch() . '/cable.nft', $rules);
	run_in($w->{host}, 'nft', '-f', scratch() . '/cable.nft');
}

# Frames that left the sandbox, by what watch_cable counts; default: leaks.
sub leaked
{
	my ($w, $counter) = @_;
	my $out = run_in($w->{host}, 'nft', 'list', 'counter', 'netdev', 'cable',
	    $counter || 'leak');

	return $out =~ /packets (\d+)/ ? $1 : die "no counter: $out";
}

sub words
{
	my ($who, $tool, @args) = @_;
	return ('setpriv', @{ $who{$who} }, python(), tool($tool), @args);
}

# Run an attempt inside as somebody; returns the word that it prints.
sub hostile
{
	my ($w, $who, @args) = @_;
	my (undef, $out) = sees($w, words($who, 'hostile.py', @args));

	chomp $out;
	return $out;
}

# Start one that takes its time; returns its pid, and its words go to
# NAME.log of the scratch folder.
sub hostile_start
{
	my ($w, $who, $name, @args) = @_;

	return start(name => $name, netns => $w->{sandbox},
	    cmd => [words($who, 'hostile.py', @args)]);
}

# A DNS server in the internet that answers as it is told; see t/tools/liar.py
# for what a name's script may say.
sub liar
{
	my ($w, $script) = @_;
	my $dir = scratch();
	my $pid;

	lies($script);
	$pid = start(
		name  => 'liar',
		netns => $w->{internet},
		cmd   => [python(), root() . '/t/tools/liar.py', "$dir/lies.json",
			RESOLVER, RESOLVER6]);
	wait_for(sub { read_file("$dir/liar.log") =~ /^listening/m })
	    or die "liar did not start\n";
	return $pid;
}

sub lies
{
	my ($script) = @_;
	my $file = scratch() . '/lies.json';

	write_file("$file.new", encode_json($script));
	rename "$file.new", $file or die "$file: $!";
}

# The questions that the liar was asked: each "transport source port name
# type", newest last.
sub asked
{
	my ($pattern) = @_;

	return grep { /^(udp|tcp) / && (!$pattern || /$pattern/i) } split /\n/,
	    read_file(scratch() . '/liar.log');
}

# Labels as they are on the wire.
sub dns_name
{
	return join('', map { pack 'C/a', $_ } @_) . "\0";
}

# A question message: dns_question(NAME, type => 1, id, flags, ...).
sub dns_question
{
	my ($name, %o) = @_;

	return pack('n6', $o{id} // 0x1234, $o{flags} // 0x0100, $o{questions} // 1,
	    $o{answers} // 0, 0, $o{additional} // 0)
	    . $name . pack('n2', $o{type} // 1, $o{class} // 1) . ($o{more} // '');
}

# Send a message from inside to ADDRESS:53 and return what comes back, as it
# came, or '' for nothing within a second.
sub dns_send
{
	my ($w, $transport, $address, $message) = @_;
	my $hex = in_netns($w->{sandbox}, sub {
		my $socket = IO::Socket::IP->new(PeerHost => $address,
		    PeerPort => 53, Proto => $transport,
		    Type => $transport eq 'udp' ? SOCK_DGRAM : SOCK_STREAM)
		    or return '';
		my $data = '';
		local $SIG{PIPE} = 'IGNORE';

		$message = pack('n/a', $message) if $transport eq 'tcp';
		while (length $message) {
			my $n = syswrite $socket, $message or last;
			substr $message, 0, $n, '';
		}
		if (IO::Select->new($socket)->can_read(1)) {
			sysread $socket, $data, 65537;
		}
		substr $data, 0, 2, '' if $transport eq 'tcp' && length $data > 2;
		return unpack 'H*', $data;
	});
	return pack 'H*', $hex;
}

# The response code of a message, 'none' for no message.
sub dns_rcode
{
	my ($message) = @_;
	my @names = qw(NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED);

	return 'none' if length $message < 4;
	my $code = unpack('x3 C', $message) & 15;
	return $names[$code] // $code;
}

# The addresses that the kernel has learned in the sandbox's namespace.
sub learned
{
	my ($w) = @_;
	my @found;

	for my $set (qw(learned4 learned6)) {
		my (undef, $text) = capture('ip', 'netns', 'exec', $w->{sandbox},
		    'nft', 'list', 'set', 'inet', 'opensandbox', $set);
		next if $text !~ /elements = \{(.*?)\}/s;
		push @found, map { /^\s*([0-9a-f.:]+)/ ? $1 : () } split /,/, $1;
	}
	return sort @found;
}

# Do guesses at the sidecar's mark keep its own traffic in?
sub locked
{
	my ($w) = @_;
	return run_in($w->{sandbox}, 'nft', 'list', 'set', 'inet', 'opensandbox',
	    'locked') =~ /elements/ ? 1 : 0;
}

# Wait until they do not.
sub unlocked
{
	my ($w) = @_;
	return wait_for(sub { !locked($w) }, 60);
}

# A policy document that allows targets and denies the rest.
sub policy_of
{
	return encode_json({ defaultAction => 'deny', egress =>
		[map { { action => 'allow', target => $_ } } @_] });
}

# What anybody can try: the name, what the caller may see, the words.
my ($own, $own6) = ('10.88.0.5', '2001:db8:88::5');
my $no = qr/^(EPERM|EACCES|ECONNREFUSED|refused)$/;
my $none = qr/^(EPERM|EACCES|EPROTONOSUPPORT|ESOCKTNOSUPPORT)$/;
sub attempts_plain
{
	return (
		['TCP', qr/^ECONNREFUSED$/, 'tcp', EVIL, 7],
		['TCP over IPv6', qr/^(ECONNREFUSED|EACCES)$/, 'tcp', EVIL6, 7],
		['TCP to an address that nobody has', qr/^ECONNREFUSED$/, 'tcp',
			'198.51.100.7', 80],
		['UDP', $no, 'udp', EVIL, 7],
		['UDP over IPv6', $no, 'udp', EVIL6, 7],
		['IPv4 over an IPv6 socket', $no, 'mapped', EVIL, 7],
		['QUIC', $no, 'udp', EVIL, 443],
		['DNS over QUIC', $no, 'udp', EVIL, 853],
		['DNS over TLS', qr/^ECONNREFUSED$/, 'tcp', EVIL, 853],
		['DNS over TLS to the resolver', qr/^ECONNREFUSED$/, 'tcp', RESOLVER,
			853],
		['another port of the resolver', $no, 'udp', RESOLVER, 5353],
		['UDP-Lite', $none, 'lite', EVIL, 7],
		['UDP-Lite over IPv6', $none, 'lite', EVIL6, 7],
		['multicast', $no, 'udp', '224.0.0.251', 5353],
		['multicast over IPv6', $no, 'udp', 'ff05::fb', 5353],
		['the host', $no, 'udp', '10.88.0.1', 9],
	);
}

# And what needs CAP_NET_RAW; a frame is "sent" as far as its sender knows.
sub attempts_raw
{
	return (
		['ICMP', $no, 'ping', EVIL],
		['ICMPv6', $no, 'ping', EVIL6],
		['SCTP', $no, 'proto', EVIL, 132],
		['SCTP over IPv6', $no, 'proto', EVIL6, 132],
		['DCCP', $no, 'proto', EVIL, 33],
		['GRE', $no, 'proto', EVIL, 47],
		['IP in IP', $no, 'proto', EVIL, 4],
		['UDP from a raw socket', $no, 'proto', EVIL, 17],
		['UDP-Lite from a raw socket', $no, 'proto', EVIL, 136],
		['a protocol without a name', $no, 'proto', EVIL, 253],
		['the same over IPv6', $no, 'proto', EVIL6, 253],
		['an IP header of its own', $no, 'header', $own, EVIL, 7],
		['a forged source', $no, 'header', '192.0.2.9', EVIL, 7],
		['fragments', $no, 'fragments', $own, EVIL, 7],
		['a frame', qr/./, 'frame', 'eth0', $own, EVIL, 7],
		['an IPv6 frame', qr/./, 'frame', 'eth0', $own6, EVIL6, 7],
		['a frame past the queue', qr/./, 'frame', 'eth0', $own, EVIL, 7,
			'bypass'],
		['a frame to an allowed address', qr/./, 'frame', 'eth0', $own, GOOD, 80],
		['a frame of an AF_XDP socket', qr/^(EBUSY|EAFNOSUPPORT)$/, 'xdp', 'eth0',
			$own, EVIL, 7],
		['a thousand marks', qr/^refused$/, 'marks', EVIL, 7, 1000],
	);
}

# Each as somebody: refused with its word, and not a frame on the cable.
sub try_all
{
	my ($w, $how, $who, @attempts) = @_;

	for my $attempt (@attempts) {
		my ($name, $word, @args) = @$attempt;
		my $before = leaked($w);

		Test::More::like(hostile($w, $who, @args), $word,
		    "$how, $who: $name gets nowhere");
		Test::More::is(leaked($w) - $before, 0,
		    "$how, $who: $name does not leave");
	}
}

1;
