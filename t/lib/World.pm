# SPDX-License-Identifier: Apache-2.0
package World;

# A little world of namespaces: a sandbox, a host that routes, and an
# internet with a DNS server and web servers. The demo and the egress tests
# live in it.
#
#   sandbox 10.88.0.5 -- 10.88.0.1 host 203.0.113.1 -- internet 203.0.113.x
#   2001:db8:88::5  2001:db8:88::1    2001:db8:113::1   2001:db8:113::x

use strict;
use warnings;
use Exporter 'import';
use Harness;
use JSON::PP;

our @EXPORT = qw(world world_dns world_web sidecar api sees counted GOOD EVIL
    GOOD6 EVIL6 RESOLVER RESOLVER6);

use constant {
	GOOD      => '203.0.113.20',
	GOOD6     => '2001:db8:113::20',
	EVIL      => '203.0.113.66',
	EVIL6     => '2001:db8:113::66',
	RESOLVER  => '203.0.113.53',
	RESOLVER6 => '2001:db8:113::53',
};

# Make the namespaces; returns their names as a hash reference.
sub world
{
	my %w = map { $_ => netns($_) } qw(sandbox host internet);

	veth($w{sandbox}, 'eth0', $w{host}, 'sb0');
	veth($w{host}, 'wan0', $w{internet}, 'eth0');
	run_in($w{host}, 'sysctl', '-qw', 'net.ipv4.ip_forward=1',
	    'net.ipv6.conf.all.forwarding=1');
	addr($w{sandbox}, 'eth0', '10.88.0.5/24', '2001:db8:88::5/64');
	addr($w{host}, 'sb0', '10.88.0.1/24', '2001:db8:88::1/64');
	addr($w{host}, 'wan0', '203.0.113.1/24', '2001:db8:113::1/64');
	addr($w{internet}, 'eth0',
	    map { ("203.0.113.$_/24", "2001:db8:113::$_/64") }
	    (20, 21, 53, 66, 99));
	run('ip', '-n', $w{sandbox}, 'route', 'add', 'default', 'via',
	    '10.88.0.1');
	run('ip', '-n', $w{sandbox}, 'route', 'add', 'default', 'via',
	    '2001:db8:88::1');
	run('ip', '-n', $w{internet}, 'route', 'add', 'default', 'via',
	    '203.0.113.1');
	run('ip', '-n', $w{internet}, 'route', 'add', 'default', 'via',
	    '2001:db8:113::1');
	netns_etc($w{sandbox}, 'resolv.conf', "nameserver 10.88.0.1\n");
	counters($w{internet});
	return \%w;
}

# In the internet: count what arrives, by where it goes.
sub counters
{
	my ($ns) = @_;
	my $rules = "table inet seen {\n";
	my @chain;

	for my $place (qw(good evil other)) {
		$rules .= "counter $place { }\n";
	}
	push @chain, 'iif lo return',
	    'ip daddr 203.0.113.53 return', 'ip6 daddr 2001:db8:113::53 return',
	    'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert,'
	    . ' nd-router-solicit, nd-router-advert, mld2-listener-report,'
	    . ' mld-listener-report } return';
	for my $n (20, 21) {
		push @chain, "ip daddr 203.0.113.$n counter name good return",
		    "ip6 daddr 2001:db8:113::$n counter name good return";
	}
	push @chain, 'ip daddr 203.0.113.66 counter name evil return',
	    'ip6 daddr 2001:db8:113::66 counter name evil return',
	    'counter name other';
	$rules .= "chain arrive {\n type filter hook prerouting priority -400;\n"
	    . join("\n", @chain) . "\n}\n}\n";
	write_file(scratch() . '/seen.nft', $rules);
	run_in($ns, 'nft', '-f', scratch() . '/seen.nft');
}

# Packets that arrived in the internet at good, evil or other.
sub counted
{
	my ($w, $place) = @_;
	my $out = run_in($w->{internet}, 'nft', 'list', 'counter', 'inet',
	    'seen', $place);

	return $out =~ /packets (\d+)/ ? $1 : die "no counter: $out";
}

