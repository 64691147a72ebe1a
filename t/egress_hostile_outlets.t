# SPDX-License-Identifier: Apache-2.0
#
# In the sandbox's own namespace our webhook, the gateway's policy and the
# collector are reached whatever the policy says, by us alone: the sandbox
# reaches none of them, nor resolves their names, whatever it tries.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Hostile;
use Receiver;
use World;

use constant {
	HOOK     => '203.0.113.99',
	HOOK6    => '2001:db8:113::99',
	GATEWAY  => '203.0.113.21',
};

my $w = world();
my $dir = scratch();
watch_cable($w, allowed => [GOOD, GOOD6, HOOK, HOOK6, GATEWAY]);
world_dns($w, '--address=/good.test/' . GOOD, '--address=/evil.test/' . EVIL,
	'--address=/hook.ops.test/' . HOOK, '--address=/hook.ops.test/' . HOOK6,
	'--address=/gateway.ops.test/' . GATEWAY);
# A short name with a search list, a name of the world's, one of /etc/hosts.
netns_etc($w->{sandbox}, 'resolv.conf',
    "search nowhere.test ops.test\noptions ndots:2\nnameserver 10.88.0.1\n");
netns_etc($w->{sandbox}, 'hosts', '127.0.0.1 localhost
' . HOOK . " collector # by hand\n");
receiver_at($w->{internet}, 'hook', HOOK . ',' . HOOK6, 8080, { status => 204 });
receiver_at($w->{internet}, 'collector', HOOK, 4318, { status => 200 });
receiver_at($w->{internet}, 'gateway', GATEWAY, 8081,
    { etag => '"1"', body => policy_of('good.test') });

my $pid = sidecar($w, how => 'sidecar', env => {
	OPENSANDBOX_EGRESS_DENY_WEBHOOK => 'http://hook:8080/denied',
	OPENSANDBOX_EGRESS_POLICY_URL => 'http://gateway.ops.test:8081/policy',
	OTEL_EXPORTER_OTLP_ENDPOINT => 'http://collector:4318',
	OTEL_METRIC_EXPORT_INTERVAL => '300' });

sub lookup
{
	my (undef, $out) = sees($w, 'dig', '+time=5', '+tries=1', '@10.88.0.1',
	    $_[0]);
	return $out =~ /status: (\w+)/ ? $1 : $out;
}

sub in_force
{
	my (undef, undef, $json) = api($w, 'GET', '/policy');
	return join ' ', map { $_->{target} } @{ $json->{policy}{egress} || [] };
}

ok(wait_for(sub { in_force() eq 'good.test' }), 'the gateway is followed')
    or diag read_file("$dir/sidecar.log");
is(lookup('evil.test'), 'NXDOMAIN', 'a name is denied');
ok(wait_for(sub { received('hook') > 0 }), 'the webhook is told')
    or diag read_file("$dir/sidecar.log");
ok(wait_for(sub { received('collector') > 0 }), 'the collector gets metrics')
    or diag read_file("$dir/sidecar.log");
is(lookup('good.test'), 'NOERROR', 'what is allowed is answered');
script('gateway', { etag => '"2"', body => policy_of('good.test', 'two.test') });
ok(wait_for(sub { in_force() eq 'good.test two.test' }),
    'a change arrives over the connection that waits');
my $pushed = received('collector');
ok(wait_for(sub { received('collector') > $pushed }),
    'and metrics under the new policy');

unlike(read_file("$dir/sidecar.log"), qr/egress\.denied.*"203\.0\.113/,
    'no packet of ours is refused');

# The sandbox
my %place = ('the webhook' => [HOOK, 8080], 'the webhook over IPv6' =>
	[HOOK6, 8080], 'the gateway' => [GATEWAY, 8081], 'the collector' =>
	[HOOK, 4318]);
is(lookup($_), 'NXDOMAIN', "the sandbox does not resolve $_")
    for qw(hook.ops.test gateway.ops.test);
my ($mark) = run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
    'opensandbox', 'output') =~ /meta mark (0x[0-9a-f]+) meta skuid/;
ok($mark, 'the rules have our mark') or $mark = 1;
for my $name (sort keys %place) {
	my ($address, $port) = @{ $place{$name} };
	my $word = qr/^(ECONNREFUSED|EACCES)$/;

	for my $who (NOBODY, ROOT) {
		like(hostile($w, $who, 'tcp', $address, $port), $word,
		    "$who: $name is refused");
		like(hostile($w, $who, 'udp', $address, $port),
		    qr/^(ECONNREFUSED|EACCES|EPERM)$/, "$who: by UDP too");
	}
	is(hostile($w, ROOT, 'marks', $address, $port, 1000), 'refused',
	    "$name: a thousand marks");
	like(hostile($w, RAW, 'tcp', $address, $port, $mark), $word,
	    "$name: our own mark is nothing to another user");
	my %other = map { $_ => 1 } grep { $_ ne $mark } run_in($w->{sandbox},
	    'nft', '-n', 'list', 'ruleset') =~ /mark (?:set )?(0x[0-9a-f]+)/g;
	cmp_ok(scalar keys %other, '>', 1, 'there are other marks');
	my @of_use = grep { hostile($w, ROOT, 'tcp', $address, $port, $_) ne
	    'ECONNREFUSED' } sort keys %other;
	is("@of_use", '', "$name: none of them is one");
}
# Whoever knows the mark as well gets no further than those ports.
isnt(hostile($w, ROOT, 'tcp', HOOK, 8080, $mark), 'ECONNREFUSED',
    'the mark is what it takes');
is(hostile($w, ROOT, 'tcp', HOOK, 22, $mark), 'ECONNREFUSED',
    'for that port alone');
is(hostile($w, ROOT, 'tcp', EVIL, 8080, $mark), 'ECONNREFUSED',
    'and that address');
like(hostile($w, ROOT, 'udp', HOOK, 8080, 0, $mark),
    qr/^(ECONNREFUSED|EPERM)$/, 'and TCP');

# Connections of ours leave nothing to slip into: every source port that they
# have, or had, tried by another.
my @used = run_in($w->{sandbox}, 'conntrack', '-L', '-p', 'tcp', '-d', HOOK)
    =~ /sport=(\d+) dport=(?:8080|4318)/g;
cmp_ok(scalar @used, '>', 0, 'our connections have source ports');
my $before = received('hook');
my @slipped = grep { hostile($w, ROOT, 'hold', HOOK, 8080, 1, $_) =~
    /connected/ } @used[0 .. ($#used < 4 ? $#used : 4)];
is("@slipped", '', 'none of which is of use');

is(lookup('evil.test'), 'NXDOMAIN', 'another denied name');
ok(wait_for(sub { received('hook') > $before }), 'the webhook is told of it');
is(leaked($w), 0, 'no frame left for anywhere else');
is(stop($pid), 0, 'it ends well');
done_testing(53);
