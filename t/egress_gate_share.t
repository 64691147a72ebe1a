#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# One sandbox of an agent that opens as many connections as its gate takes, and
# reads from none of them, leaves room for another sandbox's.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 7;
use Agent;
use GateWorld;
use Harness;
use World;

use constant FEW => 512;

my $w = gate_world();
my $other = netns('other');
veth($other, 'eth0', $w->{host}, 'sb1');
addr($other, 'eth0', '10.88.1.5/24');
addr($w->{host}, 'sb1', '10.88.1.1/24');
run('ip', '-n', $other, 'route', 'add', 'default', 'via', '10.88.1.1');
netns_etc($other, 'resolv.conf', "nameserver 10.88.1.1\n");

# Says more than anybody reads, and reads no more than the first line.
start(name => 'endless', netns => $w->{internet}, cmd => [python(), '-c', <<'END']);
import socket, threading
s = socket.create_server(("203.0.113.20", 8443), backlog=1024)
def serve(c):
    try:
        c.recv(4096)
        c.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            c.sendall(bytes(65536))
    except OSError:
        pass
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
END
wait_for(sub { read_file(scratch() . '/endless.log') =~ /ready/ });

my $agent = agent($w->{host}, 'agent', {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
	OPENSANDBOX_EGRESS_GATE => 'names',
	OPENSANDBOX_EGRESS_GATE_PORTS => '443,80,8443' },
    'prlimit', '--nofile=' . FEW . ':' . FEW);
my %at = (loud => $w->{sandbox}, quiet => $other);
for my $id (sort keys %at) {
	is((ask('PUT', "/v1/sandboxes/$id", { netns => $at{$id},
		policy => allow('good.test') }))[0], 201, "sandbox $id");
}
my $quiet = { %$w, sandbox => $other };
is(fetch($quiet, '-4', 'http://good.test/'), 'HTTP good.test', 'one is served');

my $loud = start(name => 'loud', netns => $w->{sandbox}, cmd => [python(), '-c',
	<<'END']);
import socket, time
socket.getaddrinfo("good.test", 8443, socket.AF_INET)
held, made = [], 0
end = time.monotonic() + 60
while made < 600 and time.monotonic() < end:
    try:
        s = socket.create_connection(("203.0.113.20", 8443))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"POST / HTTP/1.1\r\nHost: good.test\r\n"
                  b"Content-Length: 1000000000\r\n\r\n")
        held.append(s)
    except OSError:
        pass
    made += 1
print("many", flush=True)
time.sleep(1000)
END
ok(wait_for(sub { read_file(scratch() . '/loud.log') =~ /many/ }, 70),
    'another opens all that it may');
is(fetch($quiet, '-4', 'http://good.test/'), 'HTTP good.test', '  and the first is served');
is((ask('GET', '/healthz'))[0], 200, '  the agent answers');
is(stop($agent), 0, 'it ends well');
