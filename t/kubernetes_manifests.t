# SPDX-License-Identifier: Apache-2.0
#
# conf/kubernetes holds together: what one object names another one is, options
# are the programs', capabilities enough, the policies and lists real. (make
# test-kubernetes holds it, and the chart, to the API's schemas.)

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use Manifests;

my $conf = root() . '/conf/kubernetes';
my ($set) = manifests(read_file("$conf/kustomization.yaml"));
my @files = @{ $set->{resources} };
my @objects = manifests(map { read_file("$conf/$_") } @files);
my %kind;
push @{ $kind{ $_->{kind} } }, $_ for @objects;
my @pods = pods(@objects);

is_deeply([sort @files, 'kustomization.yaml', 'sandbox.yaml'],
    [sort map { m{([^/]+)\z} } glob("$conf/*")], 'the set has every file');
is_deeply([faults(@objects)], [], 'it holds together');
cmp_ok(scalar @pods, '>=', 3, 'it runs a gateway, agents and an example');

# That faults() finds what is wrong
for my $case (
	[Deployment => qr/selector/, sub {
		$_[0]{spec}{template}{metadata}{labels}{app} = 'x' }],
	[Service => qr/no port/, sub { $_[0]{spec}{ports}[0]{targetPort} = 'x' }],
	[HorizontalPodAutoscaler => qr/no Deployment/, sub {
		$_[0]{spec}{scaleTargetRef}{name} = 'x' }],
	[PodDisruptionBudget => qr/selects nothing/, sub {
		$_[0]{spec}{selector}{matchLabels}{app} = 'x' }],
	[RoleBinding => qr/no Role/, sub { $_[0]{roleRef}{name} = 'x' }],
	[ConfigMap => qr/no configMap/, sub { $_[0]{metadata}{name} = 'x' }],
	[ServiceAccount => qr/no service account/i, sub {
		$_[0]{metadata}{name} = 'x' }],
	[DaemonSet => qr/no volume/, sub {
		pop @{ $_[0]{spec}{template}{spec}{volumes} } }],
	[Namespace => qr/no namespace/, sub { $_[0]{metadata}{name} = 'x' }],
) {
	my ($which, $like, $change) = @$case;
	my @copy = @{ decode_json(encode_json(\@objects)) };
	my ($object) = grep { $_->{kind} eq $which } @copy;
	$change->($object);
	like(join("\n", faults(@copy)), $like, "a fault of a $which is found");
}

# Images
my %images = map { $_->{name} => 1 } @{ $set->{images} };
my %built = map { /-t (\S+) / ? ($1 => 1) : () }
    map { read_file($_) } glob(root() . '/conf/container/*.Containerfile');
for my $pod (@pods) {
	my ($whose, undef, undef, $spec) = @$pod;
	for my $container (containers($spec)) {
		my ($image) = $container->{image} =~ /^(opensandbox-\w+):/ or next;
		ok($images{$image} && $built{$image},
		    "$whose, $container->{name}: $image can be built and renamed");
	}
}

