#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A further connection to a sandbox that speaks TLS resumes a session, in either
# version of TLS; not that of a sandbox before it, of another name or location,
# or one that was not checked. How many are kept has a limit.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 22;
use Harness;
use Ingress;

my $dir = scratch();
run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=box', '-addext', 'subjectAltName=DNS:*.box.internal',
    '-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");
my %tls = map { $_ => free_port() } qw(TLSv1.2 TLSv1.3);
my $box = sub {
	my ($tickets) = @_;
	return join '', map { <<"EOT" } sort keys %tls;
server {
    listen 127.0.0.1:$tls{$_} ssl;
    ssl_protocols $_;
    ssl_session_tickets $tickets;
    ssl_session_cache shared:s:1m;
    ssl_certificate $dir/cert.pem;
    ssl_certificate_key $dir/key.pem;
    keepalive_timeout 0;
    location / { return 200 \$ssl_session_reused; }
}
EOT
};
my $b = gateway(http => $box->('on'));

my $tls = read_file(root() . '/conf/nginx/opensandbox-proxy.conf')
    =~ s{http://sandboxes}{https://sandboxes}r;
my $conf = <<"EOT";
proxy_ssl_protocols TLSv1.2 TLSv1.3;
location / { opensandbox uri; $tls }
location /other/ { opensandbox uri prefix=/other; $tls }
location /named/ { opensandbox uri prefix=/named; $tls
    proxy_ssl_server_name on; proxy_ssl_name \$arg_name; }
location /checked/ { opensandbox uri prefix=/checked; $tls
    proxy_ssl_verify on; proxy_ssl_trusted_certificate $dir/cert.pem;
    proxy_ssl_name \$arg_name; }
location /never/ { opensandbox uri prefix=/never; $tls
    proxy_ssl_session_reuse off; }
location /v1/ { opensandbox_api; }
EOT
my $g = gateway(workers => 1, server => $conf, zone => 'opensandbox_zone sandboxes:8m;');
api($g, 'PUT', '/sb', { endpoint => '127.0.0.1' });

# "." of a full handshake, "r" of a session that was resumed, or the status.
sub reused
{
	my ($prefix, $version, $query, $id) = @_;
	my $a = get($g->{port}, "$prefix/" . ($id // 'sb') . "/port/$tls{$version}/"
	    . ($query // ''));
	return $a->{status} == 200 ? $a->{body} : $a->{status};
}

for my $version (sort keys %tls) {
	is(join('', map { reused('/sandboxes', $version) } 1 .. 4), '.rrr',
	    "$version: all but the first resume");
	is(join('', map { reused('/other', $version) } 1 .. 2), '.r',
	    'another location has its own');
	is(join('', map { reused('/named', $version, "?name=$_.box.internal") }
	    qw(a b a b)), '..rr', 'each name has its own');
	is(join(' ', map { reused('/checked', $version, "?name=$_") }
	    qw(a.box.internal x.else a.box.internal x.else)), '. 502 r 502',
	    'one that is checked is checked again');
	is(join('', map { reused('/never', $version) } 1 .. 3), '...',
	    'proxy_ssl_session_reuse off');
	api($g, 'DELETE', '/sb');
	api($g, 'PUT', '/sb', { endpoint => '127.0.0.1' });
	is(join('', map { reused('/sandboxes', $version) } 1 .. 2), '.r',
	    'a later sandbox at this address has its own');
}

# A sandbox whose keys are gone
stop($b->{pid}, 'QUIT');
wait_for(sub { !IO::Socket::INET->new("127.0.0.1:$tls{'TLSv1.3'}") }, 10);
$b = gateway(http => $box->('off'));
for my $version (sort keys %tls) {
	is(reused('/sandboxes', $version), q(.),
	    "$version: what it does not know any more is done anew");
	is(reused('/sandboxes', $version), 'r', 'and kept');
}

# More than are kept
sub memory
{
	my ($worker) = workers($g);
	my ($kb) = read_file("/proc/$worker/smaps_rollup") =~ /^Private_Dirty:\s+(\d+)/m;
	return $kb;
}
my @ids = map { "sb-$_" } 1 .. 1500;
api($g, 'POST', '', [map { { id => $_, endpoint => '127.0.0.1' } } @ids]);
reused('/sandboxes', 'TLSv1.2', '', $_) for @ids[0 .. 99];
my $before = memory();
reused('/sandboxes', 'TLSv1.2', '', $_) for @ids[100 .. 1499];
SKIP: {
	skip 'a sanitizer keeps what is freed', 1 if build_dir() =~ m{/san\b};
	cmp_ok(memory() - $before, '<', 4096, '1500 sandboxes take less than 4 MB');
}
is(reused('/sandboxes', 'TLSv1.2', '', $ids[-1]), 'r', 'the latest are kept');
is(reused('/sandboxes', 'TLSv1.2', '', $ids[0]), '.', 'the first are not');
unlike(read_file("$g->{prefix}/error.log"), qr{\[(?:alert|crit|emerg)\]}, 'no alarm');
is((grep { reused('/sandboxes', 'TLSv1.3', '', $_) ne '.' } @ids[0 .. 20]), 0,
    'no other sandbox resumes one');
stop($g->{pid}, 'QUIT');
unlike(read_file("$g->{prefix}/error.log"), qr{\[alert\]}, 'nor at the end');
