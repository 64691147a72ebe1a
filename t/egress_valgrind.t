# SPDX-License-Identifier: Apache-2.0
#
# The sidecar under valgrind's memcheck, in both modes: real questions, cached
# and not, over UDP and TCP, denied ones, junk; policies replaced, patched and
# refused; files that change; packets refused; SIGTERM. No access out of
# bounds or to what is not initialised, no leak; nothing is suppressed.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

plan skip_all => 'a sanitized program has a memory of its own'
    if build_dir() =~ m{/san$};
plan tests => 24;

my $w = world();
my $dir = scratch();

world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
mkdir "$dir/always";

sub dig_for { (sees($w, 'dig', '+time=9', '+tries=1', '@10.88.0.1', @_))[1] }

sub errors
{
	my ($text) = @_;
	return join "\n", grep { /\S/ } map {
		/ERROR SUMMARY: ([1-9]\d*) errors/ ? "$1 errors" :
		/definitely lost: ([1-9][\d,]*)/ ? "$1 bytes lost" :
		/indirectly lost: ([1-9][\d,]*)/ ? "$1 bytes lost" :
		/possibly lost: ([1-9][\d,]*)/ ? "$1 bytes perhaps lost" : ''
	} split /\n/, $text;
}

for my $how (qw(join sidecar)) {
	my @logs = ("$dir/$how.%p.memcheck");
	my $pid = sidecar($w, how => $how, name => "sidecar-$how", under => [
			'valgrind', '--quiet', '--leak-check=full',
			'--show-leak-kinds=definite,indirect,possible',
			'--errors-for-leak-kinds=definite,indirect,possible',
			'--track-origins=yes', '--error-exitcode=99', '-v',
			"--log-file=$logs[0]"],
		args => ['--always-dir', "$dir/always", '--policy-file',
			"$dir/policy-$how.json"],
		env => { OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });

	like(dig_for('good.test'), qr/\b203\.0\.113\.20\b/, "$how: a name");
	like(dig_for('good.test'), qr/NOERROR/, "$how: again");
	like(dig_for('+tcp', 'AAAA', 'good.test'), qr/2001:db8:113::20/,
	    "$how: over TCP");
	like(dig_for('evil.test'), qr/NXDOMAIN/, "$how: a denied one");
	dns_send($w, $_, GOOD, "junk" x 100) for qw(udp tcp);
	is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
	    "$how: a packet is refused");
	for my $i (1 .. 20) {
		api($w, 'PUT', '/policy', policy_of('good.test', "n$i.test",
			'10.0.0.0/8', map { "$_.$i.test" } 1 .. 50));
		dig_for("n$i.test", '+time=2');
	}
	is((api($w, 'PATCH', '/policy', [{ action => 'deny', target => '*',
			protocol => 'udp', ports => [443] }]))[0], 200,
	    "$how: twenty policies and a patch");
	is((api($w, 'DELETE', '/policy', ['n20.test']))[0], 200, "$how: a deletion");
	is((api($w, 'PUT', '/policy', '{"egress":[{"action":"allow"}]}'))[0], 400,
	    "$how: a policy that is none");
	write_file("$dir/always/deny.always", "good.test\n");
	ok(wait_for(sub { dig_for('good.test') =~ /NXDOMAIN/ }, 30),
	    "$how: a file that changes");
	unlink "$dir/always/deny.always";
	kill 'TERM', $pid;
	is(wait_exit($pid, 60), 0, "$how: SIGTERM ends it well");
	my @said = map { read_file($_) } glob "$dir/$how.*.memcheck";
	cmp_ok(scalar @said, '>=', 2, "$how: both processes were watched");
	is(join("\n", grep { length } map { errors($_) } @said), '',
	    "$how: and had nothing to answer for")
	    or diag map { join "\n", grep { !/^--\d+--/ } split /\n/ } @said;
}
