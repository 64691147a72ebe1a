#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox-discovery on Kubernetes' own server of custom resources: gateways
# serve what the server has, through its restarts, its forgetting and a change
# of the token, and two gateways with a discovery each come to agree.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);
use IO::Select;
use IO::Socket::INET;
use Harness qw(start spawn build_dir scratch free_port wait_for write_file read_file
    capture);
use Ingress qw(gateway get api json echo);
use Kube;
use KubeServer;

my $count = 0;
my $port = echo('sandbox');

# A gateway and the discovery that feeds it: { gateway, pid, log, http }.
sub fed_gateway
{
	my ($kube, %config) = @_;
	my $g = gateway(zone => 'opensandbox_zone sandboxes:16m;');
	my %f = (gateway => $g, http => '127.0.0.1:' . free_port(),
	    log => scratch() . '/discovery' . ++$count);
	$f{pid} = start(name => "discovery$count", log => $f{log}, cmd => [
	    build_dir() . '/opensandbox-discovery', '--kubernetes', '--kubeconfig',
	    $kube->kubeconfig(%config), '--provider-type',
	    'batchsandbox,agent-sandbox', '--allow-loopback', '--gateway',
	    "http://127.0.0.1:$g->{port}", '--http-addr', $f{http}]);
	return \%f;
}

sub healthy
{
	my ($f) = @_;
	my (undef, $code) = capture('curl', '-s', '-m', '5', '-o', '/dev/null', '-w',
	    '%{http_code}', "http://$f->{http}/healthz");
	return $code eq '200';
}

# The ids that a gateway serves, in order.
sub ids
{
	my ($f) = @_;
	my ($after, @ids) = ('');
	do {
		my $list = json(api($f->{gateway}, 'GET', "?limit=1000&after=$after"));
		push @ids, map { $_->{id} } @{ $list->{sandboxes} };
		$after = $list->{next};
	} while (defined $after);
	return \@ids;
}

# Returns once the gateway serves these ids and no other.
sub serves
{
	my ($f, $name, @ids) = @_;
	my $want = join ' ', sort @ids;
	ok(wait_for(sub { "@{ ids($f) }" eq $want }, 60), $name)
	    or diag substr("has @{ ids($f) }\nwants $want\n", 0, 4000),
	    substr(read_file($f->{log}), -4000);
}

sub answers
{
	my ($f, $id, $status, $name) = @_;
	my $answer;
	ok(wait_for(sub {
		$answer = get($f->{gateway}{port}, "/sandboxes/$id/port/$port/");
		return $answer->{status} == $status;
	}, 30), $name) or diag explain($answer), substr(read_file($f->{log}), -4000);
}

# How many times a resource has been listed.
sub listings
{
	my ($f, $resource) = @_;
	return scalar grep { /"discovery\.listed"/ && /"$resource"/ }
	    split /\n/, read_file($f->{log});
}

sub box
{
	return batchsandbox('127.0.0.1', @_);
}

# A relay before the server that keeps what is beyond so many bytes of an answer
# to itself while the file HOLD is there, and makes HELD when it does: its port.
sub relay
{
	my ($kube, $bytes, $hold, $held) = @_;
	my $port = free_port();
	my $listen = IO::Socket::INET->new(Listen => 8, ReuseAddr => 1,
	    LocalAddr => "127.0.0.1:$port") or die "listen: $!";

	spawn('relay', sub {
		$SIG{CHLD} = 'IGNORE';
		while (my $client = $listen->accept) {
			next if fork();
			my $server = IO::Socket::INET->new("127.0.0.1:$kube->{port}")
			    or POSIX::_exit(1);
			my $passed = 0;
			my $select = IO::Select->new($client, $server);
			while (my @ready = $select->can_read) {
				for my $from (@ready) {
					sysread $from, my $data, 16384 or POSIX::_exit(0);
					$passed += length $data if $from == $server;
					if ($passed > $bytes && -e $hold) {
						write_file($held, '');
						sleep 0.02 while -e $hold;
					}
					my $to = $from == $server ? $client : $server;
					print $to $data;
					$to->flush;
				}
			}
		}
	});
	close $listen;
	return $port;
}

