# SPDX-License-Identifier: Apache-2.0
package Agent;

# An agent of the test's own, and what is said to it on its socket.

use strict;
use warnings;
use Exporter 'import';
use JSON::PP qw(decode_json encode_json);
use Harness;

our @EXPORT = qw(agent ask agent_socket agent_state);

sub agent_socket { return scratch() . '/agent/egress.sock' }
sub agent_state { return scratch() . '/agent/state' }

# agent(NS, NAME, { variable => value }, UNDER): one that serves; its pid. UNDER
# is a program that runs it, and its arguments.
sub agent
{
	my ($ns, $name, $env, @under) = @_;
	my $pid = start(name => $name, netns => $ns, env => $env,
	    cmd => [@under, build_dir() . '/egress-sidecar', '--agent',
		'--agent-socket', agent_socket(), '--agent-state', agent_state()]);
	wait_for(sub { !alive($pid) || (ask('GET', '/healthz'))[0] == 200 }, 120)
	    && alive($pid) or die read_file(scratch() . "/$name.log");
	return $pid;
}

# (status, decoded JSON or text); the body any Perl data, or text.
sub ask
{
	my ($method, $path, $body) = @_;
	my @cmd = ('curl', '-s', '-m', '10', '--unix-socket', agent_socket(),
		'-X', $method, '-w', "\n%{http_code}");

	push @cmd, '--data-binary', ref $body ? encode_json($body) : $body
	    if defined $body;
	my (undef, $out) = capture(@cmd, "http://agent$path");
	my ($text, $status) = $out =~ /\A(.*)\n(\d+)\z/s;
	return ($status // 0, scalar eval { decode_json($text) } // $text);
}

1;
