#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# One sandbox of an agent that begins connections faster than anybody can be
# told of them does not keep the agent from another one.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 7;
use Agent;
use Harness;

my $host = netns('host');
my %ns = map { $_ => netns($_) } qw(loud quiet);
my $agent = agent($host, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1' });

# What is sent out of it arrives nowhere, as fast as can be.
veth($ns{loud}, 'eth0', netns('sink'), 'eth0');
addr($ns{loud}, 'eth0', '192.0.2.2/24');
run('ip', '-n', $ns{loud}, 'neigh', 'add', '192.0.2.9', 'lladdr', '02:00:00:00:00:09',
    'dev', 'eth0');
is((ask('PUT', "/v1/sandboxes/$_", { netns => $ns{$_}, policy => { egress => [
	{ action => 'allow', target => '192.0.2.9' }] } }))[0], 201, "sandbox $_")
    for sort keys %ns;

my @flood = map { start(name => "flood$_", netns => $ns{loud}, cmd => [python(), '-c',
	<<'END']) } 1, 2;
import socket
print("begun", flush=True)
while True:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for port in range(1000, 65536):
            s.sendto(b"", ("192.0.2.9", port))
END
sub begun
{
	return (ask('GET', '/metrics'))[1]
	    =~ /^egress_flows_total\{sandbox_id="loud"\} (\d+)$/m ? $1 : 0;
}
ok(wait_for(sub { begun() > 300_000 }, 60), 'one begins connections without end');
my ($status, $out) = capture('ip', 'netns', 'exec', $ns{quiet}, python(), '-c', <<'END');
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect(("127.0.0.1", 53))
late, end = 0, time.monotonic() + 6
while time.monotonic() < end:
    s.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\5quiet\4test\0\0\1\0\1")
    try:
        s.recv(512)
    except OSError:
        late += 1
print("late", late)
END
is($out, "late 0\n", 'each question of another is answered meanwhile');
is((ask('GET', '/v1/sandboxes/quiet'))[0], 200, '  the agent answers too');
ok((ask('GET', '/metrics'))[1] =~ /^egress_flows_lost_total\{sandbox_id="loud"\} [1-9]/m,
    '  what could not be told is counted');
stop($_) for @flood;
is(stop($agent), 0, 'it ends well');
