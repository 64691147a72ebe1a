#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Each record belongs to a source. All records of one are replaced at once: what
# is the same is not touched, what another source holds stays with it.

use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Test::More;
use Harness;
use Ingress;

my $echo = echo('box');
my $tunnel = backend(sub {
	my ($s) = @_;
	websocket($s, Ingress::read_head($s));
});
my $late = free_port();
my $g = gateway(workers => 1, zone => 'opensandbox_zone sandboxes:4m;', http => <<"EOT",
opensandbox_sandbox fixed { endpoint 127.0.0.1; expose $echo; }
server {
    listen 127.0.0.1:$late;
    location /ends/ { rewrite ^/ends(.*) \$1 break; opensandbox_api endpoints; }
}
EOT
    server => <<'EOT');
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
location = /pid { return 200 $pid; }
EOT

sub entry { my $id = shift; return { id => $id, endpoint => '127.0.0.1', @_ } }
sub feed
{
	my ($source, @records) = @_;
	return json(api($g, 'PUT', "?source=$source", \@records));
}
sub counts
{
	my ($added, $changed, $removed, $unchanged, @conflicts) = @_;
	return { added => $added, changed => $changed, removed => $removed,
	    unchanged => $unchanged, conflicts => \@conflicts };
}
sub source { return json(api($g, 'GET', "/$_[0]"))->{source} // 'none' }
sub status { return json(get($g->{port}, '/status')) }
sub ids
{
	return join ' ', map { $_->{id} } @{ json(api($g, 'GET', $_[0]))->{sandboxes} };
}

# A message on a tunnel; what comes back.
sub through
{
	my ($socket, $text) = @_;
	print $socket pack('CCN', 0x81, 0x80 | length $text, 0) . $text;
	IO::Select->new($socket)->can_read(20) or return 'nothing';
	sysread $socket, my $got, 100;
	return substr $got // '', 2;
}
sub ended
{
	my ($socket) = @_;
	IO::Select->new($socket)->can_read(20) or return 0;
	return !sysread $socket, my $got, 100;
}
sub open_tunnel
{
	my ($id) = @_;
	my $socket = connect_to($g->{port});
	print $socket "GET /sandboxes/$id/port/$tunnel/ HTTP/1.1\r\nHost: localhost\r\n"
	    . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	my $head = '';
	while ($head !~ /\r\n\r\n$/ && sysread $socket, my $byte, 1) { $head .= $byte }
	return $socket;
}

# All of a source, again, and with changes.
is_deeply(feed('docker', map { entry($_, expose => [$echo, $tunnel]) } qw(a b c)),
    counts(3, 0, 0, 0), 'all records of a source come at once');
is(source('b'), 'docker', '  and say whose they are');
is(source('fixed'), 'include', 'what is declared is of the source "include"');
api($g, 'PUT', '/mine', { endpoint => '127.0.0.1' });
is(source('mine'), 'api', 'what is put without one is of "api"');
my $client = connect_to($g->{port});
sub nth
{
	my ($id) = @_;
	my ($n) = ask($client, 'GET', "/sandboxes/$id/port/$echo/")->{body} =~ /^box (\d+)/;
	return $n // 'none';
}
nth('a') for 1 .. 2;
my %open = map { $_ => open_tunnel($_) } qw(a b);
is(through($open{$_}, 'hello'), 'hello', "a tunnel to $_") for qw(a b);
my $changes = status()->{changes};
is_deeply(feed('docker', map { { expose => [$echo, $tunnel], endpoint => '127.0.0.1',
    id => uc $_, source => 'docker' } } qw(c b a)), counts(0, 0, 0, 3),
    'the same records, in other words, are unchanged');
is(status()->{changes}, $changes, '  and nothing is written');
is(nth('a'), 3, '  their connections are good');
is_deeply(feed('docker', entry('d'), entry('a', expose => [$echo, $tunnel]),
    entry('c', expose => [$echo], accessToken => 't')), counts(1, 1, 1, 1),
    'one comes, one changes, one goes, one stays');
is(nth('a'), 4, '  the one that stays keeps its connection');
is(source('b'), 'none', '  the one that goes is gone');
is(get($g->{port}, "/sandboxes/b/port/$echo/")->{status}, 404, '  for requests, too');
is(ended($open{b}), 1, '  and so is its tunnel');
is(through($open{a}, 'still'), 'still', '  that of the one that stays is open then');
ok(json(api($g, 'GET', '/c'))->{secure}, '  the one that changes has changed');
is(source('d'), 'docker', '  the one that comes is there');
is(source('mine') . source('fixed'), 'apiinclude', 'other sources keep theirs');

# A policy that is the same is no news.
my $policy = { policy => { egress => [{ action => 'allow', target => 'a.test' }] } };
feed('poll', entry('p', %$policy));
my ($etag) = @{ api($g, 'GET', '/p/policy')->{headers}{etag} };
my $poll = connect_to($g->{port});
print $poll "GET /v1/sandboxes/p/policy HTTP/1.1\r\nHost: localhost\r\n"
    . "If-None-Match: $etag\r\nPrefer: wait=2\r\n\r\n";
feed('poll', entry('p', %$policy)) for 1 .. 3;
is(read_answer($poll)->{status}, 304, 'a policy that stays wakes nobody');
is_deeply(feed('poll'), counts(0, 0, 1, 0), 'an empty array removes all');

# Who holds an id keeps it.
is_deeply(feed('pods', entry('a'), entry('mine'), entry('fixed'), entry('new')),
    counts(1, 0, 0, 0, qw(a mine fixed)), 'ids of other sources are conflicts');
is(source('a') . source('mine') . source('fixed'), 'dockerapiinclude', '  and stay');
for my $case (['PUT', { endpoint => '127.0.0.9' }], ['PATCH', { ready => JSON::PP::false }],
    ['DELETE', undef]) {
	my ($method, $body) = @$case;
	for (['a', '', 'docker'], ['a', '?source=pods', 'docker'],
	    ['mine', '?source=pods', 'api'], ['fixed', '?source=pods', 'include']) {
		my ($id, $query, $holder) = @$_;
		my $a = api($g, $method, "/$id$query", $body);
		is($a->{status} . json($a)->{code}, '409conflict',
		    "$method /$id$query is refused");
		like(json($a)->{message}, qr/"$holder"/, '  and says who has it');
	}
}
is(json(api($g, 'GET', '/a'))->{endpoint}, '127.0.0.1', 'nothing has changed');
is(api($g, 'PUT', '/a', { endpoint => '127.0.0.9' }, 'If-Match: "x"')->{status}, 412,
    'conditions are judged first');
is(api($g, 'PATCH', '/a?source=docker', { hostHeader => 'h.test' })->{status}, 200,
    'its own source may change it');
is(source('a'), 'docker', '  and it stays its own');
is(api($g, 'PUT', '/a?source=docker', { endpoint => '127.0.0.1', source => 'docker' },
    'If-None-Match: *')->{status}, 412, '  on conditions, too');
is(api($g, 'PUT', '/e?source=docker', entry('e'))->{status}, 201, '  and add one');
is(api($g, 'DELETE', '/e?source=docker')->{status}, 204, '  and delete it');
is(api($g, 'DELETE', '/e?source=docker')->{status}, 404, '  once');
is(api($g, 'PATCH', '/fixed', { ready => JSON::PP::false })->{status}, 200,
    'the API may change what is declared');
my $a = api($g, 'POST', '?source=pods', [entry('n1'), entry('mine'), entry('n2')]);
is($a->{status} . json($a)->{code}, '409conflict', 'an array with another\'s id is refused');
is(source('n1'), 'none', '  all of it');
is(api($g, 'POST', '?source=pods', [entry('n1'), entry('new')])->{body},
    "{\"created\":1,\"replaced\":1}\n", 'one without is taken');
is(source('n1'), 'pods', '  for that source');

# Mistakes change nothing.
my $before = api($g, 'GET', '')->{body};
for (
	['[{"id":"a","endpoint":"127.0.0.1"},{"id":"z","endpoint":"?"}]', 'docker', '[1].endpoint'],
	['[{"id":"a","endpoint":"127.0.0.1"},{"id":"A","endpoint":"127.0.0.1"}]', 'docker', '[1].id'],
	['[{"id":"z","endpoint":"127.0.0.1","source":"pods"}]', 'docker', '[0].source'],
	['[{"id":"z","endpoint":"127.0.0.1","source":7}]', 'docker', '[0].source'],
	['[{"id":"z","endpoint":"127.0.0.1"},]', 'docker', ''],
	['{}', 'docker', ''],
	['', 'docker', ''],
	['[]', 'include', 'source'],
	['[]', 'Docker', 'source'],
	['[]', '-x', 'source'],
	['[]', 'x' x 33, 'source'],
	['[]', '', 'source'],
	['[]', 'a%2fb', 'source'],
) {
	my ($body, $source, $field) = @$_;
	my $answer = api($g, 'PUT', "?source=$source", $body);
	is($answer->{status}, 400, "refused: $source: $body");
	is(json($answer)->{field}, $field, '  with its place');
}
$a = api($g, 'PUT', '', '[]');
is($a->{status} . json($a)->{field}, '400source', 'all records of no source are nobody\'s');
is(api($g, $_, '/a?source=include', {})->{status}, 400, "$_ for \"include\" is refused")
    for qw(PUT PATCH DELETE);
for my $source ('pods', 'include', 'X', 7) {
	is(api($g, 'PUT', '/a?source=docker', entry('a', source => $source))->{status}, 400,
	    "a body does not give a record away to $source");
}
is(api($g, 'PATCH', '/a?source=docker', { source => 'pods' })->{status}, 400, '  nor does PATCH');
is(api($g, 'PUT', '?source=docker', '[]', 'If-None-Match: *')->{status}, 412,
    'conditions on a collection are judged');
is(api($g, 'GET', '')->{body}, $before, 'nothing has changed');
is(api($g, 'PUT', '/fixed', json(api($g, 'GET', '/fixed')))->{status}, 200,
    'what is read can be written back');

# Lists by source
feed('long', map { entry(sprintf 'l%03d', $_) } 1 .. 250);
is(ids('?source=pods'), 'n1 new', 'a list of one source');
is(ids('?source=long&limit=3&after=l100'), 'l101 l102 l103', '  in pages');
is(json(api($g, 'GET', '?source=long&limit=3&after=l100'))->{next}, 'l103', '  with the next');
is(ids('?source=docker&limit=1000'), 'a c d', '  with others among them');
is(ids('?source=nobody'), '', '  of nobody');
is(ids('?source=api'), 'fixed mine', '  of the API');
is(api($g, 'GET', '?source=A')->{status}, 400, '  of no name');
is(scalar(split ' ', ids('?limit=1000')), 257, 'one of all');

# What is known of sources
my $known = json(get($g->{port}, '/v1/sources/docker'));
is_deeply([@$known{qw(source records)}], ['docker', 3], 'what is known of a source');
like($known->{fedAt}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '  with the time');
is(join(' ', map { "$_->{source}=$_->{records}" }
    @{ json(get($g->{port}, '/v1/sources'))->{sources} }),
    'docker=3 poll=0 pods=2 long=250', 'and of all that were fed in whole');
for my $name (qw(api nobody include a/b)) {
	$a = get($g->{port}, "/v1/sources/$name");
	is($a->{status} . json($a)->{code}, '404not_found', "$name was never fed");
}
is(request($g->{port}, 'PUT', '/v1/sources/docker', '{}')->{status}, 405, 'they are only read');
is(get($late, '/ends/v1/sources')->{status}, 404, 'and not where endpoints alone are');
is_deeply(status()->{sources}, { api => 2, include => 0, docker => 3, poll => 0, pods => 2,
    long => 250 }, 'the status counts records by source');
like(get($g->{port}, '/status?format=prometheus')->{body},
    qr/^opensandbox_source_sandboxes\{source="long"\} 250$/m, '  and so do the metrics');
is_deeply(feed('api', entry('mine'), entry('fixed', ready => JSON::PP::false,
    expose => [$echo])), counts(0, 0, 0, 2), 'the API is a source as well');

# There is room for 32 names.
is(api($g, 'PUT', "?source=s$_", [entry("s$_")])->{status}, 200, "source s$_") for 1 .. 28;
is(api($g, 'PUT', '?source=last', '[]')->{status}, 200,
    'an empty source makes room for another');
is(get($g->{port}, '/v1/sources/poll')->{status}, 404, '  it is not known any more');
is(api($g, 'PUT', '/x?source=more', entry('x'))->{status}, 201, 'as does the next one');
for (['PUT', '?source=full', [entry('f')]], ['PUT', '/f?source=full', entry('f')],
    ['POST', '?source=full', [entry('f')]]) {
	$a = api($g, @$_);
	is($a->{status} . json($a)->{code} . json($a)->{field}, '507fullsource',
	    "$_->[0] $_->[1] has no place");
}
is(source('f'), 'none', 'nothing came of it');
is_deeply(feed('s1'), counts(0, 0, 1, 0), 'where a source has no records any more');
is(api($g, 'PUT', '/f?source=full', entry('f'))->{status}, 201, '  there is a place');

unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:alert|emerg|crit)\]|on signal/,
    'no process died');
done_testing();
