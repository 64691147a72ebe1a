# SPDX-License-Identifier: Apache-2.0
#
# The webhook is told of denied names, whatever it answers, and never holds up
# an answer to the sandbox.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use POSIX qw(strftime);
use Test::More;
use Harness;
use Receiver;
use World;

my $w = world();
world_dns($w);
my $url = receiver($w->{host}, 'hook', { status => 204 });
my $pid = sidecar($w, env => {
	OPENSANDBOX_EGRESS_DENY_WEBHOOK => "$url/denied?x=1",
	OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
	OPENSANDBOX_EGRESS_RULES =>
	    '{"egress":[{"action":"allow","target":"good.test"}]}' });

# Ask for a name; returns the status of the answer.
sub lookup
{
	my ($name) = @_;
	my (undef, $out) = sees($w, 'dig', '+time=5', '+tries=1', '@10.88.0.1',
	    $name);
	return $out =~ /status: (\w+)/ ? $1 : $out;
}

sub denials
{
	return grep { $_->{method} eq 'POST' } received('hook');
}

sub hosts
{
	return map { decode_json($_->{body})->{hostname} } denials();
}

is(lookup('good.test'), 'NOERROR', 'an allowed name resolves');
is(lookup('Evil.Test'), 'NXDOMAIN', 'a denied one does not');
ok(wait_for(sub { denials() > 0 }), 'the webhook is told');
my ($first) = denials();
is($first->{path}, '/denied?x=1', '  at its URL');
is($first->{headers}{'content-type'}, 'application/json', '  in JSON');
my $event = decode_json($first->{body});
my $stamp = delete $event->{timestamp};
is_deeply($event, { hostname => 'evil.test', source => 'opensandbox-egress',
	sandboxId => 'sb-1' }, '  of the name, the source and the sandbox');
like($stamp, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/, '  and the time');
cmp_ok($stamp, 'le', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), '  in UTC');

# 5xx is tried again, 1, 2 and 4 seconds later.
my $before = denials();
script('hook', (map { { status => 204 } } 1 .. $before),
	{ status => 503, headers => { Connection => 'close' } }, { close => 1 },
	{ status => 500 }, { status => 200 });
is(lookup('again.test'), 'NXDOMAIN', 'denied, and the webhook fails');
is(lookup('next.test'), 'NXDOMAIN', 'another one meanwhile');
ok(wait_for(sub { denials() >= $before + 5 }, 30), 'the webhook gets both');
is_deeply([(hosts())[$before .. $before + 4]],
    [('again.test') x 4, 'next.test'],
    '  the first until it is taken, three times more, then the next');
my @times = map { $_->{time} } (denials())[$before .. $before + 3];
my @gaps = map { $times[$_] - $times[$_ - 1] } 1 .. 3;
ok($gaps[0] >= 0.9 && $gaps[1] >= 1.9 && $gaps[2] >= 3.9,
    '  no sooner than 1, 2 and 4 seconds later') or diag "@gaps";

# 4xx and redirections are not.
$before = denials();
script('hook', { status => 404 });
lookup('refused.test');
ok(wait_for(sub { denials() == $before + 1 }), 'a 404 is taken for an answer');
script('hook', { status => 307, headers => { Location => "$url/elsewhere" } });
lookup('moved.test');
ok(wait_for(sub { denials() == $before + 2 }), 'so is a redirection');
script('hook', { status => 200, body => 'x' x 1000, repeat => 10000 });
lookup('huge.test');
ok(wait_for(sub { denials() == $before + 3 }), 'a huge answer');
script('hook', { status => 200 });
lookup('last.test');
ok(wait_for(sub { denials() == $before + 4 }), 'is cut off, and the next sent');
is_deeply([(hosts())[$before .. $before + 3]],
    [qw(refused.test moved.test huge.test last.test)], 'each was sent once');
is(scalar(grep { $_->{path} eq '/elsewhere' } received('hook')), 0,
    'a redirection is not followed');
ok(alive($pid), 'it lives');

# One that hangs delays nothing.
script('hook', { delay => 60 });
is(lookup('hangs.test'), 'NXDOMAIN', 'the webhook hangs: denied at once');
my @asked = map { lookup("flood$_.test") } 1 .. 20;
is_deeply(\@asked, [('NXDOMAIN') x 20], '  and the next, and the next');
is(lookup('good.test'), 'NOERROR', '  and allowed names resolve');
is(stop($pid), 0, 'it ends at once, whatever is in the queue');

done_testing();
