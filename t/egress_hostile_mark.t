# SPDX-License-Identifier: Apache-2.0
#
# A sandbox that is root under our user, and may mark packets, guesses the mark
# of our own: at the resolver, at the webhook, and at what the gate stands in
# front of. It is found out, told of, and gets nowhere, not by the right one
# either; when it has stopped for a while, all is as it was.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use GateWorld;
use Harness;
use Hostile;
use Receiver;
use World;

use constant HOOK => '203.0.113.99';

my $w = gate_world();
watch_cable($w);
receiver_at($w->{internet}, 'hook', HOOK, 8090, { status => 204 });

sub lookup
{
	my ($name) = @_;
	my (undef, $out) = sees($w, 'dig', '+time=2', '+tries=1', '@10.88.0.1',
	    $name);
	return $out =~ /status: (\w+)/ ? $1 : 'none';
}

sub our_mark
{
	return (run_in($w->{sandbox}, 'nft', 'list', 'chain', 'inet',
	    'opensandbox', 'guess') =~ /meta mark (0x[0-9a-f]+) return/)[0];
}

# What the right mark brings at a place.
sub by_mark
{
	my ($address, $port) = @_;
	return hostile($w, ROOT, 'tcp', $address, $port, our_mark());
}

# Frames that leave the sandbox for an address while code runs.
my %counter = (HOOK() => 'leak', RESOLVER() => 'resolver', GOOD() => 'good');
sub left
{
	my ($address, $code) = @_;
	my $before = -1;

	wait_for(sub {
		my $last = $before;
		$before = leaked($w, $counter{$address});
		select undef, undef, undef, 0.2;
		return $before == $last;
	});
	$code->();
	return leaked($w, $counter{$address}) - $before;
}

for my $how (qw(sidecar join)) {
	my $pid = gate_start($w, $how, allow('good.test', 'far.test'), env => {
		OPENSANDBOX_EGRESS_DENY_WEBHOOK => 'http://' . HOOK . ':8090/' });
	my %hole = ('past the gate' => [GOOD, 443]);
	if ($how eq 'sidecar') {
		$hole{'the resolver'} = [RESOLVER, 53];
		$hole{'the webhook'} = [HOOK, 8090];
	}
	is(lookup('good.test'), 'NOERROR', "$how: a name is looked up");
	is(tls($w, 'good.test', GOOD), 'TLS good.test', "$how: and reached");
	is(lookup('evil.test'), 'NXDOMAIN', "$how: another is denied");
	ok(wait_for(sub { received('hook') > 0 }), "$how: the webhook is told");
	like(by_mark(@{ $hole{$_} }), qr/^(open|closed|timeout-late)$/,
	    "$how: the right mark leads to $_") for sort keys %hole;

	my $at = $how eq 'sidecar' ? RESOLVER : GOOD;
	hostile($w, ROOT, 'guess', 'tcp', $at, $at eq GOOD ? 443 : 53, 2000);
	is(locked($w), 1, "$how: two thousand guesses are too many");
	for my $name (sort keys %hole) {
		is(left($hole{$name}[0], sub {
			is(by_mark(@{ $hole{$name} }), 'timeout-late',
			    "$how, $name: the right mark is of no use then");
		}), 0, "$how, $name: nothing leaves by it");
	}
	is((sees($w, 'curl', '-sm', '3', 'http://' . GOOD . ':8080/'))[0], 0,
	    "$how: other ports are open to the sandbox all the while");
	is(lookup('far.test'), $how eq 'join' ? 'NOERROR' : 'none',
	    $how eq 'join' ? "$how: we look up as ever" : "$how: we look up nothing");
	my @told = gate_log($w, reason => 'mark_guessed');
	is(scalar @told, 1, "$how: it is told of once");
	is($told[0]{event}, 'egress.denied', "$how: as a denial");
	my (undef, $metrics) = api($w, 'GET', '/metrics');
	my ($count) = $metrics =~ /^egress_packets_mark_guessed_total\S* (\d+)/m;
	cmp_ok($count, '>', 1900, "$how: and counted");

	ok(unlocked($w), "$how: it ends");
	ok(wait_for(sub { lookup('far.test') eq 'NOERROR' }, 20),
	    "$how: names are looked up");
	lookup('good.test');
	is(tls($w, 'good.test', GOOD), 'TLS good.test', "$how: the gate goes on");
	is(stop($pid), 0, "$how: it ends well");
	run_in($w->{sandbox}, 'nft', 'flush ruleset');
}

done_testing();
