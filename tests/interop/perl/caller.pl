#!/usr/bin/perl
# caller.pl URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12: calls the documents service with Perl's SOAP::Lite, envelopes unsigned.
#
# What is asked and answered through standard input and output: ../toolkits.py.  HUB_CERTIFICATE is not used: SOAP::Lite does not verify
# answers.
use v5.36;
use utf8;
use MIME::Base64 qw(encode_base64 decode_base64);
use SOAP::Lite;

my ($url, $key, $certificate, $ca, undef, $version) = @ARGV;
my $documents = 'urn:lienthong:documents:1';
binmode STDIN,  ':encoding(UTF-8)';
binmode STDOUT, ':encoding(UTF-8)';
STDOUT->autoflush(1);

# Literal, not encoded: no xsi:type, no SOAP-ENC, elements of one namespace.
SOAP::Lite->soapversion($version eq '12' ? '1.2' : '1.1');    # of the whole process
my $client = SOAP::Lite->new->proxy($url);
$client->serializer->autotype(0);
$client->default_ns($documents);
$client->on_action(sub { qq("$documents/$_[1]") });
$client->on_fault(sub { });    # the fault is read below
$client->transport->ssl_opts(
    SSL_cert_file => $certificate, SSL_key_file => $key, SSL_ca_file => $ca, verify_hostname => 1);
$client->transport->no_proxy('127.0.0.1', 'localhost');

my $raw;
$client->transport->add_handler(response_done => sub { $raw = $_[0]->content; return });

sub say_leaf ($name, $value) {
    say $name, "\t", $value =~ s/\s+/ /gr;
}

# SOAP::SOM gives elements by XPath-like paths; `dataof` keeps their order.
sub leaves ($som, $path) {
    my $number = 0;
    for my $element ($som->dataof("$path/[>0]")) {
        $number++;
        next if ($element->uri // '') =~ /xmldsig/;
        my $inner = "$path/[$number]";
        if ($som->dataof("$inner/[>0]")) { leaves($som, $inner) }
        else                              { say_leaf($element->name, $element->value // '') }
    }
}

while (my $line = <STDIN>) {
    chomp $line;
    my ($operation, @words) = split /\t/, $line;
    my @fields;
    for my $word (@words) {
        my ($name, $value) = split /=/, $word, 2;
        if ($name eq 'Packet') {
            open my $file, '<:raw', $value or die "$value: $!";
            local $/ = undef;
            $value = encode_base64(<$file>, '');
        }
        push @fields, SOAP::Data->name($name => $value)->type('');
    }
    push @fields, SOAP::Data->type(xml => '') unless @fields;    # or the operation's element would be xsi:nil
    my $som = eval { $client->call($operation, @fields) };
    if (!ref $som) {
        say_leaf(Error => $@ || $client->transport->status);
    }
    elsif ($som->fault) {
        # `faultcode` and the like know SOAP 1.1 alone
        my ($code, $text, $detail) = $version eq '12' ? qw(Code/Value Reason/Text Detail) : qw(faultcode faultstring detail);
        say_leaf(Fault => scalar $som->valueof("/Envelope/Body/Fault/$code"));
        say_leaf(Text  => scalar $som->valueof("/Envelope/Body/Fault/$text"));
        leaves($som, "/Envelope/Body/Fault/$detail");
    }
    else {
        leaves($som, '/Envelope/Body/[1]');
        say_leaf(Raw => encode_base64($raw, ''));
    }
    say '.';
}
