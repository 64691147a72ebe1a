#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An X desktop in a sandbox, which a signed link opens in a browser. "run" prepares
# it and starts it.

use strict;
use warnings;
use FindBin;
use Example;
use Harness;
use Browser;

$| = 1;
my $here = $FindBin::Bin;
my $w = example_world();

# What the desktop's programs may reach.
my $home = sandbox('desktop', 'good.test');
write_file("$home/desktop.sh", read_file("$here/desktop.sh"));
run('chown', '65534:65534', $home);
serve('desktop', 6080, {}, 'sh', 'desktop.sh');

signing_key();
my $port = gateway_here("$here/nginx.conf");

# The link that opens the desktop for so many seconds. noVNC looks for its
# WebSocket at the host's root; in uri mode it must be told where it is.
sub desktop_link
{
	my ($mode, $seconds) = @_;

	return link_to('desktop', 6080, $mode, $seconds) . 'vnc.html?autoconnect=1&resize=scale'
	    . ($mode eq 'uri' ? '&path=sandboxes/desktop/port/6080/websockify' : '');
}

# Nobody needs to know the token: links are signed with the key.
my $token = run('openssl', 'rand', '-hex', '16') =~ s/\s//gr;
platform('PUT', 'desktop', { endpoint => '10.88.0.5', accessToken => $token });

if (!@ARGV) {
	stay(<<"WORDS");

Open in a browser on this machine; the link ends in a day:

  @{[desktop_link('host', 24 * 3600)]}

What the desktop's /work holds is in $home.
WORDS
}

my $b = Browser->new;
my $pictures = root() . '/build/examples/desktop';
run('mkdir', '-p', $pictures);

# The picture in the page: its size, how many colours it has, and their sum.
sub seen
{
	return $b->script(<<'JS');
const canvas = document.querySelector('#noVNC_container canvas');
if (!canvas || !canvas.width)
	return 'nothing';
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
const colours = new Set();
let sum = 0;
for (let i = 0; i < data.length; i += 4) {
	const colour = data[i] << 16 | data[i + 1] << 8 | data[i + 2];
	colours.add(colour);
	sum = (sum * 31 + colour) >>> 0;
}
return `${canvas.width}x${canvas.height}, ${colours.size} colours, sum ${sum}`;
JS
}

# Type into the terminal, which has the focus, and wait for a file of /work.
sub typed
{
	my ($file, $line) = @_;

	$b->type(undef, "$line\x{E007}");
	wait_for(sub { -s "$home/$file" }, 30);
	return read_file("$home/$file");
}

sub story
{
	my ($mode, $base) = @_;
	my $picture;

	step("$mode mode, without a link: noVNC's page", qr/^401$/,
	    sub { stranger($port, "$base/vnc.html") });
	step('  and its WebSocket', qr/^401$/, sub { stranger($port, "$base/websockify", map {
		('-H', $_) } 'Connection: Upgrade', 'Upgrade: websocket',
		'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==') });
	$b->open_page(desktop_link($mode, 600));
	step('  with one: noVNC opens', qr/^noVNC$/,
	    sub { $b->script('return document.title.match(/noVNC/)?.[0]') });
	step('  the desktop\'s picture', qr/^1000x620, ([5-9]|\d\d+) colours/, sub {
		wait_for(sub { ($picture = seen()) =~ /(\d+) colours/ && $1 > 4 }, 30);
		$picture });
	# The middle of it is the terminal's.
	$b->type('#noVNC_container canvas', '');
	step('  keys pressed reach the terminal', qr/^hello 42$/,
	    sub { typed("keys-$mode", "clear; echo hello \$((6*7)) | tee keys-$mode") });
	step('  and the picture shows it', qr/^1000x620/, sub {
		my $now;
		wait_for(sub { ($now = seen()) ne $picture }, 10) ? $now : 'the same' });
	step('  there: good.test opens, evil.test does not', qr/^6 200 000$/,
	    sub { typed("web-$mode", 'for n in good evil; do curl -s -m 5 -o page -w '
		. '"%{http_code} " $n.test; done | tee codes; curl evil.test; '
		. "echo \$? \$(cat codes) >web-$mode") });
	$b->picture("$pictures/$mode.png");
}

$b->size(1040, 780);
story('host', "http://desktop-6080.sandbox.localhost:$port");
story('uri', "http://localhost:$port/sandboxes/desktop/port/6080");
# Debian's noVNC comes without the package.json that its page looks for.
step('no page had another error in its console', qr/^none$/,
	sub { join("\n", grep { !/package\.json/ } split /\n/, $b->console) || 'none' });
$b->quit;
steps_done();
