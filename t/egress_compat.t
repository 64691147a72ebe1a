# SPDX-License-Identifier: Apache-2.0
#
# In the place of OpenSandbox's sidecar: started with the variables that its
# server gives to one, and asked by it. The rows of docs/opensandbox.md that
# OPENSANDBOX_EGRESS_COMPAT takes back, with it and without; a mode that is not
# known ends the start and says what to do.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my @token = ('-H', 'OPENSANDBOX-EGRESS-AUTH: s3cret');
my $policy = { defaultAction => 'deny', egress => [
	map { { action => 'allow', target => $_ } } 'inside.test', 'good.test'] };
my %server = (OPENSANDBOX_EGRESS_RULES => encode_json($policy),
	OPENSANDBOX_EGRESS_MODE => 'dns+nft', OPENSANDBOX_EGRESS_TOKEN => 's3cret');

my $w = world();
world_dns($w, '--address=/good.test/' . GOOD, '--address=/inside.test/10.88.0.1');
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'host', '10.88.0.1', 80, 'inside');
world_web($w, 'sandbox', '10.88.0.5', 8000, 'app');

sub code { return (sees($w, @web, "http://$_[0]/"))[1] }

# From a place that is neither private nor on the sandbox's link.
sub comes_in
{
	return (capture('ip', 'netns', 'exec', $w->{internet}, @web,
	    'http://10.88.0.5:8000/'))[1];
}

# Runs one as a container of the sandbox's pod, with more variables.
sub with
{
	my ($name, %more) = @_;
	my $pid = sidecar($w, how => 'sidecar', name => $name, env => {%server, %more});
	return sub { stop($pid); run_in($w->{sandbox}, 'nft', 'flush', 'ruleset') };
}

is(comes_in(), '200', 'unguarded, anyone connects');

my $end = with('strict');
is(code('good.test'), '200', 'an allowed name');
is(code('inside.test'), '000', 'without: one of a private address is cut');
is(comes_in(), '000', 'without: who is far does not connect');
my ($status, $text) = api($w, 'GET', '/healthz', undef, @token);
is("$status $text", '200 ok', 'the probe of the server\'s pod');
is((api($w, 'GET', '/policy'))[0], 401, 'no policy without the token');
my ($ok, undef, $said) = api($w, 'GET', '/policy', undef, @token);
is($ok, 200, 'with it');
is("$said->{status} $said->{mode} $said->{enforcementMode}",
	'ok enforcing dns+nft', '  what the server reads');
is_deeply([map { "$_->{action} $_->{target}" } @{ $said->{policy}{egress} }],
	['allow inside.test', 'allow good.test'], '  and shows');
$end->();

$end = with('loose', OPENSANDBOX_EGRESS_COMPAT => 'opensandbox');
is(code('good.test'), '200', 'compat: an allowed name');
is(code('inside.test'), '200', 'compat: one of a private address');
is(comes_in(), '200', 'compat: anyone connects');
is(code(EVIL), '000', 'compat: but no other address');
$end->();

$end = with('some', OPENSANDBOX_EGRESS_COMPAT => 'opensandbox',
	OPENSANDBOX_EGRESS_PRIVATE_ANSWERS => 'deny',
	OPENSANDBOX_EGRESS_INBOUND => '192.0.2.0/24');
is(code('inside.test'), '000', 'an option beside it counts: cut');
is(comes_in(), '000', 'so does another');
$end->();

for my $mode ('forward', 'nft', 'dns,nft', 'off') {
	local $ENV{OPENSANDBOX_EGRESS_MODE} = $mode;
	($status, $text) = capture('timeout', 20, 'ip', 'netns', 'exec', $w->{sandbox},
	    build_dir() . '/egress-sidecar');
	is($status, 2, "mode $mode ends the start");
	like($text, qr/\A[^\n]*OPENSANDBOX_EGRESS_MODE: "$mode": expected dns\+nft [^\n]* or dns [^\n]*\n\z/,
	    '  with one line that says what to do');
}

done_testing;
