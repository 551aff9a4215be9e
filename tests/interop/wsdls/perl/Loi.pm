package Loi;

=begin WSDL

_ATTR ma $int
_ATTR moTa $string

=end WSDL

=cut

1;
