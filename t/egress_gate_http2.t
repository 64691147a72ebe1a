# SPDX-License-Identifier: Apache-2.0
#
# HTTP/2 in clear through the gate: each request names whom it is for, and goes
# on where that name is allowed and led to the address. Real curl and nginx; one
# connection carries requests of several names.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use GateWorld;
use Harness;
use World;

my $w = gate_world();
my $dir = scratch();
my $asked = "$dir/h2.log";

write_file("$dir/h2.conf", <<"END");
daemon off;
pid $dir/h2.pid;
error_log $dir/h2.error;
user root;
worker_processes 1;
events { worker_connections 512; }
http {
    log_format names '\$http2 \$host \$request_length';
    access_log $dir/h2.log names;
    client_max_body_size 0;
    client_body_temp_path $dir/h2_body;
    proxy_temp_path $dir/h2_proxy;
    fastcgi_temp_path $dir/h2_fastcgi;
    uwsgi_temp_path $dir/h2_uwsgi;
    scgi_temp_path $dir/h2_scgi;
    server {
        listen 0.0.0.0:8081 http2;
        listen [::]:8081 http2;
        location / { return 200 "\$host \$http2\\n"; }
        location /body { proxy_pass http://unix:$dir/h2.sock; }
    }
    server {
        listen unix:$dir/h2.sock;
        return 200 "\$http_content_length\\n";
    }
}
END
write_file($asked, '');
start(name => 'h2', netns => $w->{internet}, cmd => ['nginx', '-c',
	"$dir/h2.conf"]);
wait_for(sub { -S "$dir/h2.sock" }) or die 'nginx did not start';

my @h2 = ('--http2-prior-knowledge');
my $port = 8081;

sub h2
{
	my ($name, @more) = @_;

	return fetch($w, @h2, @more, "http://$name:$port/");
}

sub other
{
	my ($name, @more) = @_;

	return fetch($w, @h2, '-H', "Host: $name", @more,
	    "http://good.test:$port/");
}

sub several
{
	return (sees($w, python(), root() . '/t/tools/h2_client.py', GOOD, $port,
		@_))[1];
}

for my $mode (qw(join sidecar)) {
	my $pid = gate_start($w, $mode, allow('good.test', 'also.test',
		'far.test'), args => ['--gate-ports', "443,80,$port"]);
	my $before;

	is(h2('good.test'), 'good.test h2c', "$mode: an allowed name opens");
	is(h2('GOOD.test'), 'good.test h2c', '  in capitals');
	is(h2('good.test', '-6'), 'good.test h2c', '  over IPv6');
	is(fetch($w, @h2, '--data-binary', '@' . build_dir() . '/egress-sidecar',
		"http://good.test:$port/body"), -s build_dir()
	    . '/egress-sidecar', '  with a large body');
	is(fetch($w, @h2, (map { ('-H', "X-$_: " . 'y' x 1000) } 1 .. 25),
		"http://good.test:$port/"), 'good.test h2c',
	    '  with a head of several frames');

	# The server logs a request after its answer.
	wait_for(sub { ($before = read_file($asked)) =~ / \d{5}\n\z/ })
	    or die "no request with a large head: $before";
	for my $name ('other.test', 'evil.test', 'good.test.evil.test',
		"far.test:$port", '203.0.113.20', 'good.test:80',
		'user@good.test') {
		is(arrived($w, sub {
			like(other($name), qr/^(?:reset|curl \d+: )/,
			    "$mode: another name, $name, is refused");
		}), 0, '  before a packet leaves');
	}
	is(read_file($asked), $before, "$mode: none of them was asked for");
	is(scalar(gate_log($w, event => 'egress.denied',
		reason => 'sni_mismatch', 'target.host' => 'other.test')), 1,
	    '  the log has the name');
	is(scalar(gate_log($w, event => 'egress.denied', reason => 'no_name')), 1,
	    '  an address is no name');

	# Several requests of one connection. All names led to the address.
	sees($w, 'getent', 'ahostsv4', $_) for qw(good.test also.test);
	is(several('good.test', 'also.test', 'good.test'),
	    "good.test h2c\nalso.test h2c\ngood.test h2c\n",
	    "$mode: one by one on a connection");
	is(several('good.test|also.test|good.test'),
	    "also.test h2c|good.test h2c|good.test h2c\n", '  and at once');
	is(several('good.test', 'also.test', 'other.test'),
	    "good.test h2c\nalso.test h2c\nreset\n",
	    '  the third names one that is not allowed');
	is(several('good.test|other.test'), "reset\n", '  so does one of two');
	unlike(read_file($asked), qr/other\.test/, '  it is asked of nobody');

	# Each takes memory; those who speak HTTP/1 or TLS are served beside.
	my $many = start(name => "many-$mode", netns => $w->{sandbox}, cmd =>
		[python(), '-c', 'import socket,time' . "\n"
		. "preface = b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'\n"
		. "head = b'\\0\\0\\x0e\\1\\5\\0\\0\\0\\1\\x82\\x86\\x84A\\x09good.test'\n"
		. "held = []\nfor i in range(300):\n"
		. " s = socket.create_connection(('" . GOOD . "', $port)); held.append(s)\n"
		. " s.sendall(preface + head)\nprint('open', flush=True)\n"
		. "time.sleep(300)\n"]);
	wait_for(sub { read_file("$dir/many-$mode.log") =~ /open/ }, 60);
	ok(wait_for(sub { gate_metrics($w)->{dropped_total} >= 300 - 256 }, 30),
	    "$mode: 300 at once: those over 256 are dropped");
	is(fetch($w, 'http://good.test/'), 'HTTP good.test', '  others are served');
	stop($many);
	ok(wait_for(sub { gate_metrics($w)->{connections} == 0 }, 30),
	    '  their room comes back');
	is(h2('good.test'), 'good.test h2c', '  and is used again');

	# Taken back while it is open.
	my $held = start(name => "held-$mode", netns => $w->{sandbox}, cmd =>
		['curl', '-sSN', @h2, '-T', '-', '-H', 'Expect:',
		'--limit-rate', '1k', "http://good.test:$port/body"]);
	ok(alive($held), "$mode: one is open");
	gate_policy($w, allow('also.test'));
	ok(wait_for(sub { !alive($held) }, 20), '  its rule is taken back: it ends');
	is(stop($pid), 0, "$mode: the sidecar ends well");
	run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
}

done_testing();
