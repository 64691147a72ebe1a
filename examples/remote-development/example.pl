#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Jupyter and VS Code, each in a sandbox that a signed link opens, used by a
# browser. "run" prepares it and starts it.

use strict;
use warnings;
use FindBin;
use File::Path qw(make_path);
use JSON::PP;
use Example;
use Harness;
use World;
use Browser;

$| = 1;
my $here = $FindBin::Bin;
my $modules = npm_install('remote-development');
my $w = example_world();

# Each may reach what is named here and nothing else.
my $jupyter = sandbox('jupyter', 'good.test');
my $code = sandbox('code', 'good.test');

copy_tree("$here/project", $jupyter);
serve('jupyter', 8888, { see => { '/opt/jupyter.py' => "$here/jupyter_notebook_config.py" } },
	'jupyter-notebook', '--config=/opt/jupyter.py');

make_path("$code/.local/share/code-server/User", "$code/project");
write_file("$code/.local/share/code-server/User/settings.json",
	read_file("$here/settings.json"));
copy_tree("$here/project", "$code/project");
run('chown', '-R', '65534:65534', $code);
serve('code', 8080, { see => { '/opt/node' => node_dir(),
		'/opt/node_modules' => "$modules/node_modules",
		'/opt/code.yaml' => "$here/code-server.yaml" } },
	'node', '/opt/node_modules/code-server/out/node/entry.js', '--config', '/opt/code.yaml',
	'/work/project');

signing_key();
my $port = gateway_here("$here/nginx.conf");

# The records. Nobody needs to know the tokens: links are signed with the key.
my %record = (
	jupyter => { endpoint => '10.88.0.5', keepPrefix => JSON::PP::true },
	code    => { endpoint => '10.88.1.5' },
);
for my $id (sort keys %record) {
	my $token = run('openssl', 'rand', '-hex', '16') =~ s/\s//gr;
	platform('PUT', $id, { %{ $record{$id} }, accessToken => $token });
}

if (!@ARGV) {
	my $day = 24 * 3600;
	stay(<<"WORDS");

Open in a browser on this machine; the links end in a day:

  Jupyter   @{[link_to('jupyter', 8888, 'uri', $day)]}
  VS Code   @{[link_to('code', 8080, 'host', $day)]}

Another link, for an hour:

  ip netns exec $w->{host} curl "http://127.0.0.1:8081/v1/sandboxes/code/endpoints/8080?link=browser&expires=\$((\$(date +%s) + 3600))"
WORDS
}

my $b = Browser->new;
my $pictures = "$modules/pictures";
mkdir $pictures;
my ($ENTER, $CONTROL, $SHIFT) = ("\x{E007}", "\x{E009}", "\x{E008}");

