# SPDX-License-Identifier: Apache-2.0
#
# The limits of a policy: what is below goes through, what is over is refused
# and does not leave, is counted, and is told once a second.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Time::Local 'timegm';
use Agent ();
use Harness;
use Receiver;
use Sidecar qw(follow in_force);
use World;

use constant PORT => 7000;

my $dir = scratch();
my $file = "$dir/policy.json";
my $tool = root() . '/t/tools/limits.py';
my $w = world();
my $ns = $w->{sandbox};
my $log;

world_dns($w);
world_web($w, 'internet', EVIL, 80, 'evil');
start(name => 'server', netns => $w->{internet},
    cmd => [python(), $tool, 'serve', GOOD, PORT]);
wait_for(sub { (capture('ip', 'netns', 'exec', $w->{internet}, python(), $tool,
	'get', GOOD, PORT, 3))[1] =~ /got 3/ }) or die 'no server';

my @rules = ({ action => 'allow', target => GOOD },
	{ action => 'allow', target => 'good.test' });

# Perl's numbers may be strings; these are written as they are.
sub policy
{
	my (%limits) = @_;
	my $text = encode_json(\@rules);
	my $limits = join ',', map { qq("$_":$limits{$_}) } sort keys %limits;

	return $limits ? qq({"egress":$text,"limits":{$limits}})
	    : qq({"egress":$text});
}

sub put
{
	my (%limits) = @_;
	my ($status, $text) = api($w, 'PUT', '/policy', policy(%limits));

	$status == 200 or diag $text;
	return $status;
}

sub client { (sees($w, python(), $tool, $_[0], GOOD, PORT, $_[1]))[1] }

# A process that holds N connections, and what it says of them.
my $holders = 0;
sub hold
{
	my ($n) = @_;
	my $name = 'hold' . ++$holders;
	my $pid = start(name => $name, netns => $ns,
	    cmd => [python(), $tool, 'hold', GOOD, PORT, $n]);

	wait_for(sub { read_file("$dir/$name.log") =~ /open/ });
	return ($pid, read_file("$dir/$name.log"));
}

sub metric
{
	my ($name) = @_;
	my (undef, $text) = api($w, 'GET', '/metrics');

	return $text =~ /^egress_limit_$name(?:\{[^}]*\})? (\d+)/m ? $1 : undef;
}

# When each line about a limit was written, in seconds.
sub lines
{
	my ($reason) = @_;
	my @lines = grep { ($_->{reason} // '') eq $reason }
	    map { scalar eval { decode_json($_) } // {} }
	    split /\n/, read_file($log);

	return map {
		my ($y, $mo, $d, $h, $m, $s) = $_->{time}
		    =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)/ or die $_->{time};
		+{ %$_, at => timegm(int $s, $m, $h, $d, $mo - 1, $y) + $s - int $s }
	} @lines;
}

sub told
{
	my ($reason, $what) = @_;
	my @lines;

	wait_for(sub { @lines = lines($reason) });
	cmp_ok(scalar @lines, '>', 0, "$what is told") or return;
	is($lines[0]{event}, 'egress.denied', '  as what is denied');
	return if $reason eq 'dnsPerSecond';
	my $far = $lines[0]{direction} ? 'peer' : 'target.ip';
	is($lines[0]{$far}, GOOD, '  with the address');
}

# Reports of packets are gathered for a tenth of a second.
sub told_slowly
{
	my ($reason) = @_;
	my @at = map { $_->{at} } lines($reason);
	my @near = grep { $at[$_] - $at[$_ - 1] < 0.8 } 1 .. $#at;

	is("@near", '', '  once a second at the most') or diag "@at";
}

# The rules, in an order, without what is never the same.
sub ruleset
{
	my $text = run_in($ns, 'nft', '--stateless', 'list', 'table', 'inet',
	    'opensandbox');
	my %mark;

	$text =~ s/(ct mark (?:set )?)(0x[0-9a-f]+)/$1 . ($mark{$2} \/\/= keys %mark)/ge;
	$text =~ s/^\t\telements = \{[^}]*timeout[^}]*\}\n//mg;
	return join "\n", sort split /\n\n|^\}\n/m, $text;
}

