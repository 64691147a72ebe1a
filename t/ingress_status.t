#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox_status counts what passes, over all workers, and says it as JSON
# and in Prometheus' words. Limits by sandbox are nginx's own.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 48;
use Harness;
use Ingress;

my $one = echo('one');
my $socket = tunnel_backend();
my $closed = free_port();
my ($hosts, $headers, $limited) = map { free_port() } 1 .. 3;
my $g = gateway(
	workers => 2,
	http => <<"EOT",
limit_req_zone \$opensandbox_id zone=requests:1m rate=1r/m;
limit_conn_zone \$opensandbox_id zone=connections:1m;
server {
    listen 127.0.0.1:$hosts;
    location / {
        opensandbox host;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$headers;
    location / {
        opensandbox header;
        include %CONF%/opensandbox-proxy.conf;
    }
}
server {
    listen 127.0.0.1:$limited;
    location / {
        opensandbox uri;
        limit_req zone=requests;
        limit_req_status 429;
        include %CONF%/opensandbox-proxy.conf;
    }
    location /sandboxes/sb-ws/ {
        opensandbox uri;
        limit_conn connections 1;
        limit_conn_status 429;
        include %CONF%/opensandbox-proxy.conf;
    }
}
EOT
	server => <<"EOT",
location / {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
    error_page 404 /elsewhere;
}
location = /elsewhere { return 404 elsewhere; }
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
EOT
);
my $port = $g->{port};

# A sandbox that changes protocols, then echoes.
sub tunnel_backend
{
	return backend(sub {
		my ($client) = @_;
		Ingress::read_head($client);
		print $client "HTTP/1.1 101 Switching Protocols\r\n"
		    . "Upgrade: echo\r\nConnection: Upgrade\r\n\r\n";
		while (sysread $client, my $bytes, 100) {
			syswrite $client, $bytes;
		}
	});
}

sub open_tunnel
{
	my ($at) = @_;
	my $tunnel = connect_to($at);
	print $tunnel "GET /sandboxes/sb-ws/port/80/ HTTP/1.1\r\n"
	    . "Host: localhost\r\nConnection: Upgrade\r\n"
	    . "Upgrade: echo\r\n\r\n";
	my $answer = read_answer($tunnel);
	return ($tunnel, $answer);
}

sub status
{
	return json(get($port, '/status'));
}

# One metric of Prometheus' form, by its name with labels.
sub metric
{
	my ($name) = @_;
	my $text = get($port, '/status?format=prometheus')->{body};
	return $text =~ /^\Q$name\E (\d+)$/m ? $1 : undef;
}

sub put
{
	my ($id, $to, %more) = @_;
	return api($g, 'PUT', "/$id", { endpoint => '127.0.0.1',
		portMap => { 80 => "127.0.0.1:$to" }, %more })->{status};
}

my $answer = get($port, '/status');
is($answer->{status}, 200, 'the status is told');
is($answer->{headers}{'content-type'}[0], 'application/json', 'as JSON');
my $before = json($answer);
is_deeply($before->{sandboxes}, { total => 0, ready => 0, notReady => 0 },
    'there are no sandboxes yet');
is($before->{zone}{name}, 'sandboxes', 'the zone has its name');
is($before->{zone}{bytes}, 4 * 1024 * 1024, 'and its size');
cmp_ok($before->{zone}{used}, '>', 0, 'some of it in use');
cmp_ok($before->{zone}{used}, '<', $before->{zone}{bytes}, 'not all');

# Records
is(put('sb-1', $one), 201, 'a sandbox is made');
is(put('sb-ws', $socket), 201, 'and another');
is(put('sb-off', $closed), 201, 'one whose program is not there');
is(put('sb-late', $one, ready => JSON::PP::false), 201, 'one not ready');
is_deeply(status()->{sandboxes}, { total => 4, ready => 3, notReady => 1 },
    'records are counted, ready or not');
is(api($g, 'PATCH', '/sb-late', { ready => JSON::PP::true })->{status}, 200,
    'the last is ready now');
is(status()->{sandboxes}{notReady}, 0, 'which is seen');
is(put('sb-late', $one, ready => JSON::PP::false), 200, 'and not again');
is(status()->{sandboxes}{notReady}, 1, 'which is seen too');
cmp_ok(status()->{zone}{used}, '>', $before->{zone}{used},
    'records take their place in the zone');
is(put('sb-gone', $one, ready => JSON::PP::false), 201, 'one more');
is(api($g, 'DELETE', '/sb-gone')->{status}, 204, 'is deleted');
is_deeply(status()->{sandboxes}, { total => 4, ready => 3, notReady => 1 },
    'and counted no more');
is(api($g, 'PUT', '/sb-bad', { endpoint => 7 })->{status}, 400,
    'a bad record is refused');
wait_for(sub { status()->{api}{PUT}{'4xx'} });
my $now = status();
is($now->{changes}, 8, 'changes are counted, refused ones not');
is_deeply($now->{api}{PUT}, { '2xx' => 6, '3xx' => 0, '4xx' => 1, '5xx' => 0 },
    'calls of the API are counted by answer');
is($now->{api}{DELETE}{'2xx'}, 1, 'and by method');

# Requests
get($port, '/sandboxes/sb-1/port/80/') for 1 .. 20;
get($port, '/sandboxes/sb-off/port/80/');
get($port, '/sandboxes/sb-late/port/80/');
get($port, '/sandboxes/sb-1/port/0/');
get($port, '/sandboxes/none/port/80/');
get($hosts, '/', 'Host: sb-1-80.box.test');
get($headers, '/', 'OpenSandbox-Ingress-To: sb-1-80');
get($headers, '/');
get($port, '/status.ok');
my $requests;
wait_for(sub {
	my $all = 0;
	$requests = status()->{requests};
	$all += $_ for map { values %$_ } values %$requests;
	return $all == 27;
});
is($requests->{uri}{ok}, 20, 'good requests are counted, over all workers');
is($requests->{uri}{refused}, 1, 'those that the sandbox refused');
is($requests->{uri}{not_ready}, 1, 'those to a sandbox not ready');
is($requests->{uri}{bad_route}, 1, 'those without a route');
is($requests->{uri}{not_found}, 1, 'those that error_page took over');
is($requests->{host}{ok}, 1, 'by host');
is($requests->{header}{ok}, 1, 'by header');
is($requests->{header}{bad_route}, 1, 'bad ones by their mode');

# Tunnels
my ($tunnel, $switched) = open_tunnel($limited);
is($switched->{status}, 101, 'a tunnel opens');
is_deeply(status()->{tunnels}, { open => 1, total => 1 }, 'it is counted');
is((open_tunnel($limited))[1]->{status}, 429,
    'limit_conn allows one connection to a sandbox');
is(metric('opensandbox_tunnels'), 1, 'one tunnel is open');
close $tunnel;
ok(wait_for(sub { status()->{tunnels}{open} == 0 }),
    'closed, it is counted as open no more');

# Tunnels of a worker that is killed
($tunnel) = open_tunnel($port);
my @workers = split ' ', (capture('pgrep', '-P', $g->{pid}))[1];
kill 'KILL', @workers;
ok(wait_for(sub { eval { status()->{tunnels}{total} } }),
    'workers are killed, others count on');
is_deeply(status()->{tunnels}, { open => 0, total => 2 },
    'no tunnel of theirs is left');
is(status()->{requests}{uri}{ok}, 21, 'and nothing else is lost');

# Prometheus
$answer = get($port, '/status', 'Accept: application/openmetrics-text;'
    . 'version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1');
is($answer->{headers}{'content-type'}[0], 'text/plain; version=0.0.4',
    'a Prometheus server gets its own form');
my %types = $answer->{body} =~ /^# TYPE (\S+) (\S+)$/mg;
my @strange = grep {
	!/^(opensandbox_\w+)(?:\{\w+="[\w.]+"(?:,\w+="\w+")*\})? \d+$/
	    || !$types{$1}
	    || ($types{$1} eq 'counter') != ($1 =~ /_total$/ ? 1 : 0)
} grep { !/^# (?:HELP|TYPE) / } split /\n/, $answer->{body};
is("@strange", '', 'every line of it is a sample of a typed metric');
is(metric('opensandbox_requests_total{mode="uri",status="ok"}'), 21,
    'with the same numbers');
is(get($port, '/status?format=xml')->{status}, 400, 'other forms are none');
is_deeply([@{ get($port, '/status')->{headers} }{qw(vary cache-control)}],
    [['Accept'], ['no-store']], 'caches are told what it depends on, and not to keep it');
$answer = request($port, 'POST', '/status');
is($answer->{status}, 405, 'nothing can be posted');
is($answer->{headers}{allow}[0], 'GET, HEAD', 'and the answer says what can be done');

# Limits
my @limited = map { get($limited, '/sandboxes/sb-1/port/80/')->{status} } 1, 2;
push @limited, get($limited, '/sandboxes/sb-late/port/80/')->{status};
is("@limited", '200 429 503', 'limit_req counts by sandbox');
