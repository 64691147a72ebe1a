#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The packages built again, elsewhere, at another hour and with another umask,
# are the same bytes; and they and make install put the same files in the same
# places.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA;
use Package;
use Test::More;
use Harness;

my $again = scratch() . '/again';
deb_build(root(), $again);
my %sum = map { my $file = $_; s{.*/}{}r => Digest::SHA->new(256)->addfile($file)->hexdigest }
    glob "$again/*.deb";
is(scalar keys %sum, 6, 'three packages, and their symbols');
for my $name (sort keys %sum) {
	is($sum{$name}, Digest::SHA->new(256)->addfile(root() . "/build/deb/$name")->hexdigest,
	    "$name is the same");
}

# What is in place: "mode path" of files.
my %packed;
for my $deb (values %{ debs() }) {
	for (split /\n/, (capture('dpkg-deb', '-c', $deb))[1]) {
		my ($mode, $path) = m{^-(\S{9}) .* \./(\S+)$} or next;
		$packed{$path} = $mode;
	}
}
my $there = scratch() . '/installed';
run('sh', '-ec', 'umask 077; make -s -C "$0" install DESTDIR="$1" PREFIX=/usr >/dev/null', root(), $there);
my %installed;
for (split /\n/, (capture('find', $there, '-type', 'f', '-printf', "%M %P\n"))[1]) {
	my ($mode, $path) = /^-(\S+) (.*)$/ or next;
	$installed{$path} = $mode;
}
my %conf;
for (keys %installed) {
	$conf{$1} = delete $installed{$_} if m{^usr/share/opensandbox/(conf/.*)};
}
# Debian packs manual pages with gzip.
is_deeply([grep { !defined $packed{$_} && !defined $packed{"$_.gz"} } sort keys %installed], [],
    'what make install puts into place is packed, there');
is_deeply([grep { $installed{$_} ne ($packed{$_} // $packed{"$_.gz"} // '') } sort keys %installed], [],
    '  with the same rights');
is_deeply([sort grep { !defined $installed{s/\.gz$//r} } grep { m{^usr/(?:s?bin|lib/nginx|share/(?:man|bash-completion|zsh))} }
	keys %packed], [], '  and what is packed of these is put there');
my %file = map { s/^conf\///r => 1 } split /\n/,
    (capture('git', '-C', root(), 'ls-files', 'conf'))[1];
is_deeply([grep { !$conf{"conf/$_"} } sort keys %file], [], 'settings are all there');
is_deeply([grep { $conf{$_} !~ /^r..r-.r-.$/ } sort keys %conf], [], '  for everybody to read');
done_testing();
