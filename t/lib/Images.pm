# SPDX-License-Identifier: Apache-2.0
package Images;

# The images that make images has built, in an engine of the test's own whose
# containers reach an internet: a DNS server and web servers that count who comes.
#
#	my $e = Images->new('gateway', 'egress');
#	$e->podman('run', '-d', '--name', 'gw', confined(), 'opensandbox-gateway');

use strict;
use warnings;
use Exporter 'import';
use Carp qw(croak);
use parent -norequire, 'Engine';
use Engine;
use Harness;
use World;

our @EXPORT = qw(confined image BRIDGE);

# Where the engine's host is for its containers.
use constant BRIDGE => '10.88.0.1';

sub image { return "localhost/opensandbox-$_[0]:latest" }

# Options of a container that may write nowhere and do nothing but what is added.
sub confined
{
	return ('--read-only', '--cap-drop', 'all', '--security-opt',
	    'no-new-privileges', map { ('--cap-add', $_) } @_);
}

sub new
{
	my ($class, @names) = @_;
	my $self = $class->SUPER::new;
	my $file = scratch() . '/images.tar';
	$self->{names} = \@names;

	run('podman', 'save', '-q', '-m', '--format', 'docker-archive', '-o',
	    $file, map { image($_) } @names);
	$self->podman('load', '-q', '-i', $file);
	unlink $file;
	my $internet = $self->{internet} = netns('internet');
	veth($self->{netns}, 'wan0', $internet, 'eth0');
	addr($self->{netns}, 'wan0', '203.0.113.1/24');
	addr($internet, 'eth0', map { "203.0.113.$_/24" } 20, 53, 66);
	run('ip', '-n', $internet, 'route', 'add', 'default', 'via', '203.0.113.1');
	run_in($self->{netns}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
	World::counters($internet);
	addr($internet, 'eth0', '2001:db8:113::53/64');
	world_dns($self, '--address=/good.test/' . GOOD, '--address=/evil.test/' . EVIL);
	world_web($self, 'internet', GOOD, 80, 'good');
	world_web($self, 'internet', EVIL, 80, 'evil');
	return $self;
}

# Without systemd, podman complains of every health check.
sub options
{
	my ($self) = @_;
	return ($self->SUPER::options, '--log-level', 'fatal');
}

# A sandbox: a container with busybox's web server and bash, whose resolver finds
# names, as that of a static busybox does not; its address.
sub sandbox
{
	my ($self, $name, $labels, @options) = @_;
	$self->podman('run', '-d', '--name', $name, '--cgroup-parent', $self->{cgroup},
	    (map { ('--label', "$_=$labels->{$_}") } sort keys %$labels),
	    confined(), '--no-healthcheck', '--dns', RESOLVER, '--tmpfs', '/www:mode=1777',
	    '--volume', '/bin/busybox:/bin/busybox:ro', '--entrypoint', '/bin/busybox',
	    @options, image($self->{names}[0]), 'sh', '-c',
	    'echo -n $0 >/www/name && exec /bin/busybox httpd -f -p 8000 -h /www', $name);
	return $self->inspect($name)->{NetworkSettings}{Networks}{podman}{IPAddress};
}

# What a sandbox gets from the web server of a name.
sub fetch
{
	my ($self, $name, $host) = @_;
	return ($self->inside($name, 'timeout', 5, 'bash', '-c', 'exec 3<>/dev/tcp/$0/80 && '
	    . 'printf "GET / HTTP/1.0\r\nHost: $0\r\n\r\n" >&3 && cat <&3', $host))[1];
}

# A command in a container: (status, output).
sub inside
{
	my ($self, $name, @cmd) = @_;
	return capture($self->podman_command('exec', $name, @cmd));
}

# The first process of a container, as the host numbers it: in the engine's
# namespace it has another number.
sub pid
{
	my ($self, $name) = @_;
	my $inner = $self->inspect($name)->{State}{Pid};
	for my $file (glob '/proc/[0-9]*/status') {
		my $status = read_file($file);
		my ($numbers) = $status =~ /^NSpid:\t(.*)$/m or next;
		my @numbers = split /\t/, $numbers;
		next if @numbers < 2 || $numbers[-2] != $inner;
		my ($pid) = $file =~ /(\d+)/;
		return $pid if readlink("/proc/$pid/ns/pid")
		    ne readlink("/proc/$self->{init}/ns/pid")
		    && in_engine($self, $pid);
	}
	croak "$name does not run";
}

# Whether a process is the engine's: its network is, or one that it made.
sub in_engine
{
	my ($self, $pid) = @_;
	for (1 .. 20) {
		return 1 if $pid == $self->{init};
		($pid) = read_file("/proc/$pid/status") =~ /^PPid:\t(\d+)$/m or return 0;
	}
	return 0;
}

# A file of /proc/PID of a container's first process.
sub proc
{
	my ($self, $name, $file) = @_;
	return read_file('/proc/' . $self->pid($name) . "/$file");
}

# What a command in the network of a container says: (status, output).
sub beside
{
	my ($self, $name, @cmd) = @_;
	return capture('nsenter', '--net=/proc/' . $self->pid($name) . '/ns/net', @cmd);
}

# Waits until a container is healthy, by its image's own check.
sub healthy
{
	my ($self, $name) = @_;
	return wait_for(sub {
		(capture($self->podman_command('healthcheck', 'run', $name)))[0] == 0;
	}, 60);
}

1;
