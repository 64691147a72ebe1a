# SPDX-License-Identifier: Apache-2.0
#
# egress-sidecar status says what has happened: denied names are counted by the
# minute, leases, resolvers, the gate; of a sidecar and of an agent. Its exit
# status tells what is in force, refused, used wrongly or not to be reached.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

my $program = build_dir() . '/egress-sidecar';
my $w = world();
my $port = free_port();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');

# egress-sidecar status, on the host: (exit status, output and errors).
sub status
{
	return capture('ip', 'netns', 'exec', $w->{host}, $program, 'status', @_);
}

sub said
{
	my ($code, $out) = status(@_, '--json');
	my ($line) = $out =~ /\A(\{.*\})\n\z/ or diag $out;
	return $line ? decode_json($line) : {};
}

my $token = scratch() . '/token';
write_file($token, "change-me\n");
my $pid = start(name => 'one', netns => $w->{host}, cmd => [$program, '--netns',
	$w->{sandbox}], env => { OPENSANDBOX_EGRESS_HTTP_ADDR => ":$port",
	OPENSANDBOX_EGRESS_TOKEN_FILE => $token,
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
	OPENSANDBOX_EGRESS_GATE => 'names',
	OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
	OPENSANDBOX_EGRESS_RULES =>
	    '{"egress":[{"action":"allow","target":"good.test"}]}' });
my @to = ('--url', "127.0.0.1:$port", '--token-file', $token);
wait_for(sub { (status(@to))[0] == 0 }, 20)
    or die read_file(scratch() . '/one.log');

my $s = said(@to);
is($s->{deniedLastMinute}{names}, 0, 'nothing was denied yet');
is_deeply([@$s{qw(id mode enforcementMode health rules leases)}],
    ['sb-1', 'enforcing', 'dns+nft', 'ok', 1, 0], 'one rule, no lease');
is($s->{kernel}{features}{'conntrack-zones'}, JSON::PP::true,
    'the gate has the zones that it needs');

sees($w, 'dig', '+short', '+tries=1', "$_.evil.test") for qw(a b c);
sees($w, 'dig', '+short', '+tries=1', 'a.evil.test');
sees($w, 'curl', '-s', '-m', '5', 'http://good.test/');
sees($w, 'curl', '-s', '-m', '5', '-H', 'Host: other.test',
    '--resolve', 'x.test:80:' . GOOD, 'http://x.test/');
$s = said(@to);
is($s->{deniedLastMinute}{names}, 4, 'four questions were denied');
is($s->{deniedLastMinute}{connections}, 1,
    'and a connection that gave another name');
is_deeply([map { "$_->{name} $_->{count}" } @{ $s->{deniedLastMinute}{latest} }],
    ['other.test 1', 'a.evil.test 2', 'c.evil.test 1', 'b.evil.test 1'],
    'by name, the last one first');
is($s->{gate}{refused}, 1, 'the gate refused it');
is($s->{gate}{allowed}, 1, 'and let one on');
cmp_ok($s->{leases}, '>', 0, 'the allowed name has a lease');
is_deeply([map { "$_->{address} $_->{state}" } @{ $s->{resolvers} }],
    [RESOLVER . ':53 up'], 'the resolver answers');

my ($code, $out) = status(@to);
is($code, 0, 'all is in force');
like($out, qr/^sandbox    sb-1$/m, 'in words: the sandbox');
like($out, qr/^policy     enforcing, dns\+nft, rules 1$/m, 'its policy');
like($out, qr/^denied     names 4, connections 1, packets \d+ \(in the last minute\)$/m, 'what was denied');
like($out, qr/^ +a\.evil\.test \(2, last /m, 'by name');
like($out, qr/^gate       ports 443,80: \d open, 1 allowed, 1 refused/m, 'the gate');

# A name with an escape sequence in it is a name.
sees($w, 'dig', '+short', '+tries=1', '\027[31mred.evil.test');
($code, $out) = status(@to);
like($out, qr/red\.evil\.test/, 'a name with control characters is shown');
unlike($out, qr/[^\n\x20-\x7e]/, 'but none of them');
($code, $out) = status(@to, '--json');
unlike($out, qr/[^\n\x20-\x7e]/, 'nor in JSON');

# What it cannot do
($code, $out) = status('--url', "127.0.0.1:$port");
is($code, 1, 'without the token: refused');
like($out, qr{^egress-sidecar status: http://127\.0\.0\.1:$port: 401 }, 'and by whom');
is((status(@to, 'sb-2'))[0], 1, 'another sandbox is not guarded there');
is((status(@to, 'sb-1'))[0], 0, 'this one is');
for (['--bogus'], ['a/b'], ['a', 'b'], ['--url', 'no'], ['--socket', 'no'],
    ['--token-file', '/nonexistent']) {
	is((status(@$_))[0], 2, "wrong usage: @$_");
}
($code, $out) = status('--url', 'http://127.0.0.1:' . free_port());
is($code, 3, 'nobody there');
like($out, qr/connect/i, 'is said');
is((status('--socket', scratch() . '/none.sock'))[0], 3, 'nor on a socket');

# Somebody takes the rules away again and again.
my $thief = start(name => 'thief', netns => $w->{sandbox}, cmd => ['sh', '-c',
	'while :; do nft delete table inet opensandbox; done 2>/dev/null']);
ok(wait_for(sub {
	($code, $out) = status(@to);
	return $code == 1;
}, 60), 'rules that are gone are an exit status of their own');
stop($thief);
like($out, qr/^health     lost: \S/m, 'in words');
ok(wait_for(sub { (status(@to))[0] == 0 }, 30), 'they come back');
stop($pid);

# The agent: a line each, or all of one.
my @ns = map { netns($_) } qw(b c);
agent($w->{host}, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
my @agent = ('--socket', agent_socket());
($code, $out) = status(@agent);
is("$code $out", "0 no sandbox is guarded\n", 'an agent without sandboxes');
my $policy = { egress => [{ action => 'allow', target => 'good.test' }] };
ask('PUT', "/v1/sandboxes/$_->[0]", { netns => $_->[1], policy => $policy })
    for ['sb-a', $w->{sandbox}], ['sb-b', $ns[0]], ['sb-c', $ns[1]];
sees($w, 'dig', '+short', '+tries=1', "$_.evil.test") for 1 .. 3;
($code, $out) = status(@agent);
is($code, 0, 'an agent with three');
like($out, qr/^ID +POLICY +HEALTH/, 'has a table');
like($out, qr/^sb-a +enforcing +ok +1 +0 +\d+ +3$/m, 'in which three were denied');
like($out, qr/^sb-c +enforcing +ok +1 +0 +0 +0$/m, 'and to another none');
($code, $out) = status(@agent, 'sb-a');
like($out, qr/^sandbox    sb-a\n(?:.*\n)*denied     names 3,/m, 'one of them in whole');
like($out, qr/^gate       off$/m, 'without a gate');
($code, $out) = status(@agent, 'sb-x');
is($code, 1, 'none of that name');
like($out, qr/404 no sandbox sb-x/, 'is said');
my ($http) = ask('POST', '/v1/sandboxes/sb-a/status', {});
is($http, 405, 'a status is only read');

done_testing();
