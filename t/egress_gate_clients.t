# SPDX-License-Identifier: Apache-2.0
#
# Clients as people use them, through the gate: each reaches the names of an
# address that are allowed, and of the one that is not no packet arrives. Larger
# ones are in t/clients (make test-clients).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA;
use Test::More;
use ClientWorld;
use GateWorld;
use Harness;
use World;

my $w = client_world('join');
my $curl = 'curl -sSm 30 --cacert $CA';

sub both { return in_sandbox($w, 'good.test', $_[0]) }

# curl.
for my $tls ('1.2', '1.3') {
	reaches($w, "curl, TLS $tls, HTTP/1.1", "$curl --http1.1 --tls-max $tls"
	    . " --tlsv$tls https://\$NAME/", "^https NAME HTTP/1.1 TLSv$tls");
}
reaches($w, 'curl, HTTP/2', "$curl --http2 https://\$NAME/",
    '^https NAME HTTP/2.0 TLSv1.3');
reaches($w, 'curl, HTTP', "$curl http://\$NAME/", '^http NAME HTTP/1.1');
reaches($w, "curl, TLS over IPv$_", "$curl -$_ https://\$NAME/", '^https NAME')
    for 4, 6;
reaches($w, "curl, HTTP over IPv$_", "$curl -$_ http://\$NAME/", '^http NAME')
    for 4, 6;
reaches($w, 'curl that asks for h2c', "$curl --http2 http://\$NAME/"
    . ' http://$NAME/', '\A(?:http NAME HTTP/1.1 \n){2}\z');
is(both("$curl https://good.test/ https://also.test/"),
    "https good.test HTTP/2.0 TLSv1.3\nhttps also.test HTTP/2.0 TLSv1.3\n",
    'curl: two names of an address side by side');
for my $scheme (qw(http https)) {
	is(both("$curl --http1.1 -o /dev/null -w '%{num_connects} '"
		. " $scheme://good.test/ -o /dev/null $scheme://good.test/"),
	    '1 0 ', "curl: a connection is kept alive, $scheme");
}
reaches($w, 'openssl s_client', "{ printf 'GET / HTTP/1.0\\r\\nHost: %s\\r\\n"
    . "\\r\\n' \$NAME; sleep 1; } | openssl s_client -connect \$NAME:443"
    . ' -servername $NAME -CAfile $CA -verify_return_error -quiet 2>&1',
    'https NAME HTTP/1.0');

# Large bodies, which the server answers once it has them.
{
	my $file = scratch() . '/large';
	run('sh', '-c', "openssl enc -aes-128-ctr -pass pass:x -nosalt -in /dev/zero"
	    . " 2>/dev/null | head -c 104857600 >$file");
	my $sum = Digest::SHA->new(256)->addfile($file)->hexdigest;
	for my $case (['http', 'Content-Length: 104857600'],
	    ['http', 'Transfer-Encoding: chunked'],
	    ['https', 'Content-Length: 104857600']) {
		my ($scheme, $framing) = @$case;
		is(both("$curl --http1.1 -H 'Expect: 100-continue' -H '$framing'"
			. " -w '%{num_connects} ' -T $file $scheme://good.test/upload"
			. " --next -sSm 30 --cacert \$CA -w '%{num_connects} '"
			. " $scheme://good.test/"),
		    "104857600 $sum\n1 $scheme good.test HTTP/1.1 "
		    . ($scheme eq 'https' ? 'TLSv1.3' : '') . "\n0 ",
		    "curl: 100 MiB, $scheme, $framing, with Expect, and a request behind it");
	}
	unlink $file;
}

# Every group of key shares, offered alone; and one that the server has to ask
# for, by a HelloRetryRequest.
for my $group (qw(X25519 P-256 P-384 P-521 X448 ffdhe2048 ffdhe3072 ffdhe4096
    ffdhe6144 ffdhe8192)) {
	like(both("echo | openssl s_client -connect good.test:443 -servername"
		. " good.test -groups $group -CAfile \$CA 2>&1"),
	    qr/Verification: OK/, "openssl s_client with $group");
}
like(both("$curl https://retry.test/"), qr/^https retry.test/,
    'a HelloRetryRequest is answered');
