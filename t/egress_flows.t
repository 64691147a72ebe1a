# SPDX-License-Identifier: Apache-2.0
#
# GET /flows tells the connections of the last hour, from conntrack: who, where
# to, how much, and which rule let them; and the log has a line at the end of
# each where that is wanted.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

use constant { SIZE => 1 << 20, SENT => 300_000, RAW => '203.0.113.99' };

my $w = world();
my $rules = encode_json({ defaultAction => 'deny', egress => [
	{ action => 'allow', target => 'good.test', ports => ['8000-8001', 9] },
	{ action => 'deny', target => EVIL },
	{ action => 'allow', target => RAW } ] });
my %env = (OPENSANDBOX_EGRESS_RULES => $rules);
world_dns($w);
world_web($w, 'internet', RAW, 80, 'raw');
# One that sends so many bytes, one that takes and stays, one that echoes.
write_file(scratch() . '/serve.py', <<'END');
import socket, sys, threading
what, address, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kind = socket.SOCK_DGRAM if what == 'echo' else socket.SOCK_STREAM
server = socket.socket(socket.AF_INET, kind)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((address, port))
if what == 'echo':
    while True:
        server.sendto(*server.recvfrom(2000))
server.listen(64)
def serve(peer):
    with peer:
        if what == 'send':
            peer.sendall(bytes(size))
            peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
END
write_file(scratch() . '/client.py', <<'END');
import socket, sys, time
what, name, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kind = socket.SOCK_DGRAM if what == 'ask' else socket.SOCK_STREAM
peer = socket.socket(socket.AF_INET, kind)
peer.connect((name, port))
peer.settimeout(10)
peer.sendall(bytes(size))
if what == 'hold':
    time.sleep(1000)
if what == 'ask':
    peer.recv(2000)
else:
    peer.shutdown(socket.SHUT_WR)
    n = 0
    while piece := peer.recv(65536):
        n += len(piece)
    print(n)
