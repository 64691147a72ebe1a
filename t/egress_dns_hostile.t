# SPDX-License-Identifier: Apache-2.0
#
# Messages that no honest client sends: each is dropped or refused, none is
# forwarded, and the next question is answered as ever.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use IO::Socket::INET;
use Time::HiRes qw(time);
use World;

my $w = world();
my ($liar, $seen) = dns_liar($w, RESOLVER, 'honest');
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_RULES => '{"egress":[
	    {"action":"allow","target":"good.test"},
	    {"action":"allow","target":"*.many.test"}]}' });

sub asked { return scalar(split /\n/, read_file($seen)) }

my $name = "\4good\4test\0";
my $in_a = pack 'nn', 1, 1;
my $plain = pack('n6', 0x1234, 0x0100, 1, 0, 0, 0) . $name . $in_a;
my $opt = "\0" . pack('nnNn', 41, 1232, 0, 0);

sub message
{
	my ($counts, $body, $flags) = @_;
	return pack('n2', 0x1234, $flags // 0x0100) . pack('n4', @$counts) . $body;
}

like(question($w, $plain, 2), qr/^12348180000100010000/, 'a question works');
my $before = asked();

# What it is, bytes, the header that must come back ('' none).
my @hostile = (
	['an empty datagram', '', ''],
	['one byte', 'x', ''],
	['half a header', substr($plain, 0, 6), ''],
	['a response', message([1, 0, 0, 0], $name . $in_a, 0x8180), ''],
	['a response that is a FORMERR', message([0, 0, 0, 0], '', 0x8001), ''],
	['a header alone', substr($plain, 0, 12), '12348181'],
	['no question', message([0, 0, 0, 0], ''), '12348181'],
	['two questions', message([2, 0, 0, 0], "$name$in_a" x 2), '12348181'],
	['65535 questions', message([65535, 0, 0, 0], $name . $in_a), '12348181'],
	['a cut name', substr($plain, 0, 15), '12348181'],
	['a cut type', substr($plain, 0, -3), '12348181'],
	['a pointer to itself', message([1, 0, 0, 0], "\xc0\x0c$in_a"), '12348181'],
	['pointers that chase each other',
		message([1, 0, 0, 0], "\1a\xc0\x10\1b\xc0\x0c$in_a"), '12348181'],
	['a label of an unknown kind',
		message([1, 0, 0, 0], "\x41\1\0$in_a"), '12348181'],
	['a name of 256 octets',
		message([1, 0, 0, 0], ((chr(63) . 'a' x 63) x 3) . chr(62)
		. 'a' x 62 . "\0$in_a"), '12348181'],
	['garbage behind the question', $plain . 'x', '12348181'],
	['an answer in a question',
		message([1, 1, 0, 0], "$name$in_a\xc0\x0c" . pack('nnNn', 1, 1, 1, 4)
		. 'abcd'), '12348181'],
	['two OPT records', message([1, 0, 0, 2], "$name$in_a$opt$opt"),
		'12348181'],
	['an option longer than its record', message([1, 0, 0, 1],
		"$name$in_a\0" . pack('nnNnnn', 41, 1232, 0, 4, 10, 9)),
		'12348181'],
	(map { ["opcode $_", message([1, 0, 0, 0], $name . $in_a, $_ << 11),
		sprintf '1234%02x84', 0x80 | $_ << 3] } 1 .. 15),
	(map { ["type $_", message([1, 0, 0, 0], $name . pack('nn', $_, 1)),
		'12348185'] } 128, 249 .. 255),
	(map { ["class $_", message([1, 0, 0, 0], $name . pack('nn', 1, $_)),
		'12348185'] } 0, 2, 3, 4, 254, 255),
	['a datagram of 65,507 bytes', $plain . "\0" x (65507 - length $plain),
		'12348181'],
);
for my $case (@hostile) {
	my ($what, $bytes, $header) = @$case;
	my $answer = question($w, $bytes, $header eq '' ? 0.2 : 2);

	is(substr($answer, 0, 8), $header, $what);
}
is(asked(), $before, 'nothing of it was forwarded');
like(question($w, $plain, 2), qr/^12348180000100010000/,
    'and the next question is answered');

# TCP: several questions at once, in pieces, too long, and none at all.
sub framed { return join '', map { pack('n', length) . $_ } @_ }

my $denied = pack('n6', 7, 0x0100, 1, 0, 0, 0) . "\4evil\4test\0" . $in_a;
my @answers = tcp_questions($w, framed(map { pack('n', $_)
    . substr($plain, 2) } 1 .. 20), 20);
is_deeply([sort { $a <=> $b } map { hex substr $_, 0, 4 } @answers],
    [1 .. 20], 'twenty questions on one connection');
@answers = tcp_questions($w, framed(map { pack('n6', $_, 0x0100, 1, 0, 0, 0)
    . chr(4) . sprintf('n%03d', $_) . "\4many\4test\0$in_a" } 1 .. 300), 300);
is_deeply([sort { $a <=> $b } map { hex substr $_, 0, 4 } @answers],
    [1 .. 300], 'three hundred that each need a resolver');
@answers = tcp_questions($w, framed($denied, $plain), 2);
is_deeply([sort map { substr $_, 0, 8 } @answers], ['00078183', '12348180'],
    'a denied and an allowed one');
is_deeply([map { substr $_, 0, 8 } tcp_questions($w,
    framed(substr($plain, 0, 6), substr($plain, 0, 12), $plain), 2)],
    ['12348181', '12348180'], 'what is no question is passed over');
is_deeply([tcp_questions($w, pack('n', 65535) . 'x' x 65535, 1)], [],
    'a message of 65,535 bytes over TCP ends its connection');
is_deeply([tcp_questions($w, pack('n', 0) x 100 . framed($plain), 1)],
    [tcp_questions($w, framed($plain), 1)], 'empty messages do not matter');

# Connections that say nothing do not keep others out.
my $crowd = in_netns($w->{sandbox}, sub {
	my @idle = map { IO::Socket::INET->new(PeerAddr => RESOLVER,
		PeerPort => 53) } 1 .. 400;
	my $s = IO::Socket::INET->new(PeerAddr => RESOLVER, PeerPort => 53)
	    or return 'no connection';
	my $answer = '';

	$s->syswrite(framed($plain));
	local $SIG{ALRM} = sub { die "no answer\n" };
	alarm 5;
	$s->sysread($answer, 65536);
	return unpack('H*', substr($answer, 2, 4));
});
is($crowd, '12348180', 'four hundred idle connections do not keep one out');

# A flood of questions, and thousands of names below a wildcard.
my $flood = in_netns($w->{sandbox}, sub {
	my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => RESOLVER,
	    PeerPort => 53);
	my $end = time + 2;
	my $n = 0;

	while (time < $end) {
		for (1 .. 100) {
			$n++;
			$s->send(pack('n6', $n & 0xffff, 0x0100, 1, 0, 0, 0)
			    . chr(8) . sprintf('%08x', $n) . "\4many\4test\0$in_a",
			    0x40);
		}
		1 while defined $s->recv(my $m, 4096, 0x40);
	}
	return $n;
});
cmp_ok($flood, '>', 5000, "a flood of $flood new names");
ok(alive($pid), 'does not end the sidecar');
like(question($w, $plain, 2), qr/^12348180000100010000/,
    'and others are answered');
my ($rss) = map { /VmRSS:\s+(\d+)/ ? $1 : () }
    map { read_file("/proc/$_/status") } sort { $a <=> $b }
    workers($pid);
SKIP: {
	skip 'a sanitizer has its own idea of memory', 1
	    if build_dir() =~ m{/san$};
	cmp_ok($rss, '<', 32 * 1024, "memory is bounded: $rss kB");
}
like(read_file(scratch() . '/sidecar.log'),
    qr/too many new names a second below a wildcard/, 'it was logged');

# The process that serves: the supervisor's child, or itself.
sub workers
{
	my ($parent) = @_;
	my @children = split ' ',
	    read_file("/proc/$parent/task/$parent/children");

	return @children ? $children[-1] : $parent;
}

is(stop($pid), 0, 'the sidecar ends');
done_testing();
