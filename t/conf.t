# SPDX-License-Identifier: Apache-2.0
#
# What conf/ has for containers, Kubernetes and systemd fits the programs: the
# libraries they link are installed, the capabilities they are given are
# enough, the policies and variables are real, nginx takes the configuration.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More tests => 56;
use Harness;
use World;

my $conf = root() . '/conf';
my $dir = scratch();
my $program = build_dir() . '/egress-sidecar';
my $nginx = $ENV{NGINX} ? "$ENV{NGINX}/usr/sbin/nginx" : 'nginx';
my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');
my (undef, $help) = capture($program, '--help');

# The packages that hold the libraries a program is linked with.
sub packages_of
{
	my ($file) = @_;
	my (undef, $out) = capture('objdump', '-p', $file);
	my (undef, $cache) = capture('/sbin/ldconfig', '-p');
	my %found;
	for my $library ($out =~ /NEEDED\s+(\S+)/g) {
		next if $library =~ /^(libc|libm|ld-linux.*|lib(?:a|ub)san)\.so/;
		my ($path) = $cache =~ /^\s*\Q$library\E .*=> (\S+)/m;
		# A merged /usr has two names for each file.
		for my $name ($path, $path =~ s{^/usr}{}r, "/usr$path") {
			my ($status, $owner) = capture('dpkg', '-S',
			    $name =~ s{/\./}{/}r);
			$found{$1} = 1 if $status == 0 && $owner =~ /^([^:,]+)/;
		}
	}
	return sort keys %found;
}

