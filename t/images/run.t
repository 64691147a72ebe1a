#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The three images at work together, each with a root that is read-only and no
# right but those its documentation names: a sandbox that discovery finds by the
# engine's socket, that the gateway serves, and that the sidecar guards.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use Harness;
use Images;
use World;

my ($version) = read_file(root() . '/common/version.h') =~ /VERSION "(.*)"/;
my $e = Images->new(qw(gateway egress discovery));
my $dir = scratch();

# What is written on each
for my $case (['gateway', '65532:65532', 1], ['discovery', '65532:65532', 0],
	['egress', '0:0', 1]) {
	my ($name, $user, $health) = @$case;
	my $config = decode_json($e->podman('image', 'inspect', image($name)))->[0];
	my $labels = $config->{Labels};
	my $label = 'org.opencontainers.image';
	is($labels->{"$label.title"}, "opensandbox-$name", "$name: title");
	is($labels->{"$label.version"}, $version, '  version');
	is($labels->{"$label.licenses"}, 'Apache-2.0', '  licence');
	like($labels->{"$label.created"}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
	    '  the date of the sources');
	is($config->{User}, $user, "  user $user");
	is($config->{Config}{StopSignal}, 'SIGTERM', '  ends by SIGTERM');
	is(!!$config->{Healthcheck}, !!$health, '  health check, or none');

	my @in = ('run', '--rm', confined(), '--network', 'none', '--entrypoint');
	my $text = $e->podman(@in, 'cat', image($name),
	    '/usr/share/doc/opensandbox/sbom.cdx.json');
	my $sbom = decode_json($text);
	is("$text\n", read_file(root() . "/build/images/opensandbox-$name.cdx.json"),
	    '  the list of parts beside it is that in it');
	is_deeply([@$sbom{qw(bomFormat specVersion version)}], ['CycloneDX', '1.5', 1],
	    '  it is CycloneDX');
	is($sbom->{metadata}{component}{version}, $version, '  of this version');
	my $has = $e->podman(@in, 'dpkg-query', image($name), '-W', '-f',
	    '${Package} ${Version} ${Architecture}\n');
	is(join("\n", map { "$_->{name} $_->{version} "
		    . ($_->{purl} =~ /\?arch=(\w+)&/)[0] } @{ $sbom->{components} }),
	    join("\n", sort { ($a =~ /(\S+)/)[0] cmp ($b =~ /(\S+)/)[0] }
		split /\n/, $has), '  with each package of the image');
	is_deeply([grep { !/^pkg:deb\/debian\/[a-z0-9.+%A-Z-]+@[\w.%~-]+\?arch=\w+&distro=debian-12$/ }
		map { $_->{purl} } @{ $sbom->{components} }], [], '  each by its URL');
	my %refs = map { $_->{'bom-ref'} => 1 } @{ $sbom->{components} };
	is_deeply([sort keys %refs], [sort @{ $sbom->{dependencies}[0]{dependsOn} }],
	    '  once');
	cmp_ok((grep { $_->{licenses} } @{ $sbom->{components} }), '>',
	    @{ $sbom->{components} } / 2, '  most with licences');
	is_deeply([grep { /^(apt|perl-base|openssl|gcc.*[0-9]|make)$/ }
		map { $_->{name} } @{ $sbom->{components} }], [],
	    '  nothing in it to build or download with');
}

# A process of an image: who it is, what it may do
sub runs_as
{
	my ($name, $uid, $capabilities) = @_;
	my $status = $e->proc($name, 'status');
	is(($status =~ /^Uid:\t(\d+)/m)[0], $uid, "$name is user $uid");
	my ($has) = $status =~ /^CapPrm:\t(\w+)/m;
	is(hex $has, $capabilities, '  with no right but what it needs');
}
use constant NET_ADMIN => 1 << 12;

# Gateway and discovery
my $gid = 65432;
run('chgrp', $gid, $e->{socket});
chmod 0660, $e->{socket};
my $box = $e->sandbox('box', { 'opensandbox.io/id' => 'sb-1' });
$e->podman('run', '-d', '--name', 'gateway', confined(), '--entrypoint', 'nginx',
    '--stop-signal', 'QUIT', image('gateway'), '-g', 'daemon off;');
