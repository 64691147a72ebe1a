# SPDX-License-Identifier: Apache-2.0
#
# More connections than anybody can be told of: each is told, or counted. What
# is open is found again after a loss, and pages are whole under load.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

use constant { MANY => 20_000, KEPT => 4096 };

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
# Each connection is reset by the internet, where nothing listens.
write_file(scratch() . '/knock.py', <<'END');
import socket, sys, time
n, port, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for i in range(n):
    with socket.socket() as s:
        s.connect_ex(('203.0.113.20', port))
    if pause:
        time.sleep(pause)
END
sub knock { (python(), scratch() . '/knock.py', @_) }
sub hold
{
	my ($name) = @_;
	my $pid = start(name => $name, netns => $w->{sandbox}, cmd => [python(),
		'-c', 'import socket, time; s = socket.create_connection(("'
		    . GOOD . '", 80)); print("open", flush=True); '
		    . 'time.sleep(1000)']);
	wait_for(sub { read_file(scratch() . "/$name.log") =~ /open/ });
	return $pid;
}
sub flows { (api($w, 'GET', "/flows$_[0]"))[2] }
sub meter
{
	my ($name) = @_;
	return (api($w, 'GET', '/metrics'))[1] =~ /^egress_flows_$name (\d+)$/m
	    ? $1 : die "no meter $name";
}
sub lines
{
	return grep { ($_->{event} // '') eq 'egress.flow' }
	    map { eval { decode_json($_) } // {} }
	    split /\n/, read_file(scratch() . '/sidecar.log');
}

my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_FLOW_LOG => 'true',
	OPENSANDBOX_EGRESS_RULES => encode_json({ egress => [
		{ action => 'allow', target => GOOD }] }) });
my $worker = (split /\s/, (capture('pgrep', '-P', $pid))[1])[0];

# All of them told.
sees($w, knock(MANY, 81, 0));
ok(wait_for(sub { meter('total') + meter('lost_total') >= MANY }, 30),
    'each connection is told or lost') or diag meter('total');
my $told = meter('total');
cmp_ok(meter('dropped_total'), '>=', $told - KEPT, 'what is not kept is counted');
is(flows('?limit=1')->{dropped}, meter('dropped_total'), '  in the answer too');

# Pages while others come.
{
	my $busy = start(name => 'busy', netns => $w->{sandbox},
	    cmd => [knock(100_000, 82, 0.001)]);
	my ($page, @ids) = { next => 0 };

	while (defined $page->{next} && @ids < 6000) {
		$page = flows("?limit=500&after=$page->{next}");
		push @ids, map { $_->{id} } @{ $page->{flows} };
	}
	is_deeply(\@ids, [sort { $a <=> $b } @ids], 'pages in order');
	is(scalar(keys %{ { map { $_ => 1 } @ids } }), scalar @ids,
	    '  none twice');
	cmp_ok(scalar @ids, '>', 1000, '  many') or diag scalar @ids;
	cmp_ok(meter('open'), '<=', KEPT, 'no more than there is room for');
	stop($busy);
}

# In the log, within its budget; what is held back is counted.
ok(wait_for(sub { meter('open') == 0 }), 'all have ended');
sleep 1;
sees($w, knock(1, 83, 0));
ok(wait_for(sub { grep { $_->{'target.port'} == 83 } lines() }), 'a last line');
{
	my $sum = 0;

	$sum += 1 + ($_->{suppressed} // 0) for lines();
	is($sum, meter('total'), 'each has a line, or is counted by one')
	    or diag meter('lost_total');
}

# While we sleep the kernel has room for some of it.
$told = meter('total');
my $lost = meter('lost_total');
kill 'STOP', $worker;
my $first = hold('first');
sees($w, knock(MANY, 84, 0));
my $second = hold('second');
kill 'CONT', $worker;
ok(wait_for(sub { meter('lost_total') > $lost }), 'what it had no room for is counted');
cmp_ok(flows('?limit=1')->{lost}, '>', $lost, '  in the answer too');
cmp_ok(meter('total') - $told + meter('lost_total') - $lost, '>=', MANY + 2,
    '  nothing is missing');
ok(wait_for(sub { meter('open') == 2 }), '  what is open is found again')
    or diag meter('open');
stop($_) for $first, $second;
ok(wait_for(sub { meter('open') == 0 }), '  and its end');

done_testing;
