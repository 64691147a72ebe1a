# SPDX-License-Identifier: Apache-2.0
package ClientWorld;

# What real clients meet behind the gate: good.test, also.test and other.test on
# one address, over TLS of an authority of the test's own and in clear; the
# sandbox's hosts file knows other.test, which no rule allows.

use strict;
use warnings;
use Exporter 'import';
use File::Path qw(make_path);
use GateWorld;
use Harness;
use Test::More;
use World;

our @EXPORT = qw(client_world reaches in_sandbox web_file ca);

# The authority's certificate.
sub ca { return scratch() . '/ca.crt' }

sub certificate
{
	my ($file, @names) = @_;
	my $dir = scratch();

	run('openssl', 'req', '-x509', '-CA', "$dir/ca.crt", '-CAkey',
	    "$dir/ca.key", '-newkey', 'ec', '-pkeyopt',
	    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
	    "/CN=$names[0]", '-addext', 'basicConstraints=critical,CA:FALSE',
	    '-addext', 'subjectAltName=' . join(',', map { "DNS:$_" } @names),
	    '-keyout', "$dir/$file.key", '-out', "$dir/$file.crt");
}

sub certificates
{
	my $dir = scratch();

	run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
	    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
	    '/CN=authority of the test', '-addext',
	    'keyUsage=critical,keyCertSign,cRLSign',
	    '-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
	certificate('good', 'good.test', 'also.test');
	certificate('other', 'other.test');
	certificate('retry', 'retry.test');
	certificate('server', 'server.test');
}

