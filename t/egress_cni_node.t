# SPDX-License-Identifier: Apache-2.0
#
# A node of a cluster, which has nothing of ours: conf/cni/install-cni gives its
# runtime the plugin with all that it needs and puts its entry into the list that
# the runtime takes. With "namespaces" other pods are left alone, agent or no
# agent, unless they have a policy of their own.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;

my $program = build_dir() . '/egress-sidecar';
my $dir = scratch();
my ($bin, $conf) = ("$dir/bin", "$dir/net.d");
my $pod = netns('pod');
my $host = netns('host');
my %list = (cniVersion => '1.0.0', name => 'net', plugins => [
	{ type => 'calico', ipam => { type => 'calico-ipam' } },
	{ type => 'portmap', capabilities => { portMappings => JSON::PP::true } }]);
my %entry = (type => 'opensandbox-egress', agentSocket => agent_socket(),
    capabilities => { 'io.kubernetes.cri.pod-annotations' => JSON::PP::true },
    namespaces => ['sandboxes', 'more'],
    policy => { egress => [{ action => 'allow', target => 'default.test' }] });

mkdir $_ for $bin, $conf;
sub list_of { decode_json(read_file("$conf/$_[0]")) }
sub install
{
	my (%o) = @_;
	write_file("$dir/entry.json", encode_json({ %entry, %o }));
	return capture('sh', root() . '/conf/cni/install-cni', $bin, $conf,
	    "$dir/entry.json", $program);
}

my ($status, $said) = install();
is($status, 1, 'without a list there is nothing to be put into');
like($said, qr/\.conflist/, '  which is said');
write_file("$conf/10-net.conflist", encode_json(\%list));
write_file("$conf/20-other.conflist", encode_json({ %list, name => 'other' }));
write_file("$conf/.1-hidden.conflist", '{');
chmod 0640, "$conf/10-net.conflist";
($status, $said) = install();
is($status, 0, 'the plugin is installed') or diag $said;
is_deeply(list_of('10-net.conflist'), { %list,
	plugins => [@{ $list{plugins} }, \%entry] },
    '  and behind the others in the first list');
is(sprintf('%o', (stat "$conf/10-net.conflist")[2] & 0777), '640',
    '  whose mode stays');
is_deeply(list_of('20-other.conflist'), { %list, name => 'other' },
    '  and no other one is touched');
($status, $said) = install();
is($status, 0, 'again');
like($said, qr/as it was/, '  it is as it was');
my %changed = (namespaces => ['sandboxes']);
is((install(%changed))[0], 0, 'with another entry');
is_deeply(list_of('10-net.conflist')->{plugins},
    [@{ $list{plugins} }, { %entry, %changed }], '  that takes its place');
my @versions = glob("$bin/opensandbox-[0-9]*");
is(scalar @versions, 1, 'one version is there');
mkdir "$bin/opensandbox-1";
install(%changed);
ok(!-e "$bin/opensandbox-1", '  an older one goes');

write_file("$conf/10-net.conflist", '{"plugins":[]}');
is((install())[0], 1, 'a list without plugins is left alone');
write_file("$conf/10-net.conflist", '{');
($status, $said) = install();
is($status, 1, '  and so is what is no JSON');
like($said, qr/10-net\.conflist/, '  which is said');
is(read_file("$conf/10-net.conflist"), '{', '  and stays');
is((capture($program, 'cni-entry', "$dir/entry.json"))[0], 2, 'wrong usage');

# The node has a shell, and not one library.
my $root = "$dir/root";
my $busybox = '/usr/bin/busybox';
mkdir $_ for $root, "$root/bin", "$root/dev", "$root/opt";
run('cp', $busybox, "$root/bin/sh");
run('cp', '-r', $bin, "$root/opt/bin");
local $ENV{CNI_COMMAND} = 'VERSION';
SKIP: {
	skip 'it has no /proc, which the leak checker wants', 2
	    if build_dir() =~ m{/san\b};
	($status, $said) = capture('chroot', $root, '/bin/sh', '-c',
	    'echo "{\"cniVersion\":\"1.0.0\"}" | /opt/bin/opensandbox-egress');
	is($status, 0, 'the plugin runs on a node without libraries') or diag $said;
	like($said, qr/"supportedVersions"/, '  and answers');
}

# Whom it guards
sub plugin
{
	my ($command, $namespace, %o) = @_;
	my %config = (cniVersion => '1.0.0', name => 'net', %entry,
	    prevResult => { cniVersion => '1.0.0', ips => [] },
	    runtimeConfig => { 'io.kubernetes.cri.pod-annotations' =>
		$o{annotation} ? { 'opensandbox.io/egress-policy' =>
		    $o{annotation} } : {} }, %{ $o{config} || {} });
	my $file = write_file("$dir/stdin", encode_json(\%config));
	local @ENV{qw(CNI_COMMAND CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH)}
	    = ($command, 'c0ffee', "/run/netns/$pod", 'eth0', '/');
	local $ENV{CNI_ARGS} = 'K8S_POD_NAME=p'
	    . (defined $namespace ? ";K8S_POD_NAMESPACE=$namespace" : '');
	my ($status, $out) = capture('sh', '-c', 'exec "$0" <"$1" 2>&1',
	    "$bin/opensandbox-egress", $file);
	return ($status, scalar eval { decode_json($out) } // $out);
}
sub table { run_in($pod, 'nft', 'list', 'tables') =~ /inet opensandbox/ }

($status, my $result) = plugin('ADD', 'kube-system');
is($status, 0, 'without an agent a pod of another namespace starts');
is_deeply($result, { cniVersion => '1.0.0', ips => [] },
    '  with what the plugins before made');
is((plugin($_, 'kube-system'))[0], 0, "  $_") for qw(CHECK DEL STATUS);
isnt((plugin('ADD', 'sandboxes'))[0], 0, '  one of a sandbox does not');
isnt((plugin('ADD', undef))[0], 0, '  nor one of no known namespace');
isnt((plugin('ADD', 'kube-system', annotation => '{}'))[0], 0,
    '  nor one with a policy of its own');
isnt((plugin('STATUS', 'x', config => { namespaces => undef }))[0], 0,
    '  a namespaces that is no list is a mistake');
my $agent = agent($host, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });
is((plugin('ADD', 'kube-system'))[0], 0, 'with an agent it starts as well');
ok(!table(), '  and is not touched');
is_deeply((ask('GET', '/v1/sandboxes'))[1], { sandboxes => [] },
    '  nor known');
is((plugin('ADD', 'more'))[0], 0, 'one of a sandbox starts');
ok(table(), '  and is closed');
is((ask('GET', '/v1/sandboxes/c0ffee'))[1]{policy}{egress}[0]{target},
    'default.test', '  but for the default');
is((plugin('CHECK', 'more'))[0], 0, '  CHECK');
is((plugin('DEL', 'more'))[0], 0, '  DEL');
ok(table(), '  opens nothing');
stop($agent);
done_testing();
