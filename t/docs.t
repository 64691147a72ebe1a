# SPDX-License-Identifier: Apache-2.0
#
# What docs/security.md says of tests is so: each attempt names at least one,
# and the file has a test of that name.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;

my %source;

# A test's source with the words of its names in one piece, and what it shares
# with others.
sub source
{
	my ($file) = @_;

	$source{$file} //= do {
		my $text = read_file(root() . "/t/$file");
		$text .= read_file(root() . '/t/lib/Hostile.pm')
		    if $text =~ /try_all/;
		$text =~ s/["']\s*\n?\s*\.\s*["']//g;
		$text =~ s/\\'/'/g;
		$text;
	};
	return $source{$file};
}

my $page = read_file(root() . '/docs/security.md');
my ($rows, $names, $last) = (0, 0, '');
for my $section (split /^## /m, $page) {
	next unless $section =~ /^\| (?:attempt|path) \|/m;
	for my $row (grep { /^\| (?!attempt|path|-)/ } split /\n/, $section) {
		# A bar inside a code span would end the cell too early.
		my (undef, $attempt, @cells) = split / ?\| /, $row;
		my $tests = $cells[-1];
		my @words = $tests =~ /(`[\w.]+\.t`|the same|"[^"]+")/g;
		my $here = 0;

		$rows++;
		for my $word (@words) {
			if ($word =~ /^`(.*)`$/) {
				$last = $1;
				ok(-e root() . "/t/$last", "$last is there");
				next;
			}
			next if $word eq 'the same';
			$here++;
			my ($name) = $word =~ /"(.*)"/;
			my @missing = grep { index(source($last), $_) < 0 }
			    split / ?… ?/, $name;
			is("@missing", '', "$last has \"$name\"");
		}
		cmp_ok($here, '>', 0, "a test's name for: " . substr($attempt // '', 0, 60));
		$names += $here;
	}
}
cmp_ok($rows, '>', 30, 'attempts are listed');
cmp_ok($names, '>', 60, 'with the names of tests');
done_testing();
