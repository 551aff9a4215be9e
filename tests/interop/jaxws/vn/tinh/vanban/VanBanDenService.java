package vn.tinh.vanban;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import javax.jws.WebService;

/** The service itself. What stands in a packet decides what becomes of it, so that a test can ask for each outcome. */
@WebService(
    endpointInterface = "vn.tinh.vanban.VanBanDen",
    serviceName = "VanBanDenService",
    portName = "VanBanDenPort",
    targetNamespace = "http://vanban.tinh.example.vn/dichvu")
public class VanBanDenService implements VanBanDen {
    private static final String WAITING = ".edxml";

    /** Where the packets taken are put, by maTin; in its folder `di` wait those that go out. */
    private final Path folder;
    private final Map<String, TinhTrang> taken = new ConcurrentHashMap<>();
    private volatile String session = UUID.randomUUID().toString();
    /** Whether the system is busy. */
    public volatile boolean busy;

    public VanBanDenService() { // for wsgen
        this(Path.of("."));
    }

    public VanBanDenService(Path folder) {
        this.folder = folder;
    }

    /** Ends every session. */
    public void forget() {
        session = UUID.randomUUID().toString();
    }

    @Override
    public Phien dangNhap(String tenDangNhap, String matKhau) throws LoiGoi {
        if (!"truc".equals(tenDangNhap) || !"mat-khau".equals(matKhau)) throw fault("SAI_MAT_KHAU", "Sai tên hoặc mật khẩu.");
        Phien made = new Phien();
        made.ma = session;
        made.soGiay = 3600;
        return made;
    }

    @Override
    public KetQua guiVanBan(String maPhien, VanBan vanBan) throws LoiGoi, HeThongBan {
        check(maPhien);
        if (busy) throw new HeThongBan("Hệ thống bận.", Loi.of("BAN", "Xin gửi lại sau."));
        String text = new String(vanBan.noiDung, StandardCharsets.UTF_8);
        if (text.contains("sai-mau")) throw fault("SAI_MAU", "Gói tin không đúng mẫu.");
        KetQua made = new KetQua();
        if (text.contains("khong-nhan")) {
            made.ma = 4;
            made.thongBao = "Không thuộc thẩm quyền.";
            return made;
        }
        try {
            Files.write(folder.resolve(Path.of(vanBan.maTin).getFileName()), vanBan.noiDung);
        } catch (IOException error) {
            throw new HeThongBan("Không ghi được.", Loi.of("DIA", error.toString()));
        }
        TinhTrang stands = new TinhTrang();
        if (text.contains("tra-lai")) {
            stands.trangThai = TrangThai.TRA_LAI;
            stands.lyDo = "Thiếu phụ lục.";
        } else {
            stands.trangThai = TrangThai.DA_VAO_SO;
            stands.soDen = "DEN-" + (taken.size() + 1);
        }
        made.bienNhan = "BN-" + vanBan.maTin;
        taken.putIfAbsent(made.bienNhan, stands);
        return made;
    }

    @Override
    public TinhTrang xemTinhTrang(String maPhien, String bienNhan) throws LoiGoi {
        check(maPhien);
        TinhTrang stands = taken.get(bienNhan);
        if (stands == null) throw fault("KHONG_CO", "Không có biên nhận này.");
        return stands;
    }

    @Override
    public List<VanBanDi> lietKeVanBanDi(String maPhien) throws LoiGoi {
        check(maPhien);
        List<VanBanDi> waiting = new ArrayList<>();
        for (File file : Objects.requireNonNullElse(outgoing("").toFile().listFiles(), new File[0])) {
            if (!file.getName().endsWith(WAITING)) continue;
            VanBanDi made = new VanBanDi();
            made.ma = file.getName().substring(0, file.getName().length() - WAITING.length());
            made.soByte = file.length();
            waiting.add(made);
        }
        return waiting;
    }

    @Override
    public byte[] layVanBanDi(String maPhien, String ma) throws LoiGoi {
        check(maPhien);
        try {
            return Files.readAllBytes(outgoing(ma + WAITING));
        } catch (IOException error) {
            throw fault("KHONG_CO", "Không có văn bản này.");
        }
    }

    @Override
    public void xacNhanVanBanDi(String maPhien, String ma, String ketQua) throws LoiGoi {
        check(maPhien);
        try {
            Files.move(outgoing(ma + WAITING), outgoing(ma + "." + ketQua));
        } catch (IOException error) {
            throw fault("KHONG_CO", "Không có văn bản này.");
        }
    }

    private Path outgoing(String name) {
        return folder.resolve("di").resolve(Path.of(name).getFileName());
    }

    private void check(String maPhien) throws LoiGoi {
        if (!session.equals(maPhien)) throw fault("HET_PHIEN", "Phiên đã hết; xin đăng nhập lại.");
    }

    private static LoiGoi fault(String ma, String moTa) {
        return new LoiGoi(moTa, Loi.of(ma, moTa));
    }
}
