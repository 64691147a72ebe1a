# SPDX-License-Identifier: Apache-2.0
#
# Chromium through the gate: a page of one name that asks another of the same
# address, a socket and a stream of events; what is not allowed fails. Its
# ClientHello, post-quantum key share included, comes in more than one segment.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP;
use Test::More;
use ClientWorld;
use GateWorld;
use Harness;
use World;

my $w = client_world('join');
my $dir = scratch();

write_file("$dir/page.html", <<'END');
<!DOCTYPE html>
<script>
const scheme = location.protocol, ws = scheme == 'https:' ? 'wss:' : 'ws:';
const text = async (url) => (await (await fetch(url)).text()).trim();
const failed = (e) => 'failed: ' + (e.message || e.type);
const echo = (name) => new Promise((done, fail) => {
	const socket = new WebSocket(`${ws}//${name}/ws`);
	socket.onerror = fail;
	socket.onopen = () => socket.send('hello');
	socket.onmessage = (event) => done(event.data);
});
const events = () => new Promise((done, fail) => {
	const source = new EventSource('/events'), got = [];
	source.onerror = fail;
	source.onmessage = (event) => got.push(event.data) == 3 && (source.close(), done(got.join()));
});
(async () => {
	const report = {};
	for (const [key, what] of Object.entries({
		good: () => text('/'),
		also: () => text(`${scheme}//also.test/`),
		large: () => fetch('/upload', { method: 'POST', body: 'x'.repeat(3000000) }).then((a) => a.text()),
		socket: () => echo('good.test'),
		other_name: () => echo('also.test'),
		events: events,
		other: () => text(`${scheme}//other.test/`),
		other_socket: () => echo('other.test'),
	}))
		report[key] = await what().catch(failed);
	await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
})();
</script>
END

# The key of every certificate of the test.
my $keys = join ',', map { run('sh', '-c', "openssl x509 -in $dir/$_.crt -pubkey -noout"
	. ' | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64')
	=~ s/\n//r } qw(good other server);

# Chromium on a page, until code is true.
sub browse
{
	my ($url, $code) = @_;
	my $pid = start(name => 'chromium', netns => $w->{sandbox},
	    env => { HOME => "$dir/home" }, cmd => ['chromium', '--headless=new',
		'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
		'--disable-background-networking', '--disable-sync',
		'--disable-dev-shm-usage', '--no-proxy-server',
		"--user-data-dir=$dir/chromium",
		"--ignore-certificate-errors-spki-list=$keys", $url]);
	my $is = wait_for($code, 60);
	stop($pid);
	return $is;
}

my $sum = sha256_hex('x' x 3000000);
for my $scheme (qw(http https)) {
	write_file("$dir/reports", '');
	my $protocol = $scheme eq 'https' ? 'HTTP/2.0 TLSv1.3' : 'HTTP/1.1';
	ok(browse("$scheme://good.test/page", sub { -s "$dir/reports" }),
	    "a page over $scheme")
	    or diag read_file("$dir/chromium.log");
	my $got = eval { decode_json(read_file("$dir/reports")) } || {};
	is_deeply($got, { good => "$scheme good.test $protocol",
		also => "$scheme also.test $protocol",
		large => "3000000 $sum\n",
		socket => 'good.test hello', other_name => 'also.test hello',
		events => '0 good.test,1 good.test,2 good.test',
		other => 'failed: Failed to fetch', other_socket => 'failed: error' },
	    '  what is allowed works, what is not does not') or diag explain $got;
	my $port = $scheme eq 'https' ? 443 : 80;
	ok(scalar(gate_log($w, event => 'egress.denied', reason => 'sni_mismatch',
	    'target.host' => 'other.test', 'target.port' => $port)),
	    '  by the gate');
	unlike(served(), qr/^$port .*other\.test/m, '  the server was not asked');
}

# A server that notes how long a ClientHello is and whether it shares a key of
# X25519MLKEM768 (0x11ec); segments are not joined on their way to the gate.
write_file("$dir/hello.py", <<'END');
import socket, sys
s = socket.create_server((sys.argv[1], 443))
print("listening", flush=True)
while True:
    c, _ = s.accept()
    data = b""
    while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
        data += c.recv(65536) or sys.exit()
    print(len(data), "X25519MLKEM768" if b"\x11\xec\x04\xc0" in data else "-", flush=True)
    c.close()
END
start(name => 'hello', netns => $w->{internet}, cmd => [python(), "$dir/hello.py", EVIL]);
wait_for(sub { read_file("$dir/hello.log") =~ /listening/ });
run('ip', '-n', $w->{sandbox}, 'link', 'set', 'eth0', 'gso_max_segs', '1');
write_file("$dir/segments.nft", <<"END");
table inet segments {
	counter full { }
	counter rest { }
	chain out {
		type filter hook output priority -400;
		ip daddr != ${\EVIL} return
		tcp dport 443 meta length 1400-1500 counter name full
		tcp dport 443 meta length 100-1399 counter name rest
	}
}
END
run_in($w->{sandbox}, 'nft', '-f', "$dir/segments.nft");
ok(browse('https://server.test/', sub { read_file("$dir/hello.log") =~ /MLKEM/ }),
    'a post-quantum ClientHello is let on') or diag read_file("$dir/hello.log");
is_deeply([grep { $_->{reason} } gate_log($w, event => 'egress.denied', 'target.ip' => EVIL)],
    [], '  at once');
my ($length) = read_file("$dir/hello.log") =~ /^(\d+) X25519MLKEM768/m;
cmp_ok($length // 0, '>', 1460, '  longer than a segment');
my $counters = run_in($w->{sandbox}, 'nft', 'list', 'table', 'inet', 'segments');
like($counters, qr/counter full \{\s+packets [1-9]/, '  in one that is full');
like($counters, qr/counter rest \{\s+packets [1-9]/, '  and another') or diag $counters;

done_testing();
