# SPDX-License-Identifier: Apache-2.0
#
# The README's configuration is one that nginx takes, and its table of options
# is the program's.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 6;
use Harness;

my $readme = read_file(root() . '/README.md');
my $dir = scratch();
my $root = root();
my $nginx = $ENV{NGINX} ? "$ENV{NGINX}/usr/sbin/nginx" : 'nginx';

my ($whole, @rest) = $readme =~ /```nginx\n(.*?)```/gs;
ok($whole, 'the README shows a whole gateway');
mkdir "$dir/opensandbox.d";
s{/etc/nginx/policies}{$root/conf/policies}g for @rest;
write_file("$dir/opensandbox.d/all.conf", join "\n", @rest);
my $module = build_dir() . '/ngx_http_opensandbox_module.so';
$whole =~ s{modules/ngx_http_opensandbox_module\.so}{$module};
$whole =~ s{/etc/nginx/(opensandbox-\w+\.conf)}{$root/conf/nginx/$1}g;
$whole =~ s{/etc/nginx/opensandbox\.d}{$dir/opensandbox.d};
write_file("$dir/nginx.conf", "pid $dir/nginx.pid;\nerror_log $dir/error.log;\n"
	. $whole);
my $env = nginx_env();
my ($status, $out) = capture('env', (map { "$_=$env->{$_}" } keys %$env), $nginx, '-e', "$dir/error.log", '-p', $dir,
    '-t', '-c', "$dir/nginx.conf");
is($status, 0, 'nginx takes it, with the sandboxes and policies shown')
    or diag $out;

my (undef, $help) = capture(build_dir() . '/egress-sidecar', '--help');
my %said = map { $_ => 1 } $help =~ /^  --(\S+)/mg;
delete @said{qw(help version)};
my %shown = map { $_ => 1 } $readme =~ /^\| `--([a-z0-9-]+)/mg;
is_deeply([sort keys %shown], [sort keys %said],
    'every option is in its table, and no other');
my @variables = $help =~ /^      (OPENSANDBOX_EGRESS_\w+)$/mg;
is_deeply([grep { my $v = $_; $v =~ s/OPENSANDBOX_EGRESS/…/;
	index($readme, "`$v`") < 0 } @variables], [], 'every variable too');

my ($policy) = $readme =~ /```json\n(.*?)```/s;
write_file("$dir/policy.json", $policy);
($status, $out) = capture(build_dir() . '/egress-sidecar', 'check',
    "$dir/policy.json", '--query', 'www.example.com');
is($status, 0, 'its policy is one') or diag $out;
like($out, qr/allow/, 'that decides as it says');