# The text of an element once it has the pattern, or in the end.
sub shows
{
	my ($selector, $pattern, $seconds) = @_;
	my $text;
	wait_for(sub { ($text = $b->text($selector) // '') =~ $pattern }, $seconds // 60);
	return $text;
}

# A call of Jupyter's own API, as its pages make it.
sub post_code
{
	my ($address, $body) = @_;
	return "await (await fetch('$address', { method: 'POST', body: '$body', headers: "
	    . '{ "X-XSRFToken": document.cookie.match(/_xsrf=([^;]*)/)[1] } })).json()';
}

# A terminal of Jupyter's, from the page that is open. The page that Jupyter has
# for it does not work in Debian 12, gateway or not: libjs-xterm lacks its code.
sub terminal
{
	my ($prefix) = @_;
	my $new = post_code("$prefix/api/terminals", '');

	return $b->script(<<"CODE");
const { name } = $new;
const ws = new WebSocket(`ws://\${location.host}$prefix/terminals/websocket/\${name}`);
let text = '';
return new Promise((resolve) => {
    ws.onerror = () => resolve('no WebSocket');
    ws.onopen = () => ws.send(JSON.stringify(['stdin', 'echo hi \$((6*7))\\r']));
    ws.onmessage = ({ data }) => {
        const [kind, more] = JSON.parse(data);
        if (kind === 'stdout')
            text += more;
        if (/hi 42/.test(text))
            resolve('hi 42');
    };
});
CODE
}

sub jupyter_story
{
	my ($mode, $base) = @_;
	my $prefix = '/sandboxes/jupyter/port/8888';

	step("Jupyter, $mode mode, without a link", qr/^401$/,
	    sub { stranger($port, "$base$prefix/tree") });
	# What comes behind a host's link is the page to go on to.
	$b->open_page(link_to('jupyter', 8888, $mode, 600)
	    . ($mode eq 'host' ? substr("$prefix/tree", 1) : ''));
	step('  with one: its files, and no signature in the address',
	    qr/hello\.py at \Q$base$prefix\E\/tree\W*$/,
	    sub { shows('#notebook_list', qr/hello/) =~ /(hello\.py)/ ? "$1 at "
		. $b->address : 'none' });
	step('  1+1 in a cell, by the kernel\'s WebSocket', qr/^2$/, sub {
		my $path = $b->script('return (' . post_code("$prefix/api/contents",
		    '{"type":"notebook"}') . ').path');
		$b->open_page("$base$prefix/notebooks/$path");
		wait_for(sub { $b->script('return window.Jupyter?.notebook?.kernel'
		    . '?.is_connected()') }, 120) or return 'no kernel';
		$b->type('.input .CodeMirror', '1+1');
		$b->chord($SHIFT, $ENTER);
		shows('.output_result pre', qr/\d/);
	});
	step('  in another: good.test opens, evil.test does not',
	    qr/^HTTP\S* 200 .*not resolve host: evil\.test/s, sub {
		$b->type(undef, '!curl -sSI http://good.test/ http://evil.test/');
		$b->chord($SHIFT, $ENTER);
		shows('.output_stdout', qr/evil/);
	});
	$b->picture("$pictures/jupyter-$mode.png");
	step('  echo hi by a terminal\'s WebSocket', qr/^hi 42$/,
	    sub { terminal($prefix) });
}

sub code_story
{
	my ($mode, $base) = @_;

	step("VS Code, $mode mode, without a link", qr/^401$/, sub { stranger($port, "$base/") });
	$b->open_page(link_to('code', 8080, $mode, 600));
	step('  with one: the project\'s files', qr/^hello\.py$/,
	    sub { shows('.explorer-folders-view', qr/hello\.py/, 90) =~ /(hello\.py)/
		? $1 : 'none' });
	step('  no signature in the address', qr/^\Q$base\E\/\?folder=/,
	    sub { $b->address }) if $mode eq 'host';
	step('  one of them in the editor', qr/^print\("hello from a sandbox"\)$/, sub {
		$b->type('.explorer-folders-view [aria-label^="hello.py"]', '');
		shows('.editor-instance .view-lines', qr/print/) =~ tr/\xa0/ /r
		    =~ /^(print.*)/m ? $1 : 'none';
	});
	step('  echo hi in a terminal, by its WebSocket', qr/^hi 42$/, sub {
		$b->chord($CONTROL, '`');
		shows('.xterm-rows', qr/\$/, 60);
		# No click: a notification may lie over it.
		$b->script('document.querySelector(".terminal-wrapper.active '
		    . '.xterm-helper-textarea").focus()');
		$b->type(undef, "echo hi \$((6*7))$ENTER");
		shows('.xterm-rows', qr/^hi 42.*\$/ms) =~ /^(hi 42)/m ? $1
		    : $b->text('.xterm-rows');
	});
	step('  there: good.test opens, evil.test does not',
	    qr/^200curl.*not resolve host: evil\.test/, sub {
		$b->type(undef, "python3 hello.py; curl -s -m 5 -o /dev/null "
		    . "-w '%{http_code}' http://good.test/; curl -m 5 http://evil.test/$ENTER");
		shows('.xterm-rows', qr/evil\.test$/m) =~ /^(200.*)/m ? $1
		    : $b->text('.xterm-rows');
	});
	$b->picture("$pictures/code-$mode.png");
}

$b->size(1200, 760);
jupyter_story('uri', "http://localhost:$port");
jupyter_story('host', "http://jupyter-8888.sandbox.localhost:$port");
code_story('host', "http://code-8080.sandbox.localhost:$port");
code_story('uri', "http://localhost:$port/sandboxes/code/port/8080");
$b->quit;
steps_done();
