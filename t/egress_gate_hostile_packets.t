# SPDX-License-Identifier: Apache-2.0
#
# Past the gate by packets and sockets: segments that fit into its own
# connections, source ports that it or we used before, data with the SYN, marks,
# UDP, its own port, loops. Nothing of it leaves, what the server is given is
# what was judged, and the connection of the allowed name is not even disturbed.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use GateHostile;
use GateWorld;
use Harness;
use Hostile;
use IPC::Open2;
use Test::More;
use World;

use constant {
	OWN       => '10.88.0.5',
	NEIGHBOUR => '10.89.0.5',
};

my @private = ('self.test/' . OWN, 'neighbour.test/' . NEIGHBOUR,
	'loop.test/127.0.0.1');
my $w = hostile_world(names => \@private);

sub inject
{
	my ($who, @args) = @_;
	my (undef, $out) = sees($w, words($who, 'gate_inject.py', @args));

	return $out =~ s/\n//r;
}

# The requests that the server was given since far_mark: "METHOD URI HOST".
sub requests
{
	my ($n, $bytes) = far();
	my $text = pack 'H*', $bytes;

	return join ', ', map { s/ HTTP.*?Host: (\S+).*/ $1/sr }
	    grep { length } split /\r\n\r\n/, $text;
}

sub marks_inside
{
	my $rules = run_in($w->{sandbox}, 'nft', '-n', 'list', 'ruleset');
	my %mark = map { $_ => 1 } $rules =~ /mark (?:set )?(0x[0-9a-f]+)/g;

	return sort keys %mark;
}

sub our_mark
{
	my $rules = run_in($w->{sandbox}, 'nft', '-n', 'list', 'chain', 'inet',
	    'opensandbox', 'dns');
	return $rules =~ /meta mark (0x[0-9a-f]+)/ ? $1 : die 'no mark';
}

# Segments that fit into the gate's way on.
sub try_into
{
	my ($mode) = @_;
	my $mark = our_mark();
	my @tries = (
		(map { [ROOT, 'raw', $_] } qw(data past fin rst syn)),
		(map { [ROOT, 'device', $_] } qw(data rst)),
		(map { [ROOT, 'lo', $_] } qw(data rst)),
		[RAW, 'raw', 'data', $mark], [RAW, 'raw', 'rst', $mark],
	);
	my $seen = start(name => "seen-$mode", netns => $w->{host}, cmd => [
		python(), tool('hostile.py'), 'seen', 'sb0', 600, 'injected']);

	wait_for(sub { read_file(scratch() . "/seen-$mode.log") =~ /listening/ });
	for my $try (@tries) {
		my ($who, $way, $kind, @mark) = @$try;
		my $name = "$mode, $who: $kind by $way" . (@mark ? ' with its mark' : '');
		my $had = frames($w);

		far_mark();
		like(inject($who, 'into', OWN, GOOD, $way, $kind, @mark), qr/^alive /,
		    "$name: the connection lives");
		is(requests(), 'GET / good.test, GET / good.test',
		    "$name: and its server was given what was judged");
		my $has = frames($w);
		is($has->{syns} - $had->{syns}, 1, "$name: one connection");
		is($has->{rsts} - $had->{rsts}, 0, "$name: no reset left")
		    if $kind ne 'data';
	}
	stop($seen, 'INT');
	is(scalar(() = read_file(scratch() . '/record') =~ /696e6a6563746564/g), 0,
	    "$mode: nothing injected arrived");
}

# Segments in the server's name.
sub try_back
{
	my ($mode) = @_;

	for my $way (qw(raw lo)) {
		for my $kind ($way eq 'raw' ? qw(switch data rst fin) : 'switch') {
			my $before = refusals($w, 0);
			my $said;

			far_mark();
			$said = inject(ROOT, 'back', OWN, GOOD, $way, $kind);
			like($said, qr/^reset/, "$mode: in the server's name, $kind by"
			    . " $way: the next request is reset");
			unlike($said, qr/switched/, '  its answer did not come');
			is(requests(), 'GET /slow good.test', '  the server was not'
			    . ' given another request');
			is_deeply([refusals($w, $before)], ['sni_mismatch other.test'],
			    '  and the log says why');
		}
	}
}

