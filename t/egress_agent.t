# SPDX-License-Identifier: Apache-2.0
#
# One agent guards many sandboxes: each is closed before PUT is answered, kept
# over a restart, and let go only on DELETE.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $dir = scratch() . '/agent';
my $socket = agent_socket();
my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER);
my $json = JSON::PP->new->canonical;

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
my @others = map { netns("other$_") } 1 .. 3;

sub policy { { defaultAction => 'deny',
	egress => [map { { action => 'allow', target => $_ } } @_] } }

sub table
{
	my ($ns) = @_;
	return run_in($ns, 'nft', 'list', 'tables') =~ /inet opensandbox/;
}

sub opens { (sees($w, @web, "http://$_[0]/"))[1] eq '200' }

my $pid = agent($w->{host}, 'agent', \%env);
is(sprintf('%o', (stat $socket)[2] & 07777), '600',
    'the socket is for root alone');
is_deeply([ask('GET', '/v1/sandboxes')], [200, { sandboxes => [] }],
    'no sandboxes at first');
ok(opens(EVIL), 'the sandbox is open before');

my ($status, $body) = ask('PUT', '/v1/sandboxes/SB-1',
    { netns => $w->{sandbox}, policy => policy('good.test') });
is($status, 201, 'PUT makes a sandbox');
ok(!opens(EVIL), '  which is closed');
ok(opens('good.test'), '  but for what its policy allows');
is($body->{id}, 'sb-1', '  its id in lower case');
is($body->{state}, 'guarded', '  its state');
is($body->{mode}, 'enforcing', '  its mode');
is($body->{netns}, $w->{sandbox}, '  where it is');
is_deeply($body->{policy}, policy('good.test'), '  its policy');
($status, $body) = ask('GET', '/v1/sandboxes/sb-1');
is($status, 200, 'GET shows it');
cmp_ok($body->{counts}{'dns.queries'}, '>', 0, '  with its counts');

for my $i (0 .. 2) {
	is((ask('PUT', "/v1/sandboxes/other-$i", { netns =>
		"/run/netns/$others[$i]" }))[0], 201, "another, $i, by path");
	ok(table($others[$i]), '  is closed');
}
($status, $body) = ask('GET', '/v1/sandboxes');
is_deeply([map { $_->{id} } @{ $body->{sandboxes} }],
    [qw(other-0 other-1 other-2 sb-1)], 'the list, by id');
($status, $body) = ask('GET', '/v1/sandboxes?limit=3');
is_deeply([scalar @{ $body->{sandboxes} }, $body->{next}], [3, 'other-2'],
    'a part of it');
($status, $body) = ask('GET', '/v1/sandboxes?limit=3&after=other-2');
is_deeply([[map { $_->{id} } @{ $body->{sandboxes} }], $body->{next}],
    [['sb-1'], undef], '  and the rest');

# Its policy
($status, $body) = ask('PUT', '/v1/sandboxes/sb-1',
    { netns => $w->{sandbox}, policy => policy('evil.test') });
is($status, 200, 'PUT again replaces the policy');
ok(opens('evil.test') && !opens('good.test'), '  at once');
($status, $body) = ask('PATCH', '/v1/sandboxes/sb-1/policy',
    [{ action => 'allow', target => 'good.test' }]);
is($status, 200, 'PATCH .../policy, as in the sidecar');
is($body->{status}, 'ok', '  is answered as in the sidecar');
ok(opens('good.test') && opens('evil.test'), '  and in force');
is((ask('DELETE', '/v1/sandboxes/sb-1/policy', '["evil.test"]'))[0], 200,
    'DELETE .../policy');
is((ask('POST', '/v1/sandboxes/sb-1/policy', '{"egress":['))[0], 400,
    'a bad one is refused');
is_deeply((ask('GET', '/v1/sandboxes/sb-1/policy'))[1]{policy},
    policy('good.test'), '  and the old one stays');
is((ask('GET', '/v1/sandboxes/other-0/policy'))[1]{mode}, 'deny_all',
    'other sandboxes have their own');

# Mistakes
for my $case (
	['PUT', '/v1/sandboxes/x', '{', 400, undef, 'no JSON'],
	['PUT', '/v1/sandboxes/x', '{}', 400, 'netns', 'no place'],
	['PUT', '/v1/sandboxes/x', '{"netns":"nowhere"}', 400, 'netns',
		'a namespace that is not there'],
	['PUT', '/v1/sandboxes/x', '{"netns":"/etc/passwd"}', 400, 'netns',
		'a file that is none'],
	['PUT', '/v1/sandboxes/x', '{"pid":999999999}', 400, 'pid',
		'a process that is not there'],
	['PUT', '/v1/sandboxes/x', qq({"netns":"$others[0]","polices":{}}), 400,
		undef, 'an unknown key'],
	['PUT', '/v1/sandboxes/x', qq({"netns":"$w->{sandbox}"}), 409, undef,
		'a namespace that is guarded already'],
	['PUT', '/v1/sandboxes/x', qq({"netns":"$w->{host}"}), 400, 'netns',
		'the agent\'s own namespace'],
	['PUT', '/v1/sandboxes/x_y', '{}', 400, 'id', 'a bad id'],
	['PUT', '/v1/sandboxes/' . 'x' x 64, '{}', 400, 'id', 'a long id'],
	['GET', '/v1/sandboxes?limit=0', undef, 400, 'limit', 'a bad limit'],
	['GET', '/v1/sandboxes/x', undef, 404, undef, 'an unknown sandbox'],
	['DELETE', '/v1/sandboxes/x', undef, 404, undef, 'deleting it'],
	['GET', '/v1/sandboxes/x/policy', undef, 404, undef, 'its policy'],
	['GET', '/v1/sandboxes/sb-1/nothing', undef, 404, undef,
		'something below one'],
	['GET', '/v1', undef, 404, undef, 'something above'],
) {
	my ($method, $path, $text, $want, $field, $name) = @$case;
	($status, $body) = ask($method, $path, $text);
	is($status, $want, "$name: $want");
	ok(ref $body && $body->{code} && $body->{message},
	    "  in JSON: " . (ref $body ? $body->{message} : $body));
	is(ref $body ? $body->{field} : 'no JSON', $field, '  names the field');
}
for my $path ('/v1/sandboxes', '/v1/sandboxes/sb-1') {
	($status, $body) = ask('POST', $path, '{}');
	is($status, 405, "POST to $path: 405");
	is(ref $body && $body->{code}, 'method_not_allowed', '  in JSON');
}
ok(opens('good.test') && !opens(EVIL), 'none of them changed anything');
is(scalar @{ (ask('GET', '/v1/sandboxes'))[1]{sandboxes} }, 4,
    '  nor made a sandbox');

