# SPDX-License-Identifier: Apache-2.0
#
# Whatever changes the policy decides of the names that wait: a new document,
# always-files, the gateway's policy, the agent's calls; in each mode.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use JSON::PP;
use Test::More;
use Agent;
use DnsWorld;
use Harness;
use Receiver;
use World;

my $w = world();
world_dns($w, '--address=/test/' . GOOD);
world_web($w, 'internet', GOOD, 80, 'good');
my $always = scratch() . '/always';
make_path($always);
my %env = (OPENSANDBOX_EGRESS_ASK => 100);
my $n = 0;

# A client that asks for a name and waits: [pid, log's name].
sub asks
{
	my ($name, $ns, $server) = @_;
	my $log = 'client' . ++$n;

	return [start(name => $log, netns => $ns // $w->{sandbox},
		cmd => ['dig', '+time=60', '+tries=1',
		    '@' . ($server // RESOLVER), $name]), $log];
}

# The status of its answer.
sub answer
{
	my ($client) = @_;

	defined wait_exit($client->[0], 30) or return 'none';
	return read_file(scratch() . "/$client->[1].log") =~ /status: (\w+)/
	    ? $1 : 'no answer';
}

sub names { join ' ', sort map { $_->{name} } @{ $_[0]{pending} || [] } }

sub waiting
{
	my ($want, $name, $get) = @_;
	my $seen;

	$get //= sub { (api($w, 'GET', '/pending'))[2] };
	ok(wait_for(sub { ($seen = names($get->())) eq $want }, 20), $name)
	    or diag $seen;
}

sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }

# Documents.
my $pid = sidecar($w, env => { %env, OPENSANDBOX_EGRESS_ALWAYS_DIR => $always,
	OPENSANDBOX_EGRESS_RULES => encode_json(policy('first.test')) });
my %client = map { $_ => asks("$_.test") } qw(a b c d);
waiting('a.test b.test c.test d.test', 'four names wait');
is((api($w, 'DELETE', '/policy', ['first.test']))[0], 200, 'a rule is deleted');
waiting('a.test b.test c.test d.test', '  they wait');
is((api($w, 'PUT', '/policy', { egress => [
	{ action => 'allow', target => 'a.test' },
	{ action => 'deny', target => 'b.test' }] }))[0], 200, 'a new document');
is(answer($client{a}), 'NOERROR', '  allows one');
is(answer($client{b}), 'NXDOMAIN', '  denies one');
waiting('c.test d.test', '  and says nothing of the others');
is((api($w, 'PATCH', '/policy', '[{"action":"allow","target":"a b"}]'))[0],
    400, 'one that is none');
waiting('c.test d.test', '  changes nothing');

# Files.
write_file("$always/allow.always", "c.test\n");
is(answer($client{c}), 'NOERROR', 'an always-file allows one');
waiting('d.test', '  and not the other');
is((api($w, 'PUT', '/policy', { defaultAction => 'allow' }))[0], 200,
    'all is allowed');
is(answer($client{d}), 'NOERROR', '  the last one, too');
stop($pid);
unlink "$always/allow.always";

# In the sandbox's own namespace.
$pid = sidecar($w, how => 'sidecar', env => { %env,
	OPENSANDBOX_EGRESS_TOKEN => 'secret' });
my @token = ('-H', 'OPENSANDBOX-EGRESS-AUTH: secret');
my $curl = start(name => 'curl', netns => $w->{sandbox}, cmd => ['curl', '-sS',
	'-m', '60', '-o', '/dev/null', '-w', '%{http_code}', 'http://in.test/']);
waiting('in.test', 'sidecar: a name waits',
    sub { (api($w, 'GET', '/pending', undef, @token))[2] });
is((api($w, 'GET', '/pending'))[0], 401, '  no token: 401');
like((sees($w, 'curl', '-s', '-i', "$w->{api}/pending"))[1],
    qr{\AHTTP/1.1 401}, '  from inside: 401');
is((api($w, 'PATCH', '/policy', [{ action => 'allow', target => 'in.test' }],
	@token))[0], 200, '  it is allowed');
is(wait_exit($curl, 30), 0, '  the client goes on');
is(read_file(scratch() . '/curl.log'), '200', '  to the server');
stop($pid);
$pid = sidecar($w, how => 'sidecar', env => \%env);
like((sees($w, 'curl', '-s', '-i', "$w->{api}/pending"))[1],
    qr{\AHTTP/1.1 403}, '  without any token, from inside: 403');
is((api($w, 'GET', '/pending'))[0], 200, '  from outside: 200');
stop($pid);

# The gateway's.
my $url = receiver($w->{host}, 'gateway',
    { etag => '"1"', body => encode_json(policy('one.test')) });
$pid = sidecar($w, env => \%env, args => ['--policy-url', "$url/policy"]);
my $pulled = asks('pulled.test');
waiting('pulled.test', 'pull: a name waits');
script('gateway', { etag => '"2"', body => encode_json(policy('pulled.test')) });
is(answer($pulled), 'NOERROR', '  the gateway allows it');
stop($pid);

# The agent's, of several sandboxes.
my $other = netns('other');
my $agent = agent($w->{host}, 'agent', { %env,
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
my $path = '/v1/sandboxes/sb';

sub of { my ($id) = @_;
	return sub { (ask('GET', "/v1/sandboxes/$id/pending"))[1] } }

is((ask('GET', "$path/pending"))[0], 404, 'agent: no sandbox: 404');
is((ask('PUT', $path, { netns => $w->{sandbox}, policy => policy('x.test') }))[0],
    201, '  one comes');
is((ask('PUT', '/v1/sandboxes/other', { netns => $other }))[0], 201,
    '  and another');
%client = map { $_ => asks("$_.test") } qw(e f g);
my $else = asks('e.test', $other, '127.0.0.1');
waiting('e.test f.test g.test', '  its names wait', of('sb'));
waiting('e.test', '  and the other\'s', of('other'));
is((ask('GET', $path))[1]{counts}{'dns.pending'}, 3, '  which are counted');
is((ask('PATCH', "$path/policy", [{ action => 'allow', target => 'e.test' }]))[0],
    200, '  PATCH of its policy');
is(answer($client{e}), 'NOERROR', '  allows one');
waiting('e.test', '  of this sandbox alone', of('other'));
is((ask('PATCH', $path, { policy => policy('f.test') }))[0], 200,
    '  another policy');
is(answer($client{f}), 'NOERROR', '  allows one');
is((ask('PUT', $path, { netns => $w->{sandbox},
	policy => { egress => [{ action => 'deny', target => 'g.test' }] } }))[0],
    200, '  PUT');
is(answer($client{g}), 'NXDOMAIN', '  denies one');
waiting('', '  none is left', of('sb'));
is((ask('DELETE', "$path/pending"))[0], 405, '  another method: 405');
is((ask('PUT', "$path/pending", '{}'))[0], 405, '  PUT, too');
is((ask('GET', "$path/pending/x"))[0], 404, '  below: 404');
is((ask('DELETE', '/v1/sandboxes/other'))[0], 204,
    'a sandbox goes whose name waits');
ok(alive($agent), '  the agent lives');
is((ask('PUT', '/v1/sandboxes/other', { netns => $other,
	policy => policy('e.test') }))[0], 201, '  it comes again');
is(stop($agent), 0, '  and ends');

done_testing();
