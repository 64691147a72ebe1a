# SPDX-License-Identifier: Apache-2.0
package KubeFeed;

# opensandbox-discovery that watches an API server and feeds a gateway, which is
# t/tools/fake_gateway.py: what reaches a gateway is what it was sent.
#
#	my $feed = KubeFeed->new($kube, '--provider-type', 'pod');
#	ok($feed->has('sb-1' => { endpoint => '10.0.0.1' }), 'it is fed');

use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Harness qw(start build_dir scratch free_port wait_for wait_port
    read_file python tool);

my $http = HTTP::Tiny->new(timeout => 20);
my $count = 0;

# It is told of the server by a kubeconfig with a token, unless that or
# --kubernetes is among the options. First of them may be a hash: wrap => [a
# command before the program's], env => {...}.
sub new
{
	my ($class, $kube, @options) = @_;
	my %o = ref $options[0] ? %{ shift @options } : ();
	my $self = bless { port => free_port(), http => '127.0.0.1:' . free_port(),
	    log => scratch() . '/feed' . ++$count . '.log' }, $class;

	$self->{gateway} = start(name => "gateway$count", cmd => [python(), '-B',
	    tool('fake_gateway.py'), $self->{port}, scratch() . "/requests$count"]);
	wait_port($self->{port}) or die 'the gateway does not listen';
	push @options, '--kubeconfig', $kube->kubeconfig
	    if !grep { $_ eq '--kubeconfig' || $_ eq '--kubernetes' } @options;
	$self->{pid} = start(name => "feed$count", log => $self->{log},
	    env => $o{env}, cmd => [@{ $o{wrap} // [] },
	    build_dir() . '/opensandbox-discovery', @options, '--gateway',
	    "http://127.0.0.1:$self->{port}", '--http-addr', $self->{http}]);
	return $self;
}

sub stop
{
	my ($self) = @_;
	Harness::stop($_) for $self->{pid}, $self->{gateway};
}

# What the gateway has: id => record.
sub records
{
	my ($self) = @_;
	my $answer = $http->put("http://127.0.0.1:$self->{port}/control",
	    { content => '{}' });
	return decode_json($answer->{content})->{records};
}

# Waits until the gateway has these ids, and no other.
sub serves
{
	my ($self, @ids) = @_;
	my $want = join ' ', sort @ids;
	return wait_for(sub { join(' ', sort keys %{ $self->records }) eq $want }, 30);
}

# Waits until the gateway has a record of an id with these members; undef: none.
sub has
{
	my ($self, $id, $want) = @_;
	return wait_for(sub {
		my $record = $self->records->{$id};
		return !$record if !$want;
		return $record && !grep { !same($record->{$_}, $want->{$_}) } keys %$want;
	}, 30);
}

sub same
{
	my ($a, $b) = @_;
	my $json = JSON::PP->new->canonical->allow_nonref;
	return $json->encode($a) eq $json->encode($b);
}

# The page of metrics.
sub metrics
{
	my ($self) = @_;
	return $http->get("http://$self->{http}/metrics")->{content};
}

# The log lines of an event.
sub logged
{
	my ($self, $event) = @_;
	return map { decode_json($_) } grep { /"event":"discovery\.$event"/ }
	    split /\n/, read_file($self->{log});
}

# How many times a resource was listed.
sub listings
{
	my ($self, $list) = @_;
	return scalar grep { $_->{list} eq $list } $self->logged('listed');
}

# Waits until a failure was logged whose error is like that.
sub fails
{
	my ($self, $pattern) = @_;
	return wait_for(sub { grep { ($_->{error} // '') =~ $pattern }
	    $self->logged('failed') }, 30);
}

sub health
{
	my ($self) = @_;
	return $http->get("http://$self->{http}/healthz");
}

# Waits until it is healthy.
sub healthy
{
	my ($self) = @_;
	return wait_for(sub { $self->health->{status} == 200 }, 30);
}

1;
