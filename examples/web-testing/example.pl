#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Two development servers, each in a sandbox, tested by a browser. "run" prepares
# it and starts it.

use strict;
use warnings;
use FindBin;
use Example;
use Harness;
use Browser;

$| = 1;
my $modules = npm_install('web-testing');
my $w = example_world();

# Each may reach what is named here and nothing else.
my $vite = sandbox('vite', 'good.test');
my $flask = sandbox('flask');

copy_tree("$FindBin::Bin/vite", $vite);
mkdir "$vite/node_modules";
serve('vite', 5173, { see => { '/opt/node' => node_dir(),
		'/work/node_modules' => "$modules/node_modules" } },
	'node', 'node_modules/vite/bin/vite.js');

copy_tree("$FindBin::Bin/flask", $flask);
sub flask_start
{
	return serve('flask', 5000, { env => { FLASK_DEBUG => 1 } },
	    'python3', '-m', 'flask', 'run', '--host', '0.0.0.0', '--port', '5000');
}
my $server = flask_start();

my $port = gateway_here("$FindBin::Bin/nginx.conf");
my %at = (
	'Vite, host mode'  => "http://vite-5173.sandbox.localhost:$port/",
	'Vite, uri mode'   => "http://localhost:$port/sandboxes/vite/port/5173/",
	'Flask, host mode' => "http://flask-5000.sandbox.localhost:$port/",
	'Flask, uri mode'  => "http://localhost:$port/sandboxes/flask/port/5000/",
);

if (!@ARGV) {
	stay(<<"WORDS");

Open in a browser on this machine:

  $at{'Vite, host mode'}
  $at{'Vite, uri mode'}
  $at{'Flask, host mode'}
  $at{'Flask, uri mode'}

Then change what they show, and look at the pages:

  $vite/message.js      the page changes as it stands
  $flask/app.py         GREETING: the server starts again; load the page

WORDS
}

my $b = Browser->new;
my $pictures = "$modules/pictures";
mkdir $pictures;

sub edit
{
	my ($file, $from, $to) = @_;
	my $text = read_file($file);
	$text =~ s/\Q$from\E/$to/ or die "$file has no $from";
	write_file($file, $text);
}

sub message { return $b->text('#message') // '' }

# The page shows a new message, and is still the page that was opened.
sub vite_story
{
	my ($mode, $word) = @_;

	$b->open_page($at{"Vite, $mode"});
	step("Vite, $mode: the page", qr/^Hello from a sandbox$/,
	    sub { wait_for(sub { message() =~ /Hello/ }); message() });
	$b->script('window.opened = "before"; '
	    . 'document.getElementById("notes").value = "kept";');
	edit("$vite/message.js", 'Hello', $word);
	step("  message.js changes, and so does the page", qr/^$word from a sandbox$/,
	    sub { wait_for(sub { message() =~ /$word/ }, 20); message() });
	step('  without being loaded again', qr/^before kept$/, sub { $b->script(
	    'return window.opened + " " + document.getElementById("notes").value') });
	edit("$vite/style.css", '#646cff', '#d6409f');
	step('  style.css changes, and so does the colour', qr/^rgb\(214, 64, 159\)/,
	    sub { my $colour; wait_for(sub { ($colour = $b->script('return '
		. 'getComputedStyle(document.getElementById("message")).borderLeftColor'))
		=~ /^rgb\(214/ }, 20); $colour });
	$b->picture("$pictures/vite-" . ($mode =~ /^(\w+)/)[0] . '.png');
	edit("$vite/style.css", '#d6409f', '#646cff');
	edit("$vite/message.js", $word, 'Hello');
}

# The message of a page once the server that starts again gives it. One that
# breaks off in the browser would leave an error in its console.
sub reopened
{
	my ($url, $pattern) = @_;

	wait_for(sub { (capture('curl', '-s', '-m', '5', '--resolve',
	    "*:$port:127.0.0.1", $url))[1] =~ $pattern }, 60);
	$b->open_page($url);
	return message();
}

sub flask_story
{
	my ($mode, $word) = @_;
	my $url = $at{"Flask, $mode"};

	$b->open_page($url);
	step("Flask, $mode: the page, with its style", qr/^Hello.* rgb\(10, 138, 106\)/,
	    sub { message() . ' ' . $b->script('return '
		. 'getComputedStyle(document.getElementById("message")).borderLeftColor') });
	$b->type('#note', "by $mode\x{E007}");
	step('  a form, whose answer leads back to the page', qr/by $mode at \Q$url\E$/,
	    sub { wait_for(sub { ($b->text('ul') // '') =~ /by $mode/ });
		$b->text('ul') . ' at ' . $b->address });
	edit("$flask/app.py", 'GREETING = "Hello', "GREETING = \"$word");
	step('  app.py changes: the server starts again', qr/^$word from a sandbox/,
	    sub { reopened($url, qr/$word from/) });
	$b->picture("$pictures/flask-" . ($mode =~ /^(\w+)/)[0] . '.png');
	edit("$flask/app.py", "GREETING = \"$word", 'GREETING = "Hello');
	reopened($url, qr/Hello from/);
}

# What a request gets that comes while the server is down.
sub meanwhile
{
	my ($url) = @_;
	my $answer = scratch() . '/answer';

	stop($server);
	wait_for(sub { (capture('ip', 'netns', 'exec', $w->{host}, 'curl', '-s',
		'-o', '/dev/null', 'http://10.88.1.5:5000/'))[0] == 7 });
	my $client = start(name => 'client', log => $answer, cmd => ['curl', '-s',
		'-m', '60', '-o', '/dev/null', '-w', '%{http_code}', $url]);
	$server = flask_start();
	wait_exit($client, 60);
	return read_file($answer);
}

# What a sandbox gets of an address.
sub fetch
{
	my ($id, $url) = @_;
	my ($status, $out) = capture(inside_cmd($id, {}, 'curl', '-s', '-m', '5',
	    '-o', '/dev/null', '-w', '%{http_code}', $url));
	return "exit $status, $out";
}

$b->size(1000, 560);
vite_story('host mode', 'Good morning');
vite_story('uri mode', 'Good evening');
flask_story('host mode', 'Good morning');
flask_story('uri mode', 'Good evening');
step('Flask is stopped and started: a request waits for it', qr/^200$/,
    sub { meanwhile($at{'Flask, uri mode'}) });
step('Vite\'s sandbox opens good.test, which it may', qr/^exit 0, 200/,
    sub { fetch('vite', 'http://good.test/') });
step('  and not evil.test', qr/^exit 6, /, sub { fetch('vite', 'http://evil.test/') });
step('Flask\'s sandbox opens neither', qr/^exit 6, 000 exit 6, 000$/,
    sub { join ' ', map { fetch('flask', "http://$_.test/") } qw(good evil) });
step('no page had an error in its console', qr/^none$/, sub { $b->console || 'none' });
$b->quit;
steps_done();
