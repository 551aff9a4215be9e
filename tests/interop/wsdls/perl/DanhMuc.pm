package DanhMuc;

=begin WSDL

_IN maDanhMuc $string Ma cua danh muc
_IN tu $date Tu ngay
_RETURN @string Cac muc

=end WSDL

=cut

sub layDanhMuc { }

=begin WSDL

_IN ten $string
_IN noiDung $base64Binary
_RETURN $boolean
_FAULT Loi Khong luu duoc

=end WSDL

=cut

sub luuTep { }

1;
