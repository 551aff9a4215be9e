<?php
// describe.php: prints the WSDL of server.php, as NuSOAP makes it of what a PHP programmer registers.
//
// TiepNhan.wsdl beside it was made by:  php describe.php >TiepNhan.wsdl  (Debian's php-econea-nusoap 0.9.19)
declare(strict_types=1);

error_reporting(E_ALL & ~E_DEPRECATED);
require_once '/usr/share/php/Econea/Nusoap/autoload.php';
const NS = 'urn:tiepnhan.example.vn';

$server = new soap_server();
$server->configureWSDL('TiepNhan', NS, 'https://127.0.0.1:9444/tiepnhan.php', 'rpc', 'http://schemas.xmlsoap.org/soap/http', NS);
$server->wsdl->addComplexType('KetQua', 'complexType', 'struct', 'sequence', '', [
    'ma' => ['name' => 'ma', 'type' => 'xsd:string'],
    'moTa' => ['name' => 'moTa', 'type' => 'xsd:string'],
    'maTiepNhan' => ['name' => 'maTiepNhan', 'type' => 'xsd:string', 'minOccurs' => '0'],
]);
$server->register(
    'nhanVanBan',
    ['maTin' => 'xsd:string', 'donVi' => 'xsd:string', 'lan' => 'xsd:int', 'goiTin' => 'xsd:base64Binary'],
    ['return' => 'tns:KetQua'], NS, NS . '#nhanVanBan', 'rpc', 'literal',
    'Nhận một văn bản: mã thông điệp không đổi khi gửi lại.'
);
// NuSOAP says ISO-8859-1, whatever it writes.
echo str_replace('encoding="ISO-8859-1"', 'encoding="UTF-8"', $server->wsdl->serialize());
