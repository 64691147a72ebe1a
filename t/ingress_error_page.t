#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What comes from a sandbox by way of another location, any form of error_page
# or another redirect inside, is a sandbox's answer as any other; and the page of
# a request is of its own sandbox, whatever its subrequests met.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Harness;
use Ingress;

my $dir = scratch();
chmod 0777, $dir;

my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($path) = $head =~ m{^\S+ (\S+)};
		if ($path =~ /garbage/) {
			print $s "\x15\x03\x01 this is no HTTP\r\n\r\n";
			return;
		}
		if ($path =~ /events/) {
			print $s "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
			    . "Connection: close\r\n\r\ndata: 1\n\n";
			read $s, my $end, 1;
			return;
		}
		my $body = "from b\n$head";
		print $s "HTTP/1.1 200 OK\r\nLocation: /next\r\n"
		    . "Set-Cookie: opensandbox-access=stolen\r\n"
		    . "Set-Cookie: mine=1; Path=/\r\n"
		    . "Refresh: 0; url=/later\r\n"
		    . "Content-Length: " . length($body) . "\r\n\r\n$body";
	}
});

# Nothing listens there; and one that sends on to the other sandbox.
my $dead = free_port();
my $prefix = "/sandboxes/b/port/$box";
my $jump = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my ($page) = $head =~ m{^\S+ /(\S*)};
		print $s "HTTP/1.1 404 Not Found\r\nX-Accel-Redirect: $prefix/$page\r\n"
		    . "Set-Cookie: opensandbox-access=stolen\r\nLocation: /wrong\r\n"
		    . "Content-Length: 3\r\n\r\nno\n";
	}
});

# The status, what stands in the location, the mode of the one that it leads to,
# and the port that was asked.
my @forms = (
	['200', 'error_page 502 =200 %TO%;', 'uri', $dead],
	['200', 'error_page 502 = %TO%;', 'uri', $dead],
	['502', 'error_page 502 %TO%;', 'uri', $dead],
	['503', 'error_page 502 =503 %TO%;', 'uri', $dead],
	['200', 'error_page 502 =200 @box;', 'header', $dead],
	['502', 'error_page 502 @box;', 'header', $dead],
	['200', 'error_page 404 =200 %TO%; proxy_intercept_errors on;', 'uri', $jump],
	['404', 'error_page 404 %TO%; proxy_intercept_errors on;', 'uri', $jump],
	['200', 'try_files /none %TO%;', 'uri', $dead],
	['200', 'try_files /none @box;', 'header', $dead],
	['200', '', 'uri', $jump],
);

my (@port, $servers);
for my $i (0 .. $#forms) {
	$port[$i] = free_port();
	my $line = $forms[$i][1];
	my $folder = $line ? '%CONF%' : $dir;
	my $locations = join '', map { my $page = $_; <<"EOT" }
    location ~ ^/sandboxes/a/.*/$page\$ {
        opensandbox uri;
        include $folder/opensandbox-proxy.conf;
        @{[$line =~ s{%TO%}{$prefix/$page}r]}
    }
EOT
	    qw(plain garbage events);
	$servers .= <<"EOT";
server {
    listen 127.0.0.1:$port[$i];
    access_log $dir/$i.log who;
    set \$early "; early: \$opensandbox_id";
    $locations
    location /sandboxes/b/ {
        opensandbox uri;
        include %CONF%/opensandbox-proxy.conf;
    }
    location \@box {
        opensandbox header;
        include %CONF%/opensandbox-proxy.conf;
    }
}
EOT
}