# The ids that reach a Sandbox of a name.
sub agent_ids
{
	return map { ($_, "sandbox-$_") } @_;
}

subtest 'list, pages, watch' => sub {
	my $kube = KubeServer->new;
	my @many = map { sprintf 'box-%04d', $_ } 1 .. 1_100;
	$kube->change(map { ['put', 'batchsandboxes', "a/$_", box()] } @many);
	$kube->put('sandboxes', 'a/agent', sandbox('127.0.0.1'));
	my $f = fed_gateway($kube);
	serves($f, 'all pages', @many, agent_ids('agent'));
	ok(wait_for(sub { healthy($f) }), 'healthy');
	answers($f, $_, 200, "$_ is reached") for 'box-0001', 'box-1100', 'agent',
	    'sandbox-agent';

	$kube->put('batchsandboxes', 'b/new', box(ready => 0));
	answers($f, 'new', 503, 'one that is not ready');
	$kube->put('batchsandboxes', 'b/new', box());
	answers($f, 'new', 200, 'is when it is');
	$kube->put('batchsandboxes', 'c/new', box());
	answers($f, 'new', 502, 'not when its name is another\'s as well');
	$kube->delete('batchsandboxes', 'b/new');
	answers($f, 'new', 200, 'again when that one is gone');
	$kube->delete('batchsandboxes', 'c/new');
	answers($f, 'new', 404, 'until it goes');
	$kube->delete('sandboxes', 'a/agent');
	serves($f, 'what went is gone', @many);
	is(listings($f, 'batchsandboxes'), 1, 'all by one list');
};

for my $flag ([], ['--watch-cache=false']) {
	subtest "forgotten revisions: @{$flag}" => sub {
		my $kube = KubeServer->new(@$flag);
		$kube->put('batchsandboxes', "a/$_", box()) for 'stays', 'goes';
		my $f = fed_gateway($kube);
		serves($f, 'before', 'goes', 'stays');

		# Its watch ends before anything changes, and it may only ask again
		# when what it knows is long forgotten, also by a server that has
		# begun since.
		kill 'STOP', $f->{pid};
		$kube->stop_server;
		$kube->start_server;
		$kube->delete('batchsandboxes', 'a/goes');
		$kube->put('batchsandboxes', 'a/comes', box());
		$kube->compact;
		$kube->stop_server;
		$kube->start_server;
		kill 'CONT', $f->{pid};
		serves($f, 'after', 'comes', 'stays');
		cmp_ok(listings($f, 'batchsandboxes'), '>', 1, 'by another list');
		$kube->put('batchsandboxes', 'a/next', box());
		serves($f, 'and watches on', 'comes', 'next', 'stays');
	};
}

subtest 'a list that is forgotten between its pages' => sub {
	my $kube = KubeServer->new('--watch-cache=false');
	my ($hold, $held) = map { scratch() . "/$_" } 'hold', 'held';
	my @many = map { sprintf 'box-%04d', $_ } 1 .. 1_100;
	$kube->change(map { ['put', 'batchsandboxes', "a/$_", box()] } @many);
	write_file($hold, '');
	my $port = relay($kube, 150_000, $hold, $held);
	my $f = fed_gateway($kube, server => "https://127.0.0.1:$port");
	ok(wait_for(sub { -e $held }, 60), 'half of a page');
	ok(!healthy($f), 'health waits for all of it');
	$kube->delete('batchsandboxes', 'a/box-1100');
	$kube->compact;
	unlink $hold;
	serves($f, 'what is there by now', @many[0 .. 1_098]);
	ok(wait_for(sub { healthy($f) }), 'healthy');
};

