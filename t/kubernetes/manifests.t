# SPDX-License-Identifier: Apache-2.0
#
# conf/kubernetes as kustomize makes it and conf/helm as helm renders it, with
# its defaults and with each switch: every object is held to the API's schemas,
# unknown keys included, and the set holds together.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use Harness;
use Manifests;

my $tools = root() . '/build/kubernetes/tools';
my $chart = root() . '/conf/helm/opensandbox-network';
my $dir = scratch();
local @ENV{qw(HELM_CACHE_HOME HELM_CONFIG_HOME HELM_DATA_HOME)} =
    map { "$dir/$_" } qw(cache config data);

sub render
{
	my (@values) = @_;
	my $n = 0;
	my @files = map { ('-f', write_file($dir . '/values' . ++$n . '.json',
		encode_json($_))) } @values;
	return capture("$tools/bin/helm", 'template', 'net', $chart, '-n', 'osb',
	    @files);
}

# What the schemas have against the objects: (status, lines).
sub judge
{
	my (@objects) = @_;
	my $file = write_file("$dir/objects.json", encode_json(\@objects));
	return capture('sh', '-c', 'exec node "$0" "$1" <"$2" 2>&1',
	    root() . '/t/kubernetes/tools/validate.js', $tools, $file);
}

sub holds
{
	my ($name, @objects) = @_;
	my ($status, $out) = judge(@objects);

	is($status, 0, "$name: as the schemas want it") or diag $out;
	is_deeply([faults(@objects, { kind => 'Namespace',
		metadata => { name => 'osb' } })], [], '  and together');
}

# Plain manifests
my ($status, $out) = capture("$tools/bin/kubectl", 'kustomize',
    root() . '/conf/kubernetes');
is($status, 0, 'kustomize takes the set') or diag $out;
my @plain = manifests($out);
holds('the set', @plain);
($status, $out) = judge(manifests(read_file(root()
    . '/conf/kubernetes/sandbox.yaml')));
is($status, 0, 'the pod with a sidecar: as the schemas want it') or diag $out;

# That mistakes are found
for my $case (
	['a key that is not known', qr{containers/0/imagePullPolicies: unknown},
		sub { $_[0]{spec}{template}{spec}{containers}[0]
		    {imagePullPolicies} = 'x' }],
	['a number in quotes', qr{minReadySeconds: type}, sub {
		$_[0]{spec}{minReadySeconds} = '2' }],
	['what must be there', qr{spec: required.*selector}, sub {
		delete $_[0]{spec}{selector} }],
	['a kind that there is not', qr{no schema of apps/v2}, sub {
		$_[0]{apiVersion} = 'apps/v2' }],
) {
	my ($name, $like, $change) = @$case;
	my ($object) = grep { $_->{kind} eq 'Deployment' }
	    @{ decode_json(encode_json(\@plain)) };
	$change->($object);
	($status, $out) = judge($object);
	is($status, 1, "a mistake is found: $name");
	like($out, $like, '  and named');
}

# The chart
($status, $out) = capture("$tools/bin/helm", 'lint', '--strict', $chart);
is($status, 0, 'helm lint') or diag $out;
($status, $out) = render();
is($status, 0, 'the chart, with its defaults') or diag $out;
my @default = manifests($out);
holds('  it', @default);

