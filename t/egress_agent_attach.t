# SPDX-License-Identifier: Apache-2.0
#
# Attachments through the agent's own interface: many ids may share a
# namespace, which has one policy and is guarded until the last has gone.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 39;
use Agent;
use Harness;
use World;

my $dir = scratch();
my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1');
my $host = netns('host');
my ($one, $two) = map { netns($_) } qw(one two);
my $agent = agent($host, 'agent', \%env);

sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }
sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }
sub attach
{
	my ($id, $name, $ns, %o) = @_;
	return ask('PUT', "/v1/sandboxes/$id", { netns => $ns,
		attachment => $name, %o });
}
sub detach { (ask('DELETE', "/v1/sandboxes/$_[0]?attachment=$_[1]"))[0] }
sub in_force { join ' ', map { $_->{target} }
	@{ (ask('GET', "/v1/sandboxes/$_[0]"))[1]{policy}{egress} || [] } }

is((attach('a', 'n/eth0', $one, policy => policy('a.test')))[0], 201,
    'the first attachment');
is((attach('a', 'n/eth0', $one, policy => policy('b.test')))[0], 200,
    'alone it may have another policy');
is(in_force('a'), 'b.test', '  which is in force');
is((attach('b', 'n/eth0', $one))[0], 200, 'another id without a policy joins');
is(in_force('a'), 'b.test', '  and changes nothing');
is(in_force('b'), 'b.test', '  which is its policy as well');
my ($status, $body) = attach('c', 'n/eth0', $one, policy => policy('c.test'));
is($status, 409, 'one with another policy does not');
is($body->{field}, 'policy', '  and is told why');
is((attach('a', 'n/eth0', $one, policy => policy('c.test')))[0], 409,
    '  nor may the first one change what two share');
is((attach('c', 'n/eth0', $one, defaultPolicy => policy('c.test')))[0], 200,
    'a default gives way');
is((ask('PUT', '/v1/sandboxes/b', { netns => $one }))[0], 409,
    'by hand, the namespace is that of the first id');
is((ask('PUT', '/v1/sandboxes/a', { netns => $one,
	policy => policy('d.test') }))[0], 200, '  whose policy changes');
is(in_force('c'), 'd.test', '  for all');
is((attach('d', 'x', $one, policy => policy('d.test')))[0], 200,
    'whoever asks for the same joins');
is((ask('PATCH', '/v1/sandboxes/d/policy', [{ action => 'deny',
	target => 'e.test' }]))[0], 200, 'the policy of one that has joined');
is(in_force('a'), 'e.test d.test', '  is that of all');
is((attach('d', 'x', $one, policy => policy('d.test')))[0], 200,
    '  and to ask for the same again is no change');
is(in_force('a'), 'e.test d.test', '  at all');

is((ask('DELETE', '/v1/sandboxes/b'))[0], 409,
    'DELETE by hand of one that has joined: who is meant?');
is(detach('b', 'n/eth1'), 404, 'what is not attached');
is(detach('b', 'n/eth0'), 204, 'detached');
is(detach('b', 'n/eth0'), 404, '  once');
is((ask('GET', '/v1/sandboxes/b'))[0], 404, '  and not known any more');
is(detach('a', 'n/eth0'), 204, 'the first id leaves');
is(in_force('d'), 'e.test d.test', '  and the others are guarded');
kill 'KILL', -$agent;
kill_now($agent);
$agent = agent($host, 'next', \%env);
is(in_force('d'), 'e.test d.test', '  by the next agent too');

# The first id in another namespace, while others are in its old one.
is((attach('a', 'n/eth0', $two, policy => policy('a.test')))[0], 200,
    'the first id elsewhere');
ok(table($one) && table($two), '  what it left stays closed');
is(in_force('a'), 'a.test', '  and it has its own policy');

is((attach('e', 'x', $one, policy => policy('e.test')))[0], 201,
    'the namespace is nobody\'s then');
is((attach('f', 'x', $two, policy => policy('a.test')))[0], 200,
    'one joins the other namespace');
is((ask('PUT', '/v1/sandboxes/a', { netns => $one }))[0], 409,
    'by hand, an id of a namespace into that of another');
ok(table($two), '  frees nothing');
is(detach('e', 'x'), 204, 'the last one is detached');
is((ask('GET', '/v1/sandboxes/e'))[0], 404, '  and forgotten');
ok(table($one), '  and the namespace stays closed');
is((ask('PUT', '/v1/sandboxes/a', { netns => $one }))[0], 200,
    'an id moves by hand');
ok(table($two), '  where somebody else was attached nothing is freed');
is_deeply([map { $_->{id} } @{ (ask('GET', '/v1/sandboxes'))[1]{sandboxes} }],
    ['a'], '  and one is left');
stop($agent);
