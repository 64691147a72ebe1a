# SPDX-License-Identifier: Apache-2.0
#
# However a name is spelled, the policy decides over what it means; and however
# a message is mangled, it is refused or dropped, never passed on, and the next
# question is answered.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my @dig = ('dig', '+tries=1', '+time=3', '@10.88.0.1');
my $l63 = 'a' x 63;
my $long = join '.', $l63, $l63, $l63, 'a' x 51, 'good', 'test';

my $w = world();
watch_cable($w);
liar($w, { map({ ($_ => { A => [[$_, 60, 'A', GOOD]],
	TXT => [[$_, 60, 'TXT', 'a text']] }) }
	'good.test', 'www.good.test', "$l63.good.test", $long,
	'xn--bcher-kva.test', 'wild.good.test', 'evil.good.test') ,
	'evil.test' => { A => [['evil.test', 60, 'A', EVIL]] } });

my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES => policy_of(
	'good.test', '*.good.test', 'xn--bcher-kva.test') });

sub answer
{
	my ($name, @more) = @_;
	my (undef, $out) = sees($w, @dig, @more, $name);

	return $out;
}

sub lives
{
	my ($after) = @_;
	my $out = answer('good.test');

	like($out, qr/status: NOERROR/, "after $after others are answered");
}

# What the policy denies, in every spelling: no record, and nobody was asked.
for my $name ('GOOD.test.evil.test', 'good.test.evil.test.', 'evil.test',
    'eViL.tEsT', 'EVIL.TEST.', 'good.test\000.evil.test', 'good\.test',
    'good.test\.evil.test', '\000good.test.evil.test', 'xgood.test',
    'good.test.', 'good.tes', 'ood.test', 'test', '.', "$l63.evil.test",
    'xn--bcher-kvb.test', "b\x{fc}cher.test", 'good.test\032', 'good-.test',
    '*.test', '1.113.0.203.in-addr.arpa') {
	next if $name eq 'good.test.';
	my $asked = asked();
	my $out = answer($name, '+noidnin');

	# What lies above an allowed name exists, without records.
	like($out, $name eq 'test' || $name eq '.'
	    ? qr/status: NOERROR.*ANSWER: 0,/s : qr/status: NXDOMAIN/,
	    "'$name' is denied") or diag $out;
	is(scalar asked(), $asked, "nobody is asked for '$name'");
}

# What it allows, in every spelling too, and the client's case comes back.
for my $name ('good.test', 'good.test.', 'GOOD.TEST', 'gOoD.tEsT', 'Good.Test.',
    'www.GOOD.test', "$l63.good.test", $long, 'XN--bcher-KVA.test') {
	my $out = answer($name);
	my $plain = $name =~ s/\.$//r;

	like($out, qr/status: NOERROR/, "'$name' is allowed");
	like($out, qr/^;\Q$plain\E\.\s+IN\s+A/m, "'$name' keeps its case");
	like($out, qr/^\S+\s+\d+\s+IN\s+A\s+203\.0\.113\.20$/m,
	    "'$name' has its address");
}
is(length(dns_name(split /\./, $long)), 255, 'one of them was 255 octets');
# A dot or a zero byte inside a label is no more than a byte.
for my $name ('evil.test\000.good.test', 'evil\.test.good.test') {
	like(answer($name), qr/status: NXDOMAIN/, "'$name' is below good.test");
	unlike(answer($name), qr/203\.0\.113\.66/, "'$name' is not evil.test");
}

