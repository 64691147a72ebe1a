# SPDX-License-Identifier: Apache-2.0
#
# Prometheus itself, on the running programs: it takes each page, a rule that is
# taken out of the kernel fires its alerts, and they end with it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Open2;
use JSON::PP;
use Test::More;
use Harness;
use Observed;

my $o = Observed->new;
my $dir = scratch();
my $port = free_port();
$o->traffic;

# promtool wants names as Prometheus' own programs have them; those that are
# OpenSandbox's, or older than that, are these.
my %ours = (
	egress_nftables_rules_count => '_count',
	egress_leases_count => '_count',
);
for my $job (sort keys %{ $o->{at} }) {
	my $pid = open2(my $out, my $in, 'promtool check metrics 2>&1');
	print $in $o->page($job);
	close $in;
	my @said = grep { my ($name) = /^(\w+)/; !($ours{$name} && /$ours{$name}/) } <$out>;
	waitpid $pid, 0;
	is("@said", '', "promtool takes the page of $job");
}

# The shipped files, with the test's addresses; no minutes of patience.
my $scrape = read_file(root() . '/conf/observability/scrape.yaml');
$scrape =~ s/: 15s/: 1s/g;
$scrape =~ s/(job_name: (\S+)\n.*?targets: \[")[^"]*/$1$o->{at}{$2}/gs;
my $rules = read_file(root() . '/conf/observability/alerts.yaml');
$rules =~ s/^(        for:) \w+/$1 1s/mg;
write_file("$dir/scrape.yaml", $scrape);
write_file("$dir/alerts.yaml", $rules);
start(name => 'prometheus', cmd => ['prometheus', "--config.file=$dir/scrape.yaml",
    "--storage.tsdb.path=$dir/tsdb", "--web.listen-address=127.0.0.1:$port"]);

sub ask_prometheus
{
	my ($query) = @_;
	my (undef, $text) = capture('curl', '-sG', '--data-urlencode',
	    "query=$query", "http://127.0.0.1:$port/api/v1/query");
	my $answer = eval { decode_json($text) } // {};
	return @{ $answer->{data}{result} // [] };
}

sub firing
{
	my ($alert) = @_;
	return ask_prometheus("ALERTS{alertname=\"OpenSandbox$alert\",alertstate=\"firing\"}");
}

ok(wait_for(sub { (ask_prometheus('up == 1')) == 4 }, 60), 'all four are scraped')
    or diag read_file("$dir/prometheus.log");
ok(wait_for(sub { ask_prometheus('egress_rules_in_force == 1') == 2 }, 30),
    'the rules of both sandboxes are in force');
is(scalar firing($_), 0, "$_ is silent") for qw(RulesMissing RulesTaken EgressDown);

# An interactive nft that owns the table keeps ours away.
my $nft = open2(my $out, my $in, 'ip', 'netns', 'exec', $o->{guarded}, 'nft', '-i');
print $in 'delete table inet opensandbox; add table inet opensandbox { flags owner; }'
    . "\n";
$in->flush;
ok(wait_for(sub { firing('RulesMissing') }, 60), 'rules are taken away: RulesMissing');
is((firing('RulesMissing'))[0]{metric}{sandbox_id}, 'sb-2', '  of that sandbox');
ok(wait_for(sub { firing('RulesTaken') }, 60), '  and RulesTaken');
close $in;
waitpid $nft, 0;
ok(wait_for(sub { !firing('RulesMissing') }, 60), 'they are back: it ends');

stop($o->{discovery});
ok(wait_for(sub { firing('DiscoveryDown') }, 60), 'discovery ends: DiscoveryDown');
is(scalar ask_prometheus('ALERTS{alertstate="firing",alertname=~"OpenSandbox(Gateway|Egress|Sandboxes).*"}'),
    0, 'and nothing else');
done_testing();
