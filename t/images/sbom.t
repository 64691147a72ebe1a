#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What the images are made of is told in CycloneDX as its schema has it, with what
# a list of parts has to say at the least (NTIA, "The Minimum Elements For a
# Software Bill of Materials"): supplier, name, version, identifier, relationship,
# author, time.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use Test::More;
use Harness;

my $dir = root() . '/build/sbom';
my @valid = ('node', root() . '/t/tools/cyclonedx.js', $dir);
run('npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', $dir,
    '@cyclonedx/cyclonedx-library@10.3.0', 'ajv@8', 'ajv-formats@3', 'ajv-formats-draft2019@1')
    if !-e "$dir/node_modules/ajv-formats-draft2019";

for my $name (qw(gateway egress discovery)) {
	my $file = root() . "/build/images/opensandbox-$name.cdx.json";
	my ($status, $out) = capture(@valid, $file);
	is($out, '', "$name: as the schema has it");
	is($status, 0, '  all of it');
	my $sbom = decode_json(read_file($file));
	ok($sbom->{metadata}{timestamp}, '  its time');
	ok($sbom->{metadata}{tools}{components}[0]{name}, '  and what wrote it');
	is_deeply([grep { !$_->{supplier}{name} || !$_->{name} || !$_->{version} || !$_->{purl} }
		@{ $sbom->{components} }], [], '  of each part supplier, name, version, URL');
	cmp_ok(@{ $sbom->{dependencies}[0]{dependsOn} }, '>', 20, '  and what it is part of');

	# The check can fail.
	$sbom->{components}[0]{type} = 'nothing of the kind';
	write_file(scratch() . '/wrong.json', encode_json($sbom));
	like((capture(@valid, scratch() . '/wrong.json'))[1], qr{/components/0/type},
	    '  something else is found');
}
done_testing();
