# SPDX-License-Identifier: Apache-2.0
package Kube;

# A Kubernetes API server for tests (t/tools/kube_api.py), the certificates and
# tokens it goes by, and what a client in or outside of the cluster is given.
#
#	my $kube = Kube->new;
#	$kube->put('batchsandboxes', 'ns/name', batchsandbox('10.0.0.1'));
#	... --kubeconfig $kube->kubeconfig

use strict;
use warnings;
use Exporter 'import';
use Carp qw(croak);
use IO::Socket::UNIX;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Harness qw(scratch run free_port wait_for write_file read_file python root);

our @EXPORT = qw(batchsandbox sandbox pod);

my $json = JSON::PP->new->canonical->utf8->allow_nonref;
my $count = 0;

# The methods of Control in kube_api.py are ours; each returns what it returned.
for my $name (qw(put delete fill empty compact error event bookmark interrupt
    listen pace fail tokens forbid serve protocols requests counts)) {
	no strict 'refs';
	*{$name} = sub { my $self = shift; return $self->call($name, @_) };
}

# Kube->new: a running server, { url, port, token, folder, pid }.
sub new
{
	my ($class) = @_;
	my $folder = scratch() . '/kube' . ++$count;
	mkdir $folder or croak "$folder: $!";
	my $self = bless { folder => $folder, port => free_port(),
	    token => "token-$count-" . int rand 1e9 }, $class;
	$self->{url} = "https://127.0.0.1:$self->{port}";

	certificates($folder);
	$self->service_account;
	$self->start;
	return $self;
}