subtest 'restarts' => sub {
	my $kube = KubeServer->new;
	$kube->put('batchsandboxes', 'a/one', box());
	my $f = fed_gateway($kube);
	answers($f, 'one', 200, 'before');
	for my $signal ('TERM', 'KILL') {
		my $new = lc "after-$signal";
		$kube->stop_server($signal);
		answers($f, 'one', 200, "server gone ($signal): the gateway serves");
		$kube->start_server;
		$kube->put('batchsandboxes', "a/$new", box());
		answers($f, $new, 200, 'and follows when it is back');
		$kube->delete('batchsandboxes', "a/$new");
	}
	$kube->stop_etcd('KILL');
	answers($f, 'one', 200, 'etcd gone: the gateway serves');
	$kube->start_etcd;
	wait_for(sub { eval { $kube->put('batchsandboxes', 'a/two', box()); 1 } }, 60);
	serves($f, 'and follows when it is back', 'one', 'two');
	$kube->stop_server;
	$kube->stop_etcd;
	answers($f, 'one', 200, 'both gone');
	$kube->start_etcd;
	$kube->start_server;
	$kube->delete('batchsandboxes', 'a/one');
	serves($f, 'and back', 'two');
};

subtest 'rotation of the token' => sub {
	my $kube = KubeServer->new;
	$kube->put('batchsandboxes', 'a/one', box());
	my $f = fed_gateway($kube, token_file => 1);
	answers($f, 'one', 200, 'before');
	$kube->rotate('another');
	$kube->stop_server;
	$kube->start_server;
	$kube->put('batchsandboxes', 'a/two', box());
	answers($f, 'two', 200, 'after');
	$kube->tokens({ $kube->{token} => 'nobody' });
	$kube->stop_server;
	$kube->start_server;
	answers($f, 'one', 200, 'rights gone: the gateway serves what it knows');
	$kube->tokens({ $kube->{token} => 'admin' });
	$kube->delete('batchsandboxes', 'a/one');
	answers($f, 'one', 404, 'and follows when they are back');
};

# A quiet resource's watch goes on after a restart, whose server remembers
# nothing, since a bookmark told it of revisions that were none of its own.
subtest 'bookmarks' => sub {
	my $kube = KubeServer->new;
	$kube->put('sandboxes', 'a/quiet', sandbox('127.0.0.1'));
	my $f = fed_gateway($kube);
	$kube->put('batchsandboxes', "a/$_", box()) for 1 .. 50;
	serves($f, 'both', 1 .. 50, agent_ids('quiet'));
	note 'waiting for the server\'s bookmark, one a minute';
	sleep 75;
	$kube->stop_server;
	$kube->start_server;
	$kube->put('sandboxes', 'a/more', sandbox('127.0.0.1'));
	answers($f, 'more', 200, 'the watch goes on');
	is(listings($f, 'sandboxes'), 1, 'without another list');
};

# Sandboxes come and go in portions; the last of each tells when a gateway has
# seen all of it.
subtest 'two gateways under churn' => sub {
	my $kube = KubeServer->new;
	my @f = map { fed_gateway($kube) } 1 .. 2;
	my (%there, @lags);
	for my $round (1 .. 20) {
		my @new = map { "r$round-$_" } 1 .. 50;
		my @gone = $round > 10 ? grep { /^r@{[$round - 10]}-/ } keys %there : ();
		$kube->change(
		    (map { ['put', 'batchsandboxes', "a/$_", box()] } @new),
		    (map { ['delete', 'batchsandboxes', "a/$_"] } @gone));
		delete @there{@gone};
		@there{@new} = ();
		my $mark = "mark-$round";
		$kube->put('batchsandboxes', "a/$mark", box());
		$there{$mark} = ();
		my $since = time;
		for my $f (@f) {
			wait_for(sub {
				api($f->{gateway}, 'GET', "/$mark")->{status} == 200
			}, 30);
			push @lags, time - $since;
		}
	}
	serves($f[$_], "gateway $_ has what the server has", keys %there) for 0, 1;
	is_deeply(ids($f[0]), ids($f[1]), 'they agree');
	@lags = sort { $a <=> $b } @lags;
	diag sprintf 'a change was at both gateways after %.0f ms (median), %.0f ms '
	    . '(most)', 1000 * $lags[@lags / 2], 1000 * $lags[-1];
	is(listings($_, 'batchsandboxes'), 1, 'by watching alone') for @f;
};

done_testing();
