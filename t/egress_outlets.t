# SPDX-License-Identifier: Apache-2.0
#
# The metrics say how the webhook, the policy's URL and the collector fare, and
# the last of them leave before the sidecar does, which a collector that hangs
# does not keep.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Hostile;
use Receiver;
use World;

my $w = world();
world_dns($w);
my %url = map { $_ => receiver($w->{host}, $_, { status => 200 }) }
    qw(webhook policy_url otlp);
script('policy_url', { etag => '"1"', body => policy_of('good.test') });
my %env = (
	OPENSANDBOX_EGRESS_DENY_WEBHOOK => $url{webhook},
	OPENSANDBOX_EGRESS_POLICY_URL => $url{policy_url},
	OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
	OTEL_EXPORTER_OTLP_ENDPOINT => $url{otlp},
	OTEL_METRIC_EXPORT_INTERVAL => '300');
my $pid = sidecar($w, env => \%env);

# egress_outlet_NAME of an outlet, in sandbox sb-1.
sub value
{
	my ($outlet, $name) = @_;
	my (undef, $page) = api($w, 'GET', '/metrics');

	return $page =~
	    /^egress_outlet_$name\{outlet="$outlet",sandbox_id="sb-1"\} (\d+)$/m
	    ? $1 : undef;
}

sub lookup
{
	my (undef, $out) = sees($w, 'dig', '+time=5', '+tries=1', '@10.88.0.1',
	    $_[0]);
	return $out =~ /status: (\w+)/ ? $1 : $out;
}

is(lookup('evil.test'), 'NXDOMAIN', 'a name is denied');
for my $outlet (sort keys %url) {
	ok(wait_for(sub { value($outlet, 'sent_total') }), "$outlet: sent");
	is(value($outlet, 'failed_total'), 0, "$outlet: none failed");
	is(value($outlet, 'dropped_total'), 0, "$outlet: none dropped");
	my $when = value($outlet, 'last_success_timestamp_seconds');
	ok($when > time - 600 && $when <= time, "$outlet: lately");
}
ok(wait_for(sub { value('webhook', 'queue_length') == 0 }), 'nothing waits');

# Failures
script('policy_url', { body => '{"egress":17}' });
script('webhook', { status => 404 });
script('otlp', { status => 400 });
my $sent = value('webhook', 'sent_total');
is(lookup('other.test'), 'NXDOMAIN', 'another one is denied');
for my $outlet (sort keys %url) {
	ok(wait_for(sub { value($outlet, 'failed_total') }), "$outlet: failed");
}
is(value('webhook', 'sent_total'), $sent, 'which is not sent');

# A webhook that hangs
script('webhook', { delay => 60 });
lookup("flood$_.test") for 1 .. 5;
is(value('webhook', 'queue_length'), 5, 'denials wait');
sees($w, 'python3', '-c', 'import socket
for i in range(1100):
    s = socket.socket(2, 2); s.sendto(bytes.fromhex("123401000001000000000000")
        + bytes([len("x%d" % i)]) + b"x%d" % i + b"\4test\0\0\1\0\1",
        ("10.88.0.1", 53)); s.settimeout(2); s.recv(512)');
is(value('webhook', 'queue_length'), 1024, 'no more than fit');
is(value('webhook', 'dropped_total'), 81, 'the rest is dropped');

# The end
is(stop($pid), 0, 'it ends');
$pid = sidecar($w, name => 'second', env => {
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test'),
	OTEL_EXPORTER_OTLP_ENDPOINT => $url{otlp} });
script('otlp', { status => 200 });
my $before = received('otlp');
is(lookup('evil.test'), 'NXDOMAIN', 'denied, long before the next push');
is(scalar received('otlp'), $before, 'which has not been yet');
is(stop($pid), 0, 'it ends');
my ($last) = reverse received('otlp');
is(received('otlp') - $before, 1, 'and has pushed once more');
my %metric = map { $_->{name} => $_ }
    @{ decode_json($last->{body})->{resourceMetrics}[0]{scopeMetrics}[0]
	{metrics} };
is($metric{'egress.policy.denied_total'}{sum}{dataPoints}[0]{asInt}, '1',
    'what was measured up to then');

$pid = sidecar($w, name => 'third', env => {
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test'),
	OTEL_EXPORTER_OTLP_ENDPOINT => $url{otlp} });
script('otlp', { delay => 60 });
is(stop($pid), 0, 'a collector that hangs does not keep it');
like(read_file(scratch() . '/third.log'), qr/stopping; the rules stay/,
    'it has said so');
is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'and the rules stay');
$pid = sidecar($w, name => 'fourth', env => {
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test'),
	OTEL_EXPORTER_OTLP_ENDPOINT => $url{otlp} });
kill 'TERM', $pid;
is(lookup('evil.test'), 'NXDOMAIN', 'names are answered while it waits');
is(stop($pid, 'INT'), 0, 'asked twice it ends');
done_testing(33);
