# SPDX-License-Identifier: Apache-2.0
#
# A learned address is good for its lease, which goes on while a connection to
# the address lives: a client may keep the address and connect again. When the
# lease has ended new connections are refused until the name is resolved again,
# and those that were open live on, busy and idle ones.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

use constant LEASE => 30; # seconds

my $w = world();
my $dir = scratch();

watch_cable($w, allowed => [GOOD, GOOD6, '203.0.113.21']);
liar($w, { 'good.test' => { A => [['good.test', 0, 'A', GOOD]],
	AAAA => [['good.test', 0, 'AAAA', GOOD6]] },
	'other.test' => { A => [['other.test', 600, 'A', '203.0.113.21']] } });
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, GOOD6,
	'203.0.113.21'), 7, 600]);
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ });
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_LEASE_MIN => LEASE,
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test', 'other.test') });

sub lookup
{
	return (sees($w, 'dig', '+short', '+time=2', '+tries=1', '@10.88.0.1',
	    @_))[1];
}

is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'ECONNREFUSED',
    'before it is resolved an address is refused');
is(lookup('good.test'), GOOD . "\n", 'a name of TTL 0 is looked up');
is(lookup('good.test', 'AAAA'), GOOD6 . "\n", 'over IPv6 too');
is(lookup('other.test'), "203.0.113.21\n", 'another lives longer');
my @hold = (['busy', 'hold', GOOD], ['idle', 'idle', GOOD],
	['busy6', 'hold', GOOD6], ['other', 'hold', '203.0.113.21']);
my %child = map {
	($_->[0] => hostile_start($w, NOBODY, $_->[0], $_->[1], $_->[2], 7, 300))
} @hold;
ok(wait_for(sub { read_file("$dir/$_->[0].log") =~ /connected/ }),
    "$_->[0] is connected") for @hold;
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open', 'a new connection opens');

# While they live.
sleep LEASE + 10;
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
    'after the lease a new connection beside one that lives opens');
is(hostile($w, NOBODY, 'tcp', GOOD6, 7), 'open', 'over IPv6 too');
is(hostile($w, NOBODY, 'udp', GOOD, 7), 'open', 'and UDP');

# Nobody sees that they do.
my @sidecar = ($pid, split ' ', read_file("/proc/$pid/task/$pid/children"));
sub open_addresses { return grep { $_ eq GOOD || $_ eq GOOD6 } learned($w) }

kill 'STOP', @sidecar;
ok(wait_for(sub { !open_addresses() }, LEASE + 30), 'the lease ends');
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'ECONNREFUSED',
    'a new connection is refused');
is(hostile($w, NOBODY, 'tcp', GOOD6, 7), 'ECONNREFUSED', 'over IPv6 too');
is(hostile($w, NOBODY, 'udp', GOOD, 7), 'EPERM', 'and UDP');
is(hostile($w, NOBODY, 'tcp', '203.0.113.21', 7), 'open',
    'the other address opens');
is(read_file("$dir/$_->[0].log"), "connected\n", "$_->[0] lives on") for @hold;
kill 'CONT', @sidecar;
ok(wait_for(sub { open_addresses() == 2 }, 30),
    'seen again, they are leased again');
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open', 'a new connection opens');

# They end, one after the other.
stop($child{busy6});
ok(wait_for(sub { open_addresses() == 1 }, 2 * LEASE + 30),
    'the lease ends that no connection uses');
is(hostile($w, NOBODY, 'tcp', GOOD6, 7), 'ECONNREFUSED',
    'a new connection is refused');
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open', 'to the other it opens');
@hold = grep { $_->[0] ne 'busy6' } @hold;
is((api($w, 'PUT', '/policy', policy_of('good.test', 'other.test',
    'more.test')))[0], 200, 'the policy is changed elsewhere');
sleep 1;
is(read_file("$dir/$_->[0].log"), "connected\n", "$_->[0] lives on still")
    for @hold;
stop($child{$_}) for qw(busy idle);
ok(wait_for(sub { !open_addresses() }, 2 * LEASE + 30),
    'the last lease ends');
is((api($w, 'PUT', '/policy', policy_of('good.test', 'other.test')))[0], 200,
    'the policy is changed again');
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'ECONNREFUSED',
    'a new connection is refused still');
is(hostile($w, ROOT, 'lookalike', '10.88.0.5', GOOD, 7), 'EPERM',
    'so is one that loopback and a raw socket made look like an old one');
is(lookup('good.test'), GOOD . "\n", 'the name is resolved again');
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open', 'and a new connection opens');

is(leaked($w), 0, 'no packet left');
is(stop($pid), 0, 'the sidecar ends well');

done_testing();
