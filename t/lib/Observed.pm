# SPDX-License-Identifier: Apache-2.0
package Observed;

# Each program once, as an operator runs them, with what Prometheus is to find:
# a gateway, a sidecar with a gate and a webhook, an agent with a sandbox, and
# discovery that feeds gateway and agent from a cluster (t/tools/kube_api.py).
#
#	my $o = Observed->new;
#	$o->{at}{'opensandbox-agent'}	# host:port, by job; /metrics but the gateway's

use strict;
use warnings;
use Agent;
use Harness;
use Ingress ();
use Kube;
use Receiver;

sub new
{
	my ($class) = @_;
	my $self = bless { at => {}, port => {} }, $class;
	my $dns = free_port();

	start(name => 'dnsmasq', cmd => ['dnsmasq', '--keep-in-foreground',
	    '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--user=root',
	    '--pid-file', '--bind-interfaces', '--listen-address=127.0.0.1',
	    "--port=$dns", '--address=/good.test/203.0.113.20']);
	$self->{env} = { OPENSANDBOX_EGRESS_DNS_UPSTREAM => "127.0.0.1:$dns",
	    OPENSANDBOX_EGRESS_DENY_WEBHOOK =>
		receiver(undef, 'hook', { status => 200 }) };
	for my $job (qw(sidecar agent discovery)) {
		$self->{port}{$job} = free_port();
		$self->{at}{"opensandbox-$job"} = "127.0.0.1:$self->{port}{$job}";
	}
	$self->gateway;
	$self->egress;
	$self->discovery;
	return $self;
}

sub gateway
{
	my ($self) = @_;

	$self->{app} = Ingress::echo('app');
	$self->{gateway} = Ingress::gateway(server => <<'EOT');
location / {
    opensandbox any;
    include %CONF%/opensandbox-proxy.conf;
}
location /v1/ { opensandbox_api; }
location = /status { opensandbox_status; }
EOT
	$self->{at}{'opensandbox-gateway'} = "127.0.0.1:$self->{gateway}{port}";
}

# A namespace in which names can be asked for, though nothing leads anywhere.
sub namespace
{
	my ($name) = @_;
	my $ns = netns($name);

	veth($ns, 'eth0', $ns, 'peer');
	addr($ns, 'eth0', '10.88.0.5/24');
	run('ip', '-n', $ns, 'route', 'add', 'default', 'dev', 'eth0');
	return $ns;
}

sub egress
{
	my ($self) = @_;
	my %env = %{ $self->{env} };

	$self->{sandbox} = namespace('one');
	$self->{sidecar} = start(name => 'sidecar', cmd => [
	    build_dir() . '/egress-sidecar', '--netns', $self->{sandbox},
	    '--gate', 'names', '--http-addr', $self->{at}{'opensandbox-sidecar'}],
	    env => { %env, OPENSANDBOX_EGRESS_SANDBOX_ID => 'sb-1',
		OPENSANDBOX_EGRESS_RULES =>
		    '{"egress":[{"action":"allow","target":"good.test"}]}' });
	wait_for(sub { (capture('curl', '-sf',
	    "http://$self->{at}{'opensandbox-sidecar'}/healthz"))[0] == 0 })
	    or die read_file(scratch() . '/sidecar.log');
	$self->{agent} = agent(undef, 'agent', { %env,
	    OPENSANDBOX_EGRESS_METRICS_ADDR => $self->{at}{'opensandbox-agent'} });
	$self->{guarded} = namespace('two');
	my ($status, $body) = ask('PUT', '/v1/sandboxes/sb-2',
	    { netns => $self->{guarded}, policy => { egress => [] } });
	die "agent: $status" if $status != 201;
}

sub discovery
{
	my ($self) = @_;

	$self->{kube} = Kube->new;
	$self->{kube}->put('pods', 'default/sb-3', pod('127.0.0.1', 'sb-3',
	    node => 'node-1'));
	$self->{discovery} = start(name => 'discovery', cmd => [
	    build_dir() . '/opensandbox-discovery', '--provider-type', 'pod',
	    '--allow-loopback', '--kubeconfig', $self->{kube}->kubeconfig,
	    '--gateway', "http://$self->{at}{'opensandbox-gateway'}",
	    '--agent', agent_socket(), '--node-name', 'node-1',
	    '--http-addr', $self->{at}{'opensandbox-discovery'}]);
	wait_for(sub { (capture('curl', '-sf',
	    "http://$self->{at}{'opensandbox-discovery'}/healthz"))[0] == 0 }, 20)
	    or die read_file(scratch() . '/discovery.log');
}

# A job's page, as Prometheus asks for it.
sub page
{
	my ($self, $job) = @_;
	my $path = $job eq 'opensandbox-gateway' ? 'status?format=prometheus'
	    : 'metrics';

	my ($status, $text) = capture('curl', '-sf', '-m', '10', '-H', 'Accept: '
	    . 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
	    "http://$self->{at}{$job}/$path");
	return $status == 0 ? $text : '';
}

# Some requests and lookups.
sub traffic
{
	my ($self) = @_;

	Ingress::get($self->{gateway}{port}, "/sandboxes/sb-3/port/$self->{app}/");
	Ingress::get($self->{gateway}{port}, '/sandboxes/nobody/port/80/');
	for (['one', 'good.test'], ['one', 'evil.test'], ['two', 'evil.test']) {
		my ($who, $name) = @$_;
		capture('ip', 'netns', 'exec',
		    $self->{ $who eq 'one' ? 'sandbox' : 'guarded' }, 'dig',
		    '+time=5', '+tries=1', '@10.88.0.1', $name);
	}
}

1;
