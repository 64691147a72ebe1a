# SPDX-License-Identifier: Apache-2.0
#
# egress-sidecar policy: what hands at a prompt change is in force when it
# returns, it says what has changed, and its exit status tells a refusal from
# wrong usage and from nobody there; of a sidecar and of an agent.

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
my $dir = scratch();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
write_file("$dir/token", "change-me\n");
start(name => 'sidecar', netns => $w->{host},
	cmd => [$program, '--netns', $w->{sandbox}],
	env => { OPENSANDBOX_EGRESS_HTTP_ADDR => "127.0.0.1:$port",
		OPENSANDBOX_EGRESS_TOKEN_FILE => "$dir/token",
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });

# egress-sidecar policy on the host, as the sidecar's own variables have it:
# (exit status, standard output, standard error).
my @env = ("OPENSANDBOX_EGRESS_HTTP_ADDR=127.0.0.1:$port",
	"OPENSANDBOX_EGRESS_TOKEN_FILE=$dir/token");
sub policy
{
	my ($code, $out) = capture('sh', '-c', 'exec "$@" 2>"$0"', "$dir/said",
	    'ip', 'netns', 'exec', $w->{host}, 'env', @env, $program, 'policy', @_);
	return ($code, $out, read_file("$dir/said"));
}

sub reaches
{
	my ($name) = @_;
	return (sees($w, 'curl', '-sf', '-m', '5', '-o', '/dev/null',
		"http://$name/"))[0] == 0;
}

wait_for(sub { (policy('get'))[0] == 0 }, 20) or die read_file("$dir/sidecar.log");
my ($code, $out, $said) = policy('get');
is_deeply(decode_json($out), { defaultAction => 'deny', egress => [] },
    'get: the policy, as set takes it');
ok(!reaches('good.test'), 'which denies');

($code, $out, $said) = policy('allow', 'good.test', '*.pypi.org');
is("$code $out", "0 + allow good.test\n+ allow *.pypi.org\n", 'allow says what is new');
is($said, '', 'and no warning');
ok(reaches('good.test'), 'it is in force at once');
($code, $out) = policy('allow', 'good.test');
is("$code $out", "0 nothing changed\n", 'allow again');
($code, $out) = policy('allow', '*.pypi.org');
is("$code $out", "0 the same rules in another order, or other limits or hosts\n",
    'another one again goes before it');
($code, $out) = policy('deny', 'good.test');
is("$code $out", "0 - allow good.test\n+ deny good.test\n", 'deny takes its place');
ok(!reaches('good.test'), 'in force, too');
($code, $out) = policy('remove', 'good.test', 'unknown.test');
is("$code $out", "0 - deny good.test\n", 'remove');
($code, $out) = policy('remove', 'unknown.test');
is("$code $out", "0 nothing changed\n", 'nothing to be removed');

write_file("$dir/policy.json",
    '{"defaultAction":"allow","egress":[{"action":"deny","target":"evil.test"}],"typo":1}');
($code, $out, $said) = policy('set', "$dir/policy.json");
is("$code $out", "0 default: deny -> allow\n- allow *.pypi.org\n+ deny evil.test\n",
    'set replaces');
like($said, qr/^warning: .*typo/, 'with its warnings');
(undef, my $got) = policy('get');
write_file("$dir/got.json", $got);
($code, $out) = capture('sh', '-c', 'ip netns exec "$@" policy set - <"$0"',
    "$dir/got.json", $w->{host}, 'env', @env, $program);
is("$code $out", "0 nothing changed\n", 'what get gave, set takes, from standard input');
($code, $out) = policy('allow', 'a.test', '--json');
my $answer = eval { decode_json($out) } || {};
is("$code $answer->{status} $answer->{mode} $answer->{policy}{egress}[0]{target}",
    '0 ok enforcing a.test', '--json: the API\'s answer');