sub connections
{
	my ($held, $said, $seen);

	is(put(connections => 3), 200, 'three connections at a time');
	($held, $said) = hold(3);
	like($said, qr/open 3 refused 0/, 'three are open');
	$seen = counted($w, 'good');
	like(client('open', 5), qr/open 0 refused 5/, 'others are refused at once');
	is(counted($w, 'good'), $seen, '  and none leaves');
	is((sees($w, 'dig', '+short', 'good.test', 'A'))[1], GOOD . "\n",
	    'questions are no such connections');
	cmp_ok(metric('refused_connections_total'), '>=', 5, '  they are counted');
	told('connections', 'one too many');
	is((api($w, 'PATCH', '/policy', [{ action => 'deny', target => EVIL }]))[0],
	    200, 'another policy, the same limit');
	like(client('open', 2), qr/open 0 refused 2/, 'the three still count');
	is(put(connections => 2, bytesTotal => 1000000), 200, 'a lower limit');
	ok(wait_for(sub { read_file($log) =~ /"egress\.updated".*"egress\.limits":
		\{"connections":2,"bytesTotal":1000000\}/x }), '  which the log says');
	stop($held);
	($held, $said) = hold(3);
	like($said, qr/open 2 refused 1/, 'which holds for new ones');
	stop($held);
	ok(wait_for(sub { client('open', 1) =~ /open 1/ }),
	    'once they have gone there is room');
	told_slowly('connections');
}

sub new_connections
{
	my ($opened, $refused, $took, $seen);

	is(put(newConnectionsPerSecond => 5), 200, 'five new ones a second');
	($opened, $refused, $took) = client('open', 60)
	    =~ /open (\d+) refused (\d+) in ([\d.]+)/ or die;
	cmp_ok($opened, '>=', 5, 'five open');
	cmp_ok($opened, '<=', 6 + 5 * $took, '  and no more than that a second');
	cmp_ok($refused, '>=', 1, '  others are refused');
	is(metric('refused_new_connections_per_second_total'), $refused,
	    '  and counted');
	told('newConnectionsPerSecond', 'what comes too fast');
	for (1 .. 20) {
		client('open', 20);
		last if lines('newConnectionsPerSecond') > 1;
	}
	told_slowly('newConnectionsPerSecond');
}

sub bytes_per_second
{
	my ($took, $seen, $arrived);

	is(put(bytesPerSecond => 200000), 200, '200,000 bytes a second');
	is(client('get', 100000), "got 100000\n", 'less goes through');
	for (['flood', 'of three million no more leave than that'],
	    ['raw', 'nor by a raw socket']) {
		my ($how, $what) = @$_;

		$seen = counted($w, 'good');
		($took) = client($how, 3000) =~ /sent.* in ([\d.]+)/ or die;
		$arrived = counted($w, 'good') - $seen;
		cmp_ok($arrived * 1028, '<=', 200000 * (1 + $took) + 65536 + 2056,
		    $what);
		cmp_ok($arrived, '>', $how eq 'raw' ? 0 : 50, '  but those do');
	}
	cmp_ok(metric('refused_bytes_per_second_total'), '>=', 2000,
	    '  the others are counted');
	told('bytesPerSecond', 'what is too much');
	like(client('get', 50000), qr/got 50000\n/, 'a connection goes on, slower');
	told_slowly('bytesPerSecond');
}

