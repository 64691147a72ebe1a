# SPDX-License-Identifier: Apache-2.0
#
# A name that no rule decides is held, if the operator wants to be asked: its
# clients wait, it is listed and told of, a PATCH that allows it lets them go
# on, and if nothing is said it is denied when its time is over.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);
use DnsWorld;
use Harness;
use Receiver;
use World;

my $w = world();
world_dns($w, map { ("--address=/$_.test/" . GOOD) }
    qw(good new both slow tcp gone half seen));
world_web($w, 'internet', GOOD, 80, 'good');
my $url = receiver($w->{host}, 'hook', { status => 204 });
my $log = scratch() . '/sidecar.log';

# A client of the sandbox's that waits; its pid.
sub waits
{
	my ($name, @cmd) = @_;

	return start(name => $name, netns => $w->{sandbox}, cmd => \@cmd);
}

sub said { return read_file(scratch() . "/$_[0].log") }

sub ended
{
	my ($pid) = @_;
	my $status = wait_exit($pid, 30);

	return defined $status ? $status >> 8 : 'still there';
}

sub pending
{
	my ($status, $text, $json) = api($w, 'GET', '/pending');
	return $status == 200 ? @{ $json->{pending} } : die "pending: $text";
}

# The entry of a name, once it is there and good enough.
sub held
{
	my ($name, $enough) = @_;

	return wait_for(sub {
		my ($entry) = grep { $_->{name} eq $name } pending();
		return $entry && (!$enough || $enough->($entry)) ? $entry : 0;
	}, 20) || {};
}

sub metric
{
	my ($name) = @_;
	return (api($w, 'GET', '/metrics'))[1] =~ /^$name(?:\{.*\})? (\d+)$/m
	    ? $1 : undef;
}

