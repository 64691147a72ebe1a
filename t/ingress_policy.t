#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Policies in includes: mistakes are named with file and line, and sandboxes
# get what the blocks say.

use strict;
use warnings;
use JSON::PP;
use Test::More;
use Harness;
use Ingress;

my $json = JSON::PP->new->canonical;
my $file = scratch() . '/policies.conf';
my $part = scratch() . '/part.conf';
my $library = root() . '/conf/policies';

sub mistake
{
	my ($text, $error, $what, $line) = @_;
	write_file($file, "\n$text\n");
	my $at = quotemeta($file) . ':' . ($line // 2);
	like(config_error(http => "include $file;"), qr/$error.* in $at$/m,
	    $what);
}

sub block { return "opensandbox_policy p { $_[0] }" }

sub rule { return { action => $_[0], target => $_[1] } }

sub same
{
	my ($got, $want, $what) = @_;
	is($json->encode($got // {}), $json->encode($want), $what);
}

# Mistakes.
mistake(block('allow 10.0.0.0/33;'), '"10.0.0.0/33"', 'a bad range');
mistake(block('allow a.test b..test;'), '"b..test"', 'a bad name');
mistake(block('deny 10.0.0.1-9;'), '"10.0.0.1-9"', 'a range with a hyphen');
mistake(block('allow;'), 'number of arguments', 'no target');
mistake(block('default;'), 'number of arguments', 'no default');
mistake(block('default maybe;'), 'invalid value "maybe"', 'a bad default');
mistake(block('default deny; default deny;'), 'duplicate', 'two defaults');
mistake(block('permit a.test;'), 'unknown directive', 'a new word');
mistake(block('include;'), 'number of arguments', 'an include of nothing');
mistake(block('') . block(''), 'duplicate policy', 'two of one name');
mistake("opensandbox_sandbox sb {\nendpoint 127.0.0.1;\npolicy none;\n}",
    'unknown policy "none"', 'an unknown policy', 4);
mistake(block('') . 'opensandbox_sandbox sb { policy p; policy p; }',
    'duplicate', 'two policies');
mistake(block("include $part.absent;"), 'No such file', 'a missing file');
mistake(block(join ' ', 'deny', (map { "n$_.test" } 1 .. 1900), ';'),
    'larger than', 'a policy beyond what a record holds');

write_file($part, "# fine\nallow fine.test;\nallow -bad-.test!;\n");
write_file($file, block("include $part;"));
like(config_error(http => "include $file;"),
    qr/"-bad-\.test!".* in \Q$part\E:3$/m, 'a mistake in a nested include');

# Each file of the library, and all of them.
for my $path (glob "$library/*.conf") {
	is(config_error(http => block("include $path;")), '', $path);
}
is(config_error(http => block("default deny; include $library/*.conf;")), '',
    'a glob');

# What sandboxes get.
write_file($part, "deny 10.0.0.0/8;\nallow *.b.test;\n");
write_file($file, <<"EOT");
opensandbox_sandbox early { endpoint 127.0.0.1; policy dev; }
opensandbox_policy dev {
    default deny;
    allow 10.1.0.0/16 A.test;
    include $part;
    include $library/pypi.conf;
    allow "::1";
}
opensandbox_policy open { default allow; deny c.test; }
opensandbox_sandbox late { policy open; endpoint 127.0.0.1; }
opensandbox_sandbox bare { endpoint 127.0.0.1; }
opensandbox_policy empty { }
opensandbox_sandbox shut { endpoint 127.0.0.1; policy empty; }
EOT
my $g = gateway(http => "include $file;");
my $dev = { defaultAction => 'deny', egress => [
	rule('allow', '10.1.0.0/16'), rule('allow', 'A.test'),
	rule('deny', '10.0.0.0/8'), rule('allow', '*.b.test'),
	rule('allow', 'pypi.org'), rule('allow', '*.pythonhosted.org'),
	rule('allow', '::1')] };
my $open = { defaultAction => 'allow', egress => [rule('deny', 'c.test')] };
my $none = { defaultAction => 'deny', egress => [] };

same(json(api($g, 'GET', '/early'))->{policy}, $dev, 'a policy with includes');
same(json(api($g, 'GET', '/late'))->{policy}, $open, 'one that allows');
ok(!exists json(api($g, 'GET', '/bare'))->{policy}, 'none without one');
same(json(api($g, 'GET', '/shut'))->{policy}, $none, 'an empty block denies');

# Records of the API.
my $record = { endpoint => '127.0.0.1', policy => $open };
is(api($g, 'PUT', '/sb', $record)->{status}, 201, 'a record with a policy');
same(json(api($g, 'GET', '/sb'))->{policy}, $open, '  shows it');
for my $case (
	['a string', 'deny', 'object'],
	['a list', [], 'object'],
	['an unknown key', { Egress => [] }, 'Egress'],
	['a bad target', { egress => [rule('allow', 'a..b')] }, 'egress\[0\]'],
	['a bad action', { egress => [rule('maybe', 'a.b')] }, 'egress\[0\]'],
	['too large', { egress => [map { rule('deny', "n$_.test") } 1 .. 1900] },
		'larger than'],
) {
	my ($what, $policy, $error) = @$case;
	for my $method ('PUT', 'PATCH') {
		my $a = api($g, $method, '/sb',
		    { endpoint => '127.0.0.1', policy => $policy });
		is($a->{status}, 400, "$method of $what is refused");
		is(json($a)->{field}, 'policy', '  with the field');
		like(json($a)->{message}, qr/$error/, '  and why');
	}
}
same(json(api($g, 'GET', '/sb'))->{policy}, $open, 'the policy has stayed');
is(api($g, 'PATCH', '/sb', { ready => JSON::PP::false })->{status}, 200,
    'a change of something else');
same(json(api($g, 'GET', '/sb'))->{policy}, $open, '  keeps the policy');
is(api($g, 'PATCH', '/sb', { policy => { egress => [] } })->{status}, 200,
    'a change of the rules');
same(json(api($g, 'GET', '/sb'))->{policy},
    { defaultAction => 'allow', egress => [] }, '  merges');
is(api($g, 'PATCH', '/sb', { policy => undef })->{status}, 200, 'null');
ok(!exists json(api($g, 'GET', '/sb'))->{policy}, '  removes the policy');
my $big = { defaultAction => 'deny', egress =>
	[map { rule('deny', "n$_.test") } 1 .. 1000] };
is(api($g, 'PATCH', '/sb', { policy => $big })->{status}, 200, 'a big one');
same(json(api($g, 'GET', '/sb'))->{policy}, $big, '  is kept whole');
same((grep { $_->{id} eq 'sb' } @{ json(api($g, 'GET', ''))->{sandboxes} })
    [0]->{policy}, $big, '  and listed');

# The endpoint for sidecars.
sub policy
{
	my ($id, @headers) = @_;
	return get($g->{port}, "/v1/sandboxes/$id/policy", @headers);
}

sub tag { return $_[0]{headers}{etag}[0] // '' }

my $a = policy('EARLY');
is($a->{status}, 200, 'a policy is served');
is($a->{headers}{'content-type'}[0], 'application/json', '  as JSON');
same(json($a), $dev, '  the document alone');
like(tag($a), qr/^"[0-9a-f]{32}"$/, '  with a strong tag');
is(tag(policy('early')), tag($a), '  that stays');
isnt(tag(policy('late')), tag($a), '  and differs for another');
same(json(policy('bare')), $none, 'no policy: deny all');
is(policy('none')->{status}, 404, 'an unknown sandbox');
for my $match (tag($a), 'W/' . tag($a), '"x", ' . tag($a), '*') {
	my $b = policy('early', "If-None-Match: $match",
	    'If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT');
	is($b->{status}, 304, "not modified: $match");
	is(tag($b), tag($a), '  with the tag');
	is($b->{body}, '', '  without a body');
}
is(policy('early', 'If-None-Match: "x"')->{status}, 200, 'another tag');
is(request($g->{port}, 'HEAD', '/v1/sandboxes/early/policy')->{status}, 200,
    'HEAD');
$a = request($g->{port}, 'PUT', '/v1/sandboxes/early/policy', '{}');
is($a->{status}, 405, 'it is not written there');
is($a->{headers}{allow}[0], 'GET, HEAD', '  and says so');

# Those who have the present policy wait for the next.
sub wait_policy
{
	my ($id, $etag, $prefer) = @_;
	my $socket = connect_to($g->{port});
	print $socket "GET /v1/sandboxes/$id/policy HTTP/1.1\r\n"
	    . "Host: localhost\r\nIf-None-Match: $etag\r\n"
	    . 'Prefer: ' . ($prefer // 'wait=60') . "\r\n\r\n";
	return $socket;
}

# No answer is there yet. By then another request has been answered.
sub held
{
	my ($socket, $what) = @_;
	api($g, 'GET', '/bare') for 1 .. 8;
	ok(!IO::Select->new($socket)->can_read(0.3), $what);
}

$a = policy('sb', 'Prefer: wait=60');
is($a->{status}, 200, 'without a tag there is no wait');
my $s = wait_policy('sb', tag($a));
my $other = wait_policy('early', tag(policy('early')));
held($s, 'with the tag there is');
api($g, 'PATCH', '/sb', { ready => JSON::PP::true });
api($g, 'PUT', '/unrelated', { endpoint => '127.0.0.1' });
held($s, 'other changes do not end it');
api($g, 'PATCH', '/sb', { policy => $open });
my $b = read_answer($s);
is($b->{status}, 200, 'a change does');
same(json($b), $open, '  with the new policy');
isnt(tag($b), tag($a), '  and its tag');
is($b->{headers}{'preference-applied'}[0], 'wait', '  and says that it waited');
print $s "GET /v1/sandboxes/sb/policy HTTP/1.1\r\nHost: localhost\r\n\r\n";
is(tag(read_answer($s)), tag($b), 'the connection goes on');
held($other, 'the other still waits');
$s = wait_policy('sb', tag($b), 'respond-async, wait=1');
$b = read_answer($s);
is($b->{status}, 304, 'no change: not modified at the end');
is($b->{headers}{'preference-applied'}[0], 'wait', '  after the wait');
for my $prefer ("respond-async\r\nPrefer: wait=1", 'wait = "1"; x="a,b"',
    'x="a, wait=0" , WAIT=1 ,wait=0') {
	$b = read_answer(wait_policy('sb', tag($b), $prefer));
	is($b->{headers}{'preference-applied'}[0], 'wait', "$prefer is a wait");
}
for my $prefer ('wait=0', 'wait=x', 'wait', 'waiting=9', 'wait=-1',
    'x="wait=9"', 'x; wait=9') {
	$b = read_answer(wait_policy('sb', tag($b), $prefer));
	is($b->{status}, 304, "$prefer is no wait");
	ok(!$b->{headers}{'preference-applied'}, '  and says so');
}
$s = wait_policy('sb', tag($b));
held($s, 'a wait');
api($g, 'DELETE', '/sb');
is(read_answer($s)->{status}, 404, '  ends with the sandbox');
$s = wait_policy('late', tag(policy('late')));
held($s, 'a client that waits');
close $s;
ok(alive($g->{pid}), '  may go');

# A change of an include.
$s = wait_policy('late', tag(policy('late')));
held($s, 'a wait before a reload');
write_file($part, "deny 10.0.0.0/8;\n");
reload($g);
$b = read_answer($other);
$dev->{egress} = [grep { $_->{target} ne '*.b.test' } @{ $dev->{egress} }];
is($b->{status}, 200, 'a change of an include ends the wait');
same(json($b), $dev, '  with the new policy');
is(read_answer($s)->{status}, 304, 'the reload ends that of another, too');
same(json(policy('early')), $dev, 'new workers serve the same');
ok(wait_for(sub {
	my $gone = () = read_file("$g->{prefix}/error.log")
	    =~ /worker process \d+ exited with code 0/g;
	return $gone >= 2;
}, 10), 'the old workers have gone');
unlike(read_file("$g->{prefix}/error.log"), qr/exited on signal|open socket/,
    'nothing was left open');

# The state file keeps policies of the API, however long.
$g = gateway(zone => 'opensandbox_zone s:4m state=%PREFIX%/state;');
api($g, 'PUT', '/sb', { endpoint => '127.0.0.1', policy => $big });
$a = policy('sb');
restart($g);
is(tag(policy('sb')), tag($a), 'a policy outlives a restart');
same(json(policy('sb')), $big, '  whole');

done_testing();
