# SPDX-License-Identifier: Apache-2.0
#
# Somebody takes the rules, or part of them, out of the kernel: they come back
# by themselves with all that was learned, the log says so, and /healthz is not
# 200 before. What was opened meanwhile is judged anew.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Open2;
use Test::More;
use Agent;
use Harness;
use Hostile;
use World;

my $w = world();
my $dir = scratch();
my $HOST = '10.88.0.1';
my $ns = $w->{sandbox};

watch_cable($w);
world_dns($w);
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo', join(',', GOOD, GOOD6, EVIL, EVIL6),
	7, 600]);
# One that speaks first, at an address that may connect inward.
start(name => 'chatter', netns => $w->{host}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'chatter', $HOST, 7, 600]);
ok(wait_for(sub { read_file("$dir/echo.log") =~ /listening/ }), 'servers');

sub nft { run_in($ns, 'nft', @_) }

# The rules as they are, but for what counts and what ends.
sub rules
{
	my (undef, $text) = capture('ip', 'netns', 'exec', $ns, 'nft', '-s', 'list',
	    'ruleset');
	$text =~ s/mark set 0x\S+|mark 0x\S+/MARK/g;
	$text =~ s/ ?expires \S+ ?//g;
	$text =~ s/timeout \S+/T/g;
	return $text;
}

sub events
{
	my ($name, $event) = @_;
	my $n = () = read_file("$dir/$name.log") =~ /"event":"egress\.rules_$event"/g;
	return $n;
}

sub worker_of
{
	my ($pid) = @_;
	return (capture('pgrep', '-P', $pid))[1] =~ /(\d+)/ ? $1 : 0;
}

sub lookup
{
	return (sees($w, 'dig', '+short', '+time=2', '+tries=1', '@10.88.0.1',
	    $_[0]))[1];
}

my %parts = (
	'the whole ruleset' => ['flush', 'ruleset'],
	'our table' => ['delete', 'table', 'inet', 'opensandbox'],
	'the rules of every chain' => ['flush', 'table', 'inet', 'opensandbox'],
	'the rules of one chain' => ['flush', 'chain', 'inet', 'opensandbox',
		'output'],
	'one set\'s elements' => ['flush', 'set', 'inet', 'opensandbox',
		'learned4'],
	'the map of ranges' => ['flush', 'map', 'inet', 'opensandbox', 'ranges4'],
	'the table of egress hooks' => ['delete', 'table', 'netdev',
		'opensandbox'],
	'a rule that lets out, put first' => ['insert', 'rule', 'inet',
		'opensandbox', 'output', 'accept'],
	'an address that nobody learned' => ['add', 'element', 'inet',
		'opensandbox', 'learned4', '{', EVIL, 'timeout', '1h', '}'],
);

for my $how (qw(join sidecar)) {
	nft('flush', 'ruleset');
	hostile_start($w, NOBODY, "$how-before", 'hold', $HOST, 7, 60);
	ok(wait_for(sub { read_file("$dir/$how-before.log") =~ /connected/ }),
	    "$how: a connection from before the first rules");
	my $pid = sidecar($w, how => $how, name => $how, env => {
		OPENSANDBOX_EGRESS_RULES => '{"defaultAction":"deny","egress":['
		    . '{"action":"allow","target":"good.test"},'
		    . '{"action":"allow","target":"198.51.100.0/24"}]}' });

	ok(wait_for(sub { read_file("$dir/$how-before.log") =~ /ECONN|EPIPE/ }),
	    "$how: is cut off, though its peer may connect inward");
	is(lookup('good.test'), GOOD . "\n", "$how: an address is learned");
	nft('flush', 'ruleset');
	ok(wait_for(sub { events($how, 'restored') >= 1 }), "$how: first loss");
	# A connection that is seen midway is not let in.
	my $whole = rules();
	like($whole, qr/tcp flags/, "$how: rules");
	my $kept = hostile_start($w, NOBODY, "$how-kept", 'hold', GOOD, 7, 60);
	ok(wait_for(sub { read_file("$dir/$how-kept.log") =~ /connected/ }),
	    "$how: a connection is open");
	for my $part ($how eq 'join' ? sort keys %parts : 'our table') {
		my $n = events($how, 'restored');

		nft(@{ $parts{$part} });
		ok(wait_for(sub { events($how, 'restored') > $n }),
		    "$how: $part: restored, and logged");
		is(rules(), $whole, "$how: $part: as it was");
		is((api($w, 'GET', '/healthz'))[0], 200, "$how: $part: healthy");
		is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED',
		    "$how: $part: closed");
		is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
		    "$how: $part: what was learned is still");
	}
	like(read_file("$dir/$how.log"),
	    qr/"egress\.rules_lost".*table inet opensandbox is missing/,
	    "$how: the log says what was missing");
	unlike(read_file("$dir/$how-kept.log"), qr/E[A-Z]+/,
	    "$how: the connection lives");

	my $n = events($how, 'lost');
	nft('add', 'table', 'inet', 'neighbour');
	nft('delete', 'table', 'inet', 'neighbour');
	is(lookup('good.test'), GOOD . "\n", "$how: a lookup");
	api($w, 'PATCH', '/policy', [{ action => 'allow', target => 'good.test' }]);
	is((api($w, 'GET', '/healthz'))[0], 200, "$how: healthy");
	is(events($how, 'lost'), $n,
	    "$how: other tables and our own changes are no loss");

	subtest "$how: a connection from the time without rules" => sub {
		my $worker = worker_of($pid);
		my %gap = (evil => EVIL, good => GOOD, near => $HOST);

		kill 'STOP', $worker;
		nft('flush', 'ruleset');
		for my $to (sort keys %gap) {
			hostile_start($w, NOBODY, "$how-$to", 'hold', $gap{$to}, 7, 60);
			ok(wait_for(sub { read_file("$dir/$how-$to.log")
				=~ /connected/ }), "$to is connected to");
		}
		kill 'CONT', $worker;
		for my $to (qw(evil near)) {
			ok(wait_for(sub { read_file("$dir/$how-$to.log")
				=~ /ECONN|EPIPE/ }), "$to is cut off");
		}
		my $leaks = leaked($w);
		is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'closed');
		select undef, undef, undef, 0.5;
		is(leaked($w), $leaks, 'nothing leaves any more');
		unlike(read_file("$dir/$how-good.log"), qr/ECONN|EPIPE/,
		    'the allowed one lives');
	};

	subtest "$how: again and again" => sub {
		my $worker = worker_of($pid);
		my $before = events($how, 'lost');

		for (1 .. 100) {
			nft('flush', 'ruleset');
			select undef, undef, undef, 0.005;
		}
		ok(wait_for(sub { rules() eq $whole }), 'restored in the end');
		ok(wait_for(sub { (api($w, 'GET', '/healthz'))[0] == 200 }),
		    'healthy');
		is(worker_of($pid), $worker, 'by the same process');
		cmp_ok(events($how, 'lost') - $before, '<=', 100,
		    'not more often than it was taken away');
		is(lookup('good.test'), GOOD . "\n", 'names are answered');
		my $ticks = cpu($worker);
		select undef, undef, undef, 0.5;
		cmp_ok(cpu($worker) - $ticks, '<=', 5, 'and then it rests');
	};

	subtest "$how: more than the kernel can tell" => sub {
		my $worker = worker_of($pid);
		my $n = events($how, 'restored');
		my $file = write_file("$dir/many.nft", "table inet many {\n"
		    . join('', map { "set s$_ {\ntype ipv4_addr\ncomment \""
			    . 'x' x 100 . "\"\n}\n" } 1 .. 3000) . "}\n");

		kill 'STOP', $worker;
		for (1 .. 2) {
			nft('-f', $file);
			nft('delete', 'table', 'inet', 'many');
		}
		nft('delete', 'table', 'inet', 'opensandbox');
		kill 'CONT', $worker;
		ok(wait_for(sub { events($how, 'restored') > $n }), 'restored');
		is(rules(), $whole, 'as it was');
		is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', 'closed');
	};
	stop($pid);
	nft('flush', 'ruleset');
}

