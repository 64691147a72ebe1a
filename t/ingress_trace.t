#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox_trace: a valid traceparent reaches the sandbox as it came, any
# other is replaced, and the log can tell the trace. Without it nothing changes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;

my $dir = scratch();
chmod 0777, $dir;
my $box = backend(sub {
	my ($socket) = @_;
	my $head = Ingress::read_head($socket);
	print $socket "HTTP/1.1 200 OK\r\nTrace: "
	    . ($head =~ /^traceparent: (.*?)\r$/mi ? $1 : 'none')
	    . "\r\nContent-Length: " . length($head) . "\r\n\r\n$head";
});
my $tunnel = backend(sub {
	my ($socket) = @_;
	my $head = Ingress::read_head($socket);
	print $socket "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    . "Connection: Upgrade\r\n\r\n$head";
});
my ($h2, $h2_grpc, $grpc) = map { free_port() } 1 .. 3;
my $calls = root() . '/t/tools/grpc_calls.py';
start(name => 'grpc', cmd => [python(), $calls, 'serve', $grpc]);
wait_port($grpc, 20) or die 'no gRPC server';
my $g = gateway(http => <<"EOT", server => <<"EOT");
log_format trace '\$opensandbox_trace_id|\$opensandbox_parent_id|\$opensandbox_traceparent';
opensandbox_trace on;
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token secret; }
server {
    listen 127.0.0.1:$h2 http2;
    access_log $dir/trace.log trace;
    location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$h2_grpc http2;
    access_log $dir/trace.log trace;
    location / { opensandbox header; include %CONF%/opensandbox-grpc.conf; }
}
EOT
access_log $dir/trace.log trace;
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
location /sandboxes/sb/port/$box/twice {
    opensandbox uri;
    auth_request /sandboxes/sb/port/$box/first;
    auth_request_set \$first \$upstream_http_trace;
    add_header First \$first;
    include %CONF%/opensandbox-proxy.conf;
}
location /sandboxes/sb/port/$box/off {
    opensandbox uri;
    opensandbox_trace off;
    include %CONF%/opensandbox-proxy.conf;
}
location /sandboxes/sb/port/$box/mixed {
    opensandbox uri;
    opensandbox_trace off;
    auth_request /sandboxes/sb/port/$box/first;
    include %CONF%/opensandbox-proxy.conf;
}
EOT
my $port = $g->{port};

my $id = '0af7651916cd43dd8448eb211c80319c';
my $parent = 'b7ad6b7169203331';
my $good = "00-$id-$parent-00";
my $new = qr/00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01/;

# The fields of these names that a sandbox got, in order.
sub seen
{
	my ($body, $name) = @_;
	return [$body =~ /^$name: (.*?)\r$/mgi];
}

sub traced
{
	my ($path, @headers) = @_;
	my $a = get($port, "/sandboxes/sb/port/$box/$path", @headers);
	return (seen($a->{body}, 'traceparent'), seen($a->{body}, 'tracestate'), $a);
}

# The last line of the log, once there are so many.
my $lines = 0;
sub logged
{
	$lines++;
	return wait_for(sub {
		my @all = split /\n/, read_file("$dir/trace.log");
		return @all >= $lines && $all[-1];
	}, 10);
}

for my $value ($good, "01-$id-$parent-01-later", "00-$id-$parent-03") {
	my ($got, $state) = traced('x', "traceparent: $value",
	    'tracestate: a=1', 'tracestate: b=2');
	is_deeply([$got, $state], [[$value], ['a=1', 'b=2']],
	    "$value passes, with its state");
	is(logged(), "$id|$parent|$value", '  and the log tells it');
}

