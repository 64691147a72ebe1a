#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The packages in a Debian 12 of their own: apt installs them, over older ones
# too; each does its work there; removed and purged they leave nothing.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Package;
use Test::More;
use Harness;
use Ingress;
use JSON::PP;

my @names = qw(libnginx-mod-http-opensandbox opensandbox-discovery opensandbox-egress);
my %debs = %{ debs() };
is_deeply([sort keys %debs], \@names, 'make deb makes three packages');
my ($version) = read_file(root() . '/common/version.h')
    =~ /^#define OPENSANDBOX_VERSION "(.*)"$/m;

my $root = debian();
my %before = map { $_ => 1 } files();

my ($status, $out) = install_debs(map { older($_, '0.0.1') } @debs{@names});
is($status, 0, 'older ones install, with what they depend on') or diag $out;
my @conffile = ('/etc/nginx/opensandbox-proxy.conf', '/etc/opensandbox/egress-agent.env');
ran("echo '# mine' >>$_") for @conffile;
ran('rm /etc/nginx/policies/alpine.conf');
($status, $out) = install_debs(@debs{@names});
is($status, 0, 'and these over them') or diag $out;
is(ran("dpkg-query -W -f '\${db:Status-Abbrev}\${Version} ' @names"),
    "ii $version ii $version ii $version ", '  all three');
is(ran("tail -qn 1 @conffile"), "# mine\n# mine\n", '  what the operator has changed stays');
ok(!-e "$root/etc/nginx/policies/alpine.conf", '  what the operator has removed stays away');
($status, $out) = inside('debsums', '-s', @names);
is($out, '', 'every file is as it was packed');

# The gateway
is(readlink("$root/etc/nginx/modules-enabled/50-mod-http-opensandbox.conf"),
    '/usr/share/nginx/modules-available/mod-http-opensandbox.conf', 'the module is enabled');
($status, $out) = inside('nginx', '-t');
is($status, 0, 'in the configuration that Debian has') or diag $out;
my ($readme) = read_file(root() . '/README.md') =~ /```nginx\n(.*?)```/s;
write_file("$root/etc/nginx/nginx.conf", $readme);
($status, $out) = inside('nginx', '-t');
is($status, 0, 'nginx takes the configuration of the README') or diag $out;
ran('service nginx start');
my $echo = echo('box');
is(exchange(8081, "PUT /v1/sandboxes/sb-1 HTTP/1.1\r\nHost: g\r\nConnection: close\r\n"
	. "Content-Length: 24\r\n\r\n" . '{"endpoint":"127.0.0.1"}')->{status}, 201,
    '  and the API a sandbox');
is(get(80, "/sandboxes/sb-1/port/$echo/")->{status}, 200, '  which is reached through it');

# The sidecar
is(ran('egress-sidecar --version'), "egress-sidecar $version\n", 'egress-sidecar begins');
ran('ip netns add sandbox1 && ip -n sandbox1 link set lo up');
sub agent
{
	start(name => 'agent', cmd => [entering('/usr/sbin/egress-sidecar', '--agent')]);
	return wait_for(sub { (inside('curl', '-sf', '--unix-socket',
		'/run/opensandbox/egress.sock', 'http://agent/v1/sandboxes'))[0] == 0 });
}
ok(agent(), '  as an agent, too');
ran(q(curl -sf --unix-socket /run/opensandbox/egress.sock -X PUT --data )
	. q('{"netns":"sandbox1","policy":{"egress":[]}}' http://agent/v1/sandboxes/sb-1));
like(ran('ip netns exec sandbox1 nft list tables'), qr/opensandbox/, '  and guards a namespace');
is(ran('CNI_COMMAND=VERSION /usr/lib/cni/opensandbox-egress </dev/null | head -c 13'),
    '{"cniVersion"', 'the CNI plugin answers');
ok(decode_json(read_file("$root/usr/share/containers/oci/hooks.d/opensandbox-egress.json")),
    'the OCI hook is there');
is(ran('opensandbox-discovery --version'), "opensandbox-discovery $version\n",
    'opensandbox-discovery begins');
ok(-l "$root/etc/systemd/system/multi-user.target.wants/opensandbox-egress-agent.service",
    'the agent is enabled');
ok(!-l "$root/etc/systemd/system/multi-user.target.wants/opensandbox-discovery.service",
    'discovery, which has to be told of a gateway, is not');

# What is read
for (qw(egress-sidecar(8) opensandbox-discovery(8) ngx_http_opensandbox_module(7)
	opensandbox-policy(5))) {
	my ($name, $section) = /(.*)\((\d)\)/;
	is((inside('man', '-w', $section, $name))[0], 0, "man $section $name");
	($status, $out) = inside('sh', '-c', "man --warnings -Tutf8 $section $name 2>&1 >/dev/null");
	is($out, '', '  without a warning');
}
sub completes
{
	my (@words) = @_;
	my ($command, $n) = ($words[0], $#words);
	return join ' ', sort split ' ', ran("bash -c '. /usr/share/bash-completion/bash_completion;"
		. " _completion_loader $command || :; COMP_WORDS=(" . join(' ', map { "\"$_\"" } @words)
		. "); COMP_CWORD=$n; COMP_LINE=\"@words\"; COMP_POINT=\${#COMP_LINE}; _"
		. ($command =~ tr/-/_/r) . " \"$command\" \"$words[-1]\" \"$words[-2]\";"
		. " echo \"\${COMPREPLY[\@]}\"'");
}
like(completes('egress-sidecar', ''), qr/\bcheck\b.*\blearn\b/, 'bash completes subcommands');
is(completes('egress-sidecar', '--gate', ''), 'names off', '  values');
is(completes('egress-sidecar', 'check', '--q'), '--query', '  options of a subcommand');
is(completes('egress-sidecar', '--netns', 'sand'), 'sandbox1', '  namespaces');
is(completes('opensandbox-discovery', '--gateway-'), '--gateway-token-file',
    '  and those of discovery');
is(ran(q(zsh -fc 'autoload -U compinit; compinit -u -D; echo $_comps[egress-sidecar] $_comps[opensandbox-discovery];)
	. q( autoload +X _egress-sidecar _opensandbox-discovery && echo loaded')),
    "_egress-sidecar _opensandbox-discovery\nloaded\n", 'zsh finds both');

# The way back
my $rules = ran('ip netns exec sandbox1 nft list ruleset');
ran('kill $(pgrep -o -f "^/usr/sbin/egress-sidecar")');
wait_for(sub { (inside('pgrep', '-f', '^/usr/sbin/egress-sidecar'))[0] != 0 });
($status, $out) = inside('apt-get', 'remove', '-q', '-y', @names);
is($status, 0, 'removed') or diag $out;
ok(-e "$root$_", "  $_ stays") for @conffile;
ok(!-e "$root/etc/nginx/modules-enabled/50-mod-http-opensandbox.conf", '  the module is not enabled');
like(ran('ip netns exec sandbox1 nft list tables'), qr/opensandbox/,
    '  and the sandbox that lives on stays closed');
ran('service nginx stop || :; ip netns delete sandbox1');
($status, $out) = inside('apt-get', 'purge', '-q', '-y', '--auto-remove', @names);
is($status, 0, 'purged') or diag $out;
ok(!-e "$root/run/opensandbox", '  nothing is left in /run');
my %after = map { $_ => 1 } files();
is(join("\n", grep { !$before{$_} } sort keys %after), '', '  nor anywhere else');
is(join("\n", grep { !$after{$_} } sort keys %before), '', '  and nothing of others is gone');
done_testing();
