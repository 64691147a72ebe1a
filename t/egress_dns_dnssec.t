# SPDX-License-Identifier: Apache-2.0
#
# A resolver that validates: what it finds forged is not answered and not
# learned, whatever the sandbox's question says about checking.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use DnsWorld;
use Harness;
use World;

use constant AUTHORITY => '203.0.113.99';

my $w = world();
my $dir = scratch();

# A signed zone, in which one address was changed after that.
write_file("$dir/zone", <<'END');
$ORIGIN signed.test.
$TTL 300
@ SOA ns admin 1 3600 600 86400 60
@ NS ns
ns A 203.0.113.99
good A 203.0.113.20
bogus A 203.0.113.21
bogus AAAA 2001:db8:113::21
END
my $key = (split /\s+/, run('sh', '-c',
	"cd $dir && ldns-keygen -k -a ECDSAP256SHA256 signed.test"))[-1];
run('sh', '-c', "cd $dir && ldns-signzone -o signed.test -f signed zone $key");
my $signed = read_file("$dir/signed");
($signed =~ s/203\.0\.113\.21/203.0.113.66/
    and $signed =~ s/2001:db8:113::21/2001:db8:113::66/)
    or die "no such address in $signed";
write_file("$dir/signed", $signed);
write_file("$dir/nsd.conf", <<"END");
server:
  ip-address: @{[AUTHORITY]}
  username: ""
  zonesdir: "$dir"
  database: ""
  pidfile: "$dir/nsd.pid"
  xfrdfile: "$dir/xfrd.state"
  zonelistfile: "$dir/zone.list"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: signed.test
  zonefile: signed
END
start(name => 'nsd', netns => $w->{internet},
    cmd => ['nsd', '-d', '-c', "$dir/nsd.conf"]);
write_file("$dir/unbound.conf", <<"END");
server:
  interface: @{[RESOLVER]}
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  use-syslog: no
  logfile: ""
  chroot: ""
  username: ""
  pidfile: ""
  do-ip6: no
  module-config: "validator iterator"
  trust-anchor-file: "$dir/$key.ds"
  local-zone: "test." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: signed.test
  stub-addr: @{[AUTHORITY]}
END
start(name => 'unbound', netns => $w->{internet},
    cmd => ['unbound', '-d', '-c', "$dir/unbound.conf"]);
ok(wait_for(sub {
	my ($status, $out) = capture('ip', 'netns', 'exec', $w->{internet},
	    'dig', '+dnssec', '@' . RESOLVER, 'good.signed.test');
	return $out =~ /flags:[^;]* ad/ && $out =~ /203\.0\.113\.20/;
}), 'a resolver that validates')
    or diag read_file("$dir/unbound.log"), read_file("$dir/nsd.log");

my $pid = sidecar($w, env => { OPENSANDBOX_EGRESS_RULES =>
	'{"egress":[{"action":"allow","target":"*.signed.test"}]}' });

for my $type (qw(A AAAA)) {
	for my $how ([], ['+cd'], ['+cd', '+dnssec'], ['+cd', '+tcp']) {
		my $out = dig($w, 'bogus.signed.test', $type, @$how);

		like($out, qr/status: SERVFAIL/, "a forged $type, @$how");
		unlike($out, qr/203\.0\.113\.66|2001:db8:113::66/, '  is not told');
	}
}
is_deeply([learned($w)], [], 'nor learned');
like(dig($w, '+cd', '+dnssec', 'good.signed.test'),
    qr/flags:[^;]* cd.*\tA\t203\.0\.113\.20.*\tRRSIG\t/s,
    'who validates for himself is given what he needs');
like(dig($w, '+cd', '+dnssec', 'signed.test', 'DNSKEY'),
    qr/status: (?:NOERROR|NXDOMAIN)/, 'and may ask for keys');
is_deeply([learned($w)], ['203.0.113.20'], 'whose address is learned');
is(stop($pid), 0, 'the sidecar ends');
done_testing();
