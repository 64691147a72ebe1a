# SPDX-License-Identifier: Apache-2.0
#
# docs/troubleshooting.md: each symptom is brought about, and the command
# beside it, taken from the table, says what the table promises.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More tests => 42;
use Harness;
use Hostile;
use World;

my $dir = scratch();
my $program = build_dir() . '/egress-sidecar';
my $socket = "$dir/agent/egress.sock";
my ($table) = read_file(root() . '/docs/troubleshooting.md')
    =~ /^\| what you see \| command \| what it says \|\n\|---\|---\|---\|\n((?:\|.*\n)+)/m;
my @commands = map { s/\\\|/|/gr }
    map { (split /(?<!\\)\|/)[2] =~ /`(.+)`/ ? $1 : () } split /\n/, $table;
my %untried = map { $_ => 1 } @commands;

# The table's command that begins so, with words put in, run in a namespace.
sub says
{
	my ($where, $command, %words) = @_;
	my ($found) = ((grep { $_ eq $command } @commands),
	    (grep { index($_, $command) == 0 } @commands));
	BAIL_OUT("no such command in the table: $command") if !$found;
	delete $untried{$found};
	my $line = $found;
	$line =~ s{\b$_\b}{$words{$_}}g for keys %words;
	$line =~ s{^egress-sidecar}{$program};
	$line =~ s{/run/opensandbox/egress\.sock}{$socket};
	return (capture('ip', 'netns', 'exec', $where, 'sh', '-c', $line))[1];
}

my $w = world();
my ($inside, $host) = @$w{qw(sandbox host)};
world_dns($w, '--address=/good.test/' . GOOD, '--address=/db.test/10.0.0.5',
    '--address=/ports.test/' . GOOD);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
my $policy = write_file("$dir/policy.json", encode_json({ egress => [
	(map { { action => 'allow', target => $_ } } qw(good.test db.test)),
	{ action => 'allow', target => 'ports.test', ports => [443] }] }));
my $closed = free_port();
my $pid = sidecar($w, args => ['--policy-file', $policy, '--deny-webhook',
	"http://127.0.0.1:$closed/hook", '--gate', 'names'],
    env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => "203.0.113.222," . RESOLVER });
my $log = "$dir/sidecar.log";

like(says($inside, 'dig NAME', NAME => 'evil.test'), qr/EDE: 15 \(Blocked\)/,
    'a denied name');
like(says($inside, 'dig NAME', NAME => 'db.test'), qr/EDE: 17 \(Filtered\)/,
    'a name whose addresses are refused');
like(says($inside, 'grep nameserver /etc/resolv.conf'), qr/^nameserver 10\.88\.0\.1$/m,
    'whom the sandbox asks');
is(says($inside, 'grep options /etc/resolv.conf'), '', '  and for its usual time');
like(says($host, 'egress-sidecar check POLICY --query NAME', POLICY => $policy,
	NAME => 'evil.test'), qr/evil\.test: deny, by default/, 'its rule');
my $check = says($host, 'egress-sidecar check POLICY --query NAME:PORT',
    POLICY => $policy, NAME => 'ports.test', PORT => 80, IP => GOOD);
like($check, qr/ports\.test:80: deny/, 'a port that is not allowed');
like($check, qr/ports\.test=\S+: admitted, ports tcp\/443 udp\/443/,
    '  and those that are');
isnt((sees($w, 'curl', '-s', '-m', '5', 'http://ports.test/'))[0], 0,
    'connecting to it is refused');
ok(wait_for(sub { says($host, 'grep \'packet refused\'', LOG => $log) =~
	/"target\.port":80.*"target\.host":"ports\.test"/ }),
    '  which the log names');
