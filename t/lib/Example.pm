# SPDX-License-Identifier: Apache-2.0
package Example;

# What the examples stand on: World, with more than one sandbox, all of them
# guarded by one agent; programs shut in there; a gateway that the machine's own
# browser reaches; and steps that say what came out.

use strict;
use warnings;
use Exporter 'import';
use Fcntl qw(:flock F_SETFD FD_CLOEXEC);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use JSON::PP qw(decode_json encode_json);
use POSIX ();
use Agent;
use Harness;
use Ingress ();
use World;

our @EXPORT = qw(npm_install node_dir example_world sandbox home guard inside_cmd
    serve gateway_here signing_key platform link_to stranger step steps_done stay
    copy_tree);

# Node.js and npm of these versions come from npm, whatever Debian has.
use constant { NODE => '24.21.0', NPM => '11.19.1' };

# The user that programs in sandboxes run as.
use constant NOBODY => 65534;

my (%sandboxes, $world, @rows, $failed);

sub say_line { print "@_\n" }

sub node_dir
{
	my %cpu = (x86_64 => 'x64', aarch64 => 'arm64');
	my $cpu = $cpu{ (POSIX::uname())[4] }
	    or die "npm has no Node.js for this machine\n";

	return root() . "/build/examples/node/node_modules/node-linux-$cpu";
}

sub node
{
	my $package = node_dir() =~ s{.*/}{}r;
	my $dir = root() . '/build/examples/node';

	return if -x node_dir() . '/bin/node'
	    && `@{[node_dir()]}/bin/node --version` eq 'v' . NODE . "\n";
	say_line("installing Node.js " . NODE . ' from npm');
	make_path($dir);
	write_file("$dir/package.json", "{}\n");
	run('npm', 'install', '--prefix', $dir, '--no-save',
	    "$package\@" . NODE, 'npm@' . NPM);
}

# npm keeps compiled code below /tmp, if it is let.
$ENV{NODE_DISABLE_COMPILE_CACHE} = 1;

# The lock of examples/lib/run, until what is returned is gone.
sub installing
{
	open my $lock, '>>', root() . '/build/examples.lock'
	    or die "build/examples.lock: $!\n";
	if (!flock $lock, LOCK_EX | LOCK_NB) {
		say_line('another example installs or builds; waiting for it');
		flock $lock, LOCK_EX or die "build/examples.lock: $!\n";
	}
	return $lock;
}

# What examples/NAME/package.json asks for, in build/examples/NAME, which it
# returns: once, and again when that file or the lock beside it has changed.
sub npm_install
{
	my ($name) = @_;
	my $from = root() . "/examples/$name";
	my $dir = root() . "/build/examples/$name";
	my @files = grep { -e "$from/$_" } qw(package.json package-lock.json);
	my $want = join '', NODE, ' ', NPM, map { read_file("$from/$_") } @files;
	my $lock = installing();

	node();
	return $dir if read_file("$dir/installed") eq $want;
	say_line("installing npm's packages into build/examples/$name"
	    . ' (once; it may take minutes)');
	# What was compiled for another Node.js does not run.
	remove_tree("$dir/node_modules");
	make_path($dir);
	copy("$from/$_", "$dir/$_") for @files;
	my $node = node_dir();
	# Packages that call npm must get this one: Debian's links what it compiles
	# with the library of Debian's Node.js, and two of these in a process crash.
	local $ENV{PATH} = "$node/bin:$node/../.bin:$ENV{PATH}";
	# Headers of the same Node.js, for packages in C++.
	local $ENV{npm_config_nodedir} = $node;
	run("$node/bin/node", "$node/../npm/bin/npm-cli.js", 'install', '--prefix',
	    $dir, '--no-audit', '--no-fund');
	write_file("$dir/installed", $want);
	return $dir;
}

# World with its servers, and an agent that guards sandboxes: env, more variables
# of the agent's; dns, what the internet's resolver knows.
sub example_world
{
	my (%o) = @_;

	$world = world();
	world_dns($world, @{ $o{dns} || [] });
	world_web($world, 'internet', GOOD, 80, 'good');
	world_web($world, 'internet', EVIL, 80, 'evil');
	agent($world->{host}, 'agent',
	    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER, %{ $o{env} || {} } });
	return $world;
}

