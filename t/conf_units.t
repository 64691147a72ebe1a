# SPDX-License-Identifier: Apache-2.0
#
# Each unit and container of conf/ gives its program what it needs and no more:
# started under the directives of the one and the capabilities of the other, it
# holds every protection, and what it cannot hold it says.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Agent qw(ask agent_socket agent_state);
use Harness;
use Hostile;
use Ingress ();
use World;

my $systemd = root() . '/conf/systemd';
my $program = build_dir() . '/egress-sidecar';
my $dir = scratch();
my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER);
my $policy = policy_of('good.test');

my $w = world();
watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, EVIL), 7, 3600]);
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ })
    or die 'the echo servers did not start';

# A command as the unit would have it run.
sub as_unit { return (python(), root() . '/t/tools/unit.py', @_) }

sub xdp { return hostile($w, ROOT, 'xdp', 'eth0', '10.88.0.5', EVIL, 7)
	=~ s/\s.*//sr }
my $no_xdp = xdp() eq 'EAFNOSUPPORT';

# All that a sandbox with CAP_NET_RAW may try.
sub held
{
	my ($name, $log) = @_;
	my $before = leaked($w);

	sees($w, 'dig', '+short', '@10.88.0.1', 'good.test');
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open', "$name: allowed opens");
	is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
	    '  denied is refused');
	SKIP: {
		skip 'this kernel has no AF_XDP', 1 if $no_xdp;
		is(xdp(), 'EBUSY', '  AF_XDP is held');
	}
	hostile($w, ROOT, 'frame', 'eth0', '10.88.0.5', EVIL, 7);
	is(leaked($w) - $before, 0, '  no frame leaves');
	unlike(read_file($log), qr/"level":"(?:warn|error)"/,
	    '  and nothing is missing') or diag read_file($log);
}

# The agent
my $agent = "$systemd/opensandbox-egress-agent.service";
sub start_agent
{
	my ($name, $unit) = @_;
	my $pid = start(name => $name, netns => $w->{host}, env => \%env,
	    cmd => [as_unit($unit), $program, '--agent', '--agent-socket',
		agent_socket(), '--agent-state', agent_state()]);
	wait_for(sub { (ask('GET', '/healthz'))[0] == 200 })
	    or diag read_file("$dir/$name.log");
	return $pid;
}
my $pid = start_agent('agent', $agent);
is((ask('PUT', '/v1/sandboxes/sb', { netns => $w->{sandbox},
	policy => { egress => [{ action => 'allow', target => 'good.test' }] } }
	))[0], 201, 'the agent\'s unit: a sandbox by its name');
held('the agent\'s unit', "$dir/agent.log");
kill_now($pid);
$pid = start_agent('agent-next', $agent);
held('the agent\'s unit, again', "$dir/agent-next.log");
my $process = start(name => 'process', cmd => ['unshare', '-n', 'sleep', '600']);
wait_for(sub { readlink("/proc/$process/ns/net")
	ne readlink('/proc/self/ns/net') });
is((ask('PUT', '/v1/sandboxes/pid', { pid => $process }))[0], 201,
    'the agent\'s unit: one by a process');
is((ask('DELETE', '/v1/sandboxes/sb'))[0], 204, '  and set free again');
is(stop($pid), 0, '  it ends well');

# The sidecar of one sandbox
my $one = "$systemd/opensandbox-egress\@.service";
write_file("$dir/policy.json", $policy);
chown 65534, 65534, "$dir/policy.json";
my %one = (env => { OPENSANDBOX_EGRESS_POLICY_FILE => "$dir/policy.json" });
$pid = sidecar($w, %one, under => [as_unit($one)], name => 'one');
held('the sidecar\'s unit', "$dir/one.log");
is((api($w, 'PATCH', '/policy', '[{"action":"deny","target":"x.test"}]'))[0],
    200, '  its policy changes');
is((stat "$dir/policy.json")[4], 65534, '  and the file stays its owner\'s');
is(stop($pid), 0, '  it ends well');

# A unit that is not given AF_XDP, or a container without NET_RAW, says so.
my $text = read_file($one);
for my $case (['RestrictAddressFamilies', qr/ AF_XDP$/m],
	['CapabilityBoundingSet', qr/ CAP_NET_RAW/]) {
	my ($what, $taken) = @$case;
	SKIP: {
		skip 'this kernel has no AF_XDP', 2 if $no_xdp;
		write_file("$dir/less.service", $text =~ s/$taken//r);
		$pid = sidecar($w, %one, under => [as_unit("$dir/less.service")],
		    name => "less-$what");
		like(read_file("$dir/less-$what.log"),
		    qr/AF_XDP cannot be kept from the sandbox/,
		    "without its word in $what: what is not held is said");
		is(stop($pid), 0, '  it ends well');
	}
}

# nginx
my $g = Ingress::new_gateway(main => 'user www-data;', daemon => 0,
    zone => 'opensandbox_zone sandboxes:4m state=%PREFIX%/state;');
my $backend = Ingress::echo('here');

$g->{under} = [as_unit("$systemd/nginx-opensandbox.conf")];
Ingress::launch($g);
is(Ingress::api($g, 'PUT', '/sb', { endpoint => '127.0.0.1' })->{status}, 201,
    'nginx\'s unit: the API takes a record');
is(Ingress::get($g->{port}, "/sandboxes/sb/port/$backend/x")->{status}, 200,
    '  which is served');
is(stop($g->{pid}, 'QUIT'), 0, '  it ends well');
ok(-s "$g->{prefix}/state", '  and leaves its state');
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg|crit)\]/,
    '  without complaint') or diag read_file("$g->{prefix}/error.log");
done_testing();
