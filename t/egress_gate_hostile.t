# SPDX-License-Identifier: Apache-2.0
#
# What a hostile sandbox says to the gate, octet by octet (the table is
# t/tools/gate_attack.py): of what is not allowed nothing goes on. The gate does
# not so much as connect, or where the beginning was allowed, the server is
# given that and nothing more; the log says why.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use GateHostile;
use GateWorld;
use Harness;
use Hostile;
use Test::More;
use World;

my ($good, $other, $malformed, $none) = ('answered', 'reset sni_mismatch other.test',
	'reset malformed -', 'reset no_name -');
my %said = (
	(map { $_ => "$good tls" } 'a name', 'upper case',
		'ECH, the outer name allowed', 'one-byte segments',
		'one-byte records', 'TLS on port 80'),
	'a host' => "$good good.test",
	'a host, upper case' => "$good GOOD.TEST",
	'a host with its port' => "$good good.test:80",
	'absolute form' => "$good good.test",
	'a request and another' => "$good good.test,good.test",
	(map { $_ => $other } 'another name', 'another name, one-byte segments',
		'another name, three octets a record', 'ECH, the outer name another',
		'a second hello', 'a second hello, retried for',
		'a second hello behind a change of cipher',
		'a second hello behind early data',
		'another host', 'another host, one-byte segments',
		'HTTP/2 for another', 'HTTP/2, a host of another',
		'absolute form and host of another', 'a second request for another',
		'a second request at once', 'a third of four in a segment',
		'one behind the last', 'one behind a body',
		'one behind a body of HTTP/1.0', 'one behind chunks',
		'an upgrade that is ignored', 'an upgrade, not waited for',
		'an upgrade to h2c that is ignored'),
	(map { $_ => $none } 'no name', 'no extensions',
		'ECH without an outer name', 'a second hello, without a name',
		'no host', 'no host, HTTP/1.0', 'an empty host',
		'an address for a host', 'an IPv6 address for a host',
		'absolute form without a host', 'HTTP/2 without a name',
		'64 KiB without a host', 'a second request without a host',
		'a second of HTTP/2', 'HTTP/2 behind an upgrade that is ignored'),
	(map { $_ => $malformed } 'a trailing dot', 'a NUL behind it',
		'a NUL in front', 'a space', 'a port', 'a star',
		'octets above 127', 'an empty name', '255 octets', '256 octets',
		'an IPv4 address', 'an IPv6 address', 'two entries',
		'two entries of one name', 'an entry that is no host',
		'two extensions', 'an alert in front',
		'an alert between its records',
		'an alert between its records, as they come',
		'an empty record between', 'a change of cipher in front',
		'more in its last record', 'lengths that lie',
		'another message', 'a hello of SSL 2', 'TLS in a CONNECT',
		'no TLS', 'behind a head of HTTP', 'HTTP behind a hello',
		'an address as one number', 'a host with another port',
		'a host with a dot', 'two hosts',
		'two hosts, the good one last', 'the same host twice',
		'two hosts in a line', 'a blank and a host', 'a user in front',
		'a password in front', 'a NUL in a host',
		'absolute form of another', 'absolute form, another host',
		'absolute form with a user', 'absolute form of https',
		'a host folded', 'a host on the next line',
		'a folded line that is a host', 'a folded first line',
		'a blank before the colon', 'a bare LF',
		'a host behind a bare LF', 'a host behind a bare CR',
		'an empty line in front', 'two blanks',
		'a method in lower case', 'HTTP/0.9', 'HTTP/2.0 in the line',
		'HTTP/2 for two', 'HTTP/2, data at once',
		'an upgrade to h2c with a body',
		'an upgrade to h2c without settings',
		'an upgrade to h2c that is taken', 'settings of h2c alone',
		'an upgrade to TLS', 'an upgrade to two',
		'an upgrade with a body', 'CONNECT', 'a length and chunks',
		'chunks and a length', 'two lengths', 'two lengths in a line',
		'a length with a sign', 'a length in hexadecimal',
		'a length without end', 'an unknown coding', 'two codings',
		'two fields of codings', 'a coding with a control',
		'chunks of HTTP/1.0', 'a second request with two',
		'a second in absolute form', 'chunks that end with LF',
		'chunks with a sign', 'chunks of 2^64', 'a chunk that goes on',
		'a later upgrade', 'TLS behind a request'),
);

my $w = hostile_world();

sub look_up
{
	sees($w, 'getent', $_, 'good.test') for 'ahostsv4', 'ahostsv6';
}

sub whose
{
	my ($name, @more) = @_;
	my ($status, $out) = sees($w, 'curl', '-sS', '-m', '10', '--cacert',
	    scratch() . "/$name.crt", @more, "https://$name/");
	return $status ? "curl $status" : $out =~ s/\n//r;
}

my $a = attacker($w, NOBODY);
my @names = split /;/, attack($a, 'names');
# Of these something may leave: they come last, for frames are counted.
my @begun = grep { $said{$_} =~ /answered/
	|| /^one behind|second|third|upgrade that|h2c that|not waited|later|behind a|chunk(?:s that|s with|s of 2|.*goes)|(?:HTTP|TLS) behind/
	} @names;
my %begun = map { $_ => 1 } @begun;
is_deeply([sort @names], [sort keys %said], 'the table has them all');

# Without a gate all of it goes on.
like(outcome($w, $a, GOOD, 'another host'),
    qr/ server: 1 connections, \w+ frames connects/,
    'without a sidecar another host is reached');
is(whose('other.test', '--resolve', 'other.test:443:' . GOOD), 'TLS',
    'whose server has a certificate of its own');

for my $mode (qw(join sidecar)) {
	my $pid = gate_start($w, $mode, allow('good.test'));
	my $address = $mode eq 'join' ? GOOD : GOOD6;

	look_up();
	is(whose('good.test'), 'TLS', "$mode: the allowed name opens");
	quiet($w);
	is(outcome($w, $a, $address, $_), $said{$_}, "$mode: $_")
	    for (grep { !$begun{$_} } @names), @begun;
	is(whose('good.test'), 'TLS', "$mode: the allowed name still opens");
	is(stop($pid), 0, "$mode: the sidecar ends well");
	run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
	capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
	    'netdev', 'opensandbox');
}

done_testing();
