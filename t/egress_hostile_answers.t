# SPDX-License-Identifier: Apache-2.0
#
# An allowed name's owner may lie. Of what a resolver answers only addresses
# that the question's own chain of names reaches, and that are fit to be
# reached, get into the kernel and to the sandbox; hints never; forged answers
# never; and large answers whole.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my @dig = ('dig', '+tries=1', '+time=4', '@10.88.0.1');
my @unfit = ('127.0.0.1', '127.9.9.9', '169.254.169.254', '169.254.1.1',
	'0.0.0.0', '0.1.2.3', '224.0.0.1', '239.1.2.3', '255.255.255.255',
	'100.100.100.200', '10.0.0.1', '172.16.0.1', '192.168.0.1', '10.88.0.1',
	'168.63.129.16');
my @unfit6 = ('::1', '::', 'fe80::1', 'ff02::1', 'fd00:ec2::254',
	'::ffff:10.0.0.1', '::ffff:127.0.0.1', '::ffff:169.254.169.254',
	'::127.0.0.1', '64:ff9b::a00:1',
	'64:ff9b::7f00:1', '2002:7f00:1::1', '2002:a9fe:a9fe::1', 'fec0::1',
	'fd12:3456::1');
my @many = map { '198.51.100.' . $_ } 1 .. 200;
my @big = map { my $i = $_; map { "23.1.$i.$_" } 1 .. 125 } 0, 1;

my $w = world();
watch_cable($w);

sub a
{
	my ($owner, @addresses) = @_;

	return [map { [$owner, 60, /:/ ? 'AAAA' : 'A', $_] } @addresses];
}

my $long_chain = [map({ ["c$_.test", 60, 'CNAME', 'c' . ($_ + 1) . '.test'] }
	0 .. 40), ['c41.test', 60, 'A', '23.1.9.9']];
my %script = (
	'good.test' => { A => a('good.test', GOOD), AAAA => a('good.test', GOOD6),
		HTTPS => [['good.test', 60, 'HTTPS', { port => 443,
			ipv4hint => [EVIL], ipv6hint => [EVIL6] }]],
		SVCB => [['good.test', 60, 'SVCB', { port => 443,
			ipv4hint => [EVIL], ipv6hint => [EVIL6] }]],
		TXT => [['good.test', 60, 'TXT', EVIL]] },
	'unfit.test' => { A => a('unfit.test', @unfit, GOOD),
		AAAA => a('unfit.test', @unfit6, GOOD6) },
	'onlyunfit.test' => { A => a('onlyunfit.test', @unfit) },
	'extra.test' => { A => [@{ a('extra.test', GOOD) },
			@{ a('evil.test', EVIL) }, @{ a('other.test', EVIL) }],
		extra => a('evil.test', EVIL),
		authority => [@{ a('extra.test', EVIL) },
			['extra.test', 60, 'NS', 'ns.evil.test']] },
	'othertype.test' => { A => [@{ a('othertype.test', GOOD) },
		@{ a('othertype.test', EVIL6) }] },
	'hinted.test' => { A => a('hinted.test', GOOD), extra =>
		[['hinted.test', 60, 'HTTPS', { ipv4hint => [EVIL] }]] },
	'chain.test' => { A => [['chain.test', 60, 'CNAME', 'mid.evil.test'],
		['mid.evil.test', 60, 'CNAME', 'end.test'],
		@{ a('end.test', '203.0.113.21') }, @{ a('mid.evil.test', EVIL) },
		@{ a('unrelated.test', EVIL) }] },
	'disorder.test' => { A => [@{ a('end.test', '203.0.113.21') },
		['mid.test', 60, 'CNAME', 'end.test'],
		['disorder.test', 60, 'CNAME', 'mid.test']] },
	'broken.test' => { A => [['broken.test', 60, 'CNAME', 'gone.test'],
		@{ a('elsewhere.test', EVIL) }] },
	'loop.test' => { A => [['loop.test', 60, 'CNAME', 'loop2.test'],
		['loop2.test', 60, 'CNAME', 'loop.test'],
		@{ a('loop.test', EVIL) }] },
	'self.test' => { A => [['self.test', 60, 'CNAME', 'self.test']] },
	'c0.test' => { A => $long_chain },
	'many.test' => { A => a('many.test', @many) },
	'big.test' => { A => a('big.test', @big) },
	'far.test' => { A => [['far.test', 2 ** 31, 'A', '203.0.113.21']] },
	'longttl.test' => { A => [['longttl.test', 2 ** 31 - 1, 'A',
		'203.0.113.21']] },
	'zero.test' => { A => [['zero.test', 0, 'A', '203.0.113.21']] },
	'spoof.test' => { before => [qw(id question port source)],
		A => a('spoof.test', GOOD) },
	'spoofonly.test' => { before => [qw(id question port source)],
		silent => 0, wait => '/nonexistent/never',
		A => a('spoofonly.test', GOOD) },
	'error.test' => { rcode => 2, A => a('error.test', EVIL) },
);
liar($w, \%script);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_RULES => policy_of(sort keys %script),
	OPENSANDBOX_EGRESS_DNS_UPSTREAM_TIMEOUT => 2 });