# A DNS server in the internet that knows names; records are dnsmasq options.
sub world_dns
{
	my ($w, @records) = @_;
	my @options = @records ? @records : (
		'--address=/good.test/' . GOOD, '--address=/good.test/' . GOOD6,
		'--address=/evil.test/' . EVIL, '--address=/evil.test/' . EVIL6,
	);
	my $pid = start(
		name  => 'dnsmasq',
		netns => $w->{internet},
		cmd   => ['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null',
			'--no-resolv', '--no-hosts', '--user=root', '--pid-file',
			'--bind-interfaces', '--listen-address=' . RESOLVER,
			'--listen-address=' . RESOLVER6, '--log-facility=-',
			'--log-queries', '--local-ttl=60', @options]);
	wait_for(sub {
		my ($status) = capture('ip', 'netns', 'exec', $w->{internet}, 'dig',
		    '+time=1', '+tries=1', '@' . RESOLVER, 'good.test');
		return $status == 0;
	});
	return $pid;
}

# A web application on ADDRESS:PORT of a namespace.
sub world_web
{
	my ($w, $place, $address, $port, $name) = @_;
	my $pid = start(
		name  => "web-$name",
		netns => $w->{$place},
		cmd   => [python(), root() . '/t/tools/app.py', $address, $port,
			$name]);
	my $host = $address =~ /:/ ? "[$address]" : $address;

	wait_for(sub {
		my ($status) = capture('ip', 'netns', 'exec', $w->{$place}, 'curl',
		    '-sf', '-m', '2', '-o', '/dev/null', "http://$host:$port/");
		return $status == 0;
	}, 60) or die "web server $name did not start\n";
	return $pid;
}

# Start the sidecar and wait until it serves. how => 'join' (default: in the
# host's namespace, with --netns) or 'sidecar' (in the sandbox's own); under =>
# [a program that runs it and its arguments].
sub sidecar
{
	my ($w, %o) = @_;
	my $how = $o{how} || 'join';
	my @cmd = (@{ $o{under} || [] }, build_dir() . '/egress-sidecar');

	push @cmd, '--netns', $w->{sandbox} if $how eq 'join';
	my %env = (
		OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER,
		OPENSANDBOX_EGRESS_HTTP_ADDR    => ':18080',
		%{ $o{env} || {} },
	);
	my $name = $o{name} || 'sidecar';
	my $pid = start(
		name  => $name,
		netns => $how eq 'join' ? $w->{host} : $w->{sandbox},
		env   => \%env,
		cmd   => [@cmd, @{ $o{args} || [] }]);
	$w->{api} = $how eq 'join' ? 'http://127.0.0.1:18080'
	    : 'http://10.88.0.5:18080';
	wait_for(sub {
		return 1 if !alive($pid);
		my ($status) = capture('ip', 'netns', 'exec', $w->{host}, 'curl',
		    '-sf', '-m', '2', '-o', '/dev/null', "$w->{api}/healthz");
		return $status == 0;
	}, $o{under} ? 60 : 10) or die "sidecar did not start\n";
	die "sidecar ended: " . read_file(scratch() . "/$name.log")
	    if !alive($pid);
	return $pid;
}

# Ask the policy API from the host: (status, body, decoded JSON if it is).
sub api
{
	my ($w, $method, $path, $body, @more) = @_;
	my @cmd = ('curl', '-s', '-m', '10', '-X', $method, '-w', "\n%{http_code}");

	push @cmd, '--data-binary', ref $body ? encode_json($body) : $body
	    if defined $body;
	my (undef, $out) = capture('ip', 'netns', 'exec', $w->{host}, @cmd, @more,
	    "$w->{api}$path");
	my ($text, $status) = $out =~ /\A(.*)\n(\d+)\z/s;
	return ($status, $text, scalar eval { decode_json($text) });
}

# What the sandbox sees when it runs a command: (exit status, output).
sub sees
{
	my ($w, @cmd) = @_;
	return capture('ip', 'netns', 'exec', $w->{sandbox}, @cmd);
}

1;