ok(wait_for(sub {
	read_file(scratch() . '/cdn.log') =~ /retry.test \S*(?:384|secp384r1)/
}), '  with the group that the server wants');

# Python.
write_file(scratch() . '/get.py', <<'END');
import os, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=os.environ["CA"])
url = f"{sys.argv[1]}://{os.environ['NAME']}/"
print(urllib.request.urlopen(url, timeout=30, context=context if sys.argv[1] == "https" else None).read().decode())
END
reaches($w, "Python, $_", '/usr/bin/python3 ' . scratch() . "/get.py $_ 2>&1",
    "^$_ NAME HTTP/1.1") for qw(http https);

# WebSocket, server-sent events, gRPC.
for my $scheme (qw(ws wss)) {
	reaches($w, "WebSocket, $scheme", 'SSL_CERT_FILE=$CA /usr/bin/python3 '
	    . root() . "/t/tools/websocket.py $scheme://\$NAME/ws hello",
	    '^NAME hello$');
}
reaches($w, "server-sent events, $_", "$curl -N $_://\$NAME/events",
    '\A(?:data: \d NAME\n\n){3}\z') for qw(http https);
start(name => 'grpc', netns => $w->{internet}, cmd => [python(),
	root() . '/t/tools/grpc_calls.py', 'serve', 9001]);
wait_for(sub { both("$curl -o /dev/null -w '%{http_code}' -X POST -H"
    . " 'Content-Type: application/grpc' -H 'TE: trailers' https://good.test/t.T/One")
    eq '200' }) or diag 'gRPC server did not start';
reaches($w, 'gRPC', '/usr/bin/python3 ' . root()
    . '/t/tools/grpc_calls.py call-tls $CA $NAME:443 2>&1',
    'one .*hello t-hello\necho re:0,re:1,re:2 done\ntotal 5000000\nfail RES');

# git, which pushes more than it buffers, in chunks.
run('sh', '-c', 'git init -q --bare ' . scratch() . '/git/g && git -C ' . scratch()
    . '/git/g config http.receivepack true && chmod -R a+rX ' . scratch() . '/git');
for my $scheme (qw(http https)) {
	my $git = 'GIT_SSL_CAINFO=$CA git -c user.name=x -c user.email=x@y';
	reaches($w, "git, $scheme", "rm -rf g; $git clone -q $scheme://\$NAME/git/g"
	    . " g 2>&1 && cd g && head -c 3000000 /dev/urandom >\$NAME && git add . &&"
	    . " $git commit -qm \$NAME && $git push -q origin HEAD:refs/heads/$scheme-\$NAME"
	    . " 2>&1 && $git fetch -q 2>&1 && git branch -r", "$scheme-NAME");
}

# Ports that have no gate.
for my $port (25, 587) {
	is(both("printf 'Subject: $port\\r\\n\\r\\nx\\r\\n' >mail; $curl --ssl-reqd"
		. " --mail-from a\@x --mail-rcpt b\@x -T mail smtp://server.test:$port"),
	    '', "SMTP with STARTTLS on $port");
	like(read_file(scratch() . '/mails'), qr/^TLS Subject: $port/m,
	    '  the mail arrives');
}
like(both("{ printf hello; sleep 1; } | openssl s_client -starttls postgres"
	. ' -connect server.test:5432 -CAfile $CA -quiet 2>&1'), qr/echo hello/,
    'PostgreSQL with TLS on 5432');

# A server that agrees to go on as HTTP/2, which names another host each time.
like(both("$curl --http2 http://server.test/ 2>&1"), qr/status \d+\z/,
    'h2c that a server agrees to');
is(read_file(scratch() . '/behind'), "switched\n",
    '  nothing goes on behind its answer');
is(scalar(gate_log($w, event => 'egress.denied', reason => 'malformed',
	'target.ip' => EVIL)), 1, '  and the log says so');

done_testing();
