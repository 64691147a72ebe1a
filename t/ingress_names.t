#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A sandbox whose endpoint is a host name is found through nginx's resolver:
# by any of its addresses, by new ones when they change, and with a reason when
# there are none; no other request waits for it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use IO::Socket::IP;
use Test::More tests => 35;
use Harness;
use Ingress;

my $dir = scratch();
my $hosts = "$dir/hosts.zone";
my ($dns, $nsd) = (free_port(), free_port());
my $silent = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
	LocalPort => 0) or die "socket: $!";

# One port with a server of its own on each address, one on IPv4 alone.
sub on
{
	my ($address, $port) = @_;
	return IO::Socket::IP->new(LocalHost => $address, LocalPort => $port,
		Listen => 64, ReuseAddr => 1) || die "$address: $!";
}
my $all = echo('first', listen => on('127.0.0.1', 0));
echo('second', listen => on('127.0.0.2', $all));
echo('six', listen => on('::1', $all));
my $v4 = echo('v4', listen => on('127.0.0.1', 0));
my $tunnel = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    . "Connection: Upgrade\r\n\r\n";
	while (sysread $s, my $bytes, 65536) { print $s $bytes; }
});

# Debian's dnsmasq answers; it asks nsd for a zone that nsd cannot load, and a
# socket that nobody reads.
sub names { write_file($hosts, join '', map { "$_\n" } @_) }
my @names = ('127.0.0.1 four.test', '::1 six.test', '127.0.0.1 both.test',
	'::1 both.test', '127.0.0.1 a-b_c.sub.test', '127.0.0.9 closed.test',
	'127.0.0.8 closed.test');
names(@names, '127.0.0.1 moving.test');
write_file("$dir/nsd.conf", <<"END");
server:
  ip-address: 127.0.0.1\@$nsd
  username: ""
  zonesdir: "$dir"
  database: ""
  pidfile: "$dir/nsd.pid"
  xfrdfile: "$dir/xfrd.state"
  zonelistfile: "$dir/zone.list"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: broken.test
  zonefile: missing.zone
END
start(name => 'nsd', cmd => ['nsd', '-d', '-c', "$dir/nsd.conf"]);
my $dnsmasq = start(name => 'dnsmasq', cmd => ['dnsmasq', '-k', '-C', '/dev/null',
	'-u', 'root', '-x', "$dir/dnsmasq.pid", '-p', $dns, '-a', '127.0.0.1',
	'--bind-interfaces', '--no-resolv', '--no-hosts', '--local-ttl=1',
	"--addn-hosts=$hosts", '--local=/test/',
	"--server=/broken.test/127.0.0.1#$nsd",
	'--server=/silent.test/127.0.0.1#' . $silent->sockport]);

sub dig
{
	my ($name) = @_;
	return (capture('dig', '+time=2', '+tries=1', '@127.0.0.1', '-p', $dns,
		$name))[1];
}
wait_for(sub { dig('four.test') =~ /NOERROR/
	&& dig('x.broken.test') =~ /SERVFAIL/ }, 15)
    or die 'no DNS: ', map { read_file("$dir/$_.log") } qw(nsd dnsmasq);

my ($endpoint, $bare, $waiting) = map { free_port() } 1 .. 3;
my @ids = qw(four six both closed moving none.x broken silent);
my $g = gateway(workers => 1, http => <<"EOT");
resolver 127.0.0.1:$dns;
resolver_timeout 2s;
@{[map { my $host = s/\..*//r;
    "opensandbox_sandbox $_ { endpoint $host.test; }\n" } @ids]}
