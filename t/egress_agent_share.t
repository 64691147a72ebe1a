# SPDX-License-Identifier: Apache-2.0
#
# One sandbox of an agent that asks for denied names as fast as it can takes
# neither the log, nor the webhook, nor the agent's time from another one.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More tests => 8;
use Agent;
use Harness;
use Receiver;

use constant FLOOD => 6000;

my $host = netns('host');
my %ns = map { $_ => netns($_) } qw(loud quiet);
# The webhook fails at first, so that its queue fills.
my $url = receiver($host, 'hook', { status => 503 }, { status => 503 },
    { status => 204 });
my $agent = agent($host, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM =>
	'127.0.0.1', OPENSANDBOX_EGRESS_DENY_WEBHOOK => "$url/" });
is((ask('PUT', "/v1/sandboxes/$_", { netns => $ns{$_} }))[0], 201, "sandbox $_")
    for sort keys %ns;

sub denied
{
	my ($name) = @_;
	return grep { $_->{msg} eq 'name denied' && $_->{sandbox_id} eq $name }
	    map { eval { decode_json($_) } // () }
	    split /\n/, read_file(scratch() . '/agent.log');
}

my $loud = start(name => 'flood', netns => $ns{loud}, cmd => [python(), '-c',
	<<'EOT', FLOOD]);
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect(("127.0.0.1", 53))
n = int(sys.argv[1])
for i in range(n):
    name = b"n%06d" % i
    s.send(struct.pack("!6H", i & 65535, 256, 1, 0, 0, 0)
           + bytes([len(name)]) + name + b"\4evil\0\0\1\0\1")
    if i % 16 == 15:
        try:
            s.recv(512)
        except OSError:
            pass
print("done", flush=True)
EOT
ok(wait_for(sub { denied('loud') > 100 }), 'one asks without end');
my $out = run_in($ns{quiet}, 'dig', '+time=5', '+tries=1', '@127.0.0.1',
    'quiet.test');
like($out, qr/NXDOMAIN/, 'another one is answered meanwhile');
is((ask('GET', '/v1/sandboxes/quiet'))[0], 200, '  the agent too');
ok(wait_for(sub { denied('quiet') == 1 }), '  its line is in the log');
wait_for(sub { read_file(scratch() . '/flood.log') =~ /done/ }, 60);
run_in($ns{quiet}, 'dig', '+time=5', '+tries=1', '@127.0.0.1', 'later.test');
ok(wait_for(sub { grep { decode_json($_->{body})->{sandboxId} eq 'quiet'
	&& decode_json($_->{body})->{hostname} eq 'later.test' }
	received('hook') }, 30), '  and the webhook is told of it');
is(stop($agent), 0, 'it ends well');
