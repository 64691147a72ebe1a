# SPDX-License-Identifier: Apache-2.0
#
# Taking a rule back ends what it had let in, at once and nothing else: busy
# and idle connections, learned addresses, a question that is under way. What
# is still allowed lives on and needs no new lookup; so do the connections over
# which clients ask for names.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::IP;
use Test::More;
use Harness;
use Hostile;
use World;

my $w = world();
my $dir = scratch();
my $ns = $w->{sandbox};

watch_cable($w, allowed => [GOOD, GOOD6, EVIL, EVIL6]);
liar($w, {
	map({ ($_->[0] => {
		A => [[$_->[0], 60, 'A', $_->[1]]],
		AAAA => [[$_->[0], 60, 'AAAA', $_->[2]]] }) }
	    ['good.test', GOOD, GOOD6], ['evil.test', EVIL, EVIL6],
	    ['shared.test', GOOD, GOOD6]),
	'slow.test' => { wait => "$dir/go",
		A => [['slow.test', 60, 'A', '203.0.113.99']] },
});
start(name => 'echo', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/hostile.py', 'echo',
	join(',', GOOD, EVIL, EVIL6, '203.0.113.99'), 7, 600]);
wait_for(sub { read_file("$dir/echo.log") =~ /listening/ });

# What a connection's holder has said, its last line.
sub fate
{
	my ($name) = @_;

	return (split /\n/, read_file("$dir/$name.log"))[-1] // '';
}

sub lookup
{
	my ($name) = @_;

	return (sees($w, 'dig', '+short', '+time=5', '+tries=1', '@10.88.0.1',
	    $name))[1];
}

