# SPDX-License-Identifier: Apache-2.0
#
# What the policy says to the gate: defaults, rules for addresses, hosts and
# always-files; and what open connections make of each change.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use GateWorld;
use World;

my $w = gate_world();
my $always = scratch() . '/always';
mkdir $always;
my $pid = gate_start($w, 'join', allow('good.test', 'also.test'),
    args => ['--always-dir', $always]);
my $got;

# Allowed by default: a name that led there, and that no rule denies.
gate_policy($w, { defaultAction => 'allow',
	egress => [{ action => 'deny', target => 'other.test' }] });
is(tls($w, 'good.test', GOOD), 'TLS good.test',
    'allowed by default: an address that no name led to');
is(tls($w, 'other.test', GOOD), 'TLS other.test', '  is not gated');
is(fetch($w, '-4', 'https://good.test/'), 'TLS good.test', 'a name led there: it opens');
for my $name (qw(other.test also.test)) {
	is(arrived($w, sub { $got = tls($w, $name, GOOD) }), 0,
	    "$name now: nothing arrives");
	is($got, 'reset', '  and it is reset');
}
is(fetch($w, '-4', 'https://also.test/'), 'TLS also.test',
    'also.test, once it is looked up');

# A rule for the address takes it out of the gate, and puts it back.
gate_policy($w, allow('good.test', 'also.test'));
fetch($w, '-4', "https://$_/") for qw(good.test also.test);
my ($good, $also) = map { hold($w, $_) } qw(good.test also.test);
gate_policy($w, allow({ action => 'allow', target => GOOD, ports => [443] },
	'also.test'));
is(tls($w, 'whoever.test', GOOD), 'TLS whoever.test', 'a rule for the address: not gated');
is(clear_request($w, 'whoever.test', GOOD), 'reset', '  on the ports that it lists');
ok(alive($good) && alive($also), '  and connections that the gate has live on');
gate_policy($w, allow('also.test'));
ok(wait_for(sub { !alive($good) }, 5), 'without it the one whose name is denied ends');
ok(alive($also), '  and the other lives');
is(arrived($w, sub { $got = tls($w, 'good.test', GOOD) }), 0, '  nothing else arrives');
is($got, 'reset', '  and it is reset');

# The operator's word.
write_file("$always/deny.always", "also.test\n");
ok(wait_for(sub { !alive($also) }, 15), 'deny.always ends the connections of a name');
is(arrived($w, sub { $got = tls($w, 'also.test', GOOD) }), 0, '  nothing arrives');
isnt($got, 'TLS also.test', '  and it is closed');
unlink "$always/deny.always";
ok(wait_for(sub { fetch($w, '-4', 'https://also.test/') eq 'TLS also.test' }, 15),
    '  until the file goes');

# hosts: the policy's author wrote the address.
gate_policy($w, { hosts => { 'pinned.test' => [GOOD] },
	%{ allow('pinned.test') } });
is(tls($w, 'pinned.test', GOOD), 'TLS pinned.test', 'hosts: not gated, like a rule');

# What leads nowhere leads nobody on: no lease, no way.
gate_policy($w, allow('good.test'));
is(arrived($w, sub { $got = tls($w, 'good.test', TENANT) }), 0,
    'an allowed name at an address that nothing led to: nothing arrives');
is($got, 'refused', '  and it is refused');
stop($pid);

done_testing();
