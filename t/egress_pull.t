# SPDX-License-Identifier: Apache-2.0
#
# The policy that a gateway serves is followed at once; whatever the gateway
# does, the last good one stays.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use Receiver;
use Sidecar;

my $ns = netns('sb');

sub answer
{
	my ($etag, @targets) = @_;
	return { etag => "\"$etag\"", body => rules(@targets) };
}

my $url = receiver(undef, 'gateway', answer('1', 'one.test'));
my @follow = ($ns, "$url/v1/sandboxes/sb-1/policy", 'secret',
	'--max-rules', '3');
my $pid = follow(@follow);

# Wait until the gateway has been asked n times more.
sub asked
{
	my ($n, $from) = @_;
	return wait_for(sub { received('gateway') >= $from + $n }, 60);
}

sub logged
{
	my ($event) = @_;
	return grep { ($_->{event} // '') eq $event }
	    map { eval { decode_json($_) } || () } split /\n/, sidecar_log();
}

becomes('the gateway\'s policy is in force', 'one.test');
my ($first) = received('gateway');
is($first->{path}, '/v1/sandboxes/sb-1/policy', 'asked at its URL');
is($first->{headers}{authorization}, 'Bearer secret', '  with the token');
ok(!exists $first->{headers}{'if-none-match'}, '  without a tag at first');

ok(asked(1, 1), 'asked again');
my $second = (received('gateway'))[1];
is($second->{headers}{'if-none-match'}, '"1"', '  with the tag');
is($second->{headers}{prefer}, 'wait=30', '  and the wish to be kept waiting');

script('gateway', answer('2', 'two.test', 'three.test'));
becomes('a change arrives', 'two.test', 'three.test');
is(scalar(logged('egress.updated')), 2, 'each policy was taken once');

# What is no policy. The tag changes, so that each is seen.
for my $case (
	['broken JSON', { body => '{"egress":[' }],
	['an unknown action', { body =>
		'{"egress":[{"action":"maybe","target":"a.test"}]}' }],
	['HTML', { body => '<html>captive portal</html>' }],
	['nothing at all', { body => '' }],
	['blanks', { body => "  \n" }],
	['more rules than the cap', { body => rules(map { "r$_.test" } 1 .. 4) }],
) {
	my ($name, $bad) = @$case;
	my $failures = logged('egress.update_failed');
	my $from = received('gateway');
	script('gateway', { etag => "\"$name\"", %$bad });
	ok(wait_for(sub { logged('egress.update_failed') > $failures }, 30),
	    "$name is refused, and logged");
	is(in_force(), rules('two.test', 'three.test'), '  the last one stays');
	ok(asked(1, $from), '  the gateway is asked on');
	$from = received('gateway');
	script('gateway', { etag => "\"$name again\"", %$bad });
	ok(asked(1, $from), '  and gives it again under another tag');
	is(scalar(logged('egress.update_failed')), $failures + 1,
	    '  but it is logged once');
}
script('gateway', answer('3', 'three.test'));
becomes('a good one is taken again', 'three.test');

# A gateway that fails.
for my $case (
	['an error', { status => 500, etag => '"e"' }],
	['not found', { status => 404, etag => '"f"' }],
	['no permission', { status => 401, etag => '"g"' }],
	['a redirection', { status => 302, etag => '"h"',
		headers => { Location => "$url/elsewhere" } }],
	['a closed connection', { close => 1, etag => '"i"' }],
	['gigabytes', { etag => '"j"', body => 'x' x 1000, repeat => 50000 }],
	['endless headers', { etag => '"k"', headers => {
		map { ("X-$_" => 'x' x 4000) } 1 .. 40 } }],
) {
	my ($name, $bad) = @$case;
	my $from = received('gateway');
	script('gateway', $bad);
	ok(asked(2, $from), "$name: asked again");
	is(in_force(), rules('three.test'), '  the last one stays');
	script('gateway', answer("after $name", 'three.test', 'x.test'));
	becomes('  and a good answer is taken', 'three.test', 'x.test');
	script('gateway', answer("restored $name", 'three.test'));
	becomes('  as is the next', 'three.test');
}
is(scalar(grep { $_->{path} eq '/elsewhere' } received('gateway')), 0,
    'no redirection is followed');
ok(alive($pid), 'it lives');

# null is a policy: deny all.
script('gateway', { etag => '"null"', body => 'null' });
becomes('null denies all');
script('gateway', answer('last', 'last.test'));
becomes('and is replaced', 'last.test');

# The gateway is away at the next start.
is(stop($pid), 0, 'it ends');
script('gateway', { status => 503 });
$pid = follow(@follow);
is(in_force(), rules('last.test'), 'the next start has the last policy');
is(stop($pid), 0, 'it ends');

done_testing();
