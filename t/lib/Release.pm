# SPDX-License-Identifier: Apache-2.0
package Release;

# A program as a package puts it in place: under a name that stays, and then in
# its stead, by rename, one that says it is another version.

use strict;
use warnings;
use Exporter 'import';
use Harness;

our @EXPORT = qw(release_old release_new another_version VERSION_OLD VERSION_NEW);

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

# The same, another version.
sub release_new
{
	my ($name, $folder) = @_;
	my $bytes = read_file("$folder/$name");
	my $new = another_version($bytes, substr VERSION_NEW . '0' x 20, 0,
	    length $version);

	die "$name: no version in it" if $new eq $bytes;
	return place("$folder/$name", $new);
}

# A program's bytes, saying another version, of the same length. The text alone,
# not numbers of the ELF file.
sub another_version
{
	my ($bytes, $new) = @_;

	die "$new is not as long as $version\n" if length $new != length $version;
	return $bytes =~ s/(?<![0-9.])\Q$version\E(?![0-9.])/$new/gr;
}

1;