is((sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null', 'http://good.test/'))[0],
    0, 'an allowed name opens');
isnt((sees($w, 'curl', '-s', '-m', '5', '-H', 'Host: ports.test',
	'http://good.test/'))[0], 0, '  and no other name there');
ok(wait_for(sub { says($host, 'grep \'refused by name\'', LOG => $log) =~
	/"target\.host":"ports\.test","reason":"sni_mismatch"/ }),
    '  which the log says');
my ($refused) = grep { $_->{verdict} eq 'deny' && $_->{reason} }
    @{ decode_json(says($host, 'curl -s http://127.0.0.1:18080/flows'))->{flows} };
is($refused->{name}, 'ports.test', '  and GET /flows');
api($w, 'PUT', '/policy', '{"egress":[{"action":"allow","target":"good.test"},'
    . '{"action":"allow","target":"ports.test","ports":[443]}],'
    . '"limits":{"dnsPerSecond":1}}');
like((sees($w, 'sh', '-c', 'for i in 1 2 3 4; do dig +tries=1 good.test; done'))[1],
    qr/EDE: 0/, 'questions over a limit');
ok(wait_for(sub { says($host, 'grep \'over a limit\'', LOG => $log) =~
	/"reason":"dnsPerSecond"/ }), '  which the log names');
api($w, 'PUT', '/policy', read_file($policy));
like(says($inside, 'nft list set inet opensandbox learned4'),
    qr/\Q${\GOOD}\E timeout \S+ expires \S+ comment "good\.test"/,
    '  and is in the set');
like(says($host, 'curl -s http://127.0.0.1:18080/metrics | grep upstream'),
    qr/upstream_failovers_total [1-9]/, 'a resolver that is away is counted');
capture('ip', 'netns', 'exec', $w->{internet}, 'curl', '-s', '-m', '1',
    '--interface', GOOD, 'http://10.88.0.5:8080/');
ok(wait_for(sub { says($host, 'grep \'inbound packet refused\' LOG', LOG => $log)
	=~ /"peer":"\Q${\GOOD}\E/ }), 'a client that may not connect inward');
run_in($inside, 'nft', 'flush', 'ruleset');
ok(wait_for(sub { read_file($log) =~ /"egress\.rules_lost"/ }),
    'rules that were taken away are missed');
ok(wait_for(sub { says($host, 'curl -s http://127.0.0.1:18080/healthz') eq 'ok' },
    20), '  and the sidecar is healthy once they are back');
like(says($host, 'dig @RESOLVER NAME', RESOLVER => RESOLVER,
	NAME => 'good.test'), qr/status: NOERROR/, '  and asked directly');
ok(wait_for(sub { says($host, 'grep \'deny webhook failed\'', LOG => $log)
	=~ /"error":".+"/ }, 20), 'a webhook that is closed is in the log');
like(says($host, 'curl -i -X POST', URL => "http://127.0.0.1:$closed/hook"),
    qr/refused|Failed|couldn't/i, '  and does not answer');
is((capture('ip', 'netns', 'exec', $host, 'curl', '-s', '-o', '/dev/null', '-w',
	'%{http_code}', '-X', 'PUT', '--data', '{"egress":[{"action":"allow",'
	. '"target":"a b"}]}', 'http://127.0.0.1:18080/policy'))[1], '400',
    'a bad policy is rejected');
write_file("$dir/bad.json", '{"egress":[{"action":"allow","target":"a b"}]}');
like(says($host, 'egress-sidecar check POLICY', POLICY => "$dir/bad.json"),
    qr/egress\[0\]\.target: "a b"/, '  and check says why');
my (undef, $second) = capture('timeout', '20', 'ip', 'netns', 'exec', $host,
    $program, '--netns', $inside, '--dns-upstream', RESOLVER);
like($second, qr/HTTP_ADDR: :18080: Address already in use/,
    'a second sidecar on the port');
($second) = (capture('timeout', '20', 'ip', 'netns', 'exec', $host, $program,
	'--netns', $inside, '--dns-upstream', RESOLVER, '--http-addr', ':18081'))[1];
like($second, qr/another process guards this sandbox/,
    'a second sidecar of the sandbox');
like(says($host, 'pgrep -a egress-sidecar'), qr/^$pid .*egress-sidecar/m,
    '  finds the first, too');
like(says($host, 'ss -ltnp'), qr/"egress-sidecar",pid=$pid\b/,
    '  finds the first');
stop($pid);
is((sees($w, 'curl', '-s', '-m', '3', 'http://' . EVIL . '/'))[0], 7,
    'an ended sidecar leaves its rules');
like(says($inside, 'nft list tables'), qr/inet opensandbox/, '  in a table');
says($inside, 'nft delete table inet opensandbox');
is((sees($w, 'curl', '-s', '-m', '3', '-o', '/dev/null', 'http://' . EVIL . '/'))[0],
    0, '  which can be deleted');

mkdir "$dir/etc";
write_file("$dir/etc/resolv.conf", '');
$pid = sidecar($w, name => 'alone',
    under => ['sh', '-c', "mount --bind $dir/etc /etc && exec \"\$@\"", 'sh'],
    env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '' });
like(says($host, 'curl -s http://127.0.0.1:18080/metrics | grep upstream_healthy'),
    qr/^\S*upstream_healthy\S* 0$/m, 'no resolver is known');
stop($pid);
$pid = sidecar($w, name => 'empty');
like(says($host, 'curl -s http://127.0.0.1:18080/policy'),
    qr/"mode":"deny_all"/, 'no policy denies all');
stop($pid);

$pid = sidecar($w, name => 'marks', how => 'sidecar');
hostile($w, ROOT, 'guess', 'udp', RESOLVER, 53, 300);
ok(wait_for(sub { says($inside, 'grep mark_guessed', LOG => "$dir/marks.log")
	=~ /mark_guessed/ }), 'guesses at our mark');
stop($pid);

SKIP: {
	my $group = "opensandbox-symptoms-$$";
	my @rewriter = (python(), root() . '/t/tools/rewriter.py', $group,
		'10.96.0.10', RESOLVER);
	my ($mount) = read_file('/proc/mounts') =~ /^\S+ (\S+) cgroup2 /m;
	my ($status) = capture(@rewriter, 'true');
	my ($line) = grep { /rewrites a resolver/ } @commands;
	delete $untried{$line};
	skip 'the kernel takes no program for connect', 1 if $status == 77;
	$pid = sidecar($w, name => 'rewritten', how => 'sidecar',
		under => \@rewriter,
		env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '10.96.0.10' });
	like(says($inside, $line, LOG => "$dir/rewritten.log"),
	    qr/10\.96\.0\.10.*\Q${\RESOLVER}\E/,
	    'questions that something leads elsewhere');
	stop($pid);
	rmdir "$mount/$group";
}

my @weak = ('setpriv', '--bounding-set', '-net_admin', '--inh-caps',
	'-net_admin');
like((capture(@weak, $program, '--dns-upstream', RESOLVER))[1],
    qr/CAP_NET_ADMIN is missing/, 'without its capability');
my ($capsh) = grep { /^capsh/ } @commands;
delete $untried{$capsh};
unlike((capture(@weak, split ' ', $capsh))[1], qr/Bounding set =.*cap_net_admin/,
    '  capsh shows that it is not there');

like(says($host, 'curl --unix-socket /run/opensandbox/egress.sock http://agent/healthz'),
    qr/Couldn't connect|Failed to connect/, 'an agent that is away');
$pid = start(name => 'agent', netns => $host, env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER },
    cmd => [$program, '--agent', '--agent-socket', $socket, '--agent-state',
	"$dir/state"]);
ok(wait_for(sub { says($host, 'curl --unix-socket /run/opensandbox/egress.sock http://agent/healthz')
	=~ /ok/ }), '  and one that is there');
like(says($host, 'curl --unix-socket /run/opensandbox/egress.sock http://agent/v1/sandboxes/ID',
	ID => 'sb-9'), qr/not_found|404/, '  does not guard everything');
stop($pid);
is_deeply([sort keys %untried], [], 'each command of the table was run');