# Source ports that have been used.
sub try_ports
{
	my ($mode) = @_;

	for my $how (qw(rst fin)) {
		my $pid = open2(my $out, my $in, 'ip', 'netns', 'exec', $w->{sandbox},
		    words(ROOT, 'gate_inject.py', 'port', OWN, GOOD, $how));

		is(<$out>, "ended\n", "$mode: a way on that ended by $how");
		quiet($w);
		my $had = frames($w);
		far_mark();
		print $in "\n";
		close $in;
		my $said = <$out>;
		waitpid $pid, 0;
		unlike($said, qr/open/, '  from its port nobody is reached')
		    or diag $said;
		is(join(' ', far()), '0 ', '  the server was given nothing');
		is(frames($w)->{every} - $had->{every}, 0, '  and nothing left');
	}
	my $had = frames($w);
	far_mark();
	like(inject(ROOT, 'port', OWN, GOOD, 'client'), qr/^\d+ (?!open)/,
	    "$mode: from the port of one that was refused nobody is reached");
	is(join(' ', far()), '0 ', '  the server was given nothing');
	is(frames($w)->{every} - $had->{every}, 0, '  and nothing left');
}

# Where each source port has just been that of a connection which was refused,
# conntrack still redirects it: the gate's way on is not led back to the gate.
sub try_few_ports
{
	my ($mode) = @_;
	my $range = 'net.ipv4.ip_local_port_range';
	my $all = run_in($w->{sandbox}, 'sysctl', '-n', $range);
	my $accepted = gate_metrics($w)->{accepted_total};

	run_in($w->{sandbox}, 'sysctl', '-qw', "$range=40000 40079");
	is(inject(NOBODY, 'reuse', GOOD, 160), 'reset 160',
	    "$mode: few ports, of which each has been refused");
	is(join(' ', grep { $_ ne 'HTTP good.test' }
	    map { fetch($w, '-4', '-m', 5, 'http://good.test/') } 1 .. 20), '',
	    '  the allowed name opens');
	is(gate_metrics($w)->{accepted_total} - $accepted, 180,
	    '  and the gate did not meet itself');
	run_in($w->{sandbox}, 'sysctl', '-qw', "$range=$all");
}

# Data with the SYN, as the sandbox may do it, and where all is switched on.
sub try_fast
{
	my ($mode) = @_;

	for my $switch (1, 0x607) {
		run_in($w->{sandbox}, 'sysctl', '-qw', "net.ipv4.tcp_fastopen=$switch");
		for my $call (qw(msg connect)) {
			my $name = sprintf '%s: data with the SYN, %s, %#x', $mode, $call,
			    $switch;
			my $before = refusals($w, 0);

			is(inject(NOBODY, 'fast', GOOD, 'good.test', $call), 'answered',
			    "$name: the allowed name is served");
			quiet($w);
			my $had = frames($w);
			far_mark();
			is(inject(NOBODY, 'fast', GOOD, 'other.test', $call), 'reset',
			    "$name: another is reset");
			is(join(' ', far()), '0 ', '  the server was given nothing');
			is(frames($w)->{every} - $had->{every}, 0, '  and nothing left');
			is_deeply([refusals($w, $before)], ['sni_mismatch other.test'],
			    '  and the log says why');
		}
	}
	run_in($w->{sandbox}, 'sysctl', '-qw', 'net.ipv4.tcp_fastopen=1');
}

# Ways that give no name, or none to the gate.
sub try_beside
{
	my ($mode) = @_;
	my $no = qr/^(EPERM|EACCES|ECONNREFUSED)$/;
	my $had;

	quiet($w);
	$had = frames($w);
	far_mark();
	for my $to (GOOD, GOOD6) {
		for my $port (443, 80) {
			like(hostile($w, NOBODY, 'udp', $to, $port), $no,
			    "$mode: QUIC to $to, port $port, is refused");
		}
	}
	like(hostile($w, NOBODY, 'mapped', GOOD, 443), $no,
	    "$mode: QUIC over an IPv6 socket is refused");
	for my $to (GOOD, GOOD6) {
		hostile($w, ROOT, 'bound', $_, $to, 443, 'tcp') for qw(eth0 lo);
	}
	hostile($w, ROOT, 'frame', 'eth0', OWN, GOOD, 443);
	my $port = (run_in($w->{sandbox}, 'ss', '-Hltn') =~ /127\.0\.0\.1:(153[89]\d)/)[0];
	is(inject(NOBODY, 'own', OWN, $port), join(' ', ('refused') x 5),
	    "$mode: the gate's own port is nobody's server");
	is(join(' ', far()), '0 ', "$mode: the server was given nothing of these");
	is(frames($w)->{every} - $had->{every}, 0, "$mode: and none left");
	is(frames($w)->{udps}, 0, "$mode: not one datagram");

	$had = frames($w);
	my $ours = our_mark();
	my @marks = marks_inside();
	# No more than may be tried; see egress_hostile_mark.t.
	is(inject(ROOT, 'marks', GOOD, 4, grep { $_ ne $ours } @marks),
	    'reset ' . (4 + @marks - 1), "$mode, root: each mark is before the gate");
	# A socket that bears it hears nothing from the gate.
	is(inject(RAW, 'marks', GOOD, 0, @marks), 'reset ' . (@marks - 1)
	    . ' timed out 1', "$mode, another user: the gate's own as well");
	is(join(' ', far()), '0 ', "$mode: the server was given nothing");
	is(frames($w)->{every} - $had->{every}, 0, "$mode: and nothing left");
}

