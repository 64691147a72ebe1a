#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# HTTP/1.1 as clients and sandboxes speak it: methods, interim answers, bodies of
# any size and pace, upgrades and what is sent behind them, limits of nginx's own,
# and ends from either side.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 53;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $dir = scratch();
my $echo = echo('box');

# Says what it is told by the query, then answers as usual. What the query
# repeats comes a thousand times; "!" leaves the usual out.
my $says = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($query) = $head =~ /^\w+ \S*\?(\S*)/;
		$query =~ s/%(..)/chr hex $1/ge;
		my $alone = $query =~ s/!$//;
		$query =~ s/^\*(.*)/$1 x 4000/se;
		for my $part (split /~/, $query) {
			print $s $part;
			sleep 0.1;
		}
		print $s "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"
		    unless $alone;
	}
});
# Changes protocols whatever it is asked for, if the path says so.
my $switches = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		if ($head !~ m{^GET /switch}) {
			print $s "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
			next;
		}
		my ($protocol) = $head =~ /^Upgrade: (.*)\r/mi;
		print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
		    . ($protocol // 'none') . "\r\nConnection: Upgrade\r\n\r\n";
		while (sysread $s, my $bytes, 65536) { print $s "<$bytes>"; }
		return;
	}
});
# Counts the bytes of a body, or sends a large one.
my $counts = backend(sub {
	my ($s) = @_;
	my $head = Ingress::read_head($s);
	if ($head =~ m{^GET}) {
		print $s "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n";
		my $block = 'z' x 1048576;
		print $s $block for 1 .. 100;
		return;
	}
	my ($left) = $head =~ /^content-length: (\d+)/mi;
	my $n = 0;
	while ($n < $left && (my $got = read $s, my $bytes, 65536)) {
		$n += $got;
	}
	print $s "HTTP/1.1 200 OK\r\nContent-Length: " . length($n) . "\r\n\r\n$n";
});
# Tells in a file when its connection has ended.
my $waits = backend(sub {
	my ($s) = @_;
	my ($name) = Ingress::read_head($s) =~ m{^\w+ /(\w+)};
	print $s "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
	    if $name =~ /^stream/;
	write_file("$dir/$name", 'asked');
	sysread $s, my $byte, 1;
	write_file("$dir/$name", 'ended');
});
my $late = free_port();
my ($limited, $waiting) = map { free_port() } 1 .. 2;
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$limited;
    large_client_header_buffers 2 1k;
    client_header_timeout 1s;
    location / {
        opensandbox uri;
        include $dir/limited.conf;
        client_max_body_size 1k;
        error_page 413 /big;
    }
    location = /big { return 413 big; }
}
server {
    listen 127.0.0.1:$waiting;
    opensandbox_wait 30s;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
EOT
BEGIN {
	# The shipped settings, less the one that the test sets itself.
	my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
	$conf =~ s/^client_max_body_size.*\n//m or die;
	write_file(scratch() . '/limited.conf', $conf);
}
my $port = $g->{port};
my $to = "/sandboxes/sb/port/$echo";

sub says
{
	my ($what, @headers) = @_;
	$what =~ s/([^\w~])/sprintf '%%%02x', ord $1/ge;
	return get($port, "/sandboxes/sb/port/$says/?$what", @headers);
}

# Methods
for my $method (qw(GET POST PUT PATCH DELETE OPTIONS PROPFIND QUERY)) {
	my $a = request($port, $method, "$to/x", $method eq 'GET' ? undef : '');
	is($a->{body} =~ m{^box \d+\n(\w+) /x HTTP} ? $1 : '', $method,
	    "$method passes");
}
my $a = request($port, 'HEAD', "/sandboxes/sb/port/$says/?", undef);
is_deeply([$a->{status}, $a->{headers}{'content-length'}], [200, ['4']],
    'HEAD brings the length');
is(request($port, 'TRACE', "$to/", undef)->{status}, 405, 'TRACE is refused');
is(exchange($port, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")->{status}, 400,
    'OPTIONS * names no sandbox');

# Interim answers
$a = says("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
$a = says('') if $a->{status} == 103;	# as newer nginx may pass it on
is_deeply([$a->{status}, $a->{body}], [200, 'mine'],
    'early hints are not taken for the answer');
for (
	['100', "HTTP/1.1 100 Continue\r\n\r\n"],
	['102, in pieces', "HTTP/1.1 10~2 Processing\r\nX-N~o: 1\r\n~\r\n"],
	['several', "HTTP/1.1 102 A\r\n\r\n~HTTP/1.1 102 B\r\n\r\n"
	    . "HTTP/1.1 100 C\r\n\r\n"],
) {
	my ($what, $interim) = @$_;
	$a = says($interim);
	is_deeply([$a->{status}, $a->{body}, $a->{headers}{'x-no'}],
	    [200, 'mine', undef], "so for $what");
}
$a = says("*HTTP/1.1 102 A\r\n\r\n");
is_deeply([$a->{status}, json($a)->{code}], [502, 'bad_answer'],
    'without end they are a bad answer');
$a = says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
is_deeply([$a->{status}, json($a)->{code}], [502, 'bad_answer'],
    'so is a change of protocols that nobody asked for');
$a = says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 'Upgrade: x');
is($a->{status}, 502, 'or asked for without saying so');
my $s = connect_to($port);
print $s "POST $to/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    . "Content-Length: 5\r\n\r\n";
is(read_answer($s)->{status}, 100, 'who expects 100 is told to go on');
print $s 'hello';
$a = read_answer($s);
is_deeply([$a->{status}, substr $a->{body}, -5], [200, 'hello'],
    'and has the body taken');
unlike($a->{body}, qr/^Expect/mi, 'of which the sandbox knows nothing');

# Trailers
$s = connect_to($port);
print $s "POST $to/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    . "Trailer: OpenSandbox-Ingress-To\r\n\r\n5\r\nhello\r\n0\r\n"
    . "OpenSandbox-Ingress-To: other-80\r\nX-Real-IP: 1.2.3.4\r\n\r\n";
$a = read_answer($s);
is($a->{status}, 200, 'a request with trailers is one');
unlike($a->{body}, qr/1\.2\.3\.4|other-80/, 'but they route nothing, nor pass');
my $trailing = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    . "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n!";
$a = says($trailing);
is($a->{body}, 'hello', 'an answer with trailers is whole');

# Upgrades
sub switch_by
{
	my ($path, $more, @headers) = @_;
	@headers = ('Connection: Upgrade', 'Upgrade: websocket') unless @headers;
	my $s = connect_to($port);
	print $s join("\r\n", "GET /sandboxes/sb/port/$switches$path HTTP/1.1",
	    'Host: x', @headers, '', '') . $more;
	return $s;
}

# Through the buffer that read_answer() fills, too.
sub reads
{
	my ($s, $length) = @_;
	my $got = '';
	local $SIG{ALRM} = sub { die "timeout\n" };
	eval {
		alarm 20;
		read $s, $got, $length;
	};
	alarm 0;
	return $got;
}

my $second = "GET $to/second HTTP/1.1\r\nHost: x\r\n\r\n";
$s = switch_by('/switch', $second);
is(read_answer($s)->{status}, 101, 'with a request behind it, an upgrade opens');
is(reads($s, length($second) + 2), "<$second>",
    'the bytes behind it are the tunnel\'s, and no request');
$s = switch_by('/stay', $second);
is(read_answer($s)->{body}, 'no', 'an upgrade may be declined');
like(read_answer($s)->{body}, qr{^box \d+\nGET /second},
    'then the request behind it is one');
$s = switch_by('/switch', '', 'Connection: Upgrade', 'Upgrade: h2/x');
$a = read_answer($s);
is_deeply([$a->{status}, $a->{headers}{upgrade}], [101, ['h2/x']],
    'any protocol may be meant');
print $s "PRI * HTTP/2.0\r\n\r\n";
is(reads($s, 20), "<PRI * HTTP/2.0\r\n\r\n>", 'whose bytes nobody reads');

# Large bodies, in constant memory
sub memory
{
	my ($worker) = workers($g);
	return read_file("/proc/$worker/status") =~ /^VmHWM:\s*(\d+) kB/m ? $1 : 0;
}
my $before = memory();
run('truncate', '-s', '104857600', "$dir/large");
is(run('curl', '-s', '-T', "$dir/large",
    "http://127.0.0.1:$port/sandboxes/sb/port/$counts/up"), '104857600',
    'a body of 100 MB goes up');
is(run('curl', '-s', '-o', '/dev/null', '-w', '%{size_download}',
    "http://127.0.0.1:$port/sandboxes/sb/port/$counts/down"), '104857600',
    'and comes down');
cmp_ok(memory() - $before, '<', 4096, 'in less than 4 MB of memory');
is(join('', map { glob "$g->{prefix}/$_/*" } qw(body proxy)), '',
    'and without a file');

# nginx's own limits
$a = request($limited, 'POST', "$to/", 'x' x 2000);
is_deeply([$a->{status}, $a->{body}], [413, 'big'],
    'a body over the limit is nginx\'s 413, with its error_page');
is(request($limited, 'POST', "$to/", 'x' x 1000)->{status}, 200,
    'one below it is not');
is(get($limited, "$to/" . 'x' x 2000)->{status}, 414,
    'a URI over the limit is a 414');
is(get($limited, "$to/", 'X: ' . 'x' x 2000)->{status}, 400,
    'a header over the limit is a 400');
$s = connect_to($limited);
print $s "GET $to/ HTTP/1.1\r\nX: ";
is(read_answer($s)->{head}, '', 'a header that never ends is cut off');

# The client goes
sub file_says
{
	my ($name, $text) = @_;
	return wait_for(sub { read_file("$dir/$name") eq $text }, 5);
}
for (
	['wait', 'waits for an answer'],
	['stream', 'reads a stream'],
	['post', 'sends a body'],
) {
	my ($name, $what) = @$_;
	$s = connect_to($port);
	print $s $name eq 'post' ? 'POST' : 'GET',
	    " /sandboxes/sb/port/$waits/$name HTTP/1.1\r\nHost: x\r\n",
	    $name eq 'post' ? "Content-Length: 0\r\n" : '', "\r\n";
	ok(file_says($name, 'asked'), "a client that $what");
	close $s;
	ok(file_says($name, 'ended'), '  goes: the sandbox\'s connection ends');
}
$s = connect_to($waiting);
print $s "GET /sandboxes/sb/port/$late/ HTTP/1.1\r\nHost: x\r\n\r\n";
wait_for(sub { read_file("$g->{prefix}/error.log")
	=~ /waiting for sandbox "sb", port $late\b/ }) or die 'it does not wait';
close $s;
$late = backend(sub { write_file("$dir/late", 'asked') },
    listen => Ingress::listen_on($late));
sleep 0.5;
is(read_file("$dir/late"), '', 'one that waits for a port goes: nobody connects');

# The sandbox goes
my $part = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
my $ends = backend(sub { my ($s) = @_; Ingress::read_head($s); print $s $part; });
$s = connect_to($port);
print $s "GET /sandboxes/sb/port/$ends/ HTTP/1.1\r\nHost: x\r\n\r\n";
$a = read_answer($s);
is_deeply([$a->{body}, $s->eof ? 1 : 0], ['part', 1],
    'an answer cut short is cut short for the client');
my $chunk = backend(sub { my ($s) = @_; Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"; });
$s = connect_to($port);
print $s "GET /sandboxes/sb/port/$chunk/ HTTP/1.1\r\nHost: x\r\n\r\n";
my $got = do { local $/; <$s> };
unlike($got, qr/0\r\n\r\n$/, 'chunks cut short have no last one');
for (
	['a length beside chunks', "Transfer-Encoding: chunked\r\nContent-Length: 3"
	    . "\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
	['two lengths', "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
) {
	my ($what, $rest) = @$_;
	my $a = says("HTTP/1.1 200 OK\r\n$rest!");
	my $framed = () = $a->{head} =~ /^(?:content-length|transfer-encoding):/gmi;
	ok($a->{status} == 502 || $framed == 1,
	    "an answer with $what is refused, or has one for the client")
	    or diag $a->{head};
}
for (
	['a NUL in a header', "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"],
	['letters in its status', "HTTP/1.1 2x0 OK\r\n\r\n"],
) {
	my ($what, $bad) = @$_;
	my $a = says("$bad!");
	is_deeply([$a->{status}, json($a)->{code}], [502, 'bad_answer'],
	    "an answer with $what is a bad one");
}
unlike(read_file("$g->{prefix}/error.log"), qr/\[alert\]|\[emerg\]|signal/,
    'nothing alarms the gateway');