# While the tables cannot be written nobody is told that all is well: an
# interactive nft owns them, and the kernel refuses everybody else.
sub owned
{
	my ($health, $name, $metrics) = @_;
	my $nft = open2(my $out, my $in, 'ip', 'netns', 'exec', $ns, 'nft', '-i');

	print $in 'delete table inet opensandbox; '
	    . "add table inet opensandbox { flags owner; }\n";
	$in->flush;
	ok(wait_for(sub { ($health->())[0] == 503 }), "$name: unhealthy");
	my ($status, $text) = $health->();
	is($status, 503, "$name: for as long as that lasts");
	like($text, qr/opensandbox/, "$name: $text");
	like(($metrics->())[1], qr/^egress_rules_in_force(?:\{\S*\})? 0$/m,
	    "$name: the metrics say the same");
	close $in;
	waitpid $nft, 0;
	ok(wait_for(sub { ($health->())[0] == 200 }), "$name: healthy again");
	is(hostile($w, NOBODY, 'tcp', EVIL, 7), 'ECONNREFUSED', "$name: closed");
}

my $pid = sidecar($w, name => 'owned', env => {
	OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
	OPENSANDBOX_EGRESS_RULES => policy_of('good.test') });
my (undef, $text) = owned(sub { api($w, 'GET', '/healthz') }, 'sidecar',
    sub { api($w, 'GET', '/metrics') });
stop($pid);
nft('flush', 'ruleset');

my $other = netns('other');
$pid = agent($w->{host}, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM =>
	RESOLVER });
is((ask('PUT', '/v1/sandboxes/sb-1', { netns => $ns }))[0], 201, 'agent: one');
is((ask('PUT', '/v1/sandboxes/sb-2', { netns => $other }))[0], 201,
    'agent: another');
owned(sub {
	my ($status, $said) = ask('GET', '/healthz');

	unlike($said // '', qr/sb-2/, 'agent: nothing is said of the other');
	like($said, qr/^sb-1: /, 'agent: it says which') if $status == 503;
	return ($status, $said);
}, 'agent', sub { ask('GET', '/metrics') });
for my $name ($ns, $other) {
	run_in($name, 'nft', 'flush', 'ruleset');
	ok(wait_for(sub { run_in($name, 'nft', 'list', 'tables')
		=~ /inet opensandbox/ }), 'agent: restored in each namespace');
}
is(events('agent', 'lost'), 3, 'agent: each loss is told of once');
my (undef, $page) = ask('GET', '/metrics');
like($page, qr/^egress_rules_lost_total\{sandbox_id="sb-1"\} 2$/m,
    'agent: and counted');
stop($pid);

sub cpu
{
	my ($id) = @_;
	my @field = split ' ', read_file("/proc/$id/stat") =~ s/^.*\) //sr;

	return $field[11] + $field[12];
}

done_testing();