sub answer
{
	my (undef, $out) = sees($w, @dig, @_);

	return $out;
}

# The addresses of an answer section, in order of their text.
sub addresses
{
	my @found = answer(@_) =~ /^\S+\s+\d+\s+IN\s+(?:A|AAAA)\s+(\S+)$/mg;

	return sort @found;
}

sub has_learned
{
	my %learned = map { $_ => 1 } learned($w);

	return join ' ', grep { $learned{$_} } @_;
}

# Unfit addresses
is_deeply([addresses('unfit.test')], [GOOD],
    'of an answer with unfit addresses the fit one is given');
is_deeply([addresses('unfit.test', 'AAAA')], [GOOD6], 'over IPv6 too');
my $only = answer('onlyunfit.test');
like($only, qr/ANSWER: 0,/, 'where all are unfit none is given');
is(has_learned(@unfit, @unfit6), '', 'the kernel has learned none of them');
is(has_learned(GOOD, GOOD6), GOOD . ' ' . GOOD6, 'but the fit ones');
like(read_file(scratch() . '/sidecar.log'), qr/169\.254\.169\.254/,
    'the log tells of what was cut');
isnt((sees($w, 'curl', '-s', '-m', '3', 'http://169.254.169.254/'))[0], 0,
    'the metadata service stays out of reach');
isnt((sees($w, 'curl', '-s', '-m', '3', 'http://10.88.0.1/'))[0], 0,
    'so does the host');

# Records that are nobody's business
is_deeply([addresses('extra.test')], [GOOD],
    'records of other owners are not given');
unlike(answer('extra.test', '+norec', '+all'), qr/203\.0\.113\.66/,
    'nor those in the other sections');
is_deeply([addresses('othertype.test')], [GOOD],
    'nor addresses of another family than was asked for');
unlike(answer('hinted.test'), qr/203\.0\.113\.66/, 'nor hints on the side');
is(has_learned(EVIL, EVIL6), '', 'the kernel has learned none of those');

# Chains
is_deeply([addresses('chain.test')], ['203.0.113.21'],
    'of a chain through a denied name the end alone counts');
is(has_learned('203.0.113.21'), '203.0.113.21', 'and is learned');
like(answer('mid.evil.test'), qr/status: NXDOMAIN/,
    'the name in the middle stays denied');
is_deeply([addresses('disorder.test')], ['203.0.113.21'],
    'a chain in disorder is followed');
