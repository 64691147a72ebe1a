# SPDX-License-Identifier: Apache-2.0
#
# The policy API: what each method does, what each mistake is answered, and
# that a change which cannot be kept changes nothing.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

my $E = 'OPENSANDBOX_EGRESS';
my $ns = netns('sb');
my $program = build_dir() . '/egress-sidecar';
my $json = JSON::PP->new->canonical;

# A sidecar for the namespace, its API on a free port of 127.0.0.1.
sub guard
{
	my ($name, $env, @before) = @_;
	my $port = free_port();
	my $pid = start(name => $name, cmd => [@before, $program, '--netns', $ns],
		env => { "${E}_DNS_UPSTREAM" => '127.0.0.1',
			"${E}_HTTP_ADDR" => "127.0.0.1:$port", %$env });

	wait_port($port) or die "$name: " . read_file(scratch() . "/$name.log");
	return ($pid, "http://127.0.0.1:$port");
}

my $base;

# (status, body, headers)
sub ask
{
	my ($method, $path, $body, @more) = @_;
	my $head = scratch() . '/head';
	my @cmd = ('curl', '-s', '-m', '20', '-D', $head, '-w', "\n%{http_code}");

	push @cmd, $method eq 'HEAD' ? '-I' : ('-X', $method);
	if (defined $body) {
		write_file(scratch() . '/body', $body);
		push @cmd, '--data-binary', '@' . scratch() . '/body';
	}
	my (undef, $out) = capture(@cmd, @more, "$base$path");
	my ($text, $status) = $out =~ /\A(.*)\n(\d+)\z/s;
	return ($status, $text, read_file($head));
}

# The policy in force, in canonical JSON.
sub policy
{
	my (undef, $text) = ask('GET', '/policy');
	return $json->encode(decode_json($text)->{policy});
}

sub rules
{
	return $json->encode({ defaultAction => 'deny', egress => [
		map { { action => $_->[0], target => $_->[1] } } @_] });
}

my $pid;
($pid, $base) = guard('plain', { "${E}_MAX_RULES" => 5,
	"${E}_RULES" => rules([qw(allow a.test)]) });

# Reading
{
	my ($status, $text, $head) = ask('GET', '/policy');
	is($status, 200, 'GET /policy');
	like($head, qr{^content-type: application/json\r$}mi, '  is JSON');
	is($json->encode(decode_json($text)), $json->encode({ status => 'ok',
		mode => 'enforcing', enforcementMode => 'dns+nft',
		policy => decode_json(rules([qw(allow a.test)])) }),
	    '  shows the policy, mode and enforcement mode');
	($status, undef, $head) = ask('HEAD', '/policy');
	is($status, 200, 'HEAD /policy');
	like($head, qr/^content-length: [1-9]/mi, '  says how long GET is');
	($status, $text) = ask('GET', '/healthz');
	is("$status $text", '200 ok', 'GET /healthz is ok, to the byte');
	($status, $text) = ask('GET', '/metrics');
	is($status, 200, 'GET /metrics');
}

# Replacing
for my $method (qw(POST PUT)) {
	my ($status, $text) = ask($method, '/policy',
	    rules([qw(allow b.test)], [qw(deny 10.0.0.0/8)]));
	is($status, 200, "$method /policy");
	is(decode_json($text)->{status}, 'ok', '  status ok');
	is(policy(), rules([qw(allow b.test)], [qw(deny 10.0.0.0/8)]),
	    '  replaces it');
	($status, $text) = ask($method, '/policy', '{"defaultAction":"allow"}');
	is(decode_json($text)->{mode}, 'allow_all', '  default allow: allow_all');
	for my $none ('', 'null', '{}') {
		($status, $text) = ask($method, '/policy', $none);
		is($status, 200, "$method of '$none'");
		is(decode_json($text)->{mode}, 'deny_all', '  denies all');
		is(decode_json($text)->{reason},
		    'policy reset to default deny-all', '  and says why');
	}
}

# Patching
ask('PUT', '/policy', rules([qw(allow a.test)], [qw(allow b.test)]));
is((ask('PATCH', '/policy', encode_json([
	{ action => 'deny', target => 'B.Test' },
	{ action => 'allow', target => 'c.test' },
	{ action => 'deny', target => 'c.test' }])))[0], 200, 'PATCH /policy');
is(policy(), rules([qw(deny B.Test)], [qw(allow c.test)], [qw(allow a.test)]),
    '  puts rules first, replaces the same targets, the first one wins');

# Deleting
{
	my ($status, $text) = ask('DELETE', '/policy', '["C.TEST","nowhere.test"]');
	is($status, 200, 'DELETE /policy');
	is(policy(), rules([qw(deny B.Test)], [qw(allow a.test)]),
	    '  takes the named targets away, and no others');
	($status, $text) = ask('DELETE', '/policy', '["nowhere.test"]');
	is($status, 200, 'DELETE of an unknown target');
	is(decode_json($text)->{reason}, 'no matching targets found',
	    '  says that there was none');
}

