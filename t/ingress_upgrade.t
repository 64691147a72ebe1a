#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A binary upgrade keeps the zone, with and without a state file: while both
# masters run, what one's workers change the other's see; neither the way there
# nor the way back loses a request or a record. A zone of another size takes
# the records with it.

use strict;
use warnings;
use POSIX qw(_exit);
use Test::More tests => 61;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $echo = echo('box');
my $server = <<'EOT';
location = /pid { return 200 $pid; }
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
EOT
my $count = 0;

sub entry { return { endpoint => '127.0.0.1', @_ } }
sub declare { return join '', map { "opensandbox_sandbox $_ { endpoint 127.0.0.1; }\n" } @_ }
sub logged { my ($g) = @_; return read_file("$g->{prefix}/error.log") }

sub reaches
{
	my ($g, $id) = @_;
	return get($g->{port}, "/sandboxes/$id/port/$echo/")->{status};
}

sub status
{
	my ($socket, $id) = @_;
	return ask($socket, 'GET', "/v1/sandboxes/$id")->{status};
}

# The descriptors of zones that a process has open.
sub zones
{
	my ($pid) = @_;
	return scalar grep { (readlink $_ // '') =~ m{^/memfd:opensandbox-zone:} }
	    glob "/proc/$pid/fd/*";
}

# Requests and API changes without a pause; stop it by calling what it returns,
# which says what went wrong. A record that moves is to be tried again.
sub load
{
	my ($g, $id) = @_;
	my $file = scratch() . '/failed' . ++$count;
	my $pid = spawn('load', sub {
		my ($done, $failed, $n) = (0, '', 0);
		$SIG{TERM} = sub { $done = 1 };
		my $call = sub {
			my ($method, $path, $data, $want) = @_;
			my $answer;
			do {
				$answer = eval { api($g, $method, $path, $data) };
			} while ($answer && $answer->{status} == 503
			    && $answer->{body} =~ /"moving"/);
			$failed .= "$method $path: " . ($@ || $answer->{head})
			    if ($answer // {})->{status} !~ $want;
		};
		while (!$done) {
			my $status = eval { reaches($g, $id) } // $@;
			$failed .= "GET $id: $status\n" if $status ne '200';
			$call->('PUT', '/churn', entry(), qr/^20[01]$/);
			$call->('DELETE', '/churn', undef, qr/^204$/);
			$call->('PUT', '/kept-' . ++$n, entry(), qr/^201$/);
		}
		write_file($file, "$n\n$failed");
		_exit(0);
	});
	return sub {
		kill 'TERM', $pid;
		wait_exit($pid, 30);
		return split /\n/, read_file($file), 2;
	};
}

# Whether all of those that load() put and kept are there.
sub kept
{
	my ($g, $n) = @_;
	my @missing = grep { api($g, 'GET', "/kept-$_")->{status} != 200 } 1 .. $n;
	diag "missing: @missing" if @missing;
	return $n > 3 && !@missing;
}

for my $state ('', ' state=%PREFIX%/state') {
	my $with = $state ? 'with a state file' : 'without a state file';
	my %config = (zone => "opensandbox_zone sandboxes:4m$state;",
	    server => $server, daemon => 1);
	my $g = gateway(%config, http => declare('one', 'two'));

	api($g, 'PUT', '/a', entry(accessToken => 'hush'));
	api($g, 'PUT', '/b', entry());
	my $old_side = served_by($g, workers($g));
	my $stop = load($g, 'b');

	# There
	my $old = $g->{pid};
	my $new = upgrade($g, %config, http => declare('two', 'three'));
	my $new_side = served_by($g, workers($g, $new));
	like(logged($g), qr/"sandboxes" is shared with the old binary/,
	    "$with: the new binary finds the zone");
	is(status($new_side, 'b'), 200, 'its workers have the records');
	ask($old_side, 'PUT', '/v1/sandboxes/from-old', entry());
	is(status($new_side, 'from-old'), 200,
	    "what the old ones put, the new ones see");
	ask($new_side, 'PUT', '/v1/sandboxes/from-new', entry());
	is(status($old_side, 'from-new'), 200, 'and the other way');
	ask($new_side, 'DELETE', '/v1/sandboxes/from-old');
	is(status($old_side, 'from-old'), 404, 'deletions too');
	is(join(',', map { status($old_side, $_) } qw(one two three)),
	    '404,200,200', 'the new configuration declares');
	is(join(',', map { zones($_) } $old, $new, workers($g),
		workers($g, $new)), '1,1,0,0,0,0',
	    'each master has one descriptor, the workers none');

	# A test of the configuration, as in any change-over
	my $env = Ingress::nginx_env();
	{
		local @ENV{ keys %$env } = values %$env;
		capture(Ingress::nginx_binary(), '-t', '-q', '-p', $g->{prefix},
		    '-c', "$g->{prefix}/nginx.conf");
	}
	is(status($new_side, 'from-new'), 200, 'nginx -t disturbs nothing');

	ok(quit($old), 'the old binary ends');
	$g->{pid} = adopt($new, 'new');
	my ($n, $failed) = $stop->();
	is($failed // '', '', 'no request is lost');
	ok(kept($g, $n), 'and no record');

	# And back
	api($g, 'PUT', '/c', entry());
	api($g, 'DELETE', "/kept-$_") for 1 .. $n;
	$stop = load($g, 'b');
	my $newer = upgrade($g, %config, http => declare('three', 'four'));
	kill 'WINCH', $new;
	wait_for(sub { !workers($g, $g->{pid}, 0) }, 10);
	is(api($g, 'PUT', '/from-newer', entry())->{status}, 201,
	    'the newer binary alone takes records');
	is(api($g, 'GET', '/four')->{status}, 200, 'and has declared its own');
	kill 'HUP', $new;
	wait_for(sub { workers($g) == 2 }, 10);
	ok(quit($newer), 'the newer binary ends');
	is(reaches($g, $_), 200, "$_ is there after the way back")
	    for qw(b c from-newer);
	ok(wait_for(sub { api($g, 'GET', '/two')->{status} == 200
		    && api($g, 'GET', '/four')->{status} == 404 }, 10),
	    'declared is what the configuration in force declares');
	($n, $failed) = $stop->();
	is($failed // '', '', 'no request is lost');
	ok(kept($g, $n), 'and no record');
	is(zones($new), 1, 'one descriptor is left');

	if ($state) {
		api($g, 'PUT', '/last', entry());
		quit($new);
		wait_closed($g);
		unlink "$g->{prefix}/nginx.pid";
		Ingress::launch($g);
		is(join(',', map { reaches($g, $_) } qw(b c from-newer last)),
		    '200,200,200,200', 'the state file has all of it');
		is(reaches($g, 'a'), 401, 'and the tokens');
		unlike(logged($g), qr/state file/, 'its writers keep apart');
	}
	quit($g->{pid});
	wait_closed($g);
}

# Another size, by a reload
my $size = sub { return (zone => "opensandbox_zone sandboxes:$_[0];",
	server => $server, daemon => 1) };
my $g = gateway($size->('1m'));
api($g, 'PUT', "/x$_", entry(hostHeader => 'h' x 200)) for 1 .. 1000;
api($g, 'PUT', '/b', entry());
my $stop = load($g, 'b');
for my $mib (4, 8, 3) {
	sleep 0.2;
	reload($g, $size->("${mib}m"));
}
my ($n, $failed) = $stop->();
is($failed // '', '', 'a reload with another size loses no request');
ok(kept($g, $n), 'and no record that was put meanwhile');
is(scalar(grep { api($g, 'GET', "/x$_")->{status} != 200 } 1 .. 1000), 0,
    'nor an earlier one');
is(zones($g->{pid}), 1, 'one descriptor is left');

Ingress::configure($g, $size->('128k'));
kill 'HUP', $g->{pid};
ok(wait_for(sub { logged($g) =~ /"sandboxes" is too small for the \d+ records/ },
	10), 'a size that does not hold the records is refused');
is(api($g, 'PUT', '/y', entry())->{status}, 201, 'the zone goes on as it was');
is(reaches($g, 'y'), 200, 'with its workers');
is(zones($g->{pid}), 1, 'and its descriptor');

# A worker of either side dies while both are there
my $old = $g->{pid};
my $new = upgrade($g, $size->('3m'));
kill 'KILL', (workers($g))[0], (workers($g, $new))[0];
ok(wait_for(sub { workers($g) == 2 && workers($g, $new) == 2 }, 10),
    'each master replaces its own worker');
is(join(',', map { ask(served_by($g, workers($g, $_)), 'PUT',
	"/v1/sandboxes/by-$_", entry())->{status} } $old, $new), '201,201',
    'the zone stays usable by both');
quit($new);

# Another size, by a binary upgrade
my $old_side = served_by($g, workers($g));
$new = upgrade($g, $size->('6m'));
my $new_side = served_by($g, workers($g, $new));
is(status($new_side, 'y'), 200, 'so does an upgrade with another size');
my $answer = ask($old_side, 'PUT', '/v1/sandboxes/z', entry());
is($answer->{status}, 503, 'the old binary takes no more changes');
is($answer->{headers}{'retry-after'}[0], '1', 'and says when to try again');
is(ask($new_side, 'PUT', '/v1/sandboxes/z', entry())->{status}, 201,
    'the new one does');
quit($new);
is(api($g, 'PUT', '/z', entry())->{status}, 201,
    'the old one takes them again when the new one is gone');

# The lock of a process that is no more, and that nobody releases
my ($worker) = workers($g);
no warnings 'portable';
my ($place) = map { hex((split /-/)[0]) }
    grep { m{rw-s 00000000 .*/memfd:opensandbox-zone:} }
    split /\n/, read_file("/proc/$worker/maps");
my $dead = spawn('dead', sub { });
wait_exit($dead);
open my $memory, '+<', "/proc/$worker/mem" or die $!;
sysseek $memory, $place, 0;
syswrite $memory, pack 'Q', $dead;
close $memory;
is(reaches($g, 'z'), 200, 'the lock of a dead process is taken from it');
