# SPDX-License-Identifier: Apache-2.0
#
# Languages' own clients through the gate, with their TLS: Java, Go, Node.js,
# Perl, GnuTLS, NSS.

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
my ($https2, $http) = ('https NAME HTTP/2.0 TLSv1.3', 'http NAME HTTP/1.1');

# Java's HttpClient asks for h2c with each request in clear, but of a body's
# the gate refuses that: there it is told to speak HTTP/1.1.
write_file("$dir/Get.java", <<'END');
import java.net.URI;
import java.net.http.*;

public class Get {
	public static void main(String[] args) throws Exception {
		HttpClient client = HttpClient.newHttpClient();
		URI uri = URI.create(args[0] + "://" + args[1] + "/");
		HttpRequest get = HttpRequest.newBuilder(uri).build();
		for (int i = 0; i < 3; i++)
			System.out.print(client.send(get, HttpResponse.BodyHandlers.ofString()).body());
		HttpRequest.Builder post = HttpRequest.newBuilder(uri.resolve("/upload"))
			.POST(HttpRequest.BodyPublishers.ofString("hello"));
		if (args[0].equals("http"))
			post.version(HttpClient.Version.HTTP_1_1);
		System.out.print(client.send(post.build(), HttpResponse.BodyHandlers.ofString()).body());
	}
}
END
run('javac', '-d', $dir, "$dir/Get.java");
run('keytool', '-importcert', '-noprompt', '-alias', 'ca', '-file', ca(),
    '-keystore', "$dir/trust.p12", '-storepass', 'changeit');
for my $case (['https', $https2], ['http', $http]) {
	my ($scheme, $like) = @$case;
	reaches($w, "Java, $scheme", "java -Djavax.net.ssl.trustStore=$dir/trust.p12"
	    . " -Djavax.net.ssl.trustStorePassword=changeit -cp $dir Get $scheme"
	    . ' $NAME 2>&1', "\\A(?:$like ?\\n){3}5 2cf24dba");
}

write_file("$dir/get.go", <<'END');
package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func show(answer *http.Response, err error) {
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, answer.Body)
	answer.Body.Close()
}

func main() {
	url := os.Args[1] + "://" + os.Args[2] + "/"
	for i := 0; i < 3; i++ {
		show(http.Get(url))
	}
	show(http.Post(url+"upload", "text/plain", io.MultiReader(strings.NewReader("hello"))))
}
END
run('env', "HOME=$dir", 'go', 'build', '-o', "$dir/get", "$dir/get.go");
for my $case (['https', $https2], ['http', $http]) {
	my ($scheme, $like) = @$case;
	reaches($w, "Go, $scheme", "SSL_CERT_FILE=\$CA $dir/get $scheme \$NAME 2>&1",
	    "\\A(?:$like ?\\n){3}5 2cf24dba");
}

write_file("$dir/get.mjs", <<'END');
import http from 'http';
import https from 'https';

const [scheme, name] = process.argv.slice(2);
const url = `${scheme}://${name}/`;
const library = { http, https }[scheme];
const agent = new library.Agent({ keepAlive: true, maxSockets: 1 });
const get = () => new Promise((done, failed) => {
	library.get(url, { agent }, (answer) => {
		let body = '';
		answer.on('data', (piece) => body += piece);
		answer.on('end', () => done(body));
	}).on('error', failed);
});

for (let i = 0; i < 3; i++)
	process.stdout.write(await get());
process.stdout.write(await (await fetch(url)).text());
process.stdout.write(await (await fetch(url + 'upload', { method: 'POST', body: 'hello' })).text());
process.exit(0);
END
for my $case (['https', 'https NAME HTTP/1.1 TLSv1.3'], ['http', $http]) {
	my ($scheme, $like) = @$case;
	reaches($w, "Node.js, $scheme", 'NODE_EXTRA_CA_CERTS=$CA node'
	    . " $dir/get.mjs $scheme \$NAME 2>&1", "\\A(?:$like ?\\n){4}5 2cf24dba");
}

write_file("$dir/get.pl", <<'END');
use strict;
use HTTP::Tiny;

my $http = HTTP::Tiny->new(verify_SSL => 1, SSL_options => { SSL_ca_file => $ENV{CA} });
for (1 .. 3) {
	my $answer = $http->get("$ARGV[0]://$ENV{NAME}/");
	die $answer->{content} if !$answer->{success};
	print $answer->{content};
}
END
reaches($w, "Perl, $_", "/usr/bin/perl $dir/get.pl $_ 2>&1",
    "\\A(?:$_ NAME HTTP/1.1 .*\\n){3}\\z") for qw(http https);

my $get = q{printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' $NAME; sleep 1};
for my $priority ('NORMAL', 'NORMAL:-VERS-ALL:+VERS-TLS1.2',
    map { "NORMAL:-GROUP-ALL:+GROUP-$_" } qw(SECP256R1 X448 FFDHE8192)) {
	reaches($w, "gnutls-cli, $priority", "{ $get; } | gnutls-cli --x509cafile"
	    . " \$CA --priority $priority \$NAME 2>&1", 'https NAME HTTP/1.0');
}
run('sh', '-c', "mkdir -p $dir/nss && certutil -N -d sql:$dir/nss --empty-password"
    . " && certutil -A -d sql:$dir/nss -n ca -t C,, -i " . ca());
reaches($w, "NSS, $_", "{ $get; } >request; tstclnt -h \$NAME -p 443 -A request"
    . " -d sql:$dir/nss -V $_:$_ 2>&1", 'https NAME HTTP/1.0') for qw(tls1.2 tls1.3);

done_testing();
