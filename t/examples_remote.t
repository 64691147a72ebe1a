#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# examples/remote-development does what it says, in a browser.

use strict;
use warnings;
use File::Find qw(find);
use Test::More tests => 3;
use Harness;

my ($status, $out) = capture(root() . '/examples/remote-development/run', '--check');

is($status, 0, 'every step came out as expected') or diag $out;
like($out, qr/^(\d+) of \1 steps as expected$/m, 'and all were made');

# A module that brings Debian's Node.js into code-server's process crashes it.
my @mixed;
find(sub {
	push @mixed, $File::Find::name
	    if /\.node\z/ && read_file($_) =~ /\blibnode\.so/;
}, root() . '/build/examples/remote-development');
is("@mixed", '', 'no compiled module wants another Node.js than the one it is for');
