#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The page of an error tells a person what has happened and what to do: who came
# by a link, and who runs the sandbox; nothing to who may not enter. In a browser
# it can be read, light and dark, on a narrow screen too.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_base64);
use Test::More;
use Browser;
use Harness;
use Ingress;

my $dir = scratch();
chmod 0777, $dir;
my $dead = free_port();
my $garbage = backend(sub {
	my ($s) = @_;
	Ingress::read_head($s);
	print $s "no HTTP\r\n\r\n";
});
my $drops = backend(sub { Ingress::read_head($_[0]) });
my $silent = backend(sub { sleep 60 });
my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
write_file("$dir/proxy.conf", $conf =~ s/(proxy_read_timeout) 10m/$1 1s/r);
my $g = gateway(http => <<"EOT", server => <<"EOT");
log_format id '\$request_id \$status';
opensandbox_sandbox sb { endpoint 127.0.0.1; }
opensandbox_sandbox few { endpoint 127.0.0.1; expose 81; }
opensandbox_sandbox old { endpoint 127.0.0.1; expires_at 2020-01-01T00:00:00Z; }
opensandbox_sandbox two { endpoint 127.0.0.1; state ambiguous; }
opensandbox_sandbox asleep { endpoint 127.0.0.1; state paused; }
opensandbox_sandbox young { endpoint 127.0.0.1; ready off; }
opensandbox_sandbox lost { endpoint nowhere.invalid; }
opensandbox_sandbox far { endpoint unix:/nowhere/socket; }
opensandbox_sandbox safe { endpoint 127.0.0.1; access_token secret; }
opensandbox_sandbox safest { endpoint 127.0.0.1; access_token secret;
    state paused; expires_at 2020-01-01T00:00:00Z; }
EOT
access_log $dir/id.log id;
location / {
    opensandbox any;
    include $dir/proxy.conf;
}
EOT
my $port = $g->{port};
my @page = ('Accept: text/html');

# The page and what its code is.
sub page
{
	my ($path, @headers) = @_;
	return get($port, $path, @page, @headers);
}

my %paths = (
	bad_route => ['/nothing', 400], unauthorized => ["/sandboxes/safe/port/$dead/", 401],
	not_exposed => ["/sandboxes/few/port/$dead/", 403],
	not_found => ['/sandboxes/none/port/80/', 404],
	expired => ['/sandboxes/old/port/80/', 410],
	ambiguous => ['/sandboxes/two/port/80/', 502],
	paused => ['/sandboxes/asleep/port/80/', 503],
	not_ready => ['/sandboxes/young/port/80/', 503],
	no_keys => ["/sandboxes/safe/port/$dead/zzzzzz/0123abcda/", 503],
	unresolved => ['/sandboxes/lost/port/80/', 502],
	refused => ["/sandboxes/sb/port/$dead/", 502],
	unreachable => ['/sandboxes/far/port/80/', 502],
	dropped => ["/sandboxes/sb/port/$drops/", 502],
	bad_answer => ["/sandboxes/sb/port/$garbage/", 502],
	slow => ["/sandboxes/sb/port/$silent/", 504],
);
my $source = read_file(root() . '/ngx_opensandbox_module/answer/outcome.c');
my @codes = grep { $_ ne 'ok' } $source =~ /\{ngx_string\("(\w+)"\)/g;
is_deeply([sort keys %paths], [sort @codes], 'each outcome has a page here');

my %titles;
for my $code (sort keys %paths) {
	my ($path, $status) = @{ $paths{$code} };
	my $a = page($path);
	my $h = $a->{headers};
	my $json = get($port, $path);
	is_deeply([$a->{status}, $json->{status}, json($json)->{code}],
	    [$status, $status, $code], "$code: page and JSON");
	is_deeply([sort keys %{ json($json) }], [qw(code message port sandbox)],
	    '  of the same four keys');
	my ($title) = $a->{body} =~ m{<h1>(.+)</h1>};
	$titles{ $title // '' }++;
	like($a->{body}, qr{<h2>What you can do</h2>\n<p>.+</p>\n<h2>If you run this sandbox</h2>\n<p>.+</p>},
	    '  with advice for both');
	like($a->{body}, qr{<code>$h->{'x-request-id'}[0]</code> of \w{3}, .* GMT},
	    '  with the request\'s id and the time');
	my ($style) = $a->{body} =~ m{<style>(.*)</style>}s;
	is($h->{'content-security-policy'}[0], "default-src 'none'; img-src data:; "
	    . "base-uri 'none'; form-action 'none'; style-src 'sha256-"
	    . sha256_base64($style) . "='", '  that may load its own style alone');
	ok($json->{headers}{'x-request-id'}, '  JSON comes with an id, too');
	like(wait_for(sub { read_file("$dir/id.log") =~ /^$h->{'x-request-id'}[0] (\d+)$/m
	    && $1 }, 10), qr/^$status$/, '  which is the log\'s');
}
is_deeply([grep { $titles{$_} > 1 } keys %titles], [], 'each has a title of its own');

# Who reads it
my $refused = page("/sandboxes/sb/port/$dead/")->{body};
like($refused, qr/port $dead.*sent you the link.*0\.0\.0\.0/s,
    'a port without a server: what each can do');
my $mine = page("/sandboxes/safe/port/$dead/",
    'OpenSandbox-Secure-Access: secret')->{body};
like($mine, qr/0\.0\.0\.0/, 'who has the token is told of the server');
unlike($mine, qr/sent you/, '  and not whom to ask');
my %said;
for my $id ('safe', 'safest') {
	for my $at (80, $dead) {
		my $body = page("/sandboxes/$id/port/$at/")->{body};
		unlike($body, qr/$id|\b$at\b|paused|expired|0\.0\.0\.0/,
		    "$id, $at: who may not enter learns nothing");
		$body =~ s/<footer>.*//s;
		$said{$body} = 1;
	}
}
is(scalar keys %said, 1, '  and reads the same of each');

SKIP: {
	skip 'chromium-driver is not installed', 1 if !Browser::available();
	my $b = Browser->new;
	mkdir build_dir() . '/screenshots';
	for my $look (['light', 1024], ['dark', 1024], ['light', 360], ['dark', 360]) {
		my ($scheme, $width) = @$look;
		$b->window($width, 700, $scheme);
		for my $code ($width == 360 ? sort keys %paths : qw(refused unauthorized)) {
			next if $code eq 'slow';
			$b->open_page("http://localhost:$port$paths{$code}[0]");
			my $seen = $b->script(<<'EOJ');
return { back: getComputedStyle(document.body).backgroundColor.match(/\d+/)[0],
    wide: document.documentElement.scrollWidth,
    language: document.documentElement.lang, title: document.title };
EOJ
			is_deeply([$b->pale], [], "$code, $scheme, $width: contrast");
			is(!!($seen->{back} < 64), $scheme eq 'dark', '  of its scheme');
			cmp_ok($seen->{wide}, '<=', $width, '  nothing is cut off');
			ok($seen->{title} && $seen->{language} eq 'en', '  named, in English');
			my @log = grep { !/the server responded with a status of/ }
			    split /\n/, $b->console;
			is_deeply(\@log, [], '  the console is quiet');
			$b->picture(build_dir()
			    . "/screenshots/error-$code-$scheme-$width.png");
		}
	}
	$b->quit;
}
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg)\]/,
    'nothing alarms the gateway');
done_testing();
