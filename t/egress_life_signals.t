# SPDX-License-Identifier: Apache-2.0
#
# A supervisor that dies takes its worker along, and the next start has what
# both held; SIGHUP during a start ends nobody, nor is it lost.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Test::More;
use Agent;
use Faults qw(worker_of);
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $always = scratch() . '/rules';
my %how = (env => { OPENSANDBOX_EGRESS_RULES =>
	'{"egress":[{"action":"allow","target":"good.test"}]}' },
	args => ['--always-dir', $always]);
my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

sub opens { (sees($w, @web, "http://$_[0]/"))[1] eq '200' }
sub refused { (sees($w, @web, 'http://' . EVIL . '/'))[0] == 7 }
sub gone { my ($worker) = @_; return wait_for(sub { !kill 0, $worker }) }

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, %how, how => $how, name => "$how-first");
	my $worker = worker_of($pid);
	kill_now($pid);
	$pid = sidecar($w, %how, how => $how, name => "$how-next");
	ok($pid, "$how: its supervisor killed, another is started at once");
	ok(gone($worker), '  the worker has gone');
	ok(opens('good.test') && refused(), '  and the sandbox is served');
	$worker = worker_of($pid);
	kill 'STOP', $worker;
	kill_now($pid);
	ok(gone($worker), '  even one that hangs');
	ok(refused(), '  the rules stay');
	$pid = sidecar($w, %how, how => $how, name => "$how-last");
	ok(opens('good.test') && refused(), '  and are taken over');
	is(stop($pid), 0, '  it ends well');
}

# SIGHUP from the first moment on, while there is much to do at the start.
make_path($always);
my $big = scratch() . '/policy.json';
write_file($big, '{"egress":[{"action":"allow","target":"good.test"},' . join(',',
	map { '{"action":"deny","target":"10.' . ($_ >> 8) . '.' . ($_ & 255)
	    . '.0/24"}' } 1 .. 4000) . ']}');
my $died = 0;
for my $round (1 .. 5) {
	my $name = "hup-$round";
	my $pid = start(name => $name, netns => $w->{host}, env => {
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
		OPENSANDBOX_EGRESS_POLICY_FILE => $big,
		OPENSANDBOX_EGRESS_HTTP_ADDR => ':18080' },
	    cmd => [build_dir() . '/egress-sidecar', '--netns', $w->{sandbox},
		'--always-dir', $always]);
	my $worker = wait_for(sub { worker_of($pid) });
	kill 'HUP', $pid, $worker for 1 .. 20;
	wait_for(sub {
		kill 'HUP', $pid;
		return !alive($pid) || (capture('ip', 'netns', 'exec', $w->{host},
			@web, 'http://127.0.0.1:18080/healthz'))[1] eq '200';
	});
	$died++ if !alive($pid) || worker_of($pid) != $worker;
	stop($pid);
}
is($died, 0, 'SIGHUP while the policy is put in force ends nobody');
ok(refused(), '  and opens nothing');

# The agent's socket as well
my $agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
my $worker = worker_of($agent);
is((ask('PUT', '/v1/sandboxes/sb', { netns => $w->{sandbox}, policy => {
	egress => [{ action => 'allow', target => 'good.test' }] } }))[0], 201,
    'an agent guards it');
kill_now($agent);
$agent = agent($w->{host}, 'agent-next',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
ok(gone($worker), '  its worker has gone with the supervisor');
ok(opens('good.test') && refused(), '  the next one guards it');
is(stop($agent), 0, '  and ends well');
done_testing(20);
