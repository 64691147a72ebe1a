#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# opensandbox-discovery says what it can be told, and what is missing.

use strict;
use warnings;
use Test::More tests => 9;
use Harness;

my $discovery = build_dir() . '/opensandbox-discovery';

my ($status, $help) = capture($discovery, '--help');
is($status, 0, '--help is no mistake');
my @names = $help =~ /^  --([a-z-]+)/mg;
is_deeply([grep { !/^(?:help|version)$/ } @names],
	[map { tr/A-Z_/a-z-/r } $help =~ /^      OPENSANDBOX_DISCOVERY_(\w+)$/mg],
	'each option has a variable of its name');

my ($version) = read_file(root() . '/common/version.h') =~ /"([\d.]+)"/;
is((capture($discovery, '--version'))[1], "opensandbox-discovery $version\n", '--version');

is_deeply([capture($discovery)], [2, 'opensandbox-discovery: expected --gateway or --agent: '
	. "whom to feed; see --help\n"], 'it must feed somebody');
is_deeply([capture($discovery, '--gateway', 'unix:/run/x.sock')],
	[2, "opensandbox-discovery: expected --docker, --kubernetes or "
	. "--kubeconfig: whom to watch; see --help\n"],
	'and watch somebody');
is_deeply([capture($discovery, '--gateway', 'localhost')],
	[2, 'opensandbox-discovery: --gateway: "localhost": expected http://HOST:PORT or '
	. "unix:/PATH\n"], 'a mistake is named');
{
	local $ENV{OPENSANDBOX_DISCOVERY_ONCE} = 'perhaps';
	is_deeply([capture($discovery)], [2, 'opensandbox-discovery: OPENSANDBOX_DISCOVERY_ONCE: '
		. "\"perhaps\": expected true or false\n"], 'in the environment too');
}
like((capture($discovery, '--gateway', 'unix:/run/x.sock', '--docker', 'unix:///nowhere', '--once'))[1],
	qr{"error":"/nowhere: No such file or directory"}, 'a socket that is not there is named');
{
	local $ENV{OPENSANDBOX_DISCOVERY_DOCKER_NETWROK} = 'lan';
	like((capture($discovery, '--gateway', 'unix:/run/x.sock', '--docker',
		'unix:///nowhere', '--once'))[1],
		qr{"variable":"OPENSANDBOX_DISCOVERY_DOCKER_NETWROK"},
		'a variable that is no option is named');
}
