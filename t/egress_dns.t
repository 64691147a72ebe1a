# SPDX-License-Identifier: Apache-2.0
#
# A sandbox's questions to a real server: what is allowed resolves whole, over
# UDP and TCP, IPv4 and IPv6, and the kernel holds exactly the addresses that
# the answers leave; what may not be learned is cut.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use World;

my $w = world();
dns_zone($w, join "\n",
    'good A 203.0.113.20', 'good AAAA 2001:db8:113::20',
    'good TXT "hello"', 'good MX 10 mail.good',
    'www.good CNAME good', 'a.good CNAME b.good', 'b.good CNAME evil',
    'evil A 203.0.113.66', 'l1.good CNAME l2.good', 'l2.good CNAME l1.good',
    (map { "bad.good A $_" } qw(127.0.0.1 169.254.169.254 0.0.0.0 224.0.0.1
	100.100.100.200 10.0.0.1 203.0.113.21)),
    (map { "bad.good AAAA $_" } qw(::1 fe80::1 fd00:ec2::254
	::ffff:10.0.0.1 ff02::1 2001:db8:113::21)),
    'worse.good A 127.0.0.1',
    'svc.good HTTPS 1 . alpn=h2 port=8443 ipv4hint=203.0.113.99 '
    . 'ipv6hint=2001:db8:113::99',
    'zero.good 0 A 203.0.113.22', 'old.good 2147483647 A 203.0.113.23',
    '*.many A 203.0.113.20',
    (map { sprintf 'large.good A 198.51.%d.%d', 100 + int($_ / 200),
	$_ % 200 + 1 } 0 .. 249), '');
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_RULES => '{"egress":[
	    {"action":"deny","target":"denied.good.test"},
	    {"action":"allow","target":"good.test"},
	    {"action":"allow","target":"*.good.test"}]}' });

is_deeply([learned($w)], [], 'nothing is learned at first');
like(dig($w, 'good.test'), qr/status: NOERROR.*\sA\t203\.0\.113\.20\n/s,
    'an allowed name resolves');
is_deeply([learned($w)], ['203.0.113.20'], 'and its address is in the kernel');
is(dig($w, '+short', 'good.test', 'AAAA'), "2001:db8:113::20\n", 'AAAA');
is(dig($w, '+short', '+tcp', 'www.good.test'),
    "good.test.\n203.0.113.20\n", 'a chain, over TCP');
is((sees($w, 'dig', '+short', '@' . RESOLVER6, 'good.test'))[1],
    "203.0.113.20\n", 'over IPv6');
is((sees($w, 'dig', '+short', '+tcp', '@' . RESOLVER6, 'good.test'))[1],
    "203.0.113.20\n", 'and TCP over IPv6');
is(dig($w, '+short', 'good.test', 'TXT'), "\"hello\"\n", 'TXT');
is(dig($w, '+short', 'good.test', 'MX'), "10 mail.good.test.\n", 'MX');
like(dig($w, '+noall', '+answer', 'gOOd.tEsT'), qr/^gOOd\.tEsT\./,
    'an answer repeats the spelling of its question');

my $out = dig($w, 'denied.good.test');
like($out, qr/status: NXDOMAIN/, 'a denied name');
like($out, qr/EDE: 15 \(Blocked\): \(denied by policy: rule 0 \(denied\.good\.test\)\)/,
    'says which rule denies it');
like(dig($w, 'GOOD.test.evil.test'), qr/status: NXDOMAIN.*EDE: 15/s,
    'an allowed name below a denied one');
like(dig($w, 'good.test.'), qr/NOERROR/, 'a trailing dot');
like(dig($w, 'good.test\000.test'), qr/NXDOMAIN.*EDE: 15/s, 'a NUL in a label');

is(dig($w, '+short', 'a.good.test'),
    "b.good.test.\nevil.test.\n203.0.113.66\n",
    'a chain through a denied name follows the policy of the question');
like(dig($w, 'l1.good.test'), qr/SERVFAIL.*EDE: 23/s, 'a loop of aliases');
is(dig($w, '+short', 'bad.good.test'), "203.0.113.21\n",
    'only what may be learned stays, IPv4');
is(dig($w, '+short', 'bad.good.test', 'AAAA'), "2001:db8:113::21\n", 'IPv6');
$out = dig($w, 'worse.good.test');
like($out, qr/NOERROR.*ANSWER: 0.*EDE: 17 /s, 'where nothing stays, it says so');
$out = dig($w, '+noall', '+answer', 'svc.good.test', 'HTTPS');
like($out, qr/alpn="h2"/, 'HTTPS records pass');
unlike($out, qr/hint/, 'without hints');
like(dig($w, 'zero.good.test'), qr/\t0\tIN\tA\t203\.0\.113\.22/, 'TTL 0');
like(dig($w, 'old.good.test'), qr/\t(3[0-5]\d\d)\tIN\tA\t203\.0\.113\.23/,
    'a long TTL is brought down to the lease');
is_deeply([learned($w)], [sort qw(203.0.113.20 203.0.113.21 203.0.113.22
    203.0.113.23 203.0.113.66 2001:db8:113::20 2001:db8:113::21)],
    'the kernel holds what the answers left, and nothing else');

like(dig($w, 'nx.good.test'), qr/NXDOMAIN.*AUTHORITY: 1,.*SOA/s,
    'NXDOMAIN of the server comes with its SOA');
unlike(dig($w, 'nx.good.test'), qr/EDE/, 'and without our reasons');

my %told;
for my $size ('+noedns', '+bufsize=1232') {
	$out = dig($w, $size, '+ignore', 'large.good.test');
	like($out, qr/flags:[^;]* tc[ ;].*ANSWER: [1-9]/s,
	    "250 records, $size: TC, and what there is room for");
	like($out, qr/SERVER: [^\n]*UDP/, 'over UDP');
	$told{$1} = 1 while $out =~ /\tA\t(198\.51\.\S+)/g;
}
is_deeply([grep { /^198\.51\./ } learned($w)], [sort keys %told],
    'which admits what it holds, and nothing else');
$out = dig($w, '+short', 'large.good.test');
is(scalar(split /\n/, $out), 250, 'all of them over TCP');
is((grep { /^198\.51\./ } learned($w)) + 0, 250,
    'and each is in the kernel');
$out = dig($w, '+bufsize=4096', '+ignore', '+short', 'large.good.test');
is(scalar(split /\n/, $out), 250, 'all over UDP for a client that takes 4096');

like(dig($w, 'test', 'NS'), qr/status: NOERROR.*ANSWER: 0.*EDE: 15/s,
    'what lies above an allowed name is not denied to exist');
like(dig($w, 'good.test', 'ANY'), qr/status: REFUSED/, 'ANY');
like(dig($w, 'denied.good.test', 'ANY'), qr/status: NXDOMAIN.*EDE: 15/s,
    'ANY of a denied name is denied');
like(dig($w, 'good.test', 'AXFR'), qr/Transfer failed/, 'AXFR');
like(dig($w, '-c', 'CH', 'good.test', 'TXT'), qr/status: REFUSED/, 'class CH');
like(dig($w, '+opcode=STATUS', 'good.test'), qr/status: NOTIMP/, 'opcodes');
like(dig($w, '+edns=1', '+noednsneg', 'good.test'), qr/status: BADVERS/,
    'EDNS of another version');

is(stop($pid), 0, 'the sidecar ends');
done_testing();
