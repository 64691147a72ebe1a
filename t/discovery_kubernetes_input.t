#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Objects that are wrong, and what a sandbox's owner may write: each is said
# once, with the object's name, and the rest is served.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness qw(read_file wait_for);
use Kube;
use KubeFeed;

sub endpoints
{
	return { 'sandbox.opensandbox.io/endpoints' => $_[0] };
}

sub with
{
	return batchsandbox('10.0.0.1', annotations => { @_ });
}

sub status
{
	return { %{ batchsandbox('10.0.0.1') }, status => $_[0] };
}

sub metadata
{
	return { %{ batchsandbox('10.0.0.1') }, metadata => $_[0] };
}

# object => [what it is, what is said of it]
my %bad = (
	'a/text' => ['text', qr/it has no name/, '/(no name)'],
	'a/nameless' => [metadata({ name => undef }), qr/it has no name/, 'a/(no name)'],
	'b/number' => [metadata({ name => 7 }), qr/it has no name/, 'b/(no name)'],
	'a/id_' => [batchsandbox('10.0.0.1'), qr/metadata.name: expected an id/],
	'a/' . 'x' x 64 => [batchsandbox('10.0.0.1'), qr/metadata.name: /],
	'a/annotations' => [metadata({ annotations => 'none' }),
	    qr/metadata.annotations: expected an object/],
	'a/annotation' => [with('sandbox.opensandbox.io/endpoints', { a => 1 }),
	    qr/the annotation sandbox.opensandbox.io\/endpoints: expected a text/],
	'a/nul' => [with('opensandbox.io/secure-access-token', "s\0t"),
	    qr/secure-access-token: expected a text/],
	'a/no-json' => [batchsandbox('', annotations => endpoints('[')),
	    qr/expected a JSON array of addresses/],
	'a/no-array' => [batchsandbox('', annotations => endpoints('"10.0.0.1"')),
	    qr/expected a JSON array of addresses/],
	'a/numbers' => [batchsandbox('', annotations => endpoints('[7]')),
	    qr/expected a JSON array of addresses/],
	'a/loopback' => [batchsandbox('127.0.0.1'), qr/"127.0.0.1" is a loopback address/],
	'a/mapped' => [batchsandbox('::ffff:127.0.0.1'), qr/is a loopback address/],
	'a/localhost' => [batchsandbox('localhost'), qr/is a loopback address/],
	'a/link-local' => [batchsandbox('169.254.169.254'), qr/is a link-local address/],
	'a/metadata' => [batchsandbox('100.100.100.200'), qr/is a .*metadata.* address/],
	'a/zero' => [batchsandbox('0.0.0.0'), qr/address/],
	'a/name' => [batchsandbox('127.0.0.1.example.com'), qr/is a host name, expected an address/],
	'a/path' => [batchsandbox('unix:/run/x.sock'), qr/neither an address nor a host name/],
	'a/status' => [status([]), qr/status: expected an object/],
	'a/ready' => [status({ ready => 'yes' }), qr/status.ready: expected a number/],
	'a/token' => [with('opensandbox.io/secure-access-token', "a\r\nX-Evil: 1"),
	    qr/secure-access-token: expected .* printable ASCII/],
	'a/expose' => [with('opensandbox.io/expose', '8000-'), qr/expose: expected/],
	'a/huge' => [with('note', 'x' x (10 << 20)), qr/it has more than 4 MiB/],
	'a/huge-endpoints' => [batchsandbox('', annotations =>
	    endpoints('["' . 'x' x (2 << 20) . '"]')), qr/endpoints: expected a text/],
);

my $kube = Kube->new;
$kube->put('batchsandboxes', $_, $bad{$_}[0]) for sort keys %bad;
$kube->put('batchsandboxes', 'a/good', batchsandbox('10.0.0.1'));
$kube->put('batchsandboxes', 'a/starts', batchsandbox(undef, ready => 0,
    annotations => endpoints('[]')));
$kube->put('batchsandboxes', 'a/bare', { metadata => {} });
$kube->put('batchsandboxes', 'a/large', with(note => 'x' x (3 << 20)));
my $feed = KubeFeed->new($kube);
my @good = qw(good starts bare large);

