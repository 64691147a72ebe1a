# SPDX-License-Identifier: Apache-2.0
#
# Every field and event that the programs write to their logs, and every
# variable for the gateway's, stands in docs/logs.md, and no other.

use strict;
use warnings;
use File::Find;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;

my $root = root();
my $page = read_file("$root/docs/logs.md");

my @files;
find(sub { push @files, $File::Find::name if /\.c$/ },
    map { "$root/$_" } qw(common egress-sidecar discovery));

# Those of every line are common/log's own.
my %written = map { $_ => 1 } qw(time level event opensandbox.event msg);
my %events;
my $string = qr/"(?:[^"\\]|\\.)*"/;
for my $source (map { read_file($_) } @files) {
	while ($source =~ /\blog_event(\((?:[^"()]|$string|(?1))*\))/g) {
		my $call = $1;
		$written{$1} = 1 while $call =~ /,\s*"[sijr]([a-zA-Z][\w.]*)"(?=\s*,)/g;
		$events{$1} = 1 if $call =~ /,\s*"((?:egress|discovery)\.\w+)"/;
	}
}
my $log = read_file("$root/common/log/log.c");
for (qw(time level event opensandbox.event msg)) {
	like($log, qr/\Q$_\E/, "common/log writes $_");
}
cmp_ok(scalar keys %written, '>', 40, 'fields are found in the code');

my (%variables, %fields);
for my $row ($page =~ /^\| (`.*)$/mg) {
	my ($names, $meaning, $otel) = split / \| /, $row;
	like("$meaning$otel", qr/\w.*\|$/, "$names has a meaning, and a name elsewhere or none");
	$_ =~ /^\$/ ? $variables{$_}++ : $fields{$_}++ for $names =~ /`([^`]+)`/g;
}
is_deeply([sort keys %fields], [sort keys %written],
    'every field is in the table, and no other');
is_deeply([grep { $_ > 1 } values %fields, values %variables], [], 'each once');

my $module = read_file("$root/ngx_opensandbox_module/answer/variables.c");
my ($vars) = $module =~ /ngx_http_osb_vars\[\] = \{(.*?)\};/s;
is_deeply([sort keys %variables],
    [sort map { "\$$_" } $vars =~ /ngx_string\("(\w+)"\)/g],
    'every variable is in the table, and no other');

$events{$_} = 1 for read_file("$root/common/log/log.h") =~ /= \{"([\w.]+)"/g;
my ($told) = $page =~ /^## Events\n(.*)/ms;
is_deeply([sort $told =~ /`([\w.]+)`/g], [sort keys %events],
    'every event is named, and no other');
done_testing();
