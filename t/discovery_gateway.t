#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# From a real engine (Podman) through opensandbox-discovery to a real gateway: a
# container is a route when it runs, and none when it is gone. The README's
# commands for a host with Podman, run as they stand there.

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

my $id = 'opensandbox.io/id';
my $engine = Engine->new;
my $netns = $engine->{netns};

# The README's gateway, in the engine's network. Its python3 serves /www.
my $proxy = root() . '/conf/nginx/opensandbox-proxy.conf';
my $feeder;
my $gateway = gateway(netns => $netns, http => <<"EOT");
server {
    listen 80;
    location / { opensandbox any; include $proxy; }
}
server {
    listen 127.0.0.1:8081;
    location / { opensandbox_api; }
}
EOT

# (status, body) of a request in the engine's network.
sub fetch
{
	my ($url, @options) = @_;
	my (undef, $out) = capture('ip', 'netns', 'exec', $netns, 'curl', '-s', '-m', 20,
	    '-w', '\n%{http_code}', @options, $url);
	my ($body, $status) = $out =~ /\A(.*)\n(\d+)\z/s;
	return ($status, $body);
}

sub route
{
	my ($name, @options) = @_;
	return fetch("http://127.0.0.1/sandboxes/$name/port/8000/name", @options);
}

# Wait until the route answers so; the status that it has at last.
sub route_is
{
	my ($name, $wanted, @options) = @_;
	my $status;
	wait_for(sub { ($status) = route($name, @options); $status == $wanted }, 60);
	return $status;
}

sub record
{
	my ($status, $body) = fetch("http://127.0.0.1:8081/v1/sandboxes/$_[0]");
	return $status == 200 ? decode_json($body) : undef;
}

subtest 'the README' => sub {
	my ($section) = read_file(root() . '/README.md')
	    =~ /^## A host with Docker or Podman\n(.*?)^## /ms;
	my @commands = map { s/\s+#.*//r } grep { /^\S/ } split /\n/,
	    join '', $section =~ /^```\n(.*?)^```$/msg;
	is(@commands, 6, 'has six commands');

	# What they name: python:3, and podman where this test has it.
	my $image = "$engine->{dir}/image";
	write_file("$image/bin/python3", "#!/bin/sh\nexec /bin/busybox httpd -f -p 8000 -h /www\n");
	chmod 0755, "$image/bin/python3";
	write_file("$image/www/index.html", 'python');
	$engine->import_image('python:3');
	my $podman = join ' ', $engine->options;
	my $build = build_dir();
	my $script = <<"EOT";
set -u
mkdir -p $engine->{dir}/checkout && cd $engine->{dir}/checkout && ln -sfn $build build
make() { [ -x "\$1" ]; }
podman() {
	case \$1 in
	run) shift; command podman $podman run --cgroup-parent $engine->{cgroup} "\$@" ;;
	*) command podman $podman "\$@" ;;
	esac
}
curl() {
	for _ in \$(seq 600); do
		command curl -sf "\$@" -o /dev/null && break
		sleep 0.1
	done
	command curl -sf "\$@"
}
EOT
	my ($url) = "@commands" =~ m{curl (\S+)};
	for my $command (@commands) {
		my $name = $command =~ s/'/'\\''/gr;
		$script .= "$command\nprintf '\\n%s : %s\\n' \$? '$name'\n";
		$script .= "for _ in \$(seq 600); do [ -S /run/podman/podman.sock ] && break; "
		    . "sleep 0.1; done\n" if $command =~ /system service/;
	}
	# What they left in the background ends before another one feeds.
	$script .= "for _ in \$(seq 600); do command curl -s -w '%{http_code}' $url | grep -q 404 "
	    . "&& break; sleep 0.1; done\nkill \$(jobs -p); wait\n";
	write_file("$engine->{dir}/readme", $script);
	my $shell = start(name => 'readme', cmd => [$engine->command('bash', "$engine->{dir}/readme")]);
	wait_exit($shell, 180);
	my $out = read_file(scratch() . '/readme.log');
	like($out, qr/^0 : \Q$_\E$/m, $_) or diag $out for @commands;
	is(route_is('sb-125', 404), 404, 'and what is removed is unknown');
};