# One that takes orders from a sandbox.
my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
write_file("$dir/opensandbox-proxy.conf",
    $conf =~ s/^proxy_ignore_headers[^;]*;//mr);

# One that keeps what it says.
$conf =~ s/^proxy_buffering off;\n//m;
write_file("$dir/kept.conf", $conf);

my $g = gateway(workers => 1, http => <<"EOT", server => <<"EOT");
proxy_cache_path $dir/cache keys_zone=kept:1m use_temp_path=off;
log_format who "\$opensandbox_id \$opensandbox_status\$early";
opensandbox_sandbox a { endpoint 127.0.0.1; }
opensandbox_sandbox b { endpoint 127.0.0.1; }
$servers
EOT
access_log $dir/main.log who;
location /v1/ { opensandbox_api; }
location /status { opensandbox_status; }
location /sandboxes/b/ {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
}
location ~ ^/sandboxes/a/.*/mirrored\$ {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
    mirror $prefix/plain;
    error_page 502 \@page;
}
location ~ ^/sandboxes/a/.*/asked\$ {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
    auth_request $prefix/plain;
    error_page 502 \@page;
}
location ~ ^/sandboxes/a/.*/kept\$ {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
    error_page 502 =200 $prefix/kept;
}
location = $prefix/kept {
    opensandbox uri;
    include $dir/kept.conf;
    proxy_ignore_headers Set-Cookie;
    proxy_cache kept;
    proxy_cache_key \$opensandbox_id;
    proxy_cache_valid 200 1h;
    add_header X-Cache \$upstream_cache_status always;
}
location ~ ^/sandboxes/a/.*/denied\$ {
    opensandbox uri;
    include %CONF%/opensandbox-proxy.conf;
    set \$who \$opensandbox_id;
    deny all;
    error_page 403 \@page;
}
location \@page { return 502 "\$opensandbox_id \$opensandbox_port \$opensandbox_status"; }
EOT

# Streams of events that the gateway watches.
sub streams
{
	my $text = get($g->{port}, '/status?format=prometheus')->{body};
	my $plain = get($g->{port}, '/status')->{body};
	return "$text$plain" =~ /event_streams"?:? (\d+)$/m ? $1 : -1;
}

for my $i (0 .. $#forms) {
	my ($status, $line, $mode, $asked) = @{ $forms[$i] };
	my $ask = sub {
		my ($page) = @_;
		return get($port[$i], "/sandboxes/a/port/$asked/$page",
		    "OpenSandbox-Ingress-To: b-$box");
	};
	my $name = $line || 'X-Accel-Redirect';
	my $a = $ask->('plain');
	my $h = $a->{headers};
	my $under = $mode eq 'uri' ? $prefix : '';
	is($a->{status}, $status, "$name: the status is as told");
	like($a->{body}, qr/^from b/, '  and the page the sandbox\'s');
	is_deeply([$h->{location}, $h->{refresh}],
	    [["$under/next"], ["0; url=$under/later"]],
	    '  its addresses are under its prefix');
	is_deeply($h->{'set-cookie'},
	    [$mode eq 'uri' ? "mine=1; Path=$prefix/" : 'mine=1; Path=/'],
	    '  so are its cookies, and none is the gateway\'s');
	is(wait_for(sub { read_file("$dir/$i.log") }, 10), "b ok; early: \n",
	    '  and the line in the log is its own, with none of the first');
	$a = $ask->('garbage');
	is($a->{status}, 502, '  no HTTP is no page');
	is(json($a)->{code}, 'bad_answer', '  and said to be none');

	my $socket = connect_to($port[$i]);
	print $socket "GET /sandboxes/a/port/$asked/events HTTP/1.1\r\n"
	    . "Host: localhost\r\nOpenSandbox-Ingress-To: b-$box\r\n\r\n";
	wait_for(sub { (<$socket> // 'end') =~ /data: 1|end/ }, 10);
	is(streams(), 1, '  events are watched');
	close $socket;
	wait_for(sub { streams() == 0 }, 10);
}

for my $what (qw(mirrored asked)) {
	my $a = get($g->{port}, "/sandboxes/a/port/$dead/$what");
	is($a->{body}, "a $dead refused", "the page of what is $what is of its own");
	is(wait_for(sub {
		my @lines = split /\n/, read_file("$dir/main.log");
		return (grep { /refused/ } @lines)[-1];
	}, 10), 'a refused', '  and so is the log');
	unlink "$dir/main.log";
	kill 'USR1', $g->{pid};
	wait_for(sub { -e "$dir/main.log" }, 10);
}

is(get($g->{port}, "/sandboxes/a/port/$dead/denied")->{body}, "a $dead ok",
    'what is denied before its sandbox is asked is known to the page');

for my $status (qw(MISS HIT)) {
	my $h = get($g->{port}, "/sandboxes/a/port/$dead/kept")->{headers};
	is_deeply([@$h{qw(x-cache location set-cookie)}], [[$status],
		["$prefix/next"], ["mine=1; Path=$prefix/"]],
	    "a page of the cache is vetted, too: $status");
}

unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:crit|alert|emerg)\]/,
    'nothing alarms the gateway');
done_testing();
