#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Each piece of nginx configuration in docs/ is one that nginx takes, in the
# place where it belongs; links between the pages lead somewhere.

use strict;
use warnings;
use Test::More;
use Harness;
use Ingress;

my $dir = scratch();
my $conf = root() . '/conf';

# The certificate, made as the documentation says.
my ($make) = read_file(root() . '/docs/ingress.md') =~ /^```sh\n(install -d [^`]*openssl req.*?)```/ms;
ok($make, 'the documentation makes a certificate');
$make =~ s{/etc/nginx/tls}{$dir/tls}g;
my ($status, $out) = capture('sh', '-c', $make);
is($status, 0, 'its commands work') or diag $out;
like((capture('openssl', 'x509', '-noout', '-ext', 'subjectAltName', '-in', "$dir/tls/sandbox.pem"))[1],
    qr/DNS:\*\.sandbox\.example\.com/, 'and the name is a wildcard');
write_file("$dir/sandboxes-ca.pem", read_file("$dir/tls/sandbox.pem"));
write_file("$dir/opensandbox-proxy-tls.conf",
    read_file("$conf/nginx/opensandbox-proxy.conf") =~ s{http://sandboxes}{https://sandboxes}r);

# As a user has them installed, on ports that any user may have.
sub here
{
	my ($text) = @_;
	$text =~ s{/etc/nginx/tls}{$dir/tls}g;
	$text =~ s{/usr/share/opensandbox/conf}{$conf}g;
	$text =~ s{/etc/nginx/(opensandbox-proxy-tls\.conf|sandboxes-ca\.pem)}{$dir/$1}g;
	$text =~ s{/etc/nginx/(opensandbox-\w+\.conf)}{$conf/nginx/$1}g;
	$text =~ s{/etc/nginx/opensandbox\.d}{$dir/d}g;
	$text =~ s{/var/(?:lib|log)/nginx}{$dir}g;
	$text =~ s{lifecycle\.internal}{127.0.0.1}g;
	$text =~ s{listen (?:\S+:)?\d+}{'listen 127.0.0.1:' . free_port()}ge;
	return $text;
}

my $n = 0;
for my $page (qw(ingress access api applications)) {
	my $text = read_file(root() . "/docs/$page.md");
	while ($text =~ /^```nginx\n(.*?)^```$/msg) {
		my $block = here($1);
		my ($first) = $block =~ /^(\w+)/;
		next if $block =~ /^load_module/;
		my %place = $first =~ /^(?:location|proxy_cache_key)$/ ? (server => $block)
		    : (http => $block);
		is(config_error(%place), '', "docs/$page.md: " . ($block =~ /^(.*)$/m)[0]);
		$n++;
	}
}
cmp_ok($n, '>', 8, 'there are pieces');

# Headings as GitHub makes them anchors
my %anchor;
for my $page (glob root() . '/docs/*.md ' . root() . '/*.md') {
	my ($name) = $page =~ m{([^/]+)$};
	$anchor{$name}{ lc($_) =~ s/[^\w\- ]//gr =~ s/ /-/gr } = 1
	    for read_file($page) =~ /^#+ (.*)$/mg;
}
my @lost;
for my $page (sort keys %anchor) {
	my $path = -e root() . "/$page" ? root() . "/$page" : root() . "/docs/$page";
	for my $link (read_file($path) =~ /\]\(([^)\s]+)\)/g) {
		next if $link =~ /^https?:/;
		my ($file, $at) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my ($name) = ($file || $page) =~ m{([^/]+)$};
		push @lost, "$page: $link"
		    if ($file && !-e ($path =~ s{[^/]+$}{}r . $file))
		    || ($at && $name =~ /\.md$/ && !$anchor{$name}{$at});
	}
}
is(join(', ', @lost), '', 'every link leads to a page and its heading');
done_testing();
