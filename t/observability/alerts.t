# SPDX-License-Identifier: Apache-2.0
#
# promtool takes conf/observability; each alert fires when it should, and is
# silent when not.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Harness;

my $conf = root() . '/conf/observability';
my $gateway = 'job="opensandbox-gateway",instance="g"';
my $agent = 'job="opensandbox-agent",instance="a"';
my $sandbox = "$agent,sandbox_id=\"sb-1\"";
my $discovery = 'job="opensandbox-discovery",instance="d"';
my $source = "$discovery,source=\"docker\"";
my $list = "$source,list=\"containers\"";

# Half an hour, a sample a minute: NAME{LABELS} rises by so much a minute, or
# stays as it is.
sub rises { return { $_[0] => "0+$_[1]x40" } }
sub stays { return { $_[0] => "$_[1]x40" } }

sub requests
{
	my ($status, $rate) = @_;
	return ("opensandbox_requests_total{$gateway,mode=\"uri\",status=\"$status\"}",
	    $rate);
}

sub counts
{
	my ($name, $labels, @more) = @_;
	return [rises("$name\{$labels}", 60), rises("$name\{$labels}", 0), @more];
}

sub is_set
{
	my ($name, $labels, $bad, $good) = @_;
	return [stays("$name\{$labels}", $bad), stays("$name\{$labels}", $good)];
}

sub zone
{
	my ($used) = @_;
	return { %{ stays("opensandbox_zone_used_bytes{$gateway}", $used) },
	    %{ stays("opensandbox_zone_bytes{$gateway}", 100) } };
}

sub dns
{
	my ($failed) = @_;
	return { %{ rises("egress_dns_query_failed_total{$sandbox}", $failed) },
	    %{ rises("egress_dns_queries_total{$sandbox}", 600) } };
}

# So many of a hundred answers within a second, the others within five.
sub durations
{
	my ($fast) = @_;
	return { map { %{ rises("egress_dns_query_duration_seconds_bucket{$sandbox,le=\"$_->[0]\"}",
		$_->[1]) } } ['0.1', $fast], ['1', $fast], ['5', 100], ['+Inf', 100] };
}

my $outlet = "$agent,outlet=\"webhook\"";

# Alert => [what makes it fire, what does not]
my %cases = (
	GatewayDown => is_set('up', $gateway, 0, 1),
	GatewayZoneFillsUp => [zone(85), zone(79)],
	GatewayZoneFull => [zone(96), zone(94)],
	GatewayApiFails => [
		rises("opensandbox_api_requests_total{$gateway,method=\"PUT\",code=\"5xx\"}", 1),
		rises("opensandbox_api_requests_total{$gateway,method=\"PUT\",code=\"4xx\"}", 1)],
	SandboxesUnreachable => [
		{ %{ rises(requests('refused', 20)) }, %{ rises(requests('ok', 100)) } },
		{ %{ rises(requests('refused', 4)) }, %{ rises(requests('not_found', 20)) },
		    %{ rises(requests('ok', 100)) } }],
	UnauthorizedRequests => [rises(requests('unauthorized', 600)),
		rises(requests('unauthorized', 60))],
	GatewayHasNoKeys => [rises(requests('no_keys', 1)), rises(requests('no_keys', 0))],
	WakesFail => [rises("opensandbox_wakes_total{$gateway,result=\"failed\"}", 1),
		rises("opensandbox_wakes_total{$gateway,result=\"sent\"}", 1)],
	RenewIntentsLost => [
		rises("opensandbox_renew_intents_total{$gateway,result=\"dropped\"}", 1),
		rises("opensandbox_renew_intents_total{$gateway,result=\"sent\"}", 1)],
	SourceShrank => [
		{ "opensandbox_source_sandboxes{$gateway,source=\"docker\"}" => '100x23 40x20' },
		{ "opensandbox_source_sandboxes{$gateway,source=\"docker\"}" => '100x23 60x20' }],
	GatewayVersionsDiffer => [
		{ map { ("opensandbox_build_info{$gateway,version=\"$_\"}" => '1x100') } 1, 2 },
		{ map { ("opensandbox_build_info{job=\"x\",instance=\"$_\",version=\"1\"}"
		    => '1x100') } 1, 2 }, 90],
	EgressDown => is_set('up', $agent, 0, 1),
	RulesMissing => is_set('egress_rules_in_force', $sandbox, 0, 1),
	RulesTaken => counts('egress_rules_lost_total', $sandbox),
	MarkGuessed => counts('egress_packets_mark_guessed_total', $sandbox),
	ResolversDown => is_set('egress_dns_upstream_healthy', $sandbox, 0, 1),
	DnsFails => [dns(60), dns(20)],
	DnsSlow => [durations(90), durations(99)],
	DnsSpoofed => [rises("egress_dns_upstream_spoofed_total{$sandbox}", 120),
		rises("egress_dns_upstream_spoofed_total{$sandbox}", 30)],
	DnsDropped => counts('egress_dns_dropped_total', $sandbox),
	PolicyNotTaken => counts('egress_policy_update_failures_total', $sandbox),
	PolicyTooLong => is_set('egress_nftables_rules_count', $sandbox, 3700, 3500),
	DeniedBurst => [rises("egress_policy_denied_total{$sandbox}", 600),
		rises("egress_policy_denied_total{$sandbox}", 120)],
	GateRefuses => [{ map { %{ rises("egress_gate_refused_${_}_total{$sandbox}", 40) } }
		    qw(sni_mismatch no_name malformed) },
		{ map { %{ rises("egress_gate_refused_${_}_total{$sandbox}", 10) } }
		    qw(sni_mismatch no_name malformed) }],
	GateFull => is_set('egress_gate_connections', $sandbox, 9000, 7000),
	LeasesFull => is_set('egress_leases_count', $sandbox, 60000, 50000),
	OutletFails => [
		{ %{ rises("egress_outlet_failed_total{$outlet}", 1) },
		    %{ stays("egress_outlet_last_success_timestamp_seconds{$outlet}", 0) } },
		{ %{ rises("egress_outlet_failed_total{$outlet}", 1) },
		    %{ rises("egress_outlet_last_success_timestamp_seconds{$outlet}", 60) } }],
	OutletDrops => counts('egress_outlet_dropped_total', $outlet),
	FlowsLost => counts('egress_flows_lost_total', $sandbox),
	EgressBusy => [rises("egress_process_cpu_time_seconds_total{$agent}", 58),
		rises("egress_process_cpu_time_seconds_total{$agent}", 40)],
	EgressLogLost => counts('egress_log_dropped_lines_total', $agent),
	AgentCrowded => [
		{ map { %{ stays("egress_rules_in_force{$agent,sandbox_id=\"$_\"}", 1) } } 1 .. 66 },
		{ map { %{ stays("egress_rules_in_force{$agent,sandbox_id=\"$_\"}", 1) } } 1 .. 65 }],
	DiscoveryDown => is_set('up', $discovery, 0, 1),
	ListNotComplete => is_set('discovery_list_complete', $list, 0, 1),
	ListFails => [rises("discovery_list_failures_total{$list}", 1),
		{ "discovery_list_failures_total{$list}" => '0x20 1x20' }],
	GatewayNotFed => is_set('discovery_fed', $source, 0, 1),
	FeedFails => counts('discovery_feed_failures_total', $source),
	RecordsWait => is_set('discovery_records_waiting', $source, 1, 0),
	FeedSlow => is_set('discovery_feed_lag_seconds', $source, 6, 1),
	RecordsAmbiguous => is_set('discovery_records_ambiguous', $source, 1, 0),
	RecordsConflict => is_set('discovery_records_conflicting', $source, 1, 0),
	ObjectsRefused => is_set('discovery_objects_refused', $list, 1, 0),
	PoliciesRefused => is_set('discovery_policies_refused', $discovery, 1, 0),
	PoliciesAbsent => is_set('discovery_policies_absent', $discovery, 1, 0),
	AgentAway => counts('discovery_agent_failures_total', $discovery),
	DiscoveryLogLost => counts('discovery_log_dropped_total', $discovery),
);

