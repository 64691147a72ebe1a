#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The work for declared sandboxes and policies grows as their number does: for
# four times as many it is far from sixteen times as much.

use strict;
use warnings;
use Test::More tests => 4;
use List::Util qw(min);
use Harness;
use Ingress;

my ($few, $many) = (8000, 32000);

# Seconds of the processor that "nginx -t" takes, the least of some runs.
sub cost
{
	my ($what, $n) = @_;
	my $text = $what eq 'policies'
	    ? join('', map { "opensandbox_policy p$_ { allow p$_.test; }\n" } 1 .. $n)
	    : join('', map { "opensandbox_sandbox sb-$_ { endpoint 192.0.2.1; }\n" } 1 .. $n);
	my $file = scratch() . '/many.conf';
	write_file($file, $text);
	my $g = Ingress::new_gateway(zone => 'opensandbox_zone sandboxes:64m;',
	    http => "include $file;");
	my $nginx = Ingress::nginx_binary();
	my $env = nginx_env();
	local @ENV{ keys %$env } = values %$env;
	return min(map {
		my ($status, $out) = capture('bash', '-c', 'TIMEFORMAT="took %U"; time '
		    . "$nginx -t -q -p $g->{prefix} -c $g->{prefix}/nginx.conf");
		$status == 0 && $out =~ /took ([\d.]+)/ ? $1 : die $out;
	} 1 .. 3);
}

for my $what (qw(sandboxes policies)) {
	my ($one, $four) = map { cost($what, $_) } $few, $many;
	cmp_ok($four, '<', 8 * $one + 0.1,
	    "$what: $few take $one s, $many take $four s");
	write_file(scratch() . '/twice.conf', $what eq 'policies'
	    ? 'opensandbox_policy x { deny *; } opensandbox_policy x { deny *; }'
	    : 'opensandbox_sandbox X { endpoint 1.1.1.1; }
	       opensandbox_sandbox x { endpoint 1.1.1.1; }');
	like(config_error(http => 'include ' . scratch() . '/twice.conf;'),
	    qr/duplicate (?:policy|sandbox) "x" in .*twice\.conf:\d/,
	    '  and one of them twice is found');
}
