# SPDX-License-Identifier: Apache-2.0
package Package;

# A Debian of its own for tests of packages: a root made by debootstrap, once,
# unpacked anew for each test, with processes and mounts that go with the test
# however it ends. debian() is a root without an init system, machine() one with
# systemd.

use strict;
use warnings;
use Exporter 'import';
use Digest::MD5 qw(md5_hex);
use File::Copy qw(copy);
use File::Path qw(make_path);
use Harness;
use POSIX ();
use Release;

our @EXPORT = qw(debian machine entering inside ran install_debs debs deb_build
    older previous files);

my $build = root() . '/build';
my ($root, $holder, @cgroups);

# What the tests want to be there besides our packages.
my @there = qw(nginx curl iproute2 nftables man-db bash-completion zsh debsums
    procps ca-certificates systemd-sysv dbus);

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

# This process moves into a network of its own, where there is loopback alone.
# unshare(2) has no wrapper in core Perl.
sub isolate
{
	my %unshare = (x86_64 => 272, aarch64 => 97);
	my $number = $unshare{ (POSIX::uname())[4] }
	    or die "unshare: its number is not known here\n";
	syscall($number, 0x40000000) == 0 or die "unshare: $!\n";
	run('ip', 'link', 'set', 'lo', 'up');
}

sub unpack_root
{
	my $needs = join "\n", map { (capture('dpkg-deb', '-f', $_, 'Depends'))[1] }
	    map { debs()->{$_} } sort keys %{ debs() };
	my $tar = "$build/package/root-" . substr(md5_hex("@there $needs"), 0, 8) . '.tar';

	make_base($tar) if !-e $tar;
	$root = scratch() . '/root';
	make_path($root);
	run('tar', '-C', $root, '-xf', $tar);
	# Without an init system invoke-rc.d does nothing unless it is allowed to.
	write_file("$root/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n");
	chmod 0755, "$root/usr/sbin/policy-rc.d";
}

# Mounts and processes of its own, in a network where there is loopback alone.
sub debian
{
	unpack_root();
	isolate();
	boot('unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-ec', <<"SH");
mount --make-rprivate /
mount --bind $root $root
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t devpts devpts $root/dev/pts
mount -t tmpfs tmpfs $root/run
mkdir -p $root/run/lock
exec chroot $root sh -c 'echo ready >/run/ready; exec sleep infinity'
SH
	return $root;
}

# The same with systemd. machine(NETNS, NAME => OTHER...) is in this network, has
# others as NAME, and leaves the test where it is.
sub machine
{
	my ($netns, %namespaces) = @_;
	my ($enter, $mount) = ('', '');

	unpack_root();
	isolate() if !$netns;
	# Its branch of systemd's hierarchy of control groups and, where both are
	# mounted, of the other one; of no controller of the first version.
	for ('', '/unified', '/systemd') {
		my $there = "/sys/fs/cgroup$_";
		next if !-e "$there/cgroup.procs";
		my $type = -e "$there/cgroup.controllers" ? 'cgroup2'
		    : 'cgroup -o none,name=systemd';
		push @cgroups, "$there/opensandbox-test-$$";
		mkdir $cgroups[-1] or die "$cgroups[-1]: $!\n";
		$enter .= "echo \$\$ >$cgroups[-1]/cgroup.procs\n";
		$mount .= "mkdir -p $root$there\nmount -t $type cgroup $root$there\n";
	}
	my $names = join '', map { "touch $root/run/netns/$_\n"
	    . "mount --bind /run/netns/$namespaces{$_} $root/run/netns/$_\n" } sort keys %namespaces;
	write_file(scratch() . '/boot', <<"SH");
mount --make-rprivate /
mount --bind $root $root
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs tmpfs $root/sys/fs/cgroup
$mount
mount -t tmpfs -o mode=755 tmpfs $root/run
mkdir $root/run/netns
mount --bind $root/run/netns $root/run/netns
$names
mount -t tmpfs -o mode=755 tmpfs $root/dev
for device in null zero full random urandom tty; do
	touch $root/dev/\$device
	mount --bind /dev/\$device $root/dev/\$device
done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
# As systemd has it where it is no container's: what the host mounts later, as a
# network namespace's name, units see.
mount --make-rshared $root
exec chroot $root env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --log-target=console --show-status=no
SH
	boot($netns ? ('nsenter', "--net=/run/netns/$netns") : (), 'sh', '-ec', $enter . 'exec unshare --mount --pid --fork --kill-child'
	    . ' --cgroup --uts --ipc sh -e ' . scratch() . '/boot');
	wait_for(sub { (inside('systemctl', 'is-system-running'))[1] =~ /^(?:running|degraded)$/m }, 120)
	    or die 'systemd did not start: ' . read_file(scratch() . '/debian.log');
	return $root;
}

