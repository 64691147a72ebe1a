# SPDX-License-Identifier: Apache-2.0
#
# The resolvers are those of /etc/resolv.conf, whenever and however it changes:
# there may be none at the start and too many later.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use World;

use constant {
	FIRST  => '203.0.113.21',
	SECOND => '203.0.113.53',
};

my $w = world();
my (undef, $first) = dns_liar($w, FIRST, 'honest');
my (undef, $second) = dns_liar($w, SECOND, 'honest');
my $etc = scratch() . '/etc';
my $conf = "$etc/resolv.conf";
my $number = 0;

mkdir $etc or die "$etc: $!";

# A file in another's place.
sub replace
{
	my ($text) = @_;

	write_file("$conf.new", $text);
	rename "$conf.new", $conf or die "$conf: $!";
}

# What a new name gets, once the resolver of that file was asked for it.
sub served_by
{
	my ($seen) = @_;
	my $name;

	return wait_for(sub {
		$name = 'n' . $number++ . '.good.test';
		return dig($w, '+short', $name) eq "203.0.113.20\n"
		    && read_file($seen) =~ / \Q$name\E$/m;
	});
}

for my $how (qw(join sidecar)) {
	my $name = "sidecar-$how";
	my $log = scratch() . "/$name.log";

	write_file($conf, "# none yet\nnameserver nonsense\n");
	my $pid = sidecar($w, how => $how, name => $name,
	    under => ['sh', '-c', "mount --bind $etc /etc && exec \"\$@\"", 'sh'],
	    env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '',
		OPENSANDBOX_EGRESS_RULES =>
		'{"egress":[{"action":"allow","target":"*.good.test"}]}' });
	like(read_file($log), qr/"warn".*names no resolver.*--dns-upstream/,
	    "$how: a start without a resolver is told");
	like(dig($w, 'x.good.test'),
	    qr/status: SERVFAIL.*EDE: 23[^\n]*no resolver is known/s,
	    '  and questions are answered with it');

	write_file($conf, 'nameserver ' . FIRST . "\n");
	ok(served_by($first), '  the file is written: its resolver serves');
	replace('nameserver ' . SECOND . "\n");
	ok(served_by($second), '  another is put in its place');

	# As Kubernetes projects files, and systemd-resolved links to one.
	for my $version (1, 2) {
		mkdir "$etc/..$version";
		write_file("$etc/..$version/resolv.conf", 'nameserver '
		    . ($version == 1 ? FIRST : SECOND) . "\n");
	}
	symlink '..1', "$etc/..data" or die "..data: $!";
	unlink $conf;
	symlink '..data/resolv.conf', $conf or die "$conf: $!";
	ok(served_by($first), '  it becomes a link');
	symlink '..2', "$etc/..data.new" or die "..data.new: $!";
	rename "$etc/..data.new", "$etc/..data" or die "..data: $!";
	ok(served_by($second), '  to a file that becomes another');
	write_file("$etc/..2/resolv.conf", 'nameserver ' . FIRST . "\n");
	ok(served_by($first), '  or is written in its own folder');

	replace(join '', map { "nameserver $_\n" } SECOND,
	    map { "203.0.113.$_" } 101 .. 116);
	ok(served_by($second), '  17 resolvers');
	like(read_file($log), qr/too many resolvers.*"taken":16.*"left_out":1/,
	    '  of which the first are taken, which is told');
	is(stop($pid), 0, '  the sidecar ends');
	$pid = sidecar($w, how => $how, name => "$name-again",
	    under => ['sh', '-c', "mount --bind $etc /etc && exec \"\$@\"", 'sh'],
	    env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '',
		OPENSANDBOX_EGRESS_RULES =>
		'{"egress":[{"action":"allow","target":"*.good.test"}]}' });
	ok(served_by($second), '  and starts with them again');
	is(stop($pid), 0, '  the sidecar ends');
	unlink $conf, "$etc/..data", map { "$etc/..$_/resolv.conf" } 1, 2;
	rmdir "$etc/..$_" for 1, 2;
}
done_testing();