END
sub serve
{
	my ($place, $what, $address, $port, $size) = @_;
	start(name => "$what$port", netns => $w->{$place}, cmd => [python(),
		scratch() . '/serve.py', $what, $address, $port, $size // 0]);
}
sub client { (python(), scratch() . '/client.py', @_) }

serve('internet', 'send', GOOD, 8000, SIZE);
serve('internet', 'take', GOOD, 8001);
serve('internet', 'echo', GOOD, 9);
serve('sandbox', 'send', '0.0.0.0', 7000, 5000);
for my $at (["$w->{internet}", GOOD, 8000], [$w->{internet}, GOOD, 8001],
    [$w->{sandbox}, '127.0.0.1', 7000]) {
	my ($ns, @to) = @$at;
	wait_for(sub { (capture('ip', 'netns', 'exec', $ns,
		client('get', @to, 0)))[0] == 0 });
}

sub flows
{
	my ($query, @more) = @_;
	my (undef, $text, $json) = api($w, 'GET', '/flows' . ($query // ''), undef,
	    @more);
	return $json || die "no flows: $text";
}
sub flow
{
	my ($port, $protocol) = @_;
	my ($found) = grep { ($_->{port} // 0) == $port
	    && $_->{protocol} eq ($protocol // 'tcp') }
	    reverse @{ flows('?limit=1000')->{flows} };
	return $found || {};
}

# Bytes of so many packets are the content and their headers, 40 to 60 each, and
# now and then a packet that was sent again.
sub bytes_are
{
	my ($bytes, $packets, $content, $name) = @_;
	$_ //= -1 for $bytes, $packets;
	ok($bytes >= $content + 40 * $packets && $bytes <= 1.1 * $content + 60 * $packets,
	    $name) or diag "$bytes bytes, $packets packets, $content of content";
}

sub download { sees($w, client('get', 'good.test', 8000, 0)) }
sub seconds
{
	my ($text) = @_;
	return ($text // '') =~ /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
}

my $pid = sidecar($w, env => \%env);
is((download())[1] + 0, SIZE, 'a download');

# The first GET finds what was before it.
{
	my $f = flow(8000);
	is($f->{direction}, 'outbound', 'a connection outward');
	is($f->{name}, 'good.test', '  to a name');
	is($f->{address}, GOOD, '  which led here');
	is($f->{peer}, '10.88.0.5', '  from the sandbox');
	cmp_ok($f->{peerPort}, '>', 1023, '  with its port');
	is($f->{verdict}, 'allow', '  allowed');
	is($f->{rule}, 'good.test', '  by a rule');
	is($f->{source}, 'policy', '  of the policy');
	bytes_are($f->{bytesIn}, $f->{packetsIn}, SIZE, '  what came');
	bytes_are($f->{bytesOut}, $f->{packetsOut}, 0, '  and nothing went');
	ok(seconds($f->{start}) && seconds($f->{end}), '  ended')
	    or diag explain $f;
	cmp_ok($f->{start}, 'le', $f->{end}, '  after it began');
}

# Bytes of the other direction.
sees($w, client('get', 'good.test', 8001, SENT));
{
	my $f = flow(8001);
	bytes_are($f->{bytesOut}, $f->{packetsOut}, SENT, 'what was sent');
	bytes_are($f->{bytesIn}, $f->{packetsIn}, 0, '  and nothing came');
}

# UDP is open until conntrack forgets it.
sees($w, client('ask', 'good.test', 9, 6));
{
	my $f = flow(9, 'udp');
	is($f->{bytesOut}, 34, 'a datagram of UDP');
	is($f->{bytesIn}, 34, '  and its answer');
	is($f->{end}, undef, '  and more may come');
}

# What is refused, many packets to one place as one.
sees($w, 'curl', '-s', '-m', '2', 'http://' . EVIL . ':81/') for 1 .. 3;
wait_for(sub { (flow(81)->{packetsOut} // 0) == 3 });
{
	my $f = flow(81);
	is($f->{verdict}, 'deny', 'a refused one');
	is($f->{address}, EVIL, '  its address');
	is($f->{rule}, EVIL, '  the rule that refuses it');
	is($f->{bytesOut}, 0, '  nothing left');
	is($f->{packetsOut}, 3, '  of three packets');
	ok(seconds($f->{end}), '  it has ended');
}

# Inward.
is((capture('ip', 'netns', 'exec', $w->{host},
	client('get', '10.88.0.5', 7000, 0)))[1] + 0, 5000, 'one inward');
{
	my $f = flow(7000);
	is($f->{direction}, 'inbound', '  is told as such');
	is($f->{address}, '10.88.0.5', '  to the sandbox');
	is($f->{peer}, '10.88.0.1', '  from outside');
	is($f->{rule}, undef, '  no rule decides');
	bytes_are($f->{bytesOut}, $f->{packetsOut}, 5000, '  what went out');
}

# Open, then ended, without anybody asking; DNS and loopback are none.
sub hold { start(name => 'hold', netns => $w->{sandbox},
	cmd => [client('hold', 'good.test', 8001, 100)]) }
my $hold = hold();
my $before = flow(8001);
ok(wait_for(sub { $before = flow(8001); !exists $before->{end} ? 0
	: !defined $before->{end} }), 'an open one has no end');
stop($hold);
ok(wait_for(sub { defined flow(8001)->{end} }), '  until it ends');
is(flow(8001)->{id}, $before->{id}, '  it is the same');
is(flow(8001)->{start}, $before->{start}, '  and began when it did');
sees($w, 'curl', '-s', '-m', '2', 'http://127.0.0.1:1/');
is_deeply([grep { $_->{port} == 53 || $_->{address} =~ /^127/ }
    grep { $_->{port} } @{ flows()->{flows} }], [], 'no DNS, no loopback');

# Asking.
{
	my @all = map { $_->{id} } @{ flows('?limit=1000')->{flows} };
	my ($page, @paged) = { next => 0 };

	is_deeply([sort { $a <=> $b } @all], \@all, 'the oldest first');
	while (defined $page->{next}) {
		$page = flows("?limit=2&after=$page->{next}");
		cmp_ok(scalar @{ $page->{flows} }, '<=', 2, '  a page of two');
		push @paged, map { $_->{id} } @{ $page->{flows} };
	}
	is_deeply(\@paged, \@all, '  all of them, in pages');
	is_deeply(flows("?after=$all[-1]")->{flows}, [], '  none after the last');
	for my $bad ('limit=0', 'limit=1001', 'limit=x', 'limit=', 'limit=-1',
	    'after=x', 'after=-1', 'after=99999999999999999999') {
		my ($name) = $bad =~ /^(\w+)/;
		my ($status, $text) = api($w, 'GET', "/flows?$bad");
		is($status, 400, "$bad: 400");
		like($text, qr/^$name: ".*": expected a number from \d+ to \d+$/,
		    '  which says what was expected');
	}
	my ($status, $text) = api($w, 'POST', '/flows', '', '-D', '-');
	is($status, 405, 'no other method');
	like($text, qr/^Allow: GET, HEAD\r$/mi, '  Allow says which');
	my (undef, $metrics) = api($w, 'GET', '/metrics');
	for my $name (qw(total lost_total dropped_total open)) {
		like($metrics, qr/^egress_flows_$name \d+$/m, "egress_flows_$name");
	}
}

# Over a restart what is open stays, with its beginning; ids go on.
$hold = hold();
ok(wait_for(sub { $before = flow(8001); !defined $before->{end} }), 'one more');
stop($pid);
$pid = sidecar($w, env => { %env, OPENSANDBOX_EGRESS_TOKEN => 'secret',
	OPENSANDBOX_EGRESS_FLOW_LOG => 'true' }, name => 'second');
my @token = ('-H', 'OPENSANDBOX-EGRESS-AUTH: secret');
is((api($w, 'GET', '/flows'))[0], 401, 'not without the token');
{
	my ($f) = grep { $_->{port} == 8001 && !defined $_->{end} }
	    @{ flows('?limit=1000', @token)->{flows} };
	is($f->{start}, $before->{start}, 'a new process knows when it began');
	is($f->{name}, 'good.test', '  and the name');
	cmp_ok($f->{bytesOut}, '>', 0, '  and its bytes');
	cmp_ok($f->{id}, '>', $before->{id}, '  its id is a later one');
}

# The log, where nobody asks. What was over before it began is counted.
sub logged
{
	my ($port) = @_;
	my @lines = grep { ($_->{event} // '') eq 'egress.flow'
	    && ($_->{'target.port'} // 0) == $port }
	    map { eval { decode_json($_) } // {} }
	    split /\n/, read_file(scratch() . '/second.log');
	return wantarray ? @lines : $lines[-1];
}
stop($hold);
ok(wait_for(sub { scalar logged(8001) }), 'a line at the end');
cmp_ok(logged(8001)->{suppressed}, '>', 0, '  counts those of before');
download();
ok(wait_for(sub { scalar logged(8000) }), 'another one');
{
	my $line = logged(8000);
	my ($f) = grep { $_->{id} == $line->{id} }
	    @{ flows('?limit=1000', @token)->{flows} };
	my %names = ('target.host' => 'name', 'target.ip' => 'address',
		'target.port' => 'port', 'peer.port' => 'peerPort',
		map { $_ => $_ } qw(id start end direction protocol peer bytesOut
		bytesIn packetsOut packetsIn verdict rule source));

	is($line->{$_}, $f->{ $names{$_} }, "  $_") for sort keys %names;
	ok(!exists $line->{suppressed}, '  nothing held back');
	download();
	ok(wait_for(sub { (() = logged(8000)) == 2 }), 'and the next');
}
stop($pid);

# A limit of the policy, in place of a rule.
$pid = sidecar($w, name => 'limit', env => { OPENSANDBOX_EGRESS_RULES =>
	encode_json({ defaultAction => 'allow', limits => { connections => 1 } }) });
$hold = hold();
ok(wait_for(sub { grep { !defined $_->{end} && $_->{port} == 8001 }
    grep { $_->{port} } @{ flows('?limit=1000')->{flows} } }), 'one is open');
sees($w, 'curl', '-s', '-m', '2', 'http://' . EVIL . ':83/');
ok(wait_for(sub { flow(83)->{verdict} }), '  another is told');
is(flow(83)->{verdict}, 'deny', '  as refused');
is(flow(83)->{reason}, 'connections', '  by the limit');
is(flow(83)->{rule}, undef, '  and no rule');
stop($hold);
api($w, 'PUT', '/policy', encode_json({ defaultAction => 'allow',
	limits => { bytesTotal => 100_000 } }));
download();
ok(wait_for(sub { sees($w, 'curl', '-s', '-m', '2', 'http://' . EVIL . ':84/');
	(flow(84)->{reason} // '') eq 'bytesTotal' }), 'one that is over all bytes');
is_deeply([grep { $_->{direction} eq 'inbound' && $_->{reason} }
	@{ flows('?limit=1000')->{flows} }], [],
    '  what comes back to an earlier one is not inward');
stop($pid);

# What was before the first GET comes in order, too.
$pid = sidecar($w, env => \%env, name => 'order');
{
	my @starts = map { $_->{start} } @{ flows('?limit=1000')->{flows} };
	cmp_ok(scalar @starts, '>', 4, 'some of before');
	is_deeply([sort @starts], \@starts, '  the oldest first');
}
stop($pid);

# What an earlier policy let on is no work of one that denies it.
$pid = sidecar($w, name => 'narrow');
{
	my @let = grep { $_->{verdict} eq 'allow'
	    && $_->{direction} eq 'outbound' } @{ flows('?limit=1000')->{flows} };
	cmp_ok(scalar @let, '>', 0, 'some that another policy let on');
	is_deeply([grep { defined } map { $_->{source} } @let], [],
	    '  and not this one');
}
stop($pid);

# In the sandbox's own namespace our own connections are none.
$pid = sidecar($w, how => 'sidecar', env => \%env, name => 'third');
download();
is(flow(8000)->{name}, 'good.test', 'in sidecar mode, too');
is_deeply([grep { $_->{port} == 18080 } grep { $_->{port} }
    @{ flows('?limit=1000')->{flows} }], [], '  but for those to our API');
stop($pid);

# A container has /proc/sys to read alone.
run_in($w->{sandbox}, 'sysctl', '-qw', 'net.netfilter.nf_conntrack_acct=0');
$pid = sidecar($w, how => 'sidecar', env => \%env, name => 'readonly',
    under => ['unshare', '-m', 'sh', '-c', 'mount --bind /proc/sys /proc/sys && '
	. 'mount -o remount,bind,ro /proc/sys && exec "$@"', 'sh']);
like(read_file(scratch() . '/readonly.log'),
    qr/nf_conntrack_acct is 0 and cannot be set/, 'no counters: it is said');
download();
is(flow(8000)->{name}, 'good.test', '  the connection is told');
ok((grep { $_->{port} == 8000 && exists $_->{bytesIn} && !defined $_->{bytesIn} }
    grep { $_->{port} } @{ flows('?limit=1000')->{flows} }), '  without bytes');
stop($pid);

# An audit lets on what would be refused. A connection that its peer resets at
# once leaves no trace in conntrack: it is known where it was listened for.
$pid = sidecar($w, env => { %env, OPENSANDBOX_EGRESS_AUDIT => 'true',
	OPENSANDBOX_EGRESS_FLOWS => 'true' }, name => 'audit');
sees($w, 'curl', '-s', '-m', '2', 'http://' . EVIL . ':82/');
is(flow(82)->{verdict}, 'audit', 'in an audit');
is(flow(82)->{rule}, EVIL, '  with the rule that would refuse it');
stop($pid);

# Of each sandbox of an agent.
agent($w->{host}, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
ask('PUT', '/v1/sandboxes/sb-1',
    { netns => $w->{sandbox}, policy => decode_json($rules) });
download();
{
	my ($status, $body) = ask('GET', '/v1/sandboxes/sb-1/flows?limit=1000');
	my ($f) = grep { ($_->{port} // 0) == 8000 } reverse @{ $body->{flows} };

	is($status, 200, 'the agent tells them');
	is($f->{name}, 'good.test', '  of the sandbox');
	is((ask('GET', '/v1/sandboxes/sb-1/flows?limit=x'))[0], 400,
	    '  no bad number');
	is((ask('PUT', '/v1/sandboxes/sb-1/flows', ''))[0], 405,
	    '  no other method');
	is((ask('GET', '/v1/sandboxes/sb-2/flows'))[0], 404,
	    '  of no other sandbox');
	is((ask('DELETE', '/v1/sandboxes/sb-1'))[0], 204, '  nor after its end');
}

done_testing;
