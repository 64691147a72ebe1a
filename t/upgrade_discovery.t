# SPDX-License-Identifier: Apache-2.0
#
# Discovery is stopped, and another version started in its place: the gateway
# serves what it knows meanwhile, and afterwards changes what has changed, no
# record more.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(_exit);
use Test::More;
use Harness;
use Ingress;
use Kube;
use Release;

my $dir = scratch();
my $program = 'opensandbox-discovery';
my $echo = echo('box');
my $http = free_port();
my $g = gateway(server => <<'EOT');
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
location = /status { opensandbox_status; }
EOT
my $kube = Kube->new;
$kube->fill('batchsandboxes', 'sandboxes/sb-%n', batchsandbox('127.0.0.1'), 200, 100);
release_old($program, "$dir/bin");

sub begin
{
	my ($name) = @_;
	my $pid = start(name => $name, cmd => ["$dir/bin/$program", '--provider-type',
	    'batchsandbox', '--allow-loopback', '--kubeconfig', $kube->kubeconfig,
	    '--gateway', "http://127.0.0.1:$g->{port}", '--http-addr', "127.0.0.1:$http"]);
	ok(wait_for(sub { (capture('curl', '-sf', "http://127.0.0.1:$http/healthz"))[0] == 0 }, 20),
	    "$name: it has listed and fed") or diag read_file("$dir/$name.log");
	return $pid;
}

sub status_of { return get($g->{port}, "/sandboxes/$_[0]/port/$echo/")->{status} }
sub status { return json(get($g->{port}, '/status')) }

my $pid = begin('old');
is(status()->{sandboxes}{total}, 200, 'all sandboxes are known');

# Which edition of each record the gateway has
sub editions
{
	return [map { api($g, 'GET', "/sb-$_")->{headers}{etag}[0] } 101 .. 110];
}
my $editions = editions();
ok($editions->[0], '  each in an edition');
my $load = spawn('load', sub {
	my ($done, $n, $failed) = (0, 0, 0);
	$SIG{TERM} = sub { $done = 1 };
	while (!$done) {
		my $status = eval { status_of('sb-' . (101 + $n++ % 198)) } // 0;
		$failed++ if $status != 200;
	}
	write_file("$dir/load", "$n $failed");
	_exit(0);
});

release_new($program, "$dir/bin");
is(stop($pid), 0, 'the old one ends');
$kube->put('batchsandboxes', 'sandboxes/late', batchsandbox('127.0.0.1'));
$kube->delete('batchsandboxes', 'sandboxes/sb-100');
is(status_of('sb-100'), 200, 'the gateway serves what it knows');
is(status_of('late'), 404, '  and nothing new');
my $next = begin('new');
is((capture("$dir/bin/$program", '--version'))[1], "$program " . VERSION_NEW . "\n",
    'it is the new one');
ok(wait_for(sub { status_of('late') == 200 }), 'what came meanwhile is known');
ok(wait_for(sub { status_of('sb-100') == 404 }), '  what went is gone');
is_deeply(editions(), $editions, '  and no other record has changed');
kill 'TERM', $load;
wait_exit($load, 30);
my ($n, $failed) = split ' ', read_file("$dir/load");
is($failed, 0, "of $n requests to the others none is lost");

# A gateway that has forgotten all, without a state file
restart($g);
ok(wait_for(sub { status()->{sandboxes}{total} == 200 }, 30),
    'a gateway that has lost its records is fed them again');
stop($next);
done_testing();
