#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The HTTP client over TLS, against nginx: it trusts the authorities that it is
# given and no others, shows the certificate that it is given, another one when
# that has been renewed, and speaks HTTP/2.

use strict;
use warnings;
use Test::More tests => 9;
use Harness;

my $drive = build_dir() . '/t/tools/fetch_drive';
my $dir = scratch();
my ($port, $old_port) = (free_port(), free_port());

# NAME.pem and NAME.key, by the authority CA.
sub certificate
{
	my ($name, $ca, $extra) = @_;
	write_file("$dir/$name.ext", $extra // '');
	run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.csr", '-subj', "/CN=$name");
	run('openssl', 'x509', '-req', '-in', "$dir/$name.csr", '-days', 1, '-out', "$dir/$name.pem",
		'-extfile', "$dir/$name.ext", '-CA', "$dir/$ca.pem", '-CAkey', "$dir/$ca.key",
		'-CAcreateserial');
}

for my $ca (qw(ca other)) {
	run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
		'-nodes', '-keyout', "$dir/$ca.key", '-out', "$dir/$ca.pem", '-subj', "/CN=$ca",
		'-days', 1);
}
certificate('server', 'ca', 'subjectAltName=IP:127.0.0.1');
certificate('elsewhere', 'ca', 'subjectAltName=DNS:elsewhere.example');
certificate('one', 'ca');
certificate('two', 'ca');
certificate('stranger', 'other');

write_file("$dir/nginx.conf", <<"END");
daemon off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi; uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
    ssl_client_certificate $dir/ca.pem;
    ssl_verify_client optional;
    server {
        listen 127.0.0.1:$port ssl http2;
        ssl_certificate $dir/server.pem; ssl_certificate_key $dir/server.key;
        location / {
            return 200 "\$server_protocol \$ssl_client_verify \$ssl_client_s_dn \$connection_requests";
        }
    }
    server {
        listen 127.0.0.1:$old_port ssl;
        ssl_certificate $dir/elsewhere.pem; ssl_certificate_key $dir/elsewhere.key;
        location / { return 200 "\$server_protocol"; }
    }
}
END
start(name => 'nginx', cmd => ['nginx', '-c', "$dir/nginx.conf", '-e', "$dir/error.log"]);
wait_port($port) or die read_file("$dir/error.log");

# The answers of a run.
sub fetch
{
	my (undef, $out) = capture($drive, @_);
	return split /\n/, $out;
}

sub credentials
{
	return map { ("$dir/$_.pem", "$dir/$_.key") } @_;
}

my $url = "https://127.0.0.1:$port/";
is_deeply([fetch($url, "$dir/ca.pem")], ['200 HTTP/2.0 NONE  1'],
	'without a certificate, over HTTP/2');
like((fetch($url, '-'))[0], qr/^error: .*certificate/i,
	"the system's authorities do not know the server");
like((fetch($url, "$dir/other.pem"))[0], qr/^error: .*certificate/i, 'nor do others');
like((fetch("https://127.0.0.1:$old_port/", "$dir/ca.pem"))[0],
	qr/^error: .*(?:subject|host) ?name/i, 'a certificate of another name is none');
is_deeply([fetch($url, "$dir/ca.pem", credentials('one'))],
	['200 HTTP/2.0 SUCCESS CN=one 1'], 'a certificate is shown');
is_deeply([fetch($url, "$dir/ca.pem", credentials('one', 'one'))],
	['200 HTTP/2.0 SUCCESS CN=one 1', '200 HTTP/2.0 SUCCESS CN=one 2'],
	'a connection is used again');
is_deeply([fetch($url, "$dir/ca.pem", credentials('one', 'two'))],
	['200 HTTP/2.0 SUCCESS CN=one 1', '200 HTTP/2.0 SUCCESS CN=two 1'],
	'but not for another certificate');
is((fetch($url, "$dir/ca.pem", credentials('stranger')))[0] =~ /^400 /, 1,
	"the server's view of a stranger's is told");
like((fetch($url, "$dir/ca.pem", "$dir/one.pem", "$dir/two.key"))[0], qr/^error: /,
	'a certificate with the key of another is an error');
