#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Below the operator's NAT64 prefix the address inside is what counts: in
# answers, and for packets that no name led to.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use World;

use constant {
	PREFIX => '2001:db8:113::/96',
	GOOD64 => '2001:db8:113::cb00:7114', # 203.0.113.20
	EVIL64 => '2001:db8:113::cb00:7142', # 203.0.113.66
};

my @web = ('curl', '-g', '-s', '-m', '5', '-o', '/dev/null', '-w',
	'%{http_code}');
my $w = world();

addr($w->{internet}, 'eth0', GOOD64 . '/64', EVIL64 . '/64');
world_dns($w, '--address=/good.test/' . GOOD64,
    '--address=/evil.test/' . EVIL64,
    '--address=/meta.test/2001:db8:113::a9fe:a9fe',
    '--address=/lo.test/2001:db8:113::7f00:1',
    '--address=/inside.test/2001:db8:113::a58:1');
world_web($w, 'internet', GOOD64, 80, 'good');
world_web($w, 'internet', EVIL64, 80, 'evil');

sub answer
{
	my (undef, $out) = sees($w, 'dig', '+short', '+time=2', '+tries=1',
	    '@10.88.0.1', $_[0], 'AAAA');
	chomp $out;
	return $out;
}

sub opens { return (sees($w, @web, "http://[$_[0]]/"))[1] eq '200' }

my $rules = '{"defaultAction":"allow","egress":['
    . '{"action":"deny","target":"203.0.113.64/27"}]}';
my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES => $rules });
ok(opens(EVIL64), 'without the option the IPv4 rule says nothing');
is(answer('meta.test'), '2001:db8:113::a9fe:a9fe', '  nor of answers');
is(stop($pid), 0, '  it ends well');

$pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES => $rules,
	OPENSANDBOX_EGRESS_NAT64_PREFIX => PREFIX });
ok(opens(GOOD64), 'an address that no rule denies opens');
ok(!opens(EVIL64), 'one that is denied inside is refused');
is(answer('good.test'), GOOD64, 'the answer to an allowed name');
is(answer('evil.test'), '', 'cut: denied inside');
is(answer('meta.test'), '', 'cut: the metadata service inside');
is(answer('lo.test'), '', 'cut: loopback inside');
is(answer('inside.test'), '', 'cut: private inside');

is((api($w, 'PUT', '/policy', { egress => [
	{ action => 'allow', target => '203.0.113.0/26' }] }))[0], 200,
    'only a range is allowed');
ok(opens(GOOD64), '  what is of it inside opens');
ok(!opens(EVIL64), '  what is not is refused');
is(stop($pid), 0, 'it ends well');

done_testing();
