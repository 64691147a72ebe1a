#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Blocks of a sandbox's location that apply together: nginx runs the content
# handler of one with the configuration of another.  What lacks something is
# answered with 500 and a line in the log; the worker lives.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;

my $box = echo('box');

# A location's lines, and what /?a=1&b=1 gets; 200 is the sandbox's.
my @cases = (
	['one without a handler after one with it', 500, <<'EOT'],
if ($arg_a) { proxy_pass http://sandboxes; }
if ($arg_b) { set $x 1; }
EOT
	['one with a handler after one without it', 200, <<'EOT'],
if ($arg_a) { set $x 1; }
if ($arg_b) { proxy_pass http://sandboxes; }
EOT
	['two with a handler', 200, <<'EOT'],
if ($arg_a) { proxy_pass http://sandboxes; }
if ($arg_b) { proxy_pass http://sandboxes; }
EOT
	['two with handlers of two protocols', 200, <<'EOT'],
if ($arg_a) { fastcgi_pass sandboxes; }
if ($arg_b) { proxy_pass http://sandboxes; }
EOT
	['one without a handler in a location with one', 200, <<'EOT'],
proxy_pass http://sandboxes;
if ($arg_a) { set $x 1; }
if ($arg_b) { set $y 1; }
EOT
	['one of another protocol before one without a handler', 200, <<'EOT'],
proxy_pass http://sandboxes;
if ($arg_a) { fastcgi_pass sandboxes; }
if ($arg_b) { set $x 1; }
EOT
	['"limit_except" without a handler', 200, <<'EOT'],
proxy_pass http://sandboxes;
limit_except POST { allow all; }
EOT
	['"limit_except" in a location whose "if" alone has a handler', 404, <<'EOT'],
if ($arg_a) { proxy_pass http://sandboxes; }
limit_except POST { allow all; }
EOT
	['"limit_except" and "if" with a handler each', 200, <<'EOT'],
if ($arg_a) { proxy_pass http://sandboxes; }
if ($arg_b) { set $x 1; }
limit_except POST { proxy_pass http://sandboxes; }
EOT
	['a nested location without a handler', 404, <<'EOT'],
proxy_pass http://sandboxes;
location ~ . { set $x 1; }
EOT
	['a nested location with a handler and no mode', 500, <<'EOT'],
proxy_pass http://sandboxes;
location ~ . { proxy_pass http://sandboxes; }
EOT
	['a location without a handler', 404, 'set $x 1;'],
	['"try_files", which "if" does not take over', 500, <<'EOT'],
if ($arg_a) { proxy_pass http://sandboxes; }
if ($arg_b) { set $x 1; }
try_files /none @box;
EOT
	['"error_page" for what has no handler', 200, <<'EOT'],
if ($arg_a) { proxy_pass http://sandboxes; }
if ($arg_b) { set $x 1; }
error_page 500 =200 @box;
EOT
);

mkdir scratch() . '/html';
my $servers = join '', map {
	my $case = $_;
	my $port = $case->[3] = free_port();
	<<"EOT";
server {
    listen 127.0.0.1:$port;
    root @{[scratch()]}/html;
    location / {
        opensandbox header;
        $case->[2]
    }
    location \@box {
        opensandbox header;
        include %CONF%/opensandbox-proxy.conf;
    }
}
EOT
} @cases;

my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
$servers
EOT
my ($worker) = workers($g);

for my $case (@cases) {
	my ($name, $status, undef, $port) = @$case;
	my $answer = get($port, '/p?a=1&b=1', "OpenSandbox-Ingress-To: sb-$box");
	is($answer->{status}, $status, $name);
	like($answer->{body}, qr/^box \d+\n/, '  from the sandbox')
	    if $status == 200;
}

my $log = read_file("$g->{prefix}/error.log");
like($log, qr/\[error\].*opensandbox: the "if" block that applies last/,
    'the log says what lacks');
is(join(' ', workers($g)), $worker, 'the worker is the same');
unlike($log, qr/\[(?:crit|alert|emerg)\]/, 'nothing alarms the gateway');
done_testing();
