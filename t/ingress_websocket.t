#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A real WebSocket client and server have the same conversations through the
# gateway, in every mode, over TLS and with a token, as without it: messages of
# any size, whole, in parts and compressed, pings, ends from either side and
# frames that are wrong.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;

my %expected = (
	sizes            => 'the same',
	sizes_compressed => 'the same',
	text             => 'True',
	parts            => '(True, True)',
	pings            => 'answered',
	negotiated       => "('chat', ['permessage-deflate'])",
	head             => 'a=b Bearer c http://page.test upgrade websocket 13 - - '
	    . '/a%20b?c',
	dropped          => '1006',
	wrong_frames     => '[1002, 1002, 1002, 1007, 1002, 1002, 1002, 1002, 1002]',
	slow_reader      => 'True',
	many             => 'True',
	map({ my ($who, $why) = @$_; "closed_$who" => '[' . join(', ',
	    map { "($_, '$why')" } 1000, 1001, 1003, 1007, 1008, 1009, 1011, 3000,
	    4999) . ']' } ['here', 'enough'], ['there', 'so be it']),
);
plan tests => 5 * (keys %expected) + 1;

my ($box, $root, $tls) = map { free_port() } 1 .. 3;
my $dir = scratch();
start(name => 'websockets',
	cmd => [python(), tool('websocket_cases.py'), 'serve', $box]);
wait_port($box) or die read_file("$dir/websockets.log");
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
	'-subj', '/CN=gateway.test', '-keyout', "$dir/key.pem", '-out',
	"$dir/cert.pem");
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token t0p; }
server {
    listen 127.0.0.1:$root;
    location / {
        opensandbox uri prefix=/;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$tls ssl http2;
    ssl_certificate $dir/cert.pem;
    ssl_certificate_key $dir/key.pem;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
EOT
my $any = $g->{port};

for (
	['uri', "ws://127.0.0.1:$any/sandboxes/sb/port/$box"],
	['uri at the root, with a token', "ws://127.0.0.1:$root/safe/$box",
	    'OpenSandbox-Secure-Access:t0p'],
	['uri over TLS', "wss://127.0.0.1:$tls/sandboxes/sb/port/$box"],
	['header', "ws://127.0.0.1:$any", "OpenSandbox-Ingress-To:sb-$box"],
	['host', "ws://127.0.0.1:$any", "Host:sb-$box.box.test"],
) {
	my ($mode, $base, @headers) = @$_;
	my ($status, $out) = capture(python(), tool('websocket_cases.py'), 'ask',
	    "$base/a%20b?c", @headers);
	my %seen = $out =~ /^(\w+): (.*)$/mg;
	is($seen{$_}, $expected{$_}, "$mode: $_") for sort keys %expected;
}
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:crit|alert|emerg)\]/,
    'nothing alarms the gateway');
