#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An example at a terminal: Ctrl-C ends it, whatever it is doing, and nothing is
# left behind; several of one kind run side by side.

use strict;
use warnings;
use Test::More;
use IPC::Open2 qw(open2);
use Time::HiRes qw(sleep);
use Harness;

# The examples, and the words of one that is up.
my @all = qw(code-execution web-testing remote-development desktop);
my $up = qr/Ctrl-C ends it all/;
my $count = 0;

# An example at a terminal of its own, which scripts with no terminal do not have.
sub at_terminal
{
	my ($name) = @_;
	my $n = ++$count;
	my $tmp = scratch() . "/$n";
	my $run = root() . "/examples/$name/run";
	my $line = q{trap : INT; echo was $(stty -g); sh -c 'echo pid $$; exec RUN'; }
	    . q{echo ended $?; echo is $(stty -g)};

	mkdir $tmp;
	local $ENV{TMPDIR} = $tmp;
	my $pid = open2(my $out, my $keys, 'script', '-qfec', $line =~ s/RUN/$run/r,
	    '/dev/null');
	adopt($pid, "script $n");
	$out->blocking(0);
	$keys->autoflush(1);
	return { name => $name, pid => $pid, out => $out, keys => $keys, tmp => $tmp,
		said => '' };
}

# Waits until it has said so, or has ended.
sub said
{
	my ($t, $pattern) = @_;

	wait_for(sub {
		1 while sysread $t->{out}, $t->{said}, 4096, length $t->{said};
		$t->{said} =~ /$pattern|^is /m }, 1800);
	return $t->{said} =~ $pattern;
}

# Ctrl-C; what it left behind, in words.
sub left_by
{
	my ($t) = @_;
	my ($pid) = $t->{said} =~ /^pid (\d+)/m or return 'no pid';
	my $session = (capture('ps', '-o', 'sid=', '-p', $pid))[1] =~ s/\s//gr;
	my @left;

	print { $t->{keys} } "\cC";
	said($t, qr/^is /m) or push @left, 'itself';
	push @left, "status $1" if $t->{said} =~ /^ended (\d+)/m && $1 != 130;
	my ($was, $is) = $t->{said} =~ /^was (\S+).*^is (\S+)/ms;
	push @left, 'a terminal in disorder' if ($was // 0) ne ($is // 1);
	close $t->{keys};
	defined wait_exit($t->{pid}, 20) or push @left, 'its terminal';
	push @left, grep { !/^Z/ } split /\n/,
	    (capture('ps', '-o', 'stat=,args=', '-s', $session))[1];
	push @left, glob "$t->{tmp}/* /etc/netns/osb-$pid-*";
	push @left, grep { /^osb-$pid-/ } split ' ', (capture('ip', 'netns'))[1];
	return join "\n", @left;
}

# Up, then ended.
for my $name (@all) {
	my $t = at_terminal($name);
	ok(said($t, $up), "$name is up") or diag $t->{said};
	is(left_by($t), '', '  Ctrl-C leaves nothing of it') or diag $t->{said};
}

# Ended while it starts.
for my $after (qw(0 0.3 0.6 1 1.5 2.5)) {
	my $t = at_terminal('web-testing');
	said($t, qr/nothing to install/) or diag $t->{said};
	sleep $after;
	is(left_by($t), '', "$after s after its begin, it leaves nothing")
	    or diag $t->{said};
}

# Two at once, on ports of their own.
my @two = map { at_terminal('desktop') } 1, 2;
my @link = map { said($_, $up) && $_->{said} =~ m{(http://\S+:(\d+)/\S+)} ? [$1, $2] : () }
    @two;
is(@link, 2, 'two of one example are up') or diag map { $_->{said} } @two;
is(left_by($two[0]), '', '  one of them ends');
like((capture('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--resolve',
    "*:$link[1][1]:127.0.0.1", $link[1][0]))[1], qr/^30[23]$/, '  the other is still there');
is(left_by($two[1]), '', '  until it ends, too');

done_testing();
