# SPDX-License-Identifier: Apache-2.0
#
# Join mode without a token: the policy API obeys root on this host, and nobody
# who has root's gateway, or another process here, ask for him.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 30;
use Harness;
use Ingress;
use World;

my $open = '{"defaultAction":"allow"}';
my $w = world();
my $pid = sidecar($w, how => 'join',
    env => { OPENSANDBOX_EGRESS_RULES => '{"egress":[]}' });

my $proxy = 'proxy_pass http://127.0.0.1:18080/;';
my $server = <<"EOT";
location / {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
}
location /bare/ { $proxy }
location /v1/ { opensandbox_api; }
EOT
my %gateway = (
	nobody => gateway(netns => $w->{host}, server => $server,
	    main => 'user nobody nogroup;'),
	root => gateway(netns => $w->{host}, server => $server,
	    main => 'user root root;'),
);

# A request of the host's: (status, body).
sub curl
{
	my ($url, @more) = @_;
	my (undef, $out) = capture('ip', 'netns', 'exec', $w->{host}, 'curl', '-s',
	    '-m', '10', '-w', "\n%{http_code}", @more, $url);
	my ($body, $status) = $out =~ /\A(.*)\n(\d+)\z/s;
	return ($status, $body);
}

sub through { return curl("http://127.0.0.1:$gateway{$_[0]}{port}$_[1]",
	@_[2 .. $#_]) }

sub closed
{
	my (undef, $body) = curl('http://127.0.0.1:18080/policy');
	return $body =~ /"mode":"deny_all"/;
}

my $record = '{"endpoint":"127.0.0.1","portMap":{"18080":"127.0.0.1:18080"}}';
my $path = '/sandboxes/sb/port/18080';
for my $user (sort keys %gateway) {
	is((through($user, '/v1/sandboxes/sb', '-X', 'PUT', '--data', $record))[0],
	    '201', "a gateway of $user leads to the API");
	is((through($user, "$path/healthz"))[0], '200', '  which is reached');
	my ($status, $body) = through($user, "$path/policy", '-X', 'PUT',
	    '--data', $open);
	is($status, '403', '  but not the policy');
	like($body, qr/proxy.*set OPENSANDBOX_EGRESS_TOKEN/, '  and what to do');
	is((through($user, "$path/policy"))[0], '403', '  which is not shown');
	ok(closed(), '  and stays what it is');
}
my ($status, $body) = through('nobody', '/bare/policy', '-X', 'PUT', '--data',
    $open);
is($status, '403', 'a proxy that says nothing of itself');
like($body, qr/another user.*set OPENSANDBOX_EGRESS_TOKEN/, '  and what to do');
ok(closed(), '  changes nothing');
for my $header ('Forwarded: for=192.0.2.1', 'Via: 1.1 proxy',
	'x-forwarded-for: 127.0.0.1') {
	is((curl('http://127.0.0.1:18080/policy', '-H', $header))[0], '403',
	    "a request with $header");
}
# A page that a browser on this host shows, which needs no preflight to post.
for my $page ('http://page.test', 'null') {
	is((curl('http://127.0.0.1:18080/policy', '-H', "Origin: $page", '-H',
		'Content-Type: text/plain', '--data', $open))[0], '403',
	    "a page of $page");
}
ok(closed(), '  changes nothing');
my @nobody = ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups');
for my $host ('127.0.0.1', '[::1]', '10.88.0.1') {
	(undef, $body) = capture('ip', 'netns', 'exec', $w->{host}, @nobody,
	    'curl', '-s', '-m', '10', '--globoff', "http://$host:18080/policy");
	like($body, qr/another user/, "another user, by $host");
	is((curl("http://$host:18080/policy", '--globoff'))[0], '200',
	    '  root may');
}

# One that is gone by the time the request is read has no owner any more.
in_netns($w->{host}, sub {
	kill 'STOP', (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/;
	$( = $) = '65534 65534';
	($<, $>) = (65534, 65534);
	my $socket = IO::Socket::INET->new('127.0.0.1:18080') or die;
	print $socket "PUT /policy HTTP/1.1\r\nHost: x\r\nContent-Length: "
	    . length($open) . "\r\n\r\n$open";
	close $socket;
	return 1;
});
kill 'CONT', (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/;
ok(closed(), 'a client that has closed its end is nobody');
stop($pid);

$pid = sidecar($w, how => 'join', name => 'token',
    env => { OPENSANDBOX_EGRESS_TOKEN => 'sesame' });
is((through('nobody', "$path/policy"))[0], '401',
    'with a token, whoever has none');
is((through('nobody', "$path/policy", '-H',
    'OPENSANDBOX-EGRESS-AUTH: sesame'))[0], '200', '  and who has it');
stop($pid);
