# SPDX-License-Identifier: Apache-2.0
#
# The sandbox cannot change, nor even read, its own policy: where the sidecar
# shares its namespace the API answers it nothing but /healthz, at whichever of
# its addresses it asks, and the host is served all the while.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my @inside = ('127.0.0.1', '127.9.9.9', '[::1]', '10.88.0.5',
	'[2001:db8:88::5]', '[::ffff:127.0.0.1]', '0.0.0.0');
my $open = '{"defaultAction":"allow"}';

my $w = world();
watch_cable($w);
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');

# A request from inside: its status.
sub inside
{
	my ($address, $path, @more) = @_;
	my (undef, $out) = sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null',
	    '-w', '%{http_code}', '--globoff', @more,
	    "http://$address:18080$path");

	return $out;
}

sub still
{
	my ($name) = @_;
	my ($status, undef, $json) = api($w, 'GET', '/policy', undef, @_[1 .. $#_]);

	is($json->{policy}{egress}[0]{target}, 'good.test', $name);
}

my $rules = { OPENSANDBOX_EGRESS_RULES => policy_of('good.test') };
my $pid = sidecar($w, how => 'sidecar', env => $rules, name => 'without-token');

for my $address (@inside) {
	is(inside($address, '/healthz'), '200', "$address: /healthz is for all");
	is(inside($address, '/policy'), '403', "$address: reading is refused");
	is(inside($address, '/metrics'), '403', "$address: so are numbers");
	for my $method (qw(PUT POST PATCH)) {
		is(inside($address, '/policy', '-X', $method, '--data', $open),
		    '403', "$address: $method is refused");
	}
	is(inside($address, '/policy', '-X', 'DELETE', '--data',
	    '["good.test"]'), '403', "$address: DELETE is refused");
	is(inside($address, '/policy', '-H',
	    'X-Forwarded-For: 10.88.0.1', '-H', 'X-Real-IP: 10.88.0.1', '-H',
	    'Host: 10.88.0.1'), '403', "$address: headers change nothing");
}
is(inside('127.0.0.1', '/policy', '--interface', '127.0.0.77'), '403',
    'nor does another source on loopback');
is(inside('10.88.0.5', '/healthz/../policy', '--path-as-is'), '403',
    'nor a path that goes around');
is(inside('10.88.0.5', '//policy', '--path-as-is'), '403', 'nor a double slash');
still('the policy is what it was');

# An address that came later is the sandbox's own as well, link-local ones too.
addr($w->{sandbox}, 'eth0', '10.88.0.6/24');
is(inside('10.88.0.6', '/policy'), '403', 'a later address is its own too');
my ($local) = run('ip', '-n', $w->{sandbox}, '-6', 'addr', 'show', 'dev',
    'eth0', 'scope', 'link') =~ /inet6 (fe80\S+)\//;
is(inside("[$local%25eth0]", '/policy'), '403', 'so is a link-local one');

# A browser on the host asks for whatever page it shows.
sub pages
{
	my ($how) = @_;
	my $same = policy_of('good.test');
	for my $case (
		['a page of another origin', 403, 'Origin: http://evil.example'],
		['one that says so', 403, 'Sec-Fetch-Site: cross-site'],
		['a frame without an origin', 403, 'Origin: null'],
		['a page under a rebound name', 403, 'Host: evil.example:18080',
			'Origin: http://evil.example:18080'],
		['one that hides its origin', 403, 'Host: 127.0.0.1.evil.example',
			'Accept-Language: *'],
		['a browser by address', 200, 'Accept-Language: en'],
		['by localhost', 200, 'Host: localhost', 'Sec-Fetch-Site: none'],
		['through a page of the same host', 200, 'Host: sidecar:18080',
			'Origin: http://sidecar:18080', 'Accept-Language: en'],
		['a program under any name', 200, 'Host: egress.example.com'],
		['Node', 200, 'Host: egress.example.com', 'Accept-Language: *',
			'Sec-Fetch-Mode: cors']) {
		my ($name, $status, @headers) = @$case;
		my @h = map { ('-H', $_) } @headers;
		is(join(' ', map { (api($w, @$_, @h))[0] } ['GET', '/policy', undef],
		    ['PUT', '/policy', $same], ['GET', '/status', undef]),
		    "$status $status $status", "$how: $name");
	}
	is((api($w, 'GET', '/healthz', undef, '-H', 'Origin: http://evil.example'))[0], 200,
	    "$how: how it is may be asked by all");
}
pages('sidecar');

# Half a request holds nobody up.
my $hang = start(name => 'hang', netns => $w->{sandbox}, cmd => [python(), '-c',
	"import socket,time\n"
	. "s=[socket.create_connection(('127.0.0.1',18080)) for _ in range(200)]\n"
	. "[c.send(b'PUT /policy HTTP/1.1\\r\\nContent-Le') for c in s]\n"
	. "print('held', flush=True)\ntime.sleep(60)"]);
wait_for(sub { read_file(scratch() . '/hang.log') =~ /held|Error/ }, 5);
is((api($w, 'GET', '/policy'))[0], 200,
    'the host is served while the sandbox holds 200 requests open');
stop($hang);

my (undef, $sockets) = sees($w, 'ss', '-xlHp');
unlike($sockets, qr/egress/, 'there is no unix socket to call');
is((api($w, 'PATCH', '/policy', '[{"action":"allow","target":"n.test"}]'))[0],
    200, 'the host changes the policy');
is(stop($pid), 0, 'it ends well');

$pid = sidecar($w, how => 'sidecar', name => 'with-token',
    env => { %$rules, OPENSANDBOX_EGRESS_TOKEN => 'open sesame' });
my @token = ('-H', 'OPENSANDBOX-EGRESS-AUTH: open sesame');
for my $address (@inside) {
	is(inside($address, '/policy', '-X', 'PUT', '--data', $open), '401',
	    "$address: without the token, refused");
	is(inside($address, '/policy', '-H',
	    "OPENSANDBOX-EGRESS-AUTH: $_"), '401', "$address: with '$_' too")
	    for '', 'open sesam', 'open sesamee', 'open sesame open sesame';
	is(inside($address, '/policy', @token), '200',
	    "$address: who has the token may");
}
is((api($w, 'GET', '/policy'))[0], 401, 'the host needs the token');
still('which opens', @token);
is(stop($pid), 0, 'it ends well too');

# From another namespace the API is where the sandbox's packets do not go.
$pid = sidecar($w, how => 'join', env => $rules, name => 'join');
for my $address ('10.88.0.1', '[2001:db8:88::1]') {
	is(inside($address, '/policy'), '000', "join: $address is out of reach");
}
is(inside('127.0.0.1', '/healthz'), '000', 'join: loopback holds no API');
is((api($w, 'GET', '/policy'))[0], 200, 'join: the host is served');
pages('join');
is((sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}',
    'http://good.test/'))[1], '200', 'join: an allowed name opens');

# A policy that lets the sandbox reach the host must not let it rewrite itself.
is((api($w, 'PUT', '/policy', '{"defaultAction":"allow","egress":'
    . '[{"action":"deny","target":"evil.test"}]}'))[0], 200,
    'join: default allow');
for my $address ('10.88.0.1', '[2001:db8:88::1]') {
	is(inside($address, '/healthz'), '200', "join: $address is within reach");
	is(inside($address, '/policy'), '403', "join: but not the policy");
	is(inside($address, '/policy', '-X', $_, '--data', $open), '403',
	    "join: nor may it $_ one") for qw(PUT POST PATCH DELETE);
}
is((api($w, 'GET', '/policy'))[2]{policy}{egress}[0]{target}, 'evil.test',
    'join: it is what it was');
is((capture('ip', 'netns', 'exec', $w->{host}, 'curl', '-s', '-o', '/dev/null',
    '-w', '%{http_code}', 'http://10.88.0.1:18080/policy'))[1], '200',
    'join: the host may ask at any of its addresses');
is(stop($pid), 0, 'join: it ends well');

done_testing(154);
