# SPDX-License-Identifier: Apache-2.0
#
# A sandbox has one guard: two that write its rules would take turns, each
# with a policy of its own. The second is refused before it changes anything,
# beside the sandbox, inside of it, and by the agent.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Agent;
use Harness;
use Hostile;
use World;

my $w = world();
my $log;
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

sub opens
{
	return (sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null',
	    "http://$_[0]/"))[0] == 0;
}

sub second
{
	my ($ns, @args) = @_;

	return capture('timeout', '20', 'ip', 'netns', 'exec', $ns,
	    build_dir() . '/egress-sidecar', '--http-addr', '127.0.0.1:18081',
	    '--rules', '{"defaultAction":"allow"}', '--dns-upstream', RESOLVER,
	    @args);
}

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => "first-$how", env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });

	for my $case (['beside', $w->{host}, '--netns', $w->{sandbox}],
	    ['inside', $w->{sandbox}],
	    ['dns alone', $w->{host}, '--netns', $w->{sandbox}, '--mode',
		'dns']) {
		my ($name, @start) = @$case;
		my ($status, $out) = second(@start);

		is($status, 1, "$how, a second $name: it ends");
		like($out, qr/another process guards this sandbox/, '  and says why');
	}
	my ($agent) = $how eq 'join' ? agent($w->{host}, 'agent', {
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER }) : ();
	if ($agent) {
		my ($status, $body) = ask('PUT', '/v1/sandboxes/sb',
		    { netns => $w->{sandbox}, policy => { defaultAction => 'allow' } });

		is($status, 500, 'an agent does not take it');
		like($body->{message}, qr/another process guards this sandbox/,
		    '  and says why');
		is((ask('GET', '/v1/sandboxes/sb'))[0], 404, '  nor keep it');
		stop($agent);
	}
	ok(opens('good.test') && !opens(EVIL), "$how: the first one's policy holds");
	is((api($w, 'GET', '/healthz'))[0], 200, '  and it is well');
	unlike($log = read_file(scratch() . "/first-$how.log"), qr/rules_lost/,
	    '  its rules were not touched') or diag($log);
	is(stop($pid), 0, '  it ends well');
}

my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_RULES => policy_of('evil.test') });
ok(opens('evil.test') && !opens(GOOD), 'after it, another one takes over');
is(stop($pid), 0, 'which ends well');

done_testing(25);
