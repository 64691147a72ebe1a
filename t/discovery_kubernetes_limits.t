#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What discovery takes, the gateway takes: a record that the gateway refuses costs
# all others of the source another whole array, so that many would keep them out.
# The gateway and discovery are the real ones.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress;
use Kube;

my $zone = 'opensandbox.io/';

sub with
{
	my ($key, $value) = @_;
	return ['pods', pod('10.0.0.1', undef, annotations => { "$zone$key" => $value })];
}

sub named
{
	return ['sandboxes', sandbox(undef, name => $_[0])];
}

my $label = 'x' x 63;
my %good = (
	'token-255' => with('secure-access-token', 't' x 255),
	'token-marks' => with('secure-access-token', join '', map { chr } 0x21 .. 0x7e),
	'expose-256' => with('expose', join ',', map { 2 * $_ } 1 .. 256),
	'expose-all' => with('expose', '1-65535,5-6'),
	'expires-leap' => with('expires-at', '2030-06-30T23:59:60.5z'),
	'expires-last' => with('expires-at', '9999-12-31T23:59:60+00:01'),
	'name-253' => named(join '.', ($label) x 3, 'y' x 61),
	'name-hex' => named('a_b.0x7f'),
	'name-digits' => named('10.1e2'),
	$label => with('expose', '1'),
	'dots..and-' => with('expose', '1'),
);
my %bad = (
	'token-256' => with('secure-access-token', 't' x 256),
	'token-space' => with('secure-access-token', 'two words'),
	'expose-257' => with('expose', join ',', 1 .. 257),
	'expires-before' => with('expires-at', '0001-01-01T00:00:00+00:01'),
	'expires-after' => with('expires-at', '9999-12-31T23:59:59-00:01'),
	'expires-leap-last' => with('expires-at', '9999-12-31T23:59:60Z'),
	'name-number' => named('box.10'),
	'name-254' => named(join '.', ($label) x 3, 'y' x 62),
);

my $kube = Kube->new;
for my $all (\%good, \%bad) {
	for my $id (keys %$all) {
		my ($kind, $object) = @{ $all->{$id} };
		$object->{metadata}{labels}{"${zone}id"} = $id if $kind eq 'pods';
		$kube->put($kind, "a/" . ($id =~ s/[.]/-/gr), $object);
	}
}

my $g = gateway(workers => 1);
my $log = scratch() . '/log';
my $pid = start(name => 'discovery', log => $log, cmd => [
	build_dir() . '/opensandbox-discovery', '--kubeconfig', $kube->kubeconfig,
	'--provider-type', 'pod,agent-sandbox', '--gateway', "http://127.0.0.1:$g->{port}"]);

sub logged
{
	my ($event) = @_;
	return map { decode_json($_) } grep { /"event":"discovery\.$event"/ }
	    split /\n/, read_file($log);
}

ok(wait_for(sub { grep { $_->{msg} eq 'fed all records' } logged('fed') }, 30),
    'the gateway is fed') or diag read_file($log);
is(api($g, 'GET', "/$_")->{status}, 200, substr "$_ is there", 0, 40) for sort keys %good;
is(api($g, 'GET', "/$_")->{status}, 404, "$_ is not") for sort keys %bad;
is(scalar(grep { $_->{field} } logged('refused')), 0, 'the gateway had nothing to refuse');
is(scalar logged('refused'), scalar keys %bad, 'each bad one is said once')
    or diag explain [logged('refused')];

done_testing;
