# SPDX-License-Identifier: Apache-2.0
#
# Resolvers that lie, fail, hang and come back: forged answers are ignored,
# the next resolver takes over, and the addresses of a forgery reach neither
# the client nor the kernel.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use List::Util qw(uniq);
use Time::HiRes qw(time);
use World;

use constant {
	FIRST => '203.0.113.21',
	LAST  => '203.0.113.53',
	SIXTH => '2001:db8:113::53',
};

my $w = world();
my %rules = (OPENSANDBOX_EGRESS_RULES => '{"egress":[
	{"action":"allow","target":"good.test"},
	{"action":"allow","target":"*.good.test"}]}');

sub lines { return split /\n/, read_file($_[0]) }

# A sidecar whose resolvers are these addresses; its last argument is code.
my $number = 0;
sub with
{
	my ($upstream, $env, $code) = @_;

	my $pid = sidecar($w, name => 'sidecar-' . $number++, env => {
		%rules, OPENSANDBOX_EGRESS_DNS_UPSTREAM => $upstream, %$env });

	$code->();
	is(stop($pid), 0, 'the sidecar ends');
}

for my $lie (qw(id question port source garbage twice)) {
	my ($liar, $seen) = dns_liar($w, LAST, $lie);

	with(LAST, {}, sub {
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    "a forgery ($lie) does not get through");
		is_deeply([learned($w)], ['203.0.113.20'],
		    'nor into the kernel');
	});
	stop($liar);
	unlink $seen;
}

# The list's order, failover, and the way back.
{
	my ($first, $seen1) = dns_liar($w, FIRST, 'silent');
	my ($last, $seen2) = dns_liar($w, LAST, 'honest');

	with(FIRST . ',' . LAST, {}, sub {
		my $start = time;
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    'a silent resolver: the next one answers');
		cmp_ok(time - $start, '<', 2, 'soon');
		dig($w, "n$_.good.test") for 1 .. 6;
		# Only a slow answer of the other brings the silent one in again.
		my @late = map { "late$_.good.test" } 1 .. 5;
		dig($w, $_) for @late;
		my %asked = map { / (\S+)$/ ? ($1 => 1) : () } lines($seen1);
		ok(scalar(grep { !$asked{$_} } @late),
		    'and is asked first when the silent one is known to be down');
		my $log = scratch() . '/sidecar-' . ($number - 1) . '.log';
		like(read_file($log), qr/"warn".*does not answer.*@{[FIRST]}/,
		    'which the log says');
		like((api($w, 'GET', '/metrics'))[1],
		    qr/^egress_dns_upstream_healthy(?:\{.*\})? 1$/m,
		    'and the metrics count');
		stop($first);
		unlink $seen1;
		($first, $seen1) = dns_liar($w, FIRST, 'honest');
		ok(wait_for(sub {
			dig($w, 'n' . int(rand(1e6)) . '.good.test');
			return scalar(grep { /good\.test/ } lines($seen1)) > 0;
		}, 15), 'it is asked again when it is back');
		ok(wait_for(sub { read_file($log) =~
			/"info".*answers again.*@{[FIRST]}/ }),
		    'which the log says, too');
	});
	stop($first);
	unlink $seen1;
	($first, $seen1) = dns_liar($w, FIRST, 'servfail');
	with(FIRST . ',' . LAST, {}, sub {
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    'a resolver that fails: the next one answers');
		ok(scalar(grep { /good\.test/ } lines($seen1)),
		    'the first was asked first');
	});
	stop($first);
	unlink $seen1;
	with(FIRST . ',' . LAST, {}, sub {
		my $start = time;
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    'a resolver that is not there: the next one answers');
		cmp_ok(time - $start, '<', 1, 'at once');
	});
	stop($last);
	unlink $seen2;
}

# All of them gone.
{
	with(FIRST, { OPENSANDBOX_EGRESS_DNS_UPSTREAM_TIMEOUT => '1' }, sub {
		my $start = time;
		like(dig($w, '+timeout=8', 'good.test'),
		    qr/status: SERVFAIL.*EDE: 2[23]/s,
		    'nobody there: SERVFAIL says so');
		cmp_ok(time - $start, '<', 4, 'when the time is over');
	});
	my ($liar, $seen) = dns_liar($w, LAST, 'silent');
	with(LAST, { OPENSANDBOX_EGRESS_DNS_UPSTREAM_TIMEOUT => '1' }, sub {
		like(dig($w, '+timeout=8', 'good.test'),
		    qr/status: SERVFAIL.*EDE: 22/s, 'no answer: SERVFAIL, EDE 22');
	});
	stop($liar);
	unlink $seen;
	for my $error (qw(servfail refused)) {
		($liar, $seen) = dns_liar($w, LAST, $error);
		with(LAST, {}, sub {
			like(dig($w, 'good.test'),
			    qr/status: SERVFAIL.*EDE: 22[^\n]*\U$error/s,
			    "no other than $error: SERVFAIL, EDE 22");
			like((api($w, 'GET', '/metrics'))[1],
			    qr/^egress_dns_query_failed_total(?:\{.*\})? 1$/m,
			    '  and it is counted');
		});
		stop($liar);
		unlink $seen;
	}
}

