# SPDX-License-Identifier: Apache-2.0
package Sidecar;

# A sidecar that follows the policy of a gateway, and what it has in force.

use strict;
use warnings;
use Exporter 'import';
use Carp qw(croak);
use JSON::PP;
use Test::More;
use Harness;

our @EXPORT = qw(follow rules in_force becomes sidecar_log);

my $json = JSON::PP->new->canonical;
my $port = free_port();

# follow(NS, URL, TOKEN, option...) starts a sidecar for a namespace; its pid.
# A policy file in the scratch folder keeps the policy over a restart.
sub follow
{
	my ($ns, $url, $token, @options) = @_;
	my $pid = start(name => 'sidecar', cmd => [
		build_dir() . '/egress-sidecar', '--netns', $ns,
		'--policy-url', $url, '--policy-token', $token, @options],
		env => { OPENSANDBOX_EGRESS_DNS_UPSTREAM => '127.0.0.1',
			OPENSANDBOX_EGRESS_HTTP_ADDR => "127.0.0.1:$port",
			OPENSANDBOX_EGRESS_POLICY_FILE =>
				scratch() . '/policy.json' });
	wait_port($port) or croak sidecar_log();
	return $pid;
}

sub sidecar_log
{
	return read_file(scratch() . '/sidecar.log');
}

# A policy that allows the targets alone, as canonical JSON.
sub rules
{
	return $json->encode({ defaultAction => 'deny', egress => [
		map { { action => 'allow', target => $_ } } @_] });
}

# The sidecar's policy in the same form, '' if it does not say.
sub in_force
{
	my (undef, $out) = capture('curl', '-s', '-m', '10',
	    "http://127.0.0.1:$port/policy");
	my $policy = eval { decode_json($out)->{policy} };
	return $policy ? $json->encode($policy) : '';
}

# A test: the policy becomes the one that allows the targets.
sub becomes
{
	my ($name, @targets) = @_;
	ok(wait_for(sub { in_force() eq rules(@targets) }, 30), $name)
	    or diag in_force(), sidecar_log();
}

1;
