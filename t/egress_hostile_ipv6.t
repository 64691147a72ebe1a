# SPDX-License-Identifier: Apache-2.0
#
# IPv6 is neither forgotten nor needed: where it works it is under the same
# policy, neighbour discovery included; where the sandbox has it switched off,
# or on later, and where the only resolver has an IPv6 address, all is the same.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');

my $w = world();
watch_cable($w);
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', GOOD6, 80, 'good6');
world_web($w, 'internet', EVIL6, 80, 'evil6');

my $rules = { OPENSANDBOX_EGRESS_RULES => policy_of('good.test') };

sub disable
{
	my ($value) = @_;

	run_in($w->{sandbox}, 'sysctl', '-qw',
	    map { "net.ipv6.conf.$_.disable_ipv6=$value" } qw(all default lo eth0));
}

sub same
{
	my ($name) = @_;

	is((sees($w, @web, '-4', 'http://good.test/'))[1], '200',
	    "$name: the allowed neighbour opens");
	like((sees($w, 'dig', '+tries=1', '+time=2', '@10.88.0.1', 'evil.test'))[1],
	    qr/NXDOMAIN/, "$name: a denied name is denied");
	is(hostile($w, NOBODY, 'tcp', EVIL, 80), 'ECONNREFUSED',
	    "$name: a denied address is refused");
}

sub same6
{
	my ($name) = @_;

	run('ip', '-n', $w->{sandbox}, '-6', 'neigh', 'flush', 'all');
	is((sees($w, @web, '-6', 'http://good.test/'))[1], '200',
	    "$name: over IPv6 too, by neighbour discovery");
	like((sees($w, 'dig', '+tries=1', '+time=2', '@2001:db8:88::1',
	    'evil.test'))[1], qr/NXDOMAIN/, "$name: DNS to an IPv6 address is ours");
	like(hostile($w, NOBODY, 'tcp', EVIL6, 80), qr/^(ECONNREFUSED|EACCES)$/,
	    "$name: a denied IPv6 address is refused");
	like(hostile($w, ROOT, 'ping', EVIL6), qr/^(EPERM|EACCES)$/,
	    "$name: ICMPv6 is neighbour discovery and no more");
}

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => "both-$how", env => $rules);

	same("$how, with IPv6");
	same6("$how, with IPv6");
	is(stop($pid), 0, "$how: it ends well");

	$pid = sidecar($w, how => $how, name => "only6-$how", env => { %$rules,
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER6 });
	same("$how, with a resolver on IPv6 alone");
	same6("$how, with a resolver on IPv6 alone");
	is(stop($pid), 0, "$how: it ends well");

	disable(1);
	$pid = sidecar($w, how => $how, name => "off-$how", env => $rules);
	same("$how, with IPv6 switched off");
	like(hostile($w, NOBODY, 'tcp', EVIL6, 80),
	    qr/^(EADDRNOTAVAIL|ENETUNREACH|ECONNREFUSED|EACCES|EPERM)$/,
	    "$how: a denied IPv6 address is out of reach");

	# Switched on behind our back: closed, with or without answers.
	disable(0);
	addr($w->{sandbox}, 'eth0', '2001:db8:88::5/64');
	run('ip', '-n', $w->{sandbox}, 'route', 'replace', 'default', 'via',
	    '2001:db8:88::1');
	same("$how, switched on behind our back");
	like(hostile($w, NOBODY, 'tcp', EVIL6, 80), qr/^(ECONNREFUSED|EACCES)$/,
	    "$how: IPv6 that came later is closed");
	unlike((sees($w, 'dig', '+tries=1', '+time=1', '@' . RESOLVER6,
	    'evil.test'))[1], qr/status: NOERROR/,
	    "$how: no other resolver answers there");
	is(stop($pid), 0, "$how: it ends well");
}
is(counted($w, 'evil'), 0, 'nothing arrived at the denied address');
is(leaked($w), 0, 'no packet left');

done_testing(54);
