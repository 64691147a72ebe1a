# SPDX-License-Identifier: Apache-2.0
package Engine;

# A Podman of the test's own, in network, mount and process namespaces of its
# own: what it starts and mounts ends with them, however the test ends. Its API
# is at $engine->{socket}; its containers run busybox.

use strict;
use warnings;
use Carp qw(croak);
use File::Find qw(finddepth);
use File::Path qw(make_path);
use IO::Socket::UNIX;
use JSON::PP;
use Harness;

my $json = JSON::PP->new->utf8;
my @engines;

# new: with its service running, and the image "tiny" of busybox alone, whose
# every container has a server on port 8000 that tells its name (/name).
sub new
{
	my ($class, %o) = @_;
	my $dir = scratch() . '/engine';
	my $netns = netns('engine');
	my $self = bless { dir => $dir, netns => $netns, socket => "$dir/sock",
	    cgroup => "/osb-$$" }, $class;

	make_path("$dir/image/bin", "$dir/image/www", "$dir/image/dev",
	    "$dir/image/proc", "$dir/image/sys", "$dir/image/etc");
	run('cp', '/bin/busybox', "$dir/image/bin/busybox");
	symlink 'busybox', "$dir/image/bin/$_" for qw(sh sleep test touch rm cat);
	write_file("$dir/containers.conf", <<"EOT");
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
log_driver = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
[network]
network_backend = "netavark"
network_config_dir = "$dir/networks"
EOT
	push @engines, $self;
	# The kernel ends all processes of a namespace whose first one ends, and
	# this one ends with the test. It lets none of them be a zombie.
	$self->{holder} = start(name => 'engine', cmd => ['nsenter',
		"--net=/run/netns/$netns", 'setpriv', '--pdeathsig', 'KILL',
		'unshare', '--mount', '--propagation', 'private', '--pid',
		'--fork', '--kill-child', '--mount-proc', 'sh', '-c',
		'mount -t tmpfs tmpfs /run && exec perl -e '
		    . '\'$SIG{CHLD} = "IGNORE"; open F, ">", shift; '
		    . 'sleep 1000 while 1\' "$0"', "$dir/held"]);
	wait_for(sub { -e "$dir/held" }, 20) or croak 'engine: no namespaces';
	($self->{init}) = read_file("/proc/$self->{holder}/task/$self->{holder}/children")
	    =~ /(\d+)/ or croak 'engine: its first process is gone';
	$self->import_image('tiny');
	$self->serve;
	return $self;
}

# What is in its folder "image" now, by that name.
sub import_image
{
	my ($self, $name) = @_;
	run('sh', '-c', 'tar -C "$0" -c . | "$@"', "$self->{dir}/image",
	    $self->podman_command('import', '-', $name));
}

# A command line that runs in its namespaces.
sub command
{
	my ($self, @cmd) = @_;
	return ('nsenter', '--target', $self->{init}, '--mount', '--net', '--pid', 'env',
	    "CONTAINERS_CONF=$self->{dir}/containers.conf", @cmd);
}

# What tells podman where it is at home.
sub options
{
	my ($self) = @_;
	my $dir = $self->{dir};
	return ('--root', "$dir/root", '--runroot', "$dir/run", '--tmpdir', "$dir/tmp");
}

sub podman_command
{
	my ($self, @args) = @_;
	return $self->command('podman', $self->options, @args);
}

# podman, run to its end; its output.
sub podman
{
	my ($self, @args) = @_;
	my $out = run($self->podman_command(@args));
	chomp $out;
	return $out;
}

# Start the API's service, and end it at once.
sub serve
{
	my ($self) = @_;
	$self->{service} = start(name => 'service', cmd => [$self->podman_command(
		'system', 'service', '--time', '0', "unix://$self->{socket}")]);
	wait_for(sub { IO::Socket::UNIX->new($self->{socket}) }, 20)
	    or croak 'engine: no service: ' . read_file(scratch() . '/service.log');
}

sub kill_service
{
	my ($self) = @_;
	# nsenter's child, in the process namespace, is the service.
	my ($pid) = read_file("/proc/$self->{service}/task/$self->{service}/children")
	    =~ /(\d+)/;
	kill 'KILL', $pid || $self->{service};
	wait_exit($self->{service}, 10);
}

# run(NAME => {labels}, options...): a container whose server is at port 8000.
sub run_container
{
	my ($self, $name, $labels, @options) = @_;
	return $self->podman('run', '-d', '--name', $name, '--cgroup-parent', $self->{cgroup},
	    (map { ('--label', "$_=$labels->{$_}") } sort keys %$labels), @options, 'tiny',
	    'sh', '-c', 'echo -n $0 >/www/name && exec /bin/busybox httpd -f -p ${1:-8000} -h /www', $name);
}

# api(METHOD, PATH, BODY): a request to its API; (status, answer's body).
sub api
{
	my ($self, $method, $path, $body) = @_;
	my $text = $body ? $json->encode($body) : '';
	my $peer = IO::Socket::UNIX->new($self->{socket}) or croak "$self->{socket}: $!";
	print $peer "$method $path HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\n"
	    . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
	$peer->flush;
	local $/;
	my ($head, $answer) = split /\r\n\r\n/, <$peer> // '', 2;
	return ($head && $head =~ /^\S+ (\d+)/ ? $1 : 0, $answer // '');
}

# The engine's word on a container.
sub inspect
{
	my ($self, $name) = @_;
	return $json->decode($self->podman('inspect', '--type', 'container', $name))->[0];
}

sub end
{
	my ($self) = @_;
	kill 'KILL', $self->{init} if $self->{init} && alive($self->{holder});
	# One that is paused does not even end, but under version 2 of cgroups.
	write_file($_, 'THAWED')
	    for glob "/sys/fs/cgroup/freezer$self->{cgroup}/*/freezer.state";
	stop($self->{holder}) if $self->{holder};
	stop($self->{service}) if $self->{service};
	wait_for(sub {
		my @left = grep { -d } glob "/sys/fs/cgroup{,/*}$self->{cgroup}";
		finddepth({ no_chdir => 1, wanted => sub { rmdir $_ } }, @left) if @left;
		return !@left;
	}, 10) or warn "engine: cgroups $self->{cgroup} are left";
}

END {
	my $status = $?;
	$_->end for @engines;
	$? = $status;
}

1;
