# SPDX-License-Identifier: Apache-2.0
#
# The README's configuration, and docs/ingress.md's, are ones that nginx takes;
# the tables of options are the programs', those of docs/directives.md and of
# answers are the module's; every worked example of docs/policy.md is answered as
# shown. The README fits a few screens.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;

my $readme = read_file(root() . '/README.md');
my $dir = scratch();
my $root = root();

cmp_ok(($readme =~ tr/\n//), '<', 200, 'the README has less than 200 lines');
my $directives = read_file("$root/docs/directives.md");
my $ingress = read_file("$root/docs/ingress.md");

# nginx's word on a whole configuration
sub nginx_takes
{
	my ($whole) = @_;
	my $module = build_dir() . '/ngx_http_opensandbox_module.so';
	$whole =~ s{modules/ngx_http_opensandbox_module\.so}{$module};
	$whole =~ s{(?:/etc/nginx|/usr/share/opensandbox/conf/nginx)/(opensandbox-\w+\.conf)}{$root/conf/nginx/$1}g;
	$whole =~ s{/etc/nginx/opensandbox\.d}{$dir/opensandbox.d};
	$whole =~ s{/var/lib/nginx}{$dir};
	write_file("$dir/nginx.conf", "pid $dir/nginx.pid;\nerror_log $dir/error.log;\n"
		. $whole);
	my $env = nginx_env();
	local @ENV{ keys %$env } = values %$env;
	return capture(Ingress::nginx_binary(), '-e', "$dir/error.log", '-p', $dir,
	    '-t', '-c', "$dir/nginx.conf");
}

my ($whole, @rest) = $readme =~ /```nginx\n(.*?)```/gs;
push @rest, read_file("$root/docs/egress.md") =~ /```nginx\n(.*?)```/gs;
ok($whole, 'the README shows a whole gateway');
mkdir "$dir/opensandbox.d";
s{/etc/nginx/policies}{$root/conf/policies}g for @rest;
like("@rest", qr/opensandbox_policy/, 'docs/egress.md shows a policy');
write_file("$dir/opensandbox.d/all.conf", join "\n", @rest);
my ($status, $out) = nginx_takes($whole);
is($status, 0, 'nginx takes it, with the sandboxes and policies shown')
    or diag $out;
my @gateways = grep { /^load_module/ } $ingress =~ /```nginx\n(.*?)```/gs;
is(scalar @gateways, 2, 'docs/ingress.md shows two more');
for (@gateways) {
	($status, $out) = nginx_takes($_);
	is($status, 0, '  nginx takes it, too') or diag $out;
}

my %programs = (
	'egress-sidecar' => ['OPENSANDBOX_EGRESS', 'docs/options.md'],
	'egress-sidecar top' => ['OPENSANDBOX_EGRESS', 'docs/egress.md'],
	'opensandbox-discovery' => ['OPENSANDBOX_DISCOVERY', 'docs/discovery.md'],
);
for my $program (sort keys %programs) {
	my ($prefix, $path) = @{ $programs{$program} };
	my ($name, @sub) = split / /, $program;
	my (undef, $help) = capture(build_dir() . "/$name", @sub, '--help');
	my %said = map { $_ => 1 } $help =~ /^  --(\S+)/mg;
	delete @said{qw(help version)};
	my $page = read_file("$root/$path");
	my %shown = map { $_ => 1 } $page =~ /^\| `--([a-z0-9-]+)/mg;
	is_deeply([sort keys %shown], [sort keys %said],
	    "$path: every option is in its table, and no other");
	my @wrong;
	while ($help =~ /^  (--\S+(?: \S+)?)\n((?:      .*\n)+)/mg) {
		my ($option, $text) = ($1, $2);
		next if $option =~ /^--(?:help|version)$/;
		my $variable = $text =~ s/^ *$prefix(_\w+)\n// ? "`…$1`" : '';
		$text = join ' ', split ' ', $text;
		s/\|/\\|/g for $option, $text;
		push @wrong, $option
		    if index($page, "| `$option` | $variable | $text |\n") < 0;
	}
	is("@wrong", '', 'with its argument, variable, meaning and default');
}

# The module's tables, against those that a user reads.
my $source = join '', map { read_file($_) }
    glob "$root/ngx_opensandbox_module/{,*/}*.c";
my %contexts = (NGX_HTTP_MAIN_CONF => 'http', NGX_HTTP_SRV_CONF => 'server',
	NGX_HTTP_LOC_CONF => 'location', NGX_HTTP_UPS_CONF => 'upstream');
my (@declared, @documented, @bare);
while ($source =~ /\{\s*ngx_string\("(opensandbox\w*)"\),\s*((?:NGX_\w+[\s|]*)+),/g) {
	my ($name, $flags) = ($1, $2);
	push @declared, "$name: " . join ', ', map { $contexts{$_} // () }
	    $flags =~ /\w+/g;
}
while ($directives =~ /^\| `(opensandbox\w*)[^`]*` \| ([^|]*) \| ([^|]*) \|\s*(.*?) \|$/mg) {
	push @documented, "$1: $2";
	push @bare, $1 unless length $3 && length $4;
}
is_deeply([sort @documented], [sort @declared],
    'every directive is documented with its contexts, and no other');
is("@bare", '', 'each with a default and a meaning');
my ($inside) = $directives =~ /^Inside of `opensandbox_sandbox`:(.*?)\n\n/ms;
my ($lines) = $source =~ /ngx_http_osb_fields\[\] = \{(.*?)\n\};/s;
is_deeply([sort $inside =~ /`(\w+)/g], [sort 'include', $lines =~ /\{"\w+", "(\w+)"/g],
    'so is what a sandbox block holds');
my ($vars) = $source =~ /ngx_http_osb_vars\[\] = \{(.*?)\};/s;
my ($listed) = $directives =~ /^Variables:(.*?)(?:\n\n|\z)/ms;
is_deeply([sort $listed =~ /`\$(\w+)`/g], [sort $vars =~ /ngx_string\("(\w+)"\)/g],
    'every variable');
my ($answers) = $source =~ /ngx_http_osb_answers\[\] = \{(.*?)\n\};/s;
my %told = $answers =~ /\{ngx_string\("(\w+)"\), (\d+),/g;
delete $told{ok};
my %status;
while ($ingress =~ /^\| (\d{3}) \| ((?:`\w+`(?:, )?)+) \|/mg) {
	my ($code, $names) = ($1, $2);
	$status{$_} = $code for $names =~ /`(\w+)`/g;
}
is_deeply(\%status, \%told, 'and every answer with its status');

my ($policy) = read_file("$root/docs/policy.md") =~ /```json\n(.*?)```/s;
write_file("$dir/policy.json", $policy);
($status, $out) = capture(build_dir() . '/egress-sidecar', 'check',
    "$dir/policy.json", '--query', 'www.example.com');
is($status, 0, 'the first policy of docs/policy.md is one') or diag $out;
like($out, qr/allow/, 'that decides as it says');

# Each example: a policy, files that go with it, and a console. A paragraph's
# files belong to the policy before it.
my $program = build_dir() . '/egress-sidecar';
my $example = '';
my $n = 0;
for (read_file(root() . '/docs/policy.md') =~ /^```(\S+\n.*?)^```$/msg) {
	my ($kind, $text) = /\A(\S+)\n(.*)\z/s;
	if ($kind eq 'json') {
		$example = "$dir/example" . ++$n;
		mkdir $example;
		write_file("$example/policy.json", $text);
	} elsif ($kind eq 'console') {
		while ($text =~ /^\$ egress-sidecar (.*)\n((?:(?!\$ ).*\n)*)/mg) {
			my ($command, $want) = ($1, $2);
			my (undef, $got) = capture('sh', '-c',
			    "cd '$example' && exec '$program' $command");
			is($got, $want, "example $n: $command");
		}
	} else {
		write_file("$example/$kind", $text);
	}
}
cmp_ok($n, '>', 7, 'docs/policy.md has examples');

done_testing(43);
