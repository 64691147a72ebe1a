#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What providers say of their objects reaches the gateway: a source in whole
# first and after every doubt, record by record in between; what the gateway does
# not take, or has from another source, keeps nothing else out. The gateway is
# one that can be told to be in trouble.

use strict;
use warnings;
use Test::More;
use HTTP::Tiny;
use IO::Handle;
use JSON::PP;
use POSIX qw(mkfifo);
use Harness;

my $drive = build_dir() . '/t/tools/discovery_drive';
my ($gateway_port, $http_port) = (free_port(), free_port());
my ($requests, $gateway, $feeder, $input) = (scratch() . '/requests');
my $runs = 0;
my $http = HTTP::Tiny->new(timeout => 10);

sub start_gateway
{
	$gateway = start(name => 'gateway',
	    cmd => [python(), tool('fake_gateway.py'), $gateway_port, $requests]);
	wait_port($gateway_port) or die 'the fake gateway does not listen';
}

sub control
{
	my (%o) = @_;
	my $answer = $http->put("http://127.0.0.1:$gateway_port/control",
	    { content => encode_json(\%o) });
	die "control: $answer->{content}" if $answer->{status} != 200;
	return decode_json($answer->{content});
}

# The ids that the gateway has, in a word.
sub ids
{
	return join ' ', sort keys %{ control()->{records} };
}

sub requests
{
	return map { decode_json($_) } split /\n/, read_file($requests);
}

sub wholes
{
	return grep { $_->{method} eq 'PUT' && $_->{path} eq '/v1/sandboxes' } requests();
}

sub start_feeder
{
	my (%o) = @_;
	my $fifo = scratch() . '/input' . ++$runs;
	mkfifo($fifo, 0600) or die "mkfifo: $!";
	$feeder = start(name => "feeder$runs", env => $o{env}, cmd => ['sh', '-c', 'exec "$0" "$@" <' . $fifo,
		$drive, $o{gateway} // "http://127.0.0.1:$gateway_port", $o{token} // '',
		"127.0.0.1:$http_port", 'one', 'two']);
	open $input, '>', $fifo or die "$fifo: $!";
	$input->autoflush(1);
}

sub say_to
{
	print $input join("\t", @$_), "\n" for @_;
}

sub logged
{
	my ($event) = @_;
	return map { decode_json($_) } grep { /"event":"discovery\.$event"/ }
	    split /\n/, read_file(scratch() . "/feeder$runs.log");
}

sub health
{
	return $http->get("http://127.0.0.1:$http_port/healthz");
}

start_gateway();
start_feeder();
wait_port($http_port);

subtest 'it may do nothing but feed' => sub {
	my $status;
	ok(wait_for(sub {
		$status = read_file("/proc/$feeder/status");
		$status =~ /^Seccomp:\s2$/m;
	}), 'calls are filtered');
	like($status, qr/^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s0+$/m, 'no capability');
	unlike($status, qr/^Cap(?:Inh|Prm|Eff|Bnd|Amb):.*[1-9a-f]/m, 'not one');
	like($status, qr/^NoNewPrivs:\s1$/m, 'nor new ones');
};

subtest 'nothing is fed before every list of the source is whole' => sub {
	say_to(['begin', 'one'], ['put', 'one', 'ns/a', 'a', '{"endpoint":"10.0.0.1"}'],
		['put', 'one', 'ns/b', 'b,b-alias', '{"endpoint":"10.0.0.2","ready":false}'],
		['end', 'one']);
	ok(wait_for(sub { logged('listed') }), 'a list has ended');
	is(scalar(grep { $_->{method} eq 'PUT' } requests()), 0, 'the gateway was asked nothing');
	my $health = health();
	is($health->{status}, 503, 'not healthy');
	is($health->{content}, "test: the gateway is not fed yet\ntest: two not listed yet\n",
		'and why');
	say_to(['failed', 'two', 'no such host'], ['failed', 'two', 'no such host']);
	ok(wait_for(sub { health()->{content} =~ /two not listed yet: no such host/ }),
		'a failure is told');
	is(scalar(logged('failed')), 1, 'and said once');

	say_to(['begin', 'two'], ['put', 'two', 'c', 'c', '{}'], ['end', 'two']);
	ok(wait_for(sub { ids() eq 'a b b-alias c' }), 'then all is');
	is_deeply(control()->{records}{'b-alias'},
		{ id => 'b-alias', endpoint => '10.0.0.2', ready => JSON::PP::false },
		'an alias has the same record');
	is_deeply(control()->{records}{c}, { id => 'c' }, 'one without a member is one');
	is(scalar(wholes()), 1, 'in one request');
	is((wholes())[0]{source}, 'test', "in the source's name");
	ok(wait_for(sub { health()->{status} == 200 }), 'healthy');
	is(health()->{content}, "ok\n", 'ok');
};

