# SPDX-License-Identifier: Apache-2.0
#
# What conf/observability asks for is what the programs serve: each metric, label
# and value of a label that alerts and dashboard name is on a page of a running
# gateway, sidecar, agent or discovery. docs/observability.md lists the alerts
# and the metrics, all of them and no other.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Observed;

my $conf = root() . '/conf/observability';
my $o = Observed->new;
my $docs = read_file(root() . '/docs/observability.md');
my (%there, %labels, %values, %kind, %by_job);
$o->traffic;

sub read_page
{
	my ($job) = @_;
	my (%type, @wrong);

	for my $line (split /\n/, $o->page($job)) {
		if ($line =~ /^# TYPE (\w+) (counter|gauge|histogram)$/) {
			$kind{$1} = $2;
			$by_job{$job}{$1} = 1;
		} elsif ($line =~ /^(\w+)(?:\{(.*)\})? \S+$/) {
			my ($name, $text) = ($1, $2 // '');
			$there{$name} = 1;
			while ($text =~ /(\w+)="([^"]*)"/g) {
				$labels{$name}{$1} = 1;
				$values{$name}{$1}{$2} = 1;
			}
		} elsif ($line !~ /^# HELP \w+ \S/) {
			push @wrong, $line;
		}
	}
	return "@wrong";
}

for my $job (sort keys %{ $o->{at} }) {
	is(read_page($job), '', "$job: a page in Prometheus' form");
	cmp_ok(scalar keys %{ $by_job{$job} }, '>', 10, '  with metrics');
}
$there{up} = 1;
$kind{$_} //= 'counter' for 'egress_dns_query_duration_seconds_bucket';

# Functions and words of PromQL.
my %word = map { $_ => 1 } qw(and or unless offset by without on sum count min max
    rate increase time topk histogram_quantile);
my %target = map { $_ => 1 } qw(job instance);

# What is wrong with an expression: a metric that nobody serves, a label that it
# has not, a value that the label never has; a rate of what is no counter.
sub mistakes
{
	my ($expr) = @_;
	my (@wrong, %known);

	$expr =~ s/\$__rate_interval/5m/g;
	while ($expr =~ /\b([a-z_]\w*)\b(?!\s*=|"|\s*!)(\{([^}]*)\})?/gi) {
		my ($name, $matchers) = ($1, $3 // '');
		my $before = substr $expr, 0, $-[0];
		next if $word{$name} || $before =~ /\b(?:by|without|on) \([^)]*$/
		    || $before =~ /"[^"]*$/ && ($before =~ tr/"//) % 2
		    || $before =~ /\{[^}]*$/ || $before =~ /\[[^\]]*$/
		    || $before =~ /offset $/;
		if (!$there{$name}) {
			push @wrong, "no metric $name";
			next;
		}
		$known{$_} = 1 for keys %{ $labels{$name} };
		push @wrong, "$name is no counter" if ($kind{$name} // '') ne 'counter'
		    && $before =~ /\b(?:rate|increase)\($/;
		while ($matchers =~ /(\w+)\s*(=~|=|!=|!~)\s*"([^"]*)"/g) {
			my ($label, $how, $value) = ($1, $2, $3);
			next if $value =~ /\$/;
			if ($label eq 'job') {
				push @wrong, "no job $value" if
				    !grep { /^(?:$value)$/ } keys %{ $o->{at} };
				next;
			}
			my @alternatives = $how =~ /~/ ? split /\|/, $value : $value;
			push @wrong, map { "$name has no $label=$_" }
			    grep { !$values{$name}{$label}{$_} } @alternatives;
		}
		while ($matchers =~ /(\w+)\s*(?:=~|=|!=|!~)/g) {
			push @wrong, "$name has no label $1"
			    if !$target{$1} && !$labels{$name}{$1};
		}
	}
	while ($expr =~ /\b(?:by|without|on) \(([^)]*)\)/g) {
		push @wrong, map { "no label $_" }
		    grep { !$known{$_} && !$target{$_} } $1 =~ /\w+/g;
	}
	return join '; ', @wrong;
}

is(mistakes('rate(opensandbox_zone_bytes[5m]) / sum by (nothing) (up{job="x"})'
    . ' + opensandbox_wakes_total{result="lost",colour="red"} + nobody'),
    'opensandbox_zone_bytes is no counter; no job x; '
    . 'opensandbox_wakes_total has no result=lost; '
    . 'opensandbox_wakes_total has no colour=red; '
    . 'opensandbox_wakes_total has no label colour; no metric nobody; '
    . 'no label nothing', 'mistakes are seen');

# Alerts
my $rules = read_file("$conf/alerts.yaml");
my (%alert, @bare);
for my $text (split /^      - alert: /m, $rules) {
	my ($name) = $text =~ /\A(\w+)$/m or next;
	my ($expr) = $text =~ /^        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)/m
	    ? $1 // $2 : next;
	$alert{$name} = 1;
	is(mistakes($expr), '', $name);
	push @bare, $name if $text !~ /severity: (?:critical|warning)/
	    || $text !~ /summary: "\S/ || $text !~ /description: "\S/;
}
is("@bare", '', 'each has severity, summary and description');
is_deeply([sort $docs =~ /^\| `(OpenSandbox\w+)` \|/mg], [sort keys %alert],
    'docs/observability.md has each alert, and no other');

