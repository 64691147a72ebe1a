#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A real browser opens links to secure sandboxes: its pages then fetch and speak
# over WebSockets by the cookie alone, pages of other origins do not, and no
# link leads away from its host. Skipped without Debian's chromium-driver.

use strict;
use warnings;
use Test::More;
use Harness;
use Ingress;
use Browser;

plan skip_all => 'chromium-driver is not installed' if !Browser::available();
plan tests => 29;

my $log = scratch() . '/box.log';
my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		open my $fh, '>>', $log;
		print $fh $head =~ /^(\S+ \S+)/, "\n";
		close $fh;
		return websocket($s, $head) if $head =~ /^Sec-WebSocket-Key:/mi;
		my $planted = $head =~ m{/plant} ? "Set-Cookie: "
		    . "opensandbox-access=x; Path=/\r\n" : '';
		my $text = $head =~ /^(Cookie: .*?)\r$/mi ? $1 : 'no cookie';
		my $body = "<!DOCTYPE html><title>box</title><p>$text</p>";
		print $s "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n${planted}"
		    . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
	}
});
my $tls = free_port();
my $proxy = 'include %CONF%/opensandbox-proxy.conf;';
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=box.test', '-keyout', scratch() . '/key.pem',
    '-out', scratch() . '/cert.pem');
my $g = gateway(
	http => <<"EOT",
opensandbox_access_keys k=c2VjcmV0;
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token tok; }
opensandbox_sandbox open { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$tls ssl;
    server_name strict.test *.strict.test;
    ssl_certificate @{[scratch()]}/cert.pem;
    ssl_certificate_key @{[scratch()]}/key.pem;
    opensandbox_access_cookie strict;
    location / { opensandbox host; $proxy }
}
server {
    listen 127.0.0.1:$tls ssl;
    server_name frame.test *.frame.test;
    ssl_certificate @{[scratch()]}/cert.pem;
    ssl_certificate_key @{[scratch()]}/key.pem;
    opensandbox_access_cookie none;
    location / { opensandbox host; $proxy }
}
EOT
	server => join("\n", "listen 127.0.0.1:$tls ssl default_server;",
	    'ssl_certificate ' . scratch() . '/cert.pem;',
	    'ssl_certificate_key ' . scratch() . '/key.pem;',
	    "location / { opensandbox any; $proxy }",
	    map { "location /$_->[0]/ { rewrite ^/$_->[0](/.*) \$1 break; "
		. "opensandbox_api; opensandbox_public $_->[1]; }" }
	    ['uri', "uri https://gw.test:$tls/sandboxes"],
	    ['plain', "uri http://plain.test:" . '%PORT%' . '/sandboxes'],
	    ['host', "host https://box.test:$tls"],
	    ['strict', "host https://strict.test:$tls"],
	    ['frame', "host https://frame.test:$tls"]));
my $port = $g->{port};

sub link_to
{
	my ($kind) = @_;
	return json(get($port, "/$kind/v1/sandboxes/safe/endpoints/$box?link="
	    . 'browser&expires=' . (time + 1000)))->{endpoint}
	    =~ s/%PORT%/$port/r;
}

sub asked { return read_file($log) =~ /\Q$_[0]\E/ ? 1 : 0 }

my $b = Browser->new;
my $fetch = 'const r = await fetch(args[0]); return r.status + " " + '
    . '(await r.text()).replace(/<.*?>/g, "");';
my $talk = <<'EOT';
return await new Promise((tell) => {
	const ws = new WebSocket(args[0].replace(/^http/, 'ws'));
	ws.onopen = () => ws.send('hello');
	ws.onmessage = (m) => tell(m.data);
	ws.onerror = () => tell('refused');
});
EOT

# By URI, over TLS and without
for my $kind ('uri', 'plain') {
	my $link = link_to($kind);
	my ($base) = $link =~ m{^(.*/port/$box)};
	like($b->script($fetch, '/') // '', qr/error/, 'a blank page fetches nothing')
	    if $kind eq 'uri';
	$b->open_page("$link/page");
	is($b->script('return document.title'), 'box', "$kind: the link opens");
	like($b->script($fetch, "$base/x"), qr/^200 boxno cookie/,
	    "$kind: its page fetches by the cookie, which stays with the gateway");
	is($b->script($talk, "$base/ws"), 'hello', "$kind: and has a WebSocket");
	is($b->script('return document.cookie'), '', "$kind: no script sees it");
	like($b->script($fetch, $base =~ s/\d+$/1/r), qr/^401/,
	    "$kind: another port is closed");
	$b->open_page($base =~ s{/safe/}{/open/}r . '/plant');
	like($b->script($fetch, "$base/x"), qr/^401/,
	    "$kind: another sandbox's page of the origin is refused");
	$b->open_page($base);
	is($b->script('return document.title'), 'box',
	    "$kind: the sandbox without a slash, unsigned, opens");
}

# At a host
my $link = link_to('host');
my ($safe) = $link =~ m{^(https://[^/]*)};
my $open = $safe =~ s/safe-/open-/r;
$b->open_page($safe);
like($b->script('return document.title'), qr/You need access/, 'host: closed without a link');
$b->open_page("${link}a?b#c");
is($b->address, "$safe/a?b#c", 'host: the link leads to the page');
like($b->script($fetch, '/x'), qr/^200 boxno cookie/, 'host: which fetches');
is($b->script($talk, "$safe/ws"), 'hello', 'host: and has a WebSocket');
for my $rest ('/evil.test/', '\\evil.test/', '/\\evil.test/', '%09/evil.test/') {
	$b->open_page("$link$rest");
	like($b->address, qr{^\Q$safe\E/}, "host: \"$rest\" leads to this host");
}

# Another sandbox is of the same site, not of the same origin
$b->open_page("$open/plant");
is($b->script($talk, "$safe/forged-ws"), 'refused',
    'host: another sandbox gets no WebSocket');
$b->script('await fetch(args[0], { method: "POST", mode: "no-cors", '
    . 'credentials: "include" });', "$safe/forged-post");
$b->script('document.body.innerHTML = `<img src="${args[0]}">`; await new '
    . 'Promise((tell) => document.images[0].onerror = tell);',
    "$safe/forged-image");
is(asked('forged'), 0, 'host: nor anything else from the one that is safe');
$b->script('location = args[0];', "$safe/from-a-link");
is(wait_for(sub { asked('from-a-link') }), 1, 'host: but its link is opened');

# Strict: the link is on another site
$b->open_page("https://gw.test:$tls/sandboxes/open/port/$box/");
$link = link_to('strict');
my ($strict) = $link =~ m{^(https://[^/]*)};
$b->script('location = args[0];', "${link}after");
wait_for(sub { $b->address eq "$strict/after" });
is($b->address, "$strict/after", 'strict: a link of another site leads to the page');
is($b->script('return document.title'), 'box', 'strict: with the cookie');

# None: in a frame of another site
$b->open_page("https://gw.test:$tls/sandboxes/open/port/$box/");
$b->script('document.body.innerHTML = `<iframe src="${args[0]}"></iframe>`; '
    . 'await new Promise((tell) => frames.length && '
    . '(document.querySelector("iframe").onload = tell));', link_to('frame'));
$b->call('POST', '/frame', { id => 0 });
like($b->script($fetch, '/framed'), qr/^200 boxno cookie/,
    'none: a frame of another site fetches by the cookie');

$b->quit;
