# SPDX-License-Identifier: Apache-2.0
#
# A host with a container engine: what a container may reach is its label. One
# that the OCI hook attached is told by its id, one that no hook did is attached
# by its process; one that begins anew is attached anew. The agent, the hook and
# the namespaces are real, the engine is t/tools/fake_engine.py.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

my $json = JSON::PP->new->canonical;
my $dir = scratch();
my $engine = "$dir/engine.sock";
my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my %id = map { $_ => $_ x 64 } qw(a b c d);
my $w = world();

world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
start(name => 'engine', cmd => [python(), '-B', tool('fake_engine.py'), $engine,
    $dir]);
wait_for(sub { -S $engine }) or die 'the engine does not listen';
my $agent = agent($w->{host}, 'agent',
    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
my $log = "$dir/discovery.log";
my $feeder = start(name => 'discovery', log => $log, cmd => [build_dir()
    . '/opensandbox-discovery', "--docker=unix://$engine", '--agent',
    agent_socket()]);

sub policy { { egress => [map { { action => 'allow', target => $_ } } @_] } }
sub opens { (sees($w, @web, "http://$_[0]/"))[1] eq '200' }
sub status { (sees($w, @web, "http://$_[0]/"))[0] }
sub table { run_in($_[0], 'nft', 'list', 'tables') =~ /inet opensandbox/ }

# A process that lives in a namespace, as a container's first one.
sub process
{
	my ($netns) = @_;
	my $pid = start(name => "in-$netns", netns => $netns,
	    cmd => ['sleep', '600']);
	wait_for(sub { (readlink("/proc/$pid/exe") // '') =~ /sleep|coreutils/ });
	return $pid;
}

sub container
{
	my ($name, $pid, $policy) = @_;
	my %labels = ('opensandbox.io/id' => "sb-$name", defined $policy
	    ? ('opensandbox.io/egress-policy' => ref $policy
	    ? $json->encode($policy) : $policy) : ());
	say_of('start', $name, { Id => $id{$name}, Config => { Labels => \%labels },
	    HostConfig => { NetworkMode => 'bridge' },
	    State => { Running => $pid ? JSON::PP::true : JSON::PP::false,
		Pid => $pid },
	    NetworkSettings => { Networks => { bridge => {
		IPAddress => '10.88.0.5' } } } });
}

# What an inspection says from now on, and the event that tells of it.
sub say_of
{
	my ($action, $name, $container) = @_;
	my $file = "$dir/$id{$name}.json";
	$container ? write_file($file, encode_json($container)) : unlink $file;
	write_file("$dir/list", encode_json([map { { Id => m{(\w+)\.json$} } }
	    glob "$dir/?" . '?' x 63 . '.json']));
	open my $events, '>>', "$dir/events" or die "events: $!";
	print $events encode_json({ Type => 'container', Action => $action,
	    Actor => { ID => $id{$name},
		Attributes => { 'opensandbox.io/id' => "sb-$name" } } }), "\n";
	close $events;
}

# The hook, as an OCI runtime calls it.
sub hook
{
	my ($name, $pid, $policy) = @_;
	my $file = write_file("$dir/state.json", encode_json({
	    id => $id{$name}, pid => $pid, status => 'created', annotations => {
		'opensandbox.io/egress-policy' => $json->encode($policy) } }));
	return (capture('sh', '-c', 'exec "$0" hook --agent-socket "$1" <"$2"',
	    build_dir() . '/egress-sidecar', agent_socket(), $file))[0];
}

sub sandbox { (ask('GET', '/v1/sandboxes/' . substr($id{$_[0]}, 0, 63)))[1] }
sub in_force { join ' ', map { $_->{target} }
	@{ (sandbox($_[0])->{policy} || {})->{egress} || [] } }
sub becomes
{
	my ($name, $want) = @_;
	return wait_for(sub { in_force($name) eq $want }, 30)
	    || (diag("$name: ", in_force($name), ', expected ', $want), 0);
}
sub refused
{
	my ($name) = @_;
	return map { $_->{error} } grep { $_->{object} eq $id{$name} }
	    map { decode_json($_) } grep { /"event":"discovery\.refused"/ }
	    split /\n/, read_file($log);
}

# Attached by its process
my $pid = process($w->{sandbox});
container('a', $pid, policy('good.test'));
ok(becomes('a', 'good.test'), 'a container that no hook attached is attached');
ok(opens('good.test'), '  what its label allows works');
is(status('evil.test'), 6, '  nothing else does');
my $before = counted($w, 'evil');
is(status(EVIL), 7, '  nor by address');
is(counted($w, 'evil'), $before, '  and nothing gets out');

# It begins anew in another namespace, and its process of before has not ended
# yet. When it has, nothing opens.
my $next = netns('next');
my $again = process($next);
container('a', $again, policy('good.test'));
ok(wait_for(sub { table($next) }, 30), 'begun anew it is attached anew');
ok(becomes('a', 'good.test'), '  under its policy');
kill_now($pid);
ok(table($w->{sandbox}), '  and where it was stays closed');
is(sandbox('a')->{attachments}[0]{pid}, $again, '  the agent has its process');

# Attached by the hook, which knew another policy
my $hooked = netns('hooked');
my $third = process($hooked);
is(hook('b', $third, policy('stale.test')), 0, 'the hook attaches a container');
is(in_force('b'), 'stale.test', '  with what it was told');
container('b', $third, policy('two.test'));
ok(becomes('b', 'two.test'), '  and the label counts');
is_deeply([map { $_->{attachment} } @{ sandbox('b')->{attachments} }], ['oci'],
    '  under the hook\'s attachment alone');

# Without a label, and a bad one
my $plain = netns('plain');
my $fourth = process($plain);
is(hook('c', $fourth, policy('own.test')), 0, 'one without a label');
container('c', $fourth, undef);
container('d', process(netns('bad')), '{"egress":[{"target":"x y"}]}');
ok(wait_for(sub { refused('d') == 1 }, 30), 'a bad policy is said');
like((refused('d'))[0], qr/egress\[0\]/, '  which');
is(in_force('c'), 'own.test', '  and what has no label is left alone');

# They go
say_of('destroy', $_) for qw(a b);
kill_now($again);
ok(wait_for(sub { !sandbox('a')->{id} }, 30), 'one that ended is forgotten');
ok(table($next) && table($hooked), '  and nothing opens');
is(in_force('b'), 'two.test', '  what lives on keeps its policy');
stop($_) for $feeder, $agent;
done_testing();
