# SPDX-License-Identifier: Apache-2.0
#
# Another version of the module, put in the place of the one that runs, under
# requests and an open tunnel: a reload goes on with the old one, a binary
# upgrade brings the new one, and neither loses a request or a record. A restart
# refuses connections for its time, and has the records of the state file.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(_exit);
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;
use Release;

plan skip_all => 'a sanitized module needs its runtime first'
    if build_dir() =~ m{/san\b};
my $dir = scratch();
my $module = 'ngx_http_opensandbox_module.so';
release_old($module, "$dir/build");
$ENV{BUILD} = "$dir/build";

my $echo = echo('box');
my $tunnel_to = backend(sub {
	my ($client) = @_;
	Ingress::read_head($client);
	print $client "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
	    . "Connection: Upgrade\r\n\r\n";
	while (sysread $client, my $bytes, 100) {
		syswrite $client, $bytes;
	}
});
my %config = (zone => 'opensandbox_zone sandboxes:4m state=%PREFIX%/state;',
    daemon => 1, server => <<'EOT');
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
location = /status { opensandbox_status; }
EOT
my $g = gateway(%config);
api($g, 'PUT', "/sb-$_", { endpoint => '127.0.0.1' }) for 1 .. 200;

sub value
{
	my ($name) = @_;
	my $text = get($g->{port}, '/status?format=prometheus')->{body};
	return $text =~ /^\Q$name\E (\d+)$/m ? $1 : 0;
}

sub version { return json(get($g->{port}, '/status'))->{version} }
sub passed { return value('opensandbox_requests_total{mode="uri",status="ok"}') }
sub records { return json(get($g->{port}, '/status'))->{sandboxes}{total} }

# Requests without a pause until it is called: how many, and how many failed.
my $loads = 0;

sub load
{
	my $file = "$dir/load" . ++$loads;
	my $pid = spawn('load', sub {
		my ($done, $n, $failed) = (0, 0, 0);
		$SIG{TERM} = sub { $done = 1 };
		while (!$done) {
			$n++;
			my $id = 1 + $n % 200;
			my $status = eval { get($g->{port},
				"/sandboxes/sb-$id/port/$echo/")->{status} } // 0;
			$failed++ if $status != 200;
		}
		write_file($file, "$n $failed");
		_exit(0);
	});
	return sub {
		kill 'TERM', $pid;
		wait_exit($pid, 30);
		return split ' ', read_file($file);
	};
}

sub tunnel
{
	my $socket = connect_to($g->{port});
	print $socket "GET /sandboxes/sb-1/port/$tunnel_to/ HTTP/1.1\r\n"
	    . "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
	read_answer($socket);
	return $socket;
}

sub speaks
{
	my ($socket) = @_;
	local $SIG{ALRM} = sub { die "timeout\n" };
	return eval {
		alarm 10;
		syswrite $socket, 'tick' or die;
		sysread $socket, my $got, 10;
		alarm 0;
		$got eq 'tick';
	} || 0;
}

is(version(), VERSION_OLD, 'the version that runs');
my $tunnel = tunnel();
ok(speaks($tunnel), 'a tunnel is open');
my $stop = load();
sleep 0.3;

# The package comes: a file takes the other's name.
release_new($module, "$dir/build");
reload($g);
is(version(), VERSION_OLD, 'a reload goes on with the module in memory');
ok(speaks($tunnel), '  the tunnel lives, in an old worker');
my ($n, $failed) = $stop->();
is($failed, 0, "  none of $n requests is lost");
is(records(), 200, '  nor a record');

$stop = load();
my $before = passed();
my $old = $g->{pid};
my $new = upgrade($g);
is(version() =~ /^(?:\Q${\VERSION_OLD}\E|9\.9\.9)$/, 1, 'both versions serve');
kill 'WINCH', $old;
wait_for(sub { version() eq VERSION_NEW && version() eq VERSION_NEW }, 20);
is(version(), VERSION_NEW, 'WINCH: the new one alone takes connections');
ok(speaks($tunnel), '  the tunnel lives on');
sleep 0.3;
($n, $failed) = $stop->();
is($failed, 0, "  none of $n requests is lost");
is(records(), 200, '  nor a record');
cmp_ok(passed(), '>=', $before, '  counters go on');
close $tunnel;
ok(quit($old), 'QUIT: the old one ends when its tunnels have');
$g->{pid} = adopt($new, 'new');

# A tunnel holds an old master up, until worker_shutdown_timeout.
api($g, 'PUT', '/last', { endpoint => '127.0.0.1' });
quit($g->{pid});
wait_closed($g);
is(eval { get($g->{port}, '/status')->{status} } // 0, 0,
    'a stop: nobody answers until the start');
unlink "$g->{prefix}/nginx.pid";
Ingress::launch($g);
is(records(), 201, 'a restart: the records are those of the state file');
cmp_ok(passed(), '<', $before, '  counters begin anew');
is(get($g->{port}, "/sandboxes/last/port/$echo/")->{status}, 200,
    '  and the last change among them');
done_testing();
