# SPDX-License-Identifier: Apache-2.0
#
# The drawing of the tree in docs/architecture.md has the folders that there
# are, in the places where they are, each with a word on what it holds; and the
# files that the page names are there. Which header a file of the module begins
# with is seen here too.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename;
use Test::More tests => 5;
use Harness;

my $root = root();
my $page = read_file("$root/docs/architecture.md");
my ($drawing) = $page =~ /^## The tree\n.*?^```\n(.*?)^```$/ms;
ok($drawing, 'there is a drawing');

my ($above, @drawn, @bare, %rooms) = ('');
for (split /\n/, $drawing) {
	my ($blanks, $folder, $words) = m{^( *)([\w-]+)/\s*(.*)$} or next;
	$above = $folder if !$blanks;
	push @drawn, $blanks ? "$above/$folder" : $folder;
	push @bare, $drawn[-1] if $words !~ /\w/;
}
is("@bare", '', 'each folder has its words');

# Folders on top but what is built, and those right below the ones that are
# drawn with rooms.
$rooms{ (split m{/})[0] } = 1 for grep { m{/} } @drawn;
my @there;
for my $top (map { basename($_) } grep { -d } glob "$root/*") {
	next if $top eq 'build';
	push @there, $top;
	push @there, map { "$top/" . basename($_) } grep { -d } glob "$root/$top/*"
	    if $rooms{$top};
}
is_deeply([sort @drawn], [sort @there],
    'the folders in the drawing are those of the tree');

# `folder/file.c`, with the program's folder or below one of them; and the files
# of worked examples
my @lost = grep {
	my $name = $_;
	!grep { -e "$root/$_$name" } '', 'ngx_opensandbox_module/', 'egress-sidecar/',
	    'discovery/', 'common/';
} $page =~ m{(?:`|^\+\+\+ b/)([\w/.-]+\.(?:[ch]|t|pm))(?:`|$)}mg;
is("@lost", '', 'every file that the page names is there');

# nginx's own headers say which system interfaces there are (_GNU_SOURCE), which
# is too late once a header of the system has been read: newer nginx does not
# compile then. A file that takes nothing of nginx's is free.
my @late = grep {
	my @headers = read_file("$root/$_") =~ /^#include (.*)$/mg;
	@headers && $headers[0] =~ /^<(?!ngx_)/ && grep { /^"|^<ngx_/ } @headers;
} split /\n/, `cd $root && find ngx_opensandbox_module -name '*.[ch]'`;
is("@late", '', 'files of the module begin with a header of nginx or their own');