opensandbox_sandbox lost { endpoint x.broken.test; }
opensandbox_sandbox mute { endpoint x.silent.test; }
opensandbox_sandbox odd { endpoint a-b_c.sub.test; }
opensandbox_sandbox mapped { endpoint 192.0.2.1; port_map 80 four.test:$all; }
opensandbox_sandbox named { endpoint four.test; host_header app.internal; }
opensandbox_sandbox local { endpoint 127.0.0.1; }
server {
    listen 127.0.0.1:$endpoint;
    opensandbox_host endpoint;
    add_header X-Tried \$upstream_addr;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
server {
    listen 127.0.0.1:$waiting;
    opensandbox_wait 20s;
    location / { opensandbox uri; include %CONF%/opensandbox-proxy.conf; }
}
EOT
my $port = $g->{port};

sub at { return get($_[2] // $port, "/sandboxes/$_[0]/port/$_[1]/") }
sub mark { return at(@_)->{body} =~ /^(\w+) / ? $1 : '' }

# Addresses
is(mark('four', $all), 'first', 'a name with an IPv4 address');
like(at('four', $all)->{body}, qr/^first 2/, 'on a connection kept alive');
is(mark('six', $all), 'six', 'one with an IPv6 address');
my %seen = map { mark('both', $all) => 1 } 1 .. 40;
is(join(' ', sort keys %seen), 'first six', 'one with both: either');
is(scalar(grep { mark('both', $v4) ne 'v4' } 1 .. 20), 0,
    'the one that takes connections, where one does not');
my @tried = grep { @$_ > 1 } map {
	[split /, /, at('both', $v4, $endpoint)->{headers}{'x-tried'}[0]]
} 1 .. 20;
is(scalar(grep { $_->[0] ne "[::1]:$v4" || $_->[1] ne "127.0.0.1:$v4" } @tried), 0,
    'the log has the address of each attempt') if ok(@tried, 'two attempts');
is(mark('both', $v4, $waiting), 'v4', 'also when the gateway waits for ports')
    for 1 .. 4;
my $a = at('closed', $all);
is_deeply([$a->{status}, json($a)->{code}], [502, 'refused'],
    'none that does is a 502');
is(mark('odd', $all), 'first', 'a name with hyphens and underscores');
is(mark('mapped', 80), 'first', 'a name in port_map');
is(api($g, 'PUT', '/api', { endpoint => '192.0.2.1',
    portMap => { 81 => "four.test:$all" } })->{status}, 201,
    'and in portMap of the API');
is(mark('api', 81), 'first', 'works too');

# The Host that sandboxes see
sub host { return at(@_)->{body} =~ /^Host: (.*)\r/m ? $1 : '' }
is(host('four', $all), 'localhost', 'the client\'s Host arrives');
is(host('four', $all, $endpoint), "four.test:$all",
    'or the name, where opensandbox_host says so');
is(host('mapped', 80, $endpoint), "four.test:$all", 'with the port mapped to');
is(host('named', $all, $endpoint), 'app.internal', 'or the record\'s own');

# Another address
is(mark('moving', $all), 'first', 'a name leads to one address');
names(@names, '127.0.0.2 moving.test');
kill 'HUP', $dnsmasq;
ok(wait_for(sub { mark('moving', $all) eq 'second' }, 20),
    'and to another, soon after it has changed');

# What goes wrong
for (
	['none.x', qr/could not be resolved|Host not found/i, 'a name that is not'],
	['lost', qr/Server failure/i, 'a resolver that fails'],
) {
	my ($id, $reason, $what) = @$_;
	my $a = at($id, $all);
	is_deeply([$a->{status}, json($a)->{code}], [502, 'unresolved'],
	    "$what is a 502");
	like(json($a)->{message}, $reason, '  with the reason');
}
my $s = connect_to($port);
print $s "GET /sandboxes/mute/port/$all/ HTTP/1.1\r\nHost: x\r\n\r\n";
ok(wait_for(sub { IO::Select->new($silent)->can_read(0) }, 5),
    'a silent resolver is asked');
is(mark('local', $all), 'first', 'other requests are answered meanwhile');
is(mark('four', $all), 'first', 'those with names that are known too');
ok(!IO::Select->new($s)->can_read(0), 'while that one waits');
$a = read_answer($s);
is_deeply([$a->{status}, json($a)->{code}], [502, 'unresolved'],
    'then it is a 502');
like(json($a)->{message}, qr/timed out/i, '  with the reason');
close $s;

# A client that goes away while its name is looked up
$s = connect_to($port);
print $s "GET /sandboxes/mute/port/81/ HTTP/1.1\r\nHost: x\r\n\r\n";
close $s;
is(mark('four', $all), 'first', 'a client may go away meanwhile');

# A tunnel
$s = connect_to($port);
print $s "GET /sandboxes/four/port/$tunnel/ HTTP/1.1\r\nHost: x\r\n"
    . "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
is(read_answer($s)->{status}, 101, 'a tunnel opens through a name');
print $s 'hello';
sysread $s, my $back, 5;
is($back, 'hello', 'and carries bytes');
