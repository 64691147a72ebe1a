# SPDX-License-Identifier: Apache-2.0
package Links;

# Signatures of routes, made without the module: what its own must be equal to.

use strict;
use warnings;
use Exporter 'import';
use Digest::SHA qw(hmac_sha256 sha256_hex);

our @EXPORT = qw(base36 short_signature long_signature);

sub base36
{
	my ($n) = @_;
	my $text = '';
	do {
		$text = (0 .. 9, 'a' .. 'z')[$n % 36] . $text;
		$n = int($n / 36);
	} while ($n);
	return $text;
}

# short_signature(KEY, ID, PORT, EXPIRES), the key as "id=secret".
sub short_signature
{
	my ($key, @of) = @_;
	my ($id, $secret) = split /=/, $key, 2;
	my $text = join("\n", "v1\nshort", @of, '');
	return substr(sha256_hex(pack('N/a* N/a*', $secret, $text)), 0, 8) . $id;
}

# long_signature(KEY, FORM, ID, PORT, EXPIRES): the form is long or cookie.
sub long_signature
{
	my ($key, @of) = @_;
	my ($id, $secret) = split /=/, $key, 2;
	my $bits = unpack 'B*', hmac_sha256(join("\n", 'v2', @of, ''), $secret);
	return join('', map { ('a' .. 'z', 2 .. 7)[oct "0b$_"] }
	    (substr $bits, 0, 130) =~ /(.{5})/g) . $id;
}

1;