# A sandbox at 10.88.N.5, the first one N = 0, which may reach what is named.
sub sandbox
{
	my ($id, @allowed) = @_;
	my $home = home($id);

	guard($id, { defaultAction => 'deny', egress => [ map {
		{ action => 'allow', target => $_ } } @allowed ] });
	return $home;
}

# Where a sandbox will be, with nobody to guard it yet; its home.
sub home
{
	my ($id) = @_;
	my $n = keys %sandboxes;
	my $ns = $n ? netns($id) : $world->{sandbox};

	if ($n) {
		veth($ns, 'eth0', $world->{host}, "sb$n");
		addr($ns, 'eth0', "10.88.$n.5/24");
		addr($world->{host}, "sb$n", "10.88.$n.1/24");
		run('ip', '-n', $ns, 'route', 'add', 'default', 'via',
		    "10.88.$n.1");
		netns_etc($ns, 'resolv.conf', "nameserver 10.88.$n.1\n");
	}
	my $home = scratch() . "/$id";
	mkdir $home;
	chown NOBODY, NOBODY, $home;
	$sandboxes{$id} = { ns => $ns, home => $home, address => "10.88.$n.5" };
	return $home;
}

# From now on a policy decides what a sandbox reaches.
sub guard
{
	my ($id, $policy) = @_;
	my ($status, $answer) = ask('PUT', "/v1/sandboxes/$id",
	    { netns => $sandboxes{$id}{ns}, policy => $policy });

	die "agent: $status $answer\n" if $status != 201;
}

# A copy of a folder's files, which the sandbox's user owns.
sub copy_tree
{
	my ($from, $to) = @_;

	run('cp', '-r', '--no-preserve=ownership,mode', "$from/.", $to);
	run('chown', '-R', NOBODY . ':' . NOBODY, $to);
}

# A command in a sandbox's network, with processes and files of its own: the
# system's programs and the folders of "see" to read, its home /work to write.
sub inside_cmd
{
	my ($id, $o, @cmd) = @_;
	my $box = $sandboxes{$id};
	my %env = (HOME => '/work', SHELL => '/bin/bash', LANG => 'C.UTF-8',
	    PATH => '/opt/node/bin:/usr/bin:/bin', TERM => 'xterm-256color',
	    PYTHONDONTWRITEBYTECODE => 1, %{ $o->{env} || {} });
	my %see = ('/usr' => '/usr', '/etc' => '/etc', %{ $o->{see} || {} });

	return ('ip', 'netns', 'exec', $box->{ns}, 'bwrap', '--die-with-parent',
	    '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--hostname', $id,
	    '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID',
	    '--proc', '/proc', '--dev', '/dev', '--perms', '1777', '--tmpfs', '/tmp',
	    '--perms', '0755', '--dir', '/opt',
	    (map { ('--symlink', "usr/$_", "/$_") } qw(bin sbin lib lib64)),
	    (map { ('--ro-bind', $see{$_}, $_) } sort grep { !m{^/work} } keys %see),
	    '--bind', $box->{home}, '/work',
	    (map { ('--ro-bind', $see{$_}, $_) } sort grep { m{^/work} } keys %see),
	    '--chdir', '/work', '--clearenv',
	    (map { ('--setenv', $_, $env{$_}) } sort keys %env),
	    'setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups',
	    '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--', @cmd);
}

# The same, as a service; returns when its port answers.
sub serve
{
	my ($id, $port, $o, @cmd) = @_;
	my $pid = start(name => $id, cmd => [inside_cmd($id, $o, @cmd)]);
	my $url = "http://$sandboxes{$id}{address}:$port/";

	wait_for(sub { !alive($pid) || (capture('ip', 'netns', 'exec',
	    $world->{host}, 'curl', '-s', '-m', '5', '-o', '/dev/null', $url))[0] == 0 },
	    120) && alive($pid)
	    or die "$id did not start: ", read_file(scratch() . "/$id.log");
	return $pid;
}

