<?php
// server.php PORT KEY CERTIFICATE CA FOLDER: takes documents by the WSDL that describe.php made, with PHP's SoapServer.
//
// rpc/literal, SOAP 1.1 and 1.2; who calls is said by a client certificate and HTTP Basic. It signs nothing.
declare(strict_types=1);

require __DIR__ . '/streams.php';

[, $port, $key, $certificate, $ca, $folder] = $argv;

final class TiepNhan
{
    public function __construct(private readonly string $folder)
    {
    }

    public function nhanVanBan(string $maTin, string $donVi, int $lan, string $goiTin): array
    {
        if (str_contains($goiTin, 'sai-mau')) {
            throw new SoapFault('Client', 'Gói tin không đúng mẫu.');
        }
        if (str_contains($goiTin, 'dang-ban') && !file_exists("$this->folder/ranh")) {
            throw new SoapFault('Server', 'Hệ thống bận.');
        }
        if (str_contains($goiTin, 'khong-nhan')) {
            return ['ma' => '04', 'moTa' => 'Không thuộc thẩm quyền.'];
        }
        file_put_contents("$this->folder/" . basename($maTin), $goiTin);
        return ['ma' => '00', 'moTa' => 'Đã nhận.', 'maTiepNhan' => 'TN-' . substr($maTin, 0, 8)];
    }
}

$server = new SoapServer(__DIR__ . '/TiepNhan.wsdl', ['cache_wsdl' => WSDL_CACHE_NONE]);
$server->setObject(new TiepNhan($folder));
serve($port, $key, $certificate, $ca, function (string $content, array $headers) use ($server): ?string {
    if (($headers['authorization'] ?? '') !== 'Basic ' . base64_encode('truc:mat-khau')) {
        return '401 Unauthorized';
    }
    try {
        $server->handle($content);
    } catch (SoapFault $fault) {
        fault($fault->faultstring);
    }
    return null;
});
