#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What an API server has reaches the gateway: lists in pages, then every change
# by watches, of each kind of sandbox, in all namespaces or in some, over
# HTTP/1.1 and HTTP/2.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness qw(wait_exit wait_for);
use Kube;
use KubeFeed;

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

for my $protocol ('h2', 'http/1.1') {
	subtest "pages, then changes, over $protocol" => sub {
		my $kube = Kube->new;
		$kube->protocols($protocol);
		$kube->fill('batchsandboxes', 'a/box-%n', batchsandbox('%a'), 1100);
		$kube->requests;
		my $feed = KubeFeed->new($kube);
		ok($feed->healthy, 'healthy once all is listed and fed');
		ok($feed->serves(map { "box-$_" } 0 .. 1099), 'all pages');
		is_deeply($feed->records->{'box-300'}, { id => 'box-300',
		    endpoint => '10.0.1.44', ready => $true }, 'what a record is');
		my @lists = grep { $_->{target} !~ /watch=1/ } @{ $kube->requests };
		is(scalar @lists, 3, 'three pages');
		is((grep { $_->{target} =~ /limit=500/ } @lists), 3, 'of 500');
		is((grep { $_->{version} eq ($protocol eq 'h2' ? '2' : '1.1') } @lists),
		    3, 'by that version of HTTP');

		$kube->put('batchsandboxes', 'a/new', batchsandbox('10.9.0.1', ready => 0));
		ok($feed->has(new => { ready => $false }), 'one that is not ready');
		$kube->put('batchsandboxes', 'a/new', batchsandbox('10.9.0.1'));
		ok($feed->has(new => { ready => $true, endpoint => '10.9.0.1' }), 'is when it is');
		$kube->put('batchsandboxes', 'a/new', batchsandbox('10.9.0.2',
		    annotations => { 'opensandbox.io/secure-access-token' => " s3cret\n",
		    'opensandbox.io/expose' => '8000,8080-8090' }));
		ok($feed->has(new => { endpoint => '10.9.0.2', accessToken => 's3cret',
		    expose => [8000, '8080-8090'] }), 'annotations');
		$kube->delete('batchsandboxes', 'a/new');
		ok($feed->has(new => undef), 'one that went');
		is($feed->listings('batchsandboxes'), 1, 'by one list and a watch');
		$feed->stop;
	};
}

subtest 'a Sandbox and the ids that lead to it' => sub {
	my $kube = Kube->new;
	my %id = (labels => { 'opensandbox.io/id' => '7f.Box' });
	$kube->put('sandboxes', 'a/sandbox-7f-box', sandbox('10.0.0.1', %id));
	$kube->put('sandboxes', 'a/plain', sandbox(undef, name => 'plain.a.svc.cluster.local'));
	$kube->put('sandboxes', 'a/forger', sandbox('10.0.0.3',
	    labels => { 'opensandbox.io/id' => 'victim' }));
	$kube->put('sandboxes', 'a/waits', sandbox(undef));
	my $feed = KubeFeed->new($kube, '--provider-type', 'agent-sandbox');
	ok($feed->serves(qw(sandbox-7f-box 7f.box sandbox-7f.box 7f-box plain
	    sandbox-plain forger sandbox-forger waits sandbox-waits)),
	    'its name, the raw id, that with the prefix; no other sandbox\'s')
	    or diag explain($feed->records);
	is($feed->records->{'7f.box'}{endpoint}, '10.0.0.1', 'by its address');
	is($feed->records->{plain}{endpoint}, 'plain.a.svc.cluster.local', 'or its service');
	is_deeply($feed->records->{waits}, { id => 'waits', ready => $false },
	    'or by none yet');
	like($kube->requests->[1]{target}, qr{^/apis/agents.x-k8s.io/v1beta1/sandboxes},
	    'of the newest version');

	$kube->put('sandboxes', 'a/7f.box', sandbox('10.0.0.7'));
	ok($feed->has('7f.box' => { endpoint => '10.0.0.7' }), 'a name comes before an alias');
	$feed->stop;
};

subtest 'an older server, and one without the definition' => sub {
	my $kube = Kube->new;
	$kube->serve('sandboxes');
	$kube->put('sandboxes', 'a/old', sandbox('10.0.0.1'));
	my $feed = KubeFeed->new($kube, '--provider-type', 'agent-sandbox');
	ok($feed->fails(qr/status 404/), 'unknown');
	is($feed->health->{status}, 503, 'not healthy');
	like($feed->health->{content}, qr/kubernetes: sandboxes not listed yet: status 404/,
	    'and why');
	$kube->serve('sandboxes', 'v1alpha1');
	ok($feed->has(old => { endpoint => '10.0.0.1' }), 'when it is defined it is served');
	$kube->requests;
	$kube->serve('sandboxes');
	$kube->interrupt('end');
	ok(wait_for(sub { grep { $_->{target} eq '/apis/agents.x-k8s.io' }
	    @{ $kube->requests } }), '(gone for a while)');
	$kube->serve('sandboxes', 'v1alpha1');
	$kube->put('sandboxes', 'a/again', sandbox('10.0.0.3'));
	ok($feed->has(again => { endpoint => '10.0.0.3' }), 'one that has just begun');
	is($feed->listings('sandboxes'), 1, 'is not asked for the list again');
	$kube->serve('sandboxes', 'v1beta1');
	$kube->interrupt('end');
	$kube->put('sandboxes', 'a/next', sandbox('10.0.0.2'));
	ok($feed->has(next => { endpoint => '10.0.0.2' }), 'also after its version has changed');
	$feed->stop;
};

