#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Policies in includes: mistakes are named with file and line, and sandboxes
# get what the blocks say.

use strict;
use warnings;
use JSON::PP;
use Test::More;
use Harness;
use Ingress;

my $json = JSON::PP->new->canonical;
my $file = scratch() . '/policies.conf';
my $part = scratch() . '/part.conf';
my $library = root() . '/conf/policies';

sub mistake
{
	my ($text, $error, $what, $line) = @_;
	write_file($file, "\n$text\n");
	my $at = quotemeta($file) . ':' . ($line // 2);
	like(config_error(http => "include $file;"), qr/$error.* in $at$/m,
	    $what);
}

sub block { return "opensandbox_policy p { $_[0] }" }

sub rule { return { action => $_[0], target => $_[1] } }

sub same
{
	my ($got, $want, $what) = @_;
	is($json->encode($got // {}), $json->encode($want), $what);
}

# Mistakes.
mistake(block('allow 10.0.0.0/33;'), '"10.0.0.0/33"', 'a bad range');
mistake(block('allow a.test b..test;'), '"b..test"', 'a bad name');
mistake(block('deny 10.0.0.1/8;'), '"10.0.0.1/8"', 'host bits in a range');
mistake(block('allow;'), 'number of arguments', 'no target');
mistake(block('default;'), 'number of arguments', 'no default');
mistake(block('default maybe;'), 'invalid value "maybe"', 'a bad default');
mistake(block('default deny; default deny;'), 'duplicate', 'two defaults');
mistake(block('permit a.test;'), 'unknown directive', 'a new word');
mistake(block('include;'), 'number of arguments', 'an include of nothing');
mistake(block('') . block(''), 'duplicate policy', 'two of one name');
mistake("opensandbox_sandbox sb {\nendpoint 127.0.0.1;\npolicy none;\n}",
    'unknown policy "none"', 'an unknown policy', 4);
mistake(block('') . 'opensandbox_sandbox sb { policy p; policy p; }',
    'duplicate', 'two policies');
mistake(block("include $part.absent;"), 'No such file', 'a missing file');
mistake(block(join ' ', 'deny', (map { "n$_.test" } 1 .. 1900), ';'),
    'larger than', 'a policy beyond what a record holds');

write_file($part, "# fine\nallow fine.test;\nallow -bad-.test!;\n");
write_file($file, block("include $part;"));
like(config_error(http => "include $file;"),
    qr/"-bad-\.test!".* in \Q$part\E:3$/m, 'a mistake in a nested include');

# Each file of the library, and all of them.
for my $path (glob "$library/*.conf") {
	is(config_error(http => block("include $path;")), '', $path);
}
is(config_error(http => block("default deny; include $library/*.conf;")), '',
    'a glob');

# What sandboxes get.
write_file($part, "deny 10.0.0.0/8;\nallow *.b.test;\n");
write_file($file, <<"EOT");
opensandbox_sandbox early { endpoint 127.0.0.1; policy dev; }
opensandbox_policy dev {
    default deny;
    allow 10.1.0.0/16 A.test;
    include $part;
    include $library/pypi.conf;
    allow "::1";
}
opensandbox_policy open { default allow; deny c.test; }
opensandbox_sandbox late { policy open; endpoint 127.0.0.1; }
opensandbox_sandbox bare { endpoint 127.0.0.1; }
opensandbox_policy empty { }
opensandbox_sandbox shut { endpoint 127.0.0.1; policy empty; }
EOT
my $g = gateway(http => "include $file;");
my $dev = { defaultAction => 'deny', egress => [
	rule('allow', '10.1.0.0/16'), rule('allow', 'A.test'),
	rule('deny', '10.0.0.0/8'), rule('allow', '*.b.test'),
	rule('allow', 'pypi.org'), rule('allow', '*.pythonhosted.org'),
	rule('allow', '::1')] };
my $open = { defaultAction => 'allow', egress => [rule('deny', 'c.test')] };
my $none = { defaultAction => 'deny', egress => [] };

same(json(api($g, 'GET', '/early'))->{policy}, $dev, 'a policy with includes');
same(json(api($g, 'GET', '/late'))->{policy}, $open, 'one that allows');
ok(!exists json(api($g, 'GET', '/bare'))->{policy}, 'none without one');
same(json(api($g, 'GET', '/shut'))->{policy}, $none, 'an empty block denies');

# Records of the API.
my $record = { endpoint => '127.0.0.1', policy => $open };
is(api($g, 'PUT', '/sb', $record)->{status}, 201, 'a record with a policy');
same(json(api($g, 'GET', '/sb'))->{policy}, $open, '  shows it');
for my $case (
	['a string', 'deny', 'object'],
	['a list', [], 'object'],
	['an unknown key', { ingress => [] }, 'ingress'],
	['a bad target', { egress => [rule('allow', 'a..b')] }, 'egress\[0\]'],
	['a bad action', { egress => [rule('maybe', 'a.b')] }, 'egress\[0\]'],
	['too large', { egress => [map { rule('deny', "n$_.test") } 1 .. 1900] },
		'larger than'],
) {
	my ($what, $policy, $error) = @$case;
	for my $method ('PUT', 'PATCH') {
		my $a = api($g, $method, '/sb',
		    { endpoint => '127.0.0.1', policy => $policy });
		is($a->{status}, 400, "$method of $what is refused");
		is(json($a)->{field}, 'policy', '  with the field');
		like(json($a)->{message}, qr/$error/, '  and why');
	}
}
same(json(api($g, 'GET', '/sb'))->{policy}, $open, 'the policy has stayed');
is(api($g, 'PATCH', '/sb', { ready => JSON::PP::false })->{status}, 200,
    'a change of something else');
same(json(api($g, 'GET', '/sb'))->{policy}, $open, '  keeps the policy');
is(api($g, 'PATCH', '/sb', { policy => { egress => [] } })->{status}, 200,
    'a change of the rules');
same(json(api($g, 'GET', '/sb'))->{policy},
    { defaultAction => 'allow', egress => [] }, '  merges');
is(api($g, 'PATCH', '/sb', { policy => undef })->{status}, 200, 'null');
ok(!exists json(api($g, 'GET', '/sb'))->{policy}, '  removes the policy');
my $big = { defaultAction => 'deny', egress =>
	[map { rule('deny', "n$_.test") } 1 .. 1000] };
is(api($g, 'PATCH', '/sb', { policy => $big })->{status}, 200, 'a big one');
same(json(api($g, 'GET', '/sb'))->{policy}, $big, '  is kept whole');
same((grep { $_->{id} eq 'sb' } @{ json(api($g, 'GET', ''))->{sandboxes} })
    [0]->{policy}, $big, '  and listed');

done_testing();
