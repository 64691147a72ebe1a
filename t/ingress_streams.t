#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Server-sent events end when their sandbox does, as tunnels do; other answers
# on their way come to their own end.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More tests => 25;
use Harness;
use Ingress;

# Answers with the type that the path names, in chunks or until the end of the
# connection, and speaks; goes on when the file of that key appears, or until it
# is cut off.
my $dir = scratch();
my $box = backend(sub {
	my ($s) = @_;
	my ($type, $form, $key) = Ingress::read_head($s) =~
	    m{^GET /([^?]*)\?(\w+)-(\w+)};
	my $chunked = $form eq 'chunked';
	print $s "HTTP/1.1 200 OK\r\nContent-Type: $type\r\n"
	    . ($chunked ? "Transfer-Encoding: chunked\r\n\r\n6\r\n" : "\r\n")
	    . "first\n" . ($chunked ? "\r\n" : '');
	until (IO::Select->new($s)->can_read(0.05)) {
		-e "$dir/$key" or next;
		print $s $chunked ? "5\r\nlast\n\r\n0\r\n\r\n" : "last\n";
		return;
	}
});
my $g = gateway(workers => 1, server => <<'EOT');
location / { opensandbox any; include %CONF%/opensandbox-proxy.conf; }
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
EOT
my $port = $g->{port};

sub put { return api($g, 'PUT', "/$_[0]", { endpoint => '127.0.0.1', @_[1 .. $#_] }) }

# Read until the text has come; false if the other side closed before.
sub reads
{
	my ($s, $text) = @_;
	my $got = '';
	return wait_for(sub {
		IO::Select->new($s)->can_read(0) or return 0;
		sysread $s, $got, 4096, length $got;
		return index($got, $text) >= 0;
	}, 5);
}

sub open_stream
{
	my ($id, $type, $form) = @_;
	my $s = connect_to($port);
	print $s "GET /sandboxes/$id/port/$box/$type?" . ($form || 'chunked')
	    . "-$id HTTP/1.1\r\nHost: x\r\n\r\n";
	reads($s, "first\n") or die "no stream: $id $type";
	return $s;
}

# Whether the other side has closed; what came before does not count.
sub closed
{
	my ($s, $seconds) = @_;
	return wait_for(sub {
		return IO::Select->new($s)->can_read(0)
		    && !sysread $s, my $bytes, 4096;
	}, $seconds // 5);
}

sub streams { return json(get($port, '/status'))->{eventStreams}{open} }

put('kept');
my $kept = open_stream('kept', 'text/event-stream');
is(streams(), 1, 'an event stream is counted');
for (
	['deleted', sub { api($g, 'DELETE', "/$_[0]") }],
	['replaced', sub { put($_[0], expose => [$box]) }],
	['expired', sub { api($g, 'PATCH', "/$_[0]",
		{ expiresAt => '2001-01-01T00:00:00Z' }) }],
) {
	my ($what, $change) = @$_;
	put($what);
	my $events = open_stream($what, 'text/event-stream');
	my $typed = open_stream($what, 'Text/Event-Stream;charset=utf-8', 'plain');
	my $other = open_stream($what, 'text/event-streams');
	my $page = open_stream($what, 'text/html');
	is(streams(), 3, "those of a sandbox that is $what");
	$change->($what);
	ok(closed($events), '  end');
	ok(reads($typed, "0\r\n\r\n"), '  in order, where they had no form');
	ok(!closed($other, 0.6), '  another type does not');
	write_file("$dir/$what", '');
	ok(reads($page, 'last'), '  a page in flight comes to its end');
	is(streams(), 1, '  and nothing is counted on');
}

# An end that comes by itself
put('sb', expiresAt => '2100-01-01T00:00:00Z');
my $s = open_stream('sb', 'text/event-stream');
api($g, 'PATCH', '/sb', { expiresAt => '2100-01-02T00:00:00Z' });
ok(!closed($s, 0.6), 'a longer life leaves an event stream alone');
my @t = gmtime(time + 2);
api($g, 'PATCH', '/sb', { expiresAt => sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ',
	$t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0] });
ok(closed($s, 10), 'it ends when the life does');
put('done');
$s = open_stream('done', 'text/event-stream');
write_file("$dir/done", '');
ok(reads($s, 'last'), 'a stream may end by itself');
is(streams(), 1, 'then it is not counted');
is(scalar(() = read_file("$g->{prefix}/error.log") =~ /of this stream is gone/g),
    7, 'the log has each end');
ok(!closed($kept, 0), 'others stay open');
