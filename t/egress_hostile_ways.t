# SPDX-License-Identifier: Apache-2.0
#
# Ways out that are nobody's address: DNS of a socket that is bound to a device,
# which a redirection alone leaves on that device; loopback addresses beyond
# loopback; multicast groups whose names are the message; and connections that
# a conntrack helper expects, in the name of an allowed one. An ordinary user
# has them all.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Hostile;
use World;

my $dir = scratch();
my $w = world();
watch_cable($w);
run_in($w->{host}, 'nft', 'add counter netdev cable own; insert rule netdev'
    . ' cable arrive icmpv6 type mld2-listener-report counter name own');
liar($w, { 'good.test' => { A => [['good.test', 60, 'A', GOOD]],
	AAAA => [['good.test', 60, 'AAAA', GOOD6]] } });
world_web($w, 'internet', GOOD, 80, 'good');
start(name => 'ftp', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'passive_server', GOOD, 4242, 600]);

my @bound = map { my $a = $_; map { [$a, 53, $_] } qw(udp tcp later) }
    EVIL, EVIL6, '127.0.0.1', '::1', '10.88.0.1', 'fe80::1%eth0';

sub web
{
	return (sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null', '-w',
	    '%{http_code}', '-4', 'http://good.test/'))[1];
}

# Frames with a word in them on the cable while the sandbox tells it.
sub told
{
	my ($name) = @_;
	my $pid = start(name => $name, netns => $w->{host}, cmd => [python(),
		root() . '/t/tools/hostile.py', 'seen', 'sb0', 6, 'covert']);

	wait_for(sub { read_file("$dir/$name.log") =~ /listening/ });
	is(hostile($w, NOBODY, 'groups', 'eth0', 'covert'), 'joined',
	    "$name: groups are joined");
	wait_for(sub { read_file("$dir/$name.log") =~ /frames/ }, 20);
	return read_file("$dir/$name.log") =~ /with it (\d+)/ ? $1 : die $name;
}

# Without a sidecar they all leave.
for my $attempt (@bound) {
	my $before = leaked($w) + leaked($w, 'resolver');

	hostile($w, NOBODY, 'bound', 'eth0', @$attempt);
	next if $attempt->[0] =~ /^fe80/;
	cmp_ok(leaked($w) + leaked($w, 'resolver') - $before, '>', 0,
	    "before the sidecar, @$attempt leaves");
}
cmp_ok(told('before'), '>', 0, 'before the sidecar, names of groups leave');

my $helper = "table ip operator {\nct helper ftp { type \"ftp\" protocol tcp;\n}\n"
    . "chain out { type filter hook output priority 0;\n"
    . "tcp dport 21 ct helper set \"ftp\";\n}\n}\n";
write_file("$dir/helper.nft", $helper);
run_in($w->{sandbox}, 'nft', '-f', "$dir/helper.nft");
is(hostile($w, NOBODY, 'passive', GOOD), 'open',
    'before the sidecar, the data of FTP passes');

# A proxy of a mesh, and the redirection that leads there.
start(name => 'mesh', netns => $w->{sandbox}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', '127.0.0.1', 15001, 600]);
write_file("$dir/mesh.nft", "table ip mesh {\nchain out {\n"
    . "type nat hook output priority -100;\n"
    . "tcp dport 8088 redirect to :15001;\n}\n}\n");
run_in($w->{sandbox}, 'nft', '-f', "$dir/mesh.nft");

sub bound_stays
{
	my ($how) = @_;
	for my $attempt (@bound) {
		my $before = leaked($w) + leaked($w, 'resolver');

		hostile($w, NOBODY, 'bound', 'eth0', @$attempt);
		is(leaked($w) + leaked($w, 'resolver') - $before, 0,
		    "$how: DNS of a socket bound to a device, @$attempt,"
		    . ' does not leave');
	}
}

# Where the kernel has no egress hook, another chain does it.
my $old = sidecar($w, name => 'old', env => {
	OPENSANDBOX_EGRESS_WITHOUT => 'egress-hook',
	OPENSANDBOX_EGRESS_RULES   => '{}' });
bound_stays('old');
is(stop($old), 0, 'old: the sidecar ends well');

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => $how, env => {
		OPENSANDBOX_EGRESS_RULES => encode_json({ egress => [{
			action => 'allow', target => 'good.test',
			ports => [21, 80] }] }) });

	is(web(), '200', "$how: the allowed neighbour opens");
	bound_stays($how);
	is((sees($w, 'dig', '+short', '+tries=1', $_, 'good.test', 'A'))[1],
	    GOOD . "\n", "$how: without such a socket it is answered, $_")
	    for '@' . EVIL, '@' . EVIL6;
	is(told($how), 0, "$how: names of groups do not leave");
	# Our own groups are told, or a switch that listens would cut us off.
	my $reports = leaked($w, 'own');
	addr($w->{sandbox}, 'eth0', '2001:db8:88::77/64');
	ok(wait_for(sub { leaked($w, 'own') > $reports }, 10),
	    "$how: the group of a new address of ours is told");
	run('ip', '-n', $w->{sandbox}, 'addr', 'del', '2001:db8:88::77/64', 'dev',
	    'eth0');
	is(hostile($w, NOBODY, 'passive', GOOD), 'ECONNREFUSED',
	    "$how: what a helper expects is judged for itself");
	is(web(), '200', "$how: the allowed neighbour still opens");

	# Nor does a policy of allow mean the next host's loopback.
	is((api($w, 'PUT', '/policy', '{"defaultAction":"allow"}'))[0], 200,
	    "$how: everything is allowed");
	my $before = leaked($w);
	for my $address ('127.0.0.1', '::1') {
		unlike(hostile($w, NOBODY, 'bound', 'eth0', $address, 8080, $_),
		    qr/sent/, "$how: $address beyond loopback is refused, $_")
		    for qw(udp tcp);
	}
	is(leaked($w) - $before, 0, "$how: and does not leave");
	is(hostile($w, NOBODY, 'tcp', EVIL, 8088), 'open',
	    "$how: what another table redirects to loopback arrives");
	is(stop($pid), 0, "$how: the sidecar ends well");
}

done_testing(86 + @bound + 1);
