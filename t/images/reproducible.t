#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An image built again of the same base and sources, with nothing of the first
# build at hand, has the same files: its layers have the same digests.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use Harness;
use Images;

my $base = 'localhost/opensandbox-base:bookworm';

sub look
{
	return decode_json(run('podman', 'image', 'inspect', image($_[0])))->[0];
}

plan skip_all => "built on something else than $base"
    if (capture('podman', 'image', 'exists', $base))[0] != 0;
for my $name (qw(gateway egress discovery)) {
	my $before = look($name);
	run('env', "BASE=$base", 'FRESH=1', root() . '/scripts/images', $name);
	my $after = look($name);
	is_deeply($after->{RootFS}{Layers}, $before->{RootFS}{Layers}, "$name: the same files");
}
done_testing();
