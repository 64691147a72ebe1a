# SPDX-License-Identifier: Apache-2.0
#
# The demo comes out as it says, and leaves nothing behind, also when it is
# interrupted.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 6;
use Harness;

# Namespaces of a demo or test that has ended: those of others come and go.
sub leftovers
{
	return join ' ', sort grep { /^osb-(\d+)-/ && !-d "/proc/$1" }
	    map { (split)[0] // () } split /\n/, run('ip', 'netns', 'list');
}

my $before = leftovers();
my ($status, $out) = capture(root() . '/scripts/demo');
is($status, 0, 'every step as expected') or diag $out;
like($out, qr/^(\d+) of \1 steps as expected$/m, 'and says so');
unlike($out, qr/^NOT /m, 'no step went wrong');
is(leftovers(), $before, 'no namespace is left');

my $pid = start(name => 'demo', cmd => [root() . '/scripts/demo']);
wait_for(sub { read_file(scratch() . '/demo.log') =~ /tried/ }, 30);
my $end = stop($pid, 'INT');
isnt($end, 0, 'interrupted, it ends with another status');
is(leftovers(), $before, 'and leaves nothing either');
