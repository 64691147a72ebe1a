# SPDX-License-Identifier: Apache-2.0
package Plot;

# Points as lines in an SVG, for the pages under docs.

use strict;
use warnings;
use Exporter 'import';
use List::Util qw(max);
use POSIX qw(ceil floor);

our @EXPORT = qw(plot_svg);

use constant { WIDTH => 640, HEIGHT => 320, LEFT => 56, RIGHT => 150,
	TOP => 36, BOTTOM => 48 };

my @colours = ('#1b6ca8', '#c8553d', '#3a7d44', '#7a4e9f', '#8a8a8a');

# Up to ten steps of a round size, from zero to $most or more.
sub ticks
{
	my ($most) = @_;
	my $step = 10**floor(log($most / 5) / log(10));
	my $n = $most / $step;

	$step *= $n > 25 ? 5 : $n > 10 ? 2 : 1;
	return map { $_ * $step } 0 .. ceil($most / $step);
}

sub label
{
	my ($x, $y, $anchor, $text) = @_;
	return qq(<text x="$x" y="$y" text-anchor="$anchor">$text</text>);
}

# plot_svg(TITLE, X, Y, NAME => [[x, y], ...], ...): the SVG's text. X and Y
# name the axes, which both begin at zero.
sub plot_svg
{
	my ($title, $x_name, $y_name, @series) = @_;
	my @points = map { @{ $series[2 * $_ + 1] } } 0 .. $#series / 2;
	my @x_ticks = ticks(max(map { $_->[0] } @points));
	my @y_ticks = ticks(max(map { $_->[1] } @points));
	my ($right, $bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
	my $x = sub { sprintf '%.1f',
		    LEFT + $_[0] / $x_ticks[-1] * ($right - LEFT) };
	my $y = sub { sprintf '%.1f',
		    $bottom - $_[0] / $y_ticks[-1] * ($bottom - TOP) };
	my @out = (
		sprintf('<svg xmlns="http://www.w3.org/2000/svg" width="%d"'
		    . ' height="%d" font-family="sans-serif" font-size="11">',
		    WIDTH, HEIGHT),
		sprintf('<rect width="%d" height="%d" fill="#fff"/>',
		    WIDTH, HEIGHT),
		label(LEFT, 20, 'start', $title),
		label(($right + LEFT) / 2, HEIGHT - 10, 'middle', $x_name),
		label(8, TOP - 8, 'start', $y_name));

	for my $v (@y_ticks) {
		push @out, sprintf('<path d="M%s %sH%s" stroke="#ddd"/>', LEFT,
		    $y->($v), $right),
		    label(LEFT - 6, $y->($v) + 4, 'end', $v);
	}
	push @out, map { label($x->($_), $bottom + 16, 'middle', $_) } @x_ticks;
	for my $i (0 .. $#series / 2) {
		my ($name, $line) = @series[2 * $i, 2 * $i + 1];
		my $colour = $colours[$i % @colours];
		my @at = map { $x->($_->[0]) . ',' . $y->($_->[1]) } @$line;

		push @out, sprintf('<polyline points="%s" fill="none"'
		    . ' stroke="%s" stroke-width="1.5"/>', "@at", $colour);
		push @out, map { sprintf '<circle cx="%s" cy="%s" r="2.5"'
			    . ' fill="%s"/>', split(/,/, $_), $colour } @at;
		push @out, sprintf('<rect x="%d" y="%d" width="10" height="10"'
		    . ' fill="%s"/>', $right + 12, TOP + 18 * $i, $colour),
		    label($right + 28, TOP + 18 * $i + 9, 'start', $name);
	}
	return join("\n", @out, '</svg>') . "\n";
}

1;