sub events
{
	my ($event, $name) = @_;
	return grep { ($_->{event} // '') eq $event
	    && ($_->{'target.host'} // '') eq $name }
	    map { eval { decode_json($_) } || () } split /\n/, read_file($log);
}

sub told
{
	my ($name) = @_;
	return grep { $_->{hostname} eq $name }
	    map { decode_json($_->{body}) } received('hook');
}

sub seconds
{
	my @t = $_[0] =~ /\A(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\z/
	    or return undef;
	return timegm($t[5], $t[4], $t[3], $t[2], $t[1] - 1, $t[0]);
}

sub allow
{
	my (@names) = @_;
	return (api($w, 'PATCH', '/policy',
		[map { { action => 'allow', target => $_ } } @names]))[0];
}

sub options { netns_etc($w->{sandbox}, 'resolv.conf',
	"nameserver 10.88.0.1\noptions $_[0]\n") }

my %env = (
	OPENSANDBOX_EGRESS_DENY_WEBHOOK => "$url/",
	OPENSANDBOX_EGRESS_RULES => '{"egress":[
		{"action":"allow","target":"good.test"},
		{"action":"allow","target":"www.above.test"},
		{"action":"deny","target":"evil.test"}]}');
my $pid = sidecar($w, env => { %env, OPENSANDBOX_EGRESS_ASK => 100 });
options('timeout:30 attempts:2');

is((api($w, 'GET', '/pending'))[1], '{"pending":[]}', 'at first nothing waits');

# One that waits, and is let through.
my $curl = waits('curl', 'curl', '-sS', '-m', '60', '-o', '/dev/null', '-w',
    '%{http_code}', 'http://New.test/');
my $entry = held('new.test', sub { @{ $_[0]{types} } == 2 });
is_deeply([sort @{ $entry->{types} || [] }], ['A', 'AAAA'],
    'curl\'s name waits, with both of its questions');
is($entry->{askers}, 2, '  which are two');
my ($since, $expires) = map { seconds($_) } @$entry{qw(since expires)};
is($expires - $since, 100, '  for as long as the option says');
ok($since <= time && $since > time - 60, '  since now');
is_deeply([sort keys %$entry], [qw(askers expires name since types)],
    '  and nothing else is said');
ok(wait_for(sub { told('new.test') }), 'the webhook is told');
my ($told) = told('new.test');
ok($told->{pending}, '  that it is pending');
is($told->{source}, 'opensandbox-egress', '  as of a denial');
is(scalar(told('new.test')), 1, '  once');
my ($event) = events('egress.pending', 'new.test');
is($event->{seconds}, 100, 'the log says so, too');
is($event->{peer}, '10.88.0.5', '  and who asks');
is(metric('egress_dns_pending'), 1, 'one is counted that waits');
is(metric('egress_dns_held_total'), 1, '  and one that ever did');
is_deeply([learned($w)], [], 'no address is open yet');

# Meanwhile others are served.
like(dig($w, 'good.test'), qr/status: NOERROR.*\b\Q@{[GOOD]}\E\b/s,
    'an allowed name resolves');
like(dig($w, 'evil.test'), qr/status: NXDOMAIN/, 'a rule denies at once');
like(dig($w, 'above.test'), qr/status: NOERROR.*ANSWER: 0/s,
    'above an allowed name nothing is, at once');
ok(alive($curl), 'the client waits');

my $dig = waits('second', 'dig', '+time=50', '+tries=1', '@' . RESOLVER,
    'new.test');
is(held('new.test', sub { $_[0]{askers} == 3 })->{askers}, 3,
    'a second client waits for the same entry');
is(scalar(pending()), 1, '  which is still one');
is(allow('unrelated.test'), 200, 'another name is allowed');
is(held('new.test')->{askers}, 3, '  which changes nothing');
is(allow('new.test'), 200, 'it is allowed');
is(ended($curl), 0, '  and the client goes on');
is(said('curl'), '200', '  to the server');
is(ended($dig), 0, '  so does the second');
like(said('second'), qr/status: NOERROR.*\b\Q@{[GOOD]}\E\b/s,
    '  which has its answer');
is_deeply([pending()], [], 'nothing waits any longer');
is(metric('egress_dns_approved_total'), 1, 'one was approved');
is(metric('egress_dns_pending'), 0, '  and none waits');
is(scalar(events('egress.denied', 'new.test')), 0, '  nor was denied');
is(scalar(told('new.test')), 1, '  nor told of again');

# A stub resolver repeats itself.
options('timeout:2 attempts:5');
my $getent = waits('getent', 'getent', 'ahostsv4', 'slow.test');
my $queries = metric('egress_dns_queries_total');
is(held('slow.test')->{askers}, 1, 'a stub resolver asks');
ok(wait_for(sub { metric('egress_dns_queries_total') >= $queries + 2 }),
    '  again and again');
is(held('slow.test')->{askers}, 1, '  and is one that waits');
allow('slow.test');
is(ended($getent), 0, '  it gets its answer');
like(said('getent'), qr/^\Q@{[GOOD]}\E/, '  which is right');
options('timeout:30 attempts:2');

# TCP: an answer; one who goes away; one who says that it will ask no more.
my $tcp = waits('tcp', 'dig', '+tcp', '+time=50', '+tries=1', '@' . RESOLVER,
    'tcp.test');
is(held('tcp.test')->{askers}, 1, 'a client waits over TCP');
allow('tcp.test');
is(ended($tcp), 0, '  and is answered');
like(said('tcp'), qr/status: NOERROR.*\b\Q@{[GOOD]}\E\b/s, '  rightly');
my $gone = waits('gone', 'dig', '+tcp', '+time=50', '+tries=1',
    '@' . RESOLVER, 'gone.test');
is(held('gone.test')->{askers}, 1, 'another one waits');
kill_now($gone);
ok(wait_for(sub { !pending() }), '  goes away, and so does its entry');
is(scalar(events('egress.denied', 'gone.test')), 0, '  which is no denial');
is(in_netns($w->{sandbox}, sub {
	my $s = IO::Socket::INET->new(PeerAddr => RESOLVER, PeerPort => 53);
	my $question = pack('n6', 7, 0x0100, 1, 0, 0, 0) . "\4half\4test\0"
	    . pack('nn', 1, 1);
	my $buffer;

	$s->syswrite(pack('n', length $question) . $question);
	shutdown $s, 1;
	alarm 30;
	return $s->sysread($buffer, 100);
}), 0, 'one that says its last is not held, and let go');
ok(wait_for(sub { !pending() }), '  nor is its question');

# Methods and paths.
my ($status, $text) = api($w, 'POST', '/pending', '{}', '-i');
is($status, 405, 'another method: 405');
like($text, qr/^Allow: GET, HEAD\r$/mi, '  which says which there are');
is((api($w, 'GET', '/pending/new.test'))[0], 404, 'nothing is below: 404');
is(stop($pid), 0, 'it ends');

# Nothing is said: denied when the time is over, which asking does not change.
$pid = sidecar($w, env => { %env, OPENSANDBOX_EGRESS_ASK => 3 });
my $begun = time;
my $first = waits('late', 'dig', '+time=30', '+tries=1', '@' . RESOLVER,
    'late.test');
is(held('late.test')->{askers}, 1, 'a client waits');
my $again = waits('again', 'dig', '+time=30', '+tries=1', '@' . RESOLVER,
    'late.test');
is(held('late.test', sub { $_[0]{askers} == 2 })->{askers}, 2,
    '  and a second one');
is(ended($first), 0, '  both are answered');
cmp_ok(time - $begun, '>=', 2.9, '  not before the time is over');
is(ended($again), 0, '  and not one by one');
for my $who (qw(late again)) {
	like(said($who), qr/status: NXDOMAIN/, "  $who: the name is denied");
	like(said($who), qr/denied by policy: default/, '  and why');
}
is_deeply([pending()], [], 'nothing waits any longer');
ok(wait_for(sub { told('late.test') == 3 }), 'the webhook is told');
is_deeply([map { $_->{pending} ? 1 : 0 } told('late.test')], [1, 0, 0],
    '  that it was pending, and of each denial');
is(scalar(events('egress.denied', 'late.test')), 2, 'so does the log');
is(metric('egress_dns_approved_total'), 0, 'none was approved');
is(metric('egress_policy_denied_total'), 2, '  two were denied');
like(dig($w, '+time=30', 'late.test'), qr/status: NXDOMAIN/,
    'asked once more');
is(metric('egress_dns_held_total'), 2, '  it is held once more');
is(stop($pid), 0, 'it ends');

# Off, and in an audit, nothing is held.
$pid = sidecar($w, env => \%env);
like(dig($w, 'late.test'), qr/status: NXDOMAIN/, 'off: denied at once');
is((api($w, 'GET', '/pending'))[1], '{"pending":[]}', '  and nothing waits');
is(metric('egress_dns_held_total'), 0, '  nor did');
stop($pid);
$pid = sidecar($w, env => { %env, OPENSANDBOX_EGRESS_ASK => 100 },
    args => ['--audit']);
like(dig($w, 'seen.test'), qr/status: NOERROR.*\b\Q@{[GOOD]}\E\b/s,
    'an audit answers');
is(metric('egress_dns_held_total'), 0, '  and holds nothing');
stop($pid);

# What is no time.
for my $value ('301', '-1', 'x', '1.5') {
	my ($status, $out) = capture(build_dir() . '/egress-sidecar', '--ask',
	    $value);
	is($status, 2, "--ask $value: no");
	like($out, qr/--ask: "\Q$value\E": expected seconds, at most 300/,
	    '  which says what is expected');
}

done_testing();
