#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The gateway counts records, tunnels and requests by mode and status.

use strict;
use warnings;
use Test::More tests => 8;
use Harness;
use Ingress;

my $echo = echo('box');
my $g = gateway(
	http => 'opensandbox_sandbox sb { endpoint 127.0.0.1; }',
	server => <<'EOT',
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
location = /counts { opensandbox_status; }
EOT
);
get($g->{port}, "/sandboxes/sb/port/$echo/") for 1 .. 3;
get($g->{port}, '/', "OpenSandbox-Ingress-To: sb-$echo");
get($g->{port}, '/sandboxes/none/port/1/');
my $counts;
wait_for(sub {
	$counts = json(get($g->{port}, '/counts'));
	return $counts->{requests}{uri}{not_found};
}, 5);
is($counts->{records}, 1, 'records are counted');
is($counts->{tunnels}, 0, 'tunnels are');
ok($counts->{zone_free_bytes} < $counts->{zone_size_bytes}, 'memory is');
is_deeply($counts->{requests}, { uri => { ok => 3, not_found => 1 },
    header => { ok => 1 }, host => {} }, 'requests are, by mode and status');
my $a = get($g->{port}, '/counts', 'Accept: text/plain;version=0.0.4');
like($a->{headers}{'content-type'}[0], qr{^text/plain}, 'Prometheus gets text');
like($a->{body}, qr/^opensandbox_requests\{mode="uri",status="ok"\} 3$/m,
    'with the same counts');
like($a->{body}, qr/^# TYPE opensandbox_records gauge$/m, 'and their types');
is(request($g->{port}, 'POST', '/counts', '')->{status}, 405,
    'the counts can only be read');