sub bytes_total
{
	my (%start) = @_;
	my ($seen, $used);

	is(put(bytesTotal => 300000), 200, '300,000 bytes in all');
	stop($w->{pid});
	run_in($ns, 'nft', 'delete', 'table', 'inet', 'opensandbox');
	$w->{pid} = sidecar($w, %start, name => "fresh-$start{how}");
	is(client('get', 100000), "got 100000\n", 'the first hundred thousand');
	$used = metric('bytes_total_used');
	cmp_ok($used, '>', 100000, '  are counted');
	cmp_ok($used, '<', 140000, '  with their headers');
	is((api($w, 'PATCH', '/policy', [{ action => 'deny', target => EVIL }]))[0],
	    200, 'another policy, the same limit');
	cmp_ok(metric('bytes_total_used'), '>=', $used, '  they still count');
	is(client('get', 100000), "got 100000\n", 'the second hundred thousand');
	like(client('get', 200000), qr/got \d+, then Connection/,
	    'the rest is too much, and ended');
	wait_for(sub { client('open', 1) =~ /refused 1/ });
	$seen = counted($w, 'good');
	like(client('open', 3), qr/open 0 refused 3/, 'nothing opens any more');
	like(client('flood', 3), qr/refused [23]/, '  no datagram either');
	is(counted($w, 'good'), $seen, '  nor leaves');
	cmp_ok(metric('refused_bytes_total_total'), '>=', 3, '  that is counted');
	$log = "$dir/fresh-$start{how}.log";
	told('bytesTotal', 'what is over');
	is((sees($w, 'dig', '+short', 'good.test', 'A'))[1], GOOD . "\n",
	    'names are answered all the same');

	stop($w->{pid});
	$w->{pid} = sidecar($w, %start, name => "again-$start{how}");
	$log = "$dir/again-$start{how}.log";
	is(metric('bytes_total_used'), 300000, 'another process knows it');
	like(client('open', 1), qr/refused 1/, '  and refuses');
	is(put(), 200, 'a policy without the limit');
	is(client('get', 100000), "got 100000\n", '  lets it through');
	is(put(bytesTotal => 300000), 200, 'the limit again');
	like(client('open', 1), qr/refused 1/, '  what was counted is not forgotten');
	is(put(bytesTotal => 500000), 200, 'a higher one');
	is(client('get', 100000), "got 100000\n", '  lets as much through');
	like(client('get', 200000), qr/got \d+, then/, '  and no more');
	run_in($ns, 'nft', 'flush', 'ruleset');
	ok(wait_for(sub { read_file($log) =~ /"egress\.rules_restored"/ }),
	    'the rules are taken away and put back');
	cmp_ok(metric('bytes_total_used'), '>=', 300000, '  it is remembered');
	told_slowly('bytesTotal');
}

