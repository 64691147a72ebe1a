#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Containers of a real engine (Podman) become records, and stay true while they
# are started, stopped, paused, renamed and removed, fall ill and get well, while
# the engine's service is away, and whatever their labels say.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Tiny;
use JSON::PP;
use Test::More;
use Engine;
use Harness;

for my $need (qw(/usr/bin/podman /usr/lib/podman/netavark /bin/busybox)) {
	plan skip_all => "no $need" if !-e $need;
}

my $id = 'opensandbox.io/id';
my $program = build_dir() . '/opensandbox-discovery';
my $engine = Engine->new;
my $requests = scratch() . '/requests';
# The second one is for those that list once.
my ($gateway, $aside) = map { "http://127.0.0.1:$_" } my @ports = (free_port(), free_port());
my $http = HTTP::Tiny->new(timeout => 10);

sub records
{
	my $answer = $http->put(($_[0] // $gateway) . '/control', { content => '{}' });
	die "control: $answer->{content}" if $answer->{status} != 200;
	return decode_json($answer->{content})->{records};
}

# Wait until the sandbox's record is as code, called with it, wants it.
sub record_is
{
	my ($name, $code) = @_;
	my $record;
	wait_for(sub { $code->($record = records()->{$name}) }, 60)
	    or die "$name: " . ($record ? encode_json($record) : 'no record') . "\n";
	return $record;
}

sub up   { $_[0] && $_[0]{ready} }
sub down { $_[0] && !$_[0]{ready} }
sub gone { !$_[0] }

# --once with these options: its status, the records afterwards, what it logged.
sub once
{
	my ($status, $out) = capture($program, '--gateway', $aside, '--docker',
	    "unix://$engine->{socket}", '--once', @_);
	return ($status, records($aside), $out);
}

sub events
{
	my ($event) = @_;
	return grep { ($_->{event} // '') eq $event }
	    map { eval { decode_json($_) } || () } split /\n/, read_file(scratch() . '/feeder.log');
}

# Who answers at that place in the engine's network.
sub served_at
{
	my ($place) = @_;
	return run_in($engine->{netns}, 'curl', '-sS', '--retry', '20', '--retry-delay', '0',
	    '--retry-connrefused', '--retry-max-time', '20', "http://$place/name");
}

sub address
{
	my ($name) = @_;
	return $engine->inspect($name)->{NetworkSettings}{Networks}{podman}{IPAddress};
}

for my $i (0, 1) {
	start(name => "gateway$i", cmd => [python(), tool('fake_gateway.py'), $ports[$i],
		$requests . ($i || '')]);
	wait_port($ports[$i]) or die 'the fake gateway does not listen';
}

# What is there before it starts.
$engine->run_container('web', { $id => 'Sb-Web', 'opensandbox.io/expose' => '8000,9000-9010',
	'opensandbox.io/secure-access-token' => ' secret ',
	'opensandbox.io/expires-at' => '2090-01-31T12:00:00Z' });
$engine->run_container('no-sandbox', { 'opensandbox.io/other' => 'x' });
start(name => 'feeder', cmd => [$program, '--gateway', $gateway, '--docker',
	"unix://$engine->{socket}"]);

subtest 'a container is a sandbox' => sub {
	my $web = record_is('sb-web', \&up);
	is_deeply($web, { id => 'sb-web', endpoint => address('web'), ready => JSON::PP::true,
		expose => [8000, '9000-9010'], accessToken => 'secret',
		expiresAt => '2090-01-31T12:00:00Z' }, 'by its labels and its address');
	is_deeply([sort keys %{ records() }], ['sb-web'], 'others are none');
	is(served_at("$web->{endpoint}:8000"), 'web', 'its endpoint is where it answers');
	my ($first) = map { decode_json($_) } split /\n/, read_file($requests);
	is("$first->{method} $first->{path} $first->{source}", 'PUT /v1/sandboxes docker',
	    'the source is fed in whole');
};

subtest 'containers come, change and go' => sub {
	$engine->run_container('job', { $id => 'sb-job' });
	is(served_at(record_is('sb-job', \&up)->{endpoint} . ':8000'), 'job', 'started');

	$engine->podman('pause', 'job');
	my $job = record_is('sb-job', \&down);
	is($job->{state}, 'paused', 'paused');
	is($job->{endpoint}, address('job'), 'and still there');
	$engine->podman('unpause', 'job');
	ok(!exists record_is('sb-job', \&up)->{state}, 'goes on');

	$engine->podman('stop', '-t', '0', 'job');
	is_deeply(record_is('sb-job', \&down), { id => 'sb-job', ready => JSON::PP::false },
	    'stopped: nowhere');
	$engine->podman('start', 'job');
	is(served_at(record_is('sb-job', \&up)->{endpoint} . ':8000'), 'job', 'started again');

	my $before = grep { /sb-job/ } split /\n/, read_file($requests);
	$engine->podman('rename', 'job', 'task');
	$engine->podman('pause', 'web');
	record_is('sb-web', \&down);
	$engine->podman('unpause', 'web');
	record_is('sb-web', \&up);
	is(scalar(grep { /sb-job/ } split /\n/, read_file($requests)), $before,
	    'renamed: it is the same');

	$engine->podman('kill', 'task');
	ok(record_is('sb-job', \&down), 'killed');
	$engine->podman('rm', 'task');
	ok(!record_is('sb-job', \&gone), 'removed');
};

subtest 'health' => sub {
	$engine->run_container('ill', { $id => 'sb-ill' }, '--health-interval', 'disable',
	    '--health-retries', 1, '--health-cmd', 'test -e /www/well');
	my $check = sub { capture($engine->podman_command(@_, 'healthcheck', 'run', 'ill')) };
	my @untold = ('--events-backend', 'none');
	ok(record_is('sb-ill', \&down), 'not known yet: not ready');
	$engine->podman('exec', 'ill', 'touch', '/www/well');
	$check->(@untold);
	ok(record_is('sb-ill', \&up), 'healthy, which no event told');
	$engine->podman('exec', 'ill', 'rm', '/www/well');
	$check->();
	ok(record_is('sb-ill', \&down), 'unhealthy');
	$engine->podman('exec', 'ill', 'touch', '/www/well');
	$check->();
	ok(record_is('sb-ill', \&up), 'healthy again');
	$engine->podman('rm', '-f', '-t', '0', 'ill');
};

subtest 'networks' => sub {
	$engine->run_container('host', { $id => 'sb-host' }, '--network', 'host');
	is(record_is('sb-host', \&up)->{endpoint}, '127.0.0.1',
	    'in the host\'s network, without --allow-loopback');
	is(served_at('127.0.0.1:8000'), 'host', 'which is where it answers');
	$engine->podman('rm', '-f', '-t', '0', 'host');

	$engine->run_container('sidecar', {}, '-p', '18000:8000');
	$engine->podman('create', '--name', 'guest', '--label', "$id=sb-guest", '--cgroup-parent',
	    $engine->{cgroup}, '--network', 'container:sidecar', 'tiny', 'sleep', 600);
	ok(record_is('sb-guest', \&down), 'one that was never started');
	$engine->podman('start', 'guest');
	is(record_is('sb-guest', \&up)->{endpoint}, address('sidecar'), 'in another\'s network');

	my (undef, $records) = once('--docker-published');
	is_deeply($records->{'sb-guest'}{portMap}, { 8000 => '127.0.0.1:18000' },
	    '--docker-published: by the ports that the other publishes');
	ok(!exists $records->{'sb-guest'}{endpoint}, 'and nowhere else');
	is(served_at('127.0.0.1:18000'), 'sidecar', 'where it answers');
	ok(!$records->{'sb-web'}, 'what publishes nothing is not reached');
	$engine->podman('rm', '-f', '-t', '0', $_) for qw(guest sidecar);

	$engine->podman('network', 'create', 'second');
	$engine->podman('network', 'connect', 'second', 'web');
	(undef, $records, my $log) = once('--docker-network', 'second');
	is($records->{'sb-web'}{endpoint},
	    $engine->inspect('web')->{NetworkSettings}{Networks}{second}{IPAddress},
	    '--docker-network chooses among several');
	$engine->podman('network', 'disconnect', 'podman', 'web');
	my $second = $engine->inspect('web')->{NetworkSettings}{Networks}{second}{IPAddress};
	is(record_is('sb-web', sub { $_[0] && ($_[0]{endpoint} // '') eq $second })->{endpoint},
	    $second, 'moved to another while it runs');
	is(served_at("$second:8000"), 'web', 'where it answers');
	$engine->podman('network', 'connect', 'podman', 'web');
	$engine->podman('network', 'disconnect', 'second', 'web');
	is(record_is('sb-web', sub { $_[0] && ($_[0]{endpoint} // '') eq address('web') })->{endpoint},
	    address('web'), 'and back');
};

subtest 'two containers of one id' => sub {
	$engine->podman('create', '--name', "twin$_", '--label', "$id=sb-twin", 'tiny', 'true')
	    for 1, 2;
	is(record_is('sb-twin', sub { $_[0] && ($_[0]{state} // '') eq 'ambiguous' })->{state},
	    'ambiguous', 'neither is served');
	my ($said) = grep { $_->{sandbox_id} eq 'sb-twin' } events('discovery.ambiguous');
	is_deeply([sort @$said{qw(object other)}],
	    [sort map { $engine->inspect($_)->{Id} } 'twin1', 'twin2'], 'both are named');
	$engine->podman('rm', 'twin1');
	ok(record_is('sb-twin', sub { $_[0] && !$_[0]{state} }), 'the other one stays');
	$engine->podman('rm', 'twin2');
	ok(!record_is('sb-twin', \&gone), 'and goes');
};

# A container that is created by the API, whatever its labels are.
sub create
{
	my ($name, $labels, %o) = @_;
	my ($status, $answer) = $engine->api('POST', "/containers/create?name=$name",
	    { Image => 'tiny', Cmd => ['sleep', '600'], Labels => $labels,
	      HostConfig => { NetworkMode => 'none', CgroupParent => $engine->{cgroup} }, %o });
	die "create $name: $status $answer" if $status != 201;
	return decode_json($answer)->{Id};
}

subtest 'labels that are no such thing' => sub {
	my %bad = (
		'bad-id'      => [qr/opensandbox\.io\/id: /, { $id => 'no id' }],
		'bad-slash'   => [qr/opensandbox\.io\/id: /, { $id => '../x' }],
		'bad-long'    => [qr/opensandbox\.io\/id: /, { $id => 'a' x 64 }],
		'bad-empty'   => [qr/opensandbox\.io\/id: /, { $id => '' }],
		'bad-megas'   => [qr/opensandbox\.io\/id: /, { $id => 'a' x 10_000_000 }],
		'bad-port'    => [qr/opensandbox\.io\/expose: /,
			{ $id => 'sb-bad', 'opensandbox.io/expose' => '8000-' }],
		'bad-token'   => [qr/opensandbox\.io\/secure-access-token: /,
			{ $id => 'sb-bad', 'opensandbox.io/secure-access-token' => "a\r\nb" }],
		'bad-time'    => [qr/opensandbox\.io\/expires-at: /,
			{ $id => 'sb-bad', 'opensandbox.io/expires-at' => '2030-02-30T12:00:00Z' }],
		'bad-policy'  => [qr/opensandbox\.io\/egress-policy: /,
			{ $id => 'sb-bad', 'opensandbox.io/egress-policy' => '{' }],
	);
	my %id = map { $_ => create($_, $bad{$_}[1]) } sort keys %bad;
	create('large', { $id => 'sb-large', note => 'a' x 10_000_000 });
	ok(record_is('sb-large', \&down), 'a label of 10 MB beside is nobody\'s trouble');
	wait_for(sub { events('discovery.refused') >= keys %bad }, 30);
	$engine->podman('pause', 'web');
	record_is('sb-web', \&down);
	$engine->podman('unpause', 'web');
	ok(record_is('sb-web', \&up), 'the rest is served');
	for my $name (sort keys %bad) {
		my @said = grep { $_->{object} eq $id{$name} } events('discovery.refused');
		is(@said, 1, "$name: said once");
		like($said[0]{error}, qr/^container "$name": the label $bad{$name}[0]/, 'with its name');
	}
	ok(!records()->{'sb-bad'}, 'none of them is a record');
};

subtest 'the engine is away' => sub {
	$engine->kill_service;
	ok(wait_for(sub { events('discovery.failed') }, 20), 'is said');
	my $failed = events('discovery.failed');
	is(records()->{'sb-web'}{ready}, JSON::PP::true, 'what is known stays');
	$engine->run_container('late', { $id => 'sb-late' });
	$engine->podman('rm', '-f', '-t', '0', 'web');
	ok(records()->{'sb-web'}, 'nobody knows yet');
	$engine->serve;
	is(served_at(record_is('sb-late', \&up)->{endpoint} . ':8000'), 'late',
	    'what came meanwhile is found');
	ok(!record_is('sb-web', \&gone), 'what went is gone');
	cmp_ok(scalar(events('discovery.failed')), '<=', $failed + 3,
	    'said once, and that it is over');
	$engine->podman('pause', 'late');
	is(record_is('sb-late', \&down)->{state}, 'paused', 'events arrive again');
};

subtest 'two hundred containers' => sub {
	my ($many, $running) = (200, 40);
	my @makers = map {
		my $part = $_;
		spawn("maker$part", sub {
			for my $n (grep { $_ % 4 == $part } 1 .. $many) {
				create("many$n", { $id => "many-$n" }, HostConfig => {
					NetworkMode => 'host', CgroupParent => $engine->{cgroup} });
				$engine->api('POST', "/containers/many$n/start") if $n <= $running;
			}
		});
	} 0 .. 3;
	wait_exit($_, 300) for @makers;
	my $count = sub { scalar grep { /^many-/ && $_[0]->($_) } keys %{ records() } };
	my $all = sub { $count->(sub { 1 }) };
	my $up = sub { my $r = records(); $count->(sub { $r->{ $_[0] }{ready} }) };
	wait_for(sub { $all->() == $many && $up->() == $running }, 60);
	is($all->(), $many, 'all are records');
	is($up->(), $running, 'those that run are ready');
	my ($status, $records) = once();
	is($status, 0, 'a listing of all');
	is(scalar(grep { /^many-/ } keys %$records), $many, 'has all');
};

subtest 'no engine' => sub {
	my ($status, $out) = capture($program, '--gateway', $gateway, '--once', '--docker',
	    'unix://' . scratch() . '/nothing');
	is($status, 1, '--once fails');
	like($out, qr{\Q@{[scratch()]}\E/nothing: }, 'and says at which socket');
	($status, $out) = capture($program, '--gateway', $gateway, '--docker', 'tcp://127.0.0.1:1');
	is($status, 2, 'a socket it must be');
	like($out, qr{--docker: "tcp://127.0.0.1:1": expected unix:///PATH}, 'as is said');
};

done_testing;
