# SPDX-License-Identifier: Apache-2.0
#
# Names that the policy's "hosts" give addresses: open from the moment that the
# policy stands, without a question to anybody, as its rules say of the name;
# after a change, a loss and another start too.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent ();
use Harness;
use World;

use constant OTHER => '203.0.113.99';

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $dir = scratch();
my $file = "$dir/policy.json";
my $w = world();
my $ns = $w->{sandbox};

world_dns($w);

# What the sandbox's own hosts file says; no resolver knows the names.
netns_etc($ns, 'hosts', GOOD . " api.internal\n" . EVIL . " db.internal\n"
    . OTHER . " other.internal\n10.88.0.1 near.internal\n");
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
world_web($w, 'internet', OTHER, 80, 'other');
world_web($w, 'host', '10.88.0.1', 8080, 'near');

my %hosts = ('api.internal' => [GOOD, GOOD6], 'db.internal' => [EVIL],
	'near.internal' => ['10.88.0.1']);
my @start = ($w, args => ['--policy-file', $file]);
my $pid = sidecar(@start, name => 'first');

sub rule { { action => $_[0], target => $_[1], @_ > 2 ? (ports => [$_[2]]) : () } }
sub put
{
	my ($hosts, @rules) = @_;
	return api($w, 'PUT', '/policy', { defaultAction => 'deny',
		egress => \@rules, $hosts ? (hosts => $hosts) : () });
}
sub opens   { is((sees($w, @web, "http://$_[0]/"))[1], '200', "  $_[0] opens") }
sub refused { is((sees($w, @web, "http://$_[0]/"))[0], 7, "  $_[0] is refused") }
sub dig     { (sees($w, 'dig', '+time=3', '+tries=1', @_))[1] }

my ($status, $text, $answer) = put(\%hosts, rule('allow', 'api.internal'),
    rule('allow', 'near.internal', 8080), rule('allow', 'other.internal'));
is($status, 200, 'a policy with hosts') or diag $text;
is_deeply($answer->{policy}{hosts}, \%hosts, '  is shown with them');
ok(!$answer->{warnings}, '  and nothing is to be said about them');
opens('api.internal');
opens('near.internal:8080');
refused('db.internal');
refused('other.internal');
refused('near.internal:8081');

is(dig('+short', 'api.internal'), GOOD . "\n", 'DNS says the same');
is(dig('+short', 'api.internal', 'AAAA'), GOOD6 . "\n", '  of the other family');
like(dig('near.internal', 'AAAA'), qr/status: NOERROR.*ANSWER: 0/s,
    '  and that there is none');
like(dig('api.internal', 'HTTPS'), qr/status: NOERROR.*ANSWER: 0/s,
    '  nor hints');
is(dig('+short', 'near.internal'), "10.88.0.1\n",
    '  a private address that the policy gives');
like(dig('db.internal'), qr/status: NXDOMAIN.*EDE: 15/s,
    '  a name that no rule allows is denied');
like(dig('other.internal'), qr/status: SERVFAIL/,
    '  a name without hosts is asked');

is((api($w, 'PATCH', '/policy', [rule('deny', GOOD)]))[0], 200,
    'an earlier rule denies the address');
refused('api.internal');
($status, $text, $answer) = api($w, 'DELETE', '/policy', [GOOD]);
is_deeply($answer->{policy}{hosts}, \%hosts, 'changed rules leave the hosts');
opens('api.internal');

is((put({ %hosts, 'api.internal' => [OTHER] }, rule('allow', 'api.internal')))[0],
    200, 'an address that was asked for is given no more');
refused('api.internal');
unlike(run_in($ns, 'nft', 'list', 'ruleset'), qr/"api\.internal"/,
    '  nor is it remembered');
is((put(\%hosts, rule('allow', 'api.internal')))[0], 200, 'and again');

run_in($ns, 'nft', 'flush', 'ruleset');
ok(wait_for(sub { read_file("$dir/first.log") =~ /"egress\.rules_restored"/ }),
    'the rules are taken away and put back');
opens('api.internal');
refused('db.internal');

for my $bad (['["a.test"]', 'hosts: not an object'],
    ['{"a.test":["10.0.0.0/8"]}', 'hosts\["a\.test"\]\[0\]'],
    ['{"*.a.test":["10.0.0.1"]}', 'hosts\["\*\.a\.test"\]'],
    ['{"a.test":["169.254.169.254"]}', 'hosts\["a\.test"\]\[0\]']) {
	($status, $text) = api($w, 'PUT', '/policy', '{"egress":[],"hosts":'
	    . "$bad->[0]}");
	is($status, 400, "refused: $bad->[0]");
	like($text, qr/$bad->[1]/, '  and named');
}
opens('api.internal');

is_deeply(decode_json(read_file($file))->{hosts}, \%hosts, 'the file has them');
stop($pid);
$pid = sidecar(@start, name => 'second');
opens('api.internal');
refused('db.internal');
is_deeply((api($w, 'GET', '/policy'))[2]{policy}{hosts}, \%hosts,
    'another start has them');

is((put({ 'api.internal' => [OTHER] }, rule('allow', 'api.internal')))[0], 200,
    'other addresses');
refused('api.internal');
opens('other.internal');
is((put(undef, rule('allow', 'api.internal')))[0], 200, 'no hosts any more');
refused('other.internal');
unlike(read_file($file), qr/hosts/, 'nor are they in the file');
stop($pid);

subtest 'the agent keeps them' => sub {
	my $agent = Agent::agent($w->{host}, 'agent', {
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
	my @put = ('PUT', '/v1/sandboxes/sb', { netns => $ns, policy => {
		hosts => \%hosts, egress => [rule('allow', 'api.internal')] } });

	is((Agent::ask(@put))[0], 201, 'a sandbox');
	opens('api.internal');
	stop($agent);
	$agent = Agent::agent($w->{host}, 'agent-again', {
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
	opens('api.internal');
	refused('db.internal');
	is_deeply((Agent::ask('GET', '/v1/sandboxes/sb'))[1]{policy}{hosts},
	    \%hosts, 'its state has them');
	stop($agent);
};

done_testing();
