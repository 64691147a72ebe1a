# SPDX-License-Identifier: Apache-2.0
#
# A machine behind a routed device of the sandbox's namespace: its DNS, to
# whatever resolver, is answered under the policy, what it may reach it reaches,
# and nothing else.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Agent;
use Harness;
use Hostile;
use World;

my $w = world();
watch_cable($w, allowed => [GOOD]);
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
my $agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
is((ask('PUT', '/v1/sandboxes/vm', { netns => $w->{sandbox}, policy => {
	egress => [{ action => 'allow', target => 'good.test' }] } }))[0], 201,
    'a namespace is guarded');

# The runtime makes the machine's device when that is done.
my $guest = netns('guest');
veth($w->{sandbox}, 'vm0', $guest, 'eth0');
addr($w->{sandbox}, 'vm0', '172.16.0.1/24');
addr($guest, 'eth0', '172.16.0.2/24');
run('ip', '-n', $guest, 'route', 'add', 'default', 'via', '172.16.0.1');
run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
run('ip', '-n', $w->{host}, 'route', 'add', '172.16.0.0/24', 'via', '10.88.0.5');
run('ip', '-n', $w->{internet}, 'route', 'add', '172.16.0.0/24', 'via',
    '203.0.113.1');

sub guest { return capture('ip', 'netns', 'exec', $guest, @_) }
sub dig { return (guest('dig', '+short', '+time=2', '+tries=1', @_))[1] }
sub curl { return (guest('curl', '-s', '-m', '5', '-o', '/dev/null', '-w',
	'%{http_code}', "http://$_[0]/"))[1] }

is(wait_for(sub { dig('@8.8.8.8', 'good.test') =~ /^(\S+)/ && $1 }), GOOD,
    'the machine asks 8.8.8.8: an allowed name is answered');
is(dig('@8.8.8.8', '+tcp', 'good.test'), GOOD . "\n", '  over TCP too');
is(dig('@' . RESOLVER, 'good.test'), GOOD . "\n", '  by any resolver');
like((guest('dig', '+time=2', '+tries=1', '@8.8.8.8', 'evil.test'))[1],
    qr/NXDOMAIN/, '  a denied one is denied');
is(curl(GOOD), '200', '  and the allowed one is reached');
is(curl(EVIL), '000', '  nothing else is');
is((sees($w, 'dig', '+short', '+time=2', '+tries=1', '@8.8.8.8',
	'good.test'))[1], GOOD . "\n", 'the namespace\'s own DNS is answered');

# What leads the machine's DNS to loopback leads nothing else there.
my $local = start(name => 'local', netns => $w->{sandbox}, cmd => [python(),
	'-m', 'http.server', '--bind', '127.7.7.7', '7777']);
wait_for(sub { (sees($w, 'curl', '-s', '-o', '/dev/null',
	'http://127.7.7.7:7777/'))[0] == 0 });
for my $place ([$guest, '172.16.0.1', 'the machine'],
	[$w->{host}, '10.88.0.5', 'a neighbour']) {
	my ($ns, $via, $name) = @$place;
	run_in($ns, 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
	run('ip', '-n', $ns, 'route', 'add', '127.7.7.7', 'via', $via);
	isnt((capture('ip', 'netns', 'exec', $ns, 'curl', '-s', '-m', '2', '-o',
		'/dev/null', 'http://127.7.7.7:7777/'))[0], 0,
	    "$name does not reach a server on loopback");
	is((capture('ip', 'netns', 'exec', $ns, 'dig', '+short', '+time=1',
		'+tries=1', '-p', '15353', "\@$via", 'good.test'))[1]
	    =~ /\Q@{[GOOD]}\E/ ? 'answered' : 'none', 'none',
	    '  nor our listeners by their port');
}
is((capture('ip', 'netns', 'exec', $w->{host}, 'dig', '+short', '+time=1',
	'+tries=1', '@10.88.0.5', 'good.test'))[1] =~ /\Q@{[GOOD]}\E/
    ? 'answered' : 'none', 'none', 'nobody outside is answered');
run_in($w->{sandbox}, 'nft', '-f', write_file(scratch() . '/led.nft',
	"table ip led {\nchain pre {\ntype nat hook prerouting priority -100\n"
	. "tcp dport 7070 dnat to 127.7.7.7:7777\n}\n}\n"));
is(curl('172.16.0.1:7070'), '200', 'what another table leads there arrives');
isnt((guest('curl', '-s', '-m', '2', '-o', '/dev/null',
	'http://127.7.7.7:7070/'))[0], 0, '  unless it was sent there');
run_in($w->{sandbox}, 'nft', 'delete', 'table', 'ip', 'led');

# Forged sources
my $before = leaked($w);
my %in = (%$w, sandbox => $guest);
hostile(\%in, ROOT, 'header', '198.51.100.9', '8.8.8.8', 53);
hostile(\%in, ROOT, 'header', EVIL, '8.8.8.8', 53);
is(leaked($w) - $before, 0, 'no answer goes to a forged source');

kill 'KILL', -$agent;
kill_now($agent);
is(dig('@8.8.8.8', 'good.test') =~ /\Q@{[GOOD]}\E/ ? 1 : 0, 0,
    'without an agent its DNS goes nowhere');
$agent = agent($w->{host}, 'agent-next',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
is(dig('@8.8.8.8', 'good.test'), GOOD . "\n", 'the next agent answers');
is(stop($agent), 0, 'it ends well');

# Join mode has it from its start.
my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES =>
	policy_of('good.test') });
is(dig('@8.8.8.8', 'good.test'), GOOD . "\n", 'join mode answers as well');
is(stop($pid), 0, 'it ends well');
done_testing(21);
