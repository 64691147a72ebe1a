#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Large headers either way, and bodies that pause, pass with the shipped
# configuration. What is larger still gets an answer that says what is.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 24;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($kind, $size) = $head =~ m{^\S+ /(\w+)/(\d+)};
		my $body = length $head;
		if ($head =~ /^transfer-encoding: chunked/mi) {
			$body = 0;
			while (my $n = hex(<$s> =~ s/\s//gr)) {
				read $s, my $data, $n + 2;
				$body += $n;
			}
			<$s>;
		}
		my $more = ($kind // '') eq 'headers' ? "X-Large: " . 'x' x $size . "\r\n" :
		    ($kind // '') eq 'cookies'
		    ? join '', map { "Set-Cookie: c$_=" . 'c' x ($size / 4) . "; Path=/\r\n" } 1 .. 4
		    : ($kind // '') eq 'many'
		    ? join '', map { "X-$_: " . 'm' x 90 . "\r\n" } 1 .. $size / 100 : '';
		print $s "HTTP/1.1 200 OK\r\n${more}Content-Length: "
		    . length($body) . "\r\n\r\n$body";
	}
});

# What http{} says of pauses does not hold where requests go to sandboxes.
my $g = gateway(workers => 1, http => <<'EOT');
client_body_timeout 1s;
send_timeout 1s;
proxy_send_timeout 1s;
proxy_read_timeout 1s;
opensandbox_sandbox sb { endpoint 127.0.0.1; }
EOT
my $path = "/sandboxes/sb/port/$box";

for my $size (9_000, 20_000, 30_000) {
	my $a = get($g->{port}, "$path/headers/$size");
	is($a->{status}, 200, "headers of $size bytes");
	is(length($a->{headers}{'x-large'}[0] // ''), $size, 'arrive whole');
}
my $a = get($g->{port}, "$path/cookies/8192");
is($a->{status}, 200, '8 KB of cookies to be set');
is(length join('', @{ $a->{headers}{'set-cookie'} // [] }),
    4 * length("c1=; Path=$path/") + 8192, 'each of them, below the prefix');
is(get($g->{port}, "$path/many/20000")->{status}, 200, '200 headers');

for my $size (9_000, 30_000) {
	$a = get($g->{port}, "$path/", 'Cookie: a=' . 'a' x $size);
	is($a->{status}, 200, "a cookie of $size bytes");
	cmp_ok($a->{body}, '>', $size, 'arrives');
}
is(get($g->{port}, "$path/" . 'u' x 20_000)->{status}, 200, 'a long URI');

# What is too much
$a = get($g->{port}, "$path/headers/40000");
is($a->{status}, 502, 'headers of 40,000 bytes are too many');
like($a->{body}, qr/"bad_answer".*headers are larger than .*proxy_buffer_size/,
    'and that is said');
like(get($g->{port}, "$path/headers/40000", 'Accept: text/html')->{body},
    qr/headers are larger/, 'to people too');
$a = get($g->{port}, "$path/", 'Cookie: a=' . 'a' x 40_000);
is($a->{status}, 400, 'so are those of a request');
like($a->{body}, qr/Header Or Cookie Too Large/, 'which is said');
is(get($g->{port}, "$path/")->{status}, 200, 'what comes next is served');

# Pauses
$SIG{PIPE} = 'IGNORE';
my $s = connect_to($g->{port});
print $s "POST $path/ HTTP/1.1\r\nHost: localhost\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
sleep 2;
print $s "5\r\nworld\r\n";
sleep 2;
print $s "0\r\n\r\n";
$a = read_answer($s);
is("$a->{status} $a->{body}", '200 10', 'a chunked upload that pauses');

my $slow = backend(sub {
	my ($c) = @_;
	Ingress::read_head($c);
	print $c "HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n";
	print $c 'x' x 1_000_000 for 1 .. 50;
});
$s = connect_to($g->{port});
print $s "GET /sandboxes/sb/port/$slow/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
sleep 2.5;
is(length(read_answer($s)->{body}), 50_000_000, 'a download whose reader pauses');
my $log = read_file("$g->{prefix}/error.log");
unlike($log, qr/timed out/, 'nothing is timed out');
unlike($log, qr/alert|crit|emerg/, 'no alarm');
