# SPDX-License-Identifier: Apache-2.0
package GateWorld;

# What the gate's tests add to the world: a content network that serves many
# names on one address, over TLS and in clear; a sidecar with the gate on in
# each of its modes; and what a client sees of a connection.

use strict;
use warnings;
use Exporter 'import';
use Agent;
use Harness;
use JSON::PP;
use World;

our @EXPORT = qw(gate_world gate_start gate_policy gate_metrics gate_log
    served fetch tls clear_request hold arrived allow TENANT);

use constant TENANT => '203.0.113.21';

# good.test, also.test and other.test are one address, of both families;
# far.test another. A name's own answer is "TLS NAME" or "HTTP NAME".
sub gate_world
{
	my $w = world();
	my $dir = scratch();

	run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
	    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
	    '/CN=cdn.test', '-keyout', "$dir/cdn.key", '-out', "$dir/cdn.crt");
	write_file("$dir/cdn.conf", <<"END");
daemon off;
pid $dir/cdn.pid;
error_log $dir/cdn.error;
user root;
worker_processes 1;
events { worker_connections 2048; }
http {
    access_log off;
    log_format names '\$server_port \$ssl_server_name \$host';
    keepalive_timeout 600;
    client_header_timeout 600;
    client_body_temp_path $dir/cdn_body;
    proxy_temp_path $dir/cdn_proxy;
    fastcgi_temp_path $dir/cdn_fastcgi;
    uwsgi_temp_path $dir/cdn_uwsgi;
    scgi_temp_path $dir/cdn_scgi;
    ssl_certificate $dir/cdn.crt;
    ssl_certificate_key $dir/cdn.key;
    server {
        listen 0.0.0.0:443 ssl http2;
        listen [::]:443 ssl http2;
        access_log $dir/cdn.log names;
        return 200 "TLS \$ssl_server_name\\n";
    }
    server {
        listen 0.0.0.0:80;
        listen [::]:80;
        listen 0.0.0.0:8080;
        access_log $dir/cdn.log names;
        return 200 "HTTP \$host\\n";
    }
}
END
	write_file("$dir/cdn.log", '');
	start(name => 'cdn', netns => $w->{internet},
	    cmd => ['nginx', '-c', "$dir/cdn.conf"]);
	world_dns($w, (map { ("--address=/$_/" . GOOD, "--address=/$_/" . GOOD6) }
		qw(good.test also.test other.test)),
	    '--address=/far.test/' . TENANT, '--address=/evil.test/' . EVIL);
	wait_for(sub { (capture('ip', 'netns', 'exec', $w->{internet}, 'curl',
	    '-skm', '2', '-o', '/dev/null', 'https://' . GOOD . '/'))[0] == 0 })
	    or die 'nginx did not start: ' . read_file("$dir/cdn.log");
	return $w;
}

# A policy that allows these targets; rules as they are.
sub allow
{
	return { egress => [map { ref $_ ? $_
	    : { action => 'allow', target => $_ } } @_] };
}

# Start in a mode: join, sidecar or agent.
sub gate_start
{
	my ($w, $mode, $policy, %o) = @_;
	my %env = (OPENSANDBOX_EGRESS_GATE => 'names', %{ $o{env} || {} });
	my $name = $o{name} || "gate-$mode";

	$w->{mode} = $mode;
	$w->{log} = scratch() . "/$name.log";
	return sidecar($w, how => $mode, name => $name, args => $o{args},
	    env => { OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb',
		OPENSANDBOX_EGRESS_RULES => encode_json($policy), %env })
	    if $mode ne 'agent';
	my $pid = agent($w->{host}, $name,
	    { OPENSANDBOX_EGRESS_DNS_UPSTREAM => RESOLVER, %env });
	if (!$o{kept}) {
		my ($status, $body) = ask('PUT', '/v1/sandboxes/sb', {
			netns => $w->{sandbox}, policy => $policy });
		$status == 201 or die "attach: $status "
		    . (ref $body ? encode_json($body) : $body);
	}
	return $pid;
}

# Put another policy in force.
sub gate_policy
{
	my ($w, $policy) = @_;
	my ($status) = $w->{mode} eq 'agent'
	    ? ask('PATCH', '/v1/sandboxes/sb', { policy => $policy })
	    : api($w, 'PUT', '/policy', $policy);

	$status == 200 or die "policy: $status";
}

# egress_gate_*, without these words: { accepted_total => 3, ... }
sub gate_metrics
{
	my ($w) = @_;
	my $text = ($w->{mode} eq 'agent' ? ask('GET', '/metrics')
	    : api($w, 'GET', '/metrics'))[1];

	return { $text =~ /^egress_gate_(\w+)\{[^}]*\} (\d+)$/mg };
}

# The log's lines that have these fields.
sub gate_log
{
	my ($w, %want) = @_;
	my @lines = grep { ref eq 'HASH' }
	    map { eval { decode_json($_) } } split /\n/, read_file($w->{log});

	for my $key (keys %want) {
		@lines = grep { ($_->{$key} // '') eq $want{$key} } @lines;
	}
	return @lines;
}

# What the servers have been asked for: "PORT SNI HOST", a line each.
# $last: once that is the last of it, since they log a request after its answer.
sub served
{
	my ($last) = @_;
	my $log;

	wait_for(sub {
		$log = read_file(scratch() . '/cdn.log');
		return !defined $last || $log =~ /^\Q$last\E\z/m;
	});
	return $log;
}

# curl from the sandbox: what came, or how it ended: "reset", "refused", ...
sub fetch
{
	my ($w, @args) = @_;
	my ($status, $out) = sees($w, 'curl', '-sSkm', '15', @args);

	return $out =~ s/\n\z//r if $status == 0;
	return 'reset' if $out =~ /reset by peer/;
	return 'refused' if $status == 7;
	return "curl $status: $out";
}

# The same of a name at an address that it need not lead to.
sub tls
{
	my ($w, $name, $address, @more) = @_;
	my $at = $address =~ /:/ ? "[$address]" : $address;

	return fetch($w, '--resolve', "$name:443:$at", @more, "https://$name/");
}

sub clear_request
{
	my ($w, $host, $address, @more) = @_;
	my $at = $address =~ /:.*:/ ? "[$address]" : $address;

	return fetch($w, '-H', "Host: $host", @more, "http://$at/");
}

# A TLS connection that says nothing more; its pid.
my $held = 0;
sub hold
{
	my ($w, $name) = @_;
	my $log = 'held' . ++$held;
	my $pid = start(name => $log, netns => $w->{sandbox}, cmd => ['openssl',
		's_client', '-ign_eof', '-connect', GOOD . ':443', '-servername',
		$name]);
	wait_for(sub { read_file(scratch() . "/$log.log") =~ /Verify return code/ })
	    or die read_file(scratch() . "/$log.log");
	return $pid;
}

# How many packets reach the content network while code runs. Those of
# connections that ended before have come by now.
sub arrived
{
	my ($w, $code) = @_;
	my $before = -1;

	wait_for(sub {
		my $last = $before;
		$before = counted($w, 'good');
		select undef, undef, undef, 0.2;
		return $before == $last;
	});
	$code->();
	select undef, undef, undef, 0.2;
	return counted($w, 'good') - $before;
}

1;
