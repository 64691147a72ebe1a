# SPDX-License-Identifier: Apache-2.0
#
# A sandbox that shares the sidecar's namespace cannot rewrite its own policy,
# nor keep others from doing so.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

my @inside = ('http://127.0.0.1:18080', 'http://[::1]:18080',
	'http://127.5.6.7:18080', 'http://10.88.0.5:18080',
	'http://[2001:db8:88::5]:18080');
my $allow = '{"defaultAction":"allow"}';
my $w = world();
world_dns($w);

# What the sandbox gets from the API: the status.
sub inside
{
	my ($method, $url, @more) = @_;
	return (sees($w, 'curl', '-s', '-m', '5', '-g', '-o', '/dev/null', '-w',
		'%{http_code}', '-X', $method, @more, $url))[1];
}

sub mode
{
	return (api($w, 'GET', '/policy', undef, @_))[2]{mode};
}

my $pid = sidecar($w, how => 'sidecar');
is(mode(), 'deny_all', 'the operator, from outside, reads the policy');
for my $url (@inside) {
	is(inside('GET', "$url/healthz"), 200, "inside: GET $url/healthz");
	is(inside('GET', "$url/policy"), 403, '  GET /policy is refused');
	is(inside('GET', "$url/metrics"), 403, '  GET /metrics is refused');
	is(inside('GET', "$url/nowhere"), 403, '  and any other path');
	for my $method (qw(POST PUT PATCH DELETE)) {
		is(inside($method, "$url/policy", '-d', $allow), 403,
		    "  $method /policy is refused");
	}
}
is(mode(), 'deny_all', 'the policy is what it was');
is((api($w, 'PUT', '/policy', '{"defaultAction":"allow"}'))[0], 200,
    'the operator, from outside, changes it');
is(mode(), 'allow_all', '  and it is changed');

# Every connection that the sandbox can get, held open.
my $hold = spawn('holder', sub {
	my $fh;
	open $fh, '<', "/run/netns/$w->{sandbox}" or die;
	syscall(308, fileno($fh), 0x40000000) == 0 or die "setns: $!";
	require IO::Socket::INET;
	my @held = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1:18080',
		Timeout => 1) } 1 .. 300;
	write_file(scratch() . '/held', scalar grep { $_ } @held);
	for my $s (grep { $_ } @held) {
		syswrite $s, "PUT /policy HTTP/1.1\r\nHost: x\r\nContent-Le";
	}
	write_file(scratch() . '/holding', 1);
	sleep 60;
});
ok(wait_for(sub { -e scratch() . '/holding' }, 30),
    'the sandbox holds connections: ' . read_file(scratch() . '/held'));
is((api($w, 'GET', '/healthz'))[0], 200, '  the operator is answered still');
is((api($w, 'PUT', '/policy', '{}'))[0], 200, '  and changes the policy');
kill_now($hold);
is(stop($pid), 0, 'it ends');

# With a token, who holds it may come from inside: the operator's exec.
$pid = sidecar($w, how => 'sidecar', name => 'token',
	env => { OPENSANDBOX_EGRESS_TOKEN => 'secret' });
my @right = ('-H', 'OPENSANDBOX-EGRESS-AUTH: secret');
is(inside('GET', 'http://127.0.0.1:18080/policy'), 401,
    'inside, no token: 401');
is(inside('GET', 'http://127.0.0.1:18080/policy', '-H',
	'OPENSANDBOX-EGRESS-AUTH: wrong'), 401, 'inside, a wrong one: 401');
is(inside('PUT', 'http://127.0.0.1:18080/policy', '-d', $allow, @right), 200,
    'inside, the right one: 200');
is((api($w, 'GET', '/policy'))[0], 401, 'outside, no token: 401');
is(mode(@right), 'allow_all', 'outside, the right one: what was put');
is(stop($pid), 0, 'it ends');

# In join mode the API is elsewhere.
$pid = sidecar($w);
is(inside('GET', 'http://127.0.0.1:18080/healthz'), '000',
    'join: nothing listens inside');
is(mode(), 'deny_all', 'join: the operator needs no token');
is(stop($pid), 0, 'it ends');

done_testing();
