# SPDX-License-Identifier: Apache-2.0
#
# One agent, sandboxes with resolvers of their own: each is asked for its own
# sandbox alone, also after a change and after another start of the agent.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Agent;
use DnsWorld;
use Harness;
use World;

use constant {
	COMMON => '203.0.113.53',
	OWN    => '203.0.113.21',
	OTHER  => '203.0.113.66',
};

my $w = world();
my (undef, $common) = dns_liar($w, COMMON, 'honest');
my (undef, $own) = dns_liar($w, OWN, 'honest');
my (undef, $other) = dns_liar($w, OTHER, 'honest');
my %env = (OPENSANDBOX_EGRESS_DNS_UPSTREAM => COMMON);
my $agent = agent($w->{host}, 'agent', {%env});
my $number = 0;

sub put { put_at('sb', @_) }

sub put_at
{
	my ($id, %more) = @_;
	return ask('PUT', "/v1/sandboxes/$id", { netns => $w->{sandbox},
		policy => { egress =>
		    [{ action => 'allow', target => '*.good.test' }] }, %more });
}

# Who was asked for a new name: the files of those that were.
sub asked
{
	my $name = 'n' . $number++ . '.good.test';

	is(dig($w, '+short', $name), "203.0.113.20\n", '  a name resolves');
	return [grep { read_file($_) =~ / \Q$name\E$/m } $common, $own, $other];
}

my ($status, $sandbox) = put(resolvers => [OWN]);
is($status, 201, 'a sandbox with a resolver of its own');
is_deeply($sandbox->{resolvers}, [OWN . ':53'], '  which its record shows');
is_deeply(asked(), [$own], '  and which alone is asked');
is((put(resolvers => ['[2001:db8::1]:5353', 'fe80::1', OTHER . ':53']))[0], 200,
    'it gets others');
($status, $sandbox) = put(resolvers => [OTHER . ':53']);
is($status, 200, 'it gets another');
is_deeply(asked(), [$other], '  which alone is asked');

for my $bad ('"x"', '["dns.example"]', '[1]', '["1.2.3.4:0"]', '[["1.2.3.4"]]',
    '{}', 'null', '[' . join(',', ('"1.2.3.4"') x 17) . ']') {
	my ($code, $fault) = ask('PUT', '/v1/sandboxes/sb',
	    qq({"netns":"$w->{sandbox}","policy":{},"resolvers":$bad}));
	is("$code " . ($fault->{field} // ''), '400 resolvers', "refused: $bad");
}
is_deeply(asked(), [$other], 'and all is as before');

is(stop($agent), 0, 'the agent ends');
$agent = agent($w->{host}, 'again', {%env});
is_deeply(asked(), [$other], 'another one knows whom to ask');
is((put())[0], 200, 'without any');
is_deeply(asked(), [$common], '  the agent\'s are asked');
is((put(resolvers => []))[0], 200, 'so it is with an empty list');
is_deeply(asked(), [$common], '  of them');
is((ask('DELETE', '/v1/sandboxes/sb'))[0], 204, 'it is let go');

# Containers of one namespace.
sub attach
{
	my ($id, %more) = @_;
	return put_at($id, attachment => 'n/eth0', %more);
}
is((attach('one', resolvers => [OWN]))[0], 201, 'the first of a namespace');
is((attach('two', resolvers => [OWN]))[0], 200, 'one with the same resolvers');
is((attach('three'))[0], 200, 'one that says nothing of them');
($status, my $fault) = attach('four', resolvers => [OTHER]);
is($status, 409, 'one with others');
is($fault->{field}, 'resolvers', '  is refused');
like($fault->{message}, qr/sandbox one already, with other resolvers/,
    '  and told why');
is((attach('two', resolvers => [OWN, OTHER]))[0], 409,
    'nor do they change for two');
is_deeply(asked(), [$own], '  and the first\'s are asked');
is((ask('DELETE', "/v1/sandboxes/$_?attachment=n/eth0"))[0], 204, "$_ goes")
    for qw(two three one);
is(stop($agent), 0, 'the agent ends');
done_testing();
