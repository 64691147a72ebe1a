#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Who the API server is and who we are: certificates are checked, tokens and
# certificates of kubeconfigs and of pods are used and followed as they change.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness qw(wait_for write_file read_file scratch capture build_dir run);
use Kube;
use KubeFeed;

my $kube = Kube->new;
my $n = 0;
$kube->put('batchsandboxes', 'a/box', batchsandbox('10.0.0.1'));

sub follows
{
	my ($feed, $name) = @_;
	my $id = 'new-' . ++$n;
	$kube->put('batchsandboxes', "a/$id", batchsandbox('10.0.0.2'));
	ok($feed->has($id => { endpoint => '10.0.0.2' }), $name);
}

# A kubeconfig with something else in the place of what matches; $to may be a
# function of the first group.
sub kubeconfig
{
	my ($from, $to, %o) = @_;
	my $text = read_file($kube->kubeconfig(%o));
	$text =~ s/$from/ref $to ? $to->($1) : $to/e or die "no $from";
	return write_file("$kube->{folder}/kubeconfig-" . ++$n, $text);
}

for my $form ({}, { json => 1 }, { token_file => 1 }, { data => 1 }, { client => 1 },
    { client => 1, data => 1 }) {
	my $feed = KubeFeed->new($kube, '--kubeconfig', $kube->kubeconfig(%$form));
	ok($feed->has(box => { endpoint => '10.0.0.1' }),
	    'a kubeconfig: ' . (join(', ', sort keys %$form) || 'a token'));
	$feed->stop;
}

subtest 'paths of the kubeconfig\'s folder' => sub {
	my $text = read_file($kube->kubeconfig(client => 1));
	$text =~ s{\Q$kube->{folder}\E/}{}g;
	my $feed = KubeFeed->new($kube, '--kubeconfig',
	    write_file("$kube->{folder}/relative", $text));
	ok($feed->has(box => { endpoint => '10.0.0.1' }), 'are found');
	$feed->stop;
};

