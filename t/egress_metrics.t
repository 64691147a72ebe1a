# SPDX-License-Identifier: Apache-2.0
#
# What is counted: on the Prometheus page, and pushed to an OpenTelemetry
# collector where the standard variables name one.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Receiver;
use World;

my $w = world();
world_dns($w);
my $url = receiver($w->{host}, 'collector', { status => 503 },
	{ status => 200, body => '{}' });
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
	OPENSANDBOX_EGRESS_METRICS_EXTRA_ATTRS =>
	    'team=red "x" \\,cost-center=7',
	OPENSANDBOX_EGRESS_RULES =>
	    '{"egress":[{"action":"allow","target":"good.test"}]}',
	OTEL_EXPORTER_OTLP_ENDPOINT => "$url/",
	OTEL_EXPORTER_OTLP_HEADERS => 'api-key=a%20key,x-tenant=t',
	OTEL_RESOURCE_ATTRIBUTES => 'host.name=h1',
	OTEL_METRIC_EXPORT_INTERVAL => '300' });

# The value of a sample; labels as they stand on the page.
sub value
{
	my ($name, $more) = @_;
	my $labels = 'sandbox_id="sb-1",team="red \\"x\\" \\\\",cost_center="7"'
	    . ($more // '');
	my (undef, $page) = api($w, 'GET', '/metrics');

	return $page =~ /^\Q$name\E\{\Q$labels\E\} (\S+)$/m ? $1 : "none: $page";
}

sub lookup { sees($w, 'dig', '+time=5', '+tries=1', '@10.88.0.1', $_[0]) }

is(value('egress_policy_denied_total'), 0, 'nothing denied at first');
is(value('egress_nftables_rules_count'), 1, 'one rule');
lookup('good.test');
lookup('evil.test') for 1 .. 3;
is(value('egress_policy_denied_total'), 3, 'three denied');
is(value('egress_dns_queries_total'), 4, 'of four');
is(value('egress_dns_query_duration_seconds_count'), 1,
    'one was asked of a resolver');
is(value('egress_dns_query_duration_seconds_bucket', ',le="+Inf"'), 1,
    'in the last bucket');
cmp_ok(value('egress_dns_query_duration_seconds_sum'), '>', 0, 'in some time');
cmp_ok(value('egress_nftables_updates_count_total'), '>=', 2,
    'the policy and an address went to the kernel');
cmp_ok(value('process_resident_memory_bytes'), '>', 1e6, 'memory in use');

# Buckets add up; each name has one HELP and one TYPE, before its samples.
{
	my (undef, $page) = api($w, 'GET', '/metrics');
	my @buckets = $page =~ /_seconds_bucket\{[^}]*\} (\d+)$/mg;
	is(scalar @buckets, 12, 'twelve buckets');
	is(scalar(grep { $buckets[$_] < $buckets[$_ - 1] } 1 .. 11), 0,
	    'that never fall');
	my (%type, $wrong);
	for my $line (split /\n/, $page) {
		if ($line =~ /^# TYPE (\S+) (counter|gauge|histogram)$/) {
			$wrong = "$line twice" if $type{$1}++;
		} elsif ($line =~ /^([a-z_]+)\{/) {
			my ($name, $base) = ($1, $1);
			$base =~ s/_(?:bucket|sum|count)$//;
			$wrong = $line if !$type{$name} && !$type{$base};
		} elsif ($line !~ /^# HELP \S+ ./) {
			$wrong = $line;
		}
	}
	is($wrong, undef, 'the page is in form');
}

# OTLP
ok(wait_for(sub { received('collector') >= 3 }), 'metrics are pushed');
ok(wait_for(sub { (pushed())[-1]{'egress.policy.denied_total'} }),
    '  and go on being pushed after a failure');
my ($request) = received('collector');
is($request->{method}, 'POST', '  by POST');
is($request->{path}, '/v1/metrics', '  to /v1/metrics');
is($request->{headers}{'content-type'}, 'application/json', '  in JSON');
is($request->{headers}{'api-key'}, 'a key', '  with the headers, decoded');
is($request->{headers}{'x-tenant'}, 't', '  all of them');
my $body = decode_json($request->{body})->{resourceMetrics}[0];
my %resource = map { $_->{key} => $_->{value}{stringValue} }
    @{ $body->{resource}{attributes} };
like($resource{'service.name'}, qr/^opensandbox-egress-\d/, '  our name');
is($resource{'host.name'}, 'h1', '  and resource attributes');
is($body->{scopeMetrics}[0]{scope}{name}, 'opensandbox/egress', '  the scope');

# Each push as { name => metric }.
sub pushed
{
	return map {
		+{ map { $_->{name} => $_ }
			@{ decode_json($_->{body})->{resourceMetrics}[0]
				{scopeMetrics}[0]{metrics} } }
	} received('collector');
}

my $last = (pushed())[-1];
my $denied = $last->{'egress.policy.denied_total'}{sum};
is($denied->{isMonotonic}, JSON::PP::true, 'a counter rises');
is($denied->{aggregationTemporality}, 2, '  cumulative');
my ($point) = @{ $denied->{dataPoints} };
is($point->{asInt}, '3', '  has its value, as a string');
is_deeply({ map { $_->{key} => $_->{value}{stringValue} }
	@{ $point->{attributes} } },
    { sandbox_id => 'sb-1', team => 'red "x" \\', 'cost-center' => '7' },
    '  and its attributes');
like($point->{timeUnixNano}, qr/\A\d{19}\z/, '  and the time');
my ($histogram) =
    @{ $last->{'egress.dns.query.duration'}{histogram}{dataPoints} };
is($histogram->{count}, '1', 'the histogram has its count');
is(scalar @{ $histogram->{bucketCounts} },
    1 + @{ $histogram->{explicitBounds} }, '  a bucket more than bounds');
ok($last->{'egress.nftables.rules.count'}{gauge}, 'a gauge is one');

# A collector that hangs delays nothing.
my $from = received('collector');
script('collector', { delay => 60 });
ok(wait_for(sub { received('collector') > $from }), 'the collector hangs');
like((lookup('evil.test'))[1], qr/NXDOMAIN/, '  DNS is answered');
is(value('egress_policy_denied_total'), 4, '  and counted');
is(stop($pid), 0, 'it ends');

# What cannot be used is said, and the sandbox guarded all the same.
for my $case (
	[{ OTEL_EXPORTER_OTLP_ENDPOINT => 'collector:4317' },
		qr/OTEL_EXPORTER_OTLP_ENDPOINT/, 'no URL'],
	[{ OTEL_EXPORTER_OTLP_ENDPOINT => $url,
			OTEL_EXPORTER_OTLP_PROTOCOL => 'grpc' },
		qr/OTEL_EXPORTER_OTLP_PROTOCOL/, 'gRPC'],
	[{ OTEL_EXPORTER_OTLP_ENDPOINT => $url,
			OTEL_EXPORTER_OTLP_HEADERS => 'novalue' },
		qr/OTEL_EXPORTER_OTLP_HEADERS/, 'headers without values'],
) {
	my ($env, $pattern, $name) = @$case;
	(my $log = "otlp $name") =~ s/\W/-/g;
	$pid = sidecar($w, name => $log, env => $env);
	like(read_file(scratch() . "/$log.log"), $pattern, "$name: is logged");
	is(stop($pid), 0, '  and it runs');
}

done_testing();
