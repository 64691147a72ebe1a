#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of discovery take from t/tools/kube_api.py is what Kubernetes'
# own server does: both are asked the same, and say the same but for revisions,
# times and the wording for people.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP qw(decode_json);
use Test::More;
use Harness qw(start capture wait_for read_file);
use Kube;
use KubeServer;

my $boxes = '/apis/sandbox.opensandbox.io/v1alpha1/batchsandboxes';

# (status, body)
sub ask
{
	my ($kube, $target) = @_;
	my (undef, $out) = capture('curl', '-sS', '-N', '-m', '40', '--cacert',
	    "$kube->{folder}/ca.crt", '-H', "Authorization: Bearer $kube->{token}",
	    '-w', '\n%{http_code}', "$kube->{url}$target");
	my ($body, $status) = $out =~ /\A(.*)\n(\d+)\z/s or return (0, $out);
	return ($status, $body);
}

sub document
{
	my (undef, $body) = ask(@_);
	return eval { decode_json($body) } // { body => $body };
}

# A Status document without its text for people.
sub refusal
{
	my ($status, $body) = ask(@_);
	my $document = eval { decode_json($body) } // {};
	return [$status, map { $document->{$_} } qw(kind apiVersion status reason code)];
}

sub names
{
	my ($list) = @_;
	return [map { $_->{metadata}{name} } @{ $list->{items} }];
}