$e->podman('run', '-d', '--name', 'discovery', confined(), '--group-add', $gid,
    '--network', 'container:gateway', '--volume', "$e->{socket}:/run/engine.sock",
    image('discovery'), '--gateway=http://127.0.0.1:8081',
    '--docker=unix:///run/engine.sock', '--http-addr=127.0.0.1:8083');
ok($e->healthy('gateway'), 'the gateway is healthy');
my $gateway = $e->inspect('gateway')->{NetworkSettings}{Networks}{podman}{IPAddress};
sub served
{
	my ($path) = @_;
	return (capture('ip', 'netns', 'exec', $e->{netns}, 'curl', '-s', '-m', '5',
		"http://$gateway:8080$path"))[1];
}
ok(wait_for(sub { served('/sandboxes/sb-1/port/8000/name') eq 'box' }, 30),
    'discovery finds the sandbox, the gateway serves it')
    or diag served('/sandboxes/sb-1/port/8000/name');
runs_as('gateway', 65532, 0);
runs_as('discovery', 65532, 0);

# The sidecar
like($e->fetch('box', 'evil.test'), qr/"app": "evil"/, 'unguarded, the sandbox reaches what it likes');
$e->podman('run', '-d', '--name', 'sidecar', confined('NET_ADMIN'), '--network',
    'container:box', '--env', 'OPENSANDBOX_EGRESS_RULES='
    . '{"defaultAction":"deny","egress":[{"action":"allow","target":"good.test"}]}',
    '--env', 'OPENSANDBOX_EGRESS_DNS_UPSTREAM=' . RESOLVER, image('egress'));
ok($e->healthy('sidecar'), 'the sidecar is healthy');
runs_as('sidecar', 0, NET_ADMIN);
my $evil = counted($e, 'evil');
like($e->fetch('box', 'good.test'), qr/"app": "good"/, 'guarded, it reaches the name that is allowed');
unlike($e->fetch('box', 'evil.test'), qr/"app": "evil"/, '  no other name');
unlike($e->fetch('box', EVIL), qr/"app": "evil"/, '  nor its address');
is(counted($e, 'evil'), $evil, '  and not a packet of it arrives there');
is(served('/sandboxes/sb-1/port/8000/name'), 'box', 'the gateway reaches it still');

# Ends
for my $name (qw(discovery sidecar gateway)) {
	$e->podman('stop', '-t', 20, $name);
	is($e->inspect($name)->{State}{ExitCode}, 0, "$name ends when told to");
}

# The entry point of OpenSandbox's command line, in the image
write_file("$dir/config", <<'EOT');
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: a, user: {token: x}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
EOT
$e->podman('run', '-d', '--name', 'entry', confined(), '--log-driver', 'k8s-file',
    '--volume', "$dir/config:/config:ro", image('gateway'), '--kubeconfig=/config', '--mode=uri');
my $logged;
ok(wait_for(sub {
	my ($sick) = capture($e->podman_command('healthcheck', 'run', 'entry'));
	$logged = $e->podman('logs', 'entry');
	return $sick && $logged =~ m{"GET /status\.ok HTTP/1\.0" 503};
}, 30), 'without a cluster, the entry point is unhealthy') or diag $logged;
$e->podman('kill', '--signal', 'INT', 'entry');
is($e->podman('wait', 'entry'), 0, '  and ends well');

# What puts the CNI plugin onto a node needs more programs than others do.
mkdir "$dir/$_" for qw(bin net.d);
write_file("$dir/net.d/10-x.conflist",
    '{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"bridge"}]}');
write_file("$dir/entry", '{"type":"opensandbox-egress"}');
my ($status, $out) = capture($e->podman_command('run', '--rm', confined(),
	'--volume', "$dir/bin:/host/bin", '--volume', "$dir/net.d:/host/net.d",
	'--volume', "$dir/entry:/host/entry", '--entrypoint',
	'/usr/sbin/opensandbox-install-cni', image('egress'), '/host/bin', '/host/net.d',
	'/host/entry'));
is($status, 0, 'the sidecar\'s image installs the CNI plugin') or diag $out;
like(read_file("$dir/net.d/10-x.conflist"), qr/opensandbox-egress/, '  and its entry');
{
	local $ENV{CNI_COMMAND} = 'VERSION';
	like((capture('sh', '-c', "echo '{\"cniVersion\":\"1.0.0\"}' | $dir/bin/opensandbox-egress"))[1],
	    qr/supportedVersions/, '  which runs outside of the image');
}

done_testing;