# What is not taken as it is written is told in the answer and in the log.
{
	my ($status, $text) = ask('PUT', '/policy', '{"x":1,"egress":['
	    . '{"target":" 10.0.0.1/8 "},{"action":"deny","ports":[25]}]}');
	my @warnings = ('unknown key "x" ignored',
	    'egress[0]: no action, taken as deny',
	    'egress[0].target: "10.0.0.1/8": host bits cleared, taken as '
		. '10.0.0.0/8', 'egress[1]: ports without a target, taken as "*"');

	is($status, 200, 'PUT of a policy with slack') or diag $text;
	is_deeply(decode_json($text)->{warnings}, \@warnings,
	    '  tells how it was taken');
	is(policy(), $json->encode({ defaultAction => 'deny', egress => [
		{ action => 'deny', target => '10.0.0.0/8' },
		{ action => 'deny', target => '*', ports => [25] }] }),
	    '  and shows what is in force');
	ok(wait_for(sub {
		my ($line) = read_file(scratch() . '/plain.log')
		    =~ /^(.*"warnings".*)$/m or return;
		my $event = decode_json($line);
		return $event->{level} eq 'warn'
		    && "@{ $event->{warnings} }" eq "@warnings";
	}, 10), '  and the log tells it');
	($status, $text) = ask('PUT', '/policy', policy());
	is($status, 200, '  what is shown is taken again');
	ok(!exists decode_json($text)->{warnings}, '  as it is written');
}

# Mistakes
my $before = policy();
for my $case (
	['POST',   '{"egress":[{"action":"allow","target":"a.test"},{"action":"maybe","target":"b"}]}',
		qr/egress\[1\].*action/, 'an unknown action'],
	['POST',   '{"egress":[{"action":"allow","target":"a b"}]}',
		qr/egress\[0\]\.target/, 'a target that is none'],
	['PUT',    '{"egres":[]}', qr/egres/, 'an unknown key'],
	['PUT',    '{"egress":', qr/invalid policy/, 'no JSON'],
	['PUT',    '[]', qr/invalid policy/, 'an array'],
	['PUT',    "\xff\xfe", qr/invalid policy/, 'no UTF-8'],
	['PATCH',  " \n", qr/^invalid patch rules: empty body$/,
		'an empty patch'],
	['PATCH',  '[ ]', qr/^invalid patch rules: empty array$/,
		'a patch without rules'],
	['PATCH',  '{}', qr/^invalid patch rules: /, 'a patch that is no array'],
	['PATCH',  '[{"action":"allow","target":"*."}]',
		qr/^invalid patch rules: .*target/, 'a patch with a bad target'],
	['DELETE', '', qr/^invalid delete targets: empty body$/,
		'nothing to delete'],
	['DELETE', '[]', qr/^invalid delete targets: empty array$/,
		'an empty list to delete'],
	['DELETE', '[1]', qr/^invalid delete targets: /,
		'a target that is a number'],
) {
	my ($method, $body, $pattern, $name) = @$case;
	my ($status, $text, $head) = ask($method, '/policy', $body);
	is($status, 400, "$method of $name");
	like($text, $pattern, '  says what was wrong');
	like($head, qr{^content-type: text/plain}mi, '  in plain text');
}
is(policy(), $before, 'none of them changed the policy');

is((ask('PUT', '/policy', rules(map { ['allow', "r$_.test"] } 1 .. 6)))[0],
    413, 'more rules than the cap');
is((ask('PATCH', '/policy', encode_json([map { { action => 'allow',
	target => "p$_.test" } } 1 .. 4])))[0], 413, 'a patch over the cap');
is(policy(), $before, '  change nothing');
is((ask('PUT', '/policy', rules(map { ['allow', "r$_.test"] } 1 .. 5)))[0],
    200, 'as many rules as the cap');
$before = policy();
my $body = rules([qw(allow long.test)]);
is((ask('PUT', '/policy', $body . ' ' x ((1 << 20) + 1 - length $body)))[0],
    413, 'a body of 1 MiB and a byte');
for my $mib (3, 32) {
	is((ask('PUT', '/policy', $body . ' ' x ($mib << 20)))[0], 413,
	    "a body of $mib MiB");
}
is(policy(), $before, '  change nothing');
is((ask('PUT', '/policy', $body . ' ' x ((1 << 20) - length $body)))[0], 200,
    'a body of 1 MiB');