subtest 'pods with the label' => sub {
	my $kube = Kube->new;
	$kube->put('pods', 'a/web-0', pod('10.0.0.1', 'Sb-1', annotations => {
	    'opensandbox.io/expose' => '8000', 'opensandbox.io/expires-at' =>
	    '2030-01-31T12:00:00Z' }));
	$kube->put('pods', 'a/other', { status => { podIP => '10.0.0.2' } });
	my $feed = KubeFeed->new($kube, '--provider-type', 'pod');
	ok($feed->serves('sb-1'), 'those alone');
	is_deeply($feed->records->{'sb-1'}, { id => 'sb-1', endpoint => '10.0.0.1',
	    ready => $true, expose => [8000], expiresAt => '2030-01-31T12:00:00Z' },
	    'what a record is');
	my ($list) = grep { $_->{target} =~ /limit/ } @{ $kube->requests };
	like($list->{target}, qr/labelSelector=opensandbox\.io%2Fid/, 'the server selects them');
	my $ended = pod('10.0.0.1', 'sb-1');
	$ended->{status}{phase} = 'Succeeded';
	$kube->put('pods', 'a/web-0', $ended);
	ok($feed->serves(), 'one that has ended is none: its address may be another\'s');
	$kube->put('pods', 'a/web-1', pod('10.0.0.1', 'sb-1', ready => 0));
	ok($feed->has('sb-1' => { ready => $false }), 'the next has its id');
	my $unlabelled = pod('10.0.0.1', 'sb-1');
	$unlabelled->{metadata}{labels} = {};
	$kube->put('pods', 'a/web-1', $unlabelled);
	ok($feed->serves(), 'one that lost its label is none');
	$feed->stop;
};

subtest 'several kinds, some namespaces' => sub {
	my $kube = Kube->new;
	$kube->put('batchsandboxes', "$_/box-$_", batchsandbox('10.0.0.1')) for qw(a b c);
	$kube->put('pods', "$_/pod-$_", pod('10.0.0.2', "pod-$_")) for qw(a b c);
	my $feed = KubeFeed->new($kube, '--provider-type', 'batchsandbox,pod',
	    '--namespace', 'a,c,a');
	ok($feed->serves(qw(box-a box-c pod-a pod-c)), 'those alone');
	$kube->put('batchsandboxes', 'c/more', batchsandbox('10.0.0.3'));
	$kube->put('batchsandboxes', 'b/more', batchsandbox('10.0.0.4'));
	ok($feed->has(more => { endpoint => '10.0.0.3' }), 'changes too');
	is($feed->listings("$_/batchsandboxes"), 1, "a list of $_") for qw(a c);
	my %series;
	$series{$_}++ for map { /^(\w+\{.*\}) / } split /\n/, $feed->metrics;
	ok($series{'discovery_objects{source="kubernetes",list="a/pods"}'},
	    'metrics of each');
	is_deeply([grep { $series{$_} > 1 } sort keys %series], [],
	    '  and none of them twice');
	$feed->stop;
};

subtest 'one name in two namespaces' => sub {
	my $kube = Kube->new;
	$kube->put('batchsandboxes', "$_/twin", batchsandbox('10.0.0.1')) for qw(a b);
	my $feed = KubeFeed->new($kube);
	ok($feed->has(twin => { state => 'ambiguous' }), 'neither is served');
	is_deeply([map { [sort @$_{qw(object other)}] } $feed->logged('ambiguous')],
	    [['a/twin', 'b/twin']], 'both are named, once');
	$kube->delete('batchsandboxes', 'a/twin');
	ok($feed->has(twin => { endpoint => '10.0.0.1', ready => $true }), 'until one goes');
	$feed->stop;
};

subtest 'once' => sub {
	my $kube = Kube->new;
	$kube->put('batchsandboxes', 'a/box', batchsandbox('10.0.0.1'));
	my $feed = KubeFeed->new($kube, '--once');
	is(wait_exit($feed->{pid}, 30), 0, 'it ends when all is fed');
	ok($feed->serves('box'), 'as the gateway shows');
	$kube->listen(0);
	$feed = KubeFeed->new($kube, '--once');
	is(wait_exit($feed->{pid}, 30) >> 8, 1, 'and says when it cannot');
};

done_testing();
