#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Whoever uses a sandbox is told to Redis, once in a while; no request waits
# for Redis or fails because of it, whether it is there, dead, hanging or full.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 52;
use IO::Socket::INET;
use Harness;
use Ingress;

my $QUEUE = 'opensandbox:renew:intent';
my $app = echo('one');
my $redis_port = free_port();
my $redis = redis();

# A Redis on the port, with what other settings it is given.
sub redis
{
	my (@settings) = @_;
	my $pid = start(name => 'redis', cmd => ['redis-server', '--port',
		$redis_port, '--bind', '127.0.0.1', '--save', '', '--appendonly',
		'no', '--dir', scratch(), '--databases', 4, @settings]);
	wait_port($redis_port) or die read_file(scratch() . '/redis.log');
	return $pid;
}

# A command's answer: a number, a string, or a list's elements.
sub command
{
	my (@words) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$redis_port",
		Timeout => 5) or return;
	$socket->autoflush(1);
	print $socket '*' . @words . "\r\n",
	    map { '$' . length($_) . "\r\n$_\r\n" } @words;
	return answer($socket);
}

sub answer
{
	my ($socket) = @_;
	my $line = <$socket> // return;
	$line =~ s/\r\n$//;
	return $1 if $line =~ /^[+:](.*)/;
	return map { answer($socket) } 1 .. $1 if $line =~ /^\*(\d+)/;
	if ($line =~ /^\$(\d+)/) {
		read $socket, my $text, $1 + 2;
		return substr $text, 0, $1;
	}
	return $line;
}

# The intents of a queue, the oldest first.
sub intents
{
	my ($queue) = @_;
	return reverse command('LRANGE', $queue || $QUEUE, 0, -1);
}

sub sandboxes
{
	my $portmap = "port_map 80 127.0.0.1:$app;";
	return join "\n", map {
		"opensandbox_sandbox $_ { endpoint 127.0.0.1; $portmap }"
	} @_;
}

sub renewing
{
	my ($directive, %o) = @_;
	return gateway(workers => 2, %o,
		server => <<"EOT",
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
EOT
		http => ($o{http} // sandboxes('quiet', map { "sb-$_" } 1 .. 9))
		    . "\nopensandbox_renew_intent redis://$directive;\n");
}

sub visit
{
	my ($g, $id, $rest) = @_;
	return get($g->{port}, "/sandboxes/$id/port/80" . ($rest // '/'))
	    ->{status};
}

sub counted
{
	my ($g) = @_;
	return json(get($g->{port}, '/status'))->{renewIntents};
}

sub log_of
{
	my ($g) = @_;
	return read_file("$g->{prefix}/error.log");
}

# What is told
my $g = renewing("127.0.0.1:$redis_port");
is(visit($g, 'sb-1', '/a%2Fb"d\\' . "\xc3\xa9?c"), 200, 'a sandbox is used');
ok(wait_for(sub { intents() }), 'Redis is told');
my ($intent) = intents();
my $at = qr/"observed_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"/;
like($intent, qr/^\{"sandbox_id":"sb-1",$at,"port":80,
    "request_uri":"\/a%2Fb\\"d\\\\%C3%A9"\}$/x,
    'of the sandbox, the time, the port, and the path that it saw');
is(get($g->{port}, '/x', 'OpenSandbox-Ingress-To: quiet-80',
    'OpenSandbox-Access-Renew: skip')->{status}, 200, 'a client may ask for no intent');
is(get($g->{port}, '/x?secret', 'OpenSandbox-Ingress-To: quiet-80',
    'OpenSandbox-Access-Renew: SKIP')->{status}, 200, 'in this word alone');
ok(wait_for(sub { my @all = intents(); @all == 2 }), 'Redis is told once');
like((intents())[1], qr/"quiet",$at,"port":80,"request_uri":"\/x"\}$/,
    'a query, which may hold secrets, is left out');

visit($g, 'sb-1') for 1 .. 20;
visit($g, 'SB-1');
is(get($g->{port}, '/', 'OpenSandbox-Ingress-To: sb-1-80')->{status}, 200,
    'the same sandbox by another way');
is(visit($g, 'sb-0'), 404, 'an unknown one');
is(visit($g, 'sb-2'), 200, 'and another one');
wait_for(sub { my @all = intents(); @all == 3 });
my @ids = map { /"sandbox_id":"([^"]*)"/ } intents();
is("@ids", 'sb-1 quiet sb-2', 'one intent a sandbox, whichever the worker');
is(api($g, 'PATCH', '/sb-2', { hostHeader => 'x' })->{status}, 200,
    'a record changes');
visit($g, 'sb-2');
reload($g);
visit($g, 'sb-1') for 1 .. 4;
visit($g, 'sb-3');
wait_for(sub { my @all = intents(); @all == 4 });
@ids = map { /"sandbox_id":"([^"]*)"/ } intents();
is("@ids", 'sb-1 quiet sb-2 sb-3', 'which counts over changes and reloads');
ok(wait_for(sub { counted($g)->{sent} == 4 }), 'the status counts them');

# Redis dies and comes back
stop($redis, 'KILL');
is(visit($g, 'sb-4'), 200, 'with Redis dead, a request passes');
is(visit($g, 'sb-5'), 200, 'and another');
ok(wait_for(sub { log_of($g) =~ /Redis at 127\.0\.0\.1:$redis_port, for renew/ }),
    'the log says so');
$redis = redis();
ok(wait_for(sub { my @all = intents(); @all == 2 }, 30),
    'Redis hears of both when it is back');
ok(wait_for(sub { log_of($g) =~ /Redis at \S+ is back/ }), 'the log says so');

# Redis hangs
kill 'STOP', $redis;
is(visit($g, 'sb-6'), 200, 'with Redis hanging, a request passes');
is(visit($g, 'sb-7'), 200, 'and another');
ok(wait_for(sub { log_of($g) =~ /does not answer/ }), 'it is given up');
kill 'CONT', $redis;
ok(wait_for(sub {
	my %seen = map { /"sandbox_id":"([^"]*)"/ ? ($1 => 1) : () } intents();
	return $seen{'sb-6'} && $seen{'sb-7'};
}, 30), 'Redis hears of both when it wakes');