# Its certificates: "server", and two that a client must refuse: "stranger",
# of another authority, and "elsewhere", of another address. "client" is the
# administrator's.
sub certificates
{
	my ($folder) = @_;
	my @make = ('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
	    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2');

	for ('ca', 'other-ca') {
		run(@make, '-subj', "/CN=$_", '-keyout', "$folder/$_.key",
		    '-out', "$folder/$_.crt");
	}
	for (['server', 'ca', '127.0.0.1'], ['elsewhere', 'ca', '192.0.2.1'],
	    ['stranger', 'other-ca', '127.0.0.1'], ['client', 'ca', '127.0.0.1']) {
		my ($name, $ca, $address) = @$_;
		run(@make, '-subj', "/O=system:masters/CN=$name",
		    '-addext', 'basicConstraints=critical,CA:FALSE',
		    '-addext', "subjectAltName=IP:$address",
		    '-CA', "$folder/$ca.crt", '-CAkey', "$folder/$ca.key",
		    '-keyout', "$folder/$name.key", '-out', "$folder/$name.crt");
	}
}

# Starts it, as new() has done; what it knew is forgotten.
sub start
{
	my ($self) = @_;
	my $folder = $self->{folder};
	my $control = "$folder/control";

	unlink $control;
	delete $self->{control};
	$self->{pid} = Harness::start(name => "kube$count", cmd => [python(), '-B',
	    root() . '/t/tools/kube_api.py', $self->{port}, $control,
	    "$folder/server.crt", "$folder/server.key", "$folder/ca.crt",
	    $self->{token}], log => "$folder/log");
	$self->{control} = wait_for(sub {
		IO::Socket::UNIX->new(Peer => $control);
	}, 20) or croak "kube_api.py did not start: " . $self->log;
}

sub stop
{
	my ($self, $signal) = @_;
	return Harness::stop($self->{pid}, $signal);
}

sub log
{
	my ($self) = @_;
	return read_file("$self->{folder}/log");
}

# One call of its Control; returns what it returned.
sub call
{
	my ($self, @call) = @_;
	return $self->say($json->encode(\@call));
}

# The same for a call that is JSON already.
sub say
{
	my ($self, $call) = @_;
	my $control = $self->{control};

	$control->autoflush(1);
	print $control "$call\n";
	my $line = <$control>;
	defined $line or croak "kube_api.py: no answer to $call: " . $self->log;
	return $json->decode($line);
}

# New connections are met with another of its certificates, by name.
sub certificate
{
	my ($self, $name) = @_;
	my $file = "$self->{folder}/$name";
	return $self->call('certificate', "$file.crt", "$file.key");
}

# From now on this token alone counts; it is in the service account's folder
# and in the file that kubeconfig(token_file => 1) names before that.
sub rotate
{
	my ($self, $token) = @_;
	$self->{token} = $token;
	$self->service_account;
	$self->tokens({ $token => 'admin' });
}

# The folder that a pod finds its token and authority in, renewed as kubelet
# does: all files by the exchange of one symbolic link.
sub service_account
{
	my ($self) = @_;
	my $folder = "$self->{folder}/serviceaccount";
	my $data = '..' . ++$self->{renewals};

	mkdir $folder;
	mkdir "$folder/$data";
	write_file("$folder/$data/token", $self->{token});
	write_file("$folder/$data/namespace", 'default');
	write_file("$folder/$data/ca.crt", read_file("$self->{folder}/ca.crt"));
	symlink $data, "$folder/..data_tmp" or croak "..data_tmp: $!";
	rename "$folder/..data_tmp", "$folder/..data" or croak "..data: $!";
	symlink "..data/$_", "$folder/$_" for qw(token namespace ca.crt);
	return $folder;
}

# The environment of a pod in the cluster.
sub pod_env
{
	my ($self) = @_;
	return { KUBERNETES_SERVICE_HOST => '127.0.0.1',
	    KUBERNETES_SERVICE_PORT => $self->{port} };
}

# A kubeconfig's path. The user is told by the token; token_file => 1: by a
# file with it; client => 1: by a certificate. data => 1: what files hold
# stands in it. json => 1: as JSON, else as the YAML that kubectl writes.
sub kubeconfig
{
	my ($self, %o) = @_;
	my $folder = $self->{folder};
	my $file = sub {
		my ($key, $name) = @_;
		return $o{data}
		    ? ("$key-data", encode_base64(read_file("$folder/$name"), ''))
		    : ($key, "$folder/$name");
	};
	my @user = $o{client} ? ($file->('client-certificate', 'client.crt'),
		    $file->('client-key', 'client.key'))
	    : $o{token_file} ? (tokenFile => "$folder/serviceaccount/token")
	    : (token => $self->{token});
	my @cluster = ($file->('certificate-authority', 'ca.crt'),
	    server => $o{server} // $self->{url});
	my $path = "$folder/kubeconfig" . join '-', '', sort keys %o;
	return write_file($path, $o{json}
	    ? as_json({@cluster}, {@user}) : as_yaml(\@cluster, \@user));
}

sub as_json
{
	my ($cluster, $user) = @_;
	return $json->encode({ apiVersion => 'v1', kind => 'Config',
	    'current-context' => 'test',
	    contexts => [{ name => 'test', context => {
	        cluster => 'here', user => 'us', namespace => 'default' } }],
	    clusters => [{ name => 'here', cluster => $cluster }],
	    users => [{ name => 'us', user => $user }] });
}

# Beside the context in use there is one that must not be taken.
sub as_yaml
{
	my ($cluster, $user) = @_;
	my $lines = sub {
		my @pairs = @_;
		my $text = '';
		while (my ($key, $value) = splice @pairs, 0, 2) {
			$text .= "    $key: $value\n";
		}
		return $text;
	};
	return "apiVersion: v1\nclusters:\n"
	    . "- cluster:\n    server: https://192.0.2.1:6443\n  name: far\n"
	    . "- cluster:\n" . $lines->(@$cluster) . "  name: here\n"
	    . "contexts:\n"
	    . "- context:\n    cluster: far\n    user: them\n  name: away\n"
	    . "- context:\n    cluster: here\n    namespace: default\n    user: us\n"
	    . "  name: test\n"
	    . "current-context: test\nkind: Config\npreferences: {}\nusers:\n"
	    . "- name: them\n  user:\n    token: none\n"
	    . "- name: us\n  user:\n" . $lines->(@$user);
}

sub object
{
	my (%o) = @_;
	my %metadata = map { $_ => $o{$_} } grep { $o{$_} } qw(labels annotations);
	return { metadata => \%metadata, spec => $o{spec}, status => $o{status} };
}

sub condition
{
	my ($ready) = @_;
	return { type => 'Ready', status => $ready ? 'True' : 'False' };
}

# A ready BatchSandbox at an address. ready => 0; annotations, labels => {...}
sub batchsandbox
{
	my ($address, %o) = @_;
	$o{annotations}{'sandbox.opensandbox.io/endpoints'} //=
	    $json->encode([$address]);
	return object(%o, spec => { replicas => 1 },
	    status => { replicas => 1, ready => $o{ready} // 1 });
}

# A ready Sandbox; one without an address has the name => 'SERVICE' alone.
sub sandbox
{
	my ($address, %o) = @_;
	return object(%o, spec => { replicas => 1 }, status => {
		conditions => [condition($o{ready} // 1)],
		$address ? (podIPs => [$address]) : (),
		$o{name} ? (serviceFQDN => $o{name}) : () });
}

# A ready pod that is the sandbox of an id. node => 'NAME'
sub pod
{
	my ($address, $id, %o) = @_;
	$o{labels}{'opensandbox.io/id'} = $id;
	return object(%o, spec => { nodeName => $o{node} // 'node' }, status => {
		phase => 'Running', podIP => $address, podIPs => [{ ip => $address }],
		conditions => [condition($o{ready} // 1)] });
}

1;
