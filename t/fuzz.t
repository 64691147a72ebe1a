# SPDX-License-Identifier: Apache-2.0
#
# Every fuzzer takes its seeds, the inputs that once broke something among
# them, and two seconds of new ones.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 18;
use Harness;

my @targets = sort map { m{/(\w+)_fuzz\.c$} } glob root() . '/t/fuzz/*_fuzz.c';
is(@targets, 17, 'there are seventeen');
for my $name (@targets) {
	my ($status, $out) = capture(root() . '/scripts/fuzz', 2, $name);
	like($out, qr/^\| `$name` \| [\d,]+ \| [1-9]/m,
	    "$name finds nothing to complain of") or diag $out;
}