# A connection that Redis closes when nothing goes on
my $errors = () = log_of($g) =~ /\[error\]/g;
command('CLIENT', 'KILL', 'TYPE', 'normal');
is(visit($g, 'sb-8'), 200, 'after an idle connection was closed');
ok(wait_for(sub { grep { /"sb-8"/ } intents() }), 'Redis hears on a new one');
my $after = () = log_of($g) =~ /\[error\]/g;
is($after, $errors, 'which is no error');

# A worker that ends has said all, and closed its connection
my $alerts = () = log_of($g) =~ /\[(?:alert|emerg)\]/g;
visit($g, 'sb-9');
is(stop($g->{pid}, 'QUIT'), 0, 'nginx ends');
ok(wait_for(sub { grep { /"sb-9"/ } intents() }), 'what it knew is told');
unlike(log_of($g), qr/\[(?:alert|emerg)\]/, 'nothing is left open');

# A wrong type under the queue's name, then the right one
command('DEL', $QUEUE);
command('SET', $QUEUE, 'text');
$g = renewing("127.0.0.1:$redis_port min_interval=0");
is(visit($g, 'sb-1'), 200, 'where Redis refuses the intent, a request passes');
ok(wait_for(sub { counted($g)->{failed} == 1 }), 'the refusal is counted');
like(log_of($g), qr/refuses a renew intent: -WRONGTYPE/, 'and logged');
command('DEL', $QUEUE);
visit($g, 'sb-1') for 1 .. 3;
ok(wait_for(sub { my @all = intents(); @all == 3 }),
    'min_interval=0 tells every request');

# Many at once, on one connection, over the ring's end more than once
$g = renewing("127.0.0.1:$redis_port min_interval=0s queue=many",
	workers => 1);
my $long = '/' . 'x' x 1500;
my $socket = connect_to($g->{port});
for (1 .. 600) {
	print $socket "GET /sandboxes/sb-1/port/80$long$_ HTTP/1.1\r\n"
	    . "Host: localhost\r\n\r\n";
	read_answer($socket)->{status} == 200 or last;
}
wait_for(sub { my @all = intents('many'); @all == 600 }, 20);
my @numbers = map { /x(\d+)"\}$/ } intents('many');
is("@numbers", "@{[1 .. 600]}", 'many intents arrive whole and in order');

# With a password, in a database, the queue kept short
stop($redis);
$redis = redis('--requirepass', 'p@ss:w/ord');
$g = renewing("default:p%40ss%3Aw%2Ford\@127.0.0.1:$redis_port/2"
	. " queue=short max_len=3");
is(visit($g, "sb-$_"), 200, "sandbox $_ of 5") for 1 .. 5;
ok(wait_for(sub { counted($g)->{sent} == 5 }), 'all are told');
my $client = connect_to($redis_port);
print $client "AUTH p\@ss:w/ord\r\nSELECT 2\r\nLLEN short\r\n";
is(join(' ', map { answer($client) } 1 .. 3), 'OK OK 3',
    'the queue in the database stays as short as it shall');

$g = renewing("wrong-user:s3cr3t\@127.0.0.1:$redis_port");
is(visit($g, 'sb-1'), 200, 'where the password is wrong, a request passes');
ok(wait_for(sub { log_of($g) =~ /-WRONGPASS/ }), 'and the log says why');
unlike(log_of($g), qr/s3cr3t/, 'without the password');

# More than the queue holds
stop($redis);
$g = renewing("127.0.0.1:$redis_port min_interval=0", workers => 1);
my %statuses;
for my $n (1 .. 1100) {
	# nginx closes a connection after 1000 requests.
	$socket = connect_to($g->{port}) if $n % 500 == 1;
	print $socket "GET /sandboxes/sb-1/port/80/ HTTP/1.1\r\n"
	    . "Host: localhost\r\n\r\n";
	$statuses{ read_answer($socket)->{status} }++;
}
is_deeply(\%statuses, { 200 => 1100 }, 'with Redis away, all requests pass');
is(counted($g)->{dropped}, 76, 'intents beyond 1024 are dropped, and counted');
$redis = redis();
ok(wait_for(sub { command('LLEN', $QUEUE) == 1024 }, 30),
    'the others arrive when Redis is there');

# What nginx -t says
for (
	['http://localhost', qr/needs a URL/],
	['redis://localhost/x', qr/database .* not a number/],
	['redis://user@localhost', qr/user without a password/],
	['redis://no-such-host.invalid', qr/host not found/],
	['redis://127.0.0.1 max_len=0', qr/invalid parameter "max_len=0"/],
) {
	like(config_error(http => "opensandbox_renew_intent $_->[0];"), $_->[1],
	    "$_->[0] is a mistake");
}
