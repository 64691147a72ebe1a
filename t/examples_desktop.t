#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# examples/desktop shows a desktop to who has the link, and takes keys.

use strict;
use warnings;
use Test::More tests => 2;
use Harness;

my ($status, $out) = capture(root() . '/examples/desktop/run', '--check');

is($status, 0, 'every step came out as expected') or diag $out;
like($out, qr/^(\d+) of \1 steps as expected$/m, 'and all were made');