# What it cannot do
for (['policy', 'get'], ['policy', 'get', '--json'], ['status'], ['top', '--once']) {
	(undef, $said) = capture('sh', '-c', 'ip netns exec "$@" >/dev/full; echo "exit $?" >&2',
	    'sh', $w->{host}, 'env', @env, $program, @$_);
	like($said, qr/: standard output: No space left on device\nexit 1\n/, "@$_ that cannot be written");
}
write_file("$dir/bad.json", '{"egress":[{"action":"allow","target":"a_b c"}]}');
($code, $out, $said) = policy('set', "$dir/bad.json");
is("$code $out", '1 ', 'an invalid policy is refused');
like($said, qr{^egress-sidecar policy: http://127\.0\.0\.1:$port: 400 invalid policy: egress\[0\]},
    'and says which rule of it, and who');
($code, undef, $said) = policy('allow', '10.0.0.0/99');
is($code, 1, 'so is a target');
like($said, qr/400 .*10\.0\.0\.0/, 'which is named');
($code, undef, $said) = policy('allow', "\e[31m.test");
is($code, 1, 'one of control characters');
unlike($said, qr/[^\n\x20-\x7e]/, 'which are not printed');
write_file("$dir/large.json", ' ' x (2 << 20));
is((policy('set', "$dir/large.json"))[0], 1, 'one that is too large');
($code, undef, $said) = policy('get', '--token-file', "$dir/policy.json");
is($code, 1, 'a wrong token');
like($said, qr/ 401 unauthorized/, 'is unauthorized');
for ([], ['give'], ['get', 'a'], ['set'], ['set', 'a', 'b'], ['allow'],
    ['set', '/nonexistent'], ['get', '--url', '::'], ['get', '--sandbox', 'a/b']) {
	is((policy(@$_))[0], 2, "wrong usage: @$_");
}
($code, $out, $said) = policy('get', '--url', 'http://127.0.0.1:' . free_port());
is($code, 3, 'nobody there');
($code, $out) = policy('get');
is(decode_json($out)->{egress}[0]{target}, 'a.test', 'none of that has changed it');

# One that follows a gateway's policy: what is changed by hand is said to be passing.
write_file("$dir/gateway.py", <<'PY');
import http.server, sys, time
class Gateway(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers['If-None-Match']:
            time.sleep(20)
        self.send_response(304 if self.headers['If-None-Match'] else 200)
        self.send_header('ETag', '"1"')
        self.end_headers()
        if not self.headers['If-None-Match']:
            self.wfile.write(b'{"egress":[{"action":"allow","target":"good.test"}]}')
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Gateway).serve_forever()
PY
my @ns = map { netns($_) } qw(b c d);
my ($gateway, $own) = (free_port(), free_port());
start(name => 'gateway', netns => $w->{host}, cmd => [python(), "$dir/gateway.py", $gateway]);
my $follower = start(name => 'follower', netns => $w->{host}, cmd => [$program, '--netns', $ns[2]],
	env => { OPENSANDBOX_EGRESS_HTTP_ADDR => "127.0.0.1:$own",
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
		OPENSANDBOX_EGRESS_TOKEN_FILE => "$dir/token",
		OPENSANDBOX_EGRESS_POLICY_URL => "http://127.0.0.1:$gateway/policy" });
my @own = ('--url', "127.0.0.1:$own");
ok(wait_for(sub { (policy('get', @own))[1] =~ /good\.test/ }, 20), 'the gateway\'s policy');
is((policy('get', @own))[2], '', '  of which nothing is said');
($code, $out, $said) = policy('allow', 'x.test', @own);
is("$code $out", "0 + allow x.test\n", 'it can be changed by hand');
is($said, "warning: --policy-url is followed: the next change of the policy there replaces this one\n",
    '  until the next change there, which is said');
is((policy('remove', 'unknown.test', @own))[2], '', '  nothing changed, nothing said');
stop($follower);

# The agent
agent($w->{host}, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
my @agent = ('--socket', agent_socket());
ask('PUT', '/v1/sandboxes/sb-b', { netns => $ns[0] });
($code, $out) = policy('allow', 'good.test', @agent);
is("$code $out", "0 + allow good.test\n", 'the only sandbox of an agent needs no id');
ask('PUT', '/v1/sandboxes/sb-c', { netns => $ns[1] });
($code, undef, $said) = policy('allow', 'x.test', @agent);
is($code, 2, 'one of two does');
like($said, qr/guards 2 sandboxes; expected --sandbox ID/, 'which is said');
($code, $out, $said) = policy('deny', 'x.test', @agent, '--sandbox', 'sb-c');
is("$code $out $said", "0 + deny x.test\n ", 'with its id');
my (undef, $record) = ask('GET', '/v1/sandboxes/sb-c');
is($record->{policy}{egress}[0]{target}, 'x.test', 'it is that one\'s');
(undef, $record) = ask('GET', '/v1/sandboxes/sb-b');
is($record->{policy}{egress}[0]{target}, 'good.test', 'and not the other\'s');
is((ask('PUT', '/v1/sandboxes/sb-d', { netns => $ns[2],
    policyUrl => "http://127.0.0.1:$gateway/policy" }))[0], 201, 'one that follows a URL');
($code, $out, $said) = policy('deny', 'x.test', @agent, '--sandbox', 'sb-d');
is($code, 0, 'is changed');
like($said, qr/^warning: policyUrl is followed: /m, '  which does not last, it says');
is((policy('get', @agent, '--sandbox', 'sb-x'))[0], 1, 'none of that name');

done_testing();
