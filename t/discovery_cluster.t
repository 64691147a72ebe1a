# SPDX-License-Identifier: Apache-2.0
#
# The gateway's pod of conf/kubernetes, its containers as processes here: the
# token that it makes for itself, nginx with its configuration, discovery with its
# options, and the example's pod in t/tools/kube_api.py. It is ready once its
# routes are there, and again after nginx began anew.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress ();
use Kube;
use Manifests;

my $dir = scratch();
my $conf = root() . '/conf';
my @objects = manifests(map { read_file("$conf/kubernetes/$_.yaml") }
    qw(gateway example));
my ($spec) = map { $_->{spec}{template}{spec} }
    grep { $_->{kind} eq 'Deployment' } @objects;
my %container = map { $_->{name} => $_ } containers($spec);
my %port = map { $_ => free_port() } 8080 .. 8083;

# Its paths and ports are this test's.
sub here
{
	my ($text) = @_;
	my $module = build_dir() . '/ngx_http_opensandbox_module.so';

	$text =~ s{modules/ngx_http_opensandbox_module\.so}{$module};
	$text =~ s{/etc/nginx/(opensandbox-\w+\.conf)}{$conf/nginx/$1}g;
	$text =~ s{/etc/opensandbox-token}{$dir/token}g;
	$text =~ s{/run/nginx\.pid}{$dir/nginx.pid}g;
	$text =~ s{/dev/stdout}{$dir/access.log};
	$text =~ s{^\s*listen \[::\].*\n}{}mg;
	$text =~ s{listen (808\d)}{listen 127.0.0.1:$1}g;
	$text =~ s{:(808\d)\b}{:$port{$1}}g;
	return $text;
}

mkdir "$dir/token";
my ($failed, $said) = capture(map { here($_) }
    @{ $container{token}{command} });
is($failed, 0, 'the pod makes a token') or diag $said;
like(read_file("$dir/token/token"), qr/\A[0-9a-f]{64}\n\z/, '  of 256 bits');

my ($config) = grep { defined } map { ($_->{data} // {})->{'nginx.conf'} }
    @objects;
write_file("$dir/nginx.conf", here($config));
my $nginx;
sub start_nginx
{
	$nginx = start(name => 'nginx', env => nginx_env(), cmd => [
	    Ingress::nginx_binary(), '-p', $dir, '-c', "$dir/nginx.conf", '-g',
	    'daemon off;']);
	wait_port($port{8080}) or die read_file("$dir/nginx.log");
}
sub get
{
	my ($at, $path, @more) = @_;
	my (undef, $out) = capture('curl', '-s', '-m', '10', @more, '-w',
	    "\n%{http_code}", "http://127.0.0.1:$port{$at}$path");
	return $out =~ /\A(.*)\n(\d+)\z/s ? ($2, $1) : (0, '');
}
sub becomes
{
	my ($want, @get) = @_;
	return wait_for(sub { (get(@get))[0] == $want }, 30)
	    || (diag("@get: ", join ' ', get(@get)), 0);
}
start_nginx();
is((get(8080, '/status.ok'))[0], 503, 'nginx is not ready by itself');
is((get(8081, '/v1/sandboxes'))[0], 401, '  nor open without the token');

# The cluster
my $kube = Kube->new;
my $backend = Ingress::echo('here');
my ($example) = grep { $_->{kind} eq 'Pod' } @objects;
my $annotations = $example->{metadata}{annotations};
is($annotations->{'opensandbox.io/expose'}, '8000', 'the example has a port');
$annotations->{'opensandbox.io/expose'} = "$backend";
$example->{status} = { phase => 'Running', podIP => '127.0.0.1',
	conditions => [{ type => 'Ready', status => 'True' }] };
$kube->put('pods', 'opensandbox-sandboxes/sb-example', $example);
$kube->put('pods', 'default/stranger', { %$example, metadata => {
	labels => { 'opensandbox.io/id' => 'stranger' } } });
my @args = map { $_ eq '--kubernetes' ? ('--kubeconfig', $kube->kubeconfig)
    : here($_) } @{ $container{discovery}{args} };
my $feeder = start(name => 'discovery', cmd => [build_dir()
    . '/opensandbox-discovery', @args, '--allow-loopback']);
ok(becomes(200, 8083, '/healthz'), 'discovery has listed and fed')
    or diag read_file("$dir/discovery.log");
is((get(8080, '/status.ok'))[0], 200, '  and nginx is ready');
my $route = "/sandboxes/sb-example/port/$backend/x";
my ($status, $body) = get(8080, $route);
is($status, 200, 'the example is served');
like($body, qr/here/, '  by what runs there');
is((get(8080, '/sandboxes/sb-example/port/1/'))[0], 403,
    '  at no other port');
is((get(8080, "/sandboxes/stranger/port/$backend/"))[0], 404,
    'a pod of another namespace is not');
is((get(8082, '/metrics', '-H', 'Accept: text/plain'))[0], 200, 'metrics');
is((get(8082, '/v1/sandboxes'))[0], 404, '  and nothing else there');

# A container begins anew by itself.
kill 'KILL', -$nginx;
kill_now($nginx);
start_nginx();
ok(becomes(200, 8080, $route), 'nginx begun anew gets its routes again');
is((get(8080, '/status.ok'))[0], 200, '  and is ready');
$kube->delete('pods', 'opensandbox-sandboxes/sb-example');
ok(becomes(404, 8080, $route), 'the example goes');
stop($feeder);
is((get(8080, '/status.ok'))[0], 200,
    'without discovery nginx serves what it knows');

# The pod ends: what is under way is served to its end.
my $slow = Ingress::backend(sub {
	my ($client) = @_;
	Ingress::read_head($client);
	print $client "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
	$client->flush;
	sleep 3;
	print $client "half";
});
my $token = read_file("$dir/token/token") =~ s/\n//r;
my ($put) = get(8081, '/v1/sandboxes/slow', '-X', 'PUT', '-H',
    "Authorization: Bearer $token", '--data', '{"endpoint":"127.0.0.1"}');
is($put, 201, 'a sandbox that is slow');
my $client = start(name => 'client', cmd => ['curl', '-sN', '-o', "$dir/slow",
    "http://127.0.0.1:$port{8080}/sandboxes/slow/port/$slow/"]);
ok(wait_for(sub { -e "$dir/slow" && read_file("$dir/slow") eq 'half' }, 10),
    '  serves half');
my @stop = map { here($_) =~ s/sleep 5; /sleep 0; /r }
    @{ $container{gateway}{lifecycle}{preStop}{exec}{command} };
my $stop = start(name => 'stop', cmd => \@stop);
is(wait_exit($client, 20), 0, 'the pod is asked to end: the client ends well');
is(read_file("$dir/slow"), 'halfhalf', '  with all of its answer');
is(wait_exit($nginx, 20), 0, '  then nginx does');
is(wait_exit($stop, 20), 0, '  and the command that asked');
done_testing();
