#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A record says that its sandbox is paused, or that two objects claim its id:
# requests are refused with what is the matter, tunnels of a paused one stay
# open, and nothing but a good state is taken.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use JSON::PP;
use Test::More tests => 44;
use Harness;
use Ingress;

my $zone = 'opensandbox_zone sandboxes:4m state=%PREFIX%/state;';
my $app = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		return websocket($s, $head) if $head =~ /^Upgrade:/mi;
		print $s "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere";
	}
});
my $http = <<"EOT";
log_format outcome '\$opensandbox_id \$opensandbox_status';
opensandbox_sandbox told { endpoint 127.0.0.1; state paused; }
opensandbox_sandbox both { state ambiguous; }
EOT
my $server = <<'EOT';
access_log %PREFIX%/access.log outcome;
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
location /v1/ { opensandbox_api; access_log off; }
location /status { opensandbox_status; access_log off; }
EOT
my $g = gateway(zone => $zone, http => $http, server => $server);

sub visit
{
	my ($id, @headers) = @_;
	return get($g->{port}, "/sandboxes/$id/port/$app/", @headers);
}

sub record { my ($id) = @_; return json(api($g, 'GET', "/$id")) }

# What a record may say
is(api($g, 'PUT', '/sb', { endpoint => '127.0.0.1', state => 'running' })->{status},
    201, 'a sandbox runs');
is(record('sb')->{state}, undef, 'which is not worth a word');
is(visit('sb')->{body}, 'here', 'and it is served');
for my $bad ('Paused', '', 'asleep', 1, JSON::PP::true, ['paused'], undef) {
	my $a = api($g, 'PUT', '/sb', { endpoint => '127.0.0.1', state => $bad });
	is($a->{status} . ' ' . json($a)->{field}, '400 state',
	    'no state: ' . encode_json([$bad]));
}
is(api($g, 'PUT', '/nowhere', { state => 'paused' })->{status}, 400,
    'one that is paused has an endpoint');
is(api($g, 'PUT', '/two', { state => 'ambiguous' })->{status}, 201,
    'one that two claim needs none');
is(record('two')->{state}, 'ambiguous', 'which is shown');
is(api($g, 'PATCH', '/two', { state => undef })->{status}, 400,
    'nor can it run without');

# Paused
sub counts { return json(get($g->{port}, '/status'))->{sandboxes} }
is(counts()->{ready}, 1, 'one of four is ready');
is(api($g, 'PATCH', '/sb', { state => 'paused' })->{status}, 200, 'it is paused');
is_deeply(counts(), { total => 4, ready => 0, notReady => 4 }, 'and no more ready');
is(record('sb')->{state}, 'paused', 'which is shown');
my $a = visit('sb');
is($a->{status}, 503, 'a request is refused');
is(json($a)->{code}, 'paused', 'as the sandbox is paused');
is($a->{headers}{'retry-after'}[0], 1, 'and may come again');
$a = visit('sb', 'Accept: text/html');
like($a->{body}, qr/503 paused.*[Ss]andbox sb is paused.*Resume the sandbox/s,
    'a person reads what to do');
is(json(visit('told'))->{code}, 'paused', 'a block says it too');

# Two objects
$a = visit('two');
is($a->{status}, 502, 'to an id that two claim, a request is refused');
is(json($a)->{code}, 'ambiguous', 'as it is ambiguous');
like(json($a)->{message}, qr/two objects claim the id two/, 'and says so');
is($a->{headers}{'retry-after'}, undef, 'coming again is of no use');
is(json(visit('both'))->{code}, 'ambiguous', 'a block says it too');

# What comes before
api($g, 'PUT', '/closed', { endpoint => '127.0.0.1', state => 'paused',
	accessToken => 'secret', expose => [1] });
is(visit('closed')->{status}, 401, 'who may not enter learns nothing of it');
is(visit('closed', 'OpenSandbox-Secure-Access: secret')->{status}, 403,
    'nor does who asks for another port');
api($g, 'PATCH', '/closed', { expiresAt => '2001-01-01T00:00:00Z' });
is(visit('closed', 'OpenSandbox-Secure-Access: secret')->{status}, 410,
    'what has expired is not paused');
api($g, 'PUT', '/late', { endpoint => '127.0.0.1', state => 'paused',
	ready => JSON::PP::false });
is(json(visit('late'))->{code}, 'paused', 'what is paused need not be ready');

# Who is told
my $log = read_file("$g->{prefix}/access.log");
like($log, qr/^sb ok$/m, 'the log has who was served');
like($log, qr/^sb paused$/m, 'what was paused');
like($log, qr/^two ambiguous$/m, 'and what was ambiguous');
my $requests = json(get($g->{port}, '/status'))->{requests}{uri};
is("$requests->{paused} $requests->{ambiguous}", '4 2', 'and both are counted');

# Tunnels
sub tunnel
{
	my $s = connect_to($g->{port});
	print $s "GET /sandboxes/sb/port/$app/ HTTP/1.1\r\nHost: localhost\r\n"
	    . "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	    . "Sec-WebSocket-Key: x\r\n\r\n";
	read_answer($s);
	return $s;
}

sub echoes
{
	my ($s, $text) = @_;
	print $s pack('CCN', 0x81, 0x80 | length $text, 0), $text;
	local $SIG{ALRM} = sub { die };
	return eval { alarm 10; my $n = read $s, my $data, 2 + length $text; alarm 0;
		$n ? substr $data, 2 : '' } // 'silent';
}

api($g, 'PATCH', '/sb', { state => 'running' });
is(visit('sb')->{status}, 200, 'the sandbox runs again');
my $tunnel = tunnel();
is(echoes($tunnel, 'one'), 'one', 'a tunnel carries');
api($g, 'PATCH', '/sb', { state => 'paused' });
api($g, 'PUT', '/other', { endpoint => '127.0.0.1' });
sleep 1;
is(echoes($tunnel, 'two'), 'two', 'and goes on while the sandbox is paused');
api($g, 'PATCH', '/sb', { state => 'ambiguous' });
ok(IO::Select->new($tunnel)->can_read(20) && !read($tunnel, my $rest, 1),
    'but ends when two claim the id');

# Kept
api($g, 'PATCH', '/sb', { state => 'paused' });
wait_for(sub { read_file("$g->{prefix}/state") =~ /"id":"sb"[^\n]*"paused"/ });
restart($g);
is(record('sb')->{state}, 'paused', 'a restart keeps that it is paused');
is(record('two')->{state}, 'ambiguous', 'or ambiguous');
is(counts()->{ready}, scalar(grep { $_->{ready} && !$_->{state} }
    @{ json(api($g, 'GET', ''))->{sandboxes} }), 'neither of which is counted as ready');
like(config_error(http => 'opensandbox_sandbox x { endpoint 1.2.3.4; state off; }'),
    qr/"state" is "running", "paused" or "ambiguous"/, 'a block has no other');
