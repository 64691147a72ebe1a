# SPDX-License-Identifier: Apache-2.0
#
# The version stands in common/version.h alone: both programs and both pages of
# metrics show it, the gateway's log does at the start, and the newest heading
# of CHANGELOG.md is it, and that of debian/changelog.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More tests => 10;
use Harness;
use Ingress;
use World qw(world world_dns sidecar);

my ($version) = read_file(root() . '/common/version.h')
    =~ /^#define OPENSANDBOX_VERSION "(.*)"$/m;
like($version, qr/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/, 'it is a semantic version');
my ($newest) = read_file(root() . '/CHANGELOG.md') =~ /^## \[(?!Unreleased)(.*?)\]/m;
is($newest, $version, 'the newest in CHANGELOG.md');
is((read_file(root() . '/debian/changelog') =~ /^\S+ \((.*?)\)/)[0],
    $version =~ s/-/~/r, 'the newest in debian/changelog');
is((capture(build_dir() . '/egress-sidecar', '--version'))[1],
    "egress-sidecar $version\n", 'egress-sidecar --version');

my $w = world();
world_dns($w);
my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1' });
like((World::api($w, 'GET', '/metrics'))[1], qr/^# TYPE egress_build_info gauge$/m,
    'a gauge of the sidecar');
like((World::api($w, 'GET', '/metrics'))[1],
    qr/^egress_build_info\{sandbox_id="sb-1",version="\Q$version\E"\} 1$/m,
    '  tells it, with the labels of the others');
stop($pid);

my $g = gateway(server => 'location /status { opensandbox_status; }');
my $log = read_file("$g->{prefix}/error.log");
my @told = $log =~ /\[notice\] .*: (opensandbox .*)$/mg;
is_deeply(\@told, ["opensandbox $version"], 'the gateway says it at the start, once');
my $page = get($g->{port}, '/status?format=prometheus')->{body};
like($page, qr/^# TYPE opensandbox_build_info gauge$/m, 'a gauge of the gateway');
like($page, qr/^opensandbox_build_info\{version="\Q$version\E"\} 1$/m, '  tells it');
is(decode_json(get($g->{port}, '/status')->{body})->{version}, $version,
    '  and its JSON');
