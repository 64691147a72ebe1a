# SPDX-License-Identifier: Apache-2.0
#
# A sidecar with a gate is stopped, and one of another version started in its
# place, under traffic. Between the two the sandbox is closed: what was let
# through goes on, nothing else does; the gate's connections end. Afterwards the
# policy, and connections that are open, are as before; counters begin anew.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Hostile;
use Release;
use World;

my $dir = scratch();
my $w = world();
my $program = 'egress-sidecar';

watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
    root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, GOOD6, EVIL, EVIL6),
    7, 600]);
world_web($w, 'internet', GOOD, 80, 'good');
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ }) or die 'no echo';
release_old($program, "$dir/bin");

sub begin
{
	my ($name) = @_;
	local $ENV{BUILD} = "$dir/bin";

	return sidecar($w, name => $name, args => ['--gate', 'names'], env => {
		OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
		OPENSANDBOX_EGRESS_POLICY_FILE => "$dir/policy.json",
		OPENSANDBOX_EGRESS_RULES => policy_of('early.test') });
}

sub lookup
{
	return (sees($w, 'dig', '+short', '+time=2', '+tries=1', '@10.88.0.1',
	    $_[0]))[1];
}

sub metric
{
	my ($name) = @_;
	my (undef, $page) = api($w, 'GET', '/metrics');
	return $page =~ /^$name(?:\{[^}]*\})? (\S+)$/m ? $1 : 'none';
}

sub version
{
	my (undef, $page) = api($w, 'GET', '/metrics');
	return $page =~ /^egress_build_info\{.*version="([^"]+)"/m ? $1 : '';
}

sub web { (sees($w, 'curl', '-4', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', @_))[1] }

my $pid = begin('old');
is(version(), VERSION_OLD, 'the version that runs');
is((api($w, 'PATCH', '/policy', [{ action => 'allow', target => 'good.test' }]))[0],
    200, 'its policy is changed');
is(lookup('good.test'), GOOD . "\n", 'a name resolves');
is(web('http://good.test/'), '200', '  and opens, through the gate');
my $held = hostile_start($w, NOBODY, 'held', 'hold', GOOD, 7, 300);
ok(wait_for(sub { read_file("$dir/held.log") =~ /connected/ }),
    'a connection past the gate is open');
my $gated = start(name => 'gated', netns => $w->{sandbox}, cmd => ['bash', '-c',
    'exec 3<>/dev/tcp/' . GOOD . '/80; printf "GET / HTTP/1.1\r\nHost: good.test\r\n" >&3;'
    . ' echo open; cat <&3; echo ended']);
ok(wait_for(sub { metric('egress_gate_connections') == 1 }), 'and one in the gate');
my $rules = scalar run_in($w->{sandbox}, 'nft', 'list', 'tables');
# Attempts without a pause, of which none may arrive.
start(name => 'evil', netns => $w->{sandbox}, cmd => ['bash', '-c',
    'while :; do (exec 3<>/dev/tcp/' . EVIL . '/7) 2>/dev/null; done']);

# The package comes, and the service is restarted: between the two
release_new($program, "$dir/bin");
is(stop($pid), 0, 'the old one ends');
is(scalar run_in($w->{sandbox}, 'nft', 'list', 'tables'), $rules, 'the rules are there');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'what is denied is refused');
like(lookup('good.test'), qr/no servers could be reached/, 'no name resolves');
is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open', 'an address that was learned opens still');
isnt(web('--resolve', 'good.test:80:' . GOOD, 'http://good.test/'), '200',
    '  but not through the gate');
ok(wait_for(sub { read_file("$dir/gated.log") =~ /ended|reset/i }),
    'the gate\'s connections have ended');
unlike(read_file("$dir/held.log"), qr/E[A-Z]+|closed/, 'the other lives');

# The new one
my $next = begin('new');
is(version(), VERSION_NEW, 'the new one serves');
my @flows = @{ (api($w, 'GET', '/flows'))[2]{flows} };
is(scalar(grep { $_->{address} eq GOOD && $_->{port} == 7 && !$_->{end} } @flows), 1,
    '  GET /flows has what is open') or diag encode_json(\@flows);
my $policy = (api($w, 'GET', '/policy'))[2]{policy};
is_deeply([map { $_->{target} } @{ $policy->{egress} }], ['good.test', 'early.test'],
    '  under the policy that was in force');
is(lookup('good.test'), GOOD . "\n", '  names resolve');
is(web('http://good.test/'), '200', '  and open');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', '  what is denied is refused');
unlike(read_file("$dir/held.log"), qr/E[A-Z]+|closed/, 'the connection lives all along');
is(metric('egress_policy_updates_total'), 0, 'counters begin anew');
is(leaked($w), 0, 'nothing ever left that is not allowed');
stop($next);
done_testing();
