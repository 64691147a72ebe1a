# SPDX-License-Identifier: Apache-2.0
#
# A name is let on to an address that it leads to, not to one that it led to: an
# address that has become another name's is closed to it, while one that its
# connections use goes on. And a hello that comes an octet a second is not
# waited for.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use GateHostile;
use GateWorld;
use Harness;
use Hostile;
use Test::More;
use World;

use constant LEASE => 30; # seconds, the least

my $w;

sub said
{
	my ($name, $type, $address) = @_;
	return $address ? ($type => [[$name, 0, $type, $address]]) : ();
}

sub leads
{
	my ($good, $fine) = @_;
	return { 'good.test' => { said('good.test', 'A', $good),
		said('good.test', 'AAAA', GOOD6) },
	    'fine.test' => { said('fine.test', 'A', $fine) } };
}

sub look_up
{
	return (sees($w, 'dig', '+short', '+time=2', '+tries=1', '@10.88.0.1',
	    @_))[1] =~ s/\n//r;
}

$w = hostile_world(far => [TENANT],
	dns => sub { liar($_[0], leads(GOOD, TENANT)) });
my $pid = gate_start($w, 'join', allow('good.test', 'fine.test'),
	env => { OPENSANDBOX_EGRESS_LEASE_MIN => LEASE });

is(look_up('good.test', 'A'), GOOD, 'good.test leads to an address');
is(look_up('good.test', 'AAAA'), GOOD6, '  and to one of IPv6');
is(look_up('fine.test', 'A'), TENANT, 'fine.test to another');
is(clear_request($w, 'good.test', GOOD), 'HTTP good.test', 'good.test opens');
is(clear_request($w, 'fine.test', GOOD), 'reset',
    'fine.test at its address is reset');
is(clear_request($w, 'fine.test', TENANT), 'HTTP fine.test',
    '  and opens at its own');

my $held = holder($w, 'hold', GOOD6, 80);
is(talk($held), 'HTTP good.test', 'a connection over IPv6 is held');
quiet($w);
my $before = refusals($w, 0);
my $had = frames($w);
my $late = holder($w, 'drip', GOOD, 443);
is(talk($late), 'dripping', 'a hello comes an octet a second');
is(talk($late, 'wait'), 'reset', '  it is reset before it is whole');
is(frames($w)->{every} - $had->{every}, 0, '  and nothing left');
is_deeply([refusals($w, $before)], ['no_name -'], '  and the log says why');
quit_attacker($late);

# The addresses change their names.
lies(leads(TENANT, GOOD));
ok(wait_for(sub { look_up('fine.test', 'A') eq GOOD }, LEASE + 10),
    'fine.test leads to the first now');
is(look_up('good.test', 'A'), TENANT, '  and good.test to the other');
is(clear_request($w, 'fine.test', GOOD), 'HTTP fine.test', 'fine.test opens there');
my $got;
ok(wait_for(sub {
	look_up('fine.test', 'A');
	select undef, undef, undef, 1;
	$before = refusals($w, 0);
	far_mark();
	$got = clear_request($w, 'good.test', GOOD);
	return $got eq 'reset';
}, 2 * LEASE), 'good.test is refused there when its lease has ended') or diag $got;
is(join(' ', far()), '0 ', '  the server is given nothing');
is_deeply([refusals($w, $before)], ['sni_mismatch good.test'],
    '  and the log says why');
is(clear_request($w, 'fine.test', GOOD), 'HTTP fine.test', 'fine.test still opens');
is(clear_request($w, 'good.test', TENANT), 'HTTP good.test',
    'and good.test at its new one');

# The lease of IPv6 is as old, but in use.
is(talk($held, 'say'), 'HTTP good.test', 'the connection that is held lives');
is(clear_request($w, 'good.test', GOOD6), 'HTTP good.test',
    '  beside it a new one opens');
is(clear_request($w, 'other.test', GOOD6), 'reset', '  and none of another name');
quit_attacker($held);
is(stop($pid), 0, 'the sidecar ends well');

done_testing();