# Names that lead back.
sub try_loops
{
	my ($mode) = @_;
	my $got = sub { fetch($w, '-4', '-m', '5', "http://$_[0]/") };
	my $accepted = gate_metrics($w)->{accepted_total};

	is($got->('self.test'), 'self', "$mode: a name that leads to the sandbox itself"
	    . ' reaches its server');
	is(gate_metrics($w)->{accepted_total}, $accepted, '  past the gate');
	like($got->('loop.test'), qr/curl (6|7)|refused/,
	    "$mode: one that leads to loopback leads nowhere");
	is($got->('neighbour.test'), 'neighbour',
	    "$mode: one that leads to another guarded sandbox reaches its server");
	is(gate_metrics($w)->{accepted_total}, $accepted + 1, '  by one gate');
	is(clear_request($w, 'good.test', NEIGHBOUR), 'reset',
	    "$mode: there another name is reset");
	is(clear_request($w, 'neighbour.test', NEIGHBOUR . ':15380', '-m', '5'),
	    'refused', '  and its gate is no way on');
	is(clear_request($w, 'self.test', OWN . ':15380', '-m', '5'), 'refused',
	    "$mode: nor is one's own");
	unlike(clear_request($w, 'neighbour.test', OWN), qr/neighbour/,
	    "$mode: nor does one's own address lead there");
}

# A neighbour, guarded as well.
my %second = (host => $w->{host}, internet => $w->{internet},
	sandbox => netns('neighbour'));
veth($second{sandbox}, 'eth0', $w->{host}, 'sb1');
addr($second{sandbox}, 'eth0', NEIGHBOUR . '/24');
addr($w->{host}, 'sb1', '10.89.0.1/24');
run('ip', '-n', $second{sandbox}, 'route', 'add', 'default', 'via', '10.89.0.1');
for my $server ([$w->{sandbox}, OWN, 'self'],
	[$second{sandbox}, NEIGHBOUR, 'neighbour']) {
	my ($ns, $address, $word) = @$server;
	mkdir scratch() . "/$word";
	write_file(scratch() . "/$word/index.html", $word);
	start(name => "web-$word", netns => $ns, cmd => [python(), '-m',
		'http.server', '--bind', $address, '-d', scratch() . "/$word", 80]);
}
start(name => 'neighbour', netns => $w->{host}, cmd => [
	build_dir() . '/egress-sidecar', '--netns', $second{sandbox}], env => {
	OPENSANDBOX_EGRESS_GATE => 'names',
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
	OPENSANDBOX_EGRESS_HTTP_ADDR => '127.0.0.1:18081',
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });
ok(wait_for(sub { read_file(scratch() . '/neighbour.log') =~ /egress\.loaded/ }),
    'the neighbour is guarded');

for my $mode (qw(join sidecar)) {
	my $pid = gate_start($w, $mode, allow('good.test', map { s{/.*}{}r } @private),
	    env => { OPENSANDBOX_EGRESS_PRIVATE_ANSWERS => 'allow' });

	is(fetch($w, '-4', 'http://good.test/'), 'HTTP good.test',
	    "$mode: the allowed name opens");
	sees($w, 'getent', 'ahostsv6', 'good.test');
	try_into($mode);
	try_back($mode);
	try_ports($mode);
	try_fast($mode);
	try_beside($mode);
	try_loops($mode);
	is(fetch($w, '-4', 'http://good.test/'), 'HTTP good.test',
	    "$mode: the allowed name still opens");
	try_few_ports($mode);
	is(stop($pid), 0, "$mode: the sidecar ends well");
	run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
	capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
	    'netdev', 'opensandbox');
}

done_testing();
