# SPDX-License-Identifier: Apache-2.0
#
# egress-sidecar top on a real terminal: it shows what happens as it happens,
# sorts, follows the terminal's size, and gives the terminal back however it
# ends. No name that a sandbox asks for reaches the terminal as it is. On a pipe
# it prints lines.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Agent;
use Harness;
use World;

my $program = build_dir() . '/egress-sidecar';
my $w = world();
my $dir = scratch();
my ($b) = netns('b');
world_dns($w);
agent($w->{host}, 'agent', { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER });
my $policy = { egress => [{ action => 'allow', target => 'good.test' }] };
ask('PUT', '/v1/sandboxes/sb-a', { netns => $b, policy => $policy });
ask('PUT', '/v1/sandboxes/sb-b', { netns => $w->{sandbox}, policy => $policy });

# On a terminal: what came of the steps, and all that was written.
my $n = 0;
sub terminal
{
	my ($steps, @args) = @_;
	my $out = "$dir/terminal" . ++$n;
	my ($code, $said) = capture(python(), root() . '/t/tools/terminal.py', $out,
	    @$steps, '--', $program, 'top', @args);
	my $json = eval { decode_json($said) } or diag $said;
	return ($json || {}, read_file($out));
}

sub all_well
{
	my ($ran, $name) = @_;
	is("@{ $ran->{steps} || [] }", join(' ', (1) x @{ $ran->{steps} }), $name);
}

my @agent = ('--socket', agent_socket(), '--interval', '1');
my ($code, $out) = capture($program, 'top', @agent, '--once');
is($code, 0, '--once');
is($out =~ s/^\d{4}-\d\d-\d\dT[\d:]+Z id=sb-(?:a|b) policy=enforcing health=ok rules=1 leases=0 open=0 queries=0 denied=0 gate_refused=0 last_denied=-\n//mgr,
    '', 'is a plain line for each sandbox');
