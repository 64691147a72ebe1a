# SPDX-License-Identifier: Apache-2.0
#
# First match wins over names and addresses alike, in the kernel as in DNS,
# and a change of policy takes effect at once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use Harness;
use World;

my @web = ('curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}');

my $w = world();
world_dns($w,
    '--address=/good.test/' . GOOD, '--address=/www.good.test/' . GOOD,
    '--address=/evil.test/' . EVIL, '--address=/both.test/' . GOOD,
    '--address=/both.test/' . EVIL, '--address=/inside.test/10.88.0.1',
    '--address=/meta.test/169.254.169.254', '--address=/lo.test/127.0.0.1');
world_web($w, 'internet', GOOD, 80, 'good');
world_web($w, 'internet', EVIL, 80, 'evil');
world_web($w, 'internet', '203.0.113.99', 80, 'other');

my $pid = sidecar($w);

sub policy
{
	my ($default, @rules) = @_;
	my ($status, $text) = api($w, 'PUT', '/policy', { defaultAction => $default,
		egress => [map { { action => $_->[0], target => $_->[1],
			@$_ > 2 ? (priority => 0 + $_->[2]) : () } } @rules] });
	is($status, 200, "policy $default: " . join ', ',
	    map { join ' ', @$_ } @rules) or diag $text;
}

sub opens   { is((sees($w, @web, "http://$_[0]/"))[1], '200', "  $_[0] opens") }
sub refused { is((sees($w, @web, "http://$_[0]/"))[0], 7, "  $_[0] is refused") }
sub unknown { is((sees($w, @web, "http://$_[0]/"))[0], 6,
	"  $_[0] does not resolve") }

unknown('good.test');
refused(GOOD);

policy('deny', [qw(allow *.good.test)]);
opens('www.good.test');
unknown('good.test');

policy('deny', [qw(allow GOOD.Test.)]);
opens('good.test');
opens('GOOD.test.');
unknown('www.good.test');

policy('deny', [allow => '203.0.113.64/26'], [deny => '203.0.113.0/24']);
opens(EVIL);
refused(GOOD);

policy('deny', [deny => EVIL], [qw(allow evil.test)]);
isnt((sees($w, @web, 'http://evil.test/'))[1], '200',
    '  an address denied first stays denied when a name leads to it');

policy('deny', [qw(allow evil.test)], [deny => EVIL]);
opens('evil.test');

policy('deny', [qw(deny evil.test 5)], [qw(allow evil.test 1)]);
opens('evil.test');

policy('allow', [qw(deny evil.test)], [deny => GOOD]);
unknown('evil.test');
refused(GOOD);
opens('203.0.113.99');

policy('deny', [deny => EVIL], [qw(allow *)]);
refused(EVIL);
opens('203.0.113.99');
opens('good.test');

policy('deny', [deny => EVIL], [qw(allow both.test)]);
is((sees($w, 'dig', '+short', '@10.88.0.1', 'both.test'))[1], GOOD . "\n",
    '  what is refused is cut from the answer');

policy('deny', map { [allow => "$_.test"] } qw(inside meta lo));
for my $name (qw(inside meta lo)) {
	is((sees($w, 'dig', '+short', '@10.88.0.1', "$name.test"))[1], '',
	    "  the address behind $name.test is cut");
}
policy('deny', [qw(allow inside.test)], [qw(allow 10.88.0.1)]);
is((sees($w, 'dig', '+short', '@10.88.0.1', 'inside.test'))[1], "10.88.0.1\n",
    '  a private one is given where an address rule allows it');

# Many ports that are not all of them, behind a name: no mail, no QUIC.
for my $default (qw(deny allow)) {
	my ($status, $text) = api($w, 'PUT', '/policy',
	    { defaultAction => $default, egress => [
		{ action => 'deny', target => '*', protocol => 'tcp',
			ports => [25, 465] },
		{ action => 'deny', target => '*', protocol => 'udp',
			ports => [443] },
		{ action => 'allow', target => 'good.test' }] });
	is($status, 200, "policy $default, but for a few ports") or diag $text;
	opens('good.test');
	is((sees($w, 'curl', '-s', '-m', '5', 'http://good.test:25/'))[0], 7,
	    '  port 25 of it is refused');
}
policy('deny', [qw(allow good.test)]);
opens('good.test');

for my $body ('', 'null', '{}') {
	my ($status, undef, $json) = api($w, 'POST', '/policy', $body);
	is($status, 200, "POST of '$body'");
	ok($json->{reason}, '  says why it denies all');
	is($json->{mode}, 'deny_all', '  mode deny_all');
}
refused(GOOD);

done_testing(52);
