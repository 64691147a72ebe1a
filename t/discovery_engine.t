#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An engine in trouble: what it cannot say of one container keeps no other out,
# and what is known stays while it says nothing at all.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Tiny;
use JSON::PP;
use Test::More tests => 21;
use Harness;

my $dir = scratch() . '/engine';
my $sock = "$dir/sock";
my $port = free_port();
my $http = HTTP::Tiny->new(timeout => 10);
mkdir $dir;

sub records
{
	my $answer = $http->put("http://127.0.0.1:$port/control", { content => '{}' });
	die "control: $answer->{content}" if $answer->{status} != 200;
	return decode_json($answer->{content})->{records};
}

sub ids { join ' ', sort keys %{ records() } }

sub ids_are
{
	my ($wanted) = @_;
	wait_for(sub { ids() eq $wanted }, 30);
	return ids();
}

# Files are replaced in one step, since they are read at any moment.
sub say_of
{
	my ($name, $text) = @_;
	write_file("$dir/.new", ref $text ? encode_json($text) : $text);
	rename "$dir/.new", "$dir/$name" or die "$name: $!";
}

sub container
{
	my ($id, $sandbox, %o) = @_;
	return { Id => $id, Name => "/$sandbox", State => { Running => JSON::PP::true },
		Config => { Labels => { 'opensandbox.io/id' => $sandbox, %{ $o{labels} || {} } } },
		HostConfig => { NetworkMode => $o{mode} || 'bridge' },
		NetworkSettings => { Networks => $o{networks}
			|| { bridge => { IPAddress => "172.17.0." . length $id } } } };
}

sub list { say_of('list', [map { { Id => $_ } } @_]) }

my $events = '';
sub event
{
	my ($id) = @_;
	$events .= encode_json({ Type => 'container', Action => 'start', Actor => { ID => $id,
		Attributes => { 'opensandbox.io/id' => 'x' } } }) . "\n";
	say_of('events', $events);
}

sub asked
{
	my ($path) = @_;
	return scalar grep { $_ eq $path } split /\n/, read_file("$dir/log");
}

# How often it has been said that the engine cannot be followed.
sub failures { scalar(() = read_file(scratch() . '/feeder.log') =~ /"cannot list or watch/g) }

start(name => 'gateway',
    cmd => [python(), tool('fake_gateway.py'), $port, scratch() . '/requests']);
start(name => 'engine', cmd => [python(), tool('fake_engine.py'), $sock, $dir]);
wait_port($port) or die 'the fake gateway does not listen';
wait_for(sub { -S $sock }) or die 'the fake engine does not listen';

say_of('events', '');
say_of('aa.json', container('aa', 'sb-aa'));
say_of('bbb.json', container('bbb', 'sb-bbb'));
list('aa', 'bbb', '../version', 'A', "a\n", '', 'a' x 65);
start(name => 'feeder', cmd => [build_dir() . '/opensandbox-discovery', '--gateway',
	"http://127.0.0.1:$port", '--docker', "unix://$sock"]);
is(ids_are('sb-aa sb-bbb'), 'sb-aa sb-bbb', 'a list is inspected');
is((grep { !m{^/(?:events|containers/(?:json|aa/json|bbb/json))$} }
	split /\n/, read_file("$dir/log")), 0, 'for containers\' ids alone');

# In Docker, a container in another's network has none of its own.
say_of('c4c4.json', container('c4c4', 'sb-guest', mode => 'container:bbb', networks => {}));
event('c4c4');
ids_are('sb-aa sb-bbb sb-guest');
is(records()->{'sb-guest'}{endpoint}, '172.17.0.3', 'a guest is where its host is');

# One that cannot be inspected
say_of('dd.json', '500');
event('dd');
say_of('ee.json', container('ee', 'sb-ee'));
event('ee');
is(ids_are('sb-aa sb-bbb sb-ee sb-guest'), 'sb-aa sb-bbb sb-ee sb-guest',
    'one that cannot be inspected keeps no other out');
ok(wait_for(sub { read_file(scratch() . '/feeder.log') =~
	/"object":"dd","error":"it cannot be inspected: status 500"/ }, 30), 'it is said in the end');
is(asked('/containers/dd/json'), 3, 'after three tries');
say_of('dd.json', container('dd', 'sb-dd'));
event('dd');
is(ids_are('sb-aa sb-bbb sb-dd sb-ee sb-guest'), 'sb-aa sb-bbb sb-dd sb-ee sb-guest',
    'and asked for anew when something happens to it');
say_of('dd.json', container('dd', 'sb-dd', labels => { large => 'x' x (17 << 20) }));
event('dd');
is(ids_are('sb-aa sb-bbb sb-ee sb-guest'), 'sb-aa sb-bbb sb-ee sb-guest',
    'one that is too large is left out');
is(failures(), 0, 'nothing of that is the engine\'s failure');

# Events that cannot be read
list(qw(aa bbb c4c4 ee));
my $lists = asked('/containers/json');
$events .= "{\n";
say_of('events', $events);
ok(wait_for(sub { asked('/containers/json') > $lists }, 30), 'what is no event: all is listed anew');
is(ids(), 'sb-aa sb-bbb sb-ee sb-guest', 'and nothing is lost meanwhile');
say_of('events', $events = '');
list('aa', 'bbb');
is(ids_are('sb-aa sb-bbb'), 'sb-aa sb-bbb', 'then what is gone goes');

# A list that is none
say_of('list', '{"message":"not now"}');
say_of('events', "END\n");
ok(wait_for(sub { read_file(scratch() . '/feeder.log') =~ /list of containers cannot be read/ }, 30),
    'what is no list is said');
is(ids(), 'sb-aa sb-bbb', 'and takes nothing away');

# Events that end at once, each time
list('aa', 'ee');
is(ids_are('sb-aa sb-ee'), 'sb-aa sb-ee', 'without events, what is listed is true');
list('aa', 'bbb', 'ee');
is(ids_are('sb-aa sb-bbb sb-ee'), 'sb-aa sb-bbb sb-ee', 'and listed again');

# An engine that has gone in the middle of that
$lists = asked('/containers/json');
say_of("$_.json", 'drop') for qw(aa bbb ee);
ok(wait_for(sub { asked('/containers/json') > $lists + 5 }, 60), 'nothing is said of containers');
is(ids(), 'sb-aa sb-bbb sb-ee', 'what is known stays');
say_of('events', '');
say_of('aa.json', container('aa', 'sb-again'));
say_of('bbb.json', container('bbb', 'sb-bbb'));
unlink "$dir/ee.json";
is(ids_are('sb-again sb-bbb'), 'sb-again sb-bbb', 'until it can be asked again');
say_of('aa.json', container('aa', 'sb-aa'));
event('aa');
is(ids_are('sb-aa sb-bbb'), 'sb-aa sb-bbb', 'events count again');
unlike(read_file(scratch() . '/feeder.log'), qr/"object":"(?:aa|bbb|ee)".*cannot be inspected/,
    'none of these was taken for one that cannot be inspected');
