# SPDX-License-Identifier: Apache-2.0
#
# As a container runtime would: the plugins of conf/cni one after the other,
# with a real bridge before ours. ADD closes the sandbox and hands on what the
# bridge made; a container whose agent is away does not start. A pod has as many
# attachments as interfaces, of one network or several: while one is left it is
# served, and when none is its namespace stays closed.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

my ($plugins) = grep { -x "$_/bridge" } '/usr/lib/cni', '/opt/cni/bin';
plan skip_all => 'no CNI plugins (Debian: containernetworking-plugins)'
    if !$plugins;
plan tests => 79;

my $dir = scratch();
my $socket = agent_socket();
my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');

my $w = world();
my $pod = netns('pod');
netns_etc($pod, 'resolv.conf', "nameserver 10.99.0.1\n");
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

# The files of conf/, with this test's paths in the place of the installed.
my $wrapper = read_file(root() . '/conf/cni/opensandbox-egress');
ok($wrapper =~ s{/usr/sbin/egress-sidecar}{build_dir() . '/egress-sidecar'}e,
    'the plugin runs the installed program');
mkdir "$dir/bin";
chmod 0755, write_file("$dir/bin/opensandbox-egress", $wrapper);
symlink "$plugins/$_", "$dir/bin/$_" for qw(bridge host-local);
my $list = decode_json(read_file(root() . '/conf/cni/10-opensandbox.conflist'));
my ($bridge, $ours) = @{ $list->{plugins} };
$bridge->{ipMasq} = JSON::PP::false; # needs iptables, and the world routes
$bridge->{ipam} = { %{ $bridge->{ipam} }, dataDir => "$dir/ipam",
	ranges => [[{ subnet => '10.99.0.0/24' }]] };
$ours->{agentSocket} = $socket;
my $good = { egress => [{ action => 'allow', target => 'good.test' }] };
$ours->{policy} = $good;

