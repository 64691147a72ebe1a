#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Recipes of docs/applications.md with the programs that Debian has: a signed
# link opens them, its cookie admits what their pages ask for, WebSockets too.

use strict;
use warnings;
use Test::More tests => 17;
use Harness;
use Ingress;

my $proxy = 'include %CONF%/opensandbox-proxy.conf;';
my $g = gateway(http => <<'EOT', server => <<"EOT");
opensandbox_access_keys k=c2VjcmV0;
EOT
location / { opensandbox any domain=box.test; $proxy }
location /v1/ { opensandbox_api; opensandbox_public uri http://gw.test/sandboxes;
    opensandbox_public host http://box.test; }
EOT
my $port = $g->{port};
my @html = ('Accept: text/html', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Site: none');

# Opens a browser's link: (host, path where its cookie was taken to, cookie)
sub open_link
{
	my ($id, $at, $mode) = @_;
	my $link = json(api($g, 'GET', "/$id/endpoints/$at?mode=$mode&link=browser&expires="
	    . (time + 1000)))->{endpoint};
	my ($host, $path) = $link =~ m{^http://([^/]+)(/.*)};
	my $a = get($port, $path, "Host: $host", @html);
	my ($cookie) = ($a->{headers}{'set-cookie'}[0] // '') =~ /^([^;]+)/;
	return ($host, $a->{headers}{location}[0] // $path, $cookie, $a);
}

# The status of a WebSocket, and the first bytes of one with a subprotocol
sub websocket_at
{
	my ($host, $path, $cookie, @more) = @_;
	my $socket = connect_to($port);
	print $socket join "\r\n", "GET $path HTTP/1.1", "Host: $host", "Origin: http://$host",
	    'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
	    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', "Cookie: $cookie", @more, '', '';
	my $answer = read_answer($socket);
	my $bytes = '';
	if ($answer->{status} == 101 && @more) {
		local $SIG{ALRM} = sub { die "late\n" };
		eval { alarm 20; read $socket, $bytes, 6; alarm 0; };
	}
	return ($answer->{status}, $bytes);
}

SKIP: {
	skip 'websockify is not installed', 6 unless -x '/usr/bin/websockify';
	my $vnc = backend(sub { print { $_[0] } "RFB 003.008\n"; sleep 20 });
	my $at = free_port();
	write_file(scratch() . '/web/vnc.html', 'the page') if mkdir scratch() . '/web';
	start(name => 'websockify', cmd => ['/usr/bin/websockify', '--web', scratch() . '/web',
	    "127.0.0.1:$at", "127.0.0.1:$vnc"]);
	wait_port($at, 30);
	api($g, 'PUT', '/vnc', { endpoint => '127.0.0.1', accessToken => 'tok' });

	my ($host, $path, $cookie) = open_link('vnc', $at, 'host');
	is(get($port, '/vnc.html', "Host: $host", "Cookie: $cookie", @html)->{body}, 'the page',
	    'noVNC by host: the page');
	my @got = websocket_at($host, '/websockify', $cookie, 'Sec-WebSocket-Protocol: binary');
	is("@got", "101 \x82\x0cRFB ", 'and its WebSocket at the default path');

	($host, $path, $cookie) = open_link('vnc', $at, 'uri');
	is(get($port, "${path}vnc.html", "Host: $host", @html)->{body}, 'the page',
	    'by URI: the page');
	@got = websocket_at($host, "/sandboxes/vnc/port/$at/websockify", $cookie,
	    'Sec-WebSocket-Protocol: binary');
	is("@got", "101 \x82\x0cRFB ", 'and its WebSocket at the path that the page is told');
	my $a = get($port, '/websockify', "Host: $host", "Cookie: $cookie",
	    "Referer: http://$host${path}vnc.html");
	is($a->{status}, 400, 'the default path is none of the gateway\'s');
	like(json($a)->{message}, qr/page of sandbox vnc, port $at/, 'which says whose page asked');
}

SKIP: {
	skip 'jupyter-notebook is not installed', 11 unless -x '/usr/bin/jupyter-notebook';
	api($g, 'PUT', "/$_->[0]", { endpoint => '127.0.0.1', accessToken => 'tok',
	    keepPrefix => $_->[1] }) for ['nb', JSON::PP::false], ['nbk', JSON::PP::true];
	for my $mode ('host', 'uri') {
		my $at = free_port();
		my $id = $mode eq 'uri' ? 'nbk' : 'nb';
		my $base = $mode eq 'uri' ? "/sandboxes/nbk/port/$at/" : '/';
		my $home = scratch() . "/$mode";
		mkdir $home;
		start(name => "jupyter-$mode", env => { HOME => $home },
		    cmd => ['/usr/bin/jupyter-notebook', '--allow-root', '--no-browser',
			'--ip=127.0.0.1', "--port=$at", "--notebook-dir=$home",
			'--NotebookApp.token=', '--NotebookApp.disable_check_xsrf=True',
			'--NotebookApp.allow_remote_access=True', "--NotebookApp.base_url=$base"]);
		wait_port($at, 60);

		my ($host, $path, $cookie, $a) = open_link($id, $at, $mode);
		is($path, $base, "Jupyter by $mode: the link leads to the base path");
		my @as = ("Host: $host", "Cookie: $cookie");
		is(get($port, $base, @as, @html)->{headers}{location}[0], "${base}tree?",
		    'its redirect stays below');
		like(get($port, "${base}tree", @as, @html)->{body},
		    qr/data-base-url="\Q$base\E"/, 'the page knows its place');
		$a = request($port, 'POST', "${base}api/kernels", '{"name":"python3"}', @as,
		    "Origin: http://$host", 'Content-Type: application/json');
		is($a->{status}, 201, 'a kernel starts');
		my ($status) = websocket_at($host, "${base}api/kernels/"
		    . (json($a)->{id} // '') . '/channels', $cookie);
		is($status, 101, 'and is spoken to');
	}
	unlike(get($port, '/tree', 'Host: gw.test')->{body}, qr/data-base-url/,
	    'no page of it is outside');
}
