# SPDX-License-Identifier: Apache-2.0
package Bench;

# What the benches share: docs/bench.md, of which each writes its own section,
# and a plot.

use strict;
use warnings;
use Exporter 'import';
use POSIX qw(floor log10);
use Harness;

our @EXPORT = qw(median spread write_section plot thousands);

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

# Half of the way from the least to the most, in parts of the median.
sub spread
{
	my @sorted = sort { $a <=> $b } @_;
	return ($sorted[-1] - $sorted[0]) / 2 / median(@_);
}

# Puts the text under the title, in the place of what was there before.
sub write_section
{
	my ($title, $text) = @_;
	my $path = root() . '/docs/bench.md';
	my $page = -e $path ? read_file($path) : "# Measurements\n";
	my $section = "## $title\n\n$text";
	$section =~ s/\n*\z/\n\n/;
	if ($page !~ s/^## \Q$title\E\n.*?(?=^## |\z)/$section/ms) {
		$page =~ s/\n*\z/\n\n$section/;
	}
	$page =~ s/\n*\z/\n/;
	write_file($path, $page);
	print "written to docs/bench.md\n";
}

# A plot of lines over a logarithmic axis, as SVG:
# plot(FILE, title =>, x =>, y =>, lines => [[name, colour, [x, y], ...], ...])
sub plot
{
	my ($path, %o) = @_;
	my ($left, $top, $width, $height) = (70, 40, 460, 240);
	my @points = map { @$_[2 .. $#$_] } @{ $o{lines} };
	my ($first, $last) = (sort { $a <=> $b } map { $_->[0] } @points)[0, -1];
	my ($most) = sort { $b <=> $a } map { $_->[1] } @points;
	my $step = 10 ** floor(log10($most));
	$step /= 2 if $most / $step < 2;
	my $high = $step * (floor($most / $step) + 1);
	my $x = sub { $left + $width * log10($_[0] / $first)
	    / log10($last / $first) };
	my $y = sub { $top + $height * (1 - $_[0] / $high) };
	my $text = sub {
		my ($at_x, $at_y, $anchor, $words, $more) = @_;
		return sprintf '<text x="%.0f" y="%.0f" text-anchor="%s"%s>%s'
		    . "</text>\n", $at_x, $at_y, $anchor, $more // '', $words;
	};
	my $svg = <<"SVG";
<svg xmlns="http://www.w3.org/2000/svg" width="720" height="340"
 viewBox="0 0 720 340" font-family="sans-serif" font-size="12">
<!-- SPDX-License-Identifier: Apache-2.0 -->
<rect width="720" height="340" fill="white"/>
SVG
	$svg .= $text->($left, 22, 'start', $o{title}, ' font-weight="bold"');
	$svg .= $text->($left + $width / 2, $top + $height + 40, 'middle', $o{x});
	for (my $value = 0; $value <= $high; $value += $step) {
		$svg .= sprintf '<line x1="%d" x2="%d" y1="%.0f" y2="%.0f"'
		    . " stroke=\"#ddd\"/>\n", $left, $left + $width,
		    ($y->($value)) x 2;
		$svg .= $text->($left - 8, $y->($value) + 4, 'end',
			thousands($value));
	}
	my %seen;
	for my $value (grep { !$seen{$_}++ } map { $_->[0] } @points) {
		$svg .= $text->($x->($value), $top + $height + 18, 'middle',
			thousands($value));
	}
	my $n = 0;
	for (@{ $o{lines} }) {
		my ($name, $colour, @line) = @$_;
		$svg .= sprintf "<polyline fill=\"none\" stroke=\"%s\""
		    . " stroke-width=\"2\" points=\"%s\"/>\n", $colour,
		    join ' ', map { sprintf '%.0f,%.0f', $x->($_->[0]),
			$y->($_->[1]) } @line;
		$svg .= sprintf "<circle cx=\"%.0f\" cy=\"%.0f\" r=\"3\""
		    . " fill=\"%s\"/>\n", $x->($_->[0]), $y->($_->[1]), $colour
		    for @line;
		my $legend = $top + 20 + 22 * $n++;
		$svg .= sprintf "<rect x=\"%d\" y=\"%d\" width=\"14\""
		    . " height=\"4\" fill=\"%s\"/>\n", $left + $width + 20,
		    $legend - 6, $colour;
		$svg .= $text->($left + $width + 40, $legend, 'start', $name);
	}
	write_file($path, "$svg</svg>\n");
}

sub thousands
{
	my ($number) = @_;
	my $text = sprintf '%.0f', $number;
	1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;
	return $text;
}

1;
