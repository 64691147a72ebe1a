#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# HTTP/2 clients, over TLS and without, get what HTTP/1.1 clients get: routes of
# every mode, whole URIs, bodies as they come, errors, and the end of a stream
# whose sandbox is gone, and of no other.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use JSON::PP;
use Test::More tests => 56;
use Harness;
use Ingress;

my $dir = scratch();
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
	'-subj', '/CN=box.test', '-addext', 'subjectAltName=DNS:*.box.test',
	'-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");

# A real web application, and servers that do one thing.
my $app = free_port();
start(name => 'app', cmd => [python(), tool('app.py'), '127.0.0.1', $app, 'app']);
wait_port($app) or die read_file("$dir/app.log");
my $closed = free_port();
my $ticks = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	    . "Transfer-Encoding: chunked\r\n\r\n";
	print $s "8\r\n: tick\n\n\r\n" until IO::Select->new($s)->can_read(0.1);
});
my $chunks = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    . "Trailer: X-Sum\r\n\r\n";
	printf $s "%x\r\n%s\r\n", 10000, $_ x 10000 for 'a' .. 'j';
	print $s "0\r\nX-Sum: 1\r\n\r\n";
});
my $short = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
});
my $garbage = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "SSH-2.0-OpenSSH_9.2\r\n";
});

my ($plain, $tls) = map { free_port() } 1 .. 2;
my $location = <<'EOT';
access_log %PREFIX%/access.log streams;
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
EOT
my $g = gateway(workers => 1, http => <<"EOT");
log_format streams '\$opensandbox_id \$connection \$server_protocol \$status';
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox starting { endpoint 127.0.0.1; ready off; }
opensandbox_sandbox narrow { endpoint 127.0.0.1; expose 1; }
opensandbox_sandbox old { endpoint 127.0.0.1; expires_at 2001-02-03T04:05:06Z; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token t0p; }
server { listen 127.0.0.1:$plain http2; $location }
server {
    listen 127.0.0.1:$tls ssl http2;
    ssl_certificate $dir/cert.pem;
    ssl_certificate_key $dir/key.pem;
    $location
}
EOT

