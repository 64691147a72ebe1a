# SPDX-License-Identifier: Apache-2.0
#
# runc runs the hook of conf/oci: a container is closed before its process
# starts, does not start when the agent is away, and is forgotten when it ends.
# What lives on in its namespace is not free.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

for my $program (qw(/usr/sbin/runc /usr/bin/runc)) {
	$ENV{RUNC} ||= $program if -x $program;
}
plan skip_all => 'no runc' if !$ENV{RUNC};
plan tests => 50;

my $dir = scratch();
my $runc = $ENV{RUNC};
my $socket = agent_socket();
my $bundle = "$dir/bundle";
my $id = "Osb_$$";
(my $known = lc $id) =~ tr/_/-/;
my @containers;
END {
	my $status = $?;
	capture($runc, '--root', "$dir/runc", 'delete', '-f', $_) for @containers;
	$? = $status;
}

# A container with the system's programs, whose own network namespace is empty
# but for what we plug in.
mkdir $_ for $bundle,
    map { "$bundle/rootfs$_" } '', qw(/usr /etc /proc /dev /sys /tmp);
symlink "usr/$_", "$bundle/rootfs/$_" for qw(bin sbin lib lib64);
write_file("$bundle/rootfs/etc/resolv.conf", "nameserver 10.98.0.1\n");
run('sh', '-c', 'cd "$0" && exec "$1" spec', $bundle, $runc);
my $spec = decode_json(read_file("$bundle/config.json"));
my $hook = decode_json(read_file(root() . '/conf/oci/opensandbox-egress.json'));
is_deeply($hook->{stages}, [qw(createRuntime poststop)], 'the hook\'s stages');
is($hook->{hook}{path}, '/usr/sbin/egress-sidecar', 'the installed program');
my %hook = (path => build_dir() . '/egress-sidecar',
    args => [@{ $hook->{hook}{args} }, '--agent-socket', $socket]);
$spec->{hooks}{$_} = [\%hook] for @{ $hook->{stages} };
$spec->{process}{terminal} = JSON::PP::false;
$spec->{process}{args} = ['sleep', '600'];
# The test's machine may let nobody raise a limit or make a cgroup.
push @{ $spec->{mounts} }, { destination => '/usr', type => 'bind',
	source => '/usr', options => ['rbind', 'ro'] };
delete $spec->{process}{rlimits};
delete $spec->{linux}{resources};
$spec->{linux}{namespaces} = [grep { $_->{type} ne 'cgroup' }
	@{ $spec->{linux}{namespaces} }];
$spec->{annotations}{'opensandbox.io/egress-policy'} = encode_json({
	egress => [{ action => 'allow', target => 'good.test' }] });

sub configure { write_file("$bundle/config.json", encode_json($spec)) }

# (status, output); a container's process must not hold our pipe open.
sub runc
{
	my ($verb, @args) = @_;
	my $log = "$dir/runc.out";
	my ($status) = capture('sh', '-c',
	    'out=$1; shift; exec "$@" </dev/null >"$out" 2>&1', 'sh', $log,
	    'timeout', '30', $runc, '--root', "$dir/runc", $verb, @args);
	return ($status, read_file($log));
}

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

# Can a container be made here at all, without a hook?
my %hooks = %{ delete $spec->{hooks} };
configure();
push @containers, "$id-try";
my ($status, $out) = runc('create', '--bundle', $bundle, "$id-try");
if ($status != 0) {
	SKIP: { skip "runc cannot make a container here: $out", 48 }
	exit 0;
}
runc('delete', '-f', "$id-try");
$spec->{hooks} = \%hooks;
configure();

sub record { return ask('GET', "/v1/sandboxes/$_[0]") }

push @containers, $id;
($status, $out) = runc('create', '--bundle', $bundle, $id);
isnt($status, 0, 'without an agent no container is made');
like($out, qr/the agent at \Q$socket\E: No such file or directory/, '  and runc says why');

my $agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
runc('delete', '-f', $id);
($status, $out) = runc('create', '--bundle', $bundle, $id);
is($status, 0, 'with one it is') or diag $out;
my $state = decode_json((runc('state', $id))[1]);
is($state->{status}, 'created', '  its process waits to be started');
my ($code, $record) = record($known);
is($code, 200, '  and it is guarded already');
is($record->{pid}, $state->{pid}, '  by its process');
is_deeply($record->{policy}{egress}, [{ action => 'allow',
	target => 'good.test' }], '  under its annotation\'s policy');

# Plug it into the world.
my @inside = ('nsenter', '-t', $state->{pid}, '-n');
run('ip', '-n', $w->{host}, 'link', 'add', 'oci0', 'type', 'veth', 'peer',
    'name', 'eth0', 'netns', $state->{pid});
run('ip', '-n', $w->{host}, 'link', 'set', 'oci0', 'up');
addr($w->{host}, 'oci0', '10.98.0.1/24');
run(@inside, 'ip', 'link', 'set', 'eth0', 'up');
run(@inside, 'ip', 'addr', 'add', '10.98.0.5/24', 'dev', 'eth0');
run(@inside, 'ip', 'route', 'add', 'default', 'via', '10.98.0.1');

