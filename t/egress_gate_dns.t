# SPDX-License-Identifier: Apache-2.0
#
# With the gate on no HTTPS or SVCB record has a client hide the name that it
# connects to: "ech" (RFC 9460, RFC 9849) is taken out of real servers' answers.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64;
use Test::More;
use Harness;
use World;
use DnsWorld;

my $w = world();
# An ECHConfigList: version, id, KEM, public key, suites, the outer name.
my $ech = encode_base64(pack('n/a*', pack('n n/a*', 0xfe0d,
    pack('C n n/a* n/a* C C/a* n', 7, 0x20, 'k' x 32, pack('n n', 1, 1), 0,
	'outer.test', 0))), '');
dns_zone($w, <<"END");
one HTTPS 1 . alpn=h2,h3 ech=$ech port=8443
two HTTPS 1 . mandatory=alpn alpn=h2 ech=$ech
two HTTPS 2 one mandatory=ech ech=$ech
only HTTPS 1 . mandatory=ech ech=$ech
alias CNAME one
plain SVCB 1 one ech=$ech ipv4hint=203.0.113.66
@{[ join "\n", map { "many HTTPS $_ n$_ alpn=h2 ech=$ech" } 1 .. 40 ]}
END
my $rules = '{"egress":[{"action":"allow","target":"*.test"}]}';

sub asked
{
	my ($name, $type, @how) = @_;
	my $out = dig($w, '+noall', '+answer', '+comments', "$name.test", $type, @how);
	my @records = $out =~ /^\S+\s+\d+\s+IN\s+((?:HTTPS|SVCB)\s.*)$/mg;
	s/\s+/ /g for @records;
	return wantarray ? sort @records : $out;
}

# Off: as the server has it.
my $pid = sidecar($w, args => ['--rules', $rules]);
like(asked('one', 'HTTPS'), qr/ ech=\Q$ech\E/, 'without the gate it stays');
stop($pid);

$pid = sidecar($w, args => ['--rules', $rules, '--gate', 'names']);
for my $how ('+notcp', '+tcp') {
	is_deeply([asked('one', 'HTTPS', $how)],
	    ['HTTPS 1 . alpn="h2,h3" port=8443'], "$how: taken out, the rest stays");
	is_deeply([asked('alias', 'HTTPS', $how)],
	    ['HTTPS 1 . alpn="h2,h3" port=8443'], "$how: behind an alias");
	is_deeply([asked('two', 'HTTPS', $how)],
	    ['HTTPS 1 . mandatory=alpn alpn="h2"'],
	    "$how: a record that demands it is no record");
	like(asked('only', 'HTTPS', $how), qr/status: NOERROR.*ANSWER: 0/s,
	    "$how: and the name is there all the same");
	is_deeply([asked('plain', 'SVCB', $how)], ['SVCB 1 one.test.'],
	    "$how: SVCB, and hints go as ever");
	is_deeply([asked('one', 'HTTPS', $how, '+dnssec')],
	    ['HTTPS 1 . alpn="h2,h3" port=8443'], "$how: asked with DO");
}
my @many = asked('many', 'HTTPS');
is(@many, 40, 'an answer that takes TCP');
is(scalar(grep { /ech/ } @many), 0, '  without a single one');
my $wire = (tcp_questions($w, pack('n/a*', pack('n n n4', 7, 0x0100, 1, 0, 0, 0)
    . pack('(C/a*)*', qw(one test)) . "\0" . pack('n n', 65, 1)), 1))[0];
like($wire, qr/^0007.{8}0001/, 'an answer on the wire');
unlike($wire, qr/fe0d/, '  in which there is no ECHConfig');
stop($pid);

done_testing();
