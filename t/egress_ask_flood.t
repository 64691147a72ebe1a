# SPDX-License-Identifier: Apache-2.0
#
# What waits for approval is bounded, in names, in questions of a name and in
# all: what is over is denied at once and counted, and whoever is allowed is
# served all the while.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Test::More tests => 20;
use DnsWorld;
use Harness;
use World;

my $w = world();
world_dns($w);
my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_ASK => 200,
	OPENSANDBOX_EGRESS_LOG_LEVEL => 'error',
	OPENSANDBOX_EGRESS_RULES =>
	    '{"egress":[{"action":"allow","target":"good.test"}]}' });

sub message
{
	my ($id, $name, $type) = @_;

	return pack('n6', $id, 0x0100, 1, 0, 0, 0) . join('',
	    map { chr(length) . $_ } split /\./, $name) . "\0"
	    . pack('nn', $type, 1);
}

# Ask over UDP; returns how many were denied within a moment of silence.
sub flood
{
	my (@messages) = @_;

	return in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(Proto => 'udp',
		    PeerAddr => RESOLVER, PeerPort => 53) or die "socket: $!";
		my $select = IO::Select->new($s);
		my $denied = 0;
		my $hear = sub {
			while ($select->can_read($_[0])) {
				$s->recv(my $answer, 1000);
				$denied++ if unpack('x3C', $answer) % 16 == 3;
			}
		};

		while (my @some = splice @messages, 0, 20) {
			$s->send($_) for @some;
			$hear->(0.02);
		}
		$hear->(1);
		return $denied;
	});
}

sub pending { @{ (api($w, 'GET', '/pending'))[2]{pending} } }

sub metric
{
	my ($name) = @_;
	return (api($w, 'GET', '/metrics'))[1] =~ /^$name(?:\{.*\})? (\d+)$/m
	    ? $1 : undef;
}

sub served
{
	my ($when, @how) = @_;
	like(dig($w, @how, 'good.test'), qr/status: NOERROR/,
	    "$when: an allowed name is served @how");
}

# Names.
is(flood(map { message($_, "n$_.test", 1) } 1 .. 400), 144,
    'of 400 names 144 are denied at once');
is(scalar(pending()), 256, '  and 256 wait');
is(metric('egress_dns_pending'), 256, '  which are counted');
is(metric('egress_dns_not_held_total'), 144, '  as are the others');
served('many names');

# Questions of one name, each with an id of its own.
is(flood(map { message($_, 'n1.test', 1) } 1001 .. 1200), 73,
    'of 200 questions of a name that one asks already 73 are denied');
is((grep { $_->{name} eq 'n1.test' } pending())[0]{askers}, 128,
    '  and 128 wait');
served('many questions');

# All together.
my $denied = flood(map { my $n = $_; map { message(9, "n$n.test", $_) }
    15, 16, 28, 33 } 2 .. 256);
is($denied, 255 * 4 - (1024 - 256 - 127), 'no more than 1,024 wait in all');
my $sum = 0;
$sum += $_->{askers} for pending();
is($sum, 1024, '  which is what is listed');
is(flood(message(8, 'n2.test', 1)), 1, 'one more is denied');
is(flood(message(2, 'n2.test', 1)), 0, '  one that is asked again is not');
served('all');

# Connections, each with such a question.
is(scalar((api($w, 'PUT', '/policy', '{"defaultAction":"deny","egress":[
	{"action":"allow","target":"good.test"},
	{"action":"deny","target":"*.test"}]}'))[0]), 200,
    'a rule that denies them all');
is(scalar(pending()), 0, '  ends them all');
api($w, 'PUT', '/policy',
    '{"egress":[{"action":"allow","target":"good.test"}]}');
my $open = scratch() . '/open';
my $asker = spawn('asker', sub {
	in_netns($w->{sandbox}, sub {
		my @sockets;

		for my $n (1 .. 300) {
			my $s = IO::Socket::INET->new(Proto => 'tcp',
			    PeerAddr => RESOLVER, PeerPort => 53)
			    or die "connect: $!";
			my $message = message($n, "t$n.test", 1);

			$s->syswrite(pack('n', length $message) . $message);
			push @sockets, $s;
		}
		write_file($open, 'yes');
		sleep 60;
	});
});
ok(wait_for(sub { -e $open }, 30), '300 connections, each with a question');
ok(wait_for(sub { my $n = pending(); $n > 200 && $n <= 256 }, 20),
    '  some of which wait');
served('many connections', '+tcp');
stop($asker);
ok(wait_for(sub { !pending() }, 20), 'they go, and nothing waits');
is(stop($pid), 0, 'it ends');
