# SPDX-License-Identifier: Apache-2.0
#
# On a node: what a pod may reach is its annotation, followed while the pod
# lives. The agent and the namespaces are real, pods are attached as a container
# runtime does it, by the CNI plugin; the cluster is t/tools/kube_api.py. A bad
# annotation changes nothing; without one the node's default counts, and nothing
# that goes ever opens a namespace.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use Kube;
use World;

my $json = JSON::PP->new->canonical;
my $program = build_dir() . '/opensandbox-discovery';
my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $w = world();
my $kube = Kube->new;
my $agent;
my $feeder;
my $log;

world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }
sub uid { "0f8fad5b-d9cb-469f-a165-70867728950$_[0]" }
sub opens { (sees($w, @web, "http://$_[0]/"))[1] eq '200' }
sub status { (sees($w, @web, "http://$_[0]/"))[0] }
sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }

# A pod as the API server has it, the N-th; a policy's text or data, undef: no
# annotation.
sub annotate
{
	my ($n, $policy, %o) = @_;
	my $text = ref $policy ? $json->encode($policy) : $policy;

	$kube->put('pods', "default/pod-$n", { metadata => { uid => uid($n),
		defined $text ? (annotations => {
		    'opensandbox.io/egress-policy' => $text }) : () },
	    spec => { nodeName => $o{node} // 'node-1',
		$o{host} ? (hostNetwork => JSON::PP::true) : () },
	    status => { phase => $o{phase} // 'Running' } });
}

# The container runtime sets up the pod's network: with what it knows of the
# annotation, and the node's default.
sub attach
{
	my ($n, $netns, %o) = @_;
	my %config = (cniVersion => '1.0.0', name => 'net',
	    type => 'opensandbox-egress', agentSocket => agent_socket(),
	    policy => policy('default.test'), prevResult => {
		cniVersion => '1.0.0', interfaces => [], ips => [] },
	    runtimeConfig => { 'io.kubernetes.cri.pod-annotations' =>
		$o{annotation} ? { 'opensandbox.io/egress-policy' =>
		    $json->encode($o{annotation}) } : {} });
	my $file = write_file(scratch() . '/cni.json', encode_json(\%config));
	local @ENV{qw(CNI_COMMAND CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH
	    CNI_ARGS)} = ('ADD', "c0ffee$n", "/run/netns/$netns", 'eth0', '/',
	    "K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-$n;K8S_POD_UID="
	    . uid($n));
	return (capture('sh', '-c', 'exec "$0" cni <"$1"',
	    build_dir() . '/egress-sidecar', $file))[0];
}

sub in_force
{
	my ($n) = @_;
	my ($status, $body) = ask('GET', '/v1/sandboxes/' . uid($n));
	return $status == 404 ? 'absent'
	    : join ' ', map { $_->{target} } @{ $body->{policy}{egress} };
}

sub becomes
{
	my ($n, $want) = @_;
	return wait_for(sub { in_force($n) eq $want }, 30)
	    || (diag("pod-$n: ", in_force($n), ', expected ', $want), 0);
}

sub follow
{
	$log = scratch() . '/discovery' . ($feeder // 0) . '.log';
	$feeder = start(name => 'discovery', log => $log, cmd => [$program,
	    '--kubeconfig', $kube->kubeconfig, '--agent', agent_socket(),
	    '--node-name', 'node-1', @_]);
}

sub refused
{
	my ($pod) = @_;
	return map { $_->{error} } grep { $_->{object} eq "default/$pod" }
	    map { decode_json($_) } grep { /"event":"discovery\.refused"/ }
	    split /\n/, read_file($log);
}

sub start_agent
{
	$agent = agent($w->{host}, $_[0],
	    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
}

start_agent('agent');
annotate(1, policy('good.test'));
is(attach(1, $w->{sandbox}, annotation => policy('good.test')), 0,
    'the runtime attaches a pod');
my $port = free_port();
follow('--http-addr', "127.0.0.1:$port");
ok(wait_for(sub { (capture('curl', '-sf', "http://127.0.0.1:$port/healthz"))[0]
	== 0 }, 30), 'the node\'s discovery is healthy')
    or diag read_file($log);
ok(opens('good.test'), 'what the annotation allows works');
is(status('evil.test'), 6, '  nothing else does');

# Another annotation
my $dir = scratch();
my $held = start(name => 'held', netns => $w->{sandbox}, cmd => ['perl',
    '-MIO::Socket::INET', '-e', <<'END', GOOD, $dir]);
my ($address, $dir) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 80) or die;
open my $open, '>', "$dir/open";
select undef, undef, undef, 0.05 until -e "$dir/go";
$SIG{PIPE} = 'IGNORE';
syswrite $s, "GET / HTTP/1.0\r\n\r\n";
exit(sysread($s, my $answer, 1) ? 1 : 0);
END
ok(wait_for(sub { -e "$dir/open" }, 10), 'a connection that it allows is open');
annotate(1, policy('evil.test'));
ok(becomes(1, 'evil.test'), 'another annotation is another policy');
my $before = counted($w, 'good');
is(status('good.test'), 6, '  the name that was allowed is refused');
is(status(GOOD), 7, '  and so is its address');
write_file("$dir/go", '');
is(wait_exit($held, 20), 0, '  and the connection that was open');
is(counted($w, 'good'), $before, '  none of it got out');
ok(opens('evil.test'), '  what it allows now works');

# Bad ones
annotate(1, '{"egress":[');
ok(wait_for(sub { refused('pod-1') == 1 }, 30), 'no JSON: it is said')
    or diag read_file($log);
like((refused('pod-1'))[0], qr/annotation .*egress-policy: /, '  of what');
annotate(1, '{"egress":[{"action":"allow","target":"a b"}]}');
ok(wait_for(sub { refused('pod-1') == 2 }, 30), 'a bad target: it is said');
like((refused('pod-1'))[1], qr/status 400: egress\[0\]/, '  which');
annotate(1, '{"egress":[{"action":"allow","target":"a b"}],"defaultAction":"deny"}');
annotate(3, policy('a.test'));
ok(wait_for(sub { (capture('curl', '-sf', "http://127.0.0.1:$port/metrics"))[1]
	=~ /^discovery_policies_refused 1$/m }, 30), '  and is counted');
annotate(1, '{"egress":[{"action":"allow","target":"c d"}]}');
ok(wait_for(sub { grep { /c d/ } refused('pod-1') }, 30), '  another is said');
is(scalar refused('pod-1'), 3, '  and each once');
ok(opens('evil.test') && !opens('good.test'), '  the policy before stays');

# None
annotate(1, undef);
ok(becomes(1, 'default.test'), 'without an annotation the node\'s default counts');
is(status('evil.test'), 6, '  at once');
annotate(1, policy('good.test'));
ok(becomes(1, 'good.test') && opens('good.test'), '  and with one that again');

# Pods that are attached later than they are known, with what the runtime knew
my $late = netns('late');
annotate(2, policy('two.test'));
ok(wait_for(sub { (capture('curl', '-sf', "http://127.0.0.1:$port/metrics"))[1]
	=~ /^discovery_policies_absent 2$/m }, 30), 'pods that are not attached yet');
is(attach(2, $late, annotation => policy('stale.test')), 0,
    'one is, with an annotation that has changed since');
ok(becomes(2, 'two.test'), '  and gets the new one');
my $other = netns('other');
is(attach(4, $other), 0, 'a pod of another node');
annotate(4, policy('four.test'), node => 'node-2');
annotate(5, policy('five.test'), host => 1);
ok(wait_for(sub { refused('pod-5') == 1 }, 30), 'one in the node\'s network');
like((refused('pod-5'))[0], qr/the node's network/, '  can have no policy');
is(in_force(4), 'default.test', 'the other node\'s pod is left alone');

# The agent away
kill 'KILL', -$agent;
kill_now($agent);
annotate(2, policy('away.test'));
ok(wait_for(sub { read_file($log) =~ /"event":"discovery\.failed".*agent/ }, 30),
    'the agent is away, which is said');
start_agent('second');
ok(becomes(2, 'away.test'), '  and told when it is back');

# Discovery away
is(stop($feeder), 0, 'discovery ends');
is(in_force(1), 'good.test', '  and what it said stays');
annotate(1, policy('later.test'));
annotate(2, undef);
follow('--once');
is(wait_exit($feeder, 30), 0, 'once: it tells all and ends');
is_deeply([map { in_force($_) } 1, 2], ['later.test', 'default.test'],
    '  what changed meanwhile');
is((ask('PUT', '/v1/sandboxes/' . uid(2) . '/policy', policy('x.test')))[0],
    200, 'a policy that others set');

# The pod goes
follow();
ok(becomes(2, 'default.test'), '  does not outlast the annotation');
$kube->delete('pods', 'default/pod-1');
$kube->delete('pods', 'default/pod-2');
annotate(6, '{');
ok(wait_for(sub { refused('pod-6') == 1 }, 30), 'pods go from the API');
is_deeply([map { in_force($_) } 1, 2], ['later.test', 'default.test'],
    '  what lives on keeps its policy');
ok(table($w->{sandbox}) && table($late), '  and is closed');
is((ask('DELETE', '/v1/sandboxes/c0ffee1?attachment=net/eth0'))[0], 204,
    'the runtime detaches one');
ok(table($w->{sandbox}), '  which opens nothing');
is(status(GOOD), 7, '  at all');
stop($_) for $feeder, $agent;

# Usage
my ($failed, $said) = capture($program, '--kubeconfig', $kube->kubeconfig,
    '--agent', agent_socket());
isnt($failed, 0, 'without the node\'s name it does not begin');
like($said, qr/--node-name/, '  and says so');
done_testing();
