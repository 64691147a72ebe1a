# SPDX-License-Identifier: Apache-2.0
#
# GET /flows and the gate: connections that it refuses are told, with the name
# that they gave and why, and those that it lets on by the name that they gave,
# whichever was looked up last.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

my $w = world();
world_dns($w, map { "--address=/$_.test/" . GOOD } qw(one two other));
world_web($w, 'internet', GOOD, 80, 'web');

sub flows
{
	my ($status, $text, $json) = api($w, 'GET', '/flows?limit=1000');
	my @flows = @{ ($json || die "no flows: $text")->{flows} };
	return grep { ($_->{port} // 0) == 80 } @flows;
}
sub ask
{
	my ($address, $host) = @_;
	return (sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null', '-H',
		"Host: $host", "http://$address/"))[0];
}
sub lookup { sees($w, 'getent', 'ahostsv4', $_[0]) }

my %env = (OPENSANDBOX_EGRESS_GATE => 'names',
	OPENSANDBOX_EGRESS_FLOW_LOG => 'true', OPENSANDBOX_EGRESS_RULES =>
	encode_json({ egress => [map { { action => 'allow', target => $_ } }
		qw(one.test two.test)] }));
for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => $how, env => \%env);

	lookup($_) for qw(one.test two.test);
	is(ask(GOOD, 'one.test'), 0, "$how: a name is let on");
	is(ask(GOOD, 'two.test'), 0, '  and another one of the address');
	my @let = flows();
	@let = @let[-2, -1];
	is($let[0]{name}, 'one.test', '  told by the name that it gave');
	is($let[0]{rule}, 'one.test', '  with its rule');
	is($let[1]{name}, 'two.test', '  each');
	is($_->{verdict}, 'allow', '  let on') for @let;

	isnt(ask(GOOD, 'other.test'), 0, 'another name is refused') for 1, 2;
	isnt(ask(GOOD, 'third.test'), 0, '  and a third');
	my @refused = grep { $_->{verdict} eq 'deny' } flows();
	@refused = @refused[-2, -1];
	is($refused[0]{name}, 'other.test', '  told by the name that it gave');
	is($refused[0]{packetsOut}, 2, '  how often');
	is($refused[0]{reason}, 'sni_mismatch', '  why');
	is($refused[0]{rule}, undef, '  by no rule');
	is($refused[0]{bytesOut}, 0, '  nothing left');
	is($refused[0]{address}, GOOD, '  where to');
	is($refused[0]{peer}, '10.88.0.5', '  from where');
	is($refused[1]{name}, 'third.test', '  each');
	sees($w, 'dig', '+tries=1', '+time=1', '-p', '80', '@' . GOOD, 'x.test');
	my $udp;
	ok(wait_for(sub { ($udp) = grep { $_->{protocol} eq 'udp' } flows() }),
	    'UDP to the port');
	is($udp->{verdict}, 'deny', '  is refused');
	is($udp->{rule}, undef, '  and by no rule that allows');
	is($udp->{source}, undef, '  of no list');
	ok(wait_for(sub { read_file(scratch() . "/$how.log") =~
		/"egress\.flow".*"target\.host":"one\.test"/ }), '  in the log, too');
	stop($pid);
}

my $pid = sidecar($w, name => 'audit', env => { %env,
	OPENSANDBOX_EGRESS_AUDIT => 'true' });
lookup('one.test');
is(ask(GOOD, 'other.test'), 0, 'an audit lets on');
{
	my $f = (flows())[-1];
	is($f->{verdict}, 'audit', '  and tells that it would not have been');
	is($f->{name}, 'other.test', '  the name that it gave');
	is($f->{reason}, 'sni_mismatch', '  and why');
	is($f->{rule}, undef, '  by no rule');
	cmp_ok($f->{bytesIn}, '>', 0, '  with its bytes');
}
is(ask(GOOD, 'one.test'), 0, 'what is allowed goes on');
is((flows())[-1]{verdict}, 'allow', '  and is told so');
stop($pid);
done_testing();