# Security
for my $pod (@pods) {
	my ($whose, undef, undef, $spec) = @$pod;
	ok(!$spec->{automountServiceAccountToken}
	    && defined $spec->{automountServiceAccountToken},
	    "$whose: no token but where it is mounted");
	for my $container (containers($spec)) {
		my $security = $container->{securityContext};
		is_deeply([$security->{capabilities}{drop},
		    $security->{seccompProfile}{type}],
		    [['ALL'], 'RuntimeDefault'],
		    "$whose, $container->{name}: few rights");
		ok($security->{readOnlyRootFilesystem} || $whose =~ /^Pod/,
		    '  and nothing to write to');
	}
}
is_deeply([map { $_->{metadata}{name} } @{ $kind{Secret} // [] }], [],
    'no secret that all who read this know');
my ($verbs) = map { join ' ', sort @$_ } map { map { $_->{verbs} }
	@{ $_->{rules} } } @{ $kind{Role} };
is($verbs, 'list watch', 'nobody may do more than to list and watch');
is_deeply($kind{ClusterRole}, undef, '  nor anywhere else');

# Options
my %help = map { $_ => (capture(build_dir() . "/$_", '--help'))[1] }
    qw(opensandbox-discovery egress-sidecar);
my %program = (discovery => 'opensandbox-discovery', agent => 'egress-sidecar');
for my $pod (@pods) {
	for my $container (containers($pod->[3])) {
		my $program = $program{ $container->{name} } or next;
		is_deeply([grep { $help{$program} !~ /^\s+\Q$_\E[ =\[\n]/m }
		    map { /^(--[\w-]+)/ } @{ $container->{args} }], [],
		    "$pod->[0], $container->{name}: options are the program's");
	}
}

# The agent: rights, list entry, probe
my ($daemons) = map { $_->{spec}{template}{spec} } @{ $kind{DaemonSet} };
my ($agent_container) = grep { $_->{name} eq 'agent' } containers($daemons);
my ($unit) = read_file(root()
    . '/conf/systemd/opensandbox-egress-agent.service')
    =~ /^CapabilityBoundingSet=(.*)$/m;
is_deeply([sort @{ $agent_container->{securityContext}{capabilities}{add} }],
    [sort map { s/^CAP_//r } split ' ', $unit],
    'the agent has the capabilities that its unit has');
my ($entry) = map { $_->{data}{'entry.json'} } grep { $_->{data}{'entry.json'} }
    @{ $kind{ConfigMap} };
$entry = decode_json($entry);
my $host = netns('host');
my $pid = agent($host, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });
sub plugin
{
	my ($command, $namespace, $ns) = @_;
	my $file = write_file(scratch() . '/stdin', encode_json({ %$entry,
	    cniVersion => '1.0.0', name => 'net', agentSocket => agent_socket(),
	    prevResult => { cniVersion => '1.0.0', ips => [] } }));
	local @ENV{qw(CNI_COMMAND CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH
	    CNI_ARGS)} = ($command, 'c0ffee', "/run/netns/$ns", 'eth0', '/',
	    "K8S_POD_NAMESPACE=$namespace");
	return (capture('sh', '-c', 'exec "$0" cni <"$1" 2>&1',
	    build_dir() . '/egress-sidecar', $file))[0];
}
sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }
my ($sandbox, $other) = map { netns($_) } qw(sandbox other);
is(plugin('ADD', 'opensandbox-sandboxes', $sandbox), 0,
    'the entry has a pod of the sandboxes\' namespace guarded');
is(plugin('ADD', 'kube-system', $other), 0, '  and others left alone');
ok(table($sandbox) && !table($other), '  as the kernel says');
for my $probe (qw(readinessProbe livenessProbe)) {
	my @command = map { s{/usr/sbin/egress-sidecar}
	    {build_dir() . '/egress-sidecar'}er =~ s{"probe"}
	    {'"probe","agentSocket":"' . agent_socket() . '"'}er }
	    @{ $agent_container->{$probe}{exec}{command} };
	is((capture(@command))[0], 0, "its $probe finds it");
	stop($pid) if $probe eq 'livenessProbe';
	isnt((capture(@command))[0], 0, '  and misses it')
	    if $probe eq 'livenessProbe';
}

# The chart's values and version
my $chart = root() . '/conf/helm/opensandbox-network';
my ($about) = manifests(read_file("$chart/Chart.yaml"));
my ($version) = read_file(root() . '/common/version.h')
    =~ /OPENSANDBOX_VERSION "(.*)"/;
is_deeply([@$about{qw(version appVersion)}], [$version, $version],
    'the chart has the programs\' version');
my ($values) = manifests(read_file("$chart/values.yaml"));
my $schema = decode_json(read_file("$chart/values.schema.json"));
sub unlike_schema
{
	my ($values, $schema, $where) = @_;
	my $known = $schema->{properties} or return;
	return (map({ "$where$_: not in the schema" }
	        grep { !$known->{$_} } sort keys %$values),
	    map { !exists $values->{$_}
		? "$where$_: without a default"
		: ref $values->{$_} eq 'HASH'
		? unlike_schema($values->{$_}, $known->{$_}, "$where$_.") : () }
	    grep { !/^(?:global|limits|requests|claims)\z/ } sort keys %$known);
}
is_deeply([unlike_schema($values, $schema, '')], [],
    'its values are those of its schema');
my %used = map { $_ => 1 } join("\n", map { read_file($_) }
    glob("$chart/templates/*")) =~ /(?:\$[ga]|\.Values\.\w+|\$image)\.(\w+)/g;
is_deeply([grep { !$used{$_} } sort map { keys %{ $values->{$_} } }
    keys %$values], [], '  and each is used');

# The example's policy
my ($example) = grep { $_->{kind} eq 'Pod' } @objects;
write_file(scratch() . '/policy.json',
    $example->{metadata}{annotations}{'opensandbox.io/egress-policy'});
my ($status, $out) = capture(build_dir() . '/egress-sidecar', 'check',
    scratch() . '/policy.json', '--query', 'files.pythonhosted.org');
is($status, 0, 'the example\'s policy is one') or diag $out;
like($out, qr/: allow, by/, '  that allows what it says');
done_testing();
