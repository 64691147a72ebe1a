#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox_wake holds requests to a paused sandbox and asks a hook for it
# once; when the record says that it is awake they go on, judged anew, each once
# and whole, or come to an end that says why.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::MD5 qw(md5_hex);
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More tests => 86;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;
use Links;
use Receiver;

my $dir = scratch();
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $hook = receiver(undef, 'hook', { status => 202 });
my $later = free_port();
my ($plain, $http2) = map { free_port() } 1 .. 2;

# A sandbox that notes each request, and answers with its mark, the request's
# line, and the sum of its body.
sub box
{
	my ($mark) = @_;
	my $log = "$dir/$mark.log";
	return scalar backend(sub {
		my ($s) = @_;
		while (my $head = Ingress::read_head($s)) {
			my ($line) = $head =~ /^(.*?) HTTP/;
			open my $out, '>>', $log;
			syswrite $out, "$line\n";
			close $out;
			return websocket($s, $head) if $head =~ /^Upgrade:/mi;
			my $sent = '';
			my ($length) = $head =~ /^Content-Length: (\d+)/mi;
			read $s, $sent, $length if $length;
			my $body = "$mark $line " . length($sent) . ' ' . md5_hex($sent);
			print $s "HTTP/1.1 200 OK\r\nContent-Length: "
			    . length($body) . "\r\n\r\n$body";
		}
	});
}

my ($one, $two) = map { box($_) } qw(one two);
my $proxy = 'include %CONF%/opensandbox-proxy.conf;';
my $http = <<"EOT";
opensandbox_access_keys a=c2VjcmV0;
opensandbox_wake $hook/wake?by=gateway timeout=60s interval=60s;
server {
    listen 127.0.0.1:$http2 http2;
    location / { opensandbox any; $proxy }
}
EOT
my $server = <<"EOT";
location / { opensandbox any; $proxy }
location = /pid { return 200 \$pid; }
location /short/ { opensandbox uri prefix=/short; $proxy
    opensandbox_wake $hook timeout=300ms interval=60s; }
