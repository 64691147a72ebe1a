# SPDX-License-Identifier: Apache-2.0
package KubeServer;

# Kubernetes' own server of custom resources over etcd, as t/kubernetes/build.sh
# has built it: what a test says to it is what it says to the one of Kube.pm,
# as far as a real server can be told.

use strict;
use warnings;
use parent 'Kube';
use Carp qw(croak);
use IPC::Open2 qw(open2);
use JSON::PP;
use Harness qw(scratch root run capture free_port wait_for write_file read_file
    python);

my $json = JSON::PP->new->canonical->utf8;
my $count = 0;
my %group = (batchsandboxes => 'sandbox.opensandbox.io/v1alpha1',
    sandboxes => 'agents.x-k8s.io/v1beta1');
my %kind = (batchsandboxes => 'BatchSandbox', sandboxes => 'Sandbox');

# KubeServer->new(flag...): etcd, the server with these flags, and the
# definitions of both resources. Its "own" token is for our calls alone.
sub new
{
	my ($class, @flags) = @_;
	my $folder = scratch() . '/server' . ++$count;
	mkdir $folder or croak "$folder: $!";
	my $self = bless { folder => $folder, number => $count, port => free_port(),
	    etcd_port => free_port(), peer_port => free_port(),
	    token => "token-$count", own => "own-$count", flags => \@flags },
	    $class;
	$self->{url} = "https://127.0.0.1:$self->{port}";

	$self->tokens({ $self->{token} => 'admin' });
	$self->start_etcd;
	$self->start_server;
	symlink 'pki/apiserver.crt', "$folder/ca.crt";
	$self->service_account;
	$self->define($_) for keys %group;
	return $self;
}

# Progress told as often as the API server wants it for bookmarks.
sub start_etcd
{
	my ($self) = @_;
	my ($client, $peer) = map { "http://127.0.0.1:$_" }
	    @$self{qw(etcd_port peer_port)};

	$self->{etcd} = Harness::start(name => "etcd$self->{number}", cmd => [
	    root() . '/build/kubernetes/root/usr/bin/etcd',
	    '--data-dir', "$self->{folder}/etcd", '--unsafe-no-fsync',
	    '--listen-client-urls', $client, '--advertise-client-urls', $client,
	    '--listen-peer-urls', $peer, '--initial-advertise-peer-urls', $peer,
	    '--initial-cluster', "default=$peer", '--log-level', 'warn',
	    '--experimental-watch-progress-notify-interval', '5s']);
	wait_for(sub {
		my ($status) = capture('curl', '-fs', '-m', '5', "$client/health");
		return $status == 0;
	}, 60) or croak 'etcd did not start: '
	    . read_file(scratch() . "/etcd$self->{number}.log");
}

sub start_server
{
	my ($self) = @_;
	my $folder = $self->{folder};

	$self->{server} = Harness::start(name => "crdserver$self->{number}", cmd => [
	    root() . '/build/kubernetes/crdserver',
	    '--etcd-servers', "http://127.0.0.1:$self->{etcd_port}",
	    '--bind-address', '127.0.0.1', '--secure-port', $self->{port},
	    '--cert-dir', "$folder/pki", '--token-auth-file', "$folder/tokens",
	    @{ $self->{flags} }]);
	wait_for(sub {
		my (undef, $said) = capture('curl', '-ks', '-m', '5', '-H',
		    "Authorization: Bearer $self->{own}", "$self->{url}/readyz");
		return $said eq 'ok';
	}, 60) or croak 'crdserver did not start: ' . $self->log;
}

sub stop_server
{
	my ($self, $signal) = @_;
	Harness::stop($self->{server}, $signal);
}

sub stop_etcd
{
	my ($self, $signal) = @_;
	Harness::stop($self->{etcd}, $signal);
}

sub log
{
	my ($self) = @_;
	return read_file(scratch() . "/crdserver$self->{number}.log");
}

