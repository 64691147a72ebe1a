#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Stock nginx around the proxy does in a sandbox's location what it does in any
# other: blocks inside of it, fall-backs, subrequests that continue a request,
# and variables of the request, in each mode.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More tests => 49;
use Time::HiRes qw(sleep);
use Harness;
use Ingress;

my $dir = scratch();
chmod 0777, $dir;
my $text = join '', 'a' .. 'y';

# Answers with a part of a text, or with its count of answers and what it got.
my $box = backend(sub {
	my ($s) = @_;
	while (my $head = Ingress::read_head($s)) {
		my $more = '';
		if ($head =~ /^Content-Length: (\d+)/mi) {
			read $s, $more, $1;
		}
		my ($range) = $head =~ /^Range: bytes=(\d+-\d+)/mi;
		if ($range && $head =~ m{^GET /text}) {
			my ($from, $to) = split /-/, $range;
			$to = $to > 24 ? 24 : $to;
			my $part = substr $text, $from, $to - $from + 1;
			print $s "HTTP/1.1 206 Partial Content\r\nETag: \"x\"\r\n"
			    . "Content-Range: bytes $from-$to/25\r\nContent-Length: "
			    . length($part) . "\r\n\r\n$part";
			next;
		}
		open my $fh, '>>', "$dir/asked";
		print $fh '.';
		close $fh;
		my $body = (-s "$dir/asked") . "\n$head$more";
		print $s "HTTP/1.1 200 OK\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body";
	}
});

my %port = map { $_ => free_port() } qw(uri header host any);
my $servers = join '', map { my $mode = $_; <<"EOT" } sort keys %port;
server {
    listen 127.0.0.1:$port{$mode};
    access_log $dir/$mode.log asked;
    location / {
        opensandbox $mode;
        include %CONF%/opensandbox-proxy.conf;
        proxy_set_header X-Original-URI \$request_uri;
        if (\$http_x_if) {
            add_header X-If yes;
        }
        if (\$http_x_stop) {
            return 410 stop;
        }
        limit_except GET POST {
            allow all;
        }
    }
    location ~ /guarded {
        opensandbox $mode;
        include %CONF%/opensandbox-proxy.conf;
        limit_except GET {
            deny all;
        }
    }
    location ~ /fall {
        opensandbox $mode;
        include %CONF%/opensandbox-proxy.conf;
        try_files /there/is/none \@box;
    }
    location ~ /large {
        opensandbox $mode;
        include $dir/large.conf;
        client_max_body_size 4;
        error_page 413 = \@box;
    }
    location \@box {
        opensandbox $mode;
        include %CONF%/opensandbox-proxy.conf;
        proxy_set_header X-Fell yes;
    }
    location ~ /text {
        opensandbox $mode;
        include $dir/cached.conf;
        slice 10;
        proxy_set_header Range \$slice_range;
        proxy_cache_key $mode\$uri\$slice_range;
        proxy_cache_valid 206 1h;
    }
    location ~ /stale {
        opensandbox $mode;
        include $dir/cached.conf;
        proxy_cache_key $mode\$uri;
        proxy_cache_valid 200 1s;
        proxy_cache_use_stale updating;
        proxy_cache_background_update on;
        add_header X-Cache \$upstream_cache_status;
    }
}
EOT

my $conf = read_file(root() . '/conf/nginx/opensandbox-proxy.conf');
write_file("$dir/large.conf", $conf =~ s/^client_max_body_size.*\n//mr);
write_file("$dir/cached.conf",
    $conf =~ s/^proxy_buffering off;/proxy_buffering on;\nproxy_cache cached;/mr);
my $g = gateway(workers => 1, http => <<"EOT");
log_format asked "\$request_uri";
proxy_cache_path $dir/cache keys_zone=cached:1m use_temp_path=off;
opensandbox_sandbox sb { endpoint 127.0.0.1; }
$servers
EOT

for my $mode (sort keys %port) {
	my $prefix = $mode eq 'uri' ? "/sandboxes/sb/port/$box" : '';
	my @to = $mode eq 'host' ? ("Host: sb-$box.box.test")
	    : $mode eq 'uri' ? () : ("OpenSandbox-Ingress-To: sb-$box");
	my $ask = sub {
		my ($method, $path, $body, @headers) = @_;
		return request($port{$mode}, $method, "$prefix$path", $body, @to,
		    @headers);
	};

	my $a = $ask->('GET', '/a%2Fb?c', undef, 'X-If: 1');
	is_deeply([$a->{status}, $a->{headers}{'x-if'}], [200, ['yes']],
	    "$mode: \"if\" adds to the location");
	like($a->{body}, qr{^GET /a%2Fb\?c HTTP}m, '  and the URI is what it was');
	like($a->{body}, qr{^X-Original-URI: \Q$prefix\E/a%2Fb\?c\r}m,
	    '  which the client\'s own can go with');
	is(wait_for(sub { read_file("$dir/$mode.log") }, 5),
	    "$prefix/a%2Fb?c\n", '  and is in the log');
	is($ask->('GET', '/', undef, 'X-Stop: 1')->{status}, 410,
	    '  or ends it');
	like($ask->('PUT', '/p%20q', 'data')->{body},
	    qr{^PUT /p%20q .*\r\n\r\ndata$}ms, '  "limit_except" lets through');
	is($ask->('PUT', '/guarded', 'data')->{status}, 403, '  or does not');
	like($ask->('GET', '/fall%20back?d')->{body},
	    qr{^GET /fall%20back\?d .*^X-Fell: yes\r}ms,
	    '  "try_files" falls back on the sandbox');
	like($ask->('POST', '/large?e', 'too much')->{body},
	    qr{^(?:POST|GET) /large\?e .*^X-Fell: yes\r}ms,
	    '  an error page is had from the sandbox');
	is($ask->('GET', '/text')->{body}, $text, '  slices make a whole');

	my $had = sub {
		my $answer = $ask->('GET', '/stale');
		return join ' ', $answer->{body} =~ /^(\d+)/,
		    $answer->{headers}{'x-cache'}[0];
	};
	my ($n) = $had->() =~ /^(\d+) MISS/;
	my $stale = wait_for(sub { $had->() =~ /(\d+ (?!HIT).*)/ && $1 }, 10);
	is($stale, "$n STALE", '  a stale answer is given');
	is(wait_for(sub { $had->() =~ /^(\d+) HIT/ && $1 }, 10), $n + 1,
	    '  while it is had anew');
}
unlike(read_file("$g->{prefix}/error.log"), qr/\[(?:crit|alert|emerg)\]/,
    'nothing alarms the gateway');