location /down/ { opensandbox uri prefix=/down; $proxy
    opensandbox_wake http://127.0.0.1:$later interval=1s; }
location /local/ { opensandbox uri prefix=/local; $proxy
    opensandbox_wake unix:$dir/hook.sock:/local; }
location /asked/ { opensandbox uri prefix=/asked; $proxy
    auth_request /sandboxes/asked/port/80/may; }
location /mirrored/ { opensandbox uri prefix=/mirrored; $proxy
    mirror /sandboxes/mirror/port/80/copy; }
location /off/ { opensandbox uri prefix=/off; $proxy opensandbox_wake off; }
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
EOT
chmod 0777, $dir;
my $g = gateway(workers => 3, http => $http, server => $server);

sub paused
{
	my ($id, %o) = @_;
	my $a = api($g, 'PUT', "/$id", { endpoint => '127.0.0.1',
	    portMap => { 80 => "127.0.0.1:$one" }, state => 'paused', %o });
	die $a->{body} if $a->{status} !~ /^20/;
}

sub patch { my ($id, %o) = @_; return api($g, 'PATCH', "/$id", \%o)->{status} }
sub wake  { return patch($_[0], state => undef) }

# A request that is sent and not waited for.
sub send_to
{
	my ($target, @headers) = @_;
	my $s = connect_to($g->{port});
	print $s join("\r\n", "GET $target HTTP/1.1", 'Host: localhost', @headers,
	    '', '');
	return $s;
}

sub to     { my ($id, $rest) = @_; return "/sandboxes/$id/port/80/" . ($rest // '') }
sub status { return json(get($g->{port}, '/status'))->{wakes} }
sub held   { my ($n) = @_; return wait_for(sub { (status()->{held} // -1) == $n }, 20) }
sub quiet  { return !IO::Select->new(@_)->can_read(0.3) }
sub seen   { my ($mark) = @_; return split /\n/, read_file("$dir/$mark.log") }
sub posts
{
	my ($id) = @_;
	return grep { $_->{sandbox_id} eq $id } map { decode_json($_->{body}) }
	    received('hook');
}

# Many wait, in all workers
paused('many');
my @many = map { served_by($g, $_) } workers($g);
is(@many, 3, 'there are three workers');
for my $s (@many) {
	print $s "GET " . to('many', 'kept') . " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}
push @many, send_to(to('many', "n$_")) for 1 .. 37;
ok(held(40), 'forty requests are held, by all workers');
ok(wait_for(sub { posts('many') }), 'the hook is asked');
ok(quiet(@many), 'nobody is answered');
my @posts = posts('many');
is(@posts, 1, 'the hook is asked once');
is($posts[0]{port}, 80, 'with the port');
like($posts[0]{observed_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'and the time');
my ($post) = received('hook');
is("$post->{method} $post->{path}", 'POST /wake?by=gateway', 'by a POST to its URL');
is("@{$post->{headers}}{qw(host content-type)}",
    ($hook =~ s{http://}{}r) . ' application/json', 'of JSON');
ok(wait_for(sub { status()->{sent} == 1 }), 'which is counted');
is(wake('many'), 200, 'the sandbox wakes');
my %status = map { read_answer($_)->{status} => 1 } @many;
is(join(' ', %status), '200 1', 'all are answered');
is(scalar(seen('one')), 40, 'each was sent once');
ok(held(0), 'none is held any more');

# Again
paused('many');
my $s = send_to(to('many'));
ok(wait_for(sub { posts('many') == 2 }), 'the next pause is another one');
patch('many', state => undef, ready => $false, expose => [80]);
ok(quiet($s), 'who is awake may not be ready yet');
patch('many', ready => $true);
is(read_answer($s)->{status}, 200, 'and is');

# Bodies
for my $how (['--http1.1', $g->{port}], ['--http2-prior-knowledge', $http2]) {
	my ($version, $port) = @$how;
	my $body = join '', map { pack 'N', rand 2 ** 32 } 1 .. 262144;
	write_file("$dir/body", $body);
	unlink "$dir/out";
	paused('body');
	my $n = seen('one');
	my $curl = start(name => 'curl', cmd => ['curl', '-sS', '-m', '60', $version,
	    '--data-binary', "\@$dir/body", '-o', "$dir/out",
	    "http://127.0.0.1:$port" . to('body')]);
	ok(held(1), "$version: a megabyte is held");
	is(seen('one'), $n, '  of which nothing is sent');
	wake('body');
	is(wait_exit($curl, 30), 0, '  and then all of it');
	is(read_file("$dir/out"), "one POST / 1048576 " . md5_hex($body), '  whole');
	is(seen('one'), $n + 1, '  once');

	paused('body');
	$curl = start(name => 'curl', cmd => ['curl', '-sS', '-m', '60', $version,
	    "http://127.0.0.1:$port" . to('body')]);
	held(1);
	stop($curl, 'KILL');
	ok(held(0), '  a client that goes away is let go');
	wake('body');
	is(get($g->{port}, to('body'))->{status}, 200, '  the sandbox wakes');
	is(seen('one'), $n + 2, '  and has no request of it');
}

# WebSocket
paused('socket');
$s = send_to(to('socket'), 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Key: x');
held(1);
wake('socket');
is(read_answer($s)->{status}, 101, 'a WebSocket is opened');
print $s pack('CCNa*', 0x81, 0x84, 0, 'ping');
read $s, my $frame, 6;
is(substr($frame, 2), 'ping', 'and carries');

# What ends the wait
paused('end');
my $a = get($g->{port}, '/short/end/port/80/');
is($a->{status} . json($a)->{code}, '503paused', 'time is up');
is($a->{headers}{'retry-after'}[0], 1, 'for now');
like(json($a)->{message}, qr/did not wake in time/, 'which is said');
like(get($g->{port}, '/short/end/port/80/', 'Accept: text/html')->{body},
    qr/Wait a moment/, 'and a person may come again');
is(json(get($g->{port}, '/off/end/port/80/'))->{code}, 'paused', 'without a hook');
$s = send_to(to('end'));
held(1);
api($g, 'DELETE', '/end');
is(read_answer($s)->{status}, 404, 'a record goes');
paused('end');
$s = send_to(to('end'));
held(1);
patch('end', state => 'ambiguous');
is(json(read_answer($s))->{code}, 'ambiguous', 'two claim the id');
paused('end', expose => [80]);
$s = send_to(to('end'));
held(1);
patch('end', expose => [81], portMap => undef);
is(read_answer($s)->{status}, 403, 'the port is closed, asleep as it is');
ok(held(0), 'which lets it go');

# Judged anew
paused('moved');
$s = send_to(to('moved', 'x'));
held(1);
patch('moved', state => undef, portMap => { 80 => "127.0.0.1:$two" });
like(read_answer($s)->{body}, qr{^two GET /x }, 'it is awake elsewhere');
paused('safe', accessToken => 'secret', expose => [80]);
my $n = received('hook');
is(get($g->{port}, to('safe'))->{status}, 401, 'who may not enter wakes nobody');
is(get($g->{port}, '/sandboxes/safe/port/81/',
    'OpenSandbox-Secure-Access: secret')->{status}, 403, 'nor who asks elsewhere');
is(received('hook'), $n, 'the hook is not asked');
$s = send_to(to('safe'), 'OpenSandbox-Secure-Access: secret');
held(1);
patch('safe', accessToken => 'other');
is(read_answer($s)->{status}, 401, 'another token is asked for at once');

# Signed routes and their cookie
my $expires = base36(time + 1000);
my $signature = short_signature('a=secret', 'safe', 80, $expires);
my $signed = "$expires/$signature/x?y";
my @open = ('Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document');
patch('safe', state => 'paused');
$s = send_to(to('safe', $signed), @open);
held(1);
wake('safe');
$a = read_answer($s);
like($a->{body}, qr{^one GET /x\?y }, 'a signed route admits once awake');
my ($cookie) = ($a->{headers}{'set-cookie'}[0] // '') =~ /^([^;]+)/;
ok($cookie, 'and leaves its cookie');
patch('safe', state => 'paused');
$s = send_to(to('safe', 'page'), "Cookie: $cookie", 'Sec-Fetch-Site: same-origin');
held(1);
wake('safe');
like(read_answer($s)->{body}, qr{^one GET /page }, 'which admits as well');
patch('safe', state => 'paused');
$s = send_to(to('safe', $signed));
held(1);
api($g, 'PUT', '/safe', { endpoint => '127.0.0.1', portMap =>
    { 80 => "127.0.0.1:$one" } });
like(read_answer($s)->{body}, qr{^one GET /\Q$signed\E },
    'where no token is asked for any more, a path is but a path');

# Subrequests
paused($_) for qw(asked asking);
$s = send_to('/asked/asking/port/80/last');
held(1);
is(posts('asking'), 0, 'a request whose leave is asked for of a paused sandbox');
wake('asked');
ok(wait_for(sub { posts('asking') }), 'goes on to its own when it has it');
wake('asking');
like(read_answer($s)->{body}, qr{^one GET /last }, 'and is answered');
paused($_) for qw(mirror mirrored);
$s = send_to('/mirrored/mirrored/port/80/gone');
ok(held(1), 'one that is to be mirrored waits');
close $s;
ok(held(0), 'and leaves with its client');
$s = send_to('/mirrored/mirrored/port/80/there');
held(1);
wake('mirrored');
like(read_answer($s)->{body}, qr{^one GET /there }, 'and is answered');
ok(wait_for(sub { posts('mirror') }) && held(1), 'while its copy waits');
wake('mirror');
ok(wait_for(sub { grep { $_ eq 'GET /copy' } seen('one') }), 'and is sent');

# A reload
paused('kept');
my @old = workers($g);
$s = send_to(to('kept'));
held(1);
reload($g);
ok(quiet($s), 'a reload lets the held ones wait');
wake('kept');
is(read_answer($s)->{status}, 200, 'and be answered');
close $s;
ok(wait_for(sub { !grep { kill 0, $_ } @old }, 20), 'and then its workers end');

# Hooks that fail
sub complaints
{
	return grep { /$_[0]/ && /\[error\]/ } split /\n/,
	    read_file("$g->{prefix}/error.log");
}

reload($g, workers => 1, http => $http, server => $server);
paused('down');
my $failed = status()->{failed};
$s = send_to('/down/down/port/80/');
ok(wait_for(sub { status()->{failed} >= $failed + 2 }), 'a hook is away');
is(complaints("\"http://127.0.0.1:$later\" cannot be connected to"), 1,
    'which is logged once');
receiver_at(undef, 'late', '127.0.0.1', $later, { status => 500 });
ok(wait_for(sub { received('late') }), 'it is asked again');
is((received('late'))[0]{path}, '/', 'at the root');
script('late', { status => 204 });
ok(wait_for(sub { read_file("$g->{prefix}/error.log") =~
    /\[notice\].*"http:\/\/127.0.0.1:$later" is back/ }), 'and is back');
wake('down');
is(read_answer($s)->{status}, 200, 'the request has waited');
is(complaints("opensandbox_wake"), 1, 'a hook with an error is no other matter');

my $listen = IO::Socket::UNIX->new(Local => "$dir/hook.sock", Listen => 5);
chmod 0777, "$dir/hook.sock";
backend(sub {
	my ($c) = @_;
	my $head = Ingress::read_head($c);
	my ($length) = $head =~ /^Content-Length: (\d+)/mi;
	read($c, my $body, $length);
	write_file("$dir/local.new", "$head$body");
	rename "$dir/local.new", "$dir/local";
	print $c "HTTP/1.1 200 OK\r\n\r\n";
}, listen => $listen);
paused('local');
$s = send_to('/local/local/port/80/');
ok(wait_for(sub { -e "$dir/local" }), 'a hook may be at a socket');
like(read_file("$dir/local"), qr{^POST\ /local\ HTTP/1.1\r\nHost:\ localhost\r\n
    .*\r\n\r\n\{"sandbox_id":"local","port":80,"observed_at":"[^"]+"\}$}sx,
    'which gets the same');
wake('local');
is(read_answer($s)->{status}, 200, 'and wakes it');

# How many
$g = gateway(workers => 1, connections => 80, server => $server,
    http => "opensandbox_wake $hook timeout=60s interval=60s;");
paused('crowd');
my @crowd = map { send_to(to('crowd')) } 1 .. 10;
ok(held(10), 'of a worker\'s connections, an eighth');
$a = get($g->{port}, to('crowd'));
like($a->{status} . json($a)->{message}, qr/^503.*too many requests wait for it/,
    'may wait for one sandbox');
paused('else');
my $else = send_to(to('else'));
ok(held(11), 'while others may for another');
wake($_) for qw(crowd else);
is((grep { read_answer($_)->{status} == 200 } @crowd, $else), 11,
    'and are all answered');

# Mistakes
for (
	['https://x/', qr/needs a URL "http:/],
	['http://', qr/needs a URL/],
	['unix:', qr/no path in the unix domain socket/],
	['http://no.such.invalid/', qr/host not found in "http:\/\/no.such.invalid\/"/],
	['http://127.0.0.1/ interval=0', qr/invalid parameter "interval=0"/],
	['http://127.0.0.1/ timeout=x', qr/invalid parameter "timeout=x"/],
	['off interval=1s', qr/needs a URL/],
	['off; opensandbox_wake off', qr/is duplicate/],
) {
	my ($value, $why) = @$_;
	like(config_error(http => "opensandbox_wake $value;"), $why, $value);
}
