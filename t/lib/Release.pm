# SPDX-License-Identifier: Apache-2.0
package Release;

# A program as a package puts it in place: under a name that stays, and then in
# its stead, by rename, one that says it is another version.

use strict;
use warnings;
use Exporter 'import';
use Harness;

our @EXPORT = qw(release_old release_new VERSION_OLD VERSION_NEW);

my ($version) = read_file(root() . '/common/version.h') =~ /"([\d.]+)"/;
use constant VERSION_NEW => '9.9.9';
sub VERSION_OLD { return $version }

sub place
{
	my ($path, $bytes) = @_;

	write_file("$path.new", $bytes);
	chmod 0755, "$path.new";
	rename "$path.new", $path or die "$path: $!";
	return $path;
}

# release_old(NAME, FOLDER): build/NAME there; its path.
sub release_old
{
	my ($name, $folder) = @_;

	mkdir $folder;
	return place("$folder/$name", read_file(build_dir() . "/$name"));
}

# The same, another version. Its text has the other's length.
sub release_new
{
	my ($name, $folder) = @_;
	my $bytes = read_file("$folder/$name");
	my $new = substr VERSION_NEW . '0' x 20, 0, length $version;

	$bytes =~ s/\Q$version\E/$new/g or die "$name: no version in it";
	return place("$folder/$name", $bytes);
}

1;