# What the definition describes is served once its list is.
sub define
{
	my ($self, $resource) = @_;
	my $yaml = read_file(root() . "/t/kubernetes/$resource.yaml");

	my ($answer) = $self->steps([[$self->{own}, 'POST',
	    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
	    'application/yaml', $yaml]]);
	$answer->[0][0] == 201 or croak "$resource: @{ $answer->[0] }";
	wait_for(sub {
		my ($list) = $self->steps([$self->get("/apis/$group{$resource}/$resource")]);
		return $list->[0][0] == 200;
	}, 30) or croak "$resource: not served";
}

# Steps as client.py takes them; an array of the calls' answers for each.
sub steps
{
	my ($self, @steps) = @_;

	if (!$self->{client}) {
		$self->{client} = [];
		open2(@{ $self->{client} }[0, 1], python(),
		    root() . '/t/kubernetes/client.py', $self->{url},
		    "$self->{folder}/pki/apiserver.crt");
	}
	my ($from, $to) = @{ $self->{client} };
	print $to $json->encode(\@steps), "\n";
	$to->flush;
	my $line = <$from>;
	defined $line or croak 'client.py: no answer';
	return @{ $json->decode($line) };
}

sub get
{
	my ($self, $path) = @_;
	return [$self->{own}, 'GET', $path, undef, undef];
}

# The document at a path, undef if there is none.
sub document
{
	my ($self, $path) = @_;
	my ($answer) = $self->steps([$self->get($path)]);
	return $answer->[0][0] == 200 ? $json->decode($answer->[0][1]) : undef;
}

# The calls that make an object, or change it: its status is a resource of its
# own, and written after the rest.
sub put_calls
{
	my ($self, $resource, $key, $object) = @_;
	my ($namespace, $name) = split m{/}, $key;
	my $path = "/apis/$group{$resource}/namespaces/$namespace/$resource/$name";
	my %object = (%$object, apiVersion => $group{$resource},
	    kind => $kind{$resource},
	    metadata => { %{ $object->{metadata} }, name => $name });
	my $status = delete $object{status};

	return ([$self->{own}, 'PATCH', "$path?fieldManager=test&force=true",
	    'application/apply-patch+yaml', $json->encode(\%object)],
	    [$self->{own}, 'PATCH', "$path/status", 'application/merge-patch+json',
	    $json->encode({ status => $status })]);
}

sub delete_calls
{
	my ($self, $resource, $key) = @_;
	my ($namespace, $name) = split m{/}, $key;
	return [$self->{own}, 'DELETE',
	    "/apis/$group{$resource}/namespaces/$namespace/$resource/$name",
	    undef, undef];
}

# change(['put', resource, key, object] or ['delete', resource, key]...): side
# by side. Dies where one fails.
sub change
{
	my ($self, @changes) = @_;
	my @steps;

	for my $change (@changes) {
		my ($what, @of) = @$change;
		push @steps, [$what eq 'put' ? $self->put_calls(@of)
		    : $self->delete_calls(@of)];
	}
	for my $answers ($self->steps(@steps)) {
		for my $answer (@$answers) {
			$answer->[0] =~ /^2/ or croak "change: @$answer";
		}
	}
}

sub put
{
	my ($self, @of) = @_;
	return $self->change(['put', @of]);
}

sub delete
{
	my ($self, @of) = @_;
	return $self->change(['delete', @of]);
}

# The revision of now.
sub revision
{
	my ($self) = @_;
	return $self->document("/apis/$group{batchsandboxes}/batchsandboxes?limit=1")
	    ->{metadata}{resourceVersion};
}

# etcd forgets how the present came to be.
sub compact
{
	my ($self) = @_;
	run('curl', '-fsS', '-m', '20',
	    "http://127.0.0.1:$self->{etcd_port}/v3/kv/compaction", '-d',
	    $json->encode({ revision => $self->revision, physical => \1 }));
}

# Which tokens count from now on, beside our own: token => 'admin' or 'nobody'.
sub tokens
{
	my ($self, $users) = @_;
	my $file = "$self->{folder}/tokens";
	my %users = (%$users, $self->{own} => 'admin');

	write_file("$file.new", join '', map {
		"$_,$users{$_},$users{$_},\"" . ($users{$_} eq 'admin'
		    ? 'system:masters' : '') . "\"\n"
	} keys %users);
	rename "$file.new", $file or croak "$file: $!";
}

1;
