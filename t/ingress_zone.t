#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Records outlive a reload under load, a killed worker and, with a state file,
# a restart; a full zone refuses new records and loses none.

use strict;
use warnings;
use Test::More tests => 18;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $echo = echo('box');
my %config = (zone => 'opensandbox_zone sandboxes:1m state=%PREFIX%/state;');
my $g = gateway(%config);

sub entry { return { endpoint => '127.0.0.1', @_ } }
sub reaches { return get($g->{port}, "/sandboxes/$_[0]/port/$echo/")->{status} }
sub saved
{
	my ($text) = @_;
	return wait_for(sub { read_file("$g->{prefix}/state") =~ $text }, 5);
}

# The state file
api($g, 'PUT', '/a', entry(accessToken => 'hush'));
api($g, 'PUT', '/b', entry(expose => [$echo]));
api($g, 'PUT', '/c', entry());
api($g, 'DELETE', '/c');
ok(saved(qr/"b"/), 'records are written to the state file');
is((stat "$g->{prefix}/state")[2] & 0777, 0600, 'which only its owner reads');
restart($g);
is(reaches('b'), 200, 'they are there after a restart');
is(reaches('a'), 401, 'their tokens too');
is(reaches('c'), 404, 'what was deleted is not');
api($g, 'PUT', '/d', entry());
ok(saved(qr/"d"/), 'a change is written within moments');
kill 'KILL', $g->{pid}, workers($g);
wait_exit($g->{pid});
wait_closed($g);
Ingress::launch($g);
is(reaches('d'), 200, 'and survives the death of all processes');

# A killed worker
my ($victim) = workers($g);
kill 'KILL', $victim;
wait_for(sub { (grep { $_ != $victim } workers($g)) >= 2 }, 5);
is(reaches('d'), 200, 'a killed worker leaves the records');
is(api($g, 'PUT', '/e', entry())->{status}, 201, 'and the zone usable');

# Reloads under load and churn
my $load = spawn('load', sub {
	my $failed = 0;
	$SIG{TERM} = sub {
		write_file(scratch() . '/failed', $failed);
		POSIX::_exit(0);
	};
	while (1) {
		$failed++ if (eval { reaches('b') } // 0) != 200;
		$failed++ if (eval { api($g, 'PUT', '/f', entry()) }
		    || {})->{status} !~ /^20[01]$/;
		$failed++ if (eval { api($g, 'DELETE', '/f') }
		    || {})->{status} != 204;
	}
});
for (1 .. 3) {
	sleep 0.3;
	kill 'HUP', $g->{pid};
}
sleep 0.7;
stop($load);
is(read_file(scratch() . '/failed'), 0, 'reloads lose no request');
is(reaches('b'), 200, 'and no record');

# A full zone
my $n = 0;
my $status;
do {
	$status = api($g, 'PUT', '/x' . ++$n, entry(hostHeader => 'h' x 200))
	    ->{status};
} while ($status == 201 && $n < 20000);
is($status, 507, 'a full zone refuses a new record');
ok($n > 500, 'after it has taken many');
is(api($g, 'GET', '/x1')->{status}, 200, 'the first is still there');
is(api($g, 'PATCH', '/x1', { ready => JSON::PP::false })->{status}, 200,
    'one that is there can be changed');
is(api($g, 'PUT', '/x1', entry(hostHeader => 'i' x 200))->{status}, 200,
    'or be replaced, where the new one is no larger');
is(json(api($g, 'GET', '/x1'))->{hostHeader}, 'i' x 200, 'and then is the new one');
api($g, 'DELETE', '/x2');
is(api($g, 'PUT', '/x2', entry(hostHeader => 'h' x 200))->{status}, 201,
    'and what one leaves, another takes');