# What makes them fire as well
my %others = (
	GatewayZoneFull => [stays("opensandbox_declared_waiting{$gateway}", 1)],
	GateFull => [rises("egress_gate_dropped_total{$sandbox}", 1)],
	EgressDown => [stays('up{job="opensandbox-sidecar",instance="s"}', 0)],
	GateRefuses => [{ map { %{ rises("egress_gate_refused_${_}_total{$sandbox}",
		$_ eq 'no_name' ? 100 : 0) } } qw(sni_mismatch no_name malformed) }],
);

# A series' labels hold double quotes.
sub quoted { return "'$_[0]'" }

sub unit
{
	my ($name, $series, $minutes, $fires) = @_;
	my $text = "- interval: 1m\n  input_series:\n";

	$text .= '  - {series: ' . quoted($_) . ', values: ' . quoted($series->{$_}) . "}\n"
	    for sort keys %$series;
	return $text . "  promql_expr_test:\n  - eval_time: ${minutes}m\n"
	    . '    expr: ' . quoted("count by (alertname) (ALERTS{alertname=\"OpenSandbox$name\",alertstate=\"firing\"})")
	    . "\n    exp_samples:"
	    . ($fires ? "\n    - {labels: '{alertname=\"OpenSandbox$name\"}', value: $fires}\n"
	    : " []\n");
}

my @alerts = map { s/^OpenSandbox//r }
    read_file("$conf/alerts.yaml") =~ /- alert: (\w+)/g;
is_deeply([sort keys %cases], [sort @alerts], 'each alert is tried');

my ($status, $out) = capture('promtool', 'check', 'config', "$conf/scrape.yaml");
is($status, 0, 'promtool takes the configuration and the rules') or diag $out;

# promtool holds no more than some thousand samples.
my $dir = scratch();
my $rules = read_file("$conf/alerts.yaml");
is($rules =~ s/> 6500$/> 65/m, 1, 'a crowd is made smaller');
write_file("$dir/alerts.yaml", $rules);
for my $name (@alerts) {
	my ($bad, $good, $minutes) = @{ $cases{$name} };
	my @others = @{ $others{$name} // [] };
	write_file("$dir/$name.yaml", "rule_files: [alerts.yaml]\n"
	    . "evaluation_interval: 1m\ntests:\n"
	    . join('', map { unit($name, $_, $minutes // 30, 1) } $bad, @others)
	    . unit($name, $good, $minutes // 30, 0));
	($status, $out) = capture('promtool', 'test', 'rules', "$dir/$name.yaml");
	is($status, 0, $name) or diag $out;
}
done_testing();