for my $case (
	['none', []],
	['no version', ["traceparent: $id-$parent-01"]],
	['version ff', ["traceparent: ff-$id-$parent-01"]],
	['capitals', ['traceparent: ' . uc $good]],
	['an empty trace', ["traceparent: 00-" . '0' x 32 . "-$parent-01"]],
	['an empty parent', ["traceparent: 00-$id-" . '0' x 16 . '-01']],
	['more than version 00 has', ["traceparent: $good-x"]],
	['an empty value', ['traceparent:']],
	['two', ["traceparent: $good", "TraceParent: $good"]],
) {
	my ($name, $headers) = @$case;
	my ($got, $state, $a) = traced('x', @$headers, 'tracestate: a=1',
	    'Cookie: c=1', 'X-After: there');
	is(scalar @$got, 1, "$name: there is one traceparent");
	like($got->[0], qr/^$new$/, '  a new one');
	unlike($got->[0], qr/$id/, '  of another trace');
	is_deeply($state, [], '  without the state of the old one');
	is_deeply([seen($a->{body}, 'x-after'), seen($a->{body}, 'cookie'),
	    seen($a->{body}, 'host')], [['there'], ['c=1'], ['localhost']],
	    '  and all else is there');
	my (undef, $trace, $span, undef) = split /-/, $got->[0];
	is(logged(), "$trace|$span|$got->[0]", '  the log tells it');
}

my %all = map { (traced('x'))[0][0] => 1, logged() => 0 } 1 .. 20;
is(scalar(grep { $_ } values %all), 20, 'no two requests have one trace');

my $a = get($port, "/sandboxes/sb/port/$tunnel/", 'Connection: Upgrade',
    'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');
like($a->{head} . $a->{body} . $a->{status}, qr/101/, 'a WebSocket opens');
logged();
my $socket = connect_to($port);
print $socket "GET /sandboxes/sb/port/$tunnel/ HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
my $text = do { local $/; <$socket> };
like($text, qr/101 Switching.*^traceparent: $new\r$/msi, '  with a traceparent');
logged();

$a = get($port, "/sandboxes/safe/port/$box/");
is($a->{status}, 401, 'who may not enter');
like(logged(), qr/^[0-9a-f]{32}\|[0-9a-f]{16}\|$new$/, '  is in the log with a trace');

my (undef, $out) = capture('curl', '-s', '--http2-prior-knowledge',
    "http://127.0.0.1:$h2/sandboxes/sb/port/$box/", '-H', 'traceparent: bad');
like($out, qr/^traceparent: $new\r$/m, 'HTTP/2 is no other');
logged();

# gRPC: four calls, each with a trace of its own where it brought none.
for my $value ($good, 'bad', undef) {
	(undef, $out) = capture(python(), $calls, 'call', "127.0.0.1:$h2_grpc",
	    "opensandbox-ingress-to=sb-$grpc", $value ? ("traceparent=$value", 'tracestate=a=1') : ());
	my @fields = split / /, $out =~ /^one (.*?)\|/m ? $1 : "nothing: $out";
	my ($trace) = map { /^traceparent=(.*)/ } @fields;
	my $name = 'gRPC, ' . ($value // 'none');
	like($trace, ($value // '') eq $good ? qr/^$good$/ : qr/^$new$/, $name);
	is(scalar(grep { /^tracestate/ } @fields), ($value // '') eq $good ? 1 : 0,
	    '  with its state, or none');
	my @log;
	ok(wait_for(sub {
		@log = split /\n/, read_file("$dir/trace.log");
		return @log == $lines + 4;
	}, 10), '  four lines in the log');
	my @ids = map { (split /\|/)[2] } @log[$lines .. $#log];
	is(scalar(grep { $_ eq $trace } @ids), ($value // '') eq $good ? 4 : 1, '  which tell it');
	$lines += 4;
}

# Subrequests have the trace of their request.
my ($got, undef, $twice) = traced('twice');
like($got->[0], qr/^$new$/, 'a request with a subrequest has a trace');
is_deeply($twice->{headers}{first}, $got, '  and both have the same');
logged();

# Off: as it came.
for my $path ('off', 'mixed') {
	my ($bad, $state) = traced($path, 'traceparent: bad', 'traceparent: worse',
	    'tracestate: a=1');
	is_deeply([$bad, $state], [['bad', 'worse'], ['a=1']],
	    "$path: what is not valid passes where it is off");
	is(logged(), '||', '  and no trace is in the log');
	($got) = traced($path);
	is_deeply($got, [], '  none is made');
	logged();
}

unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:crit|alert|emerg)\]/,
    'nothing alarms the gateway');
done_testing();
