# SPDX-License-Identifier: Apache-2.0
#
# Root with CAP_NET_RAW in the sidecar's namespace talks to the policy API in
# the name of somebody outside: over loopback, from an allowed address, which
# the answers may leave to, and are seen leaving. Without a token whoever is
# outside may change the policy; loopback is not outside.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my $dir = scratch();
my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
# Nobody there says that the conversation is not his, as in the internet, where
# it would take a while.
run_in($w->{internet}, 'nft', 'add table inet quiet; add chain inet quiet in'
    . ' { type filter hook input priority 0; }; add rule inet quiet in'
    . ' tcp dport 7000-7999 drop');

my $pid = sidecar($w, how => 'sidecar', env => {
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });
start(name => 'own', netns => $w->{sandbox}, cmd => [python(), '-c',
	"import socket,threading\n"
	. "l=socket.create_server(('10.88.0.5',18081))\nprint('listening',flush=True)\n"
	. "def one(c): print(c.recv(999),flush=True)\n"
	. "while True: threading.Thread(target=one,args=(l.accept()[0],)).start()"]);
wait_for(sub { read_file("$dir/own.log") =~ /listening/ });

sub forged
{
	my ($port) = @_;
	my (undef, $out) = sees($w, words(ROOT, 'forged_client.py', 'eth0',
	    '10.88.0.5', $port, GOOD, '{"defaultAction":"allow"}'));

	return $out =~ /answers (\d+)/ ? $1 : die $out;
}

sub web
{
	return (sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null', '-w',
	    '%{http_code}', '-4', 'http://good.test/'))[1];
}

is(web(), '200', 'the allowed neighbour opens');
cmp_ok(forged(18081), '>', 0, 'a server of its own takes it for a client');
like(read_file("$dir/own.log"), qr/PUT \/policy/, 'and has its request');
is(web(), '200', 'the address is allowed still');
is(forged(18080), 0, 'the policy API does not answer a client over loopback'
    . ' with an address from outside');
my (undef, undef, $json) = api($w, 'GET', '/policy');
is($json->{mode}, 'enforcing', 'the policy is what it was');
unlike(read_file("$dir/sidecar.log"), qr/egress\.updated/, 'all the while');
is((sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}',
    "http://$_:18080/policy"))[1], '403', "who asks openly is told no, $_")
    for '127.0.0.1', '[::1]', '10.88.0.5', '[2001:db8:88::5]';
is((api($w, 'PATCH', '/policy', '[{"action":"allow","target":"n.test"}]'))[0],
    200, 'who is outside may change it');
is((capture('ip', 'netns', 'exec', $w->{host}, 'curl', '-s', '-o', '/dev/null',
    '-w', '%{http_code}', '-g', 'http://[2001:db8:88::5]:18080/policy'))[1],
    '200', 'over IPv6 as well');
is(stop($pid), 0, 'it ends well');

done_testing(14);
