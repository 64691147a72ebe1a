#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The operator's page for whoever has no mouse, hears it, or looks on while it
# changes: every step by keys, the focus is seen and kept, all that acts and all
# that is shown has a name in the accessibility tree, wide and narrow; nothing
# that is about to be pressed moves; and what goes wrong meanwhile.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Ingress;
use Browser;

plan skip_all => 'chromium-driver is not installed' if !Browser::available();

my @auth = 'Authorization: Bearer s3cret';
my %with = (http => 'opensandbox_api_token s3cret;',
    server => 'client_max_body_size 8m; location / { opensandbox_api; }');
my $g = gateway(%with);
my $port = $g->{port};
my $b = Browser->new;
my ($tab, $enter, $escape, $space, $shift) = map { chr } 0xe004, 0xe007, 0xe00c, 0xe00d, 0xe008;

request($port, 'POST', '/v1/sandboxes', encode_json([
    map { { id => sprintf('box-%03d', $_), endpoint => '10.88.0.5' } } 1 .. 60]), @auth);

sub denied
{
	request($port, 'POST', '/v1/events', encode_json([
	    map { { hostname => $_, sandboxId => 'box-001' } } @_]), @auth);
}

sub text
{
	return $b->script('const e = document.querySelector(args[0]);'
	    . 'return e && e.checkVisibility() ? e.innerText : null;', $_[0]);
}

