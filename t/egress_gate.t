# SPDX-License-Identifier: Apache-2.0
#
# The gate (--gate names), in each mode: of the names that one address serves,
# connections reach those alone that the policy allows and that led there. Of
# any other not one packet arrives; log, webhook and metrics say so.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Harness;
use GateWorld;
use Receiver;
use World;

my $w = gate_world();
my $hook = free_port();
receiver_at($w->{host}, 'hook', '10.88.0.1', $hook, { status => 204 });
my $policy = allow('good.test', 'also.test', 'evil.test',
    { action => 'allow', target => TENANT, ports => [443] });

# What the webhook was told of since the mode began.
my $told = 0;
sub told
{
	my @all = map { decode_json($_->{body})->{hostname} }
	    grep { $_->{method} eq 'POST' } received('hook');
	return @all[$told .. $#all];
}

# Bytes on a connection to an address of the content network: what came back
# until it ended, "reset" where it was.
sub says
{
	my ($port, @pieces) = @_;
	return in_netns($w->{sandbox}, sub {
		my $s = IO::Socket::INET->new(PeerAddr => GOOD, PeerPort => $port)
		    or return "connect: $!";
		my $got = '';
		local $SIG{ALRM} = sub { die "late\n" };
		alarm 15;
		for my $piece (@pieces) {
			my ($text, $answers) = ref $piece ? @$piece : ($piece, 0);
			$s->syswrite($text) // return $!{ECONNRESET} ? 'reset' : "$!";
			while ($answers && ($got =~ s/HTTP \S+\n//)) { }
			while ($answers) {
				my $n = $s->sysread(my $more, 65536);
				return "reset $got" if !defined $n;
				$got .= $more;
				$answers-- if $got =~ /^HTTP \S+\n\z/m;
			}
		}
		while (1) {
			my $n = $s->sysread(my $more, 65536);
			return $!{ECONNRESET} ? 'reset' : "$!" if !defined $n;
			return "end $got" if !$n;
			$got .= $more;
		}
	});
}

sub refused_lines
{
	my ($reason) = @_;
	return gate_log($w, event => 'egress.denied', reason => $reason);
}

for my $mode (qw(join sidecar agent)) {
	subtest $mode => sub { gate_in($mode) };
}

sub gate_in
{
	my ($mode) = @_;
	$told = grep { $_->{method} eq 'POST' } received('hook');
	my $pid = gate_start($w, $mode, $policy, env => {
		OPENSANDBOX_EGRESS_DENY_WEBHOOK => "http://10.88.0.1:$hook/" });
	my ($loaded) = gate_log($w, event => 'egress.loaded');
	is_deeply([$loaded->{'egress.gate'}, $loaded->{'egress.gate_ports'}],
	    ['names', [443, 80]], 'the log says that there is a gate');

	is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'TLS by name');
	is(fetch($w, '-4', 'https://also.test/'), 'TLS also.test',
	    'another name of the address, which is allowed too');
	is(fetch($w, '-4', 'http://good.test/'), 'HTTP good.test', 'HTTP by name');
	is(fetch($w, '-6', 'https://good.test/'), 'TLS good.test', 'TLS over IPv6');
	is(fetch($w, '-6', 'http://also.test/'), 'HTTP also.test', 'HTTP over IPv6');
	is(tls($w, 'whoever.test', TENANT), 'TLS whoever.test',
	    'what a rule for addresses allows is not gated');

	# Another tenant of the same addresses.
	my $served = served("443 whoever.test whoever.test\n");
	for my $at (GOOD, GOOD6) {
		my $got;
		is(arrived($w, sub { $got = tls($w, 'other.test', $at) }), 0,
		    "another name at $at: nothing arrives");
		is($got, 'reset', '  and it is reset');
		is(arrived($w, sub { $got = clear_request($w, 'other.test', $at) }), 0,
		    '  HTTP as well: nothing arrives');
		is($got, 'reset', '  and it is reset');
	}
	my $got;
	sees($w, 'getent', 'ahostsv4', 'evil.test');
	is(arrived($w, sub { $got = tls($w, 'evil.test', GOOD) }), 0,
	    'an allowed name, which led elsewhere: nothing arrives');
	is($got, 'reset', '  and it is reset');
	is(arrived($w, sub { ($got) = (sees($w, 'openssl', 's_client', '-noservername',
		'-connect', GOOD . ':443'))[1] }), 0, 'TLS without a name: nothing arrives');
	unlike($got, qr/CN ?= ?cdn/, '  nor comes back');
	is(arrived($w, sub { $got = says(443, "SSH-2.0-x\r\n") }), 0,
	    'neither TLS nor HTTP: nothing arrives');
	is($got, 'reset', '  and it is reset');
	is(served(), $served, 'the servers were asked for none of it');

	# Each request of a connection.
	my $get = sub { "GET / HTTP/1.1\r\nHost: $_[0]\r\n\r\n" };
	is(says(80, [$get->('good.test'), 1], [$get->('also.test'), 1],
		$get->('other.test')), 'reset', 'a later request for another name');
	my $two = "80 - good.test\n80 - also.test\n";
	is(served($two), $served . $two,
	    '  does not reach the server, those before it do');
	is(arrived($w, sub { sees($w, 'bash', '-c',
		'echo x >/dev/udp/' . GOOD . '/443') }), 0, 'QUIC is refused');

	# What was said of it.
	my ($line) = grep { $_->{'target.ip'} eq GOOD
	    && $_->{'target.port'} == 443 } refused_lines('sni_mismatch');
	is_deeply({ map { $_ => $line->{$_} } qw(msg level target.host protocol
		sandbox_id) }, { msg => 'connection refused by name',
		level => 'info', 'target.host' => 'other.test', protocol => 'tcp',
		sandbox_id => 'sb' }, 'the log names what the connection gave');
	is($line->{peer}, '10.88.0.5', '  and who made it');
	is(scalar(refused_lines('no_name')), 1, '  one without a name');
	is(scalar(refused_lines('malformed')), 1, '  one that was no TLS');
	my $metrics = gate_metrics($w);
	is($metrics->{refused_sni_mismatch_total}, 6, 'counted: other names');
	is($metrics->{refused_no_name_total}, 1, '  no name');
	is($metrics->{refused_malformed_total}, 1, '  no TLS and no HTTP');
	is($metrics->{accepted_total} - $metrics->{allowed_total}, 7,
	    '  those let on are the others, and the one of two requests');
	ok(wait_for(sub { (grep { $_ eq 'other.test' } told()) == 5 }),
	    'the webhook is told each time') or diag join ' ', told();
	is(scalar(grep { $_ =~ /^(?:good|also)\.test$/ } told()), 2,
	    '  and of what gave no name, by the name known for the address');

	# Revocation.
	my ($good, $also) = (hold($w, 'good.test'), hold($w, 'also.test'));
	is(gate_metrics($w)->{connections}, 2, 'two connections are held open');
	gate_policy($w, allow('also.test'));
	ok(wait_for(sub { !alive($good) }, 5), 'a name that is revoked: its connection ends');
	is(fetch($w, '-4', 'https://also.test/'), 'TLS also.test', 'the other is served');
	ok(alive($also), '  and its connection lives');
	is(arrived($w, sub { $got = tls($w, 'good.test', GOOD) }), 0,
	    'the revoked name: nothing arrives');
	is($got, 'reset', '  and it is reset');
	gate_policy($w, allow('good.test', { action => 'allow',
	    target => 'also.test', ports => [80] }));
	ok(wait_for(sub { !alive($also) }, 5), 'so does one whose port is revoked');
	is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'and back again');
	is(fetch($w, '-4', 'http://also.test/'), 'HTTP also.test',
	    'the port that stayed');
	is(arrived($w, sub { $got = tls($w, 'also.test', GOOD) }), 0,
	    'a name at a port that is not its own: nothing arrives');
	is($got, 'reset', '  and it is reset');

	stop($pid);
	run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
	capture('ip', 'netns', 'exec', $w->{sandbox}, 'nft', 'delete', 'table',
	    'netdev', 'opensandbox');
}

done_testing();
