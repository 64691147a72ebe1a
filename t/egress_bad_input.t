# SPDX-License-Identifier: Apache-2.0
#
# What is wrong on the command line or in the environment ends the start with
# one line that names it, and changes nothing.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use Harness;

my $ns = netns('sb');
my $program = build_dir() . '/egress-sidecar';
my $dir = scratch();

# (status, output) of a start that must fail.
sub attempt
{
	my ($env, @args) = @_;
	my @env = map { "$_=$env->{$_}" } sort keys %$env;
	my @with = grep { $_ eq '--netns' || $_ eq '--pid' } @args;

	push @args, '--netns', $ns if !@with;
	return capture('timeout', '10', 'env',
	    'OPENSANDBOX_EGRESS_DNS_UPSTREAM=127.0.0.1',
	    'OPENSANDBOX_EGRESS_HTTP_ADDR=127.0.0.1:0', @env, $program, @args);
}

sub refused
{
	my ($env, $args, $pattern, $name) = @_;
	my ($status, $out) = attempt($env, @$args);
	my $lines = () = $out =~ /\n/g;

	like($out, $pattern, "$name: says what was wrong");
	is($lines, 1, "$name: in one line") or diag $out;
	ok($status != 0 && $status != 124, "$name: does not start");
}

my $E = 'OPENSANDBOX_EGRESS';

refused({ "${E}_MODE" => 'foo' }, [], qr/${E}_MODE.*foo/, 'an unknown mode');
refused({ "${E}_DNS_UPSTREAM" => 'dns.example.com' }, [],
    qr/${E}_DNS_UPSTREAM.*dns\.example\.com/, 'a host name as resolver');
refused({ "${E}_DNS_UPSTREAM" => '192.0.2.1:99999' }, [],
    qr/${E}_DNS_UPSTREAM.*99999/, 'a bad port of a resolver');
refused({ "${E}_RULES" => '{"egress":[{"action":"allow"' }, [],
    qr/${E}_RULES/, 'a policy that is not JSON');
refused({ "${E}_RULES" => '{"egress":[{"action":"allow","target":"a.test"},'
	. '{"action":"maybe","target":"b.test"}]}' }, [],
    qr/${E}_RULES.*egress\[1\].*action/, 'a rule with an unknown action');
refused({ "${E}_RULES" => '{"egress":[{"action":"allow","target":"a b"}]}' },
    [], qr/${E}_RULES.*egress\[0\]\.target/, 'a target that is no target');
refused({}, ['--rules', '{"egres":[]}'], qr/--rules.*egres/,
    'an unknown key, named by the option');
refused({ "${E}_DNS_UPSTREAM_TIMEOUT" => '121' }, [],
    qr/${E}_DNS_UPSTREAM_TIMEOUT.*121/, 'a timeout that is too long');
refused({ "${E}_MAX_RULES" => '-1' }, [], qr/${E}_MAX_RULES.*-1/,
    'a negative cap');
refused({ "${E}_HTTP_ADDR" => 'nonsense' }, [], qr/${E}_HTTP_ADDR.*nonsense/,
    'an address that is none');
refused({}, ['--nets', 'x', '--frobnicate'], qr/--frobnicate|--nets/,
    'an unknown option');
refused({}, ['--netns', 'no-such-namespace'], qr/no-such-namespace/,
    'a namespace that is not there');
refused({}, ['--pid', '999999999'], qr/--pid.*999999999/,
    'a process that is not there');
write_file("$dir/plain", 'no namespace');
refused({}, ['--netns', "$dir/plain"], qr/\Q$dir\E\/plain/,
    'a file that is no namespace');
write_file("$dir/policy.json", '{"egress":[{"action":"allow","target":"');
refused({ "${E}_POLICY_FILE" => "$dir/policy.json" }, [],
    qr/\Q$dir\E\/policy\.json/, 'a broken policy file');
is(read_file("$dir/policy.json"), '{"egress":[{"action":"allow","target":"',
    'which is left as it was');

my $busy = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
    LocalPort => 0);
my $port = $busy->sockport;
refused({ "${E}_HTTP_ADDR" => "127.0.0.1:$port" }, [],
    qr/127\.0\.0\.1:$port.*in use/i, 'a busy port');

{
	my ($status, $out) = capture('timeout', '10', 'setpriv',
	    '--bounding-set', '-net_admin', '--inh-caps', '-net_admin', 'env',
	    "${E}_DNS_UPSTREAM=127.0.0.1", "${E}_HTTP_ADDR=127.0.0.1:0",
	    $program, '--netns', $ns);
	like($out, qr/CAP_NET_ADMIN/, 'without CAP_NET_ADMIN: names it');
	ok($status != 0 && $status != 124, 'and does not start');
}

is(run_in($ns, 'nft', 'list', 'ruleset'), '',
    'none of them left a rule behind');

# Help is no mistake, however it is asked for.
for my $of ([], ['check'], ['status'], ['top'], ['policy'], ['learn'],
	['hook']) {
	my ($status, $out) = capture($program, @$of, '-h');

	is($status, 0, "@$of -h");
	is($out, (capture($program, @$of, '--help'))[1], '  is --help');
}

done_testing(16 * 3 + 4 + 7 * 2);
