# SPDX-License-Identifier: Apache-2.0
package GateHostile;

# A hostile sandbox before the gate: one address serves good.test, which the
# policy allows, and other.test; its server writes down every byte that it is
# given, and the sandbox's cable counts every frame for it.

use strict;
use warnings;
use Exporter 'import';
use GateWorld;
use Harness;
use Hostile;
use IO::Handle;
use IPC::Open2;
use Test::More ();
use World;

our @EXPORT = qw(hostile_world attacker attack quit_attacker far far_mark
    frames quiet refusals outcome holder talk);

# names: more "NAME/ADDRESS"; far: more addresses of the server; dns => CODE:
# another DNS server.
sub hostile_world
{
	my (%o) = @_;
	my $w = world();
	my $dir = scratch();

	for my $name (qw(good.test other.test)) {
		run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
		    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
		    '-subj', "/CN=$name", '-addext', "subjectAltName=DNS:$name",
		    '-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	}
	write_file("$dir/record", '');
	# They are beside each other for those who have the words.
	tool('gate_attack.py');
	start(name => 'far', netns => $w->{internet}, cmd => [python(),
		root() . '/t/tools/gate_far.py', $dir, "$dir/record",
		GOOD, GOOD6, @{ $o{far} || [] }]);
	$o{dns} ? $o{dns}->($w) : world_dns($w, (map { ("--address=/$_/" . GOOD, "--address=/$_/" . GOOD6) }
		qw(good.test other.test)),
	    map { "--address=/$_" } @{ $o{names} || [] });
	wait_for(sub { read_file("$dir/far.log") =~ /listening/ })
	    or die 'the far end did not start: ' . read_file("$dir/far.log");
	count_frames($w);
	return $w;
}

# Every frame for the server's address that leaves the sandbox, by the kind.
sub count_frames
{
	my ($w) = @_;
	my @to = ('ip daddr ' . GOOD, 'ip6 daddr ' . GOOD6);
	my $rules = "table netdev gate {\n"
	    . join('', map { "counter $_ { }\n" } qw(every syns rsts udps))
	    . "chain arrive {\n"
	    . "type filter hook ingress device sb0 priority -500;\n";

	for my $to (@to) {
		$rules .= "$to counter name every\n"
		    . "$to tcp flags & (syn|ack) == syn counter name syns\n"
		    . "$to tcp flags & rst == rst counter name rsts\n"
		    . "$to meta l4proto udp counter name udps\n";
	}
	write_file(scratch() . '/gate.nft', "$rules}\n}\n");
	run_in($w->{host}, 'nft', '-f', scratch() . '/gate.nft');
}

# How many so far: every, syns, rsts, udps.
sub frames
{
	my ($w, $kind) = @_;
	my $out = run_in($w->{host}, 'nft', 'list', 'table', 'netdev', 'gate');
	my %n = $out =~ /counter (\w+) \{\s*packets (\d+)/g;

	return $kind ? $n{$kind} : \%n;
}

# Connections that ended before say nothing any more.
sub quiet
{
	my ($w) = @_;
	my $before = -1;

	wait_for(sub {
		my $last = $before;
		$before = frames($w, 'every');
		select undef, undef, undef, 0.3;
		return $before == $last;
	}, 20);
}

# What the server was given since far_mark: (connections, bytes in hex).
my $mark = 0;
sub far_mark { $mark = length read_file(scratch() . '/record') }

sub far
{
	my @lines = split /\n/, substr read_file(scratch() . '/record'), $mark;
	my $bytes = join '', map { (split / /)[2] // '' } @lines;

	return (scalar(grep { !/ .* / } @lines), $bytes);
}

# The sandbox's client as somebody; its word for an attempt.
sub attacker
{
	my ($w, $who) = @_;
	my $pid = open2(my $out, my $in, 'ip', 'netns', 'exec', $w->{sandbox},
	    words($who, 'gate_attack.py'));

	$in->autoflush(1);
	return { pid => $pid, in => $in, out => $out };
}

sub attack
{
	my ($a, @words) = @_;

	return talk($a, "@words");
}

# A client that takes its time (t/tools/gate_hold.py), and its next word.
sub holder
{
	my ($w, @args) = @_;
	my $pid = open2(my $out, my $in, 'ip', 'netns', 'exec', $w->{sandbox},
	    'prlimit', '--nofile=16384', words(NOBODY, 'gate_hold.py', @args));

	$in->autoflush(1);
	return { pid => $pid, in => $in, out => $out };
}

sub talk
{
	my ($c, $word) = @_;
	my ($in, $out) = @$c{qw(in out)};

	print $in "$word\n" if defined $word;
	my $said = <$out> // 'nothing';
	chomp $said;
	return $said;
}

sub quit_attacker
{
	my ($a) = @_;

	close $a->{in};
	close $a->{out};
	waitpid $a->{pid}, 0;
}

# What was refused since this many: "REASON NAME" each.
sub refusals
{
	my ($w, $since) = @_;
	my @lines = grep { defined $_->{reason} }
	    gate_log($w, event => 'egress.denied', protocol => 'tcp');

	return map { $_->{reason} . ' ' . ($_->{'target.host'} // '-') }
	    @lines[$since .. $#lines];
}

# One attempt: how it ended, whether the server was given what it may be given
# and nothing else, and what the log says.
sub outcome
{
	my ($w, $a, $address, $name) = @_;
	my $before = $w->{log} ? refusals($w, 0) : 0;
	my $had = frames($w);
	far_mark();
	my ($end, $answers, $allowed) = split / /, attack($a, 'say', $address,
	    $name), 3;
	my ($n, $bytes, @said);

	wait_for(sub { ($n, $bytes) = far(); $bytes eq $allowed },
	    $w->{log} ? 5 : 0);
	wait_for(sub { @said = refusals($w, $before) }, 5)
	    if $w->{log} && $end ne 'open';
	my $has = frames($w);
	my $leaked = $bytes eq $allowed && $n == ($allowed ne '')
	    ? '' : " server: $n connections, $bytes";
	$leaked .= ' frames' if $allowed eq '' && $has->{every} != $had->{every};
	$leaked .= ' connects' if $has->{syns} - $had->{syns} != ($allowed ne '');
	return ($end eq 'open' ? "answered $answers" : "$end @said") . $leaked;
}

1;
