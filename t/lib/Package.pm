# SPDX-License-Identifier: Apache-2.0
package Package;

# A Debian of its own for tests of packages: a root made by debootstrap, once,
# unpacked anew for each test, with processes and mounts that go with the test
# however it ends.

use strict;
use warnings;
use Exporter 'import';
use Digest::MD5 qw(md5_hex);
use File::Copy qw(copy);
use File::Path qw(make_path);
use Harness;
use POSIX ();
use Release;

our @EXPORT = qw(debian entering inside ran install_debs debs older files);

my $build = root() . '/build';
my ($root, $holder);

# What the tests want to be there besides our packages.
my @there = qw(nginx curl iproute2 nftables man-db bash-completion zsh debsums
    procps ca-certificates);

# Our packages' files, by name.
sub debs
{
	my %debs;
	for (glob "$build/deb/*.deb") {
		my ($name) = m{([^/_]+)_[^/]+\.deb$} or next;
		$debs{$name} = $_ if $name !~ /-dbgsym$/;
	}
	return \%debs;
}

# What must be in the archive that the root has for apt: made anew when our
# packages depend on something else.
sub make_base
{
	my ($tar) = @_;
	my $new = "$build/package/new.$$";
	my ($archive) = (capture('apt-get', 'indextargets', '--format', '$(REPO_URI)',
		'Created-By: Packages', 'Label: Debian'))[1] =~ /(\S+)/;

	make_path("$build/package");
	run('debootstrap', '--variant=minbase', 'bookworm', $new, $archive);
	copy('/etc/resolv.conf', "$new/etc/resolv.conf");
	write_file("$new/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
	chmod 0755, "$new/usr/sbin/policy-rc.d";
	make_path("$new/debs");
	copy($_, "$new/debs/") for values %{ debs() };
	run('chroot', $new, 'sh', '-ec', <<"SH");
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends @there
apt-get clean
apt-get install -q -y --no-install-recommends --download-only /debs/*.deb
apt-get install -q -y --no-install-recommends --download-only --reinstall nginx nginx-common
rm -rf /debs /usr/sbin/policy-rc.d
SH
	run('tar', '-C', $new, '-cf', "$tar.new", '.');
	rename "$tar.new", $tar;
	run('rm', '-rf', $new);
}

# Unpack the root, start what holds its namespaces, and move this process into a
# network of its own, where there is loopback alone.
sub debian
{
	my $needs = join "\n", map { (capture('dpkg-deb', '-f', $_, 'Depends'))[1] }
	    map { debs()->{$_} } sort keys %{ debs() };
	my $tar = "$build/package/root-" . substr(md5_hex("@there $needs"), 0, 8) . '.tar';

	make_base($tar) if !-e $tar;
	# unshare(2) of the network has no wrapper in core Perl.
	my %unshare = (x86_64 => 272, aarch64 => 97);
	my $number = $unshare{ (POSIX::uname())[4] }
	    or die "unshare: its number is not known here\n";
	syscall($number, 0x40000000) == 0 or die "unshare: $!\n";
	run('ip', 'link', 'set', 'lo', 'up');
	$root = scratch() . '/root';
	make_path($root);
	run('tar', '-C', $root, '-xf', $tar);
	# Without an init system invoke-rc.d does nothing unless it is allowed to.
	write_file("$root/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n");
	chmod 0755, "$root/usr/sbin/policy-rc.d";
	start(name => 'debian', cmd => ['unshare', '--mount', '--pid', '--fork',
		'--kill-child', '--propagation', 'private', 'sh', '-ec', <<"SH"]);
mount --bind $root $root
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t devpts devpts $root/dev/pts
mount -t tmpfs tmpfs $root/run
mkdir -p $root/run/lock
exec chroot $root sh -c 'echo ready >/run/ready; exec sleep infinity'
SH
	wait_for(sub {
		for (split ' ', (capture('pgrep', '-f', '-x', 'sleep infinity'))[1]) {
			next if (readlink("/proc/$_/root") // '') ne $root;
			$holder = $_;
		}
		return $holder;
	}) or die "the root did not start: " . read_file(scratch() . '/debian.log');
	return $root;
}

# A command line that runs what follows in there.
sub entering
{
	return ('nsenter', '-t', $holder, '--mount', '--pid', '--root', '--wdns=/',
	    'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root',
	    'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C.UTF-8', 'TERM=dumb', @_);
}

# (exit status, output) of a command in there
sub inside
{
	return capture(entering(@_));
}

# What a shell's lines in there said; dies where they fail.
sub ran
{
	my ($lines) = @_;
	my ($status, $out) = inside('sh', '-ec', $lines);
	die "$lines: status $status: $out" if $status != 0;
	return $out;
}

# apt's word on installing these files.
sub install_debs
{
	make_path("$root/debs");
	copy($_, "$root/debs/") for @_;
	my @there = map { '/debs/' . s{.*/}{}r } @_;
	my @said = inside('apt-get', 'install', '-q', '-y', '--no-install-recommends',
	    @there);
	unlink glob "$root/debs/*.deb";
	rmdir "$root/debs";
	return @said;
}

# A package as it was before: another version, and that version in its programs.
sub older
{
	my ($deb, $version) = @_;
	my $dir = scratch() . '/older.' . ($deb =~ s{.*/}{}r);
	run('dpkg-deb', '-R', $deb, $dir);
	for my $file (glob("$dir/usr/sbin/*"), glob("$dir/usr/lib/nginx/modules/*")) {
		my $bytes = another_version(read_file($file), $version);
		open my $f, '>:raw', $file or die "$file: $!\n";
		print $f $bytes;
		close $f;
	}
	my $control = read_file("$dir/DEBIAN/control") =~ s/^Version: .*/Version: $version/mr;
	write_file("$dir/DEBIAN/control", $control);
	unlink "$dir/DEBIAN/md5sums";
	my $old = scratch() . "/" . ($deb =~ s{.*/([^_]+)_.*}{$1}r) . "_${version}_old.deb";
	run('dpkg-deb', '--root-owner-group', '-b', $dir, $old);
	return $old;
}

# Every path in there, what changes by itself left out.
sub files
{
	return grep { !m{^/(?:proc|sys|run|tmp|dev|var/cache|var/lib/(?:apt|dpkg|ucf)|var/lib/nginx/(?:body|fastcgi|proxy|scgi|uwsgi)|var/log|root)(?:/|$)} }
	    split /\n/, ran('find / -xdev');
}

END {
	my $status = $?;
	kill 'KILL', $holder if $holder;
	$? = $status;
}

1;