($status, $body) = ask('GET', '/metrics');
like($body, qr/^egress_policy_denied_total\{sandbox_id="sb-1"\} \d+$/m,
    '/metrics has each sandbox');
like($body, qr/^egress_policy_denied_total\{sandbox_id="other-1"\} 0$/m,
    '  by its id');
my $counts = (ask('GET', '/v1/sandboxes/sb-1'))[1]{counts};
like($body,
    qr/^egress_dns_queries_total\{sandbox_id="sb-1"\} $counts->{'dns.queries'}$/m,
    '  and what its counts say');

# A restart, gentle or not
is(stop($pid), 0, 'SIGTERM ends it');
ok(!opens(EVIL), 'the sandbox stays closed meanwhile');
$pid = agent($w->{host}, 'second', \%env);
is(scalar @{ (ask('GET', '/v1/sandboxes'))[1]{sandboxes} }, 4,
    'the next agent guards them all again');
ok(opens('good.test') && !opens(EVIL), '  under their last policies');
my ($worker) = split ' ', (capture('pgrep', '-P', $pid))[1];
kill 'KILL', $worker;
ok(wait_for(sub { (ask('GET', '/v1/sandboxes/sb-1'))[0] == 200 }),
    'a worker that is killed is replaced');
ok(wait_for(sub { opens('good.test') }), '  and the sandbox served');
ok(!opens(EVIL), '  and closed');

# Sandboxes that go
run('ip', 'netns', 'del', $others[0]);
ok(wait_for(sub { (ask('GET', '/v1/sandboxes/other-0'))[0] == 404 }),
    'a namespace that is deleted is forgotten');
my $process = start(name => 'process', cmd => ['unshare', '-n', 'sleep', '60']);
wait_for(sub { readlink("/proc/$process/ns/net") ne readlink('/proc/self/ns/net') });
is((ask('PUT', '/v1/sandboxes/process', { pid => $process }))[0], 201,
    'a sandbox by process');
kill_now($process);
ok(wait_for(sub { (ask('GET', '/v1/sandboxes/process'))[0] == 404 }),
    '  is forgotten with it');

# One whose process ends while others live on in its namespace stays closed.
$process = start(name => 'first', netns => $others[1],
	cmd => ['sleep', '60']);
wait_for(sub { readlink("/proc/$process/ns/net") ne readlink('/proc/self/ns/net') });
is((ask('DELETE', '/v1/sandboxes/other-1'))[0], 204, 'DELETE');
ok(!table($others[1]), '  sets a sandbox free');
is((ask('GET', '/v1/sandboxes/other-1'))[0], 404, '  and it is gone');
is((ask('PUT', '/v1/sandboxes/other-1', { pid => $process }))[0], 201,
    'again, by process');
kill_now($process);
ok(wait_for(sub { (ask('GET', '/v1/sandboxes/other-1'))[0] == 404 }),
    '  which ends');
ok(table($others[1]), '  but its namespace stays closed');

# Another namespace under the same id
is((ask('PUT', '/v1/sandboxes/other-2', { netns => $others[1] }))[0], 200,
    'a sandbox moves');
ok(!table($others[2]), '  its old namespace is free');
ok(table($others[1]), '  its new one closed');

is((ask('DELETE', '/v1/sandboxes/sb-1'))[0], 204, 'DELETE of the first');
ok(opens(EVIL), '  sets it free');
is_deeply([map { s{.*/}{}r } glob "$dir/state/*"],
    [qw(other-2.place other-2.policy)], 'the folder holds what is left');

# Two agents on one socket
($status, $body) = capture('timeout', '10', 'ip', 'netns', 'exec', $w->{host},
    'env', 'OPENSANDBOX_EGRESS_DNS_UPSTREAM=' . RESOLVER,
    build_dir() . '/egress-sidecar', '--agent', '--agent-socket', $socket,
    '--agent-state', "$dir/state2");
like($body, qr/\A\S+: OPENSANDBOX_EGRESS_AGENT_SOCKET: \Q$socket\E: .*in use\n\z/,
    'a second agent on the same socket says so, in one line');
isnt($status, 0, '  and does not start');
is((ask('GET', '/healthz'))[0], 200, '  and the first serves on');
is(stop($pid), 0, 'it ends');

done_testing();
