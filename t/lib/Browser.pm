# SPDX-License-Identifier: Apache-2.0
package Browser;

# A Chromium without a window, driven through WebDriver (W3C). Every host name
# is 127.0.0.1 to it, and every certificate good.

use strict;
use warnings;
use Carp qw(croak);
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64);
use Harness;
use Ingress qw(request);

sub available
{
	return -x '/usr/bin/chromedriver' && -x '/usr/bin/chromium';
}

sub new
{
	my ($class) = @_;
	my $port = free_port();
	my $self = bless { port => $port, path => '' }, $class;
	$self->{pid} = start(
		name => 'chromedriver',
		cmd  => ['/usr/bin/chromedriver', "--port=$port"],
		env  => { HOME => scratch(), TMPDIR => scratch() });
	wait_port($port, 20) or croak 'chromedriver did not start';
	my $session = $self->call('POST', '/session', {
		capabilities => { alwaysMatch => {
			acceptInsecureCerts   => JSON::PP::true,
			'goog:chromeOptions' => { args => ['headless=new',
				'no-sandbox', 'disable-gpu', 'disable-dev-shm-usage',
				'disable-background-networking',
				'host-resolver-rules=MAP * 127.0.0.1'] },
			'goog:loggingPrefs' => { browser => 'SEVERE' },
		} } });
	$self->{path} = "/session/$session->{sessionId}";
	return $self;
}

# The value of the answer; dies with WebDriver's error.
sub call
{
	my ($self, $method, $path, $data) = @_;
	# It is WebDriver that gives up on a page, and says why: after 300 s.
	local $Ingress::patience = 330;
	my $answer = request($self->{port}, $method, "$self->{path}$path",
	    $data ? encode_json($data) : undef,
	    "Host: 127.0.0.1:$self->{port}", 'Content-Type: application/json');
	my $value = eval { decode_json($answer->{body})->{value} };
	croak "$method $path: ", $answer->{error} // $answer->{body}
	    if $answer->{status} != 200;
	return $value;
}

sub open_page
{
	my ($self, $url) = @_;
	$self->call('POST', '/url', { url => $url });
}

sub address { return $_[0]->call('GET', '/url') }

# The body of an async function, run in the page; what it returns.
sub script
{
	my ($self, $body, @args) = @_;
	return $self->call('POST', '/execute/async', { args => \@args,
		script => 'const done = arguments[arguments.length - 1];'
		    . "(async (...args) => { $body })(...arguments)"
		    . '.then(done, (e) => done("error: " + e));' });
}

# The text of the first element that a CSS selector finds, undef without one.
sub text
{
	my ($self, $selector) = @_;
	return $self->script('return document.querySelector(args[0])?.innerText',
	    $selector);
}

# Click on the element of a CSS selector once it is there and nothing covers it,
# and type there; \x{E007} is Enter, and what else WebDriver calls so. Without a
# selector, type where the focus is.
sub type
{
	my ($self, $selector, $keys) = @_;
	my $what = { using => 'css selector', value => $selector };

	!defined $selector || wait_for(sub { eval {
		my ($id) = values %{ $self->call('POST', '/element', $what) };
		$self->call('POST', "/element/$id/click", {});
		1;
	} }) or croak "$selector: $@";
	$self->chord($_) for split //, $keys;
}

# Keys held down together, then let go.
sub chord
{
	my ($self, @keys) = @_;
	$self->call('POST', '/actions', { actions => [ { type => 'key',
		id => 'keyboard', actions => [
			(map { { type => 'keyDown', value => $_ } } @keys),
			(map { { type => 'keyUp', value => $_ } } reverse @keys)] } ] });
}

sub size
{
	my ($self, $width, $height) = @_;
	$self->call('POST', '/window/rect', { width => $width, height => $height });
}

# What is seen, as a PNG.
sub picture
{
	my ($self, $file) = @_;
	write_file($file, decode_base64($self->call('GET', '/screenshot')));
}

# The errors that pages wrote into the console since it was asked last.
sub console
{
	my ($self) = @_;
	return join "\n", map { $_->{message} }
	    @{ $self->call('POST', '/se/log', { type => 'browser' }) };
}

# A window of that width and height, in CSS pixels, light or dark.
sub window
{
	my ($self, $width, $height, $scheme) = @_;
	$self->devtools('Emulation.setDeviceMetricsOverride', {
		width => $width, height => $height, deviceScaleFactor => 1,
		mobile => $width < 600 ? JSON::PP::true : JSON::PP::false });
	$self->devtools('Emulation.setEmulatedMedia', { features => [{
		name => 'prefers-color-scheme', value => $scheme }] });
}

sub devtools
{
	my ($self, $cmd, $params) = @_;
	return $self->call('POST', '/goog/cdp/execute',
	    { cmd => $cmd, params => $params });
}

# What is visible and has less contrast with what is behind it than WCAG 2 wants of
# small text at level AA: large text, what is switched off and what stands in an
# empty field are held to the same.
sub pale
{
	my ($self) = @_;
	return @{ $self->script(<<'JS') };
const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92
    : Math.pow((v + 0.055) / 1.055, 2.4);
const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1])
    + 0.0722 * channel(c[2]);
const ground = (e) => {
	for (; e; e = e.parentElement) {
		const c = parse(getComputedStyle(e).backgroundColor);
		if (c.length < 4 || c[3] === 1) return c;
	}
	return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18]
	    : [255, 255, 255];
};
const pale = [];
let texts = 0;
for (const e of document.querySelectorAll('body *')) {
	const own = e.placeholder || [...e.childNodes].some((n) => n.nodeType === 3
	    && n.data.trim());
	if (!own || !e.checkVisibility()) continue;
	const front = getComputedStyle(e, e.placeholder ? '::placeholder' : null).color;
	const [a, b] = [light(parse(front)), light(ground(e))];
	const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
	texts++;
	if (!(ratio >= 4.5))
		pale.push(`${e.localName} "${(e.placeholder || e.textContent).trim().slice(0, 20)}"`
		    + ` ${ratio.toFixed(2)}`);
}
if (texts === 0) pale.push('no text at all');
return pale;
JS
}

sub quit
{
	my ($self) = @_;
	eval { $self->call('DELETE', '') };
	stop($self->{pid});
}

1;
