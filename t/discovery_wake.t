#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A paused container of a real engine (Podman) is resumed by the request that
# asks for it: discovery tells the gateway that it is paused, the gateway asks
# the hook of examples/wake, and discovery tells that it runs again.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Engine;
use Harness;
use Ingress;

for my $need (qw(/usr/bin/podman /usr/lib/podman/netavark /bin/busybox)) {
	plan skip_all => "no $need" if !-e $need;
}
plan tests => 16;

my $engine = Engine->new;
my $ns = $engine->{netns};
my $port = free_port();
my $g = gateway(netns => $ns, server => <<"EOT");
location / {
    opensandbox any;
    opensandbox_wake http://127.0.0.1:$port/ timeout=60s interval=60s;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
EOT

sub hook
{
	my $pid = start(name => 'hook', netns => $ns, env => { PYTHONUNBUFFERED => 1 },
	    cmd => [python(), root() . '/examples/wake/hook.py', '--listen',
		"127.0.0.1:$port", '--engine', $engine->{socket}, @_]);
	in_netns($ns, sub { wait_port($port, 20) })
	    or die read_file(scratch() . '/hook.log');
	return $pid;
}

# An answer to a client in the engine's network namespace.
sub answer
{
	my ($method, $target, $data) = @_;
	my $json = in_netns($ns, sub {
		my $a = request($g->{port}, $method, $target,
		    $data && encode_json($data));
		return encode_json({ %$a{qw(status body)} });
	});
	return eval { decode_json($json) } || { status => 0, body => $json };
}

sub visit  { return answer('GET', "/sandboxes/$_[0]/port/8000/name") }
sub record { return json(answer('GET', "/v1/sandboxes/$_[0]")) }

# How often the hook says that it resumed it: it says so after it told the
# gateway.
sub woken
{
	my ($id, $times) = @_;
	my $n;

	wait_for(sub {
		$n = () = read_file(scratch() . '/hook.log') =~ /$id: 1 resumed/g;
		return $n >= $times;
	});
	return $n;
}

sub pause
{
	my ($name, $id) = @_;
	$engine->podman('pause', $name);
	return wait_for(sub { (record($id)->{state} // '') eq 'paused' }, 30);
}

$engine->run_container('web', { 'opensandbox.io/id' => 'Sb-Web' });
my $hook = hook();
my $feeder = start(name => 'feeder', netns => $ns, cmd => [
	build_dir() . '/opensandbox-discovery', '--gateway',
	"http://127.0.0.1:$g->{port}", '--docker', "unix://$engine->{socket}"]);
ok(wait_for(sub { visit('sb-web')->{status} == 200 }, 30), 'a container is served')
    or diag(read_file(scratch() . '/feeder.log'));

# One request
ok(pause('web', 'sb-web'), 'it is paused, and its record says so');
my $a = visit('sb-web');
is("$a->{status} $a->{body}", '200 web', 'a request for it is answered');
is($engine->inspect('web')->{State}{Status}, 'running', 'as it was resumed');
ok(wait_for(sub { !exists record('sb-web')->{state} }, 30), 'which its record says');
is(woken('sb-web', 1), 1, 'by the hook');

# Many
ok(pause('web', 'sb-web'), 'it is paused again');
my $out = in_netns($ns, sub {
	my @s = map { connect_to($g->{port}) } 1 .. 20;
	print $_ "GET /sandboxes/sb-web/port/8000/name HTTP/1.1\r\nHost: x\r\n\r\n"
	    for @s;
	return join ' ', map { my $a = read_answer($_); "$a->{status}$a->{body}" } @s;
});
is($out, join(' ', ('200web') x 20), 'twenty requests for it are answered');
is(woken('sb-web', 2), 2, 'and the hook has resumed it once');

# What goes meanwhile
$engine->run_container('job', { 'opensandbox.io/id' => 'sb-job' });
ok(wait_for(sub { visit('sb-job')->{status} == 200 }, 30), 'another container');
ok(pause('job', 'sb-job'), 'is paused');
stop($hook);
spawn('remove', sub {
	wait_for(sub { (json(answer('GET', '/status'))->{wakes}{held} // 0) == 1 }, 30);
	$engine->podman('rm', '-f', '-t', '0', 'job');
});
is(visit('sb-job')->{status}, 404, 'and removed while a request waits for it');

# Without discovery, the hook tells the gateway itself
stop($feeder);
$engine->run_container('alone', { 'opensandbox.io/id' => 'sb-alone' });
my $place = $engine->inspect('alone')->{NetworkSettings}{Networks}{podman}{IPAddress};
hook('--gateway', "http://127.0.0.1:$g->{port}");
$engine->podman('pause', 'alone');
is(answer('PUT', '/v1/sandboxes/sb-alone', { endpoint => $place, state => 'paused' })
    ->{status}, 201, 'a paused container that nobody watches');
is(visit('sb-alone')->{status}, 200, 'is resumed, too');
is(woken('sb-alone', 1), 1, 'by the hook');
is($engine->inspect('alone')->{State}{Status}, 'running', 'and runs');