# Start what makes the root's namespaces; its child is their first process.
sub boot
{
	my $pid = start(name => 'debian', cmd => [@_]);
	wait_for(sub {
		my ($child) = (capture('pgrep', '-P', $pid))[1] =~ /^(\d+)$/m or return;
		$holder = $child if (readlink("/proc/$child/root") // '') eq $root;
		return $holder;
	}, 60) or die 'the root did not start: ' . read_file(scratch() . '/debian.log');
}

# A command line that runs what follows in there.
sub entering
{
	return ('nsenter', '-t', $holder, '--mount', '--pid', '--cgroup', '--uts',
	    '--ipc', '--net', '--root', '--wdns=/', 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root',
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

# Packages built of a copy of SOURCE, a folder or a commit, in FOLDER; in another
# place than make deb, at another hour, by a user with other habits. EDIT are
# shell's lines on the copy.
sub deb_build
{
	my ($source, $folder, $edit) = @_;
	my $copy = "$folder/elsewhere/source";

	make_path($copy);
	run('sh', '-ec', ($source =~ m{/}
	    ? 'tar -C "$0" -c --exclude=./build --exclude=./.git --exclude=node_modules .'
	    : 'git -C ' . root() . ' archive "$0"') . ' | tar -x -C "$1"', $source, $copy);
	my ($status, $out) = capture('env', '-C', $copy, 'TZ=Asia/Tokyo', 'LC_ALL=C.UTF-8',
	    'DEB_BUILD_OPTIONS=nocheck', 'sh', '-ec', 'umask 027; ' . ($edit // '')
	    . "\ndpkg-buildpackage -b -us -uc -j\"\$(nproc)\" 2>&1");
	die "$source does not build: " . substr($out, -4000) if $status != 0;
	run('sh', '-ec', 'mv "$0"/elsewhere/*.deb "$0"/; rm -rf "$0"/elsewhere', $folder);
}

# The files of these packages as they were when the first of them was made, under
# a lower version; undef where the repository's history is not at hand. Built
# once.
sub previous
{
	my ($version) = '0.8.0';
	my ($status, $out) = capture('git', '-C', root(), 'log', '--format=%H',
	    '--diff-filter=A', '--', 'debian/control');
	my ($commit) = $out =~ /^([0-9a-f]{40})$/m;
	return if $status != 0 || !$commit;
	my $folder = "$build/package/previous-$commit";
	if (!-e $folder) {
		my $new = "$folder.$$";
		deb_build($commit, $new, "was=\$(sed -n 's/.*OPENSANDBOX_VERSION \"\\(.*\\)\"/\\1/p'"
		    . " common/version.h)\nsed -i \"s/\\b\$was\\b/$version/\""
		    . " common/version.h debian/changelog CHANGELOG.md");
		rename $new, $folder or die "$folder: $!\n";
	}
	return { map { m{([^/_]+)_[^/]+$}; ($1 => $_) }
	    grep { !/-dbgsym_/ } glob "$folder/*.deb" };
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
	# Deepest first; a process that has ended leaves its group a moment later.
	for my $cgroup (@cgroups) {
		wait_for(sub {
			capture('find', $cgroup, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';');
			return !-e $cgroup;
		});
	}
	$? = $status;
}

1;
