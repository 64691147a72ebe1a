#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Upgrades of the module and of nginx by package, under traffic and systemd, from
# the first packages there were. docs/upgrades.md says what this shows.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Package;
use POSIX qw(_exit);
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my %debs = %{ debs() };
my $module = $debs{'libnginx-mod-http-opensandbox'};
my ($version) = read_file(root() . '/common/version.h')
    =~ /^#define OPENSANDBOX_VERSION "(.*)"$/m;
my $previous = previous() or plan skip_all => 'no history of the sources here';
my $root = machine();
$previous = $previous->{'libnginx-mod-http-opensandbox'};
my ($older) = $previous =~ /_([^_]+)_/;
my ($status, $out) = install_debs($previous);
is($status, 0, "version $older of the module") or diag $out;

write_file("$root/etc/nginx/nginx.conf", <<'EOT');
user www-data;
worker_processes 2;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log notice;
include /etc/nginx/modules-enabled/*.conf;
events { }
http {
    access_log off;
    opensandbox_zone sandboxes:4m state=/var/lib/nginx/opensandbox/sandboxes;
    include /etc/nginx/opensandbox-http.conf;
    include /etc/nginx/opensandbox.d/*.conf;
    server {
        listen 80;
        location /status { opensandbox_status; }
        location /v1/ { opensandbox_api; }
        location / {
            opensandbox any;
            include /etc/nginx/opensandbox-proxy.conf;
        }
    }
}
EOT
ran('mkdir -p /etc/systemd/system/nginx.service.d && cp /usr/share/doc/libnginx-mod-http-opensandbox/'
    . 'examples/nginx-opensandbox.conf /etc/systemd/system/nginx.service.d/opensandbox.conf');
ran('systemctl daemon-reload && systemctl restart nginx');
my $g = { port => 80 };
my $echo = echo('box');
my $tunnel = backend(sub { websocket($_[0], Ingress::read_head($_[0])) });
write_file("$root/etc/nginx/opensandbox.d/declared.conf",
    "opensandbox_sandbox declared { endpoint 127.0.0.1; }\n");
ran('systemctl reload nginx');
is(api($g, 'PUT', '/sb-1', { endpoint => '127.0.0.1', accessToken => 'hush' })->{status}, 201,
    'a record of the API');
is(api($g, 'PUT', '/sb-2', { endpoint => '127.0.0.1' })->{status}, 201, '  and another');

sub running
{
	my $answer = eval { get(80, '/status') } or return '';
	return json($answer)->{version} // '';
}

# A tunnel to a sandbox.
sub open_tunnel
{
	my $socket = connect_to(80);
	print $socket "GET /sandboxes/sb-2/port/$tunnel/ HTTP/1.1\r\nHost: localhost\r\n"
	    . "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	return read_answer($socket)->{status} == 101 ? $socket : undef;
}

# Whether what is said comes back.
sub talks
{
	my ($socket) = @_;
	local $SIG{PIPE} = 'IGNORE';
	print $socket pack('CCN', 0x81, 0x85, 0) . 'hello';
	local $SIG{ALRM} = sub { die "timeout\n" };
	my $said = '';
	eval { alarm 10; read $socket, $said, 7; alarm 0 };
	alarm 0;
	return $said =~ /hello$/;
}

# Requests without a pause until what is returned is called: on new connections,
# and on one that is kept as long as the gateway keeps it. Says how many were
# made, how many failed, and how often the kept one was closed between requests.
my $loads = 0;
sub load
{
	my $file = scratch() . '/load' . ++$loads;
	my $pid = spawn('load', sub {
		my ($done, $n, $closed, $failed, $kept) = (0, 0, 0, '');
		$SIG{TERM} = sub { $done = 1 };
		$SIG{PIPE} = 'IGNORE';
		while (!$done) {
			my $path = "/sandboxes/sb-2/port/$echo/";
			$n++;
			my $answer = eval { get(80, $path) } // { head => $@ };
			$failed .= "new: $answer->{head}\n" if ($answer->{status} // 0) != 200;
			$n++;
			$kept //= eval { connect_to(80) };
			$answer = eval { ask($kept, 'GET', $path) } // { head => $@ };
			if (($answer->{status} // 0) == 0 && $kept) {
				# Closed while it was idle: a client asks again.
				$closed++;
				$kept = eval { connect_to(80) };
				$answer = eval { ask($kept, 'GET', $path) } // { head => $@ };
			}
			if (($answer->{status} // 0) != 200) {
				$failed .= "kept: $answer->{head}\n";
				undef $kept;
			} elsif ($answer->{head} =~ /^connection: close/mi) {
				undef $kept;
			}
		}
		write_file($file, "$n\n$closed\n$failed");
		_exit(0);
	});
	return sub {
		sleep 0.3;
		kill 'TERM', $pid;
		wait_exit($pid, 60);
		my ($n, $closed, $failed) = split /\n/, read_file($file), 3;
		diag "$n requests, $closed times closed while idle";
		return ($n, $failed);
	};
}

# What holds through any of them.
sub upgraded
{
	my ($name, $socket, $stop) = @_;
	my ($n, $failed) = $stop->();
	cmp_ok($n, '>', 20, "$name: requests all along");
	is($failed, '', '  none fails');
	is(ran('systemctl is-active nginx'), "active\n", '  systemd sees it run');
	is(api($g, 'GET', '/sb-1')->{status}, 200, '  records of the API stay');
	is(get(80, "/sandboxes/sb-1/port/$echo/")->{status}, 401, '  and so do their tokens');
	is(get(80, "/sandboxes/declared/port/$echo/")->{status}, 200, '  and what is declared');
	ok(talks($socket), '  a tunnel that was open is open');
	is(api($g, 'DELETE', '/sb-2')->{status}, 204, '  a record can be deleted');
	ok(wait_for(sub { !talks($socket) }), '  which ends its tunnel');
	# The old master stays for the tunnel.
	ok(wait_for(sub { ran('systemctl show -P MainPID nginx') eq ran('cat /run/nginx.pid') }, 30),
	    '  and the old master, which systemd sees');
	is(api($g, 'PUT', '/sb-2', { endpoint => '127.0.0.1' })->{status}, 201, '  and put again');
}

# The module
is(running(), $older, 'the older one runs');
my $socket = open_tunnel();
ok($socket && talks($socket), '  with a tunnel');
my $stop = load();
($status, $out) = install_debs($module);
is($status, 0, 'the newer one is installed') or diag $out;
ok(wait_for(sub { running() eq $version }, 20), '  and runs') or diag running();
upgraded('the module', $socket, $stop);

# nginx
$socket = open_tunnel();
ok($socket && talks($socket), 'another tunnel');
my $before = ran('cat /run/nginx.pid');
$stop = load();
($status, $out) = inside('apt-get', 'install', '-q', '-y', '--reinstall', 'nginx');
is($status, 0, 'nginx is installed anew') or diag $out;
ok(wait_for(sub { ran('cat /run/nginx.pid || :') =~ /^(?!\Q$before\E)\d/ }, 20), '  by another master');
upgraded('nginx', $socket, $stop);
like(ran('cat /var/lib/nginx/opensandbox/sandboxes'), qr/sb-1/, 'the state file has the records');
my $log = read_file("$root/var/log/nginx/error.log");
unlike($log, qr/\[(?:alert|emerg|crit)\]/, 'the log has nothing grave')
    or diag join "\n", grep { /\[(?:alert|emerg|crit)\]/ } split /\n/, $log;
diag $_ for grep { /opensandbox/ } split /\n/, $log;
done_testing();
