#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What an allowed name's CNAME and SRV records lead to is answered when it is
# asked for by itself, and its addresses are let in as those of that name.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use Hostile ();
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $w = world();

dns_zone($w, "_mongodb._tcp.db SRV 0 0 80 shard-0.net\n"
    . "shard-0.net A @{[GOOD]}\nshard-1.net A @{[EVIL]}\n"
    . "www CNAME edge.cdn\nedge.cdn A @{[GOOD]}\nbad CNAME evil.cdn\n"
    . "evil.cdn A @{[EVIL]}\n");
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
my @start = (env => { OPENSANDBOX_EGRESS_RULES => Hostile::policy_of() });
my $pid = sidecar($w, @start);

sub asks { return (sees($w, 'dig', '+short', '+time=2', '+tries=1',
	'@10.88.0.1', @_))[1] }

sub opens { return (sees($w, @web, "http://$_[0]/"))[1] eq '200' }

sub policy
{
	is((api($w, 'PUT', '/policy', { egress => [map { { action => $_->[0],
		target => "$_->[1].test" } } @_] }))[0], 200,
	    'policy ' . join ', ', map { "@$_" } @_);
}

policy([qw(allow db)], [qw(allow www)], [qw(allow bad)], [qw(deny evil.cdn)]);
is(asks('shard-0.net.test'), '', 'before the SRV question: denied');
is(asks('edge.cdn.test'), '', 'before the alias: denied');
is(asks('_mongodb._tcp.db.test', 'SRV'), "0 0 80 shard-0.net.test.\n",
    'a service of an allowed host');
is(asks('shard-0.net.test'), GOOD . "\n", '  its server');
ok(opens(GOOD), '  which opens');
is(asks('shard-1.net.test'), '', '  and no other');
like(asks('www.test'), qr/^edge\.cdn\.test\.\n/, 'an alias');
is(asks('edge.cdn.test'), GOOD . "\n", '  its target');
like(asks('bad.test', 'CNAME'), qr/^evil\.cdn\.test\./,
    'an alias of a denied name');
is(asks('evil.cdn.test'), '', '  which stays denied');
is(counted($w, 'evil'), 0, '  and no packet reached it');

policy([qw(allow other)]);
is(asks('shard-0.net.test'), '', 'a policy that denies the name: the server');
is(asks('edge.cdn.test'), '', '  and the target are denied');
ok(!opens(GOOD), '  and closed');

is(stop($pid), 0, 'the sidecar ends well');
$pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES =>
	Hostile::policy_of('db.test', 'www.test'),
	OPENSANDBOX_EGRESS_FOLLOW => 'false' });
is(asks('_mongodb._tcp.db.test', 'SRV'), '',
    'not to follow: the service is denied');
like(asks('www.test'), qr/^edge\.cdn\.test\.\n/, '  the alias is not');
is(asks('edge.cdn.test'), '', '  its target is');

done_testing();
