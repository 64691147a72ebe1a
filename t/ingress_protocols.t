#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A sandbox's port may be asked in several protocols, from several addresses,
# and under several names of a certificate. A kept connection belongs to what
# it was opened for. gRPC calls of every kind pass, trailers and streams both
# ways.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More tests => 30;
use Harness;
use Ingress;

my $dir = scratch();
my ($grpc, $wsgi, $fastcgi, $scgi, $memcached) = map { free_port() } 1 .. 5;
my $http = echo('http');
start(name => 'grpc', cmd => [python(), tool('grpc_calls.py'), 'serve', $grpc]);
start(name => 'memcached', cmd => ['memcached', '-u', 'nobody', '-l', '127.0.0.1',
    '-p', $memcached]);
write_file("$dir/app.py", <<'EOT');
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(environ["X_PROTOCOL"] + " " + environ["PATH_INFO"]).encode()]
EOT
start(name => 'uwsgi', cmd => ['uwsgi', '--plugin', 'python3', '--need-app',
    '--uwsgi-socket', "127.0.0.1:$wsgi", '--fastcgi-socket', "127.0.0.1:$fastcgi",
    '--scgi-socket', "127.0.0.1:$scgi", '--wsgi-file', "$dir/app.py"]);
wait_port($_, 20) or die "nothing on $_" for $grpc, $wsgi, $fastcgi, $scgi, $memcached;

# One port before all of them, which tells them by their first bytes.
my $port = backend(sub {
	my ($client) = @_;
	recv($client, my $start, 3, 2);    # MSG_PEEK
	my $to = $start eq 'PRI' ? $grpc : $start =~ /^\x01/ ? $fastcgi :
	    $start =~ /^\x00/ ? $wsgi : $start =~ /^\d/ ? $scgi :
	    $start =~ /^(?:get|set)/ ? $memcached : $http;
	my $server = connect_to($to);
	my %other = ($client => $server, $server => $client);
	my $select = IO::Select->new($client, $server);
	while (my @ready = $select->can_read(60)) {
		for my $s (@ready) {
			my $n = sysread $s, my $data, 65536;
			return if !$n;
			syswrite $other{$s}, $data;
		}
	}
});

my $store = connect_to($memcached);
print $store "set /key 0 0 5\r\nvalue\r\n";
like(scalar <$store>, qr/STORED/, 'memcached runs');

for (['box', '*.box.internal']) {
	my ($file, $name) = @$_;
	run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days',
	    '2', '-subj', "/CN=$file", '-addext', "subjectAltName=DNS:$name",
	    '-keyout', "$dir/$file.key", '-out', "$dir/$file.pem");
}
my $tls = free_port();
gateway(http => <<"EOT");
map \$ssl_client_s_dn \$who { default \$ssl_client_s_dn; '' nobody; }
server {
    listen 127.0.0.1:$tls ssl;
    ssl_certificate $dir/box.pem;
    ssl_certificate_key $dir/box.key;
    ssl_verify_client optional_no_ca;
    location / { return 200 "\$ssl_server_name \$who \$connection_requests"; }
}
EOT