# A pod sees its service account's folder at a place of its own.
subtest 'in a pod' => sub {
	my $feed = KubeFeed->new($kube, { env => $kube->pod_env, wrap => ['unshare', '-m',
	    'sh', '-ec', 'mount -t tmpfs tmpfs /run;
	    folder=/run/secrets/kubernetes.io/serviceaccount
	    mkdir -p $folder; mount --bind ' . "$kube->{folder}/serviceaccount" . ' $folder
	    exec "$0" "$@"'] }, '--kubernetes');
	ok($feed->has(box => { endpoint => '10.0.0.1' }), 'by its service account');
	$kube->rotate('renewed');
	$kube->interrupt('end');
	follows($feed, 'also after its token was renewed');
	$feed->stop;
};

subtest 'a token that changes' => sub {
	my $feed = KubeFeed->new($kube, '--kubeconfig', $kube->kubeconfig(token_file => 1));
	ok($feed->has(box => {}), '(fed)');
	$kube->tokens({ later => 'admin' });
	$kube->interrupt('end');
	ok($feed->fails(qr/status 401/), 'no longer accepted');
	ok($feed->serves('box', grep { /^new-/ } keys %{ $feed->records }),
	    'the gateway serves what it knows');
	$kube->rotate('later');
	follows($feed, 'renewed');
	is($feed->listings('batchsandboxes'), 1, 'without a list');
	$kube->tokens({ later => 'nobody' });
	$kube->interrupt('end');
	ok($feed->fails(qr/status 403: .*forbidden/), 'no rights');
	$kube->tokens({ later => 'admin' });
	follows($feed, 'and back');
	unlike(read_file($feed->{log}), qr/renewed|later/, 'no log line has a token');
	$feed->stop;
};

for my $certificate ('stranger', 'elsewhere') {
	subtest "a server that is $certificate" => sub {
		my $feed = KubeFeed->new($kube);
		ok($feed->has(box => {}), '(fed)');
		$kube->certificate($certificate);
		$kube->listen(0);
		$kube->listen(1);
		$kube->requests;
		ok($feed->fails(qr/SSL|certificate/i), 'is not believed');
		$kube->put('batchsandboxes', 'a/lie', batchsandbox('10.0.0.66'));
		my $late = KubeFeed->new($kube);
		ok($late->fails(qr/SSL|certificate/i), 'nor from the start');
		is(scalar @{ $kube->requests }, 0, 'nothing is asked of it, no token sent');
		ok(!$feed->records->{lie}, 'nothing is taken from it');
		$kube->delete('batchsandboxes', 'a/lie');
		$kube->certificate('server');
		follows($feed, 'the true one is');
		$_->stop for $feed, $late;
	};
}

subtest 'a certificate of another name' => sub {
	$kube->certificate('elsewhere');
	my $server = qr/(    server: https:\/\/127[^\n]*\n)/;
	my $wrong = KubeFeed->new($kube, '--kubeconfig',
	    kubeconfig($server, sub { "$_[0]    tls-server-name: 192.0.2.2\n" }));
	my $feed = KubeFeed->new($kube, '--kubeconfig',
	    kubeconfig($server, sub { "$_[0]    tls-server-name: 192.0.2.1\n" }));
	ok($feed->has(box => {}), 'is believed where the kubeconfig names it');
	ok($wrong->fails(qr/SSL|certificate/i), 'and no other');
	$_->stop for $feed, $wrong;
	$kube->certificate('server');
};

subtest 'insecure-skip-tls-verify' => sub {
	my $config = read_file($kube->kubeconfig);
	$config =~ s/certificate-authority: [^\n]*/insecure-skip-tls-verify: true/;
	$kube->certificate('stranger');
	my $feed = KubeFeed->new($kube, '--kubeconfig',
	    write_file("$kube->{folder}/insecure", $config));
	ok($feed->has(box => {}), 'takes whoever answers');
	is(scalar($feed->logged('unverified')), 1, 'and says so');
	$feed->stop;
	$kube->certificate('server');
};

subtest 'a resource that is forbidden' => sub {
	$kube->forbid('pods');
	my $feed = KubeFeed->new($kube, '--provider-type', 'batchsandbox,pod');
	ok($feed->fails(qr/status 403/), 'is said');
	like($feed->health->{content}, qr/pods not listed yet: status 403/, 'health says it too');
	ok($feed->serves(), 'nothing is fed by halves');
	$kube->forbid;
	ok($feed->has(box => {}), 'when it is allowed all is');
	$feed->stop;
};

sub fatal
{
	my ($name, $pattern, @options) = @_;
	my ($status, $out) = capture(build_dir() . '/opensandbox-discovery', '--once',
	    '--gateway', 'http://127.0.0.1:1', @options);
	isnt($status, 0, $name);
	like($out, $pattern, 'and says why');
}

subtest 'kubeconfigs that cannot be taken' => sub {
	my $exec = kubeconfig('    token: (?!none)[^\n]*', "    exec:\n      command: aws");
	my @cases = (
		['no file', '/nonexistent', qr/No such file/],
		['no YAML', write_file("$kube->{folder}/bad", "clusters: [\nusers: }\n"),
		    qr/line \d+: /],
		['nothing in it', write_file("$kube->{folder}/none", "kind: Config\n"),
		    qr/there is no context ""/],
		['exec plugins', $exec, qr/the user has "exec", which is not supported/],
		['no TLS', kubeconfig('https://127', 'http://127'),
		    qr{server: expected https://HOST:PORT}],
		['no host', kubeconfig('https://127[^\n]*', "https:///\n    tls-server-name: a"),
		    qr{server: expected https://HOST:PORT}],
		['no cluster', kubeconfig('cluster: here', 'cluster: gone'),
		    qr/there is no cluster "gone"/],
		['no user', kubeconfig('user: us', 'user: gone'), qr/there is no user "gone"/],
		['no authority', kubeconfig('certificate-authority: \S+', 'certificate-authority: /gone'),
		    qr{certificate-authority: "/gone": No such file}],
		['no base64', kubeconfig('certificate-authority-data: \S+',
		    'certificate-authority-data: "*"', data => 1), qr/expected base64/],
		['a certificate without its key', kubeconfig('    client-key: [^\n]*\n', '',
		    client => 1), qr/expected both client-certificate and client-key/],
	);
	fatal($_->[0], $_->[2], '--kubeconfig', $_->[1]) for @cases;
	fatal('not in a pod', qr/expected KUBERNETES_SERVICE_HOST.*--kubeconfig/, '--kubernetes');
	fatal('no such type', qr/expected batchsandbox, agent-sandbox or pod/,
	    '--kubeconfig', $exec, '--provider-type', 'batchsandbox,deployment');
	fatal('no namespace', qr/expected namespaces' names/, '--kubeconfig', $exec,
	    '--namespace', 'a/b');
};

done_testing();