for my $case (
	['sidecar.Containerfile', $program],
	['discovery.Containerfile', build_dir() . '/opensandbox-discovery'],
	['gateway.Containerfile', build_dir() . '/ngx_http_opensandbox_module.so'],
	['gateway.Containerfile', build_dir() . '/opensandbox-discovery'],
) {
	my ($file, $built) = @$case;
	my $text = read_file("$conf/container/$file");
	my ($last) = $text =~ /^FROM \S+ AS root$(.*?)^FROM /ms;
	my @packages = packages_of($built);
	cmp_ok(scalar @packages, '>', 1, "$file: libraries are found");
	is_deeply([grep { $last !~ /\s\Q$_\E\s/ } @packages], [],
	    '  each is installed in the image');
	for my $source (map { my @words = split; @words[0 .. $#words - 1] }
	    $text =~ /^COPY (?!--from)(.+)$/mg) {
		ok(-e root() . "/$source", "  $source is there to be copied");
	}
}

# The gateway's configurations, with a token where one is included
my $module = build_dir() . '/ngx_http_opensandbox_module.so';
my @gateway = documents("$conf/kubernetes/gateway.yaml");
my ($config) = map { $_->{data}{'nginx.conf'} } grep {
	$_->{kind} eq 'ConfigMap' } @gateway;
mkdir "$dir/$_" for qw(opensandbox.d opensandbox-api.d opensandbox-token);
write_file("$dir/$_/token.conf", "opensandbox_api_token change-me;\n")
    for qw(opensandbox-api.d opensandbox-token);
my ($status, $out, $text);
for my $case (['container', read_file("$conf/container/nginx.conf")],
	['pod', $config]) {
	my ($name, $text) = @$case;
	$text =~ s{ /tmp/}{ $dir/}g;
	$text =~ s{modules/ngx_http_opensandbox_module\.so}{$module};
	$text =~ s{/etc/nginx/(opensandbox-\w+\.conf)}{$conf/nginx/$1}g;
	$text =~ s{/etc/nginx/(opensandbox[\w-]*\.d)}{$dir/$1}g;
	$text =~ s{/(?:run|etc)/(nginx.pid|opensandbox-token)}{$dir/$1}g;
	write_file("$dir/nginx.conf", $text);
	my $env = nginx_env();
	local @ENV{ keys %$env } = values %$env;
	($status, $out) = capture($nginx, '-e', 'stderr', '-p', $dir, '-t', '-c',
	    "$dir/nginx.conf");
	is($status, 0, "nginx takes the $name\'s configuration") or diag $out;
}

sub documents
{
	my ($file) = @_;
	my ($failed, $json) = capture(python(), '-c',
	    'import json, sys, yaml; print(json.dumps(list('
	    . 'yaml.safe_load_all(open(sys.argv[1])))))', $file);
	die "$file: $json" if $failed;
	return @{ decode_json($json) };
}

# Kubernetes
my ($deployment) = grep { $_->{kind} eq 'Deployment' } @gateway;
my $gateway = $deployment->{spec}{template}{spec}{containers}[0];
my @listens = $config =~ /listen (\d+);/g;
is_deeply([map { $_->{containerPort} } @{ $gateway->{ports} }],
    [map { 0 + $_ } @listens], 'the gateway\'s ports are nginx\'s');

my ($pod) = grep { $_->{kind} eq 'Pod' }
    documents("$conf/kubernetes/sandbox.yaml");
my $sidecar = $pod->{spec}{initContainers}[0];
is($sidecar->{restartPolicy}, 'Always', 'the sidecar is a native one');
ok($sidecar->{startupProbe}, '  and the sandbox waits for its probe');
is_deeply([grep { $help !~ /^\s+\Q$_->{name}\E$/m } @{ $sidecar->{env} }], [],
    '  its variables are the program\'s');
my ($rules) = map { $_->{value} } grep { $_->{name} =~ /_RULES$/ }
    @{ $sidecar->{env} };
write_file("$dir/pod.json", $rules);
($status, $out) = capture($program, 'check', "$dir/pod.json", '--query',
    'files.pythonhosted.org');
is($status, 0, '  its policy is one') or diag $out;
like($out, qr/: allow, by/, '  that allows what it says');
my @capabilities = @{ $sidecar->{securityContext}{capabilities}{add} };
is_deeply($sidecar->{securityContext}{capabilities}{drop}, ['ALL'],
    '  it is given no capabilities but some');
is_deeply($pod->{spec}{containers}[0]{securityContext}{capabilities},
    { drop => ['ALL'] }, '  and the sandbox none');

# Run with the capabilities that are given, and no others.
sub only
{
	my (@names) = map { lc s/^CAP_//r } @_;
	my $set = join ',', '-all', map { "+$_" } @names;
	return ('setpriv', '--bounding-set', $set, '--inh-caps', '-all',
	    '--no-new-privs');
}

my $w = world();
world_dns($w, '--address=/pypi.org/' . GOOD, '--address=/evil.test/' . EVIL);
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
sub code { (sees($w, @web, "http://$_[0]/"))[1] }

my $pid = start(name => 'pod', netns => $w->{sandbox}, env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
	OPENSANDBOX_EGRESS_TOKEN => 'change-me',
	OPENSANDBOX_EGRESS_POLICY_FILE => "$dir/kept.json",
	OPENSANDBOX_EGRESS_RULES => $rules },
    cmd => [only(@capabilities), $program]);
my $probe = sub { (capture('ip', 'netns', 'exec', $w->{host}, 'curl', '-sf',
	'-m', '2', '-o', '/dev/null', 'http://10.88.0.5:18080/healthz'))[0] };
is(wait_for(sub { !alive($pid) || $probe->() == 0 }) && $probe->(), 0,
    'with the pod\'s capabilities the sidecar serves')
    or diag read_file("$dir/pod.log");
is(code('pypi.org'), '200', '  what its policy allows opens');
is(code(EVIL), '000', '  nothing else does');
run_in($w->{host}, 'curl', '-sf', '-m', '5', '-X', 'PATCH', '-H',
    'OPENSANDBOX-EGRESS-AUTH: change-me', '--data',
    '[{"action":"deny","target":"kept.test"}]',
    'http://10.88.0.5:18080/policy');
like(read_file("$dir/kept.json"), qr/kept\.test/,
    '  and it keeps a policy file');
stop($pid);
run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');

# systemd
my %unit;
for my $name ('opensandbox-egress-agent.service', 'opensandbox-egress@.service',
	'opensandbox-discovery.service') {
	$text = read_file("$conf/systemd/$name");
	($unit{$name}) = $text =~ /^CapabilityBoundingSet=(.+)$/m;
	like($text, qr{^ExecStart=/usr/sbin/(?:egress-sidecar --|opensandbox-discovery$)}m,
	    "$name runs the installed program");
	SKIP: {
		skip 'no systemd-analyze', 1
		    if (capture('systemd-analyze', '--version'))[0] != 0;
		my $build = build_dir();
		$text =~ s{/usr/sbin/}{$build/};
		write_file("$dir/$name", $text);
		my $file = "$dir/$name" =~ s/\@\./\@sandbox1./r;
		symlink "$dir/$name", $file if $name =~ /\@/;
		($status, $out) = capture('systemd-analyze', '--man=no', 'verify',
		    $file);
		is(join("\n", grep { /\Q$dir\E/ } split /\n/, $out), '',
		    '  systemd finds no fault in it');
	}
}
$pid = start(name => 'agent', netns => $w->{host}, env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER },
    cmd => [only(split ' ', $unit{'opensandbox-egress-agent.service'}),
	$program, '--agent', '--agent-socket', "$dir/run/egress.sock",
	'--agent-state', "$dir/run/egress.d"]);
sub put
{
	my (undef, $answer) = capture('curl', '-s', '-m', '5', '--unix-socket',
	    "$dir/run/egress.sock", '-X', 'PUT', '--data', encode_json($_[0]),
	    '-w', "\n%{http_code}", 'http://agent/v1/sandboxes/sb-1');
	return $answer =~ /\n(\d+)\z/ ? $1 : 0;
}
ok(wait_for(sub { -S "$dir/run/egress.sock" }), 'with its unit\'s, the agent too');
is(put({ netns => $w->{sandbox}, policy => decode_json($rules) }), 201,
    '  guards a namespace') or diag read_file("$dir/agent.log");
is(code('pypi.org'), '200', '  what the policy allows opens');
is(code(EVIL), '000', '  nothing else does');
stop($pid);
run_in($w->{sandbox}, 'nft', 'flush', 'ruleset');
$pid = start(name => 'join', netns => $w->{host}, env => {
	OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
	OPENSANDBOX_EGRESS_POLICY_FILE => "$dir/pod.json" },
    cmd => [only(split ' ', $unit{'opensandbox-egress@.service'}), $program,
	'--netns', $w->{sandbox}]);
$w->{api} = 'http://127.0.0.1:18080';
ok(wait_for(sub { (api($w, 'GET', '/healthz'))[0] == 200 }),
    'and so does the sidecar of one sandbox') or diag read_file("$dir/join.log");
is(code('pypi.org'), '200', '  what its policy file allows opens');
is((api($w, 'PUT', '/policy', { egress => [] }))[0], 200,
    '  a change of policy');
is_deeply(decode_json(read_file("$dir/pod.json"))->{egress}, [],
    '  is in its file');
stop($pid);