is(($out =~ tr/\n//), 2, 'of two');

# Another process asks while it is shown.
my $asker = fork // die "fork: $!";
if ($asker == 0) {
	for ('one.test', '\027[2J\155\007\194\155.evil.test') {
		sleep 3;
		capture('ip', 'netns', 'exec', $w->{sandbox}, 'dig', '+short',
		    '+tries=1', '+noidnin', $_);
	}
	require POSIX;
	POSIX::_exit(0);
}
my ($ran, $text) = terminal(['wait:2 guarded', 'wait:sb-a', 'wait:one.test',
	'wait:\\027\\0912', 'send:i', 'wait:sb-a', 'send:r', 'wait:sb-b',
	'size:30x4', 'wait:sb-b', 'send:q', 'end'], @agent);
waitpid($asker, 0);
all_well($ran, 'each sandbox, what was denied meanwhile, another order, another size');
is($ran->{status}, 0, 'q ends it');
ok($ran->{same}, 'the terminal has its mode again');
like($text, qr/\A\e\[\?1049h/, 'it had the other screen');
like($text, qr/\e\[\?25h\e\[\?1049l\z/, 'and left it, with the cursor');
my $rest = $text =~ s/\e\[(?:\?1049[hl]|\?25[hl]|H|K|J)//gr;
unlike($rest, qr/[^\r\n\x20-\x7e]/, 'nothing of a hostile name controls it');
my @frames = split /\e\[H/, $text;
my ($denied) = grep { /one\.test/ } @frames;
like($denied // '', qr/sb-b.*sb-a/s, 'the one with denials is first');
my @lines = split /\r\n/, $frames[-1];
cmp_ok(scalar @lines, '<=', 4, 'four lines fit four');
is(scalar(grep { length(s/\e\[.*//sr) > 30 } @lines), 0, 'of thirty columns');

for my $signal (qw(INT TERM HUP)) {
	($ran, $text) = terminal(['wait:sb-b', "kill:$signal", 'end'], @agent);
	ok($ran->{same} && $text =~ /\e\[\?1049l\z/ && $ran->{status} == 0,
	    "SIG$signal gives the terminal back");
}
for (['Ctrl-C', "\x03"], ['Ctrl-\\', "\x1c"], ['Ctrl-Z, which does nothing, then q', "\x1aq"]) {
	($ran, $text) = terminal(['wait:sb-b', "send:$_->[1]", 'end'], @agent);
	ok($ran->{same} && $text =~ /\e\[\?1049l/ && ($ran->{status} // '') eq '0',
	    "so does $_->[0]");
}

# Narrow: what tells that something is wrong; as high as there is room.
sees($w, 'dig', '+short', '+tries=1', 'narrow.test');
for my $size ([80, 24, 'HEALTH   OPEN DENIED'], [40, 5, 'HEALTH   OPEN DENIED'],
    [12, 3, "2 guarded; d\e[K"], [100, 2, "backwards\e[K\e[J"],
    [1, 1, "2\e[K\e[J"]) {
	my ($width, $height, $until) = @$size;
	($ran, $text) = terminal(['wait:sb-b', "size:${width}x$height", "wait:$until", 'send:q',
	    'end'], @agent);
	my @lines = map { s/\e\[.*//sr } split /\r\n/, (split /\e\[H/, $text)[-1];
	cmp_ok(scalar @lines, '<=', $height, "$width by $height: no more lines");
	is(scalar(grep { length > $width } @lines), 0, '  nor columns');
	like("@lines", qr/narrow\.test|2 guarded.*DENIED.*sb-b  +ok +0 +[1-9]/, '  with what was denied')
	    if $height > 3;
	is("$ran->{same} $ran->{status}", '1 0', '  and the terminal is given back');
}
{
	local $ENV{TERM} = 'dumb';
	($ran, $text) = terminal(['wait:id=sb-b', 'kill:TERM', 'end'], @agent);
	unlike($text, qr/\e/, 'a terminal that has no screen gets lines');
	local @ENV{qw(TERM LC_ALL LANG)} = ('xterm', 'POSIX', 'tr_TR.ISO-8859-9');
	($ran, $text) = terminal(['wait:sb-b', 'send:q', 'end'], @agent);
	is("$ran->{same} $ran->{status}", '1 0', 'any locale will do');
	unlike($text, qr/[^\r\n\x1b\x20-\x7e]/, '  for all is ASCII');
}
($ran, $text) = terminal(['end'], '--socket', "$dir/none.sock");
is($ran->{status}, 3, 'nobody there: it ends');
like($text, qr/\e\[\?1049l.*none\.sock/s, 'and says so on the first screen');

# An API that is not to be trusted, for it may be a sandbox's pod.
my $port = free_port();
write_file("$dir/evil.py", <<'PY');
import http.server, sys
BODY = ('{"id":"\\u001b[31m","mode":"\\u009b2J","health":"\\r\\n","lost":"\\u001b]0;x\\u0007",'
        '"deniedLastMinute":{"latest":[{"name":"\\u001b[2Jx\\u202e"}]}}').encode()
class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/status' else 400)
        self.end_headers()
        self.wfile.write(BODY if self.path == '/status' else b'\x1b[2Jno\x9b')
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Api).serve_forever()
PY
start(name => 'evil', cmd => [python(), "$dir/evil.py", $port]);
wait_port($port);
for (['top', '--once'], ['top', '--once', '--json'], ['status'],
    ['status', '--json'], ['policy', 'get']) {
	(undef, $out) = capture($program, @$_, '--url', "127.0.0.1:$port");
	ok(length $out && $out !~ /[^\n\x20-\x7e]/, "@$_ of a hostile API is plain")
	    or diag $out;
}

for (['--interval', '0'], ['sb-a'], ['--interval']) {
	is((capture($program, 'top', @$_))[0], 2, "wrong usage: @$_");
}

# On a pipe, as long as somebody reads.
($code, $out) = capture('sh', '-c', '"$0" top "$@" | head -n 4', $program, @agent);
is(($out =~ tr/\n//), 4, 'on a pipe: lines, look after look');
unlike($out, qr/\e/, 'without control sequences');

done_testing();
