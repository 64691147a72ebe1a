#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The gateway's image takes the command line that OpenSandbox's chart gives to
# its gateway: in a container with a read-only root it becomes a gateway that
# knows the cluster's sandboxes, ends well, and refuses what it does not know.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Test::More;
use Container;
use Harness;
use Ingress;
use Kube;
use Links;

my $entrypoint = root() . '/conf/container/gateway-entrypoint';
my $secret = "a secret\0with a NUL";
my $keys = 'a=b3RoZXI=,b=' . encode_base64($secret, '');

# A sanitized build's runtimes, where the image has them.
sub runtimes
{
	my %env = %{ nginx_env() };
	my (undef, $libraries) = capture('ldd',
	    build_dir() . '/ngx_http_opensandbox_module.so');
	$env{LD_PRELOAD} = join ':', $libraries =~ m{(/\S*/lib(?:a|ub)san\S*)}g
	    if %env;
	return %env;
}

# A container in a cluster, whose sandboxes may be on loopback.
sub in_cluster
{
	my ($kube, $args, %o) = @_;
	my $port = free_port();
	my $c = Container->new(args => ["--port=$port", @$args], %o,
	    volumes => ["$kube->{folder}/serviceaccount:"
	        . '/var/run/secrets/kubernetes.io/serviceaccount:ro'],
	    env => { %{ $kube->pod_env }, OPENSANDBOX_GATEWAY_DRAIN => 0,
	        OPENSANDBOX_DISCOVERY_ALLOW_LOOPBACK => 'true', runtimes(),
	        %{ $o{env} // {} } });
	$c->{port} = $port;
	return $c;
}

# Waits until a request is answered with this status; the answer.
sub answers
{
	my ($c, $status, @request) = @_;
	my $a;
	wait_for(sub {
		$a = eval { get($c->{port}, @request) };
		return $a && $a->{status} == $status || !Harness::alive($c->{pid});
	}, 30);
	is($a && $a->{status}, $status, "$request[0] is answered $status")
	    or diag $c->log;
	return $a // {};
}

# The endpoint without a port: the echo listens on 127.0.0.1.
my $echo = echo('box');

subtest 'as the chart starts it' => sub {
	my $kube = Kube->new;
	$kube->put('batchsandboxes', 'boxes/sb-1', batchsandbox('127.0.0.1'));
	$kube->put('batchsandboxes', 'boxes/safe', batchsandbox('127.0.0.1',
	    annotations => { 'opensandbox.io/secure-access-token' => 't0p-secret' }));
	$kube->put('batchsandboxes', 'other/sb-2', batchsandbox('127.0.0.1'));
	$kube->forbid('batchsandboxes');
	my $c = in_cluster($kube, ['--namespace=boxes',
	    '--provider-type=batchsandbox', '--mode=header', '--log-level=info',
	    "--secure-access-keys=$keys"]);

	like(answers($c, 503, '/status.ok')->{body}, qr/"code":"not_ready".*kubernetes/,
	    'before the first list: not ready, and why');
	$kube->forbid;
	is(answers($c, 200, '/status.ok')->{body}, 'OK', 'then it is');
	my $a = get($c->{port}, '/a%2Fb?c', "OpenSandbox-Ingress-To: sb-1-$echo");
	like($a->{body}, qr{^box \d+\nGET /a%2Fb\?c HTTP}, 'a route in the header')
	    or diag $c->log;
	is(get($c->{port}, '/', "Host: sb-1-$echo.box.test")->{status}, 200, 'in the host');
	is(get($c->{port}, "/sb-1/$echo/")->{status}, 400, 'none in the URI');
	is(get($c->{port}, '/', "OpenSandbox-Ingress-To: sb-2-$echo")->{status}, 404,
	    'none to another namespace');
	is(get($c->{port}, '/v1/sandboxes')->{status}, 400, 'no API is there');

	my $later = base36(time + 1000);
	my $sign = short_signature("b=$secret", 'safe', $echo, $later);
	is(get($c->{port}, '/', "OpenSandbox-Ingress-To: safe-$echo")->{status}, 401,
	    'a sandbox with a token wants it');
	is(get($c->{port}, '/', "OpenSandbox-Ingress-To: safe-$echo-$later-$sign")->{status},
	    200, 'or a route signed by the second key');

	$kube->put('batchsandboxes', 'boxes/new', batchsandbox('127.0.0.1'));
	answers($c, 200, '/', "OpenSandbox-Ingress-To: new-$echo");
	$kube->delete('batchsandboxes', 'boxes/new');
	answers($c, 404, '/', "OpenSandbox-Ingress-To: new-$echo");

	my ($master) = $c->processes('nginx');
	like(read_file("/proc/$_/status"), qr/^Uid:\s+65534\s+65534\b/m, 'a worker is nobody')
	    for (split ' ', read_file("/proc/$master/task/$master/children"))[0];
	for ($master, $c->processes('opensandbox-dis')) {
		unlike(read_file("/proc/$_/cmdline"), qr/b3RoZXI/, 'no key is in ps');
	}
	unlike($c->log, qr/b3RoZXI|t0p-secret/, 'and no secret in the log');
	is($c->stop, 0, 'it ends well');
};

subtest 'as anyone may' => sub {
	my $kube = Kube->new;
	$kube->put('pods', 'a/web-0', pod('127.0.0.1', 'one'));
	$kube->put('batchsandboxes', 'b/two', batchsandbox('127.0.0.1'));
	my $redis = free_port();
	start(name => 'redis', cmd => ['redis-server', '--port', $redis, '--bind',
	    '127.0.0.1', '--save', '', '--requirepass', "p\$'{;}", '--dir', scratch()]);
	wait_port($redis) or die 'redis does not listen';
	my $c = in_cluster($kube, ['-provider-type', 'pod,batchsandbox',
	    '--mode', 'uri', '-log-level=DEBUG', '--renew-intent-enabled',
	    '--renew-intent-redis-dsn', "redis://:p\$'{;}\@localhost:$redis/1",
	    '--renew-intent-queue-key', 'an:$other;key', '--renew-intent-queue-max-len=1',
	    '--renew-intent-min-interval=0'],
	    options => ['--user', '1000:1000', '--cap-drop', 'all',
	        '--security-opt', 'no-new-privileges']);
	answers($c, 200, '/status.ok');
	like(get($c->{port}, "/one/$echo/x/?y")->{body}, qr{GET /x/\?y HTTP}, 'a pod, by its URI');
	is(get($c->{port}, "/two/$echo/")->{status}, 200, 'any namespace');
	is(get($c->{port}, '/', "OpenSandbox-Ingress-To: two-$echo")->{status}, 400,
	    'and no header');
	my $intents = sub {
		return capture('redis-cli', '-p', $redis, '-a', "p\$'{;}",
		    '--no-auth-warning', '-n', 1, 'lrange', 'an:$other;key', 0, -1);
	};
	ok(wait_for(sub { ($intents->())[1] =~ /"sandbox_id":"two"/ }, 20),
	    'an intent is told to Redis') or diag $c->log;
	is(($intents->())[1] =~ tr/\n//, 1, 'as many as there may be');
	is($c->stop('QUIT'), 0, 'it ends well');
};

subtest 'settings of variables, and root without capabilities' => sub {
	my $kube = Kube->new;
	$kube->put('batchsandboxes', 'a/sb-1', batchsandbox('127.0.0.1'));
	my $c = in_cluster($kube, [], options => ['--cap-drop', 'all'], env => {
	    OPENSANDBOX_GATEWAY_HOST => 'endpoint',
	    OPENSANDBOX_GATEWAY_TRUST_FORWARDED => '127.0.0.0/8,::1',
	    OPENSANDBOX_GATEWAY_TUNNEL_TIMEOUT => '10m',
	    OPENSANDBOX_GATEWAY_ZONE_SIZE => '8m' });
	answers($c, 200, '/status.ok');
	my $a = get($c->{port}, '/', "OpenSandbox-Ingress-To: sb-1-$echo",
	    'X-Forwarded-Proto: https');
	like($a->{body}, qr/^Host: 127\.0\.0\.1:$echo\r?$/m, 'the sandbox\'s own host');
	like($a->{body}, qr/^X-Forwarded-Proto: https\r?$/m, 'a scheme that is trusted');
	is($c->stop, 0, 'it ends well');
};

subtest 'a longer list, and its end' => sub {
	my $kube = Kube->new;
	$kube->fill('batchsandboxes', 'b/box-%n', batchsandbox('%a',
	    annotations => { 'opensandbox.io/expose' => '1' }), 3000);
	$kube->put('batchsandboxes', 'a/sb-1', batchsandbox('127.0.0.1'));
	my $c = in_cluster($kube, [],
	    env => { OPENSANDBOX_GATEWAY_DRAIN => 3000 });
	answers($c, 200, '/status.ok');
	my @route = ('/', "OpenSandbox-Ingress-To: sb-1-$echo");
	is(get($c->{port}, '/', 'OpenSandbox-Ingress-To: box-2999-2')->{status}, 403,
	    'what no buffer holds is fed, too');
	$c->signal('TERM');
	my ($sleep) = $c->processes('sleep');
	is(get($c->{port}, @route)->{status}, 200,
	    'asked to end, it serves who does not know of it yet');

	my $socket = connect_to($c->{port});
	print $socket "POST / HTTP/1.1\r\nHost: x\r\n$route[1]\r\n"
	    . "Connection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
	like(<$socket>, qr{^HTTP/1.1 100 }, 'and what is a longer matter');
	<$socket>;
	kill 'KILL', $sleep;
	ok(wait_for(sub { !IO::Socket::INET->new("127.0.0.1:$c->{port}") }, 20),
	    'then nobody else');
	print $socket 'hello';
	is(read_answer($socket, 'POST')->{status}, 200, 'what has begun is done');
	is($c->ended, 0, 'and it ends well') or diag $c->log;
};

for my $program ('nginx', 'opensandbox-discovery') {
	subtest "$program dies" => sub {
		my $kube = Kube->new;
		my $c = in_cluster($kube, []);
		answers($c, 200, '/status.ok');
		kill 'KILL', $c->processes(substr $program, 0, 15);
		is($c->ended, 137, 'so does the container');
		like($c->log, qr/^gateway: $program has ended, status 137$/m, 'and says why');
	};
}

subtest 'a cluster that cannot be' => sub {
	my $c = Container->new(args => ['--port=' . free_port()],
	    env => { runtimes() });
	isnt($c->ended, 0, 'outside of one it ends');
	like($c->log, qr/KUBERNETES_SERVICE_HOST/, 'and says why');
};

# What is no value ends it, before anything is written.
for my $case (
	['--port' => 0, 65536, '', 'x', '080', "1\n2", '1;'],
	['--namespace' => 'A', 'a_b', '-a', 'a,', "a\n", 'a' x 64, 'a b'],
	['--provider-type' => 'fast-sandbox', '', 'pod,', 'pod;'],
	['--mode' => 'any', 'Header', '', "uri\n", 'uri prefix=/x'],
	['--log-level' => 'trace', '', "info\n"],
	['--secure-access-keys' => 'a', 'a=', 'a=QUJD!', 'a=QUI', 'A=QUJD', 'ab=QUJD',
	    ',', 'a=QUJD,a=QUJD', "a=QUJD;\n}", 'a=QUJD b=QUJD', 'a=' . 'QUJD' x 300],
	['--renew-intent-enabled' => 'yes', ''],
	['--renew-intent-redis-dsn' => '', 'localhost:6379', 'rediss://x', 'redis://',
	    'redis://user@x', 'redis://x/one', 'redis://x:1:2', 'redis://x:65536', 'redis://[::1]:099999/1', 'redis://x?db=1',
	    'redis://:pass"word@x', 'redis://a"b:c@x', 'redis://:pass\\@x', "redis://:a\nb\@x", 'redis://a b'],
	['--renew-intent-queue-key' => '', 'a b', 'a"b', 'a\\', "a\n", 'a' x 256],
	['--renew-intent-queue-max-len' => -1, '', '1k', '01', '9' x 10],
	['--renew-intent-min-interval' => -1, '', '1m', '1.5'],
	['--kubeconfig' => 'relative', "/a\nb", '/a b'],
) {
	my ($flag, @values) = @$case;
	for my $value (@values) {
		my ($status, $out) = capture($entrypoint, "$flag=$value");
		my $shown = $value =~ s/\n/\\n/gr;
		is($status, 2, "$flag=$shown") or diag $out;
		like($out, qr/\Agateway: $flag: expected [^\n]*\n\z/, '  one line, with the flag');
	}
}
for my $case (
	['OPENSANDBOX_GATEWAY_ZONE_SIZE', '1', '8k', '1m;', "1m\n"],
	['OPENSANDBOX_GATEWAY_DRAIN', '-1', '1s'],
	['OPENSANDBOX_GATEWAY_HOST', '$http_x', 'a b'],
	['OPENSANDBOX_GATEWAY_TRUST_FORWARDED', 'all', '::1;', 'on'],
	['OPENSANDBOX_GATEWAY_TUNNEL_TIMEOUT', '0', '1y'],
) {
	my ($name, @values) = @$case;
	for my $value (@values) {
		local $ENV{$name} = $value;
		my ($status, $out) = capture($entrypoint);
		is($status, 2, "$name=" . $value =~ s/\n/\\n/gr);
		like($out, qr/\Agateway: $name: expected [^\n]*\n\z/, '  one line, with its name');
	}
}
for my $case (
	[['--fastpath-endpoint=x'], qr/--fastpath-endpoint: not known here/],
	[['--port'], qr/--port: expected a port/],
	[['28888'], qr/flags alone/],
	[['--renew-intent-enabled', 'true'], qr/flags alone/],
	[['--', '--port=1'], qr/flags alone/],
) {
	my ($args, $says) = @$case;
	my ($status, $out) = capture($entrypoint, @$args);
	is($status, 2, "flags @$args");
	like($out, qr/\Agateway: [^\n]*$says[^\n]*\n\z/, '  one line that says why');
}
my ($status, $out) = capture($entrypoint, '--help');
is($status, 0, '--help');
my @flags = $out =~ /^  --(\S+)/mg;
cmp_ok(scalar @flags, '==', 12, '  names the flags');
my $source = read_file($entrypoint);
my ($page) = read_file(root() . '/docs/opensandbox.md') =~ /^## The gateway\n(.*?)^## /ms;
is_deeply([sort $page =~ /^\| `--([\w-]+)` \|/mg], [sort @flags],
    'docs/opensandbox.md has them');
is_deeply([$page =~ /^\| `(OPENSANDBOX_GATEWAY_\w+)` \|/mg],
    [$source =~ /^row (OPENSANDBOX_\w+)/mg], '  and the variables');
my %default = $page =~ /^\| `(?:--)?([\w-]+)` \| `([^`\$]+)` \|/mg;
for my $name (sort keys %default) {
	ok($source =~ /^row \Q$name $default{$name}\E /m, "  with the default of $name");
}

done_testing;