# Who asks whether an answer is authentic is told what the resolver says, from
# the cache too; who does not ask is not.
{
	my ($liar, $seen) = dns_liar($w, LAST, 'authentic');

	with(LAST, {}, sub {
		unlike(dig($w, '+noad', 'good.test'), qr/flags:[^;]* ad/,
		    'no AD for who does not ask');
		like(dig($w, '+ad', 'good.test'), qr/flags:[^;]* ad/,
		    'AD for who does');
	});
	stop($liar);
	unlink $seen;
}

# A health probe, while there is traffic.
{
	my ($liar, $seen) = dns_liar($w, LAST, 'honest');

	with(LAST, { OPENSANDBOX_EGRESS_DNS_UPSTREAM_PROBE => 'Alive.Test.',
		OPENSANDBOX_EGRESS_DNS_UPSTREAM_PROBE_INTERVAL_SEC => 1 }, sub {
		dig($w, 'good.test');
		ok(wait_for(sub { scalar grep { / alive\.test$/ } lines($seen) }),
		    'a health probe asks for its name');
	});
	stop($liar);
	unlink $seen;
}

# Over TCP when an answer was truncated.
{
	my ($liar, $seen) = dns_liar($w, LAST, 'truncate');

	with(LAST, {}, sub {
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    'a truncated answer is asked for over TCP');
		is_deeply([map { /^(\w+)/ } grep { /good\.test/ } lines($seen)],
		    ['udp', 'tcp'], 'once');
	});
	stop($liar);
	unlink $seen;
	($liar, $seen) = dns_liar($w, LAST, 'tcphang');
	with(LAST, { OPENSANDBOX_EGRESS_DNS_UPSTREAM_TIMEOUT => '1' }, sub {
		like(dig($w, '+timeout=8', 'good.test'), qr/status: SERVFAIL/,
		    'a resolver that hangs over TCP: SERVFAIL in time');
	});
	stop($liar);
	unlink $seen;
}

# One that does not know EDNS.
{
	my ($liar, $seen) = dns_liar($w, LAST, 'noedns');

	with(LAST, {}, sub {
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    'a resolver without EDNS is asked without');
	});
	stop($liar);
	unlink $seen;
}

# IPv6 alone, ids and ports, and questions that share one of ours.
{
	my ($liar, $seen) = dns_liar($w, SIXTH, 'honest');

	with('[' . SIXTH . ']', {}, sub {
		is(dig($w, '+short', 'good.test'), "203.0.113.20\n",
		    'a resolver with only an IPv6 address');
		dig($w, "n$_.good.test") for 1 .. 60;
		my @asked = map { [split] } grep { /n\d+\.good/ } lines($seen);
		is(scalar(uniq map { $_->[3] } @asked), 60, 'each name is asked for');
		cmp_ok(scalar @asked, '<', 66,
		    'once, but for what a busy machine answers late');
		cmp_ok(scalar(uniq map { $_->[2] } @asked), '>', 55,
		    'with ids that differ');
		cmp_ok(scalar(uniq map { $_->[1] } @asked), '>=', 25,
		    'from many ports');
		my $open = () = run_in($w->{host}, 'ss', '-Hun', 'dst',
		    '[' . SIXTH . ']') =~ /^\S/mg;
		cmp_ok($open, '>=', 25, 'that are open at a time');
		my $steps = grep { ($asked[$_][2] - $asked[$_ - 1][2]) % 65536
		    < 16 } 1 .. $#asked;
		cmp_ok($steps, '<', 6, 'that do not count up');
	});
	stop($liar);
	unlink $seen;
	($liar, $seen) = dns_liar($w, LAST, 'slow');
	with(LAST, {}, sub {
		my $answers = (sees($w, 'sh', '-c',
		    'for i in 1 2 3 4 5 6 7 8; do dig +time=3 +tries=1 +short @'
		    . LAST . ' good.test & done; wait'))[1];
		is($answers, "203.0.113.20\n" x 8, 'eight ask the same');
		my @n = grep { / good\.test/ } lines($seen);
		cmp_ok(scalar @n, '<=', 2, 'and share one question of ours');
	});
	stop($liar);
}
done_testing();
