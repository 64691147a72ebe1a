#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A target means the same to all that read policies: the sidecar's checker, its
# always-files, the gateway's blocks and the gateway's records.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress;

my $json = JSON::PP->new->canonical;
my $dir = scratch();
my $g = gateway();
my $program = build_dir() . '/egress-sidecar';

# Each reader's error for a target in a deny rule; empty where it is taken.
my %reader = (
	'check' => sub {
		write_file("$dir/policy.json", $json->encode({ egress =>
			[{ action => 'deny', target => $_[0] }] }));
		my ($status, $out) = capture($program, 'check',
		    "$dir/policy.json");
		return $status ? $out : '';
	},
	'deny.always' => sub {
		write_file("$dir/deny.always", "# first\n$_[0]\n");
		write_file("$dir/policy.json", '{}');
		my ($status, $out) = capture($program, 'check', '--always',
		    $dir, "$dir/policy.json");
		return $status ? $out : '';
	},
	'opensandbox_policy' => sub {
		return config_error(http =>
			qq{opensandbox_policy p { deny "$_[0]"; }\n});
	},
	'the records\' API' => sub {
		my $a = api($g, 'PUT', '/sb', { endpoint => '127.0.0.1',
			policy => { egress =>
				[{ action => 'deny', target => $_[0] }] } });
		return $a->{status} < 300 ? '' : $a->{body};
	},
);

sub each_reader
{
	my ($target, $error) = @_;

	for my $name (sort keys %reader) {
		my $got = $reader{$name}->($target);
		if (defined $error) {
			like($got, $error, "$name refuses '$target'");
		} else {
			is($got, '', "$name takes '$target'");
		}
	}
}

my $number = qr/its last label is a number/;
my $range = qr/a range of addresses/;

each_reader('203.0.113.60-203.0.113.70', $range);
each_reader('10.0.0.1-9', $range);
each_reader('0x7f000001-0x7f000009', $range);
each_reader('2001:db8::1-2001:db8::9', qr/not an IP address/);
each_reader('10.1', qr/not an IP address/);
each_reader('017700000001', qr/not an IP address/);
each_reader('0x7f.1', $number);
each_reader('0x7f000001', $number);
each_reader('*.10', $number);
each_reader('[10.0.0.1]', qr/a character that is not/);
each_reader('[2001:db8::1]', qr/without brackets/);
each_reader('fe80::1%eth0', qr/without a zone/);
each_reader('10.0.0.1:25', qr/holds no port/);
each_reader($_) for '10.0.0.1', '2001:db8::/32', '1e100.net',
    '*.10.0.0.1.nip.io';

# What is not taken as it is written: all take the same of it.
my $block = sub {
	write_file("$dir/policies.conf",
	    "opensandbox_policy p { deny $_[0]; }\n"
	    . 'opensandbox_sandbox slack { endpoint 127.0.0.1; policy p; }');
	my $slack = gateway(http => "include $dir/policies.conf;");
	return ($slack, json(api($slack, 'GET', '/slack'))->{policy});
};
my $taken = 'host bits cleared, taken as';

my ($slack, $policy) = $block->('" 10.0.0.1/8 "');
is_deeply($policy, { defaultAction => 'deny',
	egress => [{ action => 'deny', target => '10.0.0.0/8' }] },
    'a block takes the network that is meant');
reload($slack); # what the start says goes to standard error
like(read_file("$slack->{prefix}/error.log"),
    qr/\[warn\].*"deny": "10\.0\.0\.1\/8": $taken 10\.0\.0\.0\/8 in .*:1$/m,
    '  and warns of it');

my @slack = (
	[{ egress => [{ target => 'a.test' }] },
		[{ action => 'deny', target => 'a.test' }],
		'egress[0]: no action, taken as deny'],
	[{ egress => [{ action => ' Deny ', target => "\t10.0.0.1/8 " }] },
		[{ action => 'deny', target => '10.0.0.0/8' }],
		qq(egress[0].target: "10.0.0.1/8": $taken 10.0.0.0/8)],
	[{ egress => [{ action => 'deny', ports => [25] }] },
		[{ action => 'deny', target => '*', ports => [25] }],
		'egress[0]: ports without a target, taken as "*"'],
	[{ egress => [{ action => 'allow', target => 'a.test', why => 1 }] },
		[{ action => 'allow', target => 'a.test' }],
		'egress[0]: unknown key "why" ignored'],
	[{ egress => [], budget => {} }, [],
		'unknown key "budget" ignored'],
);
for my $case (@slack) {
	my ($given, $shown, $warning) = @$case;
	my $a = api($g, 'PUT', '/slack', { endpoint => '127.0.0.1',
		policy => $given });
	is_deeply(json($a)->{warnings}, [$warning], "a record: $warning");
	is_deeply(json(api($g, 'GET', '/slack'))->{policy}{egress}, $shown,
	    '  shows what is in force');
	$a = api($g, 'PATCH', '/slack', { policy => $given });
	is_deeply(json($a)->{warnings}, [$warning], '  so does a change');
	$a = api($g, 'PATCH', '/slack', { ready => JSON::PP::true });
	ok(!exists json($a)->{warnings}, '  which another need not repeat');
	write_file("$dir/policy.json", $json->encode($given));
	my ($status, $out) = capture($program, 'check', "$dir/policy.json");
	is($status, 0, '  check takes it');
	like($out, qr/policy\.json: warning: \Q$warning\E$/m, '  and tells it');
}
# Limits are kept as they are by all, and mistakes in them told alike.
my %limits = (bytesTotal => 1 << 40, connections => 7);
api($g, 'PUT', '/limited', { endpoint => '127.0.0.1',
	policy => { egress => [], limits => \%limits } });
is_deeply(json(api($g, 'GET', '/limited/policy'))->{limits}, \%limits,
    'a record gives its limits to who asks for the policy');
my $bad = { egress => [], limits => { connections => 0 } };
my $why = qr/limits\.connections: not an integer from 1 to 10000: 0/;
like(api($g, 'PUT', '/limited', { endpoint => '127.0.0.1', policy => $bad })->{body},
    $why, '  a bad one is refused');
write_file("$dir/policy.json", $json->encode($bad));
like((capture($program, 'check', "$dir/policy.json"))[1], $why,
    '  by check as well');

like(read_file("$g->{prefix}/error.log"),
    qr/\[warn\].*not taken as it is written: \["egress\[0\]: no action/,
    'the gateway logs it');

done_testing();
