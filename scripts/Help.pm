# SPDX-License-Identifier: Apache-2.0
package Help;

# What the programs' --help says, taken apart: what manual pages and shell
# completion are made of.

use strict;
use warnings;
use FindBin;

my $root = "$FindBin::Bin/..";

sub read_file
{
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!\n";
	local $/;
	return scalar <$f>;
}

sub program
{
	my ($name) = @_;
	return ($ENV{BUILD} || "$root/build") . "/$name";
}

# The names in egress-sidecar's table of subcommands, in its order.
sub subcommands
{
	my ($table) = read_file("$root/egress-sidecar/main.c")
	    =~ /^\} subcommands\[\] = \{\n(.*?)^\};/ms
	    or die "egress-sidecar/main.c has no table of subcommands\n";
	return $table =~ /\{"([a-z-]+)", \w+\}/g;
}

# An item of a list, from its head and its text: an option, or a word. In the
# options of the programs the variable stands in a line of its own.
sub item
{
	my ($head, $text) = @_;
	my %item = (head => $head);

	$item{variable} = $1 if $text =~ s/^\s*(OPENSANDBOX_\w+)\n//;
	@item{qw(option argument)} = ($1, $2 // '')
	    if $head =~ /^--([a-z0-9-]+)(?:[ =](.*))?$/;
	$item{text} = join ' ', split ' ', $text;
	return \%item;
}

# A help text as its blocks, in order: {usage => [LINE...]}, {text => PARAGRAPH},
# {items => [item...]}.
sub blocks
{
	my ($help) = @_;
	my @blocks;

	for my $part (split /\n{2,}/, $help) {
		my @lines = split /\n/, $part;
		if (@lines && $lines[0] =~ s/^usage: +//) {
			my @usage = shift @lines;
			push @usage, shift(@lines) =~ s/^ +//r
			    while @lines && $lines[0] =~ /^ {3,}/;
			push @blocks, { usage => \@usage };
		}
		my @text;
		push @text, shift @lines while @lines && $lines[0] !~ /^  \S/;
		push @blocks, { text => join ' ', map { split } @text } if @text;
		my @items;
		while (@lines) {
			my $line = shift @lines;
			my ($head, $rest) = $line =~ /^  (\S.*?)(?: {2,}(.*))?$/
			    or die "no item of a list: $line\n";
			# A head too long for its column has one space behind it.
			($head, $rest) = ($1, $2)
			    if !defined $rest && $head =~ /^(--\S+ [A-Z|]+) (.+)/;
			my $text = $rest // '';
			$text .= "\n" . shift @lines
			    while @lines && $lines[0] =~ /^ {3,}/;
			$text =~ s/^\n//;
			push @items, item($head, "$text\n");
		}
		push @blocks, { items => \@items } if @items;
	}
	return @blocks;
}

# The blocks of "PROGRAM [SUBCOMMAND] --help"; none where it has no such text.
sub help
{
	my ($program, @subcommand) = @_;
	open my $out, '-|', 'sh', '-c', '"$@" --help 2>/dev/null </dev/null', 'sh',
	    program($program), @subcommand or die "$program: $!\n";
	local $/;
	my $text = <$out> // '';
	close $out;
	return $text =~ /^usage: / ? blocks($text) : ();
}

# [option...] of blocks.
sub options
{
	return grep { defined $_->{option} } map { @{ $_->{items} || [] } } @_;
}

# The version, and the day of its release in CHANGELOG.md.
sub release
{
	my ($version) = read_file("$root/common/version.h")
	    =~ /^#define OPENSANDBOX_VERSION "(.*)"$/m
	    or die "common/version.h has no version\n";
	my ($day) = read_file("$root/CHANGELOG.md") =~ /^## \[\Q$version\E\] - (\S+)/m
	    or die "CHANGELOG.md has no $version\n";
	return ($version, $day);
}

1;
