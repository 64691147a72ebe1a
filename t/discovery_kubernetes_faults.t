#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Whatever becomes of a watch or a list, the gateway comes to have what the API
# server has: watches go on where they ended, and where they cannot all is
# listed anew; what is known is served meanwhile.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness qw(wait_for);
use Kube;
use KubeFeed;

my ($kube, $feed, $n);

# A server with two sandboxes, and a gateway that is fed.
sub begin
{
	my (@options) = @_;
	$feed->stop if $feed;
	$kube = Kube->new;
	$kube->put('batchsandboxes', "a/$_", batchsandbox('10.0.0.1')) for qw(stays goes);
	$feed = KubeFeed->new($kube, @options);
	ok($feed->serves(qw(stays goes)), '(fed)');
	watched();
}

# Waits for a watch.
sub watched
{
	wait_for(sub { $kube->counts->{watches} > 0 }, 30);
}

# A change arrives; the lists so far were as many.
sub follows
{
	my ($name, $lists) = @_;
	my $id = 'new-' . ++$n;
	$kube->put('batchsandboxes', "a/$id", batchsandbox('10.0.0.2'));
	ok($feed->has($id => { endpoint => '10.0.0.2' }), $name);
	is($feed->listings('batchsandboxes'), $lists, "by $lists list(s)") if $lists;
}

# How many lists were begun since the last call.
sub first_pages
{
	return scalar grep { $_->{target} =~ /limit=/ && $_->{target} !~ /continue=/ }
	    @{ $kube->requests };
}

for my $how ('end', 'cut', 'abort') {
	subtest "a watch that meets its $how" => sub {
		begin();
		$kube->interrupt($how);
		follows('goes on where it was', 1);
		$kube->listen(0);
		$kube->delete('batchsandboxes', 'a/goes');
		$kube->listen(1);
		ok($feed->has(goes => undef), 'also over what changed while it was away');
		is($feed->listings('batchsandboxes'), 1, 'without a list');
	};
}

subtest 'silence' => sub {
	begin('--watch-timeout', '1');
	$kube->interrupt('freeze');
	follows('is broken off, and its connection not used again', 1);
};

for my $protocol ('h2', 'http/1.1') {
	for my $form ('status', 'event') {
		subtest "a forgotten revision, told as $form over $protocol" => sub {
			begin();
			$kube->protocols($protocol);
			$kube->listen(0);
			$kube->delete('batchsandboxes', 'a/goes');
			$kube->put('batchsandboxes', 'a/comes', batchsandbox('10.0.0.3'));
			$kube->compact($form);
			$kube->listen(1);
			ok($feed->serves(qw(stays comes)), 'all is listed anew');
			is($feed->listings('batchsandboxes'), 2, 'by a second list');
			follows('and watched');
		};
	}
}

subtest 'bookmarks' => sub {
	begin();
	$kube->put('pods', 'a/other', pod('10.0.0.9', 'other')) for 1 .. 5;
	$kube->bookmark;
	$kube->compact;
	$kube->interrupt('end');
	follows('tell of revisions that were none of ours', 1);
};

subtest 'events' => sub {
	begin();
	follows('(one)');
	$kube->compact;
	$kube->interrupt('end');
	follows('tell of revisions too', 1);
};

subtest 'an ERROR event' => sub {
	begin();
	$kube->error(500, 'etcd is tired');
	ok($feed->fails(qr/500 etcd is tired/), 'is said');
	follows('all is listed anew, and watched');
	is($feed->listings('batchsandboxes'), 2, 'by a second list');
};

subtest 'events that are none' => sub {
	for my $text ("junk\n", qq({"type":"STRANGE","object":{}}\n), qq({"type":5}\n), "[]\n", "}\n",
	    qq({"type":"ADDED","object":{"metadata":{"name":"x\x01"}}}\n)) {
		begin();
		$kube->event('batchsandboxes', $text);
		ok($feed->fails(qr/what the server sent|unknown type/), 'are said');
		follows('all is listed anew, and watched', 2);
	}
};

subtest 'a list that ends in the middle' => sub {
	begin();
	$kube->fill('batchsandboxes', 'a/box-%n', batchsandbox('%a'), 600, 1);
	ok($feed->has('box-600' => {}), '(two pages)');
	$kube->requests;
	$kube->fail('continue=', 410, 1);
	$kube->error(500);
	wait_for(sub { $feed->listings('batchsandboxes') == 2 }, 30);
	is(first_pages(), 2, 'begins anew where its revision is forgotten');
	$kube->fail('continue=', 503, 2);
	$kube->error(500);
	wait_for(sub { $feed->listings('batchsandboxes') == 3 }, 30);
	is(first_pages(), 1, 'goes on with the page where the server is in trouble');
	follows('and the watch', 3);
	ok($feed->has('box-600' => {}), 'nothing is lost');
};

subtest 'a server in trouble' => sub {
	begin();
	$kube->requests;
	$kube->fail('watch=1', 500, 5);
	$kube->interrupt('end');
	ok($feed->fails(qr/status 500: as told/), 'is said');
	follows('tried again', 1);
	is(scalar($feed->logged('failed')), 2, 'said once, and that it is over');
	my @times = map { $_->{time} } grep { $_->{target} =~ /watch=1/ } @{ $kube->requests };
	cmp_ok($times[5] - $times[4], '>', 0.5, 'at distances that grow from a tenth of a second');
};

subtest 'a server that is too busy' => sub {
	begin();
	$kube->requests;
	$kube->fail('watch=1', 429, 1, { 'retry-after' => '2' });
	$kube->interrupt('end');
	follows('is asked later', 1);
	my @times = map { $_->{time} } grep { $_->{target} =~ /watch=1/ } @{ $kube->requests };
	# Our clock counts whole milliseconds.
	cmp_ok($times[1] - $times[0], '>', 1.998, 'when it says');
};

subtest 'a slow server' => sub {
	$kube = Kube->new;
	$kube->fill('batchsandboxes', 'a/box-%n', batchsandbox('%a'), 20);
	$kube->pace(7, 0.0005);
	$feed = KubeFeed->new($kube);
	ok($feed->serves(map { "box-$_" } 0 .. 19), 'a list in pieces');
	follows('and events');
};

subtest 'no server' => sub {
	begin();
	$kube->listen(0);
	ok($feed->fails(qr/./), 'is said');
	ok($feed->serves(qw(stays goes)), 'the gateway serves what it knows');
	is($feed->health->{status}, 200, 'healthy still');
	$kube->listen(1);
	follows('followed when it is back', 1);
};

done_testing();
