# SPDX-License-Identifier: Apache-2.0
#
# Package managers through the gate, from mirrors over TLS and in clear: apt,
# pip, npm.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path);
use JSON::PP;
use Test::More;
use ClientWorld;
use Harness;
use World;

my $w = client_world('join');
my $dir = scratch();

# apt: a mirror without folders.
make_path("$dir/deb/DEBIAN");
write_file("$dir/deb/DEBIAN/control", <<'END');
Package: gate
Version: 1.0
Architecture: all
Maintainer: x <x@example.com>
Description: a package
END
web_file('files/apt/x', '');
run('dpkg-deb', '--build', "$dir/deb", "$dir/web/files/apt/gate.deb");
my $deb = read_file("$dir/web/files/apt/gate.deb");
my $packages = read_file("$dir/deb/DEBIAN/control") . "Filename: ./gate.deb\nSize: "
    . length($deb) . "\nSHA256: " . sha256_hex($deb) . "\n";
web_file('files/apt/Packages', $packages);
web_file('files/apt/Release', "Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n "
    . sha256_hex($packages) . ' ' . length($packages) . " Packages\n");
write_file("$dir/apt.conf", <<"END");
Dir::Etc "$dir/home";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$dir/home/state";
Dir::Cache "$dir/home/cache";
Dir::State::status "/dev/null";
APT::Sandbox::User "root";
Acquire::https::CAInfo "${\ca()}";
Acquire::Retries "0";
END
for my $scheme (qw(http https)) {
	reaches($w, "apt, $scheme", 'rm -rf state cache *.deb; mkdir -p state/lists/partial'
	    . " cache/archives/partial; export APT_CONFIG=$dir/apt.conf; echo 'deb"
	    . " [trusted=yes] $scheme://'\$NAME'/files/apt ./' >sources.list; apt-get"
	    . ' -q update 2>&1; apt-get -q download gate 2>&1 && echo $NAME && ls',
	    '^NAME(?:\n.*)*\ngate_1.0_all.deb');
}

# pip: an index of one wheel.
write_file("$dir/wheel.py", <<'END');
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("gate.py", "x = 1\n")
    wheel.writestr("gate-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: gate\nVersion: 1.0\n")
    wheel.writestr("gate-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("gate-1.0.dist-info/RECORD", "gate.py,,\ngate-1.0.dist-info/METADATA,,\n"
                   "gate-1.0.dist-info/WHEEL,,\ngate-1.0.dist-info/RECORD,,\n")
END
web_file('files/simple/gate/index.html',
    '<!DOCTYPE html><a href="gate-1.0-py3-none-any.whl">gate-1.0-py3-none-any.whl</a>');
run(python(), "$dir/wheel.py", "$dir/web/files/simple/gate/gate-1.0-py3-none-any.whl");
for my $scheme (qw(http https)) {
	reaches($w, "pip, $scheme", 'rm -rf target; ' . python() . ' -m pip install'
	    . " -q --no-cache-dir --retries 0 --trusted-host nobody --cert \$CA"
	    . ($scheme eq 'http' ? ' --trusted-host $NAME' : '')
	    . " --root-user-action ignore --target target -i $scheme://\$NAME/files/simple"
	    . ' gate 2>&1 && echo $NAME && ls target', '^NAME\n(?:.*\n)*gate.py');
}

# npm: a registry of one package.
make_path("$dir/npm/package");
write_file("$dir/npm/package/package.json", '{"name":"gate","version":"1.0.0"}');
run('tar', '-C', "$dir/npm", '-czf', "$dir/web/npm/gate.tgz", 'package');
for my $scheme (qw(http https)) {
	for my $name (qw(good.test also.test other.test)) {
		web_file("npm/$scheme-$name/gate", encode_json({ name => 'gate',
			'dist-tags' => { latest => '1.0.0' }, versions => {
				'1.0.0' => { name => 'gate', version => '1.0.0', dist => {
					tarball => "$scheme://$name/npm/gate.tgz" } } } }));
	}
	reaches($w, "npm, $scheme", 'rm -rf npm; mkdir npm && cd npm && npm install'
	    . ' --no-audit --no-fund --no-update-notifier --fetch-retries=0 --cafile $CA'
	    . " --registry $scheme://\$NAME/npm/$scheme-\$NAME --cache ./cache gate 2>&1"
	    . ' && echo $NAME && cat node_modules/gate/package.json',
	    '^NAME\n.*"gate"');
}

done_testing();
