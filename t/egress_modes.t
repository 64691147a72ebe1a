# SPDX-License-Identifier: Apache-2.0
#
# DNS alone, or watching without refusing; and the always-files, which precede
# every policy and are read again when they change.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use Test::More;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my $rules = { OPENSANDBOX_EGRESS_RULES =>
	'{"egress":[{"action":"allow","target":"good.test"}]}' };

my $w = world();
world_dns($w);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');

sub code   { return (sees($w, @web, "http://$_[0]/"))[1] }
sub status { return (sees($w, @web, "http://$_[0]/"))[0] }

# Audit: nothing is refused, everything is told.
my $pid = sidecar($w, env => $rules, args => ['--audit'], name => 'audit');
is(code('good.test'), '200', 'audit: allowed opens');
is(code('evil.test'), '200', 'audit: denied opens too');
is(code(EVIL), '200', 'audit: and so does a raw address');
my $log = sub { read_file(scratch() . '/audit.log') };
ok(wait_for(sub { $log->() =~ /egress\.denied.*"target\.host":"evil\.test"/ }),
    'audit: the name is in the log');
ok(wait_for(sub { $log->() =~
	/egress\.denied.*would be refused.*203\.0\.113\.66/ }),
    'audit: so is the packet');
stop($pid);

# A socket with one port asked another resolver before there was a sidecar, and
# a table of somebody's tracks connections: what it asks now is ours.
my $port = 40053;
my $question = unpack 'H*', pack('n n n n n n', 77, 0x0100, 1, 0, 0, 0)
    . "\4evil\4test\0" . pack('n n', 1, 1);

sub asks
{
	return join ' ', (sees($w, python(), root() . '/t/tools/dns_port.py', 'port',
		RESOLVER, $question, $port))[1] =~ /answered (\d+)/;
}

my $nat = write_file(scratch() . '/nat.nft', "table ip nat {\nchain post {\n"
    . "type nat hook postrouting priority 100\nmasquerade\n}\n}\n");
run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
run_in($w->{sandbox}, 'nft', '-f', $nat);
is(asks(), '0', 'no sidecar: another resolver answers');

# DNS alone: names are judged, packets are not.
$pid = sidecar($w, env => $rules, args => ['--mode', 'dns'], name => 'dns');
is((api($w, 'GET', '/policy'))[2]{enforcementMode}, 'dns',
    'dns: the API says so');
is(asks(), '3', 'dns: we answer a socket that asked another before');
run_in($w->{sandbox}, 'nft', 'delete', 'table', 'inet', 'opensandbox');
ok(wait_for(sub { run_in($w->{sandbox}, 'nft', 'list', 'tables')
	=~ /inet opensandbox/ }), 'dns: the rules come back');
is(asks(), '3', 'dns: and we answer it still');
run_in($w->{sandbox}, 'nft', 'delete', 'table', 'ip', 'nat');
is(code('good.test'), '200', 'dns: allowed opens');
is(status('evil.test'), 6, 'dns: denied does not resolve');
is(code(EVIL), '200', 'dns: a raw address opens');
stop($pid);

# Always-files, in a folder that appears while we run.
my $always = scratch() . '/egress/rules';
$pid = sidecar($w, env => $rules, args => ['--always-dir', $always],
    name => 'always');
is(code('good.test'), '200', 'always: no folder, no rules');
make_path($always);
write_file("$always/deny.always", "# not even this\ngood.test\n");
ok(wait_for(sub { status('good.test') == 6 }),
    'always: a file that appears denies');
write_file("$always/allow.always", "evil.test\ngood.test\n");
ok(wait_for(sub { code('evil.test') eq '200' }), 'always: another allows');
is(status('good.test'), 6, 'always: deny goes before allow');
write_file("$always/deny.always", "good.test\nno good\n");
ok(wait_for(sub { read_file(scratch() . '/always.log') =~
	/update_failed.*deny\.always.*2/ }), 'always: a mistake is reported');
is(status('good.test'), 6, 'always: and changes nothing');
unlink "$always/deny.always";
ok(wait_for(sub { code('good.test') eq '200' }),
    'always: a file that goes is no more');
write_file("$always/log_skip.always", "quiet.test\n203.0.113.98/31\n");
sleep 1;
code($_) for '203.0.113.99', '203.0.113.21';
sees($w, 'dig', '+time=2', '@10.88.0.1', $_) for qw(quiet.test loud.test);
ok(wait_for(sub { read_file(scratch() . '/always.log') =~ /loud\.test/ }),
    'always: a name is logged');
unlike(read_file(scratch() . '/always.log'), qr/quiet\.test/,
    'always: a silenced one is not');
ok(wait_for(sub { read_file(scratch() . '/always.log') =~
	/packet refused.*203\.0\.113\.21/ }), 'always: a packet is logged');
unlike(read_file(scratch() . '/always.log'), qr/packet refused.*203\.0\.113\.99/,
    'always: one to a silenced address is not');
stop($pid);

# DoH: port 443 of the servers that are named, of every one where none is; a
# variable of another sidecar is told, and stops nothing.
world_web($w, 'internet', GOOD, 443, 'good-443');
for my $case (['elsewhere', '198.51.100.1', 0], ['there', GOOD, 7],
	['nowhere named', '', 7]) {
	my ($name, $list, $expected) = @$case;

	$pid = sidecar($w, name => "doh-$name", env => { %$rules,
		OPENSANDBOX_EGRESS_BLOCK_DOH_443 => 'yes',
		OPENSANDBOX_EGRESS_DOH_BLOCKLIST => $list,
		OPENSANDBOX_EGRESS_MITMPROXY_PORT => 18081 });
	is(status('good.test:443'), $expected, "doh: $name");
	is(code('good.test'), '200', '  port 80 opens');
	like(read_file(scratch() . "/doh-$name.log"),
	    qr/"warn".*no option.*OPENSANDBOX_EGRESS_MITMPROXY_PORT/,
	    '  a variable that we do not know is told');
	stop($pid);
}

# And back to the whole.
$pid = sidecar($w, env => $rules, name => 'whole');
is(code('good.test'), '200', 'whole: allowed opens');
is(status(EVIL), 7, 'whole: a raw address is refused again');
stop($pid);

done_testing(35);