# Over one TCP connection: ask for a name, and again once FILE is there; what
# came goes to ANSWERS, a response code for each.
sub ask_twice
{
	my ($file, $answers) = @_;
	my $s = IO::Socket::IP->new(PeerHost => RESOLVER, PeerPort => 53,
	    Type => SOCK_STREAM) or die "connect: $!";
	my $question = pack 'n/a', dns_question(dns_name('good', 'test'));
	my $text = '';

	local $SIG{PIPE} = 'IGNORE';
	for (1 .. 2) {
		my $message;

		syswrite $s, $question;
		sysread $s, $message, 65537;
		$text .= dns_rcode(substr($message // '', 2) // '') . "\n";
		write_file("$answers.new", $text);
		rename "$answers.new", $answers;
		wait_for(sub { -e $file }, 60);
	}
	return '';
}

sub put
{
	my ($name, @targets) = @_;

	is((api($w, 'PUT', '/policy', policy_of(@targets)))[0], 200, $name);
}

for my $how (qw(join sidecar)) {
	my $pid = sidecar($w, how => $how, name => "sidecar-$how", env => {
		OPENSANDBOX_EGRESS_RULES => policy_of('good.test', 'evil.test') });
	my %holder;

	is(lookup($_->[0]), "$_->[1]\n", "$how: $_->[0] is looked up")
	    for ['good.test', GOOD], ['evil.test', EVIL];
	like((sees($w, 'dig', '+short', '@10.88.0.1', 'evil.test', 'AAAA'))[1],
	    qr/^2001/, "$how: over IPv6 too");
	my @hold = (
		['busy-good', 'hold', GOOD], ['idle-good', 'idle', GOOD],
		['busy-evil', 'hold', EVIL], ['idle-evil', 'idle', EVIL],
		['busy-evil6', 'hold', EVIL6], ['idle-evil6', 'idle', EVIL6],
	);
	for (@hold) {
		my ($name, $what, $address) = @$_;

		$holder{$name} = hostile_start($w, NOBODY, "$how-$name", $what,
		    $address, 7, 30);
	}
	for (@hold) {
		ok(wait_for(sub { fate("$how-$_->[0]") eq 'connected' }),
		    "$how: $_->[0] is connected");
	}

	my $asked = asked();
	put("$how: the same policy again", 'good.test', 'evil.test');
	put("$how: a policy changed elsewhere", 'new.test', 'good.test',
	    'evil.test');
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
	    "$how: a learned address opens without a new lookup");
	is(hostile($w, NOBODY, 'udp', EVIL, 7), 'open', "$how: so does the other");
	is(scalar asked(), $asked, "$how: there was no new lookup");
	is(fate("$how-$_->[0]"), 'connected', "$how: $_->[0] lives on") for @hold;

	my ($again, $answers) = ("$dir/$how-again", "$dir/$how-answers");
	my $client = spawn("$how-client", sub { in_netns($ns, sub {
		ask_twice($again, $answers) }) });
	ok(wait_for(sub { read_file($answers) eq "NOERROR\n" }),
	    "$how: a client asks over TCP");

	is((api($w, 'DELETE', '/policy', '["evil.test"]'))[0], 200,
	    "$how: a rule is taken back");
	like(hostile($w, NOBODY, 'tcp', EVIL, 7), qr/^ECONNREFUSED/,
	    "$how: its address is refused at once");
	is(hostile($w, NOBODY, 'udp', EVIL, 7), 'EPERM', "$how: over UDP too");
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
	    "$how: what is allowed opens");
	for (grep { $_->[0] =~ /evil/ } @hold) {
		ok(wait_for(sub { fate("$how-$_->[0]") =~
			/^(ECONNRESET|ECONNABORTED|ECONNREFUSED|EPIPE)$/ }, 5),
		    "$how: $_->[0] is reset")
		    or diag fate("$how-$_->[0]");
	}
	is(fate("$how-$_->[0]"), 'connected', "$how: $_->[0] lives on")
	    for grep { $_->[0] =~ /good/ } @hold;
	write_file($again, '');
	wait_exit($client, 20);
	is(read_file($answers), "NOERROR\nNOERROR\n",
	    "$how: the client asks again over its connection");
	my $before = counted($w, 'evil');
	is(hostile($w, NOBODY, 'tcp', EVIL6, 7), 'ECONNREFUSED',
	    "$how: nothing comes back later") for 1 .. 3;
	is(counted($w, 'evil'), $before, "$how: nothing arrives there any more");
	is(lookup('evil.test'), '', "$how: nor does its name resolve, once cached");

	# An address that another name still leads to stays.
	put("$how: a second name for an address", 'good.test', 'shared.test');
	is(lookup('shared.test'), GOOD . "\n", "$how: is looked up");
	put("$how: the first name is taken back", 'shared.test');
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'open',
	    "$how: its address stays open");
	is(fate("$how-busy-good"), 'connected', "$how: its connection too");
	put("$how: the second as well");
	ok(wait_for(sub { fate("$how-busy-good") =~ /^E/ }, 5),
	    "$how: which ends it");
	is(hostile($w, NOBODY, 'tcp', GOOD, 7), 'ECONNREFUSED',
	    "$how: the address is closed");

	# A question under way while its rule is revoked.
	put("$how: a slow name is allowed", 'slow.test');
	unlink "$dir/go";
	$asked = asked('slow\.test');
	my $dig = start(name => "$how-dig", netns => $w->{sandbox}, cmd => ['dig',
		'+time=10', '+tries=1', '@10.88.0.1', 'slow.test']);
	ok(wait_for(sub { asked('slow\.test') > $asked }),
	    "$how: its question is under way");
	put("$how: it is revoked", 'good.test');
	write_file("$dir/go", '');
	ok(defined wait_exit($dig, 12), "$how: the question is answered");
	unlike(read_file("$dir/$how-dig.log"), qr/203\.0\.113\.99/,
	    "$how: without the address");
	is(grep({ $_ eq '203.0.113.99' } learned($w)), 0,
	    "$how: the kernel has not learned it");
	is(hostile($w, NOBODY, 'tcp', '203.0.113.99', 7), 'ECONNREFUSED',
	    "$how: it is refused");
	is(lookup('good.test'), GOOD . "\n", "$how: others are answered");
	is(stop($pid), 0, "$how: the sidecar ends well");
	stop($_) for values %holder;
}
is(leaked($w), 0, 'nothing left for anywhere else');

done_testing(109);