is((runc('start', $id))[0], 0, 'it starts');
sub fetch { (runc('exec', $id, 'curl', '-s', '-m', '5', '-o', '/dev/null',
	"http://$_[0]/"))[0] }
is(fetch(GOOD), 7, '  an address without its name is refused');
is(fetch('good.test'), 0, '  what its policy allows opens');
is(fetch(GOOD), 0, '  and then its address');
is(fetch('evil.test'), 6, '  another name does not resolve');
is(fetch(EVIL), 7, '  nor does its address open');
is((runc('delete', '-f', $id))[0], 0, 'it ends');
ok(wait_for(sub { (record($known))[0] == 404 }), '  and is forgotten');

# Two containers in one namespace, as in a pod: whoever stops, the other one is
# guarded and served, and when the last has stopped the namespace stays closed.
sub hook
{
	write_file("$dir/state.json", $_[0]);
	return capture('sh', '-c', 'exec "$@" <"$0"', "$dir/state.json",
	    $hook{path}, @{ $hook{args} }[1 .. 3]);
}

my %process = map { $_ => start(name => $_, netns => $w->{sandbox},
	cmd => ['sleep', '600']) } qw(first second other);
wait_for(sub { !grep { readlink("/proc/$_/ns/net") eq
	readlink('/proc/self/ns/net') } values %process });

sub container
{
	my ($name, $status, $target) = @_;
	return hook(encode_json({ id => "osb_$name", status => $status,
		pid => $process{$name}, annotations => {
		'opensandbox.io/egress-policy' => encode_json({ egress => [
			{ action => 'allow', target => $target || 'good.test' }] })
		} }));
}

sub served
{
	my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null');
	return (sees($w, @web, 'http://good.test/'))[0] == 0
	    && (sees($w, @web, 'http://' . EVIL . '/'))[0] == 7;
}

is((container('first', 'created'))[0], 0, 'a container');
($status, $out) = container('second', 'created');
is($status, 0, 'a second one in its namespace') or diag $out;
($status, $out) = container('other', 'created', 'evil.test');
is($status, 1, 'one that is to have another policy');
like($out, qr/409 .*sandbox osb-first already, under another policy/,
    '  is refused, and why');
is_deeply([map { $_->{id} } @{ (record('osb-second'))[1]{attachments} }],
    ['osb-first', 'osb-second'], 'the agent knows both by their ids');
ok(served(), 'what they share is guarded and served');
is((container('first', 'stopped'))[0], 0, 'the first stops');
ok(served(), '  and the namespace is guarded and served for the second');
stop($agent);
$agent = agent($w->{host}, 'agent-next',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
ok(served(), '  by the next agent too');
is((container('first', 'created'))[0], 0, 'the first comes again');
kill_now($process{second});
ok(wait_for(sub { (record('osb-second'))[0] == 404 }),
    'the second\'s process ends');
ok(served(), '  and the first is served');
is((container('first', 'stopped'))[0], 0, 'the last one stops');
is((record('osb-first'))[0], 404, '  and is forgotten');
is((sees($w, 'curl', '-s', '-m', '5', '-o', '/dev/null',
	'http://' . EVIL . '/'))[0], 7, '  and what may live on stays closed in');
is((container('first', 'stopped'))[0], 0, '  and again');

# Mistakes
$spec->{annotations}{'opensandbox.io/egress-policy'} = 'none';
configure();
($status, $out) = runc('create', '--bundle', $bundle, $id);
isnt($status, 0, 'an annotation that is no policy');
like($out, qr{annotation opensandbox\.io/egress-policy: not JSON},
    '  is named');
runc('delete', '-f', $id);
for my $case (
	['{', qr/state: /, 'half a state'],
	['{"id":"x"}', qr/state: expected id and status/, 'one without status'],
	['{"id":"x","status":"running","pid":1}', qr/status: expected creating/,
	    'a stage that is not ours'],
	['{"id":"a b","status":"created","pid":1}', qr/container id "a b"/,
	    'a bad id'],
	['{"id":"x","status":"created"}', qr/pid: expected/, 'no process'],
	['{"id":"x","status":"created","pid":999999999}', qr/the agent: 400 /,
	    'a process that is not there'],
) {
	my ($text, $like, $name) = @$case;
	($status, $out) = hook($text);
	is($status, 1, $name);
	like($out, qr/\Aegress-sidecar hook: [^\n]*$like[^\n]*\n\z/, '  in one line');
}
is((capture(build_dir() . '/egress-sidecar', 'hook', '--frob'))[0], 2,
    'an unknown option');
stop($agent);
($status, $out) = hook('{"id":"x","status":"stopped"}');
is($status, 0, 'an agent that is away holds up nobody who has stopped');
like($out, qr/the agent at/, '  but is missed');
