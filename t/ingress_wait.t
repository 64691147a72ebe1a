#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox_wait holds a request while its port is closed. The sandbox sees
# nothing but the connections that carry requests, and each request once, whole.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use Test::More tests => 31;
use Time::HiRes qw(sleep time);
use Harness;
use Ingress;

my $dir = scratch();
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=box', '-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");

my $proxy = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
my $g = gateway(workers => 1, http => <<'EOT', server => <<"EOT2");
upstream stock { opensandbox; keepalive 8; }
EOT
location / { opensandbox any; opensandbox_wait 20s; $proxy }
location /buffered/ { opensandbox uri prefix=/buffered; opensandbox_wait 20s;
    $proxy }
location /short/ { opensandbox uri prefix=/short; opensandbox_wait 300ms; $proxy }
location /bound/ { opensandbox uri prefix=/bound; opensandbox_wait 20s;
    proxy_bind 127.0.0.7; $proxy }
location /tls/ { opensandbox uri prefix=/tls; opensandbox_wait 20s;
    @{[$proxy =~ s{http://sandboxes}{https://sandboxes}r]} }
location /stock/ { opensandbox uri prefix=/stock; opensandbox_wait 20s;
    @{[$proxy =~ s{http://sandboxes}{http://stock}r]} }
location /v1/ { opensandbox_api; }
EOT2
chmod 0777, $dir;
api($g, 'PUT', '/sb', { endpoint => '127.0.0.1' });
api($g, 'PUT', '/local', { endpoint => "unix:$dir/box.sock" });

sub path { my ($port, $prefix) = @_; return ($prefix // '/sandboxes') . "/sb/port/$port/" }

# Answers requests with a count of connections, and of requests on this one,
# the body's length and the client's address.
sub serve
{
	my ($s, $connection) = @_;
	my $n = 0;
	while (my $head = Ingress::read_head($s)) {
		my $length = 0;
		if ($head =~ /^content-length: (\d+)/mi) {
			my $left = $1;
			$left -= my $got = read $s, my $data, $left > 65536 ? 65536 : $left
			    while $left;
			$length = $1;
		} elsif ($head =~ /^transfer-encoding: chunked/mi) {
			while (my $size = hex(<$s> =~ s/\s//gr)) {
				read $s, my $data, $size + 2;
				$length += $size;
			}
			<$s>;
		}
		my $from = $s->can('peerhost') ? $s->peerhost : 'local';
		my $body = "$connection " . ++$n . " $length $from";
		print $s "HTTP/1.1 200 OK\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body";
	}
}

# A server of one process that counts its connections; it starts when told.
sub server
{
	my ($port) = @_;
	my $connections = 0;
	spawn("server$port", sub {
		my $listen = Ingress::listen_on($port);
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		while (my $s = $listen->accept) {
			$connections++;
			next if fork();
			$s->autoflush(1);
			serve($s, $connections);
			POSIX::_exit(0);
		}
	});
}

# One connection, and no other
my $once = free_port();
spawn('once', sub {
	my $listen = Ingress::listen_on($once);
	$SIG{PIPE} = 'IGNORE';
	my $s = $listen->accept;
	close $listen;
	$s->autoflush(1);
	serve($s, 1);
});
wait_for(sub { (capture('ss', '-Htln', 'sport', '=', ":$once"))[1] }, 10);
is_deeply([map { get($g->{port}, path($once))->{body} } 1 .. 20],
    [map { "1 $_ 0 127.0.0.1" } 1 .. 20],
    'twenty requests to a server that takes one connection');

# A request to a closed port; the server comes when the request has been sent.
sub late
{
	my ($bytes, $port, $start) = @_;
	my $s = connect_to($g->{port});
	print $s $bytes;
	sleep 0.4;
	$start ? $start->() : server($port);
	return read_answer($s);
}
sub head { return join("\r\n", @_, 'Host: localhost', '', '') }

my $port = free_port();
is(late(head('GET ' . path($port) . ' HTTP/1.1'), $port)->{body}, '1 1 0 127.0.0.1',
    'the first connection carries the first request');
is(get($g->{port}, path($port))->{body}, '1 2 0 127.0.0.1', 'and the next one');
$port = free_port();
my $data = 'x' x 3_000_000;
is(late(head('POST ' . path($port) . ' HTTP/1.1', 'Content-Length: 3000000') . $data,
    $port)->{body}, '1 1 3000000 127.0.0.1', 'a body, whole and once');
$port = free_port();
is(late(head('POST ' . path($port) . ' HTTP/1.1', 'Transfer-Encoding: chunked')
    . "2dc6c0\r\n$data\r\n0\r\n\r\n", $port)->{body},
    '1 1 3000000 127.0.0.1', 'a chunked one');
$port = free_port();
is(late(head('POST ' . path($port, '/buffered') . ' HTTP/1.1',
    'Content-Length: 3000000') . $data, $port)->{body},
    '1 1 3000000 127.0.0.1', 'one that is read first');
$port = free_port();
is(late(head('GET ' . path($port, '/bound') . ' HTTP/1.1'), $port)->{body},
    '1 1 0 127.0.0.7', 'from the address that it is bound to');
$port = free_port();
is(late(head('GET ' . path($port, '/stock') . ' HTTP/1.1'), $port)->{body},
    '1 1 0 127.0.0.1', "with nginx's own pool");
is(get($g->{port}, path($port, '/stock'))->{body}, '1 2 0 127.0.0.1',
    'which keeps the connection');

$port = free_port();
my $tls = sub {
	gateway(http => <<"EOT");
server {
    listen 127.0.0.1:$port ssl;
    ssl_certificate $dir/cert.pem;
    ssl_certificate_key $dir/key.pem;
    location / { return 200 "tls \$connection_requests"; }
}
EOT
};
is(late(head('GET ' . path($port, '/tls') . ' HTTP/1.1'), $port, $tls)->{body},
    'tls 1', 'TLS');
is(get($g->{port}, path($port, '/tls'))->{body}, 'tls 2', 'whose connection is kept');

# A socket in the file system
my $unix = sub {
	spawn('unix', sub {
		my $listen = IO::Socket::UNIX->new(Local => "$dir/box.sock",
		    Listen => 5);
		chmod 0777, "$dir/box.sock";
		while (my $s = $listen->accept) {
			$s->autoflush(1);
			serve($s, 1);
		}
	});
};
our $a = get($g->{port}, '/short/local/port/1/');
is($a->{status}, 502, 'a socket that does not come');
like($a->{body}, qr/"unreachable".*No such file/, 'and what it lacks');
is(late(head('GET /sandboxes/local/port/1/ HTTP/1.1'), 0, $unix)->{body}, '1 1 0 local',
    'one that does');

# Many at once
$port = free_port();
my @waiting = map {
	my $s = connect_to($g->{port});
	print $s head('GET ' . path($port) . ' HTTP/1.1');
	$s;
} 1 .. 20;
sleep 0.3;
server($port);
my @got = map { read_answer($_)->{body} } @waiting;
is(scalar(grep { /^\d+ \d+ 0 / } @got), 20, 'twenty that wait are all served');
my %seen;
$seen{$_}++ for @got;
is((grep { $_ > 1 } values %seen), 0, 'each once');
my ($most) = sort { $b <=> $a } map { /^(\d+)/ } @got;
cmp_ok($most, '<=', 20, 'over no more connections than requests');

# A client that leaves
$port = free_port();
my $s = connect_to($g->{port});
print $s head('GET ' . path($port) . ' HTTP/1.1');
sleep 0.3;
close $s;
sleep 0.3;
server($port);
sleep 0.5;
is(get($g->{port}, path($port))->{body}, '1 1 0 127.0.0.1',
    'who has left is not waited for');

# It has an end
$port = free_port();
my $began = time;
$a = get($g->{port}, path($port, '/short'));
is($a->{status}, 502, 'a port that stays closed');
like($a->{body}, qr/"refused"/, 'refuses');
cmp_ok(time - $began, '>', 0.29, 'after the time');
$a = request($g->{port}, 'POST', path($port, '/short'), 'x' x 100000);
is($a->{status}, 502, 'with a body too');

# What has been sent is not sent again
my $dropping = backend(sub {
	my ($c) = @_;
	Ingress::read_head($c);
	open my $fh, '>>', "$dir/dropped";
	print $fh 'x';
});
for my $prefix ('/sandboxes', '/stock') {
	write_file("$dir/dropped", '');
	get($g->{port}, path($dropping, $prefix));
	is(read_file("$dir/dropped"), 'x', "a request that is dropped went once, $prefix");
}

# What goes away is waited for again
$port = free_port();
my $pid = server($port);
wait_port($port);
like(get($g->{port}, path($port))->{body}, qr/ 1 0 /, 'a server');
kill_now($pid);
my $log = read_file("$g->{prefix}/error.log");
is(scalar(() = $log =~ /\[crit\]/g), 1, 'the file that never came is logged once');
unlike($log, qr/\[(?:alert|emerg)\]/, 'no alarm');
unlike($log, qr/open socket .* left/, 'nothing is left open');

# A wait that ends before all of the body has come
api($g, 'PUT', '/never', { endpoint => "unix:$dir/never.sock" });
my $early = connect_to($g->{port});
print $early "POST /short/never/port/1/ HTTP/1.1\r\nHost: a\r\n",
    "Content-Length: 100000\r\n\r\nfirst";
is(read_answer($early)->{status}, 502, 'its request is answered');
close $early;

my ($worker) = workers($g);
my $open = sub { scalar grep { (readlink $_ // '') =~ /^socket/ } glob "/proc/$worker/fd/*" };
my $before = $open->();
get($g->{port}, path(free_port(), '/short')) for 1 .. 3;
cmp_ok($open->(), '<=', $before, 'no descriptor leaks');
stop($g->{pid}, 'QUIT');
unlike(read_file("$g->{prefix}/error.log"), qr/open socket|\[alert\]/, 'nor at the end');
