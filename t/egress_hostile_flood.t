# SPDX-License-Identifier: Apache-2.0
#
# One sandbox cannot wear its sidecar out: thousands of names under an allowed
# wildcard, names used as a way to carry data out, more questions under way
# than there is room for, most local ports taken. Memory is bounded, what is
# denied stays denied, and others are answered.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use Harness;
use Hostile;
use World;

my $w = world();
my $dir = scratch();

# A sanitizer keeps what is freed for a while.
my $slack = build_dir() =~ m{/san\b} ? 8 : 1;

watch_cable($w);
liar($w, {
	'good.test' => { A => [['@', 60, 'A', GOOD]] },
	'fresh.test' => { A => [['@', 60, 'A', GOOD]] },
	'late.test' => { A => [['@', 60, 'A', GOOD]] },
	'*.good.test' => { A => [['@', 60, 'A', GOOD]],
		TXT => [['@', 60, 'TXT', 'x' x 200]] },
	'*.mute.test' => { silent => 1 },
});

# Send a question for each name in one go, from inside.
sub flood
{
	my ($type, @names) = @_;

	return in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(Proto => 'udp',
		    PeerAddr => '10.88.0.1', PeerPort => 53);
		my $sent = 0;

		for my $name (@names) {
			$sent++ if $s->send(dns_question(dns_name(split /\./, $name),
			    type => $type, id => int rand 65536));
			select undef, undef, undef, 0.001 if $sent % 20 == 0;
		}
		return $sent;
	});
}

# A client asks again where the resolver behind us was too slow for the flood,
# which costs whoever sent that its answer in time (SERVFAIL) and no more.
sub lookup
{
	my ($name) = @_;
	my $said = '';

	for (1 .. 5) {
		(undef, $said) = sees($w, 'dig', '+short', '+time=3',
		    '+tries=2', '@10.88.0.1', $name);
		# of a first try that failed
		$said =~ s/^;;.*\n//mg;
		last if length $said;
	}
	return $said;
}

sub resident
{
	my ($pid) = @_;
	my ($worker) = (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/;

	return read_file("/proc/$worker/status") =~ /VmRSS:\s+(\d+) kB/ ? $1 : 0;
}

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => "sidecar-$how", env => {
		OPENSANDBOX_EGRESS_DNS_UPSTREAM_TIMEOUT => 2,
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test', '*.good.test',
			'*.mute.test', 'fresh.test', 'late.test') });
	my $log = "$dir/sidecar-$how.log";
	my $worker = (capture('pgrep', '-P', $pid))[1];
	my $asked;

	is(lookup('good.test'), GOOD . "\n", "$how: an allowed name is answered");
	my $before = resident($pid);
	is(flood(1, map { "n$_.good.test" } 1 .. 8000), 8000,
	    "$how: 8,000 names below a wildcard");
	is(lookup('fresh.test'), GOOD . "\n", "$how: others are answered");
	cmp_ok(resident($pid) - $before, '<', 16 * 1024 * $slack,
	    "$how: it takes less than 16 MiB for them");

	# 60 bytes a label, three labels: data on its way out.
	$asked = asked('\.mute\.test|\.good\.test TXT');
	is(flood(16, map { my $n = $_; join '.', map({ 'd' x 50 . "$n" } 1 .. 3),
	    'good.test' } 1 .. 5000), 5000, "$how: 5,000 long ones for TXT");
	is(lookup('good.test'), GOOD . "\n", "$how: others are answered");
	sleep 1;
	cmp_ok(asked('\.good\.test TXT') - $asked, '<', 2500,
	    "$how: most of them are not passed on");
	like(read_file($log), qr/limit|too many|names/i, "$how: the log tells");

	is(flood(1, map { "m$_.mute.test" } 1 .. 8000), 8000,
	    "$how: 8,000 questions that stay open");
	is(lookup('good.test'), GOOD . "\n", "$how: what is known is answered");
	like((sees($w, 'dig', '+tries=1', '+time=3', '@10.88.0.1', 'evil.test'))[1],
	    qr/NXDOMAIN/, "$how: what is denied is denied");
	ok(wait_for(sub { lookup('late.test') eq GOOD . "\n" }, 20),
	    "$how: and new names resolve when that is over");
	cmp_ok(resident($pid) - $before, '<', 32 * 1024 * $slack,
	    "$how: in less than 32 MiB");
	is((capture('pgrep', '-P', $pid))[1], $worker,
	    "$how: the worker has lived through it");

	# Most ports that can be had, taken: our own questions still leave, and
	# never come round to ourselves.
	my $ports = start(name => "$how-ports", netns => $w->{sandbox},
	    cmd => ['setpriv', '--reuid', '65534', '--clear-groups', python(), '-c',
		"import os,resource,socket,time\n"
		. "room=resource.getrlimit(resource.RLIMIT_NOFILE)[0]-50\n"
		. "held,at=[],32768\n"
		. "while at<53000:\n"
		. "  s=socket.socket(2,2)\n"
		. "  try: s.bind(('0.0.0.0',at)); held.append(s)\n"
		. "  except OSError: s.close()\n"
		. "  at+=1\n"
		. "  if len(held)>=room:\n"
		. "    if os.fork(): break\n"
		. "    [s.close() for s in held]; held=[]\n"
		. "if at>=53000: print('held', flush=True)\n"
		. "time.sleep(120)"]);
	ok(wait_for(sub { read_file("$dir/$how-ports.log") =~ /^held/m }, 20),
	    "$how: twenty thousand local ports are taken")
	    or diag read_file("$dir/$how-ports.log");
	sleep 6 if $how eq 'sidecar'; # our sockets move on to other ports
	is(lookup("p$_.good.test"), GOOD . "\n", "$how: new names resolve")
	    for 1 .. 5;
	stop($ports);
	ok(wait_for(sub { lookup('p9.good.test') eq GOOD . "\n" }, 20),
	    "$how: and resolve when the ports are free");
	is(scalar asked('evil'), 0, "$how: nobody was asked what is denied");
	is(stop($pid), 0, "$how: it ends well");
}
is(leaked($w), 0, 'no packet left');

done_testing(47);
