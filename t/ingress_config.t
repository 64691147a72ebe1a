#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A mistake in the configuration is named with its file and line.

use strict;
use warnings;
use Test::More tests => 83;
use Harness;
use Ingress;

my $file = scratch() . '/sandboxes.conf';

sub mistake
{
	my ($text, $error, $what) = @_;
	write_file($file, "\n$text\n");
	like(config_error(http => "include $file;"), qr/$error.*\Q$file\E:\d/s, $what);
}

sub block { return "opensandbox_sandbox sb { $_[0] }" }

mistake(block(''), 'endpoint is missing', 'no endpoint');
mistake(block('endpoint 300.1.1.1;'), 'neither an address', 'a bad address');
mistake(block('endpoint ::1;'), 'neither an address', 'a bare IPv6 address');
mistake(block('endpoint 10.0.0.1:80;'), 'neither', 'an address with a port');
mistake(block('endpoint 1.1.1.1; endpoint 1.1.1.1;'), 'duplicate', 'twice');
mistake(block('endpoint 1.1.1.1; expose 0;'), '"expose"', 'port 0');
mistake(block('endpoint 1.1.1.1; expose 70000;'), '"expose"', 'port 70000');
mistake(block('endpoint 1.1.1.1; colour red;'), 'unknown directive', 'a new word');
mistake(block('endpoint 1.1.1.1; ready maybe;'), 'invalid value', 'no flag');
mistake(block('endpoint 1.1.1.1; port_map 80 1.1.1.1;'), '"port_map"', 'no port');
mistake(block('endpoint 1.1.1.1; expires_at noon;'), '"expires_at"', 'no time');
mistake(block('endpoint;'), 'number of arguments', 'no value');
mistake('opensandbox_sandbox a_b { endpoint 1.1.1.1; }', 'invalid sandbox id',
    'a bad id');
mistake(block('endpoint 1.1.1.1;') . block('endpoint 1.1.1.1;'),
    'duplicate sandbox', 'two of one id');
mistake('opensandbox_access_keys kk=eA==;', 'a key is', 'a long key id');
mistake('opensandbox_access_keys k=!;', 'not base64', 'a bad secret');
mistake('opensandbox_access_keys k=eA== k=eA==;', 'duplicate key', 'two keys');

# In one block, in either order.
for my $pair (['server 1.1.1.1;', '"server"'], ['zone u 64k;', '"zone"'],
    ['zone u;', 'zone'], ['least_conn;', 'method'], ['ip_hash;', 'method'],
    ['hash $uri;', 'method'], ['random;', 'method'],
    ['least_conn; server 1.1.1.1;', 'method|"server"'],
    ['server 1.1.1.1 backup;', 'backup|"server"'],
    ['opensandbox;', '"opensandbox" directive is duplicate']) {
	my ($line, $error) = @$pair;
	mistake("upstream x { opensandbox; $line }", $error, "$line after");
	mistake("upstream x { $line opensandbox; }", $error, "$line before");
	mistake("upstream x { opensandbox keepalive=8; $line }", $error,
	    "$line after one with a pool");
}
# Newer nginx puts its pool around whatever the method is, in either order.
like(config_error(http => 'upstream x { keepalive 8; opensandbox; }'),
    qr/precede "keepalive" in .*nginx\.conf:\d|^$/, 'keepalive before');
is(config_error(http => 'upstream x { opensandbox; keepalive 8; }'), '',
    'keepalive after');

mistake("upstream x { opensandbox $_; }", 'invalid parameter "' . (split)[-1], $_)
    for 'keepalive=0', 'keepalive=x', 'keepalive=8 keepalive_timeout=soon',
    'keepalive=8 keepalive_requests=0', 'keepalive=8 keepalive_time=',
    'keepalive=8 idle=4s', 'keepalive';
mistake('upstream x { opensandbox keepalive_timeout=4s; }', 'needs "keepalive="',
    'how long, but not how many');
mistake("opensandbox_host $_;", 'invalid host', "a Host header that is $_")
    for '""', '"a b"', '"a\r\nX: y"', 'a/b';
mistake('opensandbox_api_token "";', 'api_token" directive is empty', 'no token');
mistake('opensandbox_zone two:1m;', 'duplicate', 'two zones');

like(config_error(zone => 'opensandbox_zone x;'), qr/invalid zone/, 'no size');
like(config_error(zone => 'opensandbox_zone x:1k;'), qr/too small/, 'a tiny zone');
like(config_error(zone => ''), qr/opensandbox_zone" is missing .* in \S+:\d+$/m,
    'no zone');
like(config_error(server => 'location / { opensandbox up; }'), qr/invalid mode/,
    'an unknown mode');
like(config_error(server => "location / { opensandbox host domain=$_; }"),
    qr/invalid domain "domain=\Q$_\E", it must be a host name in \S+:\d+$/m, "domain=$_")
    for '*.box.test', '.box.test', 'box.test.', 'box..test', '-box.test', 'box.test:80', '';
is(config_error(server => "location / { opensandbox host domain=$_; }"), '', "domain=$_")
    for 'Box-1.test', 'localhost';
like(config_error(server => "location / { $_ }"),
    qr/"opensandbox\w*" directive has no place .* in \S+:\d+$/m, $_)
    for 'opensandbox any; opensandbox_api;', 'opensandbox_api; opensandbox any;',
    'opensandbox_status; opensandbox uri;', 'opensandbox_api; opensandbox_status;';
is(config_error(http => block("endpoint 1.1.1.1; expose 80 90-95;\n"
    . 'port_map 80 [::1]:81; ready off; access_token x;'
    . 'expires_at 2030-01-01T00:00:00+01:00; host_header a.test:80;')), '',
    'a good block passes');

# A running gateway goes on with what it has.
my $g = gateway(server => 'location / { return 200 up; }');
reload($g, server => 'location / { return 200 new; }',
    http => 'upstream x { opensandbox; zone u 64k; }');
like(read_file("$g->{prefix}/error.log"), qr/\[emerg\].*"zone" in upstream "x"/,
    'a reload with a mistake is refused');
is(get($g->{port}, '/')->{body}, 'up', '  and changes nothing');
