#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Why a connection to a sandbox does not come about is told apart: nothing
# listens, the network says no, or nobody says anything.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More tests => 17;
use Harness;
use Ingress;

# The gateway and the sandbox in namespaces of their own. Behind the sandbox
# there are no further networks.
my ($gw, $box) = (netns('gw'), netns('box'));
veth($gw, 'eth0', $box, 'eth0');
addr($gw, 'eth0', '10.9.0.1/24', 'fd09::1/64');
addr($box, 'eth0', '10.9.0.2/24', 'fd09::2/64');
run('ip', '-n', $gw, 'route', 'add', '10.10.0.0/16', 'via', '10.9.0.2');
run('ip', '-n', $gw, 'route', 'add', 'prohibit', '10.11.0.0/16');
run_in($box, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
run_in($box, 'nft', <<'END');
table inet box {
	chain input {
		type filter hook input priority 0;
		tcp dport 97 drop
		tcp dport 98 reject with icmpx type admin-prohibited
	}
}
END

my $g = gateway(netns => $gw, http => <<'EOT', server => <<'EOT2');
opensandbox_sandbox sb { endpoint 10.9.0.2; }
opensandbox_sandbox six { endpoint [fd09::2]; }
opensandbox_sandbox gone { endpoint 10.10.0.1; }
opensandbox_sandbox barred { endpoint 10.11.0.1; }
opensandbox_sandbox far { endpoint 198.51.100.1; }
EOT
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /sandboxes/sb/port/97/ {
    opensandbox uri;
    proxy_pass http://sandboxes;
    proxy_connect_timeout 1s;
}
EOT2

sub told
{
	my ($id, $port) = @_;
	my $json = in_netns($gw, sub {
		my $a = get($g->{port}, "/sandboxes/$id/port/$port/");
		return encode_json({ %{ json($a) }, status => $a->{status} });
	});
	return eval { decode_json($json) } || { message => $json };
}

for (
	['sb', 96, 502, 'refused', qr/nothing listens there$/,
	    'a port where nothing listens'],
	['six', 96, 502, 'refused', qr/nothing listens there$/, '  over IPv6'],
	['sb', 98, 502, 'unreachable', qr/the network, or a firewall, rejects/,
	    'a port behind a firewall that rejects'],
	['six', 98, 502, 'unreachable', qr/the network, or a firewall, rejects/, '  over IPv6'],
	['gone', 96, 502, 'unreachable', qr/the network, or a firewall, rejects/,
	    'an address that a router does not know'],
	['far', 96, 502, 'unreachable', qr/Network is unreachable$/,
	    'an address without a route'],
	['barred', 96, 502, 'unreachable', qr/Permission denied$/,
	    'an address that must not be reached'],
	['sb', 97, 504, 'slow', qr/took no connection$/,
	    'a port behind a firewall that drops'],
) {
	my ($id, $port, $status, $code, $why, $what) = @$_;
	my $told = told($id, $port);
	is("$told->{status} " . ($told->{code} // ''), "$status $code",
	    "$what: $status $code");
	like($told->{message}, $why, '  which says why');
}
my $log = read_file("$g->{prefix}/error.log");
like($log, qr/connect\(\) failed \(111: Connection refused\)/,
    'the log has what the system said');