# It says what the plain manifests say.
sub shape
{
	my ($component, @objects) = @_;
	my ($pod) = grep { $_->[0] =~ m{/opensandbox-$component\z|/net-$component\z} }
	    pods(@objects);
	my %shape;
	for my $container (containers($pod->[3])) {
		my %c = %$container;
		delete @c{qw(image imagePullPolicy livenessProbe readinessProbe)};
		$c{args} = [grep { !/^--log-level/ } @{ $c{args} // [] }];
		$c{ports} //= [];
		$shape{ $c{name} } = \%c;
	}
	return { containers => \%shape,
	    volumes => [sort map { $_->{name} } @{ $pod->[3]{volumes} }],
	    map { $_ => $pod->[3]{$_} } qw(hostNetwork dnsPolicy
	    priorityClassName tolerations terminationGracePeriodSeconds) };
}
is_deeply(shape($_, @default), shape($_, @plain),
    "  its $_ is that of conf/kubernetes") for qw(gateway agent);
sub data
{
	my ($key, @objects) = @_;
	return grep { defined } map { ($_->{data} // {})->{$key} } @objects;
}
my ($nginx, $plain_nginx) = map { s/^\s*#.*\n|^\n//mgr }
    map { data('nginx.conf', @$_) } \@default, \@plain;
is($nginx, $plain_nginx, '  and so is its nginx.conf');
my ($entry, $plain_entry) = map { decode_json($_) }
    map { data('entry.json', @$_) } \@default, \@plain;
is_deeply($entry, $plain_entry, '  and its entry for CNI lists');

my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my @switches = (
	['registry and tag', { image => { registry => 'r.example/x/', tag => '1',
		pullPolicy => 'Always', pullSecrets => [{ name => 'r' }] } },
		sub { !grep { $_->{image} !~ m{^r\.example/x/opensandbox-\w+:1\z} }
		    map { containers($_->[3]) } pods(@_) }],
	['several namespaces', { sandboxes => { namespaces => ['a', 'b'] } },
		sub { 4 == grep { $_->{kind} eq 'Role' } @_ }],
	['namespaces that are there', { sandboxes => {
		createNamespaces => $no } }, sub {
		!grep { $_->{kind} eq 'Namespace' } @_ }, 'opensandbox-sandboxes'],
	['sandboxes open to all', { sandboxes => { networkPolicy => $no } },
		sub { 1 == grep { $_->{kind} eq 'NetworkPolicy' } @_ }],
	['other kinds of sandboxes', { sandboxes => {
		providerTypes => ['batchsandbox', 'agent-sandbox'] } }, sub {
		my ($role) = grep { $_->{kind} eq 'Role'
		    && $_->{metadata}{name} eq 'net-gateway' } @_;
		my @got = map { [@$_{qw(apiGroups resources)}] } @{ $role->{rules} };
		return encode_json(\@got) eq '[[["sandbox.opensandbox.io"],'
		    . '["batchsandboxes"]],[["agents.x-k8s.io"],["sandboxes"]]]' }],
	['no gateway', { gateway => { enabled => $no } },
		sub { !grep { $_->{kind} eq 'Deployment' } @_ }],
	['no agent', { agent => { enabled => $no } },
		sub { !grep { $_->{kind} eq 'DaemonSet' } @_ }],
	['no autoscaling', { gateway => { replicas => 3,
		autoscaling => { enabled => $no } } }, sub {
		my ($d) = grep { $_->{kind} eq 'Deployment' } @_;
		return $d->{spec}{replicas} == 3
		    && !grep { $_->{kind} =~ /Autoscaler/ } @_ }],
	['autoscaling by requests', { gateway => { autoscaling => { metrics => [{
		type => 'Pods', pods => { metric => { name => 'requests' },
		target => { type => 'AverageValue', averageValue => '500' } } }] } } },
		sub { my ($h) = grep { $_->{kind} =~ /Autoscaler/ } @_;
		    2 == @{ $h->{spec}{metrics} } }],
	['no budget', { gateway => { podDisruptionBudget => { enabled => $no } } },
		sub { !grep { $_->{kind} eq 'PodDisruptionBudget' } @_ }],
	['a budget in percent', { gateway => { podDisruptionBudget => {
		maxUnavailable => '25%' } } }, sub { my ($b) = grep {
		$_->{kind} eq 'PodDisruptionBudget' } @_;
		$b->{spec}{maxUnavailable} eq '25%' }],
	['no network policy', { gateway => { networkPolicy => { enabled => $no } } },
		sub { 1 == grep { $_->{kind} eq 'NetworkPolicy' } @_ }],
	['clients from outside, no monitoring', { gateway => { networkPolicy => {
		from => [{ ipBlock => { cidr => '192.0.2.0/24' } }],
		monitoringNamespace => '' } } }, sub { 1 == map {
		@{ $_->{spec}{ingress} } } grep { $_->{kind} eq 'NetworkPolicy'
		&& $_->{metadata}{name} eq 'net-gateway' } @_ }],
	['an ingress', { gateway => { ingress => { enabled => $yes,
		className => 'nginx', annotations => { a => 'b' },
		tls => [{ secretName => 't', hosts => ['s.example'] }] } } },
		sub { grep { $_->{kind} eq 'Ingress' } @_ }],
	['a load balancer', { gateway => { service => { type => 'LoadBalancer',
		port => 8080, annotations => { a => 'b' } } } }, sub {
		my ($s) = grep { $_->{kind} eq 'Service' } @_;
		$s->{spec}{type} eq 'LoadBalancer' }],
	['lines of nginx.conf', { gateway => { mode => 'any prefix=/s',
		workers => 4, zone => '8m', extraHttp => "server_tokens off;\n",
		extraServer => "client_max_body_size 1g;\nclient_body_timeout 5s;\n" } },
		sub { grep { /client_body_timeout 5s;/ } data('nginx.conf', @_) }],
	['where pods go', { gateway => { nodeSelector => { a => 'b' },
		tolerations => [{ operator => 'Exists' }], affinity => {
		podAntiAffinity => {} }, priorityClassName => 'high',
		podAnnotations => { a => 'b' } }, agent => { podAnnotations => {
		a => 'b' }, priorityClassName => '', tolerations => [],
		nodeSelector => { 'kubernetes.io/os' => undef, a => 'b' } } },
		sub { 2 == grep { ($_->[3]{nodeSelector}{a} // '') eq 'b' } pods(@_) }],
	['no annotations', { agent => { annotations => $no } }, sub {
		my ($d) = grep { $_->{kind} eq 'DaemonSet' } @_;
		return 1 == @{ $d->{spec}{template}{spec}{containers} }
		    && !grep { /capabilities/ } data('entry.json', @_) }],
	['no installation', { agent => { cni => { install => $no } } }, sub {
		my ($d) = grep { $_->{kind} eq 'DaemonSet' } @_;
		!$d->{spec}{template}{spec}{initContainers} }],
	['variables', { agent => { env => [{ name =>
		'OPENSANDBOX_EGRESS_DNS_UPSTREAM', value => '10.0.0.2' }] },
		discovery => { logLevel => 'debug', extraArgs => ['--watch-timeout=60'] } },
		sub { 1 }],
	['the example', { example => { enabled => $yes } },
		sub { grep { $_->{kind} eq 'Pod' } @_ }],
);
for my $case (@switches) {
	my ($name, $values, $check, @there) = @$case;
	($status, $out) = render($values);
	is($status, 0, "with $name") or diag($out), next;
	my @objects = manifests($out);
	ok($check->(@objects), '  it is so');
	holds('  it', @objects, map { { apiVersion => 'v1', kind => 'Namespace',
	    metadata => { name => $_ } } } @there);
}
($status, $out) = render({ gateway => { accessKeysSecret => 'keys' } });
is($status, 0, 'with access keys');
holds('  it', manifests($out), { apiVersion => 'v1', kind => 'Secret',
    metadata => { name => 'keys', namespace => 'osb' } });

# Values that make no sense
for my $case (
	[{ gateway => { worker => 2 } }, qr/worker/],
	[{ sandboxes => { namespaces => [] } }, qr/namespaces/],
	[{ sandboxes => { providerTypes => ['pods'] } }, qr/providerTypes/],
	[{ gateway => { zone => 'big' } }, qr/zone/],
	[{ gateway => { mode => 'any; }' } }, qr/mode/],
	[{ agent => { cni => { binDir => 'bin' } } }, qr/binDir/],
) {
	my ($values, $like) = @$case;
	($status, $out) = render($values);
	isnt($status, 0, 'refused: ' . encode_json($values));
	like($out, $like, '  by name');
}
done_testing();
