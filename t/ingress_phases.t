#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Whatever reads a variable of the gateway, and in whatever phase: no sandbox
# gets another's page, limit, or line in the log.  A table of phases (what a
# request meets before, beside or after its sandbox) by directives (what goes by
# the sandbox's id), in each of two modes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $dir = scratch();
chmod 0777, $dir;

# Says who it is, how often it has answered, and what it was told; what it is
# asked to include comes last.
sub sandbox
{
	my ($mark) = @_;
	return scalar backend(sub {
		my ($s) = @_;
		while (my $head = Ingress::read_head($s)) {
			my ($path) = $head =~ m{^\S+ (\S+)};
			open my $fh, '>>', "$dir/asked.$mark";
			syswrite $fh, '.';
			close $fh;
			wait_for(sub { -e "$dir/free" }, 20) if $path =~ /hold/;
			if ($head =~ /^Range: bytes=(\d+)-(\d+)/m) {
				my $last = $2 > 24 ? 24 : $2;
				my $part = $mark x ($last - $1 + 1);
				print $s "HTTP/1.1 206 Partial Content\r\nETag: \"x\"\r\n"
				    . "Content-Range: bytes $1-$last/25\r\nContent-Length: "
				    . length($part) . "\r\n\r\n$part";
				next;
			}
			my $id = $head =~ /^X-Id: (.*)\r$/m ? $1 : '';
			my $body = "$mark " . (-s "$dir/asked.$mark") . " [$id]\n";
			$body .= "<!--# include virtual=\"$1\" -->"
			    if $head =~ /^X-Include: (\S+)/m;
			write_file("$dir/told.$mark", $id) if $path =~ /other/;
			print $s "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: "
			    . length($body) . "\r\n\r\n$body";
		}
	});
}

my %box = map { $_ => sandbox($_) } qw(a b);
my $auth = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($saw) = $head =~ /^X-Id: (.*)\r$/m;
		print $s "HTTP/1.1 204 No Content\r\nX-Saw: " . ($saw // 'nothing')
		    . "\r\n\r\n";
	}
});
my $other = "/sandboxes/b/port/$box{b}/other";

