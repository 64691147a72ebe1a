# SPDX-License-Identifier: Apache-2.0
#
# "learn" writes the policy that the observed traffic needs: under it the same
# traffic passes, and nothing else.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

use constant { RAW => '203.0.113.99', DB => '10.88.0.9' };

my $program = build_dir() . '/egress-sidecar';
my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $dir = scratch();
my $learned = "$dir/learned.json";
my @cdn = map { "n$_.cdn.test" } 1 .. 3;

my $w = world();
addr($w->{host}, 'sb0', DB . '/24');
world_dns($w, (map { "--address=/$_/" . GOOD } 'good.test', @cdn),
    '--address=/evil.test/' . EVIL, '--address=/unused.test/203.0.113.21',
    '--address=/later.test/' . EVIL, '--address=/db.test/' . DB);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
world_web($w, 'internet', RAW, 8080, 'raw');
world_web($w, 'host', DB, 5432, 'db');

sub code   { (sees($w, @web, "http://$_[0]/"))[1] }
sub status { (sees($w, @web, "http://$_[0]/"))[0] }
sub table  { run_in($w->{sandbox}, 'nft', 'list', 'tables') =~ /opensandbox/ }
sub targets { [map { $_->{target} } @{ $_[0]{egress} }] }

sub policy_of
{
	my ($file) = @_;
	my $json = eval { decode_json(read_file($file)) };
	return $json || { egress => [] };
}

# Start learning and wait until it watches.
my $run = 0;
sub learn
{
	my (@args) = @_;
	my $name = 'learn' . ++$run;
	my $pid = start(name => $name, netns => $w->{host},
	    env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER },
	    cmd => [$program, 'learn', '--netns', $w->{sandbox}, @args]);
	wait_for(sub { !alive($pid) || read_file("$dir/$name.log") =~ /^# watching/m });
	return ($pid, "$dir/$name.log");
}

# What the sandbox does in each run.
sub traffic
{
	is(code('good.test'), '200', 'watched: a name opens');
	is(code($_), '200', "watched: $_ opens") for @cdn;
	is(code(RAW . ':8080'), '200', 'watched: a raw address opens');
	is(code('db.test:5432'), '200', 'watched: a private one opens');
	sees($w, 'dig', '+short', '@10.88.0.1', 'unused.test');
}

# The whole circle.
my ($pid, $log) = learn('--output', $learned);
ok(alive($pid), 'learning') or diag read_file($log);
traffic();
is(stop($pid, 'INT'), 0, 'SIGINT ends it');
my $report = read_file($log);
my $policy = policy_of($learned);
is_deeply($policy, { defaultAction => 'deny', egress => [map {
	{ action => 'allow', target => $_ } } @cdn, 'good.test', RAW] },
    'names that were used, and the address without one')
    or diag read_file($learned), $report;
like($report, qr/^# not learned: private.*\n#   \Q${\DB}\E tcp\/5432 \(db\.test\)$/m,
    'a private address is reported');
like($report, qr/^# not learned: names that were asked.*\n#   unused\.test$/m,
    'so is a name that was only asked for');
ok(!table(), 'the namespace is free again');
is((capture($program, 'check', $learned))[0], 0, 'check takes the policy');

$pid = sidecar($w, args => ['--policy-file', $learned], name => 'enforce');
is(code('good.test'), '200', 'enforced: the name opens');
is(code($cdn[1]), '200', 'enforced: so does another');
is(code(RAW . ':8080'), '200', 'enforced: and the raw address');
is(status($_), 6, "enforced: $_ does not resolve")
    for qw(evil.test unused.test n4.cdn.test);
is(status(EVIL), 7, 'enforced: another address is refused');
isnt(code('db.test:5432'), '200', 'enforced: the private one is closed');
(undef, $report) = capture('timeout', '20', 'ip', 'netns', 'exec', $w->{host},
    $program, 'learn', '--netns', $w->{sandbox}, '--http-addr', ':18081',
    '--dns-upstream', RESOLVER);
like($report, qr/rules of a sidecar are in force/,
    'a guarded sandbox is not opened by learning');
is(status(EVIL), 7, '  and stays closed');
stop($pid);
run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
    'netdev', 'opensandbox');