# Each event's type, and what tells its object from others.
sub events
{
	my ($text) = @_;
	return [map {
		my $object = $_->{object};
		[$_->{type}, map { $_ // '' } $object->{kind}, $object->{apiVersion},
		    $object->{metadata}{name}, $object->{code}, $object->{reason}];
	} map { decode_json($_) } grep { /\S/ } split /\n/, $text];
}

sub revision
{
	my ($kube) = @_;
	return document($kube, "$boxes?limit=1")->{metadata}{resourceVersion};
}

sub shape
{
	my ($value) = @_;
	return ref $value eq 'HASH' ? { map { $_ => ref $value->{$_} }
	    grep { !/managedFields|generation/ } keys %$value } : ref $value;
}

# What a server does, step by step; $forget->(): it forgets its history.
sub behaviour
{
	my ($kube, $forget) = @_;
	my %said;

	for my $n (1 .. 3) {
		$kube->put('batchsandboxes', "a/$n", batchsandbox("10.0.0.$n"));
	}
	$said{'a wrong token'} = refusal({ %$kube, token => 'no' }, $boxes);
	$said{'no such group'} = (ask($kube, '/apis/no.such/v1/things'))[0];
	$said{'no such resource'} = (ask($kube, $boxes . 'x'))[0];
	$said{'no such object'} = refusal($kube,
	    $boxes =~ s{/batch}{/namespaces/a/batch}r . '/none');
	my $group = document($kube, '/apis/agents.x-k8s.io');
	$said{'a group'} = [shape($group), $group->{preferredVersion},
	    [map { $_->{version} } @{ $group->{versions} }]];
	$said{'its resources'} = [map { [@$_{qw(name kind namespaced)}] }
	    grep { $_->{name} !~ m{/} }
	    @{ document($kube, '/apis/agents.x-k8s.io/v1beta1')->{resources} }];

	my $first = document($kube, "$boxes?limit=2");
	$said{'a page'} = [shape($first), names($first), shape($first->{metadata}),
	    $first->{metadata}{remainingItemCount}, @$first{qw(kind apiVersion)}];
	$said{'an object'} = [@{ $first->{items}[0] }{qw(kind apiVersion spec status)},
	    shape($first->{items}[0]{metadata})];
	my $from = $first->{metadata}{resourceVersion};
	$kube->put('batchsandboxes', 'a/4', batchsandbox('10.0.0.4'));
	$kube->delete('batchsandboxes', 'a/3');
	my $next = "$boxes?limit=2&continue=$first->{metadata}{continue}";
	my $second = document($kube, $next);
	$said{'the next page'} = [names($second), shape($second->{metadata}),
	    $second->{metadata}{resourceVersion} eq $from ? 'of then' : 'of now'];
	$said{'with a revision as well'} = refusal($kube,
	    "$next&resourceVersion=$from");
	$said{'a revision that is none'} = refusal($kube, "$boxes?resourceVersion=x");
	$said{'a revision to come'} = (ask($kube,
	    "$boxes?resourceVersion=99999999&timeoutSeconds=5"))[0];

	my ($status, $body) = ask($kube,
	    "$boxes?watch=1&resourceVersion=$from&timeoutSeconds=2");
	my $events = events($body);
	$said{'a watch'} = [$status, $events->[0], $events->[-1]];
	($status, $body) = ask($kube, "$boxes?watch=1&timeoutSeconds=2");
	$said{'a watch from nowhere'} = [$status, events($body)];

	# Enough changes that no cache has what was before them.
	for my $round (1 .. 130) {
		$kube->put('batchsandboxes', 'a/1', batchsandbox('10.0.0.1',
		    annotations => { round => "$round" }));
	}
	$forget->();
	($status, $body) = ask($kube, "$boxes?watch=1&resourceVersion=$from"
	    . '&timeoutSeconds=5');
	$said{'a watch from what is forgotten'} = [$status, events($body)];
	return \%said;
}

sub same
{
	my ($real, $ours) = @_;
	for my $what (sort keys %$real) {
		is_deeply($ours->{$what}, $real->{$what}, $what)
		    or diag explain { ours => $ours->{$what}, real => $real->{$what} };
	}
}

subtest 'with a watch cache' => sub {
	my $ours = Kube->new;
	my $real = KubeServer->new;
	my $said = behaviour($real, sub {
		$real->stop_server;
		$real->start_server;
		$real->compact;
	});
	same($said, behaviour($ours, sub { $ours->compact('event') }));
	is_deeply($said->{'a watch from what is forgotten'},
	    [200, [['ERROR', 'Status', 'v1', '', 410, 'Expired']]], 'gone, as an event');
};

subtest 'without' => sub {
	my $ours = Kube->new;
	my $real = KubeServer->new('--watch-cache=false');
	my $said = behaviour($real, sub { $real->compact });
	same($said, behaviour($ours, sub { $ours->compact('event') }));

	for my $kube ($real, $ours) {
		my $page = document($kube, "$boxes?limit=1");
		$kube->put('batchsandboxes', 'a/1', batchsandbox('10.0.0.9'));
		$kube->compact;
		my $next = "$boxes?limit=1&continue=$page->{metadata}{continue}";
		is_deeply(refusal($kube, $next),
		    [410, 'Status', 'v1', 'Failure', 'Expired', 410],
		    'a list whose revision is forgotten');
		my $token = document($kube, $next)->{metadata}{continue};
		is_deeply(names(document($kube, "$boxes?limit=9&continue=$token")),
		    ['2', '4'], 'goes on with another token');
	}
};

subtest 'who may ask' => sub {
	for my $kube (Kube->new, KubeServer->new) {
		is((ask($kube, $boxes))[0], 200, 'the token');
		$kube->rotate('another');
		is((ask($kube, $boxes))[0], 200, 'the next one');
		is_deeply(refusal({ %$kube, token => 'old' }, $boxes),
		    [401, 'Status', 'v1', 'Failure', 'Unauthorized', 401], 'no other');
		$kube->tokens({ another => 'nobody' });
		is_deeply(refusal($kube, $boxes),
		    [403, 'Status', 'v1', 'Failure', 'Forbidden', 403],
		    'one without rights');
	}
};

# What changes elsewhere makes a quiet resource's watch be told of a revision.
subtest 'bookmarks' => sub {
	for my $kube (KubeServer->new, Kube->new) {
		my $file = "$kube->{folder}/watch";
		my $target = "$boxes?watch=1&allowWatchBookmarks=true&timeoutSeconds=20"
		    . '&resourceVersion=' . revision($kube);
		start(name => 'watch', log => $file, cmd => ['curl', '-sSN', '-m', '60',
		    '--cacert', "$kube->{folder}/ca.crt", '-H',
		    "Authorization: Bearer $kube->{token}", "$kube->{url}$target"]);
		sleep 2;
		$kube->put('sandboxes', 'a/1', sandbox('10.0.0.1'));
		my $now = revision($kube);
		$kube->bookmark if !$kube->isa('KubeServer');
		wait_for(sub { read_file($file) =~ /BOOKMARK.*\n/ }, 60);
		my ($event) = split /\n/, read_file($file);
		is_deeply(eval { decode_json($event) }, { type => 'BOOKMARK',
		    object => { apiVersion => 'sandbox.opensandbox.io/v1alpha1',
		    kind => 'BatchSandbox', metadata => { resourceVersion => $now } } },
		    ref($kube) . ': of the revision of now, and no more');
	}
};

done_testing();