# nginx with an example's nginx.conf, in the host's namespace; but the socket it
# listens on is of the namespace we are in, on a port that it returns.
sub gateway_here
{
	my ($conf) = @_;
	my ($root, $dir) = (root(), scratch());
	my $module = build_dir() . '/ngx_http_opensandbox_module.so';
	my $socket = IO::Socket::INET->new(Listen => 511, ReuseAddr => 1,
	    LocalAddr => '127.0.0.1', LocalPort => 8080);
	my $port = $socket ? 8080 : free_port();

	$socket ||= IO::Socket::INET->new(Listen => 511, ReuseAddr => 1,
	    LocalAddr => '127.0.0.1', LocalPort => $port)
	    or die "listen on 127.0.0.1:$port: $!\n";
	my $text = read_file($conf);
	$text =~ s{modules/ngx_http_opensandbox_module\.so}{$module};
	$text =~ s{/usr/share/opensandbox/}{$root/}g;
	$text =~ s{\b8080\b}{$port}g;
	write_file("$dir/nginx.conf", $text);
	# nginx takes over sockets whose descriptors NGINX names.
	fcntl $socket, F_SETFD, 0;
	my $pid = start(name => 'nginx', netns => $world->{host},
	    env => { %{ nginx_env() }, NGINX => fileno($socket) . ';' },
	    cmd => [Ingress::nginx_binary(), '-e', "$dir/error.log", '-p', $dir,
		'-c', "$dir/nginx.conf", '-g', "daemon off; pid $dir/nginx.pid;"]);
	fcntl $socket, F_SETFD, FD_CLOEXEC;
	close $socket;
	wait_for(sub { !alive($pid) || (capture('curl', '-s', '-m', '5',
	    '-o', '/dev/null', "http://127.0.0.1:$port/"))[0] == 0 });
	die 'nginx did not start: ', read_file("$dir/nginx.log"),
	    read_file("$dir/error.log") if !alive($pid);
	return $port;
}

# A key for signed links, in a file that the gateway's configuration includes.
sub signing_key
{
	my $file = scratch() . '/keys.conf';
	my $key = run('openssl', 'rand', '-base64', '32') =~ s/\s//gr;

	write_file($file, "opensandbox_access_keys a=$key;\n");
	chmod 0600, $file;
}

# Asks the gateway's API, which is on the host alone: the decoded answer.
sub platform
{
	my ($method, $path, $body) = @_;
	my $out = run_in($world->{host}, 'curl', '-sf', '-X', $method,
	    $body ? ('--data', encode_json($body)) : (),
	    "http://127.0.0.1:8081/v1/sandboxes/$path");
	return decode_json($out);
}

# The link that opens a sandbox's port in a browser for so many seconds.
sub link_to
{
	my ($id, $at, $mode, $seconds) = @_;
	my $expires = time + $seconds;
	return platform('GET', "$id/endpoints/$at?link=browser&mode=$mode&expires=$expires")
	    ->{endpoint};
}

# What an address of the gateway answers to a client without link and cookie.
sub stranger
{
	my ($port, $url, @more) = @_;
	my (undef, $out) = capture('curl', '-s', '-m', '5', '-o', '/dev/null', '-w',
	    '%{http_code}', '--resolve', "*:$port:127.0.0.1", @more, $url);
	return $out;
}

# One step: what is tried, the pattern of what should come out, and the code
# that tries it and returns what did.
sub step
{
	my ($tried, $pattern, $code) = @_;
	my $came = eval { $code->() };

	$came = "died: $@" if !defined $came;
	my $ok = $came =~ $pattern;
	$failed++ if !$ok;
	push @rows, $ok;
	$came =~ s/\s+/ /g if $ok;
	$came = substr($came, 0, 57) . '...' if $ok && length $came > 60;
	printf "%-4s %-58s %s\n", $ok ? 'ok' : 'NOT', $tried, $came;
	return $ok;
}

sub steps_done
{
	printf "\n%d of %d steps as expected\n", @rows - ($failed || 0),
	    scalar @rows;
	exit($failed ? 1 : 0);
}

# Up until Ctrl-C.
sub stay
{
	my ($words) = @_;

	print $words, "\nCtrl-C ends it all; nothing is left behind.\n";
	sleep 3600 while 1;
}

1;