sub shows
{
	my ($selector, $pattern, $name) = @_;
	ok(wait_for(sub { (text($selector) // '') =~ $pattern }, 30), $name)
	    or diag(text($selector) // 'nothing');
}

# What has the focus: its id, else what it says.
my $where = 'const e = document.activeElement;'
    . 'return e.id || e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")'
    . '|| e.innerText || e.localName;';
sub focus { return $b->script($where) }

# Press Tab until that has the focus; what had it on the way.
sub tab_to
{
	my ($what) = @_;
	my @way;
	for (1 .. 30) {
		$b->chord($tab);
		push @way, focus();
		return @way if $way[-1] eq $what;
	}
	return (@way, 'never');
}

# Nodes of the accessibility tree that are not ignored.
sub tree
{
	return map { { role => $_->{role}{value}, name => $_->{name}{value} // '' } }
	    grep { !$_->{ignored} }
	    @{ $b->devtools('Accessibility.getFullAXTree', {})->{nodes} };
}

# The token, by keys
denied('one.test', 'two.test');
$b->open_page("http://127.0.0.1:$port/");
shows('#token-form', qr/Management token/, 'the token is asked for');
$b->chord($tab);
is(focus(), 'Skip to the sandboxes', 'the first Tab leads past the head');
is_deeply([tab_to('token')], ['token'], 'the next into the field');
$b->type(undef, "wrong$enter");
shows('#problem', qr/does not know this token/, 'a wrong one, with Enter');
ok(wait_for(sub { focus() eq 'token' }, 10), '  and the field has the focus again');
$b->script('document.querySelector("#token").select()');
$b->type(undef, "s3cret$enter");
shows('#main', qr/box-001/, 'the right one');
is(focus(), 'main', '  leads to what it shows');
is(text('#problem'), undef, '  and what was wrong is gone');
$b->console; # the browser tells of the 401

# Every stop, in the order in which it is seen, and back
my @stops = tab_to('more');
@stops[1, 2] = sort @stops[1, 2]; # they came together
is_deeply(\@stops, ['denied', 'Allow one.test in box-001', 'Allow two.test in box-001',
	'q', 'sandboxes-title', 'back', 'more'],
    'Tab stops where something can be done, and nowhere else');
my $seen = $b->script(<<'JS');
const out = [];
for (const e of document.querySelectorAll('button, input, a, [tabindex="0"]')) {
	if (!e.checkVisibility()) continue;
	e.focus({ focusVisible: true });
	const s = getComputedStyle(e);
	if (s.outlineStyle === 'none' || parseFloat(s.outlineWidth) < 2) out.push(e.id || e.innerText);
	const r = e.getBoundingClientRect();
	if (e.className !== 'skip' && e.localName !== 'a' && (r.width < 24 || r.height < 24))
		out.push(`small ${e.id}`);
}
return out;
JS
is_deeply($seen, [], 'the focus is seen on each, none is too small to be hit');

# Pages and the search
$b->script('document.querySelector("#back").focus()');
tab_to('more');
$b->chord($enter);
shows('#shown', qr/^26 to 50$/, 'Enter turns the page');
$b->chord($space);
shows('#shown', qr/^51 to 60$/, '  so does the space bar');
is(focus(), 'more', '  and at the end the focus has not moved');
$b->chord($enter);
is($b->script('return document.querySelector("#more").ariaDisabled'), 'true',
    '  where nothing more happens');
shows('#shown', qr/^51 to 60$/, '  as one sees');
$b->chord($shift, $tab);
is(focus(), 'back', 'Shift and Tab go back');
$b->chord($enter);
shows('#shown', qr/^26 to 50$/, '  and Enter there');
$b->type('#q', '059');
shows('#rows', qr/^box-059\b/, 'a search');
$b->chord($escape);
shows('#rows', qr/^box-001\b/, 'Escape ends it');
is(focus(), 'q', '  in its field');

# What changes under one's hands
$b->script(<<'JS');
window.row = document.querySelector('#rows tr');
getSelection().selectAllChildren(row.querySelector('.mono'));
JS
$b->script('document.querySelector("#denied button").focus()');
my $held = focus();
denied("new$_.test") for 1 .. 3;
shows('#denied', qr/new3\.test/, 'new names come');
is(focus(), $held, '  the focus stays where it was');
my ($first) = $held =~ /Allow (\S+)/;
like(text('#denied li'), qr/^\Q$first\E\n/, '  and they come behind');
ok($b->script('return row.isConnected && getSelection().toString() === "10.88.0.5";'),
    'a row is the same, with what was selected in it');
my $middle = $b->script('document.activeElement.blur();'
    . 'const r = document.querySelector("#denied button").getBoundingClientRect();'
    . 'return [r.x + r.width / 2, r.y + r.height / 2].map(Math.round);');
my $pointer = sub {
	$b->call('POST', '/actions', { actions => [{ type => 'pointer', id => 'mouse',
	    actions => [{ type => 'pointerMove', duration => 0, x => $middle->[0], y => $middle->[1] },
	    @_] }] });
};
$pointer->();
my $under = 'return document.elementFromPoint(...args).getAttribute("aria-label");';
my $aimed = $b->script($under, @$middle);
denied('hostile.test');
shows('#denied', qr/hostile\.test/, 'a name that comes while the pointer is on a button');
is($b->script($under, @$middle), $aimed, '  takes no place of another');
$pointer->({ type => 'pointerDown', button => 0 }, { type => 'pointerUp', button => 0 });
my ($name) = $aimed =~ /Allow (\S+)/;
shows('#said', qr/^\Q$name\E is allowed/, '  so that it is what is allowed');

# By keys, while somebody else changes the record: once more, and neither is lost
$b->script('document.querySelector(`[data-key="box-001 hostile.test"] button`).focus()');
$b->script(<<'JS', $port);
const real = fetch;
window.changes = 0;
window.fetch = async (url, o) => {
	const answer = await real(url, o);
	if (o.method === 'GET' && /box-001$/.test(url) && changes < 2)
		await real(url, { method: 'PATCH', headers: o.headers, body: JSON.stringify({
			policy: { egress: [{ action: 'deny', target: `other${++changes}.test` }] } }) });
	return answer;
};
JS
$b->chord($enter);
shows('#said', qr/^hostile\.test is allowed/, 'a record that changes meanwhile (412) is read again');
is(focus(), 'Allowed hostile.test in box-001', '  the focus is where it was, under its new name');
is($b->script('return changes'), 2, '  twice');
my $record = json(Ingress::api($g, 'GET', '/box-001', undef, @auth));
is_deeply([map { "$_->{action} $_->{target}" } @{ $record->{policy}{egress} }],
    ['allow hostile.test', 'deny other2.test'], '  and the change of somebody else stays');
$b->script('changes = -100;');
$b->script('document.querySelector(`[data-key="box-001 new1.test"] button`).click()');
shows('#said', qr/not allowed: the record keeps changing/, 'one that always changes is said to');
is($b->script('return document.querySelector(`[data-key="box-001 new1.test"] button`).ariaDisabled'),
    'false', '  and may be tried again');
$b->console; # the browser tells of the 412

# What is heard, wide and narrow
for my $width (1200, 360) {
	$b->window($width, 800, 'light');
	my @tree = tree();
	my %roles;
	$roles{ $_->{role} }++ for @tree;
	is_deeply([map { $_->{role} } grep { $_->{role} =~
	    /^(?:button|link|textbox|searchbox|meter|region|table|main|search|list)$/
	    && $_->{role} !~ /^(?:main|search|table)$/ && $_->{name} eq '' } @tree], [],
	    "$width pixels: all that acts has a name");
	is(join(' ', map { $roles{$_} // 0 } qw(main search table rowheader)),
	    '1 1 1 25', '  a main part, a search, a table, each row headed by its id');
	cmp_ok($roles{columnheader} // 0, '>=', 7, '  columns have heads');
	cmp_ok($roles{cell} // $roles{gridcell} // 0, '>=', 25 * 6, '  cells are cells');
	ok((grep { $_->{role} eq 'button' && $_->{name} eq 'Allow new2.test in box-001' } @tree),
	    '  a button says what it allows, and where');
	ok((grep { $_->{role} =~ /^heading/ && $_->{name} eq 'Denied on the way out' } @tree),
	    '  parts have headings');
	is($b->script('return [...document.querySelectorAll("h1, h2")].filter((e) =>'
	    . 'e.checkVisibility()).map((e) => e.localName).join(" ")'), 'h1 h2 h2 h2 h2',
	    '  in their order');
}
is($b->script('return ["problem:alert", "said:status", "shown:status"].filter((x) => {'
    . 'const [id, role] = x.split(":");'
    . 'return document.getElementById(id).getAttribute("role") !== role; }).length'), 0,
    'what happens is told');
$b->devtools('Emulation.setEmulatedMedia', { features => [
	{ name => 'prefers-reduced-motion', value => 'reduce' }] });
is($b->script('return document.getAnimations().length + [...document.querySelectorAll("*")]'
    . '.filter((e) => { const s = getComputedStyle(e); return s.animationName !== "none"'
    . '|| parseFloat(s.transitionDuration) > 0 || s.scrollBehavior === "smooth"; }).length'),
    0, 'nothing moves by itself');
$b->devtools('Emulation.setEmulatedMedia', { features => [
	{ name => 'forced-colors', value => 'active' }] });
is_deeply([$b->pale], [], 'colours that the user forces are legible');
$b->window(1200, 800, 'light');

# The gateway goes, and comes back
$b->devtools('Network.enable', {});
my $offline = sub {
	$b->devtools('Network.emulateNetworkConditions', { offline => $_[0] ? JSON::PP::true
	    : JSON::PP::false, latency => 0, downloadThroughput => -1, uploadThroughput => -1 });
};
$offline->(1);
shows('#problem', qr/does not answer/, 'a gateway that is away is said to be');
like(text('#rows'), qr/box-001/, '  what was seen stays');
$offline->(0);
ok(wait_for(sub { !defined text('#problem') }, 30), '  and that it is back is seen');

# Forgotten
$b->type('#forget', '');
shows('#token-form', qr/Management token/, 'the token is forgotten');
is(focus(), 'token', '  the focus is where a new one goes');
is($b->script('return sessionStorage.length + document.querySelectorAll("#rows tr, #denied li").length'
    . '+ document.querySelector("#token").value.length'), 0,
    '  and nothing of what it showed is left in the page');
$b->script('return document.querySelector("#token").value = "s3cret"');
$b->chord($enter);
shows('#main', qr/box-001/, 'given again');
$b->script(<<'JS');
const real = fetch;
window.fetch = async (url, o) => {
	const answer = await real(url, o);
	if (/sandboxes\?/.test(url)) { document.querySelector('#forget').click(); window.fetch = real; }
	return answer;
};
JS
shows('#token-form', qr/Management token/, 'forgotten while an answer is under way');
ok(!wait_for(sub { defined text('#main') || !defined text('#token-form') }, 5),
    '  it shows nothing any more, and asks');
is($b->address, "http://127.0.0.1:$port/", 'no address ever had the token');
$b->quit;

done_testing();
