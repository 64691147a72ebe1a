# SPDX-License-Identifier: Apache-2.0
package Container;

# The gateway's image as a container, by podman: its entry point is started with
# the command line that a chart gives it, its root is read-only but for /run and
# /tmp. The root holds what the image does, and nothing else: the programs, and
# of the system what they and the entry point need.
#
#	my $c = Container->new(args => ['--port=28888', ...], env => {...});
#	my $status = $c->stop;

use strict;
use warnings;
use Carp qw(croak);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use Harness qw(scratch root build_dir start wait_exit capture wait_for
    write_file read_file);
use Ingress ();

my ($image, %running);
my $count = 0;

# Puts a file into the root, and the libraries that it is linked with.
sub put
{
	my ($from, $to) = @_;
	make_path(dirname("$image$to"));
	copy($from, "$image$to") or croak "$from: $!";
	chmod 0755, "$image$to";
	my (undef, $libraries) = capture('ldd', $from);
	for my $library ($libraries =~ m{(/\S+) \(0x}g) {
		put($library, $library) if !-e "$image$library";
	}
}

# The root of all containers of a test.
sub image
{
	return $image if $image;
	$image = scratch() . '/image';
	my $conf = root() . '/conf';
	make_path(map { "$image/$_" } qw(dev proc run sys tmp var));
	chmod 01777, "$image/tmp";
	symlink '/run', "$image/var/run" or croak "/var/run: $!";
	for my $program (qw(bash cat mkdir rm sleep sort)) {
		my (undef, $path) = capture('sh', '-c', "command -v $program");
		put($path =~ s/\n//r, "/bin/$program");
	}
	put(Ingress::nginx_binary(), '/usr/sbin/nginx');
	put(build_dir() . '/opensandbox-discovery', '/usr/sbin/opensandbox-discovery');
	put("$conf/container/gateway-entrypoint", '/usr/sbin/gateway-entrypoint');
	my $modules = '/usr/lib/nginx/modules';
	put(build_dir() . '/ngx_http_opensandbox_module.so',
	    "$modules/ngx_http_opensandbox_module.so");
	make_path("$image/usr/share/nginx");
	symlink $modules, "$image/usr/share/nginx/modules";
	put($_, '/etc/nginx' . s{.*(?=/)}{}r) for glob "$conf/nginx/*.conf";
	write_file("$image/etc/passwd", "root:x:0:0::/:/bin/sh\n"
	    . "nobody:x:65534:65534::/:/bin/false\n");
	write_file("$image/etc/group", "root:x:0:\nnogroup:x:65534:\n");
	return $image;
}

# No container may have more than podman, which has no more processes than there
# are numbers.
sub podman
{
	my $dir = scratch() . '/podman';
	if (!-e $dir) {
		make_path($dir);
		my (undef, $files) = capture('bash', '-c', 'ulimit -Hn');
		my (undef, $processes) = capture('bash', '-c', 'ulimit -Hu');
		my $pids = read_file('/proc/sys/kernel/pid_max');
		chomp($files, $processes, $pids);
		$processes = $pids if $processes !~ /^\d+$/ || $processes > $pids;
		write_file("$dir/containers.conf", "[containers]\ndefault_ulimits = "
		    . "[\"nofile=$files:$files\", \"nproc=$processes:$processes\"]\n"
		    . "[engine]\nlock_type = \"file\"\n");
	}
	$ENV{CONTAINERS_CONF} = "$dir/containers.conf";
	return ('podman', '--root', "$dir/root", '--runroot', "$dir/run",
	    '--runtime', 'runc', '--cgroup-manager', 'cgroupfs',
	    '--events-backend', 'none');
}

# Container->new(args => [...], env => {...}, volumes => [...], options => [
# of podman run]). It is on the host's network.
sub new
{
	my ($class, %o) = @_;
	my $name = "osb-$$-" . ++$count;
	my $self = bless { name => $name, log => scratch() . "/$name.log" }, $class;
	my $env = $o{env} // {};
	$self->{pid} = start(name => $name, cmd => [podman(), 'run', '--rm', '--name',
	    $name, '--read-only', '--network', 'host', '--log-driver', 'none',
	    (map { ('--env', "$_=$env->{$_}") } sort keys %$env),
	    (map { ('--volume', $_) } @{ $o{volumes} // [] }),
	    @{ $o{options} // [] }, '--rootfs', image(),
	    '/usr/sbin/gateway-entrypoint', @{ $o{args} // [] }]);
	$running{$name} = 1;
	return $self;
}

sub log
{
	my ($self) = @_;
	return read_file($self->{log});
}

# The host's numbers of its processes by a name, the first one's for "": that
# of the entry point. Waits for the first.
sub processes
{
	my ($self, $name) = @_;
	my $first = $self->{first} //= wait_for(sub {
		my ($status, $out) = capture(podman(), 'inspect', '--format',
		    '{{.State.Pid}}', $self->{name});
		return $status == 0 && $out =~ /^([1-9]\d*)$/m ? $1 : 0;
	}, 20) or croak "$self->{name} does not run: " . $self->log;
	return $first if !$name;
	my $found = wait_for(sub {
		my @all = split ' ', read_file("/proc/$first/task/$first/children");
		my @of = grep { read_file("/proc/$_/comm") eq "$name\n" } @all;
		return @of ? \@of : undef;
	}, 20) or croak "$self->{name} has no $name: " . $self->log;
	return @$found;
}

# Waits for its end; its exit status.
sub ended
{
	my ($self) = @_;
	my $status = wait_exit($self->{pid}, 60);
	delete $running{$self->{name}} if defined $status;
	return defined $status ? $status >> 8 : 'none';
}

sub signal
{
	my ($self, $signal) = @_;
	kill $signal, $self->processes;
}

# Ends it; its exit status.
sub stop
{
	my ($self, $signal) = @_;
	$self->signal($signal // 'INT');
	return $self->ended;
}

END {
	local $?;
	capture(podman(), 'rm', '--force', '--time', 0, $_) for keys %running;
}

1;
