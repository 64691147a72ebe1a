#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# TLS on either side: WebSockets through a TLS listener, and sandboxes that
# speak TLS themselves, each met under its own name.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 26;
use Harness;
use Ingress;

my $dir = scratch();
for (['front', 'localhost'], ['box', '*.box.internal']) {
	my ($file, $name) = @$_;
	run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days',
	    '2', '-subj', "/CN=$file", '-addext', "subjectAltName=DNS:$name",
	    '-keyout', "$dir/$file.key", '-out', "$dir/$file.pem");
}
my ($app, $tls) = map { free_port() } 1 .. 2;
start(name => 'app', cmd => [python(), tool('app.py'), '127.0.0.1', $app, 'app']);
wait_port($app) or die read_file("$dir/app.log");

# What runs in the sandbox: another nginx, that tells what it was asked for.
gateway(http => <<"EOT");
map \$http_upgrade \$connection_header { '' ''; default upgrade; }
server {
    listen 127.0.0.1:$tls ssl;
    ssl_certificate $dir/box.pem;
    ssl_certificate_key $dir/box.key;
    location / {
        return 200 "\$ssl_server_name \$http_host \$connection:\$connection_requests";
    }
    location /ws {
        proxy_pass http://127.0.0.1:$app;
        proxy_http_version 1.1;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection \$connection_header;
    }
    location /moved { return 302 https://\$http_host/there; }
}
EOT

# The shipped settings with another scheme, as the documentation says.
my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
$conf =~ s{http://sandboxes}{https://sandboxes} or die 'no proxy_pass';
write_file("$dir/opensandbox-proxy-tls.conf", $conf);
my ($wss, $to_tls, $verified) = map { free_port() } 1 .. 3;
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox a { endpoint 127.0.0.1; }
opensandbox_sandbox b.c { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$wss ssl;
    ssl_certificate $dir/front.pem;
    ssl_certificate_key $dir/front.key;
    location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
    location /sandboxes/a/ {
        opensandbox uri;
        include $dir/opensandbox-proxy-tls.conf;
    }
}
server {
    listen 127.0.0.1:$to_tls;
    proxy_ssl_server_name on;
    proxy_ssl_name \$opensandbox_id.box.internal;
    location / { opensandbox any; include $dir/opensandbox-proxy-tls.conf; }
}
server {
    listen 127.0.0.1:$verified;
    proxy_ssl_server_name on;
    proxy_ssl_name \$opensandbox_id.box.internal;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate $dir/box.pem;
    location / { opensandbox any; include $dir/opensandbox-proxy-tls.conf; }
}
EOT

# A TLS listener
sub curl
{
	my (@args) = @_;
	return (capture('curl', '-s', '-m', '20', '--cacert', "$dir/front.pem",
		@args))[1];
}
like(curl("https://localhost:$wss/sandboxes/sb/port/$app/x"),
    qr/"target": "\/x"/, 'HTTP over TLS');
like(curl("https://localhost:$wss/sandboxes/sb/port/$app/x"),
    qr/"X-Forwarded-Proto", "https"/, 'of which the sandbox is told');
sub secure_websocket
{
	my ($path, @headers) = @_;
	local $ENV{SSL_CERT_FILE} = "$dir/front.pem";
	return (capture(python(), tool('websocket.py'),
		"wss://localhost:$wss$path", 'hello', @headers))[1];
}
is(secure_websocket("/sandboxes/sb/port/$app/ws"), "hello\n",
    'a WebSocket over TLS, by URI');
is(secure_websocket('/ws', "OpenSandbox-Ingress-To:sb-$app"), "hello\n",
    'by header');
is(secure_websocket("/sandboxes/a/port/$tls/ws"), "hello\n",
    'to a sandbox that speaks TLS too');
like(secure_websocket("/sandboxes/none/port/$app/ws"), qr/HTTP 404/,
    'to one that is not there');

# Sandboxes that speak TLS
sub seen
{
	my ($id, @o) = @_;
	my $body = get($o[0] // $to_tls, "/sandboxes/$id/port/$tls/")->{body};
	return split ' ', $body;
}
my ($name, $host, $connection) = seen('a');
is($name, 'a.box.internal', 'a sandbox is asked for by its own name');
is($host, 'localhost', 'and gets the client\'s Host');
my ($id) = split /:/, $connection;
is((seen('a'))[2], "$id:2", 'on a connection kept alive');
($name, undef, $connection) = seen('sb');
is($name, 'sb.box.internal', 'another at the same address by its own');
unlike($connection, qr/^$id:/, 'on its own connection');
is((seen('a'))[2], "$id:3", 'that of the first is still there');
api($g, 'PUT', '/new', { endpoint => '127.0.0.1' });
($id) = split /:/, (seen('new'))[2];
is((seen('new'))[2], "$id:2", 'so for records of the API');
api($g, 'DELETE', '/new');
api($g, 'PUT', '/new', { endpoint => '127.0.0.1' });
unlike((seen('new'))[2], qr/^$id:/, 'a successor does not inherit it');
is(get($to_tls, "/sandboxes/a/port/$tls/moved")->{headers}{location}[0],
    "http://localhost/sandboxes/a/port/$tls/there",
    'its redirections come back under the prefix');
is((seen('a', $verified))[0], 'a.box.internal', 'its certificate can be checked');
seen('b.c');

for (
	[$to_tls, 'a', $app, qr/the TLS handshake failed/,
	    'a sandbox that does not speak it'],
	[$verified, 'b.c', $tls, qr/the TLS handshake failed/,
	    'one with a certificate for others'],
) {
	my ($port, $id, $p, $why, $what) = @$_;
	my $a = get($port, "/sandboxes/$id/port/$p/");
	is_deeply([$a->{status}, json($a)->{code}], [502, 'bad_answer'],
	    "$what is a 502");
	like(json($a)->{message}, $why, '  which says why');
}
my $closed = free_port();
is(json(get($to_tls, "/sandboxes/a/port/$closed/"))->{code}, 'refused',
    'a port where nothing listens is still that');
my $silent = backend(sub { my ($s) = @_; sysread $s, my $hello, 65536; });
my $a = get($to_tls, "/sandboxes/a/port/$silent/");
is_deeply([$a->{status}, json($a)->{code}], [502, 'bad_answer'],
    'one that hangs up on the handshake is a 502');
is(get($wss, "/sandboxes/sb/port/$app/")->{status}, 400,
    'plain HTTP to the TLS listener is nginx\'s own 400');
like(get($g->{port}, "/sandboxes/sb/port/$tls/")->{body},
    qr/plain HTTP request was sent to HTTPS/,
    'plain HTTP to a sandbox with TLS brings what that says');
my $log = read_file("$g->{prefix}/error.log");
like($log, qr/SSL_do_handshake\(\) failed/, 'the log has the details');
unlike($log, qr/\[alert\]|\[emerg\]/, 'and no alarm');
