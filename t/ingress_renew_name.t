#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The name of Redis is looked up for each connection: after a failover it leads
# to another address, and it need not lead anywhere when the gateway starts.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 12;
use IO::Socket::INET;
use Harness;
use Ingress;

my $dir = scratch();
my ($dns, $port) = (free_port(), free_port());
my $app = echo('one');

sub names { write_file("$dir/hosts", join '', map { "$_\n" } @_) }
names();
my $dnsmasq = start(name => 'dnsmasq', cmd => ['dnsmasq', '-k', '-C', '/dev/null',
	'-u', 'root', '-x', "$dir/dnsmasq.pid", '-p', $dns, '-a', '127.0.0.1',
	'--bind-interfaces', '--no-resolv', '--no-hosts', '--local-ttl=1',
	"--addn-hosts=$dir/hosts", '--local=/test/']);

sub lead
{
	names(@_);
	kill 'HUP', $dnsmasq;
	my ($address) = map { split } @_;
	return wait_for(sub {
		(capture('dig', '+short', '+time=2', '+tries=1', '@127.0.0.1', '-p',
			$dns, 'redis.test'))[1] =~ /^\Q$address\E$/m;
	}, 20);
}

sub redis
{
	my ($address) = @_;
	my $pid = start(name => "redis-$address", cmd => ['redis-server', '--port',
		$port, '--bind', $address, '--save', '', '--appendonly', 'no',
		'--dir', $dir]);
	wait_for(sub { IO::Socket::INET->new("$address:$port") }, 20);
	return $pid;
}

# How many intents a Redis has.
sub told
{
	my ($address) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => "$address:$port",
		Timeout => 5) or return -1;
	print $socket "LLEN opensandbox:renew:intent\r\n";
	return (<$socket> // '') =~ /^:(\d+)/ ? $1 : -1;
}

my $http = "resolver 127.0.0.1:$dns valid=1s ipv6=off;
    opensandbox_renew_intent redis://redis.test:$port min_interval=0;
    opensandbox_sandbox sb { endpoint 127.0.0.1; port_map 80 127.0.0.1:$app; }";
like(config_error(http => $http =~ s/resolver .*;//r),
    qr/host not found: "redis\.test" in .*nginx\.conf:\d+; .*"resolver"/,
    'an unknown name is a mistake without a resolver');

my $one = redis('127.0.0.1');
my $g = gateway(workers => 1, http => $http);
my $visit = sub { get($g->{port}, '/sandboxes/sb/port/80/')->{status} };
is($visit->(), 200, 'with a name that is not known yet, a request passes');
ok(wait_for(sub {
	read_file("$g->{prefix}/error.log") =~ /"redis\.test", is not resolved/
}, 20), 'the log says so');
ok(lead('127.0.0.1 redis.test'), 'it leads to a Redis');
ok(wait_for(sub { told('127.0.0.1') == 1 }, 30), 'which is told');

my $two = redis('127.0.0.2');
ok(lead('127.0.0.2 redis.test'), 'it leads to another');
is($visit->(), 200, 'on a connection that stands, a request passes');
ok(wait_for(sub { told('127.0.0.1') == 2 }, 20), 'and its Redis is told');
stop($one, 'KILL');
is($visit->(), 200, 'when that is gone, a request passes');
ok(wait_for(sub { told('127.0.0.2') == 1 }, 30), 'and the other is told');
stop($dnsmasq);
is($visit->(), 200, 'without a resolver, a request passes');
ok(wait_for(sub { told('127.0.0.2') == 2 }, 20), 'and Redis is told');