subtest 'an event is one request' => sub {
	my $before = requests();
	say_to(['put', 'one', 'ns/a', 'a', '{"endpoint":"10.0.0.9"}']);
	ok(wait_for(sub { (control()->{records}{a}{endpoint} // '') eq '10.0.0.9' }), 'a change');
	say_to(['put', 'one', 'ns/a', 'a', '{"endpoint":"10.0.0.9"}'], ['delete', 'two', 'c']);
	ok(wait_for(sub { ids() eq 'a b b-alias' }), 'an end');
	say_to(['delete', 'one', 'ns/b']);
	ok(wait_for(sub { ids() eq 'a' }), 'of one with an alias');
	is_deeply([sort map { "$_->{method} $_->{path} $_->{source}" }
		    grep { $_->{method} ne 'GET' } (requests())[$before .. $#{ [requests()] }]],
		['DELETE /v1/sandboxes/b test', 'DELETE /v1/sandboxes/b-alias test',
		'DELETE /v1/sandboxes/c test', 'PUT /v1/sandboxes/a test'],
		'nothing else was asked, what is the same least of all');
};

subtest 'what a new listing does not name goes' => sub {
	say_to(['begin', 'one'], ['put', 'one', 'ns/d', 'd', '{}'],
		['begin', 'one'], ['put', 'one', 'ns/e', 'e', '{}'], ['end', 'one']);
	ok(wait_for(sub { ids() eq 'e' }), 'also what only one that was broken off named');
};

subtest 'two objects of one id' => sub {
	say_to(['put', 'two', 'x', 'e', '{"endpoint":"10.0.0.7"}']);
	ok(wait_for(sub { (control()->{records}{e}{state} // '') eq 'ambiguous' }),
		'neither is served');
	is_deeply(control()->{records}{e}, { id => 'e', state => 'ambiguous' },
		'nothing of either is told');
	my ($log) = logged('ambiguous');
	is_deeply([sort @$log{qw(object other)}], ['ns/e', 'x'], 'both are named');
	say_to(['put', 'two', 'x', 'e', '{"endpoint":"10.0.0.8"}']);
	say_to(['put', 'two', 'y', 'y', '{}']);
	ok(wait_for(sub { ids() eq 'e y' }), '(a later one has come)');
	is(scalar(grep { $_->{level} eq 'warn' } logged('ambiguous')), 1, 'once');
	say_to(['delete', 'one', 'ns/e']);
	ok(wait_for(sub { (control()->{records}{e}{endpoint} // '') eq '10.0.0.8' }),
		'until one goes');
	say_to(['put', 'one', 'ns/z', 'z,e', '{"endpoint":"10.0.0.6"}']);
	ok(wait_for(sub { ids() eq 'e y z' }), 'an alias claims it too');
	is(control()->{records}{e}{endpoint}, '10.0.0.8', "the own id's is served");
	say_to(['delete', 'two', 'x']);
	ok(wait_for(sub { (control()->{records}{e}{endpoint} // '') eq '10.0.0.6' }),
		"and the alias's when that goes");
	say_to(['put', 'two', 'x', 'e', '{"endpoint":"10.0.0.5"}']);
	ok(wait_for(sub { (control()->{records}{e}{endpoint} // '') eq '10.0.0.5' }),
		"the own id's again when it is back");
	say_to(['delete', 'two', 'x']);
	say_to(['delete', 'one', 'ns/z'], ['delete', 'two', 'y']);
	ok(wait_for(sub { ids() eq '' }), '(all gone)');
};

subtest 'an object that cannot be taken' => sub {
	say_to(['put', 'one', 'ns/a', 'a', '{}'], ['put', 'one', 'ns/b', 'b', '{}']);
	ok(wait_for(sub { ids() eq 'a b' }), '(two are there)');
	say_to((['refuse', 'one', 'ns/a', 'it has no address']) x 3);
	ok(wait_for(sub { ids() eq 'b' }), 'is as if deleted');
	is_deeply([map { "$_->{object}: $_->{error}" } logged('refused')],
		['ns/a: it has no address'], 'said once');
	say_to(['put', 'one', 'ns/a', 'a', '{}']);
	ok(wait_for(sub { ids() eq 'a b' }), 'until it can be');
};

subtest 'a record that the gateway does not take' => sub {
	control(bad => ['bad']);
	say_to(['put', 'one', 'ns/bad', 'bad,worse', '{"endpoint":"?"}'],
		['put', 'one', 'ns/c', 'c', '{}']);
	ok(wait_for(sub { ids() eq 'a b c' }), 'the rest is served');
	ok(wait_for(sub { grep { ($_->{object} // '') eq 'ns/bad' } logged('refused') }),
		'it is named');
	my $before = () = logged('refused');
	my $wholes = wholes();
	control(forget => JSON::PP::true);
	ok(wait_for(sub { ids() eq 'a b c' }), 'as after the gateway began anew');
	is(scalar(wholes()), $wholes + 1, 'which was not asked to take it again');
	control(bad => ['c']);
	control(forget => JSON::PP::true);
	ok(wait_for(sub { ids() eq 'a b' }), 'one bad record of the whole is left out');
	is((logged('refused'))[-1]{object}, 'ns/c', 'the right one');
	is((logged('refused'))[-1]{field}, '[2].endpoint', 'for that field');
	is(scalar(logged('refused')), $before + 1, 'said once');
	control(bad => []);
	say_to(['put', 'one', 'ns/c', 'c', '{"ready":true}'],
		['put', 'one', 'ns/bad', 'bad', '{"endpoint":"10.0.0.3"}']);
	ok(wait_for(sub { ids() eq 'a b bad c' }), 'when they change they are taken');
	say_to(['delete', 'one', 'ns/bad'], ['delete', 'one', 'ns/c']);
	ok(wait_for(sub { ids() eq 'a b' }), '(and go)');
};

subtest 'an id that another source has' => sub {
	control(taken => ['b', 'c']);
	control(forget => JSON::PP::true);
	ok(wait_for(sub { ids() eq 'a' && logged('conflict') }), 'stays with that one');
	say_to(['put', 'one', 'ns/c', 'c', '{}']);
	ok(wait_for(sub { (() = logged('conflict')) == 2 }), 'as does one that comes later');
	is_deeply([sort map { "$_->{sandbox_id} $_->{object}" } logged('conflict')],
		['b ns/b', 'c ns/c'], 'each is named once');
	my $metrics = $http->get("http://127.0.0.1:$http_port/metrics")->{content};
	like($metrics, qr/^discovery_records_conflicting\{source="test"\} 2$/m, 'and counted');
	control(taken => []);
	ok(wait_for(sub { ids() eq 'a b c' }, 20), 'it is taken when that one lets go');
	$metrics = $http->get("http://127.0.0.1:$http_port/metrics")->{content};
	like($metrics, qr/^discovery_records_conflicting\{source="test"\} 0$/m, 'and no conflict');
};

subtest 'a gateway in trouble' => sub {
	for my $status (507, 500, 404) {
		my $before = wholes();
		control(status => $status);
		say_to(['put', 'one', 'ns/a', 'a', qq({"endpoint":"10.1.0.1","hostHeader":"$status"})]);
		ok(wait_for(sub { grep { ($_->{error} // '') eq "status $status: as told" } logged('failed') }),
			"$status is told");
		ok(wait_for(sub { wholes() > $before + 1 }), 'all is tried again');
		control(status => 0);
		ok(wait_for(sub { (control()->{records}{a}{hostHeader} // '') eq $status }),
			'until it is taken');
		is(scalar(grep { ($_->{error} // '') eq "status $status: as told" } logged('failed')),
			1, 'said once');
	}
	stop($gateway);
	say_to(['put', 'one', 'ns/f', 'f', '{}'], ['delete', 'one', 'ns/c']);
	ok(wait_for(sub { grep { ($_->{error} // '') =~ /connect/i } logged('failed') }),
		'one that is gone is told');
	start_gateway();
	ok(wait_for(sub { ids() eq 'a b f' }), 'and fed when it is back, empty');
	ok(wait_for(sub { health()->{status} == 200 }), 'healthy again');
};

subtest 'much at once goes at once' => sub {
	my $singles = () = grep { $_->{method} eq 'PUT' } requests();
	my $before = wholes();
	control(slow => 0.2);
	say_to(['fill', 'two', 1, 2000]);
	ok(wait_for(sub { scalar(keys %{ control()->{records} }) == 2003 }), 'all are there');
	cmp_ok((() = grep { $_->{method} eq 'PUT' } requests()) - $singles, '<', 100,
		'in few requests');
	control(slow => 0);
	$before = requests();
	say_to(['fill', 'two', 2001, 2100]);
	ok(wait_for(sub { scalar(keys %{ control()->{records} }) == 2103 }), 'one by one');
	my @singles = grep { $_->{path} =~ m{^/v1/sandboxes/} } (requests())[$before .. $#{ [requests()] }];
	is(scalar(@singles), 100, 'a few are sent each alone');
	my %clients = map { $_->{client}[1] => 1 } @singles;
	# One more asks whether the gateway knows the source still.
	cmp_ok(scalar(keys %clients), '<=', 16 + 1, 'over connections that are kept');
	say_to(['delete', 'two', 'space/o-7']);
	ok(wait_for(sub { scalar(keys %{ control()->{records} }) == 2102 }), 'one goes');
};

subtest 'the last word counts, whatever is under way' => sub {
	control(slow => 0.1);
	say_to(map { ['put', 'one', 'ns/g', 'g', qq({"hostHeader":"$_"})] } 1 .. 50);
	select undef, undef, undef, 0.05;
	say_to(['delete', 'one', 'ns/g']);
	select undef, undef, undef, 0.05;
	say_to(['put', 'one', 'ns/g', 'g', '{"hostHeader":"last"}']);
	control(slow => 0);
	ok(wait_for(sub { (control()->{records}{g}{hostHeader} // '') eq 'last' }), 'it arrives');
	say_to(['put', 'one', 'ns/h', 'h', '{}']);
	ok(wait_for(sub { control()->{records}{h} }), '(and what follows)');
	is(control()->{records}{g}{hostHeader}, 'last', 'and stays');
};

close $input;
is(wait_exit($feeder), 0, 'it ends in good order');

subtest 'a token, over a unix socket' => sub {
	my ($token, $socket) = (scratch() . '/token', scratch() . '/gateway.sock');
	stop($gateway);
	write_file($requests, '');
	$gateway = start(name => 'gateway-unix',
		cmd => [python(), tool('fake_gateway.py'), $socket, $requests]);
	ok(wait_for(sub { -S $socket }), '(it listens)');
	write_file($token, "first\n");
	start_feeder(gateway => "unix:$socket", token => $token);
	say_to(map { (['begin', $_], ['put', $_, $_, $_, '{}'], ['end', $_]) } qw(one two));
	ok(wait_for(sub { grep { $_->{method} eq 'PUT' } requests() }), 'it is fed');
	is((requests())[0]{token}, 'Bearer first', 'with the token');
	write_file("$token.new", "second\n");
	rename "$token.new", $token;
	say_to(['put', 'one', 'three', 'three', '{}']);
	ok(wait_for(sub { grep { $_->{path} eq '/v1/sandboxes/three' } requests() }), 'again');
	is((grep { $_->{path} eq '/v1/sandboxes/three' } requests())[0]{token}, 'Bearer second',
		'with the one that the file has now');
	close $input;
	is(wait_exit($feeder), 0, 'it ends in good order');
};

subtest 'a token that the gateway does not take' => sub {
	my $token = write_file(scratch() . '/token', "wrong\n");
	stop($gateway);
	start_gateway();
	control(token => 'right');
	start_feeder(token => $token);
	say_to(map { (['begin', $_], ['put', $_, $_, $_, '{}'], ['end', $_]) } qw(one two));
	ok(wait_for(sub { logged('failed') }), 'is told');
	is((logged('failed'))[0]{error}, 'status 401: no token', 'as what it is');
	write_file($token, "right\n");
	ok(wait_for(sub { ids() eq 'one two' }), 'until the file has the right one');
	control(token => 'newest');
	ok(wait_for(sub { (() = logged('failed')) >= 3 }), 'the gateway has another one');
	write_file($token, "newest\n");
	ok(wait_for(sub { (logged('failed'))[-1]{msg} eq 'the gateway answers again' }),
		'and so has the file');
	close $input;
	is(wait_exit($feeder), 0, 'it ends in good order');
};

# Whoever may make objects may give many of them one id.
subtest 'a hundred thousand objects of one id' => sub {
	my @keys = map { "many/o-$_" } 1 .. 100_000;
	local $SIG{ALRM} = sub { die 'they keep it busy' };
	alarm 60;
	start_feeder(token => write_file(scratch() . "/token", "newest\n"));
	say_to((map { (['begin', $_], ['end', $_]) } qw(one two)),
		(map { ['put', 'one', $_, 'many', '{}'] } @keys, 'the/last'),
		['put', 'one', 'other', 'other', '{}']);
	ok(wait_for(sub { ids() eq 'many other' }, 30), 'do not keep another one out');
	is(control()->{records}{many}{state}, 'ambiguous', 'none of them is served');
	say_to(map { ['delete', 'one', $_] } @keys);
	ok(wait_for(sub { !control()->{records}{many}{state} }, 30), 'until one is left');
	alarm 0;
	close $input;
	is(wait_exit($feeder), 0, 'it ends in good order');
};

# Images and units often have one in the environment; it would learn the token.
subtest 'a proxy of the environment' => sub {
	my $proxy = 'http://127.0.0.1:1';
	start_feeder(env => { map { $_ => $proxy } qw(http_proxy all_proxy ALL_PROXY) },
		token => write_file(scratch() . '/token', "newest\n"));
	say_to(map { (['begin', $_], ['put', $_, $_, "$_-direct", '{}'], ['end', $_]) }
		qw(one two));
	ok(wait_for(sub { ids() eq 'one-direct two-direct' }), 'is not used');
	close $input;
	is(wait_exit($feeder), 0, 'it ends in good order');
};

done_testing();
