# SPDX-License-Identifier: Apache-2.0
package Manifests;

# Kubernetes objects, and what in a set of them does not hold together.
#
#	my @objects = manifests(read_file('gateway.yaml'));
#	is_deeply([faults(@objects)], [], 'nothing is missing');

use strict;
use warnings;
use Exporter 'import';
use Harness;
use JSON::PP;

our @EXPORT = qw(manifests faults pods containers);

# The objects in YAML texts.
sub manifests
{
	my (@texts) = @_;
	my @objects;

	for my $text (@texts) {
		my $file = write_file(scratch() . '/manifests.yaml', $text);
		my ($failed, $json) = capture(python(), '-c', 'import json, sys, '
		    . 'yaml; print(json.dumps([d for d in yaml.safe_load_all('
		    . 'open(sys.argv[1])) if d]))', $file);
		die $json if $failed;
		push @objects, @{ decode_json($json) };
	}
	return @objects;
}

sub name_of
{
	my ($object) = @_;
	my $metadata = $object->{metadata};
	return join '/', $object->{kind}, $metadata->{namespace} // (),
	    $metadata->{name};
}

# What is run: [whose, namespace, labels, spec] of each pod or template.
sub pods
{
	my (@objects) = @_;
	my @pods;

	for my $object (@objects) {
		my $template = $object->{kind} eq 'Pod' ? $object
		    : $object->{spec} && ref $object->{spec} eq 'HASH'
		    ? $object->{spec}{template} : undef;
		push @pods, [name_of($object), $object->{metadata}{namespace} // '',
		    $template->{metadata}{labels} // {}, $template->{spec}]
		    if $template;
	}
	return @pods;
}

sub containers
{
	my ($spec) = @_;
	return (@{ $spec->{initContainers} // [] }, @{ $spec->{containers} });
}

sub selects
{
	my ($wanted, $labels) = @_;
	return !grep { ($labels->{$_} // '') ne $wanted->{$_} } keys %$wanted;
}

# Those that a selector names in a namespace.
sub selected
{
	my ($wanted, $namespace, @pods) = @_;
	return grep { $_->[1] eq ($namespace // '') && selects($wanted, $_->[2]) }
	    @pods;
}

sub port_names
{
	my ($spec) = @_;
	return map { $_->{name} // (), $_->{containerPort} }
	    map { @{ $_->{ports} // [] } } containers($spec);
}

# What a pod asks for that it or the set does not have.
sub pod_faults
{
	my ($pod, $has) = @_;
	my ($whose, $namespace, undef, $spec) = @$pod;
	my %volumes = map { $_->{name} => $_ } @{ $spec->{volumes} // [] };
	my (@faults, %mounted);

	for my $container (containers($spec)) {
		my $name = "$whose, $container->{name}";
		my %ports = map { $_->{name} // '' => 1, $_->{containerPort} => 1 }
		    @{ $container->{ports} // [] };
		for my $mount (@{ $container->{volumeMounts} // [] }) {
			$mounted{ $mount->{name} } = 1;
			push @faults, "$name: no volume $mount->{name}"
			    if !$volumes{ $mount->{name} };
		}
		for my $probe (qw(startupProbe readinessProbe livenessProbe)) {
			my $check = $container->{$probe} or next;
			my ($at) = grep { $_ } @{$check}{qw(httpGet tcpSocket)};
			push @faults, "$name: $probe: no port $at->{port}"
			    if $at && !$ports{ $at->{port} } && !$spec->{hostNetwork};
		}
	}
	push @faults, map { "$whose: volume $_ is not mounted" }
	    grep { !$mounted{$_} } sort keys %volumes;
	for my $volume (values %volumes) {
		for my $kind (qw(configMap secret)) {
			my $from = $volume->{$kind} or next;
			my $name = $from->{name} // $from->{secretName};
			push @faults, "$whose: no $kind $name"
			    if !$has->{ucfirst($kind) . "/$namespace/$name"}
			    && !$from->{optional};
		}
	}
	push @faults, "$whose: no service account $spec->{serviceAccountName}"
	    if $spec->{serviceAccountName}
	    && !$has->{"ServiceAccount/$namespace/$spec->{serviceAccountName}"};
	return @faults;
}

my %checks = (
	Deployment => \&workload_faults,
	DaemonSet => \&workload_faults,
	Service => \&service_faults,
	PodDisruptionBudget => sub {
		my ($object, $has, @pods) = @_;
		return selected($object->{spec}{selector}{matchLabels},
		    $object->{metadata}{namespace}, @pods) ? () : 'selects nothing';
	},
	NetworkPolicy => \&policy_faults,
	HorizontalPodAutoscaler => sub {
		my ($object, $has) = @_;
		my $target = $object->{spec}{scaleTargetRef};
		my $name = "$target->{kind}/$object->{metadata}{namespace}/"
		    . $target->{name};
		return $has->{$name} ? () : "no $name";
	},
	RoleBinding => \&binding_faults,
	ClusterRoleBinding => \&binding_faults,
);

sub workload_faults
{
	my ($object) = @_;
	my $spec = $object->{spec};
	return selects($spec->{selector}{matchLabels},
	    $spec->{template}{metadata}{labels}) ? ()
	    : 'its selector is not its template\'s';
}

sub service_faults
{
	my ($object, $has, @pods) = @_;
	my ($pod) = selected($object->{spec}{selector},
	    $object->{metadata}{namespace}, @pods);
	return 'selects nothing' if !$pod;
	my %ports = map { $_ => 1 } port_names($pod->[3]);
	return map { "no port $_" } grep { !$ports{$_} }
	    map { $_->{targetPort} // $_->{port} } @{ $object->{spec}{ports} };
}

sub policy_faults
{
	my ($object, $has, @pods) = @_;
	my $wanted = $object->{spec}{podSelector}{matchLabels} or return;
	my @selected = selected($wanted, $object->{metadata}{namespace}, @pods);
	my %ports = map { $_ => 1 } map { port_names($_->[3]) } @selected;
	return 'selects nothing' if !@selected;
	return map { "no port $_" } grep { !$ports{$_} } map { $_->{port} }
	    map { @{ $_->{ports} // [] } } @{ $object->{spec}{ingress} // [] };
}

sub binding_faults
{
	my ($object, $has) = @_;
	my $role = $object->{roleRef};
	my @names = ($role->{kind} eq 'ClusterRole' ? "ClusterRole/$role->{name}"
	    : "Role/$object->{metadata}{namespace}/$role->{name}",
	    map { "$_->{kind}/$_->{namespace}/$_->{name}" }
	    @{ $object->{subjects} });
	return map { "no $_" } grep { !$has->{$_} } @names;
}

# What does not hold together, a line each.
sub faults
{
	my (@objects) = @_;
	my @pods = pods(@objects);
	my (%has, @faults);

	for my $object (@objects) {
		my $name = name_of($object);
		push @faults, "$name: twice" if $has{$name}++;
	}
	for my $object (@objects) {
		my $namespace = $object->{metadata}{namespace};
		my $name = name_of($object);
		push @faults, "$name: no namespace $namespace"
		    if defined $namespace && !$has{"Namespace/$namespace"};
		my $check = $checks{ $object->{kind} } or next;
		push @faults, map { "$name: $_" } $check->($object, \%has, @pods);
	}
	return (@faults, map { pod_faults($_, \%has) } @pods);
}

1;
