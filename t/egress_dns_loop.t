# SPDX-License-Identifier: Apache-2.0
#
# The sandbox's resolver is one in its own namespace that forwards from there,
# as Docker's 127.0.0.11 does: its questions are redirected to the sidecar, who
# asks it again. That is noticed at the start and said; with the resolver
# behind it all is well.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use World;

use constant LOCAL => '127.0.0.11';

my $w = world();
world_dns($w);
netns_etc($w->{sandbox}, 'resolv.conf', 'nameserver ' . LOCAL . "\n");
start(name => 'embedded', netns => $w->{sandbox},
    cmd => ['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null',
	'--no-resolv', '--no-hosts', '--user=root', '--pid-file',
	'--bind-interfaces', '--listen-address=' . LOCAL, '--cache-size=0',
	'--server=' . RESOLVER]);
ok(wait_for(sub { dig_local('good.test') =~ /203\.0\.113\.20/ }),
    'a resolver in the sandbox');

sub dig_local
{
	return (sees($w, 'dig', '+time=8', '+tries=1', '@' . LOCAL, @_))[1];
}

my %rules = (OPENSANDBOX_EGRESS_RULES =>
	'{"egress":[{"action":"allow","target":"good.test"}]}');
my $pid = sidecar($w, how => 'sidecar', name => 'looped',
    env => { %rules, OPENSANDBOX_EGRESS_DNS_UPSTREAM => LOCAL });
my $log = scratch() . '/looped.log';
ok(wait_for(sub { read_file($log) =~
	/"error".*sends our questions back.*--dns-upstream.*@{[LOCAL]}/ }),
    'that it asks us is said at the start') or diag read_file($log);
like(dig_local('good.test'), qr/status: SERVFAIL.*EDE: 23.*--dns-upstream/s,
    'and to who asks');
like((api($w, 'GET', '/metrics'))[1],
    qr/^egress_dns_upstream_healthy(?:\{.*\})? 0$/m, 'it is not healthy');
is(stop($pid), 0, 'the sidecar ends');

$pid = sidecar($w, how => 'sidecar', name => 'around',
    env => { %rules, OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
like(dig_local('good.test'), qr/\tA\t203\.0\.113\.20/,
    'the resolver behind it serves');
unlike(read_file(scratch() . '/around.log'), qr/"error"/, 'and nothing is amiss');

# Together with another, the other one serves.
is(stop($pid), 0, 'the sidecar ends');
$pid = sidecar($w, how => 'sidecar', name => 'both', env => { %rules,
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => LOCAL . ',' . RESOLVER });
ok(wait_for(sub { read_file(scratch() . '/both.log') =~ /questions back/ }),
    'of two, one asks us');
like(dig_local('good.test'), qr/\tA\t203\.0\.113\.20/, 'the other serves');
is(stop($pid), 0, 'the sidecar ends');
done_testing();
