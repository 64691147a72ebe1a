#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A sandbox with a token admits who has the token or a signed route, in every
# mode, and nobody else; credentials go no further than the gateway.

use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use Test::More tests => 34;
use Harness;
use Ingress;
use Links;

my $echo = echo('box');
my $secret = "a secret\0with a NUL";
my $key = encode_base64($secret, '');
my $keyless = free_port();
my %config = (http => <<"EOT");
opensandbox_access_keys k=$key b=b3RoZXI=;
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token t0p-secret; }
opensandbox_sandbox open { endpoint 127.0.0.1; }
EOT
my $g = gateway(%config);
my $port = $g->{port};

my $later = base36(time + 1000);
my $past = base36(time - 10);
my $signer = "k=$secret";
my $sign = short_signature($signer, 'safe', $echo, $later);
my $long = long_signature($signer, 'long', 'safe', $echo, $later);
my $base = "/sandboxes/safe/port/$echo";

# The token
is(get($port, "$base/")->{status}, 401, 'no credential is refused');
my $a = get($port, "$base/", 'OpenSandbox-Secure-Access: t0p-secret');
is($a->{status}, 200, 'the token is admitted');
unlike($a->{body}, qr/secret/, 'and does not reach the sandbox');
is(get($port, "$base/", 'OpenSandbox-Secure-Access: t0p-secreT')->{status}, 401,
    'a wrong token is refused');
is(get($port, "$base/", 'OpenSandbox-Secure-Access:')->{status}, 401,
    'an empty token is refused');
is(get($port, "$base/$later/$sign/", 'OpenSandbox-Secure-Access: x')->{status},
    401, 'a wrong token beside a right signature is refused');
is(get($port, "$base/", ('OpenSandbox-Secure-Access: t0p-secret') x 2)
    ->{status}, 401, 'two tokens are refused');

# Signed routes
$a = get($port, "$base/$later/$sign/x%2Fy?z");
is($a->{status}, 200, 'a signed URI is admitted');
like($a->{body}, qr{^GET /x%2Fy\?z HTTP}m, 'the signature is cut off');
is(get($port, "$base/$later/$long/x")->{status}, 200,
    'so is one with a long signature');
$a = get($port, "$base/0/00000000k/x%2Fy?z",
    'OpenSandbox-Secure-Access: t0p-secret');
like($a->{body}, qr{^GET /x%2Fy\?z HTTP}m,
    'a signed URI with the token is cut too, whatever the signature');
my $last = '3w5e11264sgsf';
for (['signed', $last, 200], ['one second more', '3w5e11264sgsg', 400]) {
	my ($what, $expires, $status) = @$_;
	my $s = short_signature($signer, 'safe', $echo, $expires);
	is(get($port, '/', "OpenSandbox-Ingress-To: safe-$echo-$expires-$s")
	    ->{status}, $status, "an expiry of 64 bits, $what");
	is(get($port, "$base/$expires/$s/")->{status}, $status == 200 ? 200 : 401,
	    "in a URI, $what");
}
is(get($port, "$base/$last/" . short_signature($signer, 'safe', $echo, $later)
    . '/')->{status}, 401, 'it is signed as any other');
is(get($port, '/', "OpenSandbox-Ingress-To: safe-$echo-$later-$sign")
    ->{status}, 200, 'a signed header is admitted');
is(get($port, '/', "Host: safe-$echo-$later-$sign.box.test")->{status}, 200,
    'a signed host is admitted');
is(get($port, '/', "Host: SAFE-$echo-$later-$long.box.test")->{status}, 200,
    'with a long signature too');
for (
	["$later/" . short_signature($signer, 'open', $echo, $later), 'for another sandbox'],
	["$later/" . short_signature($signer, 'safe', $echo + 1, $later), 'for another port'],
	["$past/" . short_signature($signer, 'safe', $echo, $past), 'that has expired'],
	[base36(time + 2000) . "/$sign", 'with another expiry'],
	["$later/" . substr($sign, 0, 8) . 'b', 'by another key'],
	["$later/" . substr($sign, 0, 8) . 'z', 'by an unknown key'],
	["$later/00000000k", 'made up'],
	["$later/" . 'a' x 26 . 'k', 'made up at length'],
	["$later/" . uc $sign, 'in capitals'],
) {
	is(get($port, "$base/$_->[0]/")->{status}, 401,
	    "a signature $_->[1] is refused");
}
is(get($port, '/', "OpenSandbox-Ingress-To: safe-$echo-01-$sign")->{status},
    400, 'an expiry with a leading zero is malformed');

# Sandboxes without a token
like(get($port, "/sandboxes/open/port/$echo/$later/$sign/x")->{body},
    qr{^GET /$later/$sign/x HTTP}m,
    'without a token, what looks like a signature is a path');
is(get($port, '/', "OpenSandbox-Ingress-To: open-$echo-$later-$sign")
    ->{status}, 200, 'and a signed header needs no check');
unlike(read_file("$g->{prefix}/error.log"), qr/t0p-secret/,
    'no token is in the log');

reload($g, http => 'opensandbox_sandbox safe { endpoint 127.0.0.1; '
    . 'access_token x; }');
is(get($port, "$base/$later/$sign/")->{status}, 503,
    'without keys, a signature cannot be checked');

# The API's own token
my $guarded = gateway(server => 'location /v1/ { opensandbox_api; '
    . 'opensandbox_api_token open-sesame; }');
is_deeply([map { api($guarded, 'GET', '', undef, @$_)->{status} } [],
    ['Authorization: Bearer open'], ['Authorization: Bearer open-sesame'],
    ['Authorization: bearer   open-sesame'], ['Authorization: Bearer ']],
    [401, 401, 200, 200, 401], 'the API takes its token only');