# What the request meets: lines of the server, and of the sandbox's location,
# and whether "set" reads the id there.
my @phases = (
	['nothing else', '', ''],
	['"set" of the location', '', '', 1],
	['"set" of the server', 'set $early $opensandbox_id$mapped;', ''],
	['"if" of the server', 'if ($opensandbox_id = x) { return 410; }
	    if ($mapped = x) { return 410; }', ''],
	['"set" before "rewrite"', 'location ~ ^(/.*/|/)first-(.*) {
	        opensandbox %MODE%;
	        set $early $opensandbox_id$mapped;
	        rewrite ^(.*/)first-(.*) $1$2 last;
	    }', ''],
	['"if" of the location', '', 'if ($opensandbox_id = a) { set $early a; }
	    if ($mapped = b) { set $early b; }'],
	['"auth_request"', 'location = /auth {
	        internal;
	        proxy_pass http://127.0.0.1:%AUTH%;
	        proxy_pass_request_body off;
	        proxy_set_header Content-Length "";
	        proxy_set_header X-Id "$opensandbox_id $mapped $opensandbox_port $opensandbox_mode";
	    }', 'auth_request /auth;
	    auth_request_set $saw $upstream_http_x_saw;
	    add_header X-Saw $saw;'],
	['"mirror"', '', "mirror $other;"],
	['"mirror" and "set"', '', "mirror $other;", 1],
	['an include', '', "ssi on; ssi_types *; proxy_set_header X-Include $other;"],
	['an include and "set"', '',
	    "ssi on; ssi_types *; proxy_set_header X-Include $other;", 1],
);

my (%port, $zones, $servers);
my $n = 0;
for my $mode (qw(header uri)) {
	for my $phase (@phases) {
		my ($name, $server, $location, $set) = @$phase;
		my $who = $set ? '$opensandbox_id' : '-';
		my $port = $port{"$mode $name"} = free_port();
		my $sandbox = "opensandbox $mode; include %CONF%/opensandbox-proxy.conf;
		    proxy_set_header X-Id \"\$who \$mapped \$derived\";
		    set \$who $who; $location";
		s/%MODE%/$mode/g, s/%AUTH%/$auth/g for $server;
		$n++;
		$zones .= "limit_req_zone \$mapped zone=rate$n:1m rate=1r/m;
		    limit_conn_zone \$opensandbox_id zone=open$n:1m;\n";
		$servers .= <<"EOT";
server {
    listen 127.0.0.1:$port;
    access_log $dir/$mode$n.log who;
    $server
    location ~ /plain\$ { $sandbox }
    location ~ /hold\$ { limit_conn open$n 1; $sandbox }
    location ~ /rate\$ { limit_req zone=rate$n; $sandbox }
    location ~ /cached\$ {
        proxy_cache cached;
        proxy_cache_key \$server_port:\$opensandbox_id:\$opensandbox_port:\$arg_page;
        proxy_cache_valid 200 1h;
        add_header X-Cache \$upstream_cache_status;
        $sandbox
        proxy_buffering on;
    }
    location ~ /mapped\$ {
        proxy_cache cached;
        proxy_cache_key \$server_port:\$mapped:\$derived:\$arg_page;
        proxy_cache_valid 200 1h;
        $sandbox
        proxy_buffering on;
    }
    location ~ /sliced\$ {
        slice 10;
        proxy_cache cached;
        proxy_cache_key \$server_port:\$mapped:\$slice_range;
        proxy_cache_valid 206 1h;
        proxy_set_header Range \$slice_range;
        $sandbox
        proxy_buffering on;
    }
    location = $other {
        opensandbox uri;
        include %CONF%/opensandbox-proxy.conf;
        set \$who \$opensandbox_id;
        proxy_set_header X-Id "\$who \$mapped \$derived";
    }
}
EOT
		$port{"$mode $name log"} = "$dir/$mode$n.log";
	}
}

my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
$conf =~ s/^proxy_buffering off;\n//m;
mkdir "$dir/conf";
write_file("$dir/conf/opensandbox-proxy.conf", $conf);
$servers =~ s/%CONF%/$dir\/conf/g;

my $g = gateway(workers => 1, http => <<"EOT", server => <<"EOT");
map \$opensandbox_id \$mapped { default \$opensandbox_id; '' none; }
map \$mapped \$derived { ~^(?<first>.) \$first; }
log_format who "\$arg_n \$opensandbox_id \$who \$mapped \$derived";
proxy_cache_path $dir/cache keys_zone=cached:1m use_temp_path=off;
opensandbox_sandbox a { endpoint 127.0.0.1; }
opensandbox_sandbox b { endpoint 127.0.0.1; }
$zones
$servers
EOT
location / {
    opensandbox header;
    include %CONF%/opensandbox-proxy.conf;
    proxy_set_header X-Id "\$opensandbox_client_host";
    auth_request /auth;
    auth_request_set \$saw \$upstream_http_x_saw;
    add_header X-Saw \$saw;
}
location = /auth {
    internal;
    proxy_pass http://127.0.0.1:$auth;
    proxy_set_header X-Id "\$opensandbox_client_host";
}
EOT

my ($mode, $name, $set, $saw);

sub line
{
	my ($id, $path) = @_;
	my ($dir, $prefix) = ('', '');
	$prefix = 'first-' if $name =~ /rewrite/;
	$dir = "/sandboxes/$id/port/$box{$id}" if $mode eq 'uri';
	return ("$dir/$prefix$path", $mode eq 'header'
	    ? "OpenSandbox-Ingress-To: $id-$box{$id}" : ());
}

sub ask_box
{
	my ($id, $path) = @_;
	my ($target, @headers) = line($id, $path);
	my $answer = get($port{"$mode $name"}, $target, @headers);
	$saw = $answer->{headers}{'x-saw'}[0];
	return $answer;
}

# The sandbox, if all of the values are its own.
sub own
{
	my ($id, $text, @values) = @_;
	my $own = join ' ', @values;
	return $text eq $own ? $id : "$id has $text";
}

# Which sandbox answered, if it was told of itself alone.
sub told
{
	my ($answer) = @_;
	return "$answer->{status}" if $answer->{status} != 200;
	my ($id, $text) = $answer->{body} =~ /^(\w) \d+ \[(.*)\]/;
	return own($id // 'nobody', $text // '', $set ? $id : '-', $id, $id);
}

# Whose line in the log it is, if it names one sandbox alone.
sub logged
{
	my ($text) = @_;
	my ($id) = $text =~ /^(\S+)/;
	return own($id, $text, $id, $set ? $id : '-', $id, $id);
}

my @directives = (
	['proxy_set_header' => sub {
		return join ', ', map {
			told(ask_box($_, 'plain?n=' . ++$n))
		} qw(a b a);
	}, 'a, b, a'],
	['access_log' => sub {
		my $log = $port{"$mode $name log"};
		return wait_for(sub {
			my %line = map { /^(\d+) (.*)/ } split /\n/, read_file($log);
			my @lines = @line{ $n - 2 .. $n };
			return 3 == grep({ defined } @lines) && join ', ',
			    map { logged($_) } @lines;
		}, 10);
	}, 'a, b, a'],
	['proxy_cache by id' => sub {
		my @had = map { ask_box($_, 'cached?page=1') } qw(a b a b);
		return join ', ', map { told($_) . " $_->{headers}{'x-cache'}[0]" } @had;
	}, 'a MISS, b MISS, a HIT, b HIT'],
	['proxy_cache by a map' => sub {
		my @had = map { ask_box($_, 'mapped?page=2') } qw(a b a b);
		my ($one) = $had[0]{body} =~ /^(\w \d+)/;
		my ($two) = $had[2]{body} =~ /^(\w \d+)/;
		return join ', ', map({ told($_) } @had), $one eq $two ? 'kept' : 'not kept';
	}, 'a, b, a, b, kept'],
	['slice' => sub {
		return join ', ', map {
			ask_box($_, 'sliced')->{body} =~ s/^(.)\1{24}(?=<|$)/$1/r
		} qw(a b a);
	}, 'a, b, a'],
	['limit_req' => sub {
		return join ', ', map { told(ask_box($_, 'rate')) } qw(a b a b);
	}, 'a, b, 503, 503'],
	['limit_conn' => sub {
		unlink "$dir/free";
		my @open = map { connect_to($port{"$mode $name"}) } qw(a b);
		my $asked = join '', map { read_file("$dir/asked.$_") } qw(a b);
		for my $i (0, 1) {
			my ($target, @headers) = line(qw(a b)[$i], 'hold');
			print { $open[$i] } join "\r\n", "GET $target HTTP/1.1",
			    'Host: localhost', 'Connection: close', @headers, '', '';
		}
		my $both = sub {
			my $now = join '', map { read_file("$dir/asked.$_") } qw(a b);
			return length($now) >= length($asked) + 2;
		};
		wait_for($both, 10);
		my @third = map { told(ask_box($_, 'hold')) } qw(a b);
		write_file("$dir/free", '');
		return join ', ', @third, map { told(read_answer($_)) } @open;
	}, '503, 503, a, b'],
);

for my $way (qw(header uri)) {
	for my $phase (@phases) {
		$mode = $way;
		($name, undef, undef, $set) = @$phase;
		for my $directive (@directives) {
			my ($what, $had, $right) = @$directive;
			$saw = undef;
			is($had->(), $right, "$mode, $name: $what");
		}
		if ($name eq '"auth_request"') {
			ask_box('a', 'plain');
			is($saw, "a a $box{a} $mode", '  and it sees whose request it is');
		}
		if ($name =~ /include|mirror/) {
			is(wait_for(sub { read_file("$dir/told.b") }, 10), 'b b b',
			    '  and the subrequest has its own');
			unlink "$dir/told.b";
		}
	}
}

my $answer = get($g->{port}, 'http://right.test/', 'Host: wrong.test',
    "OpenSandbox-Ingress-To: a-$box{a}");
is($answer->{headers}{'x-saw'}[0], 'right.test',
    'a subrequest sees the host that the client asked for');
like($answer->{body}, qr/\[right\.test\]/, '  and leaves it to the request');

unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:crit|alert|emerg)\]/,
    'nothing alarms the gateway');
done_testing();