# One request: { version, status, type, body, json, exit }.
sub curl
{
	my ($base, @args) = @_;
	my ($exit, $out) = capture('curl', '-s', '-m', '30', '-o', "$dir/body",
		'--path-as-is', @$base[1 .. $#$base], '-w',
		'%{http_version} %{http_code} %{content_type}',
		map { s/^URL/$base->[0]/r } @args);
	my %a = (exit => $exit, body => read_file("$dir/body"));
	@a{qw(version status type)} = split ' ', $out, 3;
	$a{json} = eval { decode_json($a{body}) } || {};
	unlink "$dir/body";
	return \%a;
}

for (
	['h2c', "http://127.0.0.1:$plain", '--http2-prior-knowledge'],
	['h2', "https://127.0.0.1:$tls", '--http2', '-k'],
) {
	my ($name, @base) = @$_;
	my $base = \@base;

	# Modes
	my $a = curl($base, "URL/sandboxes/sb/port/$app/a%2Fb//c/../d?x=%20&");
	is("$a->{version} $a->{status}", '2 200', "$name: by URI");
	is($a->{json}{target}, '/a%2Fb//c/../d?x=%20&', '  the rest as it was sent');
	my %seen = map { lc $_->[0] => $_->[1] } @{ $a->{json}{headers} };
	is($seen{'x-forwarded-prefix'}, "/sandboxes/sb/port/$app", '  its prefix');
	is($seen{host}, $base[0] =~ s{.*//}{}r, '  the client\'s host');
	is($seen{'x-forwarded-proto'}, $base[0] =~ /^(\w+)/ && $1, '  its scheme');
	$a = curl($base, 'URL/a%2Fb?', '-H', "OpenSandbox-Ingress-To: sb-$app");
	is($a->{json}{target}, '/a%2Fb?', "$name: by header");
	ok(!grep({ lc $_->[0] eq 'opensandbox-ingress-to' }
	    @{ $a->{json}{headers} }), '  which does not pass');
	my $host = "sb-$app.box.test";
	my $to = $base[0] =~ s{(\w+)://127\.0\.0\.1}{$1://$host}r;
	$a = curl([$to, @base[1 .. $#base], '--resolve',
	    "$host:" . ($base[0] =~ /(\d+)$/)[0] . ':127.0.0.1'], 'URL/x');
	is($a->{json}{target}, '/x', "$name: by host");
	is((map { $_->[1] } grep { $_->[0] eq 'Host' }
	    @{ $a->{json}{headers} })[0], $to =~ s{.*//}{}r, '  as it was sent');
	is(curl($base, "URL/sandboxes/safe/port/$app/", '-H',
	    'OpenSandbox-Secure-Access: t0p')->{status}, 200, '  with a token');

	# Bodies
	$a = curl($base, "URL/sandboxes/sb/port/$app/", '-d', 'x' x 70000);
	is(length $a->{json}{body}, 70000, "$name: a request body");
	write_file("$dir/upload", 'y' x 300000);
	$a = curl($base, "URL/sandboxes/sb/port/$app/up", '-H',
	    'Content-Length:', '--data-binary', "\@$dir/upload");
	is(length $a->{json}{body}, 300000, '  without a length');
	$a = curl($base, "URL/sandboxes/sb/port/$chunks/");
	is($a->{body}, join('', map { $_ x 10000 } 'a' .. 'j'),
	    '  an answer in chunks with a trailer');
	$a = curl($base, "URL/sandboxes/sb/port/$short/");
	isnt($a->{exit}, 0, '  one that ends early is not taken for whole');
	is(curl($base, '-I', "URL/sandboxes/sb/port/$app/")->{status}, 200,
	    '  HEAD');

	# Errors
	for (
		["sandboxes/none/port/80/", 404, 'not_found'],
		["sandboxes/narrow/port/80/", 403, 'not_exposed'],
		["sandboxes/starting/port/80/", 503, 'not_ready'],
		["sandboxes/old/port/80/", 410, 'expired'],
		["sandboxes/safe/port/80/", 401, 'unauthorized'],
		["sandboxes/sb/port/0/", 400, 'bad_route'],
		["sandboxes/sb/port/$closed/", 502, 'refused'],
		["sandboxes/sb/port/$garbage/", 502, 'bad_answer'],
	) {
		my ($path, $status, $code) = @$_;
		$a = curl($base, "URL/$path");
		is("$a->{version} $a->{status} " . ($a->{json}{code} // ''),
		    "2 $status $code", "$name: $code");
	}
	$a = curl($base, "URL/sandboxes/sb/port/$closed/", '-H',
	    'Accept: text/html');
	like($a->{body}, qr/>502 refused<.*listens/s, "$name: a page for a browser");
	is($a->{type}, 'text/html; charset=utf-8', '  with its type');
}

# Two event streams on one connection; the sandbox of one of them goes.
api($g, 'PUT', "/$_", { endpoint => '127.0.0.1' }) for qw(one two);
my $pid = start(name => 'events', cmd => ['curl', '-s', '-k', '-m', '60', '-N',
	'-Z', '--http2', map { ("https://127.0.0.1:$tls/sandboxes/$_/port/$ticks/",
	'-o', "$dir/$_") } qw(one two)]);

sub ticking
{
	my ($file) = @_;
	my $size = -s "$dir/$file" || 0;
	return wait_for(sub { (-s "$dir/$file" || 0) > $size + 16 }, 5);
}

sub logged
{
	my ($id) = @_;
	return wait_for(sub { read_file("$g->{prefix}/access.log")
	    =~ m{^$id (\d+) HTTP/2}m ? $1 : 0 }, 5);
}

ok(ticking('one') && ticking('two'), 'two event streams');
api($g, 'DELETE', '/one');
my $connection = logged('one');
ok($connection, 'one ends with its sandbox');
ok(ticking('two'), 'the other goes on');
api($g, 'DELETE', '/two');
is(logged('two'), $connection, 'and ends with its own, on the same connection');
ok(defined wait_exit($pid, 10), 'the client notices');
unlike(read_file("$g->{prefix}/error.log"), qr/\[alert\]|\[emerg\]/,
	'nothing alarms the gateway');
