#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Each worker keeps idle connections to its sandboxes: as many as it is told,
# for as long, for as many requests, and for as long as it has connections to
# spare. Another pool in its place works too.

use strict;
use warnings;
use Test::More tests => 28;
use Time::HiRes qw(sleep time);
use Harness;
use Ingress;

my $proxy = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
my %pools = (
	few    => 'opensandbox keepalive=2;',
	brief  => 'opensandbox keepalive=8 keepalive_timeout=400ms;',
	thrice => 'opensandbox keepalive=8 keepalive_requests=3;',
	aged   => 'opensandbox keepalive=8 keepalive_time=300ms;',
	stock  => 'opensandbox; keepalive 8;',
	large  => 'opensandbox keepalive=400;',
	both   => 'opensandbox keepalive=8; keepalive 1;',
);
my %port = map { $_ => free_port() } sort keys %pools;
my $app = echo('app');
my $closing = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1 ";
});
my $chatty = backend(sub {
	my ($s) = @_;
	my $n = 0;
	while (Ingress::read_head($s)) {
		print $s "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
		    ++$n, ' ';
		sleep 0.1;
		print $s 'more';
	}
});

my $servers = join '', map {
	my $conf = $proxy =~ s,http://sandboxes,http://$_,r;
	<<"EOT";
upstream $_ { $pools{$_} }
server {
    listen 127.0.0.1:$port{$_};
    location / { opensandbox uri; $conf }
}
EOT
} sort keys %pools;
my $g = gateway(workers => 1, http => <<"EOT");
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox a { endpoint 127.0.0.1; }
opensandbox_sandbox b { endpoint 127.0.0.1; }
$servers
EOT
$port{shipped} = $g->{port};

# Which request of its connection this was.
sub nth
{
	my ($pool, $id, $to) = @_;
	my $body = get($port{$pool}, "/sandboxes/$id/port/" . ($to // $app) . '/')
	    ->{body};
	return $body =~ /(\d+)/ ? $1 : $body;
}

# Connections that the server on a port has open.
sub open_to
{
	my ($to) = @_;
	my (undef, $out) = capture('ss', '-Htn', 'state', 'established', 'sport',
	    '=', ":$to");
	return scalar split /\n/, $out;
}

is_deeply([map { nth('shipped', 'sb') } 1 .. 3], [1, 2, 3], 'one is used again');
is_deeply([map { nth('few', $_) } qw(sb a sb a)], [1, 1, 2, 2],
    'two sandboxes have one each');
is(nth('few', 'b'), 1, 'a third one has its own');
is(nth('few', 'a'), 3, 'the one used last has stayed');
is(nth('few', 'sb'), 1, 'the other one had to go');

nth('brief', 'sb');
my $before = open_to($app);
is(nth('brief', 'sb'), 2, 'while it is fresh it is used');
sleep 0.2;
is(nth('brief', 'a'), 1, 'beside another one');
sleep 0.3;
is(nth('brief', 'a'), 2, 'which is still fresh');
is(nth('brief', 'sb'), 1, 'when the first is too old');
ok(wait_for(sub { open_to($app) < $before }, 5), 'idle ones are closed');

is_deeply([map { nth('thrice', 'sb') } 1 .. 4], [1, 2, 3, 1], 'three requests each');
nth('aged', 'sb');
is(nth('aged', 'sb'), 2, 'a young connection is used');
sleep 0.4;
is(nth('aged', 'sb'), 3, 'once more, and then it is too old');
is(nth('aged', 'sb'), 1, 'so that another one comes');
is_deeply([map { nth('stock', 'sb') } 1 .. 3], [1, 2, 3], "nginx's own pool");
is_deeply([map { nth('both', $_) } qw(sb a b sb a b)], [1, 1, 1, 2, 2, 2],
    'ours counts beside it');

is_deeply([map { nth('shipped', 'sb', $closing) } 1 .. 3], [1, 1, 1],
    'what the sandbox closes is not used');
is(nth('shipped', 'sb', $chatty), 1, 'an answer, and more behind it');
sleep 0.3;
is(nth('shipped', 'sb', $chatty), 1, 'which is nobody\'s answer');

# One that the sandbox closes as the next request comes
my $closes = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1 ";
	Ingress::read_head($s);
});
is_deeply([map { nth('shipped', 'sb', $closes) } 1 .. 3], [1, 1, 1],
    'a request without a body goes again over a new one');
my $post = request($port{shipped}, 'POST', "/sandboxes/sb/port/$closes/", 'body');
is($post->{status}, 502, 'one with a body does not');
is(nth('shipped', 'sb', $closes), 1, 'and what comes next is served');
unlike(read_file("$g->{prefix}/error.log"), qr/alert|crit|emerg/, 'no alarm');

# Hundreds of sandboxes in turn
my @ids = map { "sb-$_" } 1 .. 300;
api($g, 'POST', '', [map { { id => $_, endpoint => '127.0.0.1' } } @ids]);
nth('large', $_) for @ids;
is_deeply([grep { nth('large', $_) != 2 } @ids], [], 'each has its own');

# Fewer connections than sandboxes: clients come first
my $other = echo('other');
my $short = gateway(workers => 1, connections => 64, http => <<"EOT");
upstream large { $pools{large} }
server {
    listen 127.0.0.1:@{[$port{short} = free_port()]};
    location / { opensandbox uri;
        @{[$proxy =~ s,http://sandboxes,http://large,r]} }
}
EOT
api($short, 'POST', '', [map { { id => $_, endpoint => '127.0.0.1' } } @ids]);
is_deeply([grep { nth('short', $_, $other) != 1 } @ids[0 .. 149]], [],
    'all are served by a worker of 64 connections');
cmp_ok(open_to($other), '<', 50, 'which keeps some free');
cmp_ok(open_to($other), '>', 20, 'and uses the others');
unlike(read_file("$short->{prefix}/error.log"), qr/alert|not enough/, 'no alarm');
