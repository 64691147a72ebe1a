# SPDX-License-Identifier: Apache-2.0
package Faults;

# A sandbox that tries to get out all the while, and a neighbour that it may
# reach, around whatever is done to the sidecar.

use strict;
use warnings;
use Exporter 'import';
use Harness;
use Hostile;
use World;

our @EXPORT = qw(faults_world faults_time lookup serves refuses probe
    probes_alive worker_of);

my @probes;

# World, cable counter, DNS server, and echo servers at GOOD and EVIL, port 7.
# allowed: one more address that the policy may allow at times.
sub faults_world
{
	my (%o) = @_;
	my @more = $o{allowed} // ();
	my $w = world();

	watch_cable($w, allowed => [GOOD, GOOD6, @more]);
	world_dns($w);
	start(name => 'echo', netns => $w->{internet}, cmd => [python(),
		root() . '/t/tools/hostile.py', 'echo',
		join(',', GOOD, GOOD6, EVIL, EVIL6, @more), 7, 3600]);
	wait_for(sub { read_file(scratch() . '/echo.log') =~ /listening/ })
	    or die "the echo servers did not start\n";
	return $w;
}

# Seconds for what happens at random moments: make faults TIME=
sub faults_time
{
	return $ENV{FAULTS_TIME} || 8;
}

sub lookup
{
	my ($w, $name) = @_;

	return (sees($w, 'dig', '+short', '+time=2', '+tries=1', '@10.88.0.1',
		$name || 'good.test'))[1];
}

# Is there service, at the latest after so many seconds?
sub serves
{
	my ($w, $seconds) = @_;

	return wait_for(sub { lookup($w) eq GOOD . "\n"
		&& hostile($w, NOBODY, 'tcp', GOOD, 7) eq 'open' },
	    $seconds || 20);
}

sub refuses
{
	my ($w) = @_;

	return hostile($w, NOBODY, 'tcp', EVIL, 7) eq 'ECONNREFUSED';
}

# A packet to denied addresses every few milliseconds from now on.
sub probe
{
	my ($w, $name) = @_;

	push @probes, hostile_start($w, NOBODY, "$name-udp", 'probe', EVIL, 7,
	    3600), hostile_start($w, NOBODY, "$name-udp6", 'probe', EVIL6, 7,
	    3600), hostile_start($w, ROOT, "$name-raw", 'probe', EVIL, 53000,
	    3600);
}

sub probes_alive
{
	return @probes == grep { alive($_) } @probes;
}

sub worker_of
{
	my ($pid) = @_;

	return (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/ ? $1 : 0;
}

1;
