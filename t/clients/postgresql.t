# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL with TLS on its own port: no port of the gate's, and untouched.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use ClientWorld;
use GateWorld;
use Harness;
use World;

my $w = client_world('join');
my $dir = scratch();
my ($bin) = sort glob '/usr/lib/postgresql/*/bin';
my @postgres = ('setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups');

run('install', '-d', '-o', 'postgres', "$dir/pg", "$dir/pg/run");
run('install', '-o', 'postgres', '-m', '600', "$dir/retry.$_", "$dir/pg/server.$_")
    for qw(crt key);
run(@postgres, "$bin/initdb", '-A', 'trust', '-N', '-D', "$dir/pg/data");
write_file("$dir/pg/data/pg_hba.conf", "hostssl all all all trust\n");
start(name => 'postgres', netns => $w->{internet}, cmd => [@postgres, "$bin/postgres",
	'-D', "$dir/pg/data", '-c', 'listen_addresses=' . TENANT, '-c', 'ssl=on',
	'-c', "ssl_cert_file=$dir/pg/server.crt", '-c', "ssl_key_file=$dir/pg/server.key",
	'-c', "unix_socket_directories=$dir/pg/run"]);
wait_for(sub { read_file("$dir/postgres.log") =~ /ready to accept/ }, 30)
    or diag read_file("$dir/postgres.log");

my $psql = "$bin/psql -At 'host=retry.test user=postgres dbname=postgres"
    . " sslmode=verify-full sslrootcert='\$CA";
like(in_sandbox($w, 'retry.test', "$psql -c 'select version from pg_stat_ssl where"
	. " pid = pg_backend_pid()' -c \"select length(repeat('x', 5000000))\" 2>&1"),
    qr/^TLSv1.3\n5000000$/, 'psql over verified TLS');
is(gate_metrics($w)->{accepted_total}, 0, 'the gate has not seen it');

done_testing();