for my $path ('/policy', '/healthz', '/metrics') {
	my ($status, undef, $head) = ask('OPTIONS', $path);
	is($status, 405, "OPTIONS $path");
	like($head, qr/^allow: GET/mi, '  says what is allowed');
}
is((ask('GET', '/nowhere'))[0], 404, 'an unknown path');
is((ask('GET', '/policy/'))[0], 404, 'a path below /policy');
stop($pid);

# The token
($pid, $base) = guard('token', { "${E}_TOKEN" => 'secret' });
is((ask('GET', '/policy'))[0], 401, 'no token');
for my $wrong ('', 'Secret', 'secre', 'secrets') {
	is((ask('PUT', '/policy', rules([qw(allow x.test)]), '-H',
		"OPENSANDBOX-EGRESS-AUTH: $wrong"))[0], 401, "token '$wrong'");
}
is((ask('GET', '/policy', undef, '-H', 'opensandbox-egress-auth: secret'))[0],
    200, 'the right token');
is((ask('GET', '/policy', undef, '-H',
	"OPENSANDBOX-EGRESS-AUTH: \t secret \t "))[0], 200, '  blanks around it');
is((ask('GET', '/healthz'))[0], 200, '/healthz needs none');
stop($pid);

# The policy file
my $folder = scratch() . '/policy';
mkdir $folder;
my $file = "$folder/policy.json";
my $kept = rules([qw(allow kept.test)]);
($pid, $base) = guard('file', { "${E}_POLICY_FILE" => $file,
	"${E}_RULES" => rules([qw(allow first.test)]) });
is((ask('PUT', '/policy', $kept))[0], 200, 'with a policy file: PUT');
is($json->encode(decode_json(read_file($file))), $kept, '  it is kept there');
is(sprintf('%o', (stat $file)[2] & 07777), '600', '  for root alone');
chmod 0640, $file;
chown 12, 34, $file;
is((ask('PUT', '/policy', $kept))[0], 200, 'a file that has an owner: PUT');
is(join(' ', map { sprintf '%o', $_ & 07777 } (stat $file)[2, 4, 5]),
    '640 14 42', '  keeps its mode and owner');
rename $folder, "$folder.away";
my ($status, $text) = ask('PUT', '/policy', rules([qw(allow lost.test)]));
is($status, 500, 'where it cannot be kept: 500');
like($text, qr/\Q$file\E: No such file/, '  names the file and why');
is(policy(), $kept, '  and the old one stays in force');
rename "$folder.away", $folder;
is_deeply([glob "$folder/*"], [$file], '  nothing is left beside the file');
stop($pid);
($pid, $base) = guard('again', { "${E}_POLICY_FILE" => $file,
	"${E}_RULES" => rules([qw(allow first.test)]) });
is(policy(), $kept, 'the next start reads the file, not the variable');
stop($pid);

# A full disk, which only that sidecar sees.
($pid, $base) = guard('full', { "${E}_POLICY_FILE" => $file,
	"${E}_MAX_RULES" => 0 }, 'unshare', '-m', 'sh', '-c',
    "mount -t tmpfs -o size=16k none $folder && exec \"\$@\"", 'sh');
is((ask('PUT', '/policy', $kept))[0], 200, 'a small file system: PUT');
($status, $text) = ask('PUT', '/policy',
    rules(map { ['allow', "name-$_.test"] } 1 .. 600));
is($status, 500, '  a policy too long for it: 500');
like($text, qr/No space left/, '  says why');
is(policy(), $kept, '  the old one stays in force');
is($json->encode(decode_json(read_file("/proc/$pid/root$file"))), $kept,
    '  and whole on disk');
is((ask('PUT', '/policy', rules([qw(allow next.test)])))[0], 200,
    '  and a shorter one is taken');
stop($pid);

# A file that a container is given, a mount of its own: it cannot be replaced, so
# it is written over, whatever its folder allows.
for my $case (['', 'a mount'], [" && mount -o remount,bind,ro $folder",
	'a mount in a read-only folder']) {
	my ($more, $name) = @$case;

	write_file($file, "\n");
	($pid, $base) = guard('mount', { "${E}_POLICY_FILE" => $file,
		"${E}_RULES" => $kept }, 'unshare', '-m', 'sh', '-c',
	    "mount --bind $folder $folder && mount --bind $file $file$more"
	    . ' && exec "$@"', 'sh');
	is(policy(), $kept, "$name: an empty file says nothing");
	for my $n (600, 2) {
		my $rules = rules(map { ['allow', "n$_.test"] } 1 .. $n);
		is((ask('PUT', '/policy', $rules))[0], 200, "  PUT of $n rules");
		is($json->encode(decode_json(read_file($file))), $rules,
		    '  is in the file');
	}
	is_deeply([glob "$folder/*"], [$file], '  and nothing beside it');
	stop($pid);
}

done_testing();
