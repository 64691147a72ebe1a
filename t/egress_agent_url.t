# SPDX-License-Identifier: Apache-2.0
#
# A sandbox of the agent's may follow a policy that a gateway serves. A kill of
# the agent opens nothing; the next one follows again, answers clients that keep
# their source port, and takes a new policy without a gap.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use Hostile;
use Receiver;
use World;

my $w = world();
my $dir = scratch();
my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
    OPENSANDBOX_EGRESS_POLICY_TOKEN => 'a-token');
my $other = netns('other');
watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, EVIL), 7, 600]);

sub in_force
{
	my (undef, $json) = ask('GET', "/v1/sandboxes/$_[0]");
	return ref $json ? join ' ', map { $_->{target} }
	    @{ $json->{policy}{egress} || [] } : '';
}

# From a source port of its own choice.
sub lookup
{
	return (sees($w, 'dig', '+short', '+time=3', '+tries=1', '-b',
		'10.88.0.5#40001', '@10.88.0.1', $_[0]))[1];
}

my %url = map { $_ => receiver($w->{host}, $_,
	{ etag => '"1"', body => policy_of("$_.test") }) } qw(one two);
script('one', { etag => '"1"', body => policy_of('good.test') });
my $pid = agent($w->{host}, 'first', \%env);
my ($status, $body) = ask('PUT', '/v1/sandboxes/sb-1', {
	netns => $w->{sandbox}, policyUrl => "$url{one}/policy" });
is($status, 201, 'a sandbox with a policy URL');
is($body->{policyUrl}, "$url{one}/policy", 'which is shown');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'is closed at once');
ok(wait_for(sub { in_force('sb-1') eq 'good.test' }), 'and gets its policy');
is((received('one'))[0]{headers}{authorization}, 'Bearer a-token',
    'asked for with the token');
is((ask('PUT', '/v1/sandboxes/sb-2', { netns => $other,
	policyUrl => $url{two}, policy => decode_json(policy_of('early.test')) }))[0],
    201, 'another');
ok(wait_for(sub { in_force('sb-2') eq 'two.test' }), 'has another policy');
is(in_force('sb-1'), 'good.test', 'each its own');
my (undef, $page) = ask('GET', '/metrics');
like($page, qr/^egress_outlet_sent_total\{outlet="policy_url",sandbox_id="$_"\}/m,
    "the metrics know of $_") for qw(sb-1 sb-2);
is(lookup('good.test'), GOOD . "\n", 'what it allows is answered');

# What is no URL changes nothing.
for my $bad ('ftp://x', '', 7, 'http://' . 'x' x 1024) {
	($status, $body) = ask('PUT', '/v1/sandboxes/sb-1', {
		netns => $w->{sandbox}, policyUrl => $bad });
	is($status, 400, 'a bad URL: 400');
	is($body->{field}, 'policyUrl', 'which names the field');
}
is((ask('GET', '/v1/sandboxes/sb-1'))[1]{policyUrl}, "$url{one}/policy",
    'the old one stays');

# Killed, and a worker alone
my $probe = hostile_start($w, NOBODY, 'probe', 'probe', EVIL, 7, 300);
my $frames = hostile_start($w, ROOT, 'frames', 'probe', EVIL, 9, 300);
kill 'KILL', -getpgrp($pid);
wait_exit($pid);
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
    'kill -9 of the agent opens nothing');
script('one', { etag => '"2"', body => policy_of('good.test', 'more.test') });
$pid = agent($w->{host}, 'second', \%env);
ok(wait_for(sub { in_force('sb-1') eq 'good.test more.test' }),
    'the next one follows again');
is(lookup('good.test'), GOOD . "\n", 'the same source port is answered');
my ($worker) = (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/;
kill 'KILL', $worker;
ok(wait_for(sub { in_force('sb-1') eq 'good.test more.test' }),
    'so does the next worker');
is(lookup('good.test'), GOOD . "\n", 'and the source port is answered');

# A policy in its place
is((ask('PUT', '/v1/sandboxes/sb-1', { netns => $w->{sandbox},
	policy => decode_json(policy_of('good.test', 'last.test')) }))[0], 200,
    'a policy instead of the URL');
script('one', { etag => '"3"', body => policy_of('evil.test') });
is((ask('PUT', '/v1/sandboxes/sb-2', { netns => $other,
	policyUrl => "$url{one}/x" }))[0], 200, 'and the URL for another sandbox');
ok(wait_for(sub { in_force('sb-2') eq 'evil.test' }), 'which follows it');
is(in_force('sb-1'), 'good.test last.test', 'the first no longer does');
is((ask('GET', '/v1/sandboxes/sb-1'))[1]{policyUrl}, undef, 'nor shows it');
kill 'KILL', -getpgrp($pid);
wait_exit($pid);
$pid = agent($w->{host}, 'third', \%env);
is(in_force('sb-1'), 'good.test last.test', 'also after the next kill');
is((ask('PUT', '/v1/sandboxes/sb-1', { netns => $w->{sandbox},
	policy => decode_json(policy_of('good.test')) }))[0], 200,
    'PUT takes it over');
is(in_force('sb-1'), 'good.test', 'with what it says');
ok(alive($_), 'a packet a millisecond all the while') for $probe, $frames;
is(leaked($w), 0, 'and not one left');
is((ask('DELETE', '/v1/sandboxes/sb-2'))[0], 204, 'let go of');
(undef, $page) = ask('GET', '/metrics');
unlike($page, qr/sandbox_id="sb-2"/, 'the metrics have forgotten it');
is(stop($pid), 0, 'it ends');
done_testing(39);
