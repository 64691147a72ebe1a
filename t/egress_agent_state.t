# SPDX-License-Identifier: Apache-2.0
#
# The agent's folder and the kernel say the same: what cannot be written is not
# put in force, and whatever fails, no rules are removed that stood before.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 22;
use Agent;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER);
my $state = agent_state();
my $mounted;
END {
	my $status = $?;
	capture('umount', $state) if $mounted;
	$? = $status;
}

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
my $free = netns('free');

sub code { (sees($w, @web, "http://$_[0]/"))[1] }
sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }
sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }
sub put { ask('PUT', "/v1/sandboxes/$_[0]", $_[1]) }

# Supervisor and worker together.
sub kill_all
{
	kill 'KILL', -$_[0];
	kill_now($_[0]);
}

# A folder of which a few pages are all.
run('mkdir', '-p', $state);
run('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs', $state);
$mounted = 1;

sub fill
{
	open my $fh, '>', "$state/full" or die;
	while ((syswrite($fh, 'x' x 4096) // 0) == 4096) { }
	close $fh;
}

my $agent = agent($w->{host}, 'agent', \%env);
is((put('sb-1', { netns => $w->{sandbox}, policy => policy('good.test') }))[0],
    201, 'a sandbox');
is(code('good.test'), '200', '  which is served');
kill_all($agent);
unlink glob "$state/*";
fill();
$agent = agent($w->{host}, 'next', \%env);
is((ask('GET', '/v1/sandboxes/sb-1'))[0], 404,
    'the next agent does not know it');
my ($status, $body) = put('sb-1', { netns => $w->{sandbox},
	policy => policy('evil.test') });
is($status, 500, 'its folder is full: PUT fails');
like($body->{message}, qr/\Q$state\E: No space left/, '  and says why');
ok(table($w->{sandbox}), '  the rules that stood stand');
is(code(EVIL), '000', '  and refuse');
is(code(GOOD), '200', '  what they let through is let through still');
is((ask('GET', '/v1/sandboxes/sb-1'))[0], 404, '  and nothing is known of it');
is((put('free', { netns => $free }))[0], 500, 'PUT of a namespace without any');
ok(!table($free), '  leaves it as it was');

unlink "$state/full";
is((put('sb-1', { netns => $w->{sandbox}, policy => policy('good.test') }))[0],
    201, 'with room again it is guarded');
fill();
is((put('sb-1', { netns => $w->{sandbox}, policy => policy('evil.test') }))[0],
    500, 'another policy without room');
is(code('good.test') . code('evil.test'), '200000', '  is not in force');
is((put('sb-1', { netns => $free, policy => policy('evil.test') }))[0], 500,
    'another namespace without room');
ok(table($w->{sandbox}) && !table($free), '  is not taken, nor the old one let go');
is((ask('DELETE', '/v1/sandboxes/sb-1?attachment=eth0'))[0], 404,
    'detaching what is not attached');
ok(table($w->{sandbox}), '  frees nothing');
kill_all($agent);
$agent = agent($w->{host}, 'last', \%env);
is(code('good.test') . code('evil.test'), '200000',
    'the next agent has the policy that was in force');
is((ask('DELETE', '/v1/sandboxes/sb-1'))[0], 204, 'DELETE by hand');
ok(!table($w->{sandbox}), '  sets it free');
is_deeply([glob "$state/sb-1*"], [], '  and leaves nothing in the folder');
stop($agent);
