# SPDX-License-Identifier: Apache-2.0
package FilterWorld;

# A sandbox and an internet on one cable, the filter driven by hand, and a
# counter of every frame that arrives on the other side.
#
#   sandbox 10.99.0.2, 2001:db8:99::2 -- internet .1, 203.0.113.x, 2001:db8:113::x

use strict;
use warnings;
use Exporter 'import';
use Harness;
use IO::Handle;
use IPC::Open2;

our @EXPORT = qw(filter_world drive ask quit_drive hostile hostile_start
    arrived arrived_nothing reset_counts serve said);

my %log;
my $counter = 0;

sub filter_world
{
	my %w = map { $_ => netns($_) } qw(sandbox internet);
	my @ends = (20, 21, 53, 66);

	veth($w{sandbox}, 'eth0', $w{internet}, 'eth0');
	addr($w{sandbox}, 'eth0', '10.99.0.2/24', '2001:db8:99::2/64');
	addr($w{internet}, 'eth0', '10.99.0.1/24', '10.99.0.77/24',
	    '2001:db8:99::1/64', '2001:db8:99::77/64');
	addr($w{internet}, 'lo',
	    map { ("203.0.113.$_/32", "2001:db8:113::$_/128") } @ends);
	run('ip', '-n', $w{sandbox}, 'route', 'add', 'default', 'via',
	    '10.99.0.1');
	run('ip', '-n', $w{sandbox}, 'route', 'add', 'default', 'via',
	    '2001:db8:99::1');
	run('ip', '-n', $w{internet}, 'route', 'add', '192.0.2.0/24', 'via',
	    '10.99.0.2');
	# What a forged source asks for must be counted, not dropped unseen.
	for my $ns (values %w) {
		run_in($ns, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0',
		    'net.ipv4.conf.eth0.rp_filter=0');
	}
	reset_counts(\%w);
	return \%w;
}

# Every frame of the cable is counted as what it is for.
sub reset_counts
{
	my ($w) = @_;
	my $rules = "table netdev seen { }\ndelete table netdev seen\n"
	    . "table netdev seen {\n";
	my @chain = (
		'ether type arp counter name arps return',
		'icmpv6 type { 130, 131, 132, 133, 135, 136, 143 }'
		    . ' counter name nds return',
	);

	$rules .= "counter $_ { }\n" for qw(arps nds good evil resolver near other);
	for my $n ([20, 'good'], [21, 'good'], [66, 'evil'],
	    [53, 'resolver']) {
		push @chain, "ip daddr 203.0.113.$n->[0] counter name $n->[1] return",
		    "ip6 daddr 2001:db8:113::$n->[0] counter name $n->[1] return";
	}
	push @chain, 'ip daddr 10.99.0.0/24 counter name near return',
	    'ip6 daddr 2001:db8:99::/64 counter name near return',
	    'counter name other';
	$rules .= "chain arrive {\n type filter hook ingress device eth0"
	    . " priority 0;\n" . join("\n", @chain) . "\n}\n}\n";
	my $file = write_file(scratch() . '/seen.nft', $rules);
	run_in($w->{internet}, 'nft', '-f', $file);
}

# Packets that arrived for a place since the counts were reset.
sub arrived
{
	my ($w, $place) = @_;
	my $out = run_in($w->{internet}, 'nft', 'list', 'counter', 'netdev',
	    'seen', $place);
	return $out =~ /packets (\d+)/ ? $1 : -1;
}

sub arrived_nothing
{
	my ($w, @places) = @_;
	@places = qw(evil other near resolver) unless @places;
	return join(', ', map {
		my $n = arrived($w, $_);
		$n ? "$_ $n" : ()
	} @places);
}

# Start the filter's driver; options as filter_drive has them.
sub drive
{
	my ($w, @options) = @_;
	my $pid = open2(my $out, my $in, build_dir() . '/t/tools/filter_drive',
	    '--netns', $w->{sandbox}, @options);
	my $d = { pid => $pid, in => $in, out => $out };

	$in->autoflush(1);
	my $ready = <$out>;
	die 'filter_drive: ' . ($ready // 'no answer') unless
	    defined $ready && $ready =~ /^ok/;
	return $d;
}

# One command, its answer.
sub ask
{
	my ($d, $line) = @_;
	my ($in, $out) = @$d{qw(in out)};

	print $in "$line\n";
	my $answer = <$out> // 'no answer';
	chomp $answer;
	return $answer;
}

# End the driver; the rules stay.
sub quit_drive
{
	my ($d, $signal) = @_;

	kill $signal, $d->{pid} if $signal;
	close $d->{in};
	close $d->{out};
	waitpid $d->{pid}, 0;
}

my $client = root() . '/t/tools/hostile.py';

# One attempt inside the sandbox; what it said.
sub hostile
{
	my ($w, @attempt) = @_;
	my (undef, $out) = capture('ip', 'netns', 'exec', $w->{sandbox},
	    python(), $client, @attempt);
	chomp $out;
	return $out;
}

# The same, going on beside the test; said() has its last word.
sub hostile_start
{
	my ($w, @attempt) = @_;
	my $name = 'hostile' . ++$counter;
	my $pid = start(name => $name, netns => $w->{sandbox},
	    cmd => [python(), $client, @attempt]);

	$log{$pid} = scratch() . "/$name.log";
	wait_for(sub { read_file($log{$pid}) =~ /connected|listening/
	    || !alive($pid) }) if $attempt[0] =~ /hold|idle|echo|seen|slow/;
	return $pid;
}

sub said
{
	my ($pid, $seconds) = @_;

	wait_exit($pid, $seconds // 15);
	my @lines = split /\n/, read_file($log{$pid});
	return $lines[-1] // '';
}

# An echo server, TCP and UDP, in a namespace.
sub serve
{
	my ($ns, $address, $port) = @_;
	my $name = 'echo' . ++$counter;
	my $pid = start(name => $name, netns => $ns,
	    cmd => [python(), $client, 'echo', $address, $port, 300]);

	wait_for(sub { read_file(scratch() . "/$name.log") =~ /listening/ });
	return $pid;
}

1;
