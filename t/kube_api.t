#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# t/tools/kube_api.py does what tests rely on: curl, over HTTP/1.1 and HTTP/2,
# gets what the Kubernetes API's documentation promises, and sees the faults
# that it is told to make.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);
use Test::More;
use Harness qw(scratch capture wait_for write_file read_file);
use Kube;

my $kube = Kube->new;
my $folder = $kube->{folder};
my $boxes = '/apis/sandbox.opensandbox.io/v1alpha1/batchsandboxes';

sub command
{
	my ($target, @options) = @_;
	return ('curl', '-sS', '-N', '-m', '20', '--cacert', "$folder/ca.crt",
	    @options, "$kube->{url}$target");
}

sub bearer
{
	return ('-H', "Authorization: Bearer $kube->{token}");
}

# (status, body) of an answer
sub ask
{
	my ($target, @options) = @_;
	my (undef, $out) = capture(command($target, bearer(), @options,
	    '-w', '\n%{http_code}'));
	my ($body, $status) = $out =~ /\A(.*)\n(\d+)\z/s or return (0, $out);
	return ($status, $body);
}

sub document
{
	my (undef, $body) = ask(@_);
	return eval { decode_json($body) } // {};
}

sub names
{
	my ($list) = @_;
	return join ' ', map { $_->{metadata}{name} } @{ $list->{items} };
}