sub dns_per_second
{
	my ($text, $good, $failed);

	is(put(dnsPerSecond => 5), 200, 'five questions a second');
	$text = (sees($w, 'dig', '+time=2', '+tries=1',
		map { "n$_.good.test" } 1 .. 40))[1];
	$good = () = $text =~ /status: N(?:OERROR|XDOMAIN)/g;
	$failed = () = $text =~ /status: SERVFAIL/g;
	is($good + $failed, 40, 'forty are answered');
	cmp_ok($good, '>=', 5, '  five of them well');
	cmp_ok($failed, '>=', 20, '  most of them not');
	like($text, qr/EDE: 0 \(Other\): \(over limits\.dnsPerSecond/, '  and why');
	is(metric('refused_dns_per_second_total'), $failed, '  they are counted');
	told('dnsPerSecond', 'what is too much');
	$text = (sees($w, 'dig', '+tcp', '+time=2', '+tries=1',
		map { "t$_.good.test" } 1 .. 20))[1];
	like($text, qr/status: SERVFAIL/, 'TCP counts as well');
	ok(wait_for(sub { (sees($w, 'dig', '+short', 'good.test', 'A'))[1] eq GOOD . "\n" }),
	    'a second later there is room');
	told_slowly('dnsPerSecond');
}

sub bad_values
{
	put(connections => 7);
	for my $bad (['[]', 'limits: not an object'],
	    ['{"connections":0}', 'limits\.connections: not an integer from 1'],
	    ['{"bytesTotal":"many"}', 'limits\.bytesTotal: not an integer.*many'],
	    ['{"connection":3}', 'did you mean "connections"']) {
		my ($status, $text) = api($w, 'PUT', '/policy',
		    qq({"egress":[],"limits":$bad->[0]}));

		is($status, 400, "refused: $bad->[0]");
		like($text, qr/$bad->[1]/, '  and named');
	}
	my $answer = (api($w, 'GET', '/policy'))[2];
	is_deeply($answer->{policy}{limits}, { connections => 7 },
	    'the old ones are in force');
	is_deeply(decode_json(read_file($file))->{limits}, { connections => 7 },
	    '  and in the file');
	$answer = (api($w, 'PUT', '/policy',
		'{"egress":[],"limits":{"packets":1}}'))[2];
	like("@{ $answer->{warnings} }", qr/limits: unknown key "packets"/,
	    'an unknown key is told');
}

for my $how (qw(join sidecar)) {
	my @start = (how => $how, args => ['--policy-file', $file]);

	unlink $file;
	$w->{pid} = sidecar($w, @start, name => "first-$how");
	$log = "$dir/first-$how.log";
	subtest "$how: bad values" => \&bad_values;
	put();
	my $without = ruleset();
	unlike($without, qr/quota|connections|limit_|bytes/,
	    "$how: no limit, no rule for one");
	subtest "$how: connections" => \&connections;
	subtest "$how: new connections a second" => \&new_connections;
	subtest "$how: bytes a second" => \&bytes_per_second;
	subtest "$how: questions a second" => \&dns_per_second;
	put();
	(my $after = ruleset()) =~ s/\tquota all_bytes \{.*?\}\n//s;
	is($after, $without, "$how: without limits the rules are those of before");
	subtest "$how: bytes in all" => sub { bytes_total(@start) };
	stop($w->{pid});
	run_in($ns, 'nft', 'delete', 'table', 'inet', 'opensandbox');
}

subtest 'without packets' => sub {
	my $need = qr/limits but dnsPerSecond need --mode dns\+nft/;
	my $pid = sidecar($w, name => 'dns', args => ['--mode', 'dns']);

	is(put(dnsPerSecond => 5), 200, 'a limit of questions');
	unlike(read_file("$dir/dns.log"), $need, '  holds');
	is(put(dnsPerSecond => 5, connections => 5), 200, 'one of connections');
	ok(wait_for(sub { read_file("$dir/dns.log") =~ $need }),
	    '  does not, which is said');
	stop($pid);
};

subtest 'a kernel that cannot' => sub {
	unlink $file;
	my $pid = sidecar($w, name => 'lacking', args => ['--policy-file', $file,
		'--without', 'connection-count,quota']);

	put(bytesPerSecond => 1000000);
	for my $limit ('connections', 'bytesTotal') {
		my ($status, $text) = api($w, 'PUT', '/policy',
		    policy($limit => 5));

		is($status, 500, "$limit: the policy is refused");
		like($text, qr/limits\.$limit: .*missing/, '  and told why');
	}
	is_deeply((api($w, 'GET', '/policy'))[2]{policy}{limits},
	    { bytesPerSecond => 1000000 }, 'the old one is in force');
	is(client('get', 1000), "got 1000\n", '  and works');
	is((api($w, 'GET', '/healthz'))[0], 200, '  as it should');
	stop($pid);
};

subtest 'an audit refuses nothing' => sub {
	unlink $file;
	my $pid = sidecar($w, name => 'audit', args => ['--audit']);

	$log = "$dir/audit.log";
	put(connections => 1, bytesTotal => 1000, bytesPerSecond => 1000,
	    newConnectionsPerSecond => 1, dnsPerSecond => 1);
	like(client('open', 5), qr/open 5 refused 0/, 'connections open');
	is(client('get', 300000), "got 300000\n", 'bytes pass');
	unlike((sees($w, 'dig', '+tries=1', map { 'good.test' } 1 .. 5))[1],
	    qr/SERVFAIL/, 'questions are answered');
	for my $limit (qw(newConnectionsPerSecond bytesTotal bytesPerSecond
	    dnsPerSecond)) {
		ok(wait_for(sub { lines($limit) }), "$limit is told");
	}
	stop($pid);
};

subtest 'what is behind the sandbox counts' => sub {
	my $inner = netns('inner');

	veth($ns, 'in0', $inner, 'eth0');
	addr($ns, 'in0', '10.77.0.1/24');
	addr($inner, 'eth0', '10.77.0.2/24');
	run('ip', '-n', $inner, 'route', 'add', 'default', 'via', '10.77.0.1');
	run('ip', '-n', $w->{host}, 'route', 'add', '10.77.0.0/24', 'via',
	    '10.88.0.5');
	run_in($ns, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
	unlink $file;
	my $pid = sidecar($w, name => 'behind');
	my @inner = ('ip', 'netns', 'exec', $inner, python(), $tool);

	put(connections => 1);
	my $held = start(name => 'inner', cmd => [@inner, 'hold', GOOD, PORT, 1]);
	ok(wait_for(sub { read_file("$dir/inner.log") =~ /open 1 refused 0/ }),
	    'a connection from there');
	like(client('open', 2), qr/open 0 refused 2/, '  is one of the sandbox');
	stop($held);
	put(bytesTotal => 50000);
	my ($got) = (capture(@inner, 'get', GOOD, PORT, 100000))[1] =~ /got (\d+), then/;
	cmp_ok($got // 100000, '<', 50000, 'so are its bytes');
	stop($pid);
	run('ip', '-n', $ns, 'link', 'del', 'in0');
	run_in($ns, 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
	run_in($ns, 'nft', 'delete', 'table', 'inet', 'opensandbox');
};

subtest 'the agent keeps them' => sub {
	my $env = { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER };
	my $agent = Agent::agent($w->{host}, 'agent', $env);
	my $body = qq({"netns":"$ns","policy":) . policy(connections => 1) . '}';
	my ($held, $said);

	is((Agent::ask('PUT', '/v1/sandboxes/sb', $body))[0], 201, 'a sandbox');
	($held, $said) = hold(2);
	like($said, qr/open 1 refused 1/, 'one connection');
	$log = "$dir/agent.log";
	ok(wait_for(sub { grep { $_->{sandbox_id} eq 'sb' } lines('connections') }),
	    '  the log says whose');
	stop($held);
	stop($agent);
	$agent = Agent::agent($w->{host}, 'agent-again', $env);
	is_deeply((Agent::ask('GET', '/v1/sandboxes/sb'))[1]{policy}{limits},
	    { connections => 1 }, 'its state has them');
	is((Agent::ask('PUT', '/v1/sandboxes/sb',
		qq({"netns":"$ns","policy":{"limits":{"connections":0}}})))[0], 400,
	    'a bad one is refused');
	stop($agent);
};

subtest 'a gateway gives them' => sub {
	my $body = policy(connections => 4, dnsPerSecond => 9);
	my $url = receiver(undef, 'gateway', { etag => '"1"', body => $body });
	my $pid = follow(netns('pulled'), "$url/policy", 'secret');

	ok(wait_for(sub { in_force()
		=~ /"limits":\{"connections":4,"dnsPerSecond":9\}/ }, 30),
	    'they are in force');
	stop($pid);
};

subtest 'learning keeps them' => sub {
	my $start = write_file("$dir/start.json", policy(bytesTotal => 5));
	my (undef, $out) = capture(build_dir() . '/egress-sidecar', 'learn',
	    '--from-log', "$dir/audit.log", '--policy-file', $start);

	like($out, qr/"limits": \{"bytesTotal": 5\}/, 'beside the rules')
	    or diag $out;
};

done_testing();