# Dashboard
my $dashboard = decode_json(read_file("$conf/dashboard.json"));
cmp_ok($dashboard->{schemaVersion}, '>=', 36, 'the dashboard');
my %variable = map { $_->{name} => 1 } @{ $dashboard->{templating}{list} };
ok($variable{datasource}, '  has a variable for the data source');
my (%id, @rows, @cells);
for my $panel (@{ $dashboard->{panels} }) {
	my $title = $panel->{title};
	my $grid = $panel->{gridPos};
	my @lacks;
	push @lacks, 'an id of its own' if $id{ $panel->{id} }++;
	push @lacks, 'a place' if $grid->{x} + $grid->{w} > 24;
	for my $cell (map { my $y = $_; map { "$_,$y" } $grid->{x} .. $grid->{x} + $grid->{w} - 1 }
	    $grid->{y} .. $grid->{y} + $grid->{h} - 1) {
		push @lacks, "a place of its own at $cell" if grep { $_ eq $cell } @cells;
		push @cells, $cell;
	}
	if ($panel->{type} eq 'row') {
		push @rows, $title;
		next;
	}
	push @lacks, 'a unit' if !length($panel->{fieldConfig}{defaults}{unit} // '');
	push @lacks, 'a description' if ($panel->{description} // '') !~ /\w/;
	push @lacks, 'the variable for the data source'
	    if $panel->{datasource}{uid} ne '${datasource}';
	push @lacks, 'a query' if !@{ $panel->{targets} };
	for my $query (@{ $panel->{targets} }) {
		push @lacks, grep { length } mistakes($query->{expr});
		push @lacks, "variable $_" for grep { !$variable{$_} && !/^__/ }
		    $query->{expr} =~ /\$(\w+)/g;
	}
	is("@lacks", '', "dashboard: $title");
}
is(scalar @rows, 4, 'a row for each program');

# Documentation
my %documented = map { $_ => 1 } $docs =~ /^\| `((?:opensandbox|egress|discovery|process)_\w+)/mg;
is_deeply([grep { !$documented{$_} } sort map { keys %$_ } values %by_job], [],
    'docs/observability.md has each metric');
is_deeply([grep { !$kind{$_} } sort keys %documented], [], '  and no other');

# On the agent's TCP port there is nothing else.
my $agent = "http://$o->{at}{'opensandbox-agent'}";
for my $path ('/v1/sandboxes', '/v1/sandboxes/sb-2', '/policy', '/') {
	is((capture('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}',
	    '-X', 'DELETE', "$agent$path"))[1], '404', "the agent's port: $path");
}
is((capture('curl', '-s', "$agent/healthz"))[1], 'ok', '  but health');
is((capture('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '-X', 'POST',
    '-d', 'x', "$agent/metrics"))[1], '405', '  which is read alone');
done_testing();