my $proxy = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
my $tls_proxy = $proxy =~ s{http://sandboxes}{https://sandboxes}r;
my $stock_proxy = $proxy =~ s{http://sandboxes}{http://stock}r;
my $has_v2 = (capture(Ingress::nginx_binary(), '-v'))[1] =~ m{nginx/1\.(\d+)}
    && $1 >= 29;
my $v2 = $has_v2 ? <<"EOT" : '';
location /v2/ { opensandbox uri prefix=/v2;
    @{[$proxy =~ s{proxy_http_version 1.1}{proxy_http_version 2}r]} }
EOT
my $h2 = free_port();
my $g = gateway(workers => 1, http => <<"EOT", server => <<"EOT2");
upstream stock { opensandbox; keepalive 8; }
opensandbox_sandbox sb { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$h2 http2;
    location / { opensandbox header; include %CONF%/opensandbox-grpc.conf; }
}
EOT
location / { opensandbox any; $proxy }
location /fastcgi/ { opensandbox uri prefix=/fastcgi; fastcgi_pass sandboxes;
    fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD GET;
    fastcgi_param PATH_INFO /f; fastcgi_param X_PROTOCOL fastcgi; }
location /uwsgi/ { opensandbox uri prefix=/uwsgi; uwsgi_pass sandboxes;
    uwsgi_param REQUEST_METHOD GET; uwsgi_param PATH_INFO /u;
    uwsgi_param X_PROTOCOL uwsgi; }
location /scgi/ { opensandbox uri prefix=/scgi; scgi_pass sandboxes;
    scgi_param REQUEST_METHOD GET; scgi_param PATH_INFO /s;
    scgi_param X_PROTOCOL scgi; }
location /memcached/ { opensandbox uri prefix=/memcached;
    memcached_pass sandboxes; set \$memcached_key /key; }
$v2
location /bind1/ { opensandbox uri prefix=/bind1; proxy_bind 127.0.0.1; $proxy }
location /bind2/ { opensandbox uri prefix=/bind2; proxy_bind 127.0.0.2; $proxy }
location /bindvar/ { opensandbox uri prefix=/bindvar; proxy_bind \$arg_from; $proxy }
location /alive/ { opensandbox uri prefix=/alive; proxy_socket_keepalive on; $proxy }
location /stock1/ { opensandbox uri prefix=/stock1; proxy_bind \$arg_from; $stock_proxy }
location /named/ { opensandbox uri prefix=/named; proxy_ssl_server_name on;
    proxy_ssl_name \$arg_name; $tls_proxy }
location /cert/ { opensandbox uri prefix=/cert;
    proxy_ssl_certificate \$arg_cert; proxy_ssl_certificate_key \$arg_cert.key;
    $tls_proxy }
location /plain/ { opensandbox uri prefix=/plain; $tls_proxy }
location /checked/ { opensandbox uri prefix=/checked; $tls_proxy
    proxy_ssl_verify on; proxy_ssl_trusted_certificate $dir/box.pem;
    proxy_ssl_name \$arg_name; }
location /v1/ { opensandbox_api; }
EOT2

# gRPC, in turns with HTTP to the same port
sub calls
{
	my (undef, $out) = capture(python(), tool('grpc_calls.py'), 'call',
	    "127.0.0.1:$h2", @_);
	return $out;
}
my $route = "opensandbox-ingress-to=sb-$port";
my $answer = sub {
	my ($path) = @_;
	my $a = get($g->{port}, $path);
	return $a->{status} == 200 ? $a->{body} : "$a->{status} $a->{body}";
};
like($answer->("/sandboxes/sb/port/$port/"), qr/^http 1\n/, 'HTTP first');
my $out = calls($route, 'opensandbox-secure-access=t0p', 'x-mine=1');
like($out, qr/^one .*\|hello t-hello$/m, 'gRPC to the same port, with trailers');
like($out, qr/^one .*\bx-mine\b/m, 'metadata passes');
unlike($out, qr/^one .*opensandbox-/m, 'but for what routes and admits');
like($out, qr/^echo re:0,re:1,re:2 done$/m, 'a stream both ways, message by message');
like($out, qr/^total 5000000$/m, 'a stream of 5 MB up');
like($out, qr/^fail RESOURCE_EXHAUSTED no more wool$/m, 'its errors come through');
like($answer->("/sandboxes/sb/port/$port/"), qr/^http 2\n/,
    'HTTP goes on over its own connection');
like(calls($route), qr/^total/m, 'and gRPC over its own');

for my $round (1, 2) {
	is($answer->("/fastcgi/sb/port/$port/"), 'fastcgi /f', 'FastCGI');
	is($answer->("/uwsgi/sb/port/$port/"), 'uwsgi /u', 'uwsgi');
	is($answer->("/scgi/sb/port/$port/"), 'scgi /s', 'SCGI');
	is($answer->("/memcached/sb/port/$port/"), 'value', 'memcached');
}
like($answer->("/sandboxes/sb/port/$port/"), qr/^http 3\n/, 'then HTTP again');

SKIP: {
	skip 'no proxy_http_version 2 before nginx 1.29', 1 if !$has_v2;
	my @got;
	for (1 .. 2) {
		push @got, get($g->{port}, "/v2/sb/port/$port/")->{status};
		push @got, $answer->("/sandboxes/sb/port/$port/") =~ /^(http \d)/;
	}
	# the gRPC server speaks HTTP/2, and knows nothing of such a request
	is_deeply([@got[1, 3]], ['http 4', 'http 5'], 'HTTP/2 goes apart') or diag "@got";
}

# Where a connection comes from, and what else it is.
my $peer = backend(sub {
	my ($s) = @_;
	while (Ingress::read_head($s)) {
		my $body = $s->peerhost . ' ' . unpack 'i', getsockopt($s, 1, 9);
		print $s "HTTP/1.1 200 OK\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body";
	}
});
is_deeply([map { $answer->("/$_/sb/port/$peer/") =~ /^(\S+)/ } qw(bind1 bind2 bind1 bind2)],
    ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2'], 'proxy_bind');
is_deeply([map { $answer->("/bindvar/sb/port/$peer/?from=127.0.0.$_") =~ /^(\S+)/ } 3, 4, 3],
    ['127.0.0.3', '127.0.0.4', '127.0.0.3'], 'proxy_bind of a variable');
is_deeply([map { $answer->("/stock1/sb/port/$peer/?from=127.0.0.$_") =~ /^(\S+)/ } 5, 6, 5],
    ['127.0.0.5', '127.0.0.6', '127.0.0.5'], "proxy_bind with nginx's own pool");
my $sees = sub { scalar split /\n/, (capture('ss', '-Htno', 'state', 'established',
    'dport', '=', ":$peer"))[1] =~ s/^(?!.*timer:\(keepalive).*\n//mgr };
$answer->("/sandboxes/sb/port/$peer/");
$answer->("/alive/sb/port/$peer/");
is($sees->(), 1, 'proxy_socket_keepalive has a connection of its own');

# What TLS says of both sides.
is_deeply([map { $answer->("/named/sb/port/$tls/?name=$_.box.internal") } qw(a b a b)],
    ['a.box.internal nobody 1', 'b.box.internal nobody 1',
    'a.box.internal nobody 2', 'b.box.internal nobody 2'], 'each name apart');
for (qw(one two)) {
	run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days',
	    '2', '-subj', "/CN=$_", '-keyout', "$dir/$_.key", '-out', "$dir/$_");
	chmod 0644, "$dir/$_.key";
}
is_deeply([map { $answer->("/cert/sb/port/$tls/?cert=$dir/$_") } qw(one two one)],
    [' CN=one 1', ' CN=two 1', ' CN=one 2'], 'each certificate apart');
$answer->("/plain/sb/port/$tls/");
is(get($g->{port}, "/checked/sb/port/$tls/?name=x.else.internal")->{status}, 502,
    'an unchecked connection is not for who checks');
is($answer->("/checked/sb/port/$tls/?name=x.box.internal"), ' nobody 1', 'who is answered');
is(get($g->{port}, "/checked/sb/port/$tls/?name=x.else.internal")->{status}, 502,
    'nor one that was checked for another name');
unlike(read_file("$g->{prefix}/error.log"), qr/alert|crit|emerg/, 'no alarm');
