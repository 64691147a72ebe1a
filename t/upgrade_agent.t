# SPDX-License-Identifier: Apache-2.0
#
# An agent with fifty sandboxes is stopped, and one of another version started
# in its place, each sandbox with a connection that stays and another that is
# tried without a pause. It takes all of them over: no connection ends, none
# that is denied opens, and policies that were changed are those in force.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Agent;
use Harness;
use Release;
use World;

use constant MANY => 50;

my $dir = scratch();
my $w = world();
my $program = 'egress-sidecar';

world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
    root() . '/t/tools/hostile.py', 'echo', GOOD . ',' . EVIL, 7, 600]);
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ }) or die 'no echo';
run('ip', '-n', $w->{host}, 'link', 'add', 'br0', 'type', 'bridge');
run('ip', '-n', $w->{host}, 'link', 'set', 'br0', 'up');
addr($w->{host}, 'br0', '10.89.0.1/24');
my @ns = map {
	my $n = $_;
	my $ns = netns("s$n");
	veth($ns, 'eth0', $w->{host}, "v$n");
	run('ip', '-n', $w->{host}, 'link', 'set', "v$n", 'master', 'br0');
	addr($ns, 'eth0', '10.89.0.' . ($n + 10) . '/24');
	run('ip', '-n', $ns, 'route', 'add', 'default', 'via', '10.89.0.1');
	$ns;
} 1 .. MANY;

sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }

sub begin
{
	my ($name) = @_;
	local $ENV{BUILD} = "$dir/bin";

	return agent($w->{host}, $name, { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
}

sub resolves
{
	my ($ns) = @_;
	return (capture('ip', 'netns', 'exec', $ns, 'dig', '+short', '+time=15',
	    '+tries=2', '@10.89.0.1', 'good.test', 'A'))[1] eq GOOD . "\n";
}

sub version
{
	my (undef, $page) = ask('GET', '/metrics');
	return $page =~ /^egress_build_info\{.*version="([^"]+)"/m ? $1 : '';
}

release_old($program, "$dir/bin");
my $agent = begin('old');
is(version(), VERSION_OLD, 'the version that runs');
is(scalar(grep { (ask('PUT', "/v1/sandboxes/sb-$_", { netns => $ns[$_ - 1],
	policy => policy('first.test') }))[0] == 201 } 1 .. MANY), MANY,
    MANY . ' sandboxes');
is(scalar(grep { (ask('PUT', "/v1/sandboxes/sb-$_/policy", policy('good.test')))[0] == 200 }
    1 .. MANY), MANY, '  whose policies are changed');
is(scalar(grep { resolves($_) } @ns), MANY, '  and names resolve');

# Of each: a connection that says something twenty times a second; attempts at
# what is denied; and lookups.
for my $n (1 .. MANY) {
	start(name => "held$n", netns => $ns[$n - 1], cmd => [python(), '-S',
	    root() . '/t/tools/hostile.py', 'hold', GOOD, 7, 600, '0.2']);
	start(name => "evil$n", netns => $ns[$n - 1], cmd => ['bash', '-c',
	    'while sleep 0.5; do (exec 3<>/dev/tcp/' . EVIL
	    . '/7) 2>/dev/null && echo opened; done']);
}
my $connected = sub { scalar grep { read_file("$dir/held$_.log") =~ /connected/ } 1 .. MANY };
ok(wait_for(sub { $connected->() == MANY }, 60), 'a connection of each');

# The package comes, and the service is restarted
release_new($program, "$dir/bin");
is(stop($agent), 0, 'the old one ends');
is(scalar(grep { run_in($_, 'nft', 'list', 'tables') =~ /inet opensandbox/ } @ns), MANY,
    'each is closed meanwhile');
ok(!resolves($ns[0]), '  no name resolves');
ok(!-S agent_socket() || (ask('GET', '/healthz'))[0] != 200, '  and nobody starts a sandbox');
my $next = begin('new');
is(version(), VERSION_NEW, 'the new one serves');
my ($status, $list) = ask('GET', '/v1/sandboxes');
is(scalar @{ $list->{sandboxes} }, MANY, '  and has all of them, without being told');
is(scalar(grep { (ask('GET', "/v1/sandboxes/sb-$_/policy"))[1]{policy}{egress}[0]{target}
	eq 'good.test' } 1 .. MANY), MANY, '  under the policies in force');
is(scalar(grep { resolves($_) } @ns), MANY, '  names resolve');
is((ask('GET', '/healthz'))[0], 200, '  and all is well');
my (undef, $page) = ask('GET', '/metrics');
is(scalar(() = $page =~ /^egress_rules_in_force\{\S+\} 1$/mg), MANY, '  by its metrics');
my @ended = grep { read_file("$dir/held$_.log") =~ /E[A-Z]+|closed/ } 1 .. MANY;
is("@ended", '', 'no connection has ended');
my @opened = grep { read_file("$dir/evil$_.log") =~ /opened/ } 1 .. MANY;
is("@opened", '', 'no denied one has opened');
is(counted($w, 'evil'), 0, '  nor sent a packet');

# Nor do they when the old version comes back.
release_old($program, "$dir/bin");
stop($next);
my $back = begin('back');
is(version(), VERSION_OLD, 'the way back');
is(scalar @{ (ask('GET', '/v1/sandboxes'))[1]{sandboxes} }, MANY, '  all of them');
@ended = grep { read_file("$dir/held$_.log") =~ /E[A-Z]+|closed/ } 1 .. MANY;
is("@ended", '', '  and no connection has ended');
stop($back);
done_testing();
