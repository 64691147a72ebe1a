# SPDX-License-Identifier: Apache-2.0
package Receiver;

# A scripted HTTP server in a namespace: t/tools/receiver.py.

use strict;
use warnings;
use Exporter 'import';
use Harness;
use JSON::PP;

our @EXPORT = qw(receiver receiver_at script received);

# receiver(NS, NAME, ANSWER...): its URL. NS undef: our own namespace.
sub receiver
{
	my ($ns, $name, @answers) = @_;
	my $port = free_port();

	receiver_at($ns, $name, '127.0.0.1', $port, @answers);
	return "http://127.0.0.1:$port";
}

# The same on addresses ("A,B") of the namespace.
sub receiver_at
{
	my ($ns, $name, $addresses, $port, @answers) = @_;
	my ($first) = split /,/, $addresses;

	script($name, @answers);
	start(name => $name, netns => $ns, cmd => [python(),
		root() . '/t/tools/receiver.py', $port, scratch() . "/$name.requests",
		scratch() . "/$name.script", $addresses]);
	my @in = defined $ns ? ('ip', 'netns', 'exec', $ns) : ();
	wait_for(sub {
		my ($status) = capture(@in, 'bash', '-c',
		    "exec 3<>/dev/tcp/$first/$port");
		return $status == 0;
	}, 20) or die "$name did not start: " . read_file(scratch() . "/$name.log");
}

# What it answers from now on.
sub script
{
	my ($name, @answers) = @_;
	my $file = scratch() . "/$name.script";

	write_file("$file.new", encode_json(\@answers));
	rename "$file.new", $file or die "$file: $!";
}

# The requests that it has got.
sub received
{
	my ($name) = @_;

	return map { decode_json($_) }
	    split /\n/, read_file(scratch() . "/$name.requests");
}

1;
