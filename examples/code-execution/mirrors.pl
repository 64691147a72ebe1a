# SPDX-License-Identifier: Apache-2.0
#
# The internet of the example: mirrors of PyPI and npm with a package each, and
# what code that wants out hopes to find there.

use strict;
use warnings;
use Digest::SHA qw(sha512_base64);
use File::Copy qw(copy);
use File::Path qw(make_path);
use JSON::PP qw(decode_json encode_json);
use Harness;
use World;

sub certificate
{
	my ($dir, @names) = @_;
	my @new = ('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
	    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30');

	run(@new, '-subj', '/CN=authority of the mirrors', '-addext',
	    'keyUsage=critical,keyCertSign,cRLSign', '-keyout', "$dir/ca.key",
	    '-out', "$dir/ca.crt");
	run(@new, '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-subj',
	    "/CN=$names[0]", '-addext', 'basicConstraints=critical,CA:FALSE',
	    '-addext', 'subjectAltName=' . join(',', map { "DNS:$_" } @names),
	    '-keyout', "$dir/mirror.key", '-out', "$dir/mirror.crt");
}

# An index of the wheel that Debian has of "wheel".
sub pypi
{
	my ($dir) = @_;
	my ($wheel) = glob '/usr/share/python-wheels/wheel-*.whl';
	my $name = $wheel =~ s{.*/}{}r;

	make_path("$dir/simple/wheel");
	copy($wheel, "$dir/simple/wheel/$name") or die "$wheel: $!\n";
	write_file("$dir/simple/wheel/index.html",
	    qq{<!DOCTYPE html>\n<a href="$name">$name</a>\n});
}

# A registry of the packages that lie in node_modules.
sub npm
{
	my ($dir, $modules) = @_;

	make_path($dir);
	for my $from (grep { -e "$_/package.json" } glob "$modules/*") {
		my $package = decode_json(read_file("$from/package.json"));
		my ($name, $version) = @$package{qw(name version)};
		my $file = "$name-$version.tgz";

		run('tar', '-C', $from, '--transform', 's/^\./package/', '-czf',
		    "$dir/$file", '.');
		my $sum = sha512_base64(read_file("$dir/$file"));
		$package->{dist} = { tarball => "https://npm.mirror.test/$file",
			integrity => "sha512-$sum==" };
		write_file("$dir/$name", encode_json({ name => $name,
			'dist-tags' => { latest => $version },
			versions => { $version => $package } }));
	}
}

sub proxy
{
	my ($w, $dir, $address, $port) = @_;

	write_file("$dir/proxy-$port.conf",
	    "Listen $address\nPort $port\nTimeout 10\nAllow 0.0.0.0/0\n");
	start(name => "proxy-$port", netns => $w->{internet}, cmd => ['tinyproxy', '-d',
	    '-c', "$dir/proxy-$port.conf"]);
	answers($w->{internet}, $address, $port);
}

# Wait until a port takes connections.
sub answers
{
	my ($ns, $address, $port) = @_;

	wait_for(sub { (capture('ip', 'netns', 'exec', $ns, 'bash', '-c',
	    "</dev/tcp/$address/$port"))[0] == 0 }, 20)
	    or die "nobody answers at $address:$port\n";
}

# The servers of the mirrors, and the ways out: another resolver, proxies, the
# host's own ports, a cloud's metadata service.
sub mirrors
{
	my ($w, $here, $dir, $modules) = @_;
	my $internet = $w->{internet};

	certificate($dir, qw(pypi.mirror.test npm.mirror.test));
	pypi("$dir/mirror/pypi");
	npm("$dir/mirror/npm", $modules);
	copy("$here/$_", $dir) for qw(mirror.conf unbound.conf);
	start(name => 'mirror', netns => $internet, cmd => ['nginx', '-e',
	    "$dir/mirror.error", '-p', $dir, '-c', "$dir/mirror.conf", '-g',
	    'daemon off; user root;']);
	start(name => 'unbound', netns => $internet, cmd => ['sh', '-c',
	    "cd $dir && exec unbound -d -c unbound.conf"]);
	answers($internet, GOOD, 443);
	answers($internet, RESOLVER, 853);
	proxy($w, $dir, EVIL, 3128);
	proxy($w, $dir, GOOD, 8888);
	addr($w->{host}, 'lo', '169.254.169.254/32');
	world_web($w, 'host', '169.254.169.254', 80, 'metadata');
	world_web($w, 'host', '10.88.0.1', 8000, 'host');
}

1;