# A file that is there
my ($code, $out) = capture($program, 'learn', '--netns', $w->{sandbox},
    '--output', $learned, '--dns-upstream', RESOLVER);
is($code, 1, 'an output that is there is refused');
like($out, qr/\A\S+ learn: --output: \Q$learned\E is there; expected --force or --merge\n\z/,
    '  in one line');

# Ports, wildcards, and a policy to start from, whose denials hold
write_file("$dir/start.json", encode_json({ egress => [
	{ action => 'deny', target => 'evil.test' },
	{ action => 'allow', target => 'good.test', ports => [443] }] }));
($pid, $log) = learn('--output', $learned, '--force', '--ports',
    '--wildcards', '3', '--policy-file', "$dir/start.json", '--duration', '1h');
traffic();
is(code('evil.test'), '200', 'watched: what a rule denies opens too');
stop($pid, 'TERM');
$policy = policy_of($learned);
is_deeply($policy->{egress}, [
	{ action => 'deny', target => 'evil.test' },
	{ action => 'allow', target => 'good.test', ports => [443] },
	{ action => 'allow', target => '*.cdn.test', ports => [80],
	    protocol => 'tcp' },
	{ action => 'allow', target => 'good.test', ports => [80],
	    protocol => 'tcp' },
	{ action => 'allow', target => RAW, ports => [8080],
	    protocol => 'tcp' },
    ], 'with ports and a wildcard, behind the rules to start from')
    or diag read_file($learned), read_file($log);
like(read_file($log), qr/^# not learned: denied by a rule.*\n#   \S+ tcp\/80 \(evil\.test\)$/m,
    'what a rule denies is reported');
$pid = sidecar($w, args => ['--policy-file', $learned], name => 'enforce2');
is(code('good.test'), '200', 'enforced: the name opens on its port');
is(code('n9.cdn.test'), '000', 'enforced: a name below the wildcard that is not there');
is(code('n2.cdn.test'), '200', 'enforced: one that is');
is(status('evil.test'), 6, 'enforced: what a rule denies stays denied');
is(code(RAW . ':8080'), '200', 'enforced: the address on its port');
is(status(RAW . ':80'), 7, 'enforced: and on no other');
stop($pid);
run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
    'netdev', 'opensandbox');

# More of it later
($pid, $log) = learn('--output', $learned, '--merge');
is(code($_), '200', "watched: $_ opens") for qw(later.test good.test);
my ($worker) = (capture('pgrep', '-f', "egress-sidecar learn --netns $w->{sandbox}"))[1] =~ /(\d+)\s*\z/;
kill 'KILL', $worker if $worker && $worker != $pid;
is(wait_for(sub { code('later.test') eq '200' }), 1,
    'a worker that is killed is replaced');
stop($pid, 'TERM');
is_deeply(targets(policy_of($learned)),
    ['evil.test', 'good.test', '*.cdn.test', 'good.test', RAW, 'later.test'],
    'merged: the new one alone is added') or diag read_file($log);

# The end by itself, and the policy on standard output
($pid, $log) = learn('--duration', '2s');
is(code('evil.test'), '200', 'watched: for two seconds');
is(wait_exit($pid, 15), 0, '--duration ends it');
like(read_file($log), qr/^\{"defaultAction": "deny", "egress": \[\n  \{"action": "allow", "target": "evil\.test"\}\n\]\}$/m,
    'the policy is on standard output');
ok(!table(), '  and the namespace free');

# A burst of connections is learned whole; what comes in is not learned.
($pid, $log) = learn();
in_netns($w->{sandbox}, sub {
	require IO::Socket::INET;
	for my $n (1 .. 250) {
		my $s = IO::Socket::INET->new(Proto => 'udp', PeerPort => 123,
		    PeerAddr => "198.51.100.$n") or next;
		$s->send('x');
	}
});
run('ip', '-n', $w->{internet}, 'route', 'replace', 'default', 'via',
    '203.0.113.1');
capture('ip', 'netns', 'exec', $w->{internet}, @web, 'http://10.88.0.5:7777/');
stop($pid, 'TERM');
my @burst = read_file($log) =~ /"target": "198\.51\.100\.\d+"/g;
is(scalar @burst, 250, 'each of 250 at once') or diag read_file($log);
unlike(read_file($log), qr/10\.88\.0\.5/, 'a connection inward is no traffic');

