# SPDX-License-Identifier: Apache-2.0
package Ingress;

# An nginx with the module on a free port, sandboxes that are small servers in
# Perl, and a client that sends exactly the bytes it is told to.

use strict;
use warnings;
use Exporter 'import';
use Carp qw(croak);
use Digest::SHA qw(sha1_base64);
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json encode_json);
use POSIX qw(_exit);
use Time::HiRes qw(sleep time);
use Harness;

our @EXPORT = qw(gateway reload restart upgrade quit workers worker_dies wait_closed config_error
    backend echo exchange request get api json connect_to read_answer websocket ask served_by);

my $count = 0;

# nginx has a variable of this name for sockets that it inherits, and goes by it.
my $nginx = (delete $ENV{NGINX} // '') . '/usr/sbin/nginx';

sub nginx_binary
{
	return $nginx;
}

sub configure
{
	my ($g, %o) = @_;
	my $conf = root() . '/conf/nginx';
	my $module = build_dir() . '/ngx_http_opensandbox_module.so';
	my $http = $o{http} // '';
	my $server = $o{server} // <<"EOT";
location / {
    opensandbox any;
    include $conf/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
EOT
	my $zone = $o{zone} // 'opensandbox_zone sandboxes:4m;';
	my $main = $o{main} // '';
	$g->{daemon} = $o{daemon} // $g->{daemon};
	my $daemon = $g->{daemon} ? 'on' : 'off';
	my $env = join ' ', map { "env $_;" } sort keys %{ nginx_env() };
	my $text = <<"EOT";
load_module $module;
daemon $daemon;
$env
worker_processes @{[$o{workers} // 2]};
pid $g->{prefix}/nginx.pid;
error_log $g->{prefix}/error.log info;
$main
events { worker_connections @{[$o{connections} // 1024]}; }
http {
    access_log off;
    client_body_temp_path $g->{prefix}/body;
    proxy_temp_path $g->{prefix}/proxy;
    fastcgi_temp_path $g->{prefix}/fastcgi;
    uwsgi_temp_path $g->{prefix}/uwsgi;
    scgi_temp_path $g->{prefix}/scgi;
    $zone
    include $conf/opensandbox-http.conf;
    $http
    server {
        listen 127.0.0.1:$g->{port};
        $server
    }
}
EOT
	$text =~ s/%CONF%/$conf/g;
	$text =~ s/%PREFIX%/$g->{prefix}/g;
	write_file("$g->{prefix}/nginx.conf", $text);
}

sub new_gateway
{
	my (%o) = @_;
	my $g = { port => free_port(), prefix => scratch() . '/nginx' . ++$count,
	    netns => $o{netns} };
	mkdir $g->{prefix};
	chmod 0777, $g->{prefix};
	configure($g, %o);
	return $g;
}

sub launch
{
	my ($g) = @_;
	$g->{pid} = start(
		name => "nginx$count",
		cmd  => [@{ $g->{under} || [] }, nginx_binary(), '-p',
		    $g->{prefix}, '-c', "$g->{prefix}/nginx.conf"],
		netns => $g->{netns}, env => nginx_env());
	if ($g->{daemon}) {
		wait_exit($g->{pid}, 20);
		wait_for(sub { master($g) }, 10);
		$g->{pid} = adopt(master($g), "nginx$count");
	}
	my $up = sub { wait_port($g->{port}, 10) };
	($g->{netns} ? in_netns($g->{netns}, $up) : $up->()) or croak "nginx did not start: "
	    . read_file("$g->{prefix}/error.log")
	    . read_file(scratch() . "/nginx$count.log");
}

# The process id that nginx has written down.
sub master
{
	my ($g) = @_;
	return read_file("$g->{prefix}/nginx.pid") =~ /^(\d+)/ ? $1 : 0;
}

# gateway(http =>, server =>, zone =>, main =>, workers =>, connections =>,
# netns =>, daemon => 1): a running nginx; { port, prefix, pid, netns }. %CONF% is the folder of the
# shipped configuration.
sub gateway
{
	my $g = new_gateway(@_);
	launch($g);
	return $g;
}

# What nginx -t says to a configuration; '' if it is good.
sub config_error
{
	my $g = new_gateway(@_);
	my $env = nginx_env();
	local @ENV{ keys %$env } = values %$env;
	my ($status, $out) = capture(nginx_binary(), '-t', '-q', '-p',
	    $g->{prefix}, '-c', "$g->{prefix}/nginx.conf");
	return $status == 0 ? '' : $out || "status $status";
}

# Another configuration by SIGHUP; returns when new workers have taken over.
sub reload
{
	my ($g, %o) = @_;
	my @old = workers($g);
	configure($g, %o) if %o;
	kill 'HUP', $g->{pid};
	wait_for(sub {
		my $log = read_file("$g->{prefix}/error.log");
		return $log =~ /\[emerg\]/
		    || !grep { $log !~ /\b$_#$_: gracefully shutting down/ } @old;
	}, 10);
}

# A new binary takes over from a daemon, which goes on next to it; returns
# its process id when it serves. Nothing happens with "daemon off".
sub upgrade
{
	my ($g, %o) = @_;
	my $old = $g->{pid};
	configure($g, %o) if %o;
	kill 'USR2', $old;
	wait_for(sub { master($g) && master($g) != $old && workers($g, master($g)) },
	    20) or croak 'no new binary: ' . read_file("$g->{prefix}/error.log");
	return master($g);
}

# End a master and its workers gracefully.
sub quit
{
	my ($pid) = @_;
	kill 'QUIT', $pid;
	return wait_for(sub { !kill 0, $pid }, 20);
}

# The process ids of its workers, or of another master's.
sub workers
{
	my ($g, $master, $seconds) = @_;
	my $pids = '';

	# The port is open before the first of them is there.
	wait_for(sub {
		(undef, $pids) = capture('pgrep', '-P', $master // $g->{pid}, '-f',
		    'worker process');
		$pids =~ /\d/;
	}, $seconds);
	return split ' ', $pids;
}

my $deaths = 0;

# Ends the gateway's only worker N instructions behind the given call of a
# function of ours, which the code is to cause; returns whether that came to pass.
sub worker_dies
{
	my ($g, $function, $call, $n, $code) = @_;
	my ($pid) = workers($g);
	my $name = 'gdb' . ++$deaths;
	my $gdb = start(name => $name, cmd => ['gdb', '-nx', '-batch', '-p', $pid,
	    '-ex', 'handle all nostop noprint pass', '-ex', "break ngx_http_osb_$function",
	    '-ex', 'ignore 1 ' . ($call - 1), '-ex', 'continue',
	    '-ex', "stepi $n", '-ex', 'kill']);
	my $log = sub { read_file(scratch() . "/$name.log") };
	wait_for(sub { $log->() =~ /Breakpoint 1 at/ }, 60) or die $log->();
	my $child = spawn("death$deaths", $code);
	my $died = wait_for(sub { !kill 0, $pid }, 30);
	wait_exit($gdb, 20);
	wait_exit($child, 20);
	wait_for(sub { grep { $_ != $pid } workers($g) }, 10);
	return $died && $log->() =~ /Breakpoint 1, \S*$function|\[Inferior 1 .* killed\]/;
}

# Returns when nothing listens on the gateway's port any more.
sub wait_closed
{
	my ($g) = @_;
	wait_for(sub { !IO::Socket::INET->new("127.0.0.1:$g->{port}") }, 5);
}

sub restart
{
	my ($g, $signal) = @_;
	stop($g->{pid}, $signal || 'QUIT');
	wait_closed($g);
	launch($g);
}

sub listen_on
{
	my ($port) = @_;
	return IO::Socket::INET->new(
		Listen    => 64,
		LocalAddr => '127.0.0.1',
		LocalPort => $port,
		ReuseAddr => 1,
	) || croak "listen: $!";
}

# backend(CODE, listen => SOCKET, late => SECONDS): a server, a process for each
# connection, that calls CODE with the socket. Returns its port.
sub backend
{
	my ($code, %o) = @_;
	my $listen = $o{listen} || ($o{late} ? undef : listen_on(0));
	my $port = $o{late} ? free_port() :
	    $listen->can('sockport') ? $listen->sockport : undef;
	my $pid = spawn("backend" . ++$count, sub {
		if ($o{late}) {
			sleep $o{late};
			$listen = listen_on($port);
		}
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		while (my $client = $listen->accept) {
			my $child = fork();
			if ($child == 0) {
				close $listen;
				$client->autoflush(1);
				$code->($client);
				_exit(0);
			}
			close $client;
		}
	});
	close $listen if $listen;
	return wantarray ? ($port, $pid) : $port;
}

# One request's head, '' at the end of the connection.
sub read_head
{
	my ($socket) = @_;
	my $head = '';
	while (defined(my $line = <$socket>)) {
		$head .= $line;
		return $head if $line eq "\r\n";
	}
	return '';
}

# A sandbox that answers each request with the head it got, and its own mark.
sub echo
{
	my ($mark, %o) = @_;
	return backend(sub {
		my ($socket) = @_;
		my $n = 0;
		while (my $head = read_head($socket)) {
			my $body = "$mark " . ++$n . "\n$head";
			if ($head =~ /^content-length: (\d+)/mi) {
				read($socket, my $sent, $1);
				$body .= $sent;
			}
			print $socket "HTTP/1.1 200 OK\r\nContent-Length: "
			    . length($body) . "\r\n\r\n$body";
		}
	}, %o);
}

# The server's side of a WebSocket (RFC 6455) whose handshake has been read:
# sends back each message, of at most 125 bytes.
sub websocket
{
	my ($socket, $head) = @_;
	my ($key) = $head =~ /^Sec-WebSocket-Key: (\S+)/mi;
	my $accept = sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11');
	print $socket "HTTP/1.1 101 Switching Protocols\r\n"
	    . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    . "Sec-WebSocket-Accept: $accept=\r\n\r\n";
	while (read($socket, my $start, 6) == 6) {
		my ($kind, $length) = unpack 'CC', $start;
		$length &= 127;
		read($socket, my $data, $length);
		$data ^= substr substr($start, 2) x 32, 0, $length;
		print $socket pack('CC', $kind, $length), $data;
		return if ($kind & 15) == 8;
	}
}

sub connect_to
{
	my ($port) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => "127.0.0.1:$port", Timeout => 5)
	    or croak "connect to port $port: $!";
	$socket->autoflush(1);
	return $socket;
}

# How many seconds an answer may take.
our $patience = 20;

# One answer from a socket: { status, headers => { lower => [..] }, body }.
sub read_answer
{
	my ($socket, $method) = @_;
	my %a = (status => 0, headers => {}, body => '', head => '');
	local $SIG{ALRM} = sub { die "timeout\n" };
	eval {
		alarm $patience;
		my $line = <$socket>;
		if (defined $line) {
			$a{head} = $line;
			$a{status} = $1 if $line =~ m{^HTTP/1\.[01] (\d{3})};
			while (defined($line = <$socket>)) {
				$a{head} .= $line;
				last if $line =~ /^\r?\n$/;
				push @{ $a{headers}{ lc $1 } }, $2
				    if $line =~ /^([^:]+):\s*(.*?)\r?\n$/;
			}
			read_content($socket, \%a)
			    unless ($method || '') eq 'HEAD'
			    || $a{status} =~ /^(?:1..|204|304)$/;
		}
		alarm 0;
	};
	alarm 0;
	$a{error} = $@ if $@;
	return \%a;
}

sub read_content
{
	my ($socket, $a) = @_;
	my $length = $a->{headers}{'content-length'};
	my $chunked = $a->{headers}{'transfer-encoding'};
	if ($length) {
		read $socket, $a->{body}, $length->[0];
	} elsif ($chunked) {
		while (defined(my $size = <$socket>)) {
			my $n = hex($size =~ s/\s+//gr);
			read($socket, my $chunk, $n + 2);
			last if $n == 0;
			$a->{body} .= substr $chunk, 0, $n;
		}
	} else {
		local $/;
		$a->{body} = <$socket> // '';
	}
}

# Send raw bytes on a new connection; the first answer to them.
sub exchange
{
	my ($port, $bytes) = @_;
	my $socket = connect_to($port);
	print $socket $bytes;
	return read_answer($socket, $bytes =~ /^HEAD / ? 'HEAD' : '');
}

# request(PORT, METHOD, TARGET, BODY or undef, 'Header: value'...)
sub request
{
	my ($port, $method, $target, $body, @headers) = @_;
	push @headers, 'Host: localhost' unless grep { /^host:/i } @headers;
	push @headers, 'Connection: close'
	    unless grep { /^connection:/i } @headers;
	push @headers, 'Content-Length: ' . length $body if defined $body;
	return exchange($port, join("\r\n", "$method $target HTTP/1.1",
	    @headers, '', $body // ''));
}

sub get
{
	my ($port, $target, @headers) = @_;
	return request($port, 'GET', $target, undef, @headers);
}

# A request on a connection that stays open.
sub ask
{
	my ($socket, $method, $target, $data) = @_;
	my $body = defined $data ? encode_json($data) : '';
	print $socket "$method $target HTTP/1.1\r\nHost: localhost\r\n"
	    . "Content-Length: " . length($body) . "\r\n\r\n$body";
	return read_answer($socket, $method);
}

# A kept-alive connection to one of these processes. The server needs
# location = /pid { return 200 $pid; }
sub served_by
{
	my ($g, @pids) = @_;
	my $found = wait_for(sub {
		my $socket = connect_to($g->{port});
		my $pid = ask($socket, 'GET', '/pid')->{body};
		return (grep { $_ eq $pid } @pids) ? $socket : undef;
	}, 20);
	return $found || croak "no answer from @pids";
}

# A call of the management API, the body any Perl data.
sub api
{
	my ($g, $method, $path, $data, @headers) = @_;
	my $body = ref $data ? encode_json($data) : $data;
	return request($g->{port}, $method, "/v1/sandboxes$path", $body,
	    @headers);
}

sub json
{
	my ($answer) = @_;
	my $data = eval { decode_json($answer->{body}) };
	return $data // {};
}

1;
