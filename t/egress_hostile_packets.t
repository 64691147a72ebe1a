# SPDX-License-Identifier: Apache-2.0
#
# Under default deny no packet of a hostile sandbox gets as far as its own
# cable's other end, whichever protocol, socket, mark, frame or source port it
# tries, as an ordinary user, with CAP_NET_RAW, and as root with CAP_NET_RAW;
# and the allowed neighbour is served all the while.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Hostile;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $own = '10.88.0.5';

my $w = world();
watch_cable($w);
liar($w, {
	'good.test' => { A => [['good.test', 60, 'A', GOOD]],
		AAAA => [['good.test', 60, 'AAAA', GOOD6]] },
	'evil.test' => { A => [['evil.test', 60, 'A', EVIL]],
		AAAA => [['evil.test', 60, 'AAAA', EVIL6]] },
	map { ("n$_.good.test" => { A => [["n$_.good.test", 60, 'A', GOOD]] }) }
	    (1 .. 20),
});
world_web($w, 'internet', GOOD, 80, 'good');
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', EVIL, EVIL6), 7, 600]);

my @plain = attempts_plain();
my @raw = attempts_raw();

# Without a sidecar all that the kernel supports does leave: the watch on the
# cable sees it.
my @unsupported;
for my $attempt (@plain, @raw) {
	my ($name, undef, @args) = @$attempt;
	my $before = leaked($w);
	my $word = hostile($w, ROOT, @args);

	next if $name =~ /allowed|resolver/;
	push @unsupported, $name if $word =~ /NOSUPPORT/;
	cmp_ok(leaked($w) - $before, $word =~ /NOSUPPORT/ ? '>=' : '>', 0,
	    "before the sidecar, $name leaves") or diag $word;
}
note 'not in this kernel: ', join ', ', @unsupported if @unsupported;

# The marks of the kernel's rules, all that one could read there.
sub marks_inside
{
	my $rules = run_in($w->{sandbox}, 'nft', '-n', 'list', 'ruleset');
	my %mark = map { $_ => 1 } $rules =~ /mark (?:set )?(0x[0-9a-f]+)/g;

	return sort keys %mark;
}

# In the sandbox's own namespace our questions leave through a hole; the ports
# that they used must not be a hole for the sandbox's.
sub try_source_ports
{
	my ($how, $pid) = @_;
	my (@port, $hex, $worker);
	my $name = dns_name('evil', 'test');

	sees($w, 'dig', '+short', '+tries=1', '@' . RESOLVER, "n$_.good.test")
	    for 1 .. 20;
	@port = map { (split / /)[2] } grep { / 10\.88\.0\.5 / } asked('^udp');
	cmp_ok(scalar @port, '>=', 10, "$how: our questions have source ports");
	# The next worker has ports of its own; those are free again.
	($worker) = (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/;
	kill 'KILL', $worker;
	ok(wait_for(sub { (sees($w, 'dig', '+short', '+time=1', '+tries=1',
		'good.test'))[1] eq GOOD . "\n" }, 15),
	    "$how: another worker serves");
	$hex = unpack 'H*', dns_question($name);
	for my $who (NOBODY, RAW, ROOT) {
		my $kind = $who eq NOBODY ? 'port' : 'raw';
		my (undef, $out) = sees($w, words($who, 'dns_port.py', $kind,
		    RESOLVER, $hex, @port));

		unlike($out, qr/answered 0/,
		    "$how, $who: none of them gets an answer but ours")
		    or diag $out;
		like($out, $kind eq 'port' ? qr/answered 3/ : qr/\Adone\Z/m,
		    "$how, $who: and was tried") or diag $out;
	}
	is(scalar asked('evil\.test'), 0, "$how: the resolver was not asked");
}

for my $how (qw(join sidecar)) {
	my $evil = counted($w, 'evil');
	my $pid = sidecar($w, how => $how, name => "sidecar-$how", env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test', '*.good.test') });

	is((sees($w, @web, '-4', 'http://good.test/'))[1], '200',
	    "$how: the allowed neighbour opens");
	my ($before, $resolver) = (leaked($w), leaked($w, 'resolver'));
	try_all($w, $how, NOBODY, @plain);
	try_all($w, $how, ROOT, @raw);
	try_all($w, $how, RAW, grep { $_->[0] =~ /ICMP|header|frame$|marks/ } @raw);
	my @marks = marks_inside();
	cmp_ok(scalar @marks, '>', 1, "$how: the rules name marks");
	is(join(',', grep { hostile($w, ROOT, 'marks', EVIL, 7, 1, $_) ne
		'refused' } @marks), '', "$how: none of them lets a packet out");
	is(hostile($w, NOBODY, 'tcp', GOOD, 853), 'ECONNREFUSED',
	    "$how: DNS over TLS is refused at an allowed address too");
	is(hostile($w, ROOT, 'fragments', $own, GOOD, 80), 'sent',
	    "$how: fragments may go to an allowed address");
	is(hostile($w, ROOT, 'marks', RESOLVER, 53, 1000), 'sent',
	    "$how: port 53 is ours to answer, whatever the mark");
	is(scalar grep({ /^odd/ } split /\n/, read_file(scratch() . '/liar.log')),
	    0, "$how: the resolver sees none of it");
	is(leaked($w, 'resolver') - $resolver, 0,
	    "$how: nothing of the sandbox's goes to the resolver")
	    if $how eq 'join';
	if ($how eq 'sidecar') {
		ok(unlocked($w), "$how: so many marks keep us in for a while alone");
		try_source_ports($how, $pid);
	}
	is((sees($w, @web, '-4', 'http://good.test/'))[1], '200',
	    "$how: the allowed neighbour still opens");
	is(leaked($w) - $before, 0, "$how: no frame left");
	is(counted($w, 'evil') - $evil, 0,
	    "$how: nothing arrived at the denied address");
	is(stop($pid), 0, "$how: the sidecar ends well");
}

done_testing(234);