# Messages that are none. "refused" is any code but success, or silence.
my $good = dns_name('good', 'test');
my $evil = dns_name('evil', 'test');
my %bad = (
	'an empty message'    => '',
	'one byte'            => "\0",
	'half a header'       => substr(dns_question($good), 0, 7),
	'a header alone'      => substr(dns_question($good), 0, 12),
	'half a name'         => substr(dns_question($good), 0, 15),
	'a name without type' => substr(dns_question($good), 0, 12 + length $good),
	'no question'         => dns_question('', questions => 0),
	'two questions'       => dns_question($good, questions => 2,
		more => $evil . pack 'n2', 1, 1),
	'65,535 questions'    => dns_question($good, questions => 65535),
	'a response'          => dns_question($evil, flags => 0x8180),
	'a response that allows' => dns_question($good, flags => 0x8180),
	'a name that points at itself' => dns_question("\xc0\x0c"),
	'a name that points ahead' => dns_question("\xc0\x20",
		more => $good),
	'pointers in a circle' => dns_question("\4good\xc0\x11\xc0\x0c"),
	'a name that points into the header' => dns_question("\xc0\x00"),
	'a label of 64'       => dns_question("\x40" . 'a' x 64 . $good),
	'a label of 191'      => dns_question("\xbf" . 'a' x 191 . $good),
	'a name of 256'       => dns_question(dns_name(('a' x 63) x 3, 'a' x 52,
		'good', 'test')),
	'a name without end'  => dns_question("\1a" x 300),
	'another class'       => dns_question($good, class => 3),
	'class ANY'           => dns_question($good, class => 255),
	'an answer inside'    => dns_question($good, answers => 1, more =>
		$good . pack('n2 N n a4', 1, 1, 60, 4, "\xcb\0\x71\x42")),
	'two OPT records'     => dns_question($good, additional => 2, more =>
		join '', ("\0" . pack 'n2 N n', 41, 1232, 0, 0) x 2),
	'an OPT that lies about its size' => dns_question($good,
		additional => 1, more => "\0" . pack('n2 N n', 41, 1232, 0, 999)),
	'EDNS version 9'      => dns_question($good, additional => 1, more =>
		"\0" . pack('n2 N n', 41, 1232, 9 << 16, 0)),
	'a zone transfer'     => dns_question($evil, type => 252),
	'65,507 bytes'        => dns_question($good, more => 'x' x 65000),
	map({ ("opcode $_" => dns_question($good, flags => $_ << 11)) }
	    1 .. 6, 15),
);
for my $what (sort keys %bad) {
	for my $transport (qw(udp tcp)) {
		my $asked = asked('evil|65000|x{9}');
		my $back = dns_send($w, $transport, '10.88.0.1', $bad{$what});

		unlike($back, qr/\xcb\0\x71\x42/,
		    "$what over $transport gets no denied address");
		like(dns_rcode($back), $what =~ /answer inside|^65,507|two OPT|EDNS/
		    ? qr/./ : qr/^(none|FORMERR|NOTIMP|REFUSED|NXDOMAIN|0|SERVFAIL)$/,
		    "$what over $transport is refused");
		is(scalar asked('evil|65000|x{9}'), $asked,
		    "$what over $transport is not passed on");
	}
	lives($what);
}
is(scalar grep({ /^odd/ } split /\n/, read_file(scratch() . '/liar.log')), 0,
    'what the resolver was asked was in form');

# 65,535 bytes over TCP, in one piece and in crumbs; then a client that says
# how much it will send and never does.
my $whole = dns_question($good, more => 'x' x (65535 - 12 - 4 - length $good));
is(length $whole, 65535, 'the largest message');
like(dns_rcode(dns_send($w, 'tcp', '10.88.0.1', $whole)),
    qr/^(none|FORMERR|NOERROR)$/, 'is answered or dropped');
lives('the largest message');
my $crumbs = start(name => 'crumbs', netns => $w->{sandbox}, cmd => [python(),
	'-c', "import socket,time\n"
	. "s=[socket.create_connection(('10.88.0.1',53)) for _ in range(300)]\n"
	. "[c.send(b'\\xff\\xff\\0') for c in s[:250]]\n"
	. "print('held', flush=True)\ntime.sleep(60)"]);
wait_for(sub { read_file(scratch() . '/crumbs.log') =~ /held|Error/ }, 5);
lives('300 connections that say nothing');
like(answer('good.test', '+tcp', '+time=5'), qr/status: NOERROR|timed out|reset/,
    'over TCP one may have to wait');
stop($crumbs);
ok(wait_for(sub { answer('good.test', '+tcp') =~ /status: NOERROR/ }),
    'TCP is back when they are gone');

# A flood: ten thousand names that are denied, from one socket.
in_netns($w->{sandbox}, sub {
	require IO::Socket::INET;
	my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '10.88.0.1',
	    PeerPort => 53);
	$s->send(dns_question(dns_name("n$_", 'evil', 'test'))) for 1 .. 10000;
	$s->send("\xff" x ($_ % 600)) for 1 .. 10000;
	return '';
});
lives('a flood of 20,000 datagrams');
is(scalar asked('n\d+\.evil'), 0, 'of which the resolver saw nothing');
ok(alive($pid), 'the sidecar has lived through it');
unlike(read_file(scratch() . '/sidecar.log'), qr/worker died/,
    'so has its worker');
is(leaked($w), 0, 'no packet left');
is(stop($pid), 0, 'it ends well');

done_testing(325);