is_deeply([addresses('broken.test')], [], 'a chain that breaks off ends there');
for my $name (qw(loop.test self.test c0.test)) {
	my $out = answer($name);

	like($out, qr/status: (SERVFAIL|NOERROR)/, "$name is answered");
	is_deeply([$out =~ /^\S+\s+\d+\s+IN\s+A\s+(\S+)$/mg], [],
	    "$name leads nowhere");
}
is(has_learned(EVIL, '23.1.9.9'), '', 'nothing of those was learned');
is_deeply([addresses('good.test')], [GOOD], 'others are answered');

# Errors with addresses in them
like(answer('error.test'), qr/status: SERVFAIL/, 'an error stays one');
is(has_learned(EVIL), '', 'none was learned');

# Hints
for my $type (qw(HTTPS SVCB TXT ANY)) {
	my $out = answer('good.test', $type);

	like($out, qr/status: (NOERROR|NOTIMP|REFUSED|NXDOMAIN)/,
	    "$type is answered");
	unlike($out, qr/ipv[46]hint/, "$type without hints");
	is(has_learned(EVIL, EVIL6), '', "$type teaches no address");
}
is((sees($w, 'curl', '-s', '-m', '3', 'http://' . EVIL . '/'))[0], 7,
    'the hinted address is refused');

# Sizes
is_deeply([addresses('many.test', '+tcp')], [sort @many],
    '200 addresses come whole over TCP');
is(has_learned(@many), join(' ', @many), 'all are learned');
my $small = answer('big.test', '+notcp', '+ignore', '+noedns');
like($small, qr/flags:[^;]* tc/, '250 addresses do not fit without EDNS');
like($small, qr/MSG SIZE  rcvd: ([1-9]|[1-9]\d|[1-4]\d\d|50\d|51[0-2])$/m,
    'the answer is 512 bytes at the most');
my $edns = answer('big.test', '+notcp', '+ignore', '+bufsize=1232');
like($edns, qr/flags:[^;]* tc/, 'nor with EDNS and 1,232 bytes');
like($edns, qr/MSG SIZE  rcvd: ([1-9]\d{0,2}|1[01]\d\d|12[0-2]\d|123[0-2])$/m,
    'the answer is 1,232 bytes at the most');
is_deeply([addresses('big.test', '+tcp')], [sort @big],
    'over TCP they come whole');
is_deeply([addresses('big.test')], [sort @big], 'a client that retries has all');
is(has_learned(@big), join(' ', @big), 'the kernel has every one of them');

# Lives
for (['zero.test', 0, 60], ['far.test', 0, 3600], ['longttl.test', 1, 3600]) {
	my ($name, $least, $most) = @$_;
	my ($ttl) = answer($name) =~ /^\S+\s+(\d+)\s+IN\s+A\s+203/m;

	cmp_ok($ttl, '>=', $least, "$name: the client may keep it");
	cmp_ok($ttl, '<=', $most, "$name: no longer than the kernel does");
}
my $left = run_in($w->{sandbox}, 'nft', 'list', 'set', 'inet', 'opensandbox',
    'learned4');
like($left, qr/203\.0\.113\.21\b[^,}]* expires (1h|\d+m)/,
    'the kernel keeps it an hour at the most');

# Forged answers
is_deeply([addresses('spoof.test')], [GOOD],
    'of forged answers and a true one the true one counts');
like(answer('spoofonly.test'), qr/status: SERVFAIL/,
    'of forged ones alone none does');
is(has_learned(EVIL), '', 'no forged address was learned');
my (undef, $metrics) = api($w, 'GET', '/metrics');
my ($spoofed) = $metrics =~ /^\w*spoof\w*(?:\{.*?\})? (\d+)/m;
cmp_ok($spoofed // 0, '>=', 2, 'the forged ones are counted');
is_deeply([addresses('good.test')], [GOOD], 'others are answered');
is((sees($w, 'curl', '-s', '-4', '-m', '5', '-o', '/dev/null', '-w',
    '%{http_code}', 'http://good.test/'))[1], '200', 'and open');

is(leaked($w), 0, 'no packet left');
is(stop($pid), 0, 'the sidecar ends well');

done_testing(65);