# Run one plugin: (exit status, decoded output).
sub plugin
{
	my ($command, $plugin, %o) = @_;
	my %config = (%$plugin, cniVersion => $list->{cniVersion},
	    name => $list->{name}, %{ $o{config} || {} });
	delete @config{grep { !defined $config{$_} } keys %config};
	write_file("$dir/stdin", encode_json(\%config));
	my %env = (CNI_COMMAND => $command, CNI_CONTAINERID => 'Pod_1',
	    CNI_NETNS => "/run/netns/$pod", CNI_IFNAME => 'eth0',
	    CNI_PATH => "$dir/bin", %{ $o{env} || {} });
	my ($status, $out) = capture('ip', 'netns', 'exec', $w->{host}, 'env',
	    map({ "$_=$env{$_}" } grep { defined $env{$_} } sort keys %env),
	    'sh', '-c', 'exec "$0" <"$1" 2>>"$2"',
	    "$dir/bin/$plugin->{type}", "$dir/stdin", "$dir/errors");
	return ($status, scalar eval { decode_json($out) } // $out);
}

sub record { return ask('GET', "/v1/sandboxes/$_[0]") }

sub status { (capture('ip', 'netns', 'exec', $pod, @web, "http://$_[0]/"))[0] }
sub code   { (capture('ip', 'netns', 'exec', $pod, @web, "http://$_[0]/"))[1] }
sub table  { run_in($pod, 'nft', 'list', 'tables') =~ /inet opensandbox/ }

my ($status, $made) = plugin('ADD', $bridge);
is($status, 0, 'the bridge makes a network') or BAIL_OUT(explain $made);
is($made->{ips}[0]{address}, '10.99.0.2/24', '  with an address');
is(code(EVIL), '200', 'which is open');

my ($error);
($status, $error) = plugin('ADD', $ours, config => { prevResult => $made });
is($status, 1, 'ADD without an agent fails');
is($error->{code}, 11, '  to be tried again later');
like($error->{msg}, qr/\Q$socket\E/, '  and says whom it missed');
is((plugin('DEL', $ours))[0], 0, 'DEL without an agent holds nothing up');

my $agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
($status, my $result) = plugin('ADD', $ours, config => { prevResult => $made });
is($status, 0, 'ADD') or diag explain $result;
is_deeply($result, $made, '  hands on the result of the plugins before');
is(code('good.test'), '200', '  what the policy allows opens');
is(status('evil.test'), 6, '  nothing else does');
is(status(EVIL), 7, '  nor by address');
is((record('pod-1'))[1]{netns}, "/run/netns/$pod",
    '  the agent knows it by the container\'s id');
($status, $result) = plugin('CHECK', $ours, config => { prevResult => $made });
is($status, 0, 'CHECK finds it well');
is($result, '', '  and says nothing');
($status, $error) = plugin('CHECK', $ours, config => { prevResult => $made },
    env => { CNI_NETNS => "/run/netns/$w->{sandbox}" });
is($error->{code}, 101, 'CHECK of another namespace');
is((plugin('ADD', $ours, config => { prevResult => $made,
	runtimeConfig => { 'io.kubernetes.cri.pod-annotations' => {
		'opensandbox.io/egress-policy' => encode_json({ egress => [
		    { action => 'allow', target => 'evil.test' }] }) } } }))[0], 0,
    'ADD with the pod\'s own policy');
is(code('evil.test'), '200', '  which is in force');
is(status('good.test'), 6, '  alone');
my $uid = '0f8fad5b-d9cb-469f-a165-70867728950e';
is((plugin('ADD', $ours, config => { prevResult => $made,
	runtimeConfig => { 'io.kubernetes.cri.pod-annotations' => {
		'opensandbox.io/egress-policy' => encode_json({ egress => [
		    { action => 'allow', target => 'evil.test' }] }) } } },
    env => { CNI_ARGS => "IgnoreUnknown=1;K8S_POD_UID=$uid;K8S_POD_NAME=p" }))[0],
    0, 'ADD with the pod\'s uid');
is((ask('PATCH', "/v1/sandboxes/$uid", { policy => $good }))[0], 200,
    '  by which its policy changes');
is(code('good.test'), '200', '  at once');
is((ask('PATCH', "/v1/sandboxes/$uid", { policy => undef }))[0], 200,
    '  and is the network\'s without one of its own');
is(code('good.test'), '200', '  which allows the same');
is((ask('PATCH', "/v1/sandboxes/$uid", { policy => { egress => [
	{ action => 'allow', target => 'evil.test' }] } }))[0], 200, '  and back');
is(code('evil.test'), '200', '  at once');

for my $case (
	[[{ config => {} }], 7, qr/prevResult/, 'no plugin before'],
	[[{ env => { CNI_NETNS => '' } }], 4, qr/CNI_NETNS/, 'no namespace'],
	[[{ env => { CNI_NETNS => '/etc/passwd' } }], 100,
	    qr/not a network namespace/, 'a file that is none'],
	[[{ env => { CNI_CONTAINERID => '../x' } }], 4, qr/CNI_CONTAINERID/,
	    'a bad id'],
	[[{ config => { prevResult => $made, policy => { egress => [
		{ action => 'allow' }] } } }], 100, qr/egress\[0\]\.target/,
	    'a bad policy'],
	[[{ config => { prevResult => $made, cniVersion => '0.1.0' } }], 1,
	    qr/cniVersion/, 'a version that is not known'],
	[[{ config => { prevResult => $made, agentSocket => 5 } }], 7,
	    qr/agentSocket/, 'a socket that is no path'],
) {
	my ($args, $want, $like, $name) = @$case;
	my %o = %{ $args->[0] };
	$o{config} ||= { prevResult => $made };
	($status, $error) = plugin('ADD', $ours, %o);
	is_deeply([$status, $error->{code}], [1, $want], "$name: code $want");
	like($error->{msg}, $like, '  says why');
}
($status, $error) = plugin('FROB', $ours);
is($error->{code}, 4, 'a command that is not known');
($status, $error) = plugin('DEL', $ours, env => { CNI_IFNAME => undef });
is(ref $error && $error->{code}, 4, 'no interface');
is(code('evil.test'), '200', 'none of them changed anything');
($status, $result) = plugin('VERSION', $ours);
is_deeply($result->{supportedVersions}, [qw(0.3.0 0.3.1 0.4.0 1.0.0 1.1.0)],
    'VERSION');

# A second interface, as Multus adds one: the pod's own policy stays.
my $annotated = { prevResult => $made, runtimeConfig => {
	'io.kubernetes.cri.pod-annotations' => { 'opensandbox.io/egress-policy' =>
		encode_json({ egress => [{ action => 'allow',
			target => 'evil.test' }] }) } } };
my %net1 = (env => { CNI_IFNAME => 'net1' });
my %other = (prevResult => $made, name => 'other');

sub guarded { return code('evil.test') eq '200' && status(EVIL) == 0
	&& status(GOOD) == 7 }
sub attachments { return [map { $_->{attachment} }
	@{ (record('pod-1'))[1]{attachments} || [] }] }

is((plugin('ADD', $ours, %net1, config => { %other }))[0], 0,
    'ADD of net1, whose network has another policy');
ok(guarded(), '  leaves the pod\'s own in force');
is((plugin('ADD', $ours, %net1, config => { %other, %$annotated,
	name => 'other' }))[0], 0, 'ADD of net1 with the pod\'s own');
ok(guarded(), '  too');
($status, $error) = plugin('ADD', $ours, env => { CNI_IFNAME => 'net2' },
    config => { %other, runtimeConfig => { 'io.kubernetes.cri.pod-annotations' =>
	{ 'opensandbox.io/egress-policy' => '{}' } } });
is(ref $error && $error->{code}, 100, 'an annotation that says something else');
like(ref $error && $error->{msg}, qr/409 .*pod-1.*another policy/, '  is refused, and why');
ok(guarded(), '  and nothing changed');
is_deeply(attachments(), ['opensandbox/eth0', 'other/net1'],
    'two are attached');
is((plugin('CHECK', $ours, %net1, config => { %other }))[0], 0,
    'CHECK finds the second');
is((plugin('DEL', $ours, %net1))[0], 0, 'DEL of net1 in another network');
is_deeply(attachments(), ['opensandbox/eth0', 'other/net1'],
    '  is none of these');
is((plugin('DEL', $ours, %net1, config => { name => 'other' }))[0], 0,
    'DEL of net1');
is_deeply(attachments(), ['opensandbox/eth0'], '  detaches it');
ok(table() && guarded(), '  and the pod is guarded and served as before');
plugin('ADD', $ours, %net1, config => { %other });
is((plugin('DEL', $ours))[0], 0, 'DEL of eth0, the first');
is_deeply(attachments(), ['other/net1'], '  detaches it alone');
ok(table() && guarded(), '  and the pod is guarded and served as before');
plugin('ADD', $ours, config => $annotated);

# What a crash left attached
is((plugin('STATUS', $ours, config => { cniVersion => '1.1.0' }))[0], 0,
    'STATUS with an agent');
is((plugin('GC', $ours, env => { CNI_CONTAINERID => undef, CNI_IFNAME => undef,
	CNI_NETNS => undef }, config => { cniVersion => '1.1.0',
	'cni.dev/valid-attachments' => [{ containerID => 'Pod_1',
		ifname => 'eth0' }] }))[0], 0, 'GC that knows them all');
is_deeply([sort @{ attachments() }], ['opensandbox/eth0', 'other/net1'],
    '  detaches nothing');
is((plugin('GC', $ours, config => { name => 'other',
	'cni.dev/valid-attachments' => [{ containerID => 'Pod_1',
		ifname => 'eth0' }, { containerID => 'Pod_2', ifname => 'net1' }]
	}))[0], 0, 'GC of the other network, which knows none of them');
is_deeply(attachments(), ['opensandbox/eth0'], '  detaches what is left over');
ok(guarded(), '  and opens nothing');

for my $netns ("/run/netns/$pod", '') {
	my $name = $netns ? 'DEL' : 'DEL without a namespace';
	is((plugin('ADD', $ours, config => $annotated))[0], 0, 'ADD')
	    if !$netns;
	is((plugin('DEL', $ours, env => { CNI_NETNS => $netns }))[0], 0, $name);
	ok(table() && status(GOOD) == 7, '  leaves nothing open');
	is((record('pod-1'))[0], 404, '  and the agent forgets it');
}
is((plugin('DEL', $ours))[0], 0, 'DEL again is well too');
($status, $error) = plugin('CHECK', $ours, config => { prevResult => $made });
is($error->{code}, 3, 'CHECK misses it');
is((plugin('DEL', $bridge))[0], 0, 'the bridge takes its network down');
stop($agent);
($status, $error) = plugin('STATUS', $ours, config => { cniVersion => '1.1.0' });
is($error->{code}, 51, 'STATUS without an agent');