# A server of these names.
sub server_block
{
	my ($name, $listen, $more) = @_;
	my $dir = scratch();

	return <<"END";
    server {
        $listen
        server_name $name;
        access_log $dir/cdn.log names;
        root $dir/web;
        add_header Access-Control-Allow-Origin *;
        $more
        location = / { return 200 "\$scheme \$host \$server_protocol \$ssl_protocol\\n"; }
        location ~ ^/(?:upload|events|ws|page|report|git)(?:/|\$) {
            proxy_pass http://127.0.0.1:9000;
        }
        location /t.T/ { grpc_pass grpc://127.0.0.1:9001; }
        location /files/ { autoindex on; }
        location /npm/ { default_type application/json; }
    }
END
}

sub nginx_conf
{
	my $dir = scratch();
	my ($good, $good6, $tenant) = (GOOD, GOOD6, TENANT);
	my $tls = "listen $good:443 ssl http2; listen [$good6]:443 ssl http2;";
	my $cert = sub { "ssl_certificate $dir/$_[0].crt;"
	    . " ssl_certificate_key $dir/$_[0].key;" };

	return <<"END" . server_block('good.test also.test', $tls, $cert->('good'))
daemon off;
pid $dir/cdn.pid;
error_log $dir/cdn.error;
user root;
worker_processes 1;
events { worker_connections 2048; }
http {
    access_log off;
    log_format names '\$server_port \$ssl_server_name \$host \$ssl_curve \$uri';
    client_body_temp_path $dir/cdn_body;
    proxy_temp_path $dir/cdn_proxy;
    fastcgi_temp_path $dir/cdn_fastcgi;
    uwsgi_temp_path $dir/cdn_uwsgi;
    scgi_temp_path $dir/cdn_scgi;
    client_max_body_size 0;
    map \$http_upgrade \$onward { default upgrade; '' ''; }
    proxy_http_version 1.1;
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_set_header Host \$host;
    proxy_set_header Upgrade \$http_upgrade;
    proxy_set_header Connection \$onward;
    ssl_ecdh_curve X25519:P-256:P-384:P-521:X448:ffdhe2048:ffdhe3072:ffdhe4096:ffdhe6144:ffdhe8192;
END
	    . server_block('other.test', $tls, $cert->('other'))
	    . server_block('good.test also.test other.test',
		"listen $good:80; listen [$good6]:80;", '')
	    . server_block('retry.test', "listen $tenant:443 ssl;",
		$cert->('retry') . ' ssl_ecdh_curve P-384;') . "}\n";
}

# The world with its servers and, mode: join, sidecar or agent, the gate.
sub client_world
{
	my ($mode) = @_;
	my $w = world();
	my $dir = scratch();

	certificates();
	make_path("$dir/web/files", "$dir/web/npm");
	write_file("$dir/$_", '') for qw(cdn.log behind mails reports);
	write_file("$dir/cdn.conf", nginx_conf());
	start(name => 'cdn', netns => $w->{internet},
	    cmd => ['nginx', '-c', "$dir/cdn.conf"]);
	start(name => 'client_server', netns => $w->{internet}, cmd => [python(),
		root() . '/t/tools/client_server.py', $dir, EVIL]);
	world_dns($w, (map { ("--address=/$_/" . GOOD, "--address=/$_/" . GOOD6) }
		qw(good.test also.test other.test)),
	    '--address=/retry.test/' . TENANT, '--address=/server.test/' . EVIL);
	wait_for(sub { read_file("$dir/client_server.log") =~ /^ready/m })
	    or die read_file("$dir/client_server.log");
	wait_for(sub { (capture('ip', 'netns', 'exec', $w->{internet}, 'curl',
	    '-skm', '2', '-o', '/dev/null', 'https://' . GOOD . '/'))[0] == 0 })
	    or die read_file("$dir/cdn.log");
	netns_etc($w->{sandbox}, 'hosts', "127.0.0.1 localhost\n::1 localhost\n"
	    . GOOD . " other.test\n" . GOOD6 . " other.test\n");
	gate_start($w, $mode, allow(qw(good.test also.test retry.test server.test)));
	return $w;
}

# A file of each name's /files or /npm.
sub web_file
{
	my ($path, $content) = @_;
	my $file = scratch() . "/web/$path";

	make_path($file =~ s{/[^/]*\z}{}r);
	return write_file($file, $content);
}

# A shell's line in the sandbox: what it said, and its status where that is not
# 0. CA, NAME, HOME are set.
sub in_sandbox
{
	my ($w, $name, $line) = @_;
	my $home = scratch() . '/home';

	make_path($home);
	my ($status, $out) = sees($w, 'env', '-i', "PATH=$ENV{PATH}", 'CA=' . ca(),
	    "NAME=$name", "HOME=$home", 'timeout', '120', 'sh', '-c', "cd \$HOME\n$line");
	return $status ? "$out\nstatus $status" : $out;
}

# A client, a line of shell, reaches the two names of the address that are
# allowed, both like it, and not the third: of that one not a packet arrives, and
# the log says why.
sub reaches
{
	my ($w, $client, $line, $like) = @_;

	subtest $client => sub {
		my $refusals = sub {
			grep { $_->{reason} } gate_log($w, event => 'egress.denied');
		};
		my $none = $refusals->();
		for my $name (qw(good.test also.test)) {
			my $text = $like =~ s/NAME/$name/gr;
			like(in_sandbox($w, $name, $line), qr/$text/m, $name);
		}
		# Some clients try again where a connection is reset.
		is(scalar $refusals->(), $none, 'nothing of these is refused');
		my $text = $like =~ s/NAME/other.test/gr;
		my $got;
		is(arrived($w, sub { $got = in_sandbox($w, 'other.test', $line) }),
		    0, 'other.test: nothing arrives');
		unlike($got, qr/$text/m, '  nor comes back');
		like($got, qr/\nstatus \d+\z/, '  and the client says that it failed');
		my @refused = $refusals->();
		ok(@refused > $none && !(grep { $_->{reason} ne 'sni_mismatch'
		    || $_->{'target.host'} ne 'other.test' } @refused[$none .. $#refused]),
		    '  as the log does, and why') or diag explain \@refused;
	};
}

1;
