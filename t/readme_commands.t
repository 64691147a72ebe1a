#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Every command of the README, and of the pages of docs/ that go on from it,
# works, in the order that it has, as it stands there: in a root of its own (an overlay of this one, without nginx's folder of
# modules) and namespaces of its own.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;

plan skip_all => 'the README is about the nginx of the system' if $ENV{NGINX};
plan skip_all => 'a sanitized module needs its runtime loaded first'
    if build_dir() =~ m{/san\b};

my @pages = map { read_file(root() . "/$_") } qw(README.md docs/access.md
    docs/egress.md docs/learning.md);
# t/discovery_gateway.t runs what needs an engine.
s/^## A host with Docker or Podman\n.*?(?=^## )//ms for @pages;
my $readme = join "\n", @pages;
my $dir = scratch();
# Records and policies; other pieces of configuration are t/docs_nginx.t's.
my ($gateway, @records) = grep { /^(?:load_module|opensandbox_(?:sandbox|policy)\b)/ }
    $readme =~ /```nginx\n(.*?)```/gs;

# A block's commands, each with its continuation lines, without comments.
my @commands;
while ($readme =~ /^```(\w*)\n(.*?)^```$/msg) {
	my ($kind, $text) = ($1, $2);
	next if $kind ne '' && $kind ne 'sh';
	$text =~ s/\\\n\s*//g;
	push @commands, map { s/\s+#.*//r }
	    grep { /^(?:make|install|mkdir|printf|nginx|curl|build\/|OPENSANDBOX_\w+=)/ }
	    split /\n/, $text;
}
# These two have tests of their own, or are the tests.
@commands = grep { !/^make (?:demo|test)\b/ } @commands;
cmp_ok(scalar @commands, '>', 18, 'the README has commands');

write_file("$dir/gateway.conf", $gateway);
write_file("$dir/records.conf", join "\n", @records);

# What goes on between them: a server runs until the next one starts.
my $script = <<'SH';
set -u
curl() { command curl -sf -m 20 "$@"; }
until_true() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; false; }
serve() {
	if [ -n "$server" ]; then kill -INT $server; wait $server; fi
	sh -c "exec $1" >"$dir/server.log" 2>&1 &
	server=$!
	until_true $2 || { cat "$dir/server.log"; false; }
}
said() { printf '%s : %s\n' "$?" "$1"; }
server=
ip link set lo up
for n in 5 6 7; do ip address add 10.88.0.$n/32 dev lo; done
ip netns add sandbox1
ip -n sandbox1 link set lo up
cd /srv && python3 -m http.server --bind 10.88.0.6 8000 >/dev/null 2>&1 &
until_true curl http://10.88.0.6:8000/
SH
my $health = 'curl http://127.0.0.1:18080/healthz';
my $inside = "ip netns exec sandbox1 $health";
my $join;
my $started = 0;
for my $command (@commands) {
	my $say = $command =~ s/'/'\\''/gr;
	if ($command =~ m{^curl http://127.0.0.1/|^curl.*:8081} && !$started++) {
		$script .= "cp \$dir/gateway.conf /etc/nginx/nginx.conf\n"
		    . "cp \$dir/records.conf /etc/nginx/opensandbox.d/\nnginx; said nginx\n";
	}
	if ($command =~ m{egress-sidecar learn}) {
		# one that is guarded is not learned from
		$script .= "ip netns delete sandbox1; ip netns add sandbox1\n"
		    . "serve '$say' 'ip netns exec sandbox1 nft list table inet opensandbox'\n"
		    . "kill -INT \$server; wait \$server; said '$say'; server=\n";
	} elsif ($command =~ m{egress-sidecar (?:check|status|policy)\b}) {
		$script .= "$command >/dev/null; said '$say'\n";
	} elsif ($command =~ m{--agent$}) {
		$script .= "serve '$say' 'curl --unix-socket /run/opensandbox/egress.sock "
		    . "http://agent/healthz'; said '$say'\n";
	} elsif ($command =~ m{egress-sidecar\b} && $command !~ /^make/) {
		my ($run, $up) = $command =~ /--netns/ ? ($say, $health)
		    : ("ip netns exec sandbox1 env $say", $inside);
		$run = "env $run" if $run =~ /^OPENSANDBOX/;
		$join = $run if $command =~ /--netns/ && !$join;
		$script .= "serve '$run' '$up'; said '$say'\n";
	} elsif ($command eq 'nginx -s reload') {
		$script .= "old=\$(pgrep -o -f 'nginx: worker'); $command; said '$say'\n"
		    . "until_true sh -c \"! kill -0 \$old\"\n";
	} else {
		$script .= "serve '$join' '$health'\n" if $command =~ m{^curl \S+:18080/policy$};
		$script .= "$command >/dev/null; said '$say'\n";
	}
}
$script .= "serve true true\n";
write_file("$dir/commands", $script);
write_file("$dir/enter", <<'SH');
set -eu
dir=$1 root=$2 build=$3
mount -t tmpfs none "$dir/fresh"
mkdir "$dir/fresh/upper" "$dir/fresh/work" "$dir/fresh/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/fresh/upper,workdir=$dir/fresh/work" \
    overlay "$dir/fresh/root"
new=$dir/fresh/root
rm -rf "$new/usr/lib/nginx/modules" "$new/run/netns" "$new/run/opensandbox"
mkdir -p "$new$root/build"
for folder in /dev /sys "$dir"; do mount --rbind "$folder" "$new$folder"; done
mount --bind "$build" "$new$root/build"
mount -t proc proc "$new/proc"
exec chroot "$new" sh -c "cd '$root' && dir='$dir' && . '$dir/commands'"
SH
mkdir "$dir/fresh";
delete local $ENV{MAKEFLAGS};
my (undef, $out) = capture('unshare', '--mount', '--net', '--pid', '--fork', '--kill-child',
    '--propagation', 'private', 'sh', "$dir/enter", $dir, root(), build_dir());
my %status = $out =~ /^(\d+) : (.*)$/mg ? map { reverse /^(\d+) : (.*)$/ }
    grep { /^\d+ : / } split /\n/, $out : ();
is($status{nginx}, 0, 'nginx starts with the configuration shown');
is($status{$_}, 0, $_) for @commands;
diag $out if grep { ($status{$_} // 1) ne '0' } @commands;
done_testing();
