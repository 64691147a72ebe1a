# SPDX-License-Identifier: Apache-2.0
#
# "learn --gate names": the policy that is learned lets the same traffic pass
# the gate, whatever names its connections gave, and says where that is more
# than was looked up.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use GateWorld;
use World;

my $w = gate_world();
my $dir = scratch();
my $learned = "$dir/learned.json";

# Learn from what code does; returns the rules in short and the report.
my $run = 0;
sub learn
{
	my ($code, @args) = @_;
	my $name = 'learn' . ++$run;
	my $pid = start(name => $name, netns => $w->{host},
	    env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER },
	    cmd => [build_dir() . '/egress-sidecar', 'learn', '--netns',
		$w->{sandbox}, '--gate', 'names', '--output', $learned, '--force',
		@args]);
	wait_for(sub { read_file("$dir/$name.log") =~ /^# watching/m })
	    or die read_file("$dir/$name.log");
	$code->();
	stop($pid, 'INT');
	my $policy = decode_json(read_file($learned));
	return (join(' ', map { "$_->{target}" . ($_->{ports}
	    ? "/$_->{protocol}/@{$_->{ports}}" : '') } @{ $policy->{egress} }),
	    read_file("$dir/$name.log"));
}

sub nameless
{
	my ($address) = @_;
	my (undef, $out) = sees($w, 'openssl', 's_client', '-noservername',
	    '-connect', "$address:443");
	return $out =~ /CN ?= ?cdn/ ? 'open' : 'closed';
}

my ($rules, $report) = learn(sub {
	is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'watched: a name');
	is(fetch($w, '-4', 'http://good.test:8080/'), 'HTTP good.test',
	    'watched: on a port that is not gated');
	is(tls($w, 'other.test', GOOD), 'TLS other.test',
	    'watched: a name that was not looked up');
	is(clear_request($w, 'also.test', GOOD), 'HTTP also.test',
	    'watched: in clear');
	is(nameless(TENANT), 'open', 'watched: an address, without a name');
}, '--ports');
is($rules, 'also.test/tcp/80 good.test/tcp/80 443 8080 other.test/tcp/443 '
    . TENANT . '/tcp/443', 'the names that connections gave, with their ports')
    or diag $report;
my ($given) = $report =~ /^# learned: names that connections gave.*\n((?:#   .*\n)*)/m;
is($given, join('', map { "#   ${\GOOD} tcp/$_\n" } '80 (also.test)',
    '443 (other.test)'), 'those that no look-up led there by are reported');
like($report, qr/^# learned: addresses, which the gate.*\n#   \Q${\TENANT}\E tcp\/443$/m,
    'so is an address that no name was given for');

my $pid = gate_start($w, 'join', {}, name => 'enforce', env => {
	OPENSANDBOX_EGRESS_RULES => read_file($learned) });
is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'enforced: the name');
is(fetch($w, '-4', 'http://good.test:8080/'), 'HTTP good.test', '  its other port');
is(tls($w, 'other.test', GOOD), 'reset', '  one that nobody has looked up');
is(fetch($w, '-4', 'https://other.test/'), 'TLS other.test', '    once it is');
is(fetch($w, '-4', 'http://also.test/'), 'HTTP also.test', '  in clear');
is(tls($w, 'also.test', GOOD), 'reset', '  and on no other port');
is(nameless(TENANT), 'open', '  the address');
is(tls($w, 'else.test', GOOD), 'reset', '  and nothing else');
stop($pid);
for my $family (qw(inet netdev)) {
	capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
	    $family, 'opensandbox');
}

# What the start allows is nothing to learn.
write_file("$dir/start.json", encode_json(allow('good.test', TENANT)));
($rules, $report) = learn(sub {
	fetch($w, '-4', 'https://good.test/');
	nameless(TENANT);
}, '--policy-file', "$dir/start.json");
is($rules, 'good.test ' . TENANT, 'what the start allows is not learned again');
unlike($report, qr/the gate/m, '  nor reported');

done_testing();