# As its unit would have it run, with no more capabilities than that gives.
sub start_feeder
{
	$feeder = start(name => 'feeder', netns => $netns,
	    cmd => [python(), root() . '/t/tools/unit.py',
		root() . '/conf/systemd/opensandbox-discovery.service',
		build_dir() . '/opensandbox-discovery', '--gateway', 'http://127.0.0.1:8081',
		'--docker', "unix://$engine->{socket}"]);
}

start_feeder();

subtest 'a container\'s life' => sub {
	$engine->run_container('web', { $id => 'sb-web', 'opensandbox.io/expose' => '8000' });
	is(route_is('sb-web', 200), 200, 'it runs: it is reached');
	is((route('sb-web'))[1], 'web', 'and answers itself');
	is((fetch('http://127.0.0.1/sandboxes/sb-web/port/8001/'))[0], 403,
	    'a port that its label does not expose is not');
	is(record('sb-web')->{source}, 'docker', 'the record says whose it is');
	$engine->podman('stop', '-t', '0', 'web');
	is(route_is('sb-web', 503), 503, 'stopped: unavailable');
	$engine->podman('start', 'web');
	is(route_is('sb-web', 200), 200, 'started again: reached at its new address');
	my (undef, $tag) = fetch('http://127.0.0.1:8081/v1/sandboxes/sb-web', '-I');
	$engine->podman('rename', 'web', 'renamed');
	$engine->run_container('next', { $id => 'sb-next',
		'opensandbox.io/secure-access-token' => 'secret' });
	is(route_is('sb-next', 401), 401, 'another one, with a token');
	is(route_is('sb-next', 200, '-H', 'OpenSandbox-Secure-Access: secret'), 200,
	    'which lets in');
	is((fetch('http://127.0.0.1:8081/v1/sandboxes/sb-web', '-I'))[1] =~ s/^Date:.*//mr,
	    $tag =~ s/^Date:.*//mr, 'a new name changes nothing');
	$engine->podman('rm', '-f', '-t', '0', 'renamed');
	is(route_is('sb-web', 404), 404, 'removed: unknown');
};

# The code of an answer that is not the sandbox's.
sub code
{
	my (undef, $body) = route(@_);
	return eval { decode_json($body)->{code} } // $body;
}

subtest 'paused, and claimed twice' => sub {
	$engine->podman('pause', 'next');
	my @token = ('-H', 'OpenSandbox-Secure-Access: secret');
	is(route_is('sb-next', 503, @token), 503, 'paused: unavailable');
	is(code('sb-next', @token), 'paused', 'for that reason');
	$engine->podman('unpause', 'next');
	is(route_is('sb-next', 200, @token), 200, 'and back');
	$engine->podman('create', '--name', 'twin', '--label', "$id=SB-NEXT", 'tiny', 'true');
	is(route_is('sb-next', 502, @token), 502, 'another one of its id: neither is served');
	is(code('sb-next', @token), 'ambiguous', 'for that reason');
	$engine->podman('rm', 'twin');
	is(route_is('sb-next', 200, @token), 200, 'until that one is removed');
};

subtest 'other places' => sub {
	$engine->run_container('host', { $id => 'sb-host' }, '--network', 'host');
	is(route_is('sb-host', 200), 200, 'in the host\'s network');
	is((route('sb-host'))[1], 'host', 'it answers itself');
	$engine->podman('rm', '-f', '-t', '0', 'host');
	is(route_is('sb-host', 404), 404, 'gone');
};

subtest 'discovery and gateway begin anew' => sub {
	stop($feeder);
	$engine->run_container('late', { $id => 'sb-late' });
	is((route('sb-next'))[0], 401, 'without discovery the gateway serves what it knows');
	stop($gateway->{pid});
	Ingress::launch($gateway);
	is((fetch('http://127.0.0.1:8081/v1/sources/docker'))[0], 404,
	    'a gateway that begins knows nothing');
	start_feeder();
	is(route_is('sb-late', 200), 200, 'and is fed');
	stop($gateway->{pid});
	Ingress::launch($gateway);
	is(route_is('sb-late', 200), 200, 'once more when it begins again meanwhile');
	is((fetch('http://127.0.0.1:8081/v1/sources/docker'))[0], 200, 'which it says');
};

done_testing;
