# SPDX-License-Identifier: Apache-2.0
#
# The policy of a sandbox that is attached already changes by PATCH, by the id
# of its container or its pod's uid, wherever it is. Taken away, the default
# counts that it was attached with, over restarts; a bad one changes nothing.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 45;
use Agent;
use Harness;

my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1');
my $host = netns('host');
my ($one, $two) = map { netns($_) } qw(one two);
my $uid = '0f8fad5b-d9cb-469f-a165-70867728950e';
my $agent = agent($host, 'agent', \%env);

sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }
sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }
sub put { ask('PUT', "/v1/sandboxes/$_[0]", $_[1]) }
sub patch { ask('PATCH', "/v1/sandboxes/$_[0]", $_[1]) }
sub targets { join ' ', map { $_->{target} } @{ $_[0]{policy}{egress} || [] } }
sub in_force { targets((ask('GET', "/v1/sandboxes/$_[0]"))[1]) }

my ($status, $body) = patch('pod-1', { policy => policy('b.test') });
is($status, 404, 'who is not attached');
is($body->{code}, 'not_found', '  is told so');
is((put('pod-1', { netns => $one, attachment => 'net/eth0', pod => $uid,
	policy => policy('a.test'), defaultPolicy => policy('else.test') }))[0],
    201, 'attached, with its own policy and a default');
is(in_force('pod-1'), 'a.test', '  its own counts');
is((ask('GET', '/v1/sandboxes/pod-1'))[1]{pod}, $uid, '  its pod is shown');
is(in_force($uid), 'a.test', '  and is as good as its id');

($status, $body) = patch($uid, { policy => policy('b.test') });
is($status, 200, 'another policy, by its pod\'s uid');
is($body->{id}, 'pod-1', '  is answered with the sandbox');
is(targets($body), 'b.test', '  and its policy');
is(in_force('pod-1'), 'b.test', '  which is in force');
is((patch('POD-1', { policy => policy('c.test') }))[0], 200,
    'and by its id, in any case');
is(in_force('pod-1'), 'c.test', '  too');

for my $case (
	['{', 400, undef, 'no JSON'],
	['[]', 400, undef, 'no object'],
	['{}', 400, 'policy', 'no policy'],
	['{"policy":7}', 400, 'policy', 'a number'],
	['{"policy":{"egress":[{"action":"allow","target":"a b"}]}}', 400,
		'policy', 'a bad target'],
	[qq({"policy":{},"netns":"$two"}), 400, undef, 'a place'],
) {
	my ($text, $want, $field, $name) = @$case;
	($status, $body) = patch('pod-1', $text);
	is_deeply([$status, $body->{field}], [$want, $field], "$name: $want");
}
is(in_force('pod-1'), 'c.test', 'none of them changed anything');

# Who joins is asked for the policy that the container came with.
is((put('pod-1', { netns => $one, attachment => 'net/net1', pod => $uid,
	policy => policy('a.test'), defaultPolicy => policy('x.test') }))[0], 200,
    'a second interface, with what the runtime was told at first');
is(in_force('pod-1'), 'c.test', '  joins, and what is in force stays');

kill 'KILL', -$agent;
kill_now($agent);
$agent = agent($host, 'second', \%env);
is(in_force($uid), 'c.test', 'the next agent knows policy and pod');

is((patch($uid, { policy => undef }))[0], 200, 'the policy is taken away');
is(in_force('pod-1'), 'else.test', '  and the first default counts');
is((patch($uid, { policy => {} }))[0], 200, 'an empty policy');
is(in_force('pod-1'), '', '  denies all');
ok(table($one), '  and is closed');

# Without a default it is: deny all.
is((put('two', { netns => $two, policy => policy('a.test') }))[0], 201,
    'by hand, without a default');
is((patch('two', { policy => undef }))[0], 200, '  its policy is taken away');
is_deeply([in_force('two'), (ask('GET', '/v1/sandboxes/two'))[1]{mode}],
    ['', 'deny_all'], '  which denies all');
ok(table($two), '  and opens nothing');

is((put('two', { netns => $two, pod => $uid, policy => policy('a.test'),
	defaultPolicy => policy('two.test') }))[0], 200, 'a default later');
is((put('two', { netns => $two, pod => $uid, policy => policy('a.test'),
	defaultPolicy => [] }))[0], 400, '  a bad one is refused');
is((patch($uid, { policy => policy('both.test') }))[0], 200,
    'two namespaces of one pod');
is_deeply([in_force('pod-1'), in_force('two')], ['both.test', 'both.test'],
    '  get the policy both');
is((patch($uid, { policy => undef }))[0], 200, '  and lose it');
is_deeply([in_force('pod-1'), in_force('two')], ['else.test', 'two.test'],
    '  each to its own default');

# A sandbox that follows a URL has its policy there.
is((put('two', { netns => $two, policyUrl => 'http://127.0.0.1:9/p' }))[0],
    200, 'one that follows a URL');
($status, $body) = patch('two', { policy => policy('a.test') });
is_deeply([$status, $body->{field}], [409, 'policy'], '  has its policy there');

# Gone, it opens nothing, and its default goes with it.
is((ask('DELETE', '/v1/sandboxes/pod-1?attachment=net/eth0'))[0], 204,
    'an interface is detached');
is((ask('DELETE', '/v1/sandboxes/pod-1?attachment=net/net1'))[0], 204,
    '  and the other one');
ok(table($one), '  which opens nothing');
is((patch('pod-1', { policy => policy('a.test') }))[0], 404,
    '  and is not known any more');
is_deeply([glob(agent_state() . '/pod-1.*')], [], '  nor on the disk');
is((put('pod-1', { netns => $one, policy => policy('a.test') }))[0], 201,
    'attached anew');
stop($agent);