# In the sandbox's own namespace
$pid = start(name => 'own', netns => $w->{sandbox}, env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER },
    cmd => [$program, 'learn', '--output', "$dir/own.json"]);
wait_for(sub { read_file("$dir/own.log") =~ /^# watching/m });
is(code('good.test'), '200', 'as a sidecar: a name opens');
stop($pid, 'INT');
is_deeply(targets(policy_of("$dir/own.json")), ['good.test'],
    '  and is learned, our own queries are not')
    or diag read_file("$dir/own.log");

# Its end by force frees the sandbox as well.
($pid, $log) = learn();
ok(table(), 'watching');
kill_now($pid);
ok(wait_for(sub { !table() }), '  and killed: the namespace is free');

# The log of a sidecar that audits, or that refuses
$pid = sidecar($w, args => ['--audit'], name => 'audit');
is(code('evil.test'), '200', 'audit: a name opens');
ok(wait_for(sub { read_file("$dir/audit.log") =~ /would be refused.*"target\.host":"evil\.test"/ }),
    'audit: its packet is logged with the name');
stop($pid);
$pid = sidecar($w, name => 'refuse', env => { OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-7' });
is(status('unused.test'), 6, 'enforcing: a name is refused');
is(status(RAW . ':8080'), 7, 'enforcing: an address is refused');
wait_for(sub { read_file("$dir/refuse.log") =~ /packet refused/ });
stop($pid);
write_file("$dir/both.log", "2026-01-01T00:00:00Z stdout F " .
    join "\n", read_file("$dir/audit.log"), read_file("$dir/refuse.log"));
my @from = ($program, 'learn', '--from-log', "$dir/both.log");
sub from_log { my ($status, $text) = capture(@from, @_);
	$text =~ s/^#.*\n//mg; return targets(eval { decode_json($text) } || {}) }
is_deeply(from_log(), ['evil.test', RAW], 'from a log: what was used');
is_deeply(from_log('--asked'), ['evil.test', 'unused.test', RAW],
    '  with what was asked for');
is_deeply(from_log('--sandbox-id', 'sb-7'), [RAW], '  of one sandbox');

# Mistakes
write_file("$dir/open.json", '{"defaultAction":"allow"}');
write_file("$dir/bad.json", '{"egress":[{"action":"allow"}]}');
write_file("$dir/empty.log", "hello\n");
for my $case (
	[['--from-log', "$dir/none.log"], 1, qr/none\.log: No such file/],
	[['--from-log', "$dir/empty.log"], 1, qr/empty\.log: not one line/],
	[['--duration', 'soon'], 2, qr/--duration: "soon": expected a time/],
	[['--wildcards', '1'], 2, qr/--wildcards: "1": expected a number, 2/],
	[['--output'], 2, qr/--output: "": expected a file/],
	[['--ports=80'], 2, qr/--ports: "80": expected no value/],
	[['--frobnicate'], 2, qr/--frobnicate: unknown option/],
	[['--merge'], 2, qr/--merge: expected --output/],
	[['--agent'], 2, qr/--agent: learn watches one sandbox/],
	[['--mode', 'dns'], 2, qr/--mode dns: connections are not seen/],
	[['--policy-url', 'http://x/'], 2, qr/--policy-url: /],
	[['--from-log', '-', '--pid', '1'], 2, qr/--from-log: a log is read/],
	[['--from-log', '-', '--policy-file', "$dir/none.json"], 2,
	    qr/none\.json: No such file/],
	[['--from-log', '-', '--policy-file', "$dir/bad.json"], 2,
	    qr/bad\.json: egress\[0\]/],
	[['--from-log', '-', '--policy-file', "$dir/open.json"], 2,
	    qr/allows by default/],
	[['--from-log', "$dir/both.log", '--output', "$dir/no/where.json"], 1,
	    qr{no/where\.json: No such file}],
	[['--netns', 'nowhere'], 1, qr/--netns: "nowhere": No such file/],
) {
	my ($args, $want, $like) = @$case;
	($code, $out) = capture($program, 'learn', '--dns-upstream', '127.0.0.1',
	    @$args);
	is($code, $want, "@$args: status $want");
	like($out, qr/\A[^\n]*$like[^\n]*\n\z/, '  said in one line');
}

done_testing(95);