# What is said of each object, by name.
sub said
{
	my %said;
	push @{ $said{ $_->{object} } }, $_->{error} for $feed->logged('refused');
	return \%said;
}

sub memory
{
	my ($kib) = read_file("/proc/$feed->{pid}/status") =~ /^VmHWM:\s+(\d+)/m;
	return $kib / 1024;
}

ok($feed->healthy, 'listed and fed');
ok($feed->serves(@good), 'the rest is served') or diag explain(sort keys %{ $feed->records });
is($feed->records->{$_}{ready}, JSON::PP::false, "$_: not ready") for qw(starts bare);
my $said = said();
for my $object (sort keys %bad) {
	my (undef, $pattern, $name) = @{ $bad{$object} };
	$name //= $object;
	like($said->{$name}[0] // 'nothing', $pattern, substr $name, 0, 40);
}
is(scalar(grep { @{ $said->{$_} } > 1 } keys %$said), 0, 'each once');
cmp_ok(memory(), '<', 64, 'nothing of it stays in memory');

subtest 'the same by a watch' => sub {
	my $kept = scalar $feed->logged('refused');
	$kube->error(500);
	ok(wait_for(sub { $feed->listings('batchsandboxes') == 2 }, 30), '(listed again)');
	is(scalar($feed->logged('refused')), $kept, 'nothing is said twice');
	$kube->put('batchsandboxes', 'a/good', batchsandbox('127.0.0.9'));
	ok($feed->has(good => undef), 'one that becomes bad is served no longer');
	$kube->put('batchsandboxes', 'a/good', with('note', 'x' x (10 << 20)));
	$kube->put('batchsandboxes', 'a/text', 'another text');
	$kube->put('batchsandboxes', 'a/next', batchsandbox('10.0.0.5'));
	ok($feed->has(next => { endpoint => '10.0.0.5' }), 'the watch goes on');
	is_deeply(said()->{'a/good'}[-1], 'it has more than 4 MiB', 'one that grows too large');
	$kube->put('batchsandboxes', 'a/good', batchsandbox('10.0.0.6'));
	ok($feed->has(good => { endpoint => '10.0.0.6' }), 'and is when it is good again');
	$kube->put('batchsandboxes', 'a/loopback', batchsandbox('10.0.0.7'));
	ok($feed->has(loopback => { endpoint => '10.0.0.7' }), 'as one that was bad');
	$kube->delete('batchsandboxes', 'a/' . 'x' x 64);
	$kube->delete('batchsandboxes', 'a/text');
	is($feed->listings('batchsandboxes'), 2, 'without a list');
	unlike(read_file($feed->{log}), qr/X-Evil|s3cret/, 'no token is logged');
};

subtest 'with --allow-loopback' => sub {
	$feed->stop;
	$feed = KubeFeed->new($kube, '--allow-loopback');
	ok($feed->has(mapped => {}), 'loopback is served');
	ok(!$feed->records->{metadata}, 'metadata is not');
};

subtest 'Sandboxes and pods' => sub {
	$feed->stop;
	$kube->put('sandboxes', 'a/ips', { status => { podIPs => 'x' } });
	$kube->put('sandboxes', 'a/ip', { status => { podIPs => [7] } });
	$kube->put('sandboxes', 'a/local', sandbox('::1'));
	$kube->put('sandboxes', 'a/service', sandbox(undef, name => 'localhost'));
	$kube->put('sandboxes', 'a/conditions', { status => { conditions => [7] } });
	$kube->put('pods', 'a/pod', pod('10.0.0.1', 'no id!'));
	$kube->put('pods', 'a/expires', pod('10.0.0.1', 'sb', annotations => {
	    'opensandbox.io/expires-at' => 'soon' }));
	$kube->put('pods', 'a/policy', pod('10.0.0.1', 'sp', annotations => {
	    'opensandbox.io/egress-policy' => '[' }));
	$feed = KubeFeed->new($kube, '--provider-type', 'agent-sandbox,pod');
	ok($feed->serves('conditions', 'sandbox-conditions'), 'nothing bad is served');
	is_deeply([sort map { $_->{object} } $feed->logged('refused')], [map { "a/$_" }
	    qw(expires ip ips local pod policy service)], 'each is said, once');
};

done_testing();
