use strict;
use warnings;
use Pod::WSDL;

# Prints the WSDL of DanhMuc.pm, rpc or document, literal, as Pod::WSDL makes it of what a Perl programmer writes in POD.
my ($style, $use) = @ARGV;
print Pod::WSDL->new(
    source => 'DanhMuc.pm',
    location => 'https://127.0.0.1/danhmuc',
    style => $style, use => $use,
    pretty => 1, withDocumentation => 1,
)->WSDL;