# "TYPE name", one for each event of a watch's output
sub events
{
	my ($text) = @_;
	return join ', ', map { "$_->{type} "
	    . ($_->{object}{metadata}{name} // $_->{object}{code} // '-') }
	    map { eval { decode_json($_) } // { type => 'part' } } split /\n/, $text;
}

# A watch in the background, once it is open; its output goes to a file.
my $watches = 0;
sub watch
{
	my ($target, @options) = @_;
	my $file = scratch() . '/watch' . ++$watches;
	my $before = $kube->counts->{opened};
	my $pid = Harness::start(name => 'watch', log => $file,
	    cmd => [command($target, bearer(), @options)]);
	wait_for(sub { $kube->counts->{opened} > $before });
	return ($file, $pid);
}

sub sees
{
	my ($name, $file, $events) = @_;
	ok(wait_for(sub { events(read_file($file)) =~ /$events/ }), $name)
	    or diag read_file($file);
}

subtest 'who may ask' => sub {
	my $code = sub { (capture(command($boxes, @_, '-o', '/dev/null', '-w',
	    '%{http_code}')))[1] };
	is($code->(), 401, 'nobody');
	is($code->('-H', 'Authorization: Bearer no'), 401, 'a wrong token');
	is($code->(bearer()), 200, 'the token');
	is($code->('--cert', "$folder/client.crt", '--key', "$folder/client.key"),
	    200, 'the certificate');
	$kube->tokens({ $kube->{token} => 'nobody' });
	is($code->(bearer()), 403, 'one without rights');
	$kube->rotate('another');
	is($code->(bearer()), 200, 'the token after rotation');
	is(read_file($kube->service_account . '/token'), 'another', 'in the pod');
	$kube->forbid('batchsandboxes');
	is($code->(bearer()), 403, 'a resource that is forbidden');
	$kube->forbid;
	for my $name ('stranger', 'elsewhere') {
		$kube->certificate($name);
		my ($status) = capture(command('/version', bearer()));
		is($status, 60, "a server that is $name is refused");
	}
	$kube->certificate('server');
};

subtest 'discovery' => sub {
	for my $version ('--http1.1', '--http2') {
		is(document('/version', $version)->{major}, 1, "version $version");
	}
	is_deeply([map { $_->{version} } sort { $a->{time} <=> $b->{time} }
	    grep { $_->{target} eq '/version' && $_->{status} } @{ $kube->requests }],
	    ['1.1', '2'], 'both versions of HTTP are spoken');
	is_deeply(document('/api')->{versions}, ['v1'], 'the core group');
	is(join(' ', map { $_->{name} } @{ document('/apis')->{groups} }),
	    'sandbox.opensandbox.io agents.x-k8s.io', 'groups');
	is(document('/apis/agents.x-k8s.io')->{preferredVersion}{version}, 'v1beta1',
	    'the preferred version');
	is(document('/apis/agents.x-k8s.io/v1alpha1')->{resources}[0]{name},
	    'sandboxes', 'resources');
	$kube->serve('sandboxes', 'v1alpha1');
	is(document('/apis/agents.x-k8s.io')->{preferredVersion}{version}, 'v1alpha1',
	    'an older server');
	is((ask('/apis/agents.x-k8s.io/v1beta1/sandboxes'))[0], 404,
	    'has not the newer version');
	$kube->serve('sandboxes');
	is((ask('/apis/agents.x-k8s.io'))[0], 404, 'a server without the definition');
};

subtest 'lists' => sub {
	$kube->put('batchsandboxes', "a/$_", batchsandbox('10.0.0.1')) for 1 .. 5;
	$kube->put('batchsandboxes', 'b/6', batchsandbox('10.0.0.2',
	    labels => { tier => 'x' }));
	my $first = document("$boxes?limit=2");
	is(names($first), '1 2', 'a page');
	is($first->{metadata}{remainingItemCount}, 4, 'and how many remain');
	is($first->{items}[0]{kind}, 'BatchSandbox', 'with their kind');
	my $then = $kube->delete('batchsandboxes', 'a/3');
	$kube->put('batchsandboxes', 'b/7', batchsandbox('10.0.0.2'));
	is(names(document("$boxes?limit=9&resourceVersion=$then")), '1 2 4 5 6',
	    'a revision that was');
	$kube->delete('batchsandboxes', 'b/7');
	my $next = "$boxes?limit=9&continue=$first->{metadata}{continue}";
	my $second = document($next);
	is(names($second), '3 4 5 6', 'the next is of the same revision');
	is($second->{metadata}{resourceVersion}, $first->{metadata}{resourceVersion},
	    'as it says');
	is(names(document($boxes =~ s{/batch}{/namespaces/b/batch}r)), '6',
	    'one namespace');
	for ('tier', 'tier=x', 'tier in (x,y)', 'tier!=y,tier') {
		is(names(document($boxes, '-G', '--data-urlencode',
		    "labelSelector=$_")), '6', $_);
	}
	is(names(document($boxes, '-G', '--data-urlencode', 'labelSelector=!tier')),
	    '1 2 4 5', '!tier');
	is((ask("$boxes?resourceVersion=999"))[0], 504, 'a revision to come');
	is((ask("$boxes?resourceVersion=x"))[0], 400, 'a revision that is none');
	$kube->compact;
	my ($status, $body) = ask($next);
	is($status, 410, 'a token that is too old');
	$body = decode_json($body);
	is($body->{reason}, 'Expired', 'says so');
	is(names(document("$boxes?continue=$body->{metadata}{continue}")), '4 5 6',
	    'and how to go on');
};

for my $version ('--http1.1', '--http2') {
	subtest "watches $version" => sub {
		my $from = document("$boxes?limit=1")->{metadata}{resourceVersion};
		$kube->put('batchsandboxes', 'a/w', batchsandbox('10.0.0.3'));
		my $target = "$boxes?watch=1&allowWatchBookmarks=true";
		my ($file) = watch("$target&resourceVersion=$from", $version);
		my ($of_x) = watch("$target&resourceVersion=$from&labelSelector=tier=x",
		    $version);
		$kube->put('batchsandboxes', 'a/w',
		    batchsandbox('10.0.0.3', labels => { tier => 'x' }));
		$kube->put('batchsandboxes', 'a/w', batchsandbox('10.0.0.3'));
		my $gone = $kube->delete('batchsandboxes', 'a/w');
		$kube->bookmark;
		sees('all changes', $file, '^ADDED w, MODIFIED w, MODIFIED w, '
		    . 'DELETED w, BOOKMARK -$');
		like(read_file($file), qr/"DELETED",.*"resourceVersion":"$gone"/,
		    'a deletion with its own revision');
		sees('of a label', $of_x, '^ADDED w, DELETED w, BOOKMARK -$');
		$kube->error(500);
		sees('an error', $file, 'BOOKMARK -, ERROR 500$');
		ok(wait_for(sub { !$kube->counts->{watches} }), 'ends it');

		is(events((ask("$target&timeoutSeconds=1", $version))[1]),
		    'ADDED 1, ADDED 2, ADDED 4, ADDED 5, ADDED 6', 'the state first');
		$kube->compact;
		is((ask("$target&resourceVersion=$from", $version))[0], 410,
		    'gone, as a status');
		$kube->compact('event');
		my ($status, $body) = ask("$target&resourceVersion=$from", $version);
		is($status . ' ' . events($body), '200 ERROR 410', 'gone, as an event');
	};

	subtest "faults $version" => sub {
		my $code = $version eq '--http2' ? qr/92|18|56/ : qr/18|56/;
		for my $how ('end', 'cut', 'abort') {
			my ($file, $pid) = watch("$boxes?watch=1", $version);
			sees('a watch', $file, 'ADDED 6$');
			$kube->interrupt($how);
			my $status = Harness::wait_exit($pid) >> 8;
			like($status, $how eq 'end' ? qr/^0$/ : qr/^(?:$code)$/, $how);
			sees('half an event', $file, ', part') if $how eq 'cut';
		}
		my ($file, $pid) = watch("$boxes?watch=1", $version, '-m', '2');
		sees('a watch', $file, 'ADDED 6$');
		$kube->interrupt('freeze');
		$kube->put('batchsandboxes', 'a/1', batchsandbox('10.0.0.9'));
		is(Harness::wait_exit($pid) >> 8, 28, 'silence');
		unlike(read_file($file), qr/MODIFIED/, 'for good');

		$kube->fail('batchsandboxes', 429, 1, { 'retry-after' => '3' });
		like((ask($boxes, $version, '-i'))[1], qr/^retry-after: 3\r$/mi,
		    'come later');
		is((ask($boxes, $version))[0], 200, 'once');
		$kube->pace(100, 0.01);
		is(names(document($boxes, $version)), '1 2 4 5 6', 'slowly');
		$kube->pace(0, 0);
		$kube->listen(JSON::PP::false);
		isnt((capture(command($boxes, bearer(), $version)))[0], 0, 'away');
		$kube->listen(JSON::PP::true);
		is(names(document($boxes, $version)), '1 2 4 5 6', 'and back');
	};
}

subtest 'what is no object' => sub {
	$kube->put('pods', 'a/good', pod('10.0.0.5', 'id'));
	$kube->put('pods', 'a/list', [1]);
	$kube->put('pods', 'a/nameless', { metadata => { name => undef } });
	$kube->put('pods', 'a/other', { metadata => 'x' });
	my $items = document('/api/v1/pods')->{items};
	is(scalar @$items, 4, 'is listed');
	is_deeply($items->[1], [1], 'as it is');
	is(names(document('/api/v1/pods?fieldSelector=spec.nodeName=node')), 'good',
	    'pods of a node');
};

subtest 'a hundred thousand' => sub {
	$kube->fill('batchsandboxes', 'many/%n', batchsandbox('%a'), 100_000);
	# Pages are not parsed: JSON::PP takes a minute for them.
	my ($got, $pages, $token) = (0, 0, '');
	do {
		my (undef, $page) = ask("$boxes?limit=5000&continue=$token");
		$got += () = $page =~ /"kind":"BatchSandbox",/g;
		($token) = $page =~ /"continue": "([^"]+)"/;
		$pages++;
	} while ($token);
	is($got, 100_005, 'are listed');
	is($pages, 21, 'in pages');
};

subtest 'kubeconfig' => sub {
	like(read_file($kube->kubeconfig), qr/^    token: another$/m, 'a token');
	like(read_file($kube->kubeconfig(client => 1, data => 1)),
	    qr/^    client-key-data: [\w+\/]+=*$/m, 'a certificate');
	my $config = decode_json(read_file($kube->kubeconfig(json => 1)));
	is($config->{clusters}[0]{cluster}{server}, $kube->{url}, 'as JSON');
};

done_testing();
