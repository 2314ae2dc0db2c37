//! Every text that a technician, an operator or a citizen may meet: Vietnamese and English, one table.
//!
//! A text says what happened, what it means and what to do. `{0}`, `{1}` … are filled by the caller, in order.
//! Add an entry at the table's end; the test below keeps both languages complete and their places equal.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

/// A language of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lang {
    /// Tiếng Việt.
    #[default]
    Vi,
    /// English.
    En,
}

/// One text in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// What happened.
    pub what: &'static str,
    /// What it means. May be empty for a plain notice.
    pub means: &'static str,
    /// What to do. May be empty for a plain notice.
    pub cure: &'static str,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $key:ident { vi: [$vw:literal, $vm:literal, $vc:literal], en: [$ew:literal, $em:literal, $ec:literal] })*) => {
        /// Key of a text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Text { $($(#[$doc])* $key,)* }

        impl Text {
            /// All keys.
            pub const ALL: &'static [Self] = &[$(Self::$key,)*];

            /// The key's name, as messages carry it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$key => stringify!($key),)* }
            }

            /// The text in a language, places not filled.
            pub const fn message(self, lang: Lang) -> Message {
                match (self, lang) {
                    $(
                        (Self::$key, Lang::Vi) => Message { what: $vw, means: $vm, cure: $vc },
                        (Self::$key, Lang::En) => Message { what: $ew, means: $em, cure: $ec },
                    )*
                }
            }
        }
    };
}

texts! {
    /// {0} address, {1} config file and key.
    PortTaken {
        vi: ["Cổng {0} đang được chương trình khác dùng.", "Chương trình không thể nhận kết nối.", "Dừng chương trình kia, hoặc chọn cổng khác ở {1}."],
        en: ["Port {0} is taken by another program.", "This program cannot accept connections.", "Stop the other program, or choose another port in {1}."]
    }
    /// {0} file, {1} key, {2} what is wrong, {3} what to do.
    ConfigBad {
        vi: ["Tệp cấu hình {0}, mục {1}: {2}.", "Chương trình không khởi động với cấu hình sai.", "{3}."],
        en: ["Configuration file {0}, key {1}: {2}.", "The program does not start with a wrong configuration.", "{3}."]
    }
    /// {0} file.
    CameraMissing {
        vi: ["Không mở được camera {0}.", "Điểm cầu này không có hình và tiếng để gửi.", "Kiểm tra cáp camera, hoặc đường dẫn trong cấu hình."],
        en: ["The camera {0} cannot be opened.", "This site has no picture and sound to send.", "Check the camera's cable, or the path in the configuration."]
    }
    /// {0} file.
    CameraNoVideo {
        vi: ["{0} không có luồng hình.", "Điểm cầu này không có hình để gửi.", "Chọn tệp hoặc thiết bị có hình."],
        en: ["{0} has no picture.", "This site has no picture to send.", "Choose a file or device that has a picture."]
    }
    /// {0} folder, {1} system's reason.
    DiskNotWritable {
        vi: ["Không ghi được vào thư mục {0} ({1}).", "Không thể lưu bản ghi, nên phiên không được bắt đầu.", "Cấp quyền ghi cho thư mục, hoặc chọn thư mục khác."],
        en: ["The folder {0} cannot be written ({1}).", "Nothing can be recorded, so no session can start.", "Allow writing to the folder, or choose another one."]
    }
    /// {0} where it should be mounted.
    DataDiskMissing {
        vi: ["Không tìm thấy ổ lưu trữ của thiết bị ({0}).", "Không có nơi ghi lại phiên, nên thiết bị không làm việc.", "Tắt nguồn, chờ 10 giây rồi bật lại. Nếu vẫn vậy, báo bộ phận vận hành để đổi thiết bị."],
        en: ["The storage of this box is not there ({0}).", "Nothing could be recorded, so the box does not work.", "Switch it off, wait 10 seconds, switch it on. If it stays so, call the operators: it has to be exchanged."]
    }
    /// {0} folder, {1} free MiB, {2} needed MiB.
    DiskFull {
        vi: ["Ổ đĩa của {0} chỉ còn {1} MiB, cần ít nhất {2} MiB.", "Bản ghi sẽ không được lưu đủ.", "Giải phóng dung lượng, hoặc chọn ổ đĩa khác."],
        en: ["The disk of {0} has only {1} MiB left, {2} MiB are needed.", "A recording would not be complete.", "Free some space, or choose another disk."]
    }
    /// {0} broker address, {1} reason.
    BrokerRefused {
        vi: ["Máy chủ MQTT {0} từ chối kết nối ({1}).", "Thiết bị chưa liên lạc được với trung tâm.", "Kiểm tra địa chỉ, giờ hệ thống và chứng thư; nếu vẫn lỗi, gọi bộ phận vận hành."],
        en: ["The broker {0} refused the connection ({1}).", "The box cannot reach the centre yet.", "Check the address, the clock and the certificate; if it stays so, call the operators."]
    }
    /// {0} broker address, {1} reason.
    BrokerForeign {
        vi: ["Máy chủ MQTT {0} có chứng thư của một tổ chức khác ({1}).", "Đây không phải trung tâm của thiết bị này; không gửi gì cả.", "Kiểm tra địa chỉ trung tâm, hoặc đăng ký lại thiết bị."],
        en: ["The broker {0} has a certificate of another authority ({1}).", "It is not this box's centre; nothing was sent.", "Check the centre's address, or enrol the box again."]
    }
    /// {0} code.
    CodeUnknown {
        vi: ["Mã đăng ký {0} không đúng.", "Thiết bị chưa được đăng ký.", "Nhập lại mã, để ý chữ và số; nếu vẫn lỗi, xin mã mới ở trung tâm."],
        en: ["The enrolment code {0} is wrong.", "The box is not enrolled.", "Type the code again, mind letters and digits; if it stays so, ask the centre for a new one."]
    }
    /// {0} code.
    CodeUsed {
        vi: ["Mã đăng ký {0} đã được dùng.", "Mỗi mã chỉ dùng được một lần, cho một thiết bị.", "Xin mã mới ở trung tâm."],
        en: ["The enrolment code {0} was used before.", "A code works once, for one box.", "Ask the centre for a new code."]
    }
    /// {0} code.
    CodeExpired {
        vi: ["Mã đăng ký {0} đã hết hạn.", "Mã chỉ có giá trị 24 giờ.", "Xin mã mới ở trung tâm."],
        en: ["The enrolment code {0} has expired.", "A code is valid for 24 hours.", "Ask the centre for a new code."]
    }
    /// No places.
    EnrolTooManyTries {
        vi: ["Quá nhiều lần nhập sai mã.", "Việc đăng ký bị khoá tạm thời để chống dò mã.", "Đợi 10 phút rồi thử lại với mã đúng."],
        en: ["Too many wrong codes.", "Enrolment is locked for a while against guessing.", "Wait 10 minutes and try again with the right code."]
    }
    /// {0} reason.
    EnrolBadRequest {
        vi: ["Trung tâm không nhận yêu cầu đăng ký ({0}).", "Thiết bị chưa được đăng ký.", "Khởi động lại thiết bị và thử lại; nếu vẫn lỗi, gọi bộ phận vận hành."],
        en: ["The centre did not accept the request for enrolment ({0}).", "The box is not enrolled.", "Restart the box and try again; if it stays so, call the operators."]
    }
    /// {0} file, {1} key, {2} device.
    BoardDeviceMissing {
        vi: ["Tệp bo mạch {0}, mục {1}: không có thiết bị {2}.", "Thiết bị không thể hoạt động với bo mạch này.", "Cắm thiết bị, hoặc sửa tên trong tệp bo mạch."],
        en: ["Board file {0}, key {1}: there is no device {2}.", "The box cannot work with this board file.", "Connect the device, or correct its name in the board file."]
    }
    /// {0} times, {1} reason.
    MediaRestarted {
        vi: ["Phần hình và tiếng của thiết bị đã tự khởi động lại (lần {0}: {1}).", "Điểm cầu bị mất hình và tiếng vài giây.", "Không cần làm gì; nếu lặp lại nhiều lần, gọi bộ phận vận hành."],
        en: ["The box's media process was restarted ({0} times: {1}).", "The site was without picture and sound for some seconds.", "Nothing to do; call the operators if it happens again and again."]
    }
    /// {0} session, {1} reason.
    WorkerRestarted {
        vi: ["Bộ trộn của phiên {0} đã tự khởi động lại ({1}).", "Phiên tiếp tục; bản ghi có một khoảng trống được ghi vào nhật ký.", "Không cần làm gì; báo bộ phận kỹ thuật sau phiên."],
        en: ["The conference worker of session {0} was restarted ({1}).", "The session goes on; the record has a gap that the journal names.", "Nothing to do; tell the engineers after the session."]
    }
    /// {0} file, {1} system's reason.
    RecorderFailed {
        vi: ["Không ghi được bản ghi {0} ({1}).", "Phần này có thể thiếu trong bản ghi ở đây; bản ghi ở đầu kia vẫn tiếp tục.", "Kiểm tra ổ đĩa ngay."],
        en: ["The record {0} could not be written ({1}).", "This part may be missing here; the record at the other end goes on.", "Check the disk at once."]
    }
    /// {0} encoder.
    EncoderStalled {
        vi: ["Bộ mã hoá {0} ngừng cho hình.", "Điểm cầu bị mất hình một lúc.", "Thiết bị tự thử lại; nếu lặp lại, gọi bộ phận vận hành."],
        en: ["The encoder {0} stopped delivering.", "The site is without a picture for a moment.", "The box tries again by itself; call the operators if it repeats."]
    }
    /// Screen of a box: nothing to call.
    PressNobody {
        vi: ["Chưa có điểm cầu nào để gọi.", "", "Nhờ trung tâm cấu hình danh sách gọi."],
        en: ["There is nobody to call.", "", "Ask the centre to set up whom this site calls."]
    }
    /// Screen of a box: guests cannot end.
    PressNotCaller {
        vi: ["Chỉ điểm cầu đã gọi mới kết thúc được phiên.", "", "Bấm ngắn để tắt hoặc bật micro."],
        en: ["Only the site that called can end the session.", "", "Press shortly to mute or open the microphone."]
    }
    /// Screen of a box.
    PressBusy {
        vi: ["Đang có phiên khác.", "", "Đợi phiên kia kết thúc rồi bấm lại."],
        en: ["Another session is running.", "", "Wait for it to end, then press again."]
    }
    /// Screen of a box.
    PressNoCentre {
        vi: ["Chưa liên lạc được với trung tâm.", "", "Kiểm tra đường truyền rồi bấm lại."],
        en: ["The centre cannot be reached.", "", "Check the line, then press again."]
    }
    /// Screen of a box.
    PressNoSession {
        vi: ["Chưa có phiên nào.", "", "Giữ nút 1,5 giây để gọi."],
        en: ["No session is running.", "", "Hold the button for 1.5 seconds to call."]
    }
    /// Screen of a box.
    PressCentreFull {
        vi: ["Trung tâm đã hết chỗ cho phiên mới.", "Các phiên đang chạy không bị ảnh hưởng.", "Đợi một phiên kết thúc rồi bấm lại, hoặc gọi bộ phận vận hành."],
        en: ["The centre has no room for another session.", "Sessions that run are not harmed.", "Wait for one to end, then press again, or call the operators."]
    }
    /// Slate of a site that has not arrived: {0} name.
    SlateWaiting {
        vi: ["{0}: đang kết nối", "", ""],
        en: ["{0}: connecting", "", ""]
    }
    /// Mark in the program.
    OnRecord {
        vi: ["ĐANG GHI HÌNH", "", ""],
        en: ["ON RECORD", "", ""]
    }
    /// {0} configuration file.
    NotEnrolled {
        vi: ["Thiết bị chưa được đăng ký ({0}).", "Trung tâm chưa biết thiết bị này.", "Chạy lại với --code và mã đăng ký do trung tâm cấp."],
        en: ["The box is not enrolled ({0}).", "The centre does not know this box yet.", "Start it again with --code and the enrolment code that the centre gave."]
    }
    /// {0} configuration file.
    AlreadyEnrolled {
        vi: ["Thiết bị đã được đăng ký ({0}).", "Mã đăng ký không được dùng đến.", "Để đăng ký lại, trước hết xoá thư mục identity trong data_dir."],
        en: ["The box is enrolled already ({0}).", "The code was not used.", "To enrol again, first remove the folder identity in data_dir."]
    }
    /// {0} folder, {1} reason.
    IdentityUnusable {
        vi: ["Không dùng được danh tính trong {0} ({1}).", "Thiết bị không thể chứng minh mình là ai với trung tâm.", "Khôi phục thư mục này, hoặc xoá nó và đăng ký lại."],
        en: ["The identity in {0} cannot be used ({1}).", "The box cannot prove to the centre who it is.", "Restore this folder, or remove it and enrol again."]
    }
    /// {0} folder, {1} reason.
    StoreUnusable {
        vi: ["Không mở được kho dữ liệu {0} ({1}).", "Thiết bị không thể giữ sự kiện và lệnh an toàn, nên không khởi động.", "Xem có chương trình thứ hai đang chạy không; nếu không, gọi bộ phận vận hành."],
        en: ["The store {0} cannot be opened ({1}).", "The box cannot keep events and commands safely, so it does not start.", "See whether a second program is running; if not, call the operators."]
    }
    /// {0} reason.
    MediaUnusable {
        vi: ["Phần hình và tiếng của thiết bị không làm việc được ({0}).", "Điểm cầu này chưa gửi được hình và tiếng.", "Cài đủ các gói GStreamer (cargo xtask setup), hoặc chọn bộ mã hoá khác trong cấu hình."],
        en: ["The box's media program cannot work ({0}).", "This site cannot send picture and sound yet.", "Install the GStreamer packages (cargo xtask setup), or name another encoder in the configuration."]
    }
    /// Slate of a site whose line is down: {0} name.
    SlateNoNetwork {
        vi: ["{0}: mất đường truyền", "", ""],
        en: ["{0}: line down", "", ""]
    }
    /// Slate of a site that left by itself: {0} name.
    SlateLeft {
        vi: ["{0}: đã rời phiên", "", ""],
        en: ["{0}: has left the session", "", ""]
    }
    /// Slate of a site that is connected and sends no picture: {0} name.
    SlateNoPicture {
        vi: ["{0}: chưa có hình", "", ""],
        en: ["{0}: no picture", "", ""]
    }
    /// Slate of a site whose box has lost its camera: {0} name.
    SlateCameraAway {
        vi: ["{0}: mất camera", "", ""],
        en: ["{0}: camera unplugged", "", ""]
    }
    /// {0} camera, {1} what was seen.
    PictureLost {
        vi: ["Camera {0} không còn cho hình ({1}).", "Điểm cầu không có hình; tiếng vẫn tiếp tục.", "Kiểm tra cáp và nguồn của camera; hình tự trở lại khi camera có lại."],
        en: ["The camera {0} gives no picture any more ({1}).", "The site has no picture; its sound goes on.", "Check the camera's cable and power; the picture comes back by itself when the camera does."]
    }
    /// {0} camera, {1} ms.
    PictureBack {
        vi: ["Camera {0} có hình trở lại sau {1} ms.", "", ""],
        en: ["The camera {0} gives a picture again, after {1} ms.", "", ""]
    }
    /// {0} camera, {1} width, {2} height, {3} pictures a second, {4} kbit/s, {5} ms between key frames.
    PictureUntouched {
        vi: ["H.264 của camera {0} được gửi và ghi nguyên vẹn: {1}×{2}, {3} hình/giây, {4} kbit/s, hình khoá mỗi {5} ms.", "Kích thước và tốc độ do trung tâm yêu cầu không đến được bộ mã hoá của camera.", "Muốn thay đổi, đặt lại trong camera."],
        en: ["The H.264 of the camera {0} is sent and recorded as it is: {1}×{2}, {3} pictures/s, {4} kbit/s, a key frame every {5} ms.", "Size and rate that the centre orders do not reach the camera's encoder.", "To change them, set them at the camera."]
    }
    /// {0} camera.
    StreamNoFormat {
        vi: ["H.264 của camera {0} không đọc được thông số.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Đặt camera ở H.264 Main hoặc High, rồi khởi động lại camera."],
        en: ["The H.264 of the camera {0} has parameters that cannot be read.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Set the camera to H.264 Main or High and restart it."]
    }
    /// {0} camera.
    StreamTooLarge {
        vi: ["Hình của camera {0} lớn hơn 1920×1080.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Đặt camera ở 1280×720 hoặc 1920×1080."],
        en: ["The picture of the camera {0} is larger than 1920×1080.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Set the camera to 1280×720 or 1920×1080."]
    }
    /// {0} camera.
    StreamColours {
        vi: ["Camera {0} gửi màu không phải 4:2:0 8 bit.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Đặt camera ở H.264 Main hoặc High."],
        en: ["The camera {0} sends other colours than 4:2:0 with 8 bits.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Set the camera to H.264 Main or High."]
    }
    /// {0} camera.
    StreamInterlaced {
        vi: ["Camera {0} gửi hình xen kẽ.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Đặt camera ở hình liên tục (progressive), ví dụ 720p25 hoặc 1080p25."],
        en: ["The camera {0} sends interlaced pictures.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Set the camera to progressive pictures, such as 720p25 or 1080p25."]
    }
    /// {0} camera.
    StreamBFrames {
        vi: ["Luồng H.264 của camera {0} có khung hình B.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Tắt khung hình B trong camera (profile Baseline, hoặc số khung B là 0)."],
        en: ["The H.264 of the camera {0} has B frames.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Switch B frames off at the camera (profile Baseline, or 0 B frames)."]
    }
    /// {0} camera.
    StreamRareKeyFrames {
        vi: ["Camera {0} cho hình khoá quá thưa.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Đặt khoảng cách hình khoá (I-frame, GOP) của camera là 2 giây và tắt “smart codec” (H.264+)."],
        en: ["The key frames of the camera {0} are too far apart.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Set the camera's key frame interval (I frame, GOP) to 2 s and switch its “smart codec” (H.264+) off."]
    }
    /// {0} camera.
    StreamRateTooHigh {
        vi: ["Camera {0} gửi nhiều hơn mức đường truyền có thể tải.", "Thiết bị tự giải mã rồi mã hoá lại; nóng hơn và tốn điện hơn.", "Đặt tốc độ bit của camera ở 1500 đến 4000 kbit/s."],
        en: ["The camera {0} sends more than a line can be expected to carry.", "The box decodes it and encodes it again: it runs hotter and uses more power.", "Set the camera's bit rate to 1500 to 4000 kbit/s."]
    }
    /// {0} camera, {1} what it offers.
    CameraCodec {
        vi: ["Camera {0} không gửi H.264 mà gửi {1}.", "Điểm cầu này không có hình để gửi.", "Đặt luồng này của camera ở H.264, hoặc ghi địa chỉ của luồng H.264 vào cấu hình."],
        en: ["The camera {0} sends {1}, not H.264.", "This site has no picture to send.", "Set this stream of the camera to H.264, or put the address of its H.264 stream into the configuration."]
    }
    /// {0} camera.
    CameraLogin {
        vi: ["Camera {0} không nhận tên đăng nhập hoặc mật khẩu.", "Điểm cầu này không có hình để gửi.", "Sửa camera.account trong agent.toml theo tài khoản của camera."],
        en: ["The camera {0} does not accept user name or password.", "This site has no picture to send.", "Correct camera.account in agent.toml: the camera's own account."]
    }
    /// {0} the most programs.
    ProgramsFull {
        vi: ["Máy chủ này chỉ làm được {0} chương trình trong một phiên (media.programs).", "Các điểm cầu vẫn nhận chương trình như trước.", "Tắt một chương trình khác, hoặc tăng media.programs trong server.toml rồi khởi động lại máy chủ."],
        en: ["This server makes {0} programs in a session at most (media.programs).", "All sites get the program that they had.", "Switch another program off, or raise media.programs in server.toml and restart the server."]
    }
    /// {0} program.
    ProgramNeeded {
        vi: ["Không tắt được chương trình {0}: đó là chương trình chính, hoặc đang được ghi hình.", "Bản ghi và các điểm cầu vẫn nhận chương trình này.", "Chọn ghi chương trình khác trước, rồi tắt chương trình này."],
        en: ["The program {0} cannot be switched off: it is the main one, or is being recorded.", "The record and the sites get it as before.", "Have another program recorded first, then switch this one off."]
    }
    /// {0} program.
    ProgramMissing {
        vi: ["Phiên này không có chương trình {0}.", "Không có gì thay đổi.", "Bật chương trình đó trước."],
        en: ["There is no program {0} in this session.", "Nothing has changed.", "Switch it on first."]
    }
    /// {0} encoder, {1} the one that took its place.
    EncoderReplaced {
        vi: ["Bộ mã hoá {0} hỏng hai lần liền; {1} đã thay thế.", "Hình vẫn được gửi; thiết bị nóng hơn và tốn điện hơn.", "Khởi động lại thiết bị sau phiên; nếu lặp lại, gọi bộ phận vận hành để đổi thiết bị."],
        en: ["The encoder {0} failed twice; {1} has taken its place.", "The picture is still sent; the box runs hotter and uses more power.", "Restart the box after the session; if it happens again, ask the operators to exchange it."]
    }
    /// {0} camera.
    PtzLogin {
        vi: ["Camera {0} không nhận tên đăng nhập hoặc mật khẩu.", "Camera vẫn có thể có hình, nhưng không điều khiển được.", "Sửa mục camera trong agent.toml theo tài khoản ONVIF của camera. Chờ vài phút trước khi thử lại: nhiều camera khóa tài khoản sau vài lần sai."],
        en: ["The camera {0} refuses the user name or the password.", "It may still have a picture, but it cannot be moved.", "Correct the camera's section of agent.toml: the account must be one for ONVIF. Wait some minutes before the next try: many cameras lock an account after a few."]
    }
    /// {0} camera, {1} what was seen.
    PtzSilent {
        vi: ["Camera {0} không trả lời lệnh điều khiển ({1}).", "Không xoay được camera; hình vẫn có thể đến.", "Kiểm tra nguồn, cáp và địa chỉ của camera."],
        en: ["The camera {0} does not answer ({1}).", "It cannot be moved; its picture may still come.", "Check the camera's power, cable and address."]
    }
    /// {0} camera.
    PtzMayMove {
        vi: ["Camera {0} không trả lời lệnh dừng.", "Camera có thể vẫn đang xoay.", "Nhìn hình của camera; nếu còn xoay, tắt nguồn camera rồi bật lại."],
        en: ["The camera {0} does not answer to *stop*.", "It may still be moving.", "Look at its picture; if it still moves, switch the camera off and on again."]
    }
    /// {0} address as configured, {1} what is wrong.
    PtzAddress {
        vi: ["Địa chỉ camera {0} không dùng được ({1}).", "Không điều khiển được camera.", "Sửa địa chỉ trong agent.toml, ví dụ http://192.168.1.64/onvif/device_service."],
        en: ["The camera's address {0} cannot be used ({1}).", "The camera cannot be moved.", "Correct it in agent.toml, for example http://192.168.1.64/onvif/device_service."]
    }
    /// {0} camera, {1} what was seen.
    PtzRefused {
        vi: ["Camera {0} không thực hiện được lệnh ({1}).", "Camera ở nguyên vị trí hoặc dừng giữa chừng.", "Thử lại; nếu vẫn lỗi, cập nhật phần mềm của camera hoặc báo bộ phận vận hành."],
        en: ["The camera {0} did not carry out a request ({1}).", "It stays where it was, or stopped on the way.", "Try again; if it stays so, update the camera's software or tell the operators."]
    }
    /// No places.
    ButtonStuck {
        vi: ["Nút bấm bị kẹt khi thiết bị khởi động.", "Thiết bị chạy bình thường nhưng nút có thể không dùng được; không có gì bị xoá.", "Kiểm tra và thay nút bấm, rồi tắt và bật lại thiết bị."],
        en: ["The button was stuck when the box started.", "The box runs as ever, but its button may not work; nothing was erased.", "Check and replace the button, then switch the box off and on."]
    }
    /// {0} records kept, {1} events kept.
    BoxResetDone {
        vi: ["Thiết bị đã được đưa về trạng thái xuất xưởng; giữ lại {0} bản ghi và {1} sự kiện mà trung tâm chưa xác nhận.", "Danh tính và khoá đã bị xoá; trung tâm không còn biết thiết bị này.", "Đăng ký lại thiết bị với mã mới; bản ghi giữ lại nằm trong records_dir."],
        en: ["The box is as delivered; {0} records and {1} events are kept, which the centre has not acknowledged.", "Identity and keys are erased; the centre does not know this box any more.", "Enrol the box again with a new code; what is kept lies in records_dir."]
    }
    /// {0} file or folder, {1} reason.
    BoxResetFailed {
        vi: ["Chưa đưa được thiết bị về trạng thái xuất xưởng: {0} ({1}).", "Việc này tiếp tục ở lần khởi động sau; chưa có bản ghi nào bị mất.", "Tắt và bật lại thiết bị; nếu vẫn lỗi, gọi bộ phận vận hành."],
        en: ["The factory reset is not complete: {0} ({1}).", "It goes on at the next start; no record is lost.", "Switch the box off and on; call the operators if it stays so."]
    }
    /// {0} site's code.
    BoxNotReached {
        vi: ["Thiết bị của điểm cầu {0} không trả lời.", "Yêu cầu chưa được thực hiện; thiết bị sẽ không làm muộn.", "Xem trạng thái của điểm cầu; nếu mất kết nối, gọi kỹ thuật viên ở đó."],
        en: ["The box of site {0} does not answer.", "The request was not carried out, and will not be later.", "See how the site is; if its line is down, call the technician there."]
    }
    /// No places.
    CameraHeldByOperator {
        vi: ["Người vận hành ở trung tâm đang điều khiển camera.", "Camera chỉ nghe lệnh của một người mỗi lúc.", "Đợi khoảng 10 giây sau khi người đó thôi điều khiển, hoặc nhờ người đó nhường."],
        en: ["An operator at the centre is moving the camera.", "A camera obeys one person at a time.", "Wait some 10 seconds after the operator has finished, or ask the operator to let it go."]
    }
    /// No places.
    CameraHeldByRoom {
        vi: ["Người trong phòng đang điều khiển camera.", "Camera chỉ nghe lệnh của một người mỗi lúc.", "Đợi khoảng 10 giây sau khi người đó thôi điều khiển."],
        en: ["A person in the room is moving the camera.", "A camera obeys one person at a time.", "Wait some 10 seconds after that person has finished."]
    }
    /// No places.
    CameraHeldByVoice {
        vi: ["Camera đang tự quay về phía người nói.", "Việc này kéo dài vài giây.", "Đợi vài giây rồi thử lại."],
        en: ["The camera is turning to who speaks.", "This takes some seconds.", "Wait a moment and try again."]
    }
    /// No places.
    CameraAway {
        vi: ["Không có camera điều khiển được, hoặc camera đã mất kết nối.", "Camera không quay được; hình vẫn có thể bình thường.", "Kiểm tra nguồn và cáp điều khiển của camera."],
        en: ["There is no camera that can be moved, or its line is down.", "The camera cannot be moved; its picture may be fine.", "Check the camera's power and its control cable."]
    }
    /// No places.
    CameraNotAnswering {
        vi: ["Camera không trả lời lệnh điều khiển.", "Không chắc camera đã dừng; thiết bị vẫn lặp lại lệnh dừng.", "Xem camera có còn quay không; nếu còn, tắt nguồn camera 10 giây rồi bật lại."],
        en: ["The camera does not answer.", "It may still be moving; the box tells it to stop again and again.", "See whether it moves; if so, switch its power off for 10 seconds."]
    }
    /// No places.
    CameraUnsupported {
        vi: ["Camera này không làm được việc đó.", "Không có gì thay đổi.", "Dùng vị trí đặt sẵn, hoặc cách điều khiển khác mà camera có."],
        en: ["This camera cannot do that.", "Nothing has changed.", "Use a preset, or another way of moving that this camera has."]
    }
    /// No places.
    CameraOutsideLimits {
        vi: ["Vị trí đó nằm ngoài giới hạn quay của phòng này.", "Camera không quay đến đó.", "Chọn vị trí khác, hoặc nhờ kỹ thuật viên sửa giới hạn trong cấu hình."],
        en: ["That place is outside this room's limits.", "The camera does not go there.", "Choose another place, or have the technician change the limits in the configuration."]
    }
    /// No places.
    CameraAtLimit {
        vi: ["Camera đã ở giới hạn quay về phía này.", "Camera không quay thêm.", "Quay về phía khác."],
        en: ["The camera stands at its limit in this direction.", "It goes no further.", "Move it the other way."]
    }
    /// No places.
    CameraPositionUnknown {
        vi: ["Chưa biết camera đang nhìn về đâu.", "Phòng này có giới hạn quay (hoặc lệnh này cần vị trí), nên camera đứng yên.", "Thử lại sau một giây; nếu vẫn vậy, camera này không báo được vị trí: bỏ giới hạn trong cấu hình."],
        en: ["It is not known where the camera looks.", "This room has limits (or this request needs the place), so the camera stands still.", "Try again in a second; if it stays so, this camera cannot tell its place: remove the limits from the configuration."]
    }
    /// No places.
    CameraPresetUnknown {
        vi: ["Không có vị trí đặt sẵn với số đó.", "Camera đứng yên.", "Lưu vị trí đó trước, hoặc chọn số khác."],
        en: ["There is no preset of that number.", "The camera stands still.", "Store it first, or choose another number."]
    }
    /// No places.
    CameraMoving {
        vi: ["Camera đang quay.", "Chỉ lưu được vị trí khi camera đứng yên.", "Dừng camera rồi lưu lại."],
        en: ["The camera is moving.", "A preset is stored only while it stands still.", "Stop the camera, then store it."]
    }
    /// No places.
    CameraBusy {
        vi: ["Camera đang làm yêu cầu trước.", "Yêu cầu này không được nhận.", "Đợi một giây rồi thử lại."],
        en: ["The camera is busy with the last request.", "This one was not taken.", "Wait a second and try again."]
    }
    /// No places.
    CameraEnding {
        vi: ["Chương trình của thiết bị đang dừng.", "Camera được dừng và không nhận lệnh nữa.", "Đợi thiết bị khởi động lại xong."],
        en: ["The box's program is ending.", "The camera is stopped and takes no more requests.", "Wait until the box has started again."]
    }
    /// {0} channel, counted from 1.
    MicrophoneSilent {
        vi: ["Micro số {0} không có tín hiệu.", "Thiết bị chuyển sang micro dự phòng nếu có.", "Kiểm tra cáp, nguồn và nút tắt của micro này."],
        en: ["Microphone {0} gives no signal.", "The box takes a spare one if there is one.", "Check this microphone's cable, power and mute switch."]
    }
    /// {0} why.
    ArrayTellsNothing {
        vi: ["Cụm micro không cho biết ai đang nói ở hướng nào ({0}).", "Tiếng vẫn thu bình thường, nhưng camera không tự quay về người nói.", "Xem dây USB của cụm micro; nếu vẫn không được, rút ra, đợi 10 giây rồi cắm lại."],
        en: ["The microphone array does not say from where voices come ({0}).", "Sound is captured as before, but the camera does not turn to who speaks.", "Look at the array's USB cable; if that does not help, unplug it, wait 10 seconds and plug it in again."]
    }
    /// {0} channel, counted from 1.
    MicrophoneStuck {
        vi: ["Micro số {0} chỉ cho một giá trị không đổi.", "Đường dây hoặc bộ chuyển đổi của micro bị treo.", "Rút micro ra, đợi 10 giây rồi cắm lại."],
        en: ["Microphone {0} gives one value that does not change.", "Its line or its converter hangs.", "Unplug it, wait 10 seconds and plug it in again."]
    }
    /// {0} channel, counted from 1.
    MicrophoneClipped {
        vi: ["Tiếng ở micro số {0} bị vỡ vì quá to.", "Người nghe khó hiểu lời nói.", "Giảm độ nhạy micro, hoặc đặt micro xa loa và người nói hơn."],
        en: ["The sound of microphone {0} is cut off, it is too loud.", "Speech is hard to understand.", "Lower its gain, or move it away from the loudspeaker and the speaker."]
    }
    /// {0} channel, counted from 1.
    MicrophoneWeak {
        vi: ["Micro số {0} nhỏ hơn nhiều so với các micro khác.", "Micro này có thể hỏng hoặc bị che.", "Xem micro có bị che không; nếu không, thay micro."],
        en: ["Microphone {0} is far weaker than the others.", "It may be broken or covered.", "See whether something covers it; if not, replace it."]
    }
    /// No places.
    MicrophonesNone {
        vi: ["Không có micro nào làm việc.", "Trung tâm không nghe được điểm cầu này.", "Kiểm tra dây USB và nguồn của cụm micro; nếu vẫn lỗi, gọi bộ phận vận hành."],
        en: ["No microphone works.", "The centre cannot hear this site.", "Check the array's USB cable and power; if it stays so, call the operators."]
    }
    /// {0} ALSA's name of the device.
    MicrophonesAway {
        vi: ["Không thấy thiết bị micro {0}.", "Máy dùng micro dự phòng nếu có; nếu không, trung tâm không nghe được điểm cầu này.", "Kiểm tra dây USB và nguồn của cụm micro; cắm lại là máy tự dùng tiếp."],
        en: ["The microphones {0} are not there.", "The box takes a spare one if there is one; if not, the centre cannot hear this site.", "Check the array's USB cable and power; once plugged in, it is used again by itself."]
    }
    /// {0} ALSA's name of the device.
    LoudspeakerAway {
        vi: ["Không thấy loa {0}.", "Trong phòng không nghe được trung tâm.", "Kiểm tra dây và nguồn của loa; cắm lại là máy tự dùng tiếp."],
        en: ["The loudspeaker {0} is not there.", "The centre is not heard in the room.", "Check the loudspeaker's cable and power; once plugged in, it is used again by itself."]
    }
    /// No places.
    SoundTestGood {
        vi: ["Kiểm tra âm thanh: tốt.", "Loa và các micro như ngày lắp đặt.", "Không cần làm gì."],
        en: ["Sound test: good.", "Loudspeaker and microphones are as on the day of installation.", "Nothing to do."]
    }
    /// No places.
    SoundTestNoDevices {
        vi: ["Kiểm tra âm thanh: không mở được loa.", "Chưa đo được gì.", "Kiểm tra nguồn và dây của loa, rồi kiểm tra lại."],
        en: ["Sound test: the loudspeaker could not be opened.", "Nothing was measured.", "Check its power and cable, then test again."]
    }
    /// {0} site's code.
    UpdateNotNow {
        vi: ["Điểm cầu {0} chưa cập nhật được.", "Thiết bị đang cập nhật, hoặc hệ thống của nó không có hai bản.", "Chờ sự kiện của lần cập nhật trước rồi thử lại."],
        en: ["Site {0} cannot be updated now.", "Its box is being updated, or its system has no second slot.", "Wait for what the earlier update says, then try again."]
    }
    /// {0} site's code.
    SoundTestNotNow {
        vi: ["Điểm cầu {0} chưa kiểm tra âm thanh được.", "Thiết bị đang trong phiên, đang được lắp đặt, hoặc không có loa và micro riêng.", "Thử lại sau khi phiên kết thúc."],
        en: ["Site {0} cannot test its sound now.", "Its box is in a session, is being put up, or has no loudspeaker and microphones of its own.", "Try again when the session is over."]
    }
    /// No places.
    SoundTestNoLoudspeaker {
        vi: ["Kiểm tra âm thanh: không micro nào nghe được loa, nhưng các micro đều có tín hiệu.", "Có lẽ loa không kêu.", "Kiểm tra âm lượng, nguồn và dây của loa, rồi kiểm tra lại."],
        en: ["Sound test: no microphone hears the loudspeaker, but they all give a signal.", "Most likely the loudspeaker is silent.", "Check its volume, power and cable, then test again."]
    }
    /// {0} channel, counted from 1.
    SoundTestNotHeard {
        vi: ["Kiểm tra âm thanh: micro số {0} không nghe được loa.", "Các micro khác nghe được, nên loa vẫn tốt.", "Kiểm tra cáp của micro này và xem có bị che không, rồi kiểm tra lại."],
        en: ["Sound test: microphone {0} does not hear the loudspeaker.", "Others do, so the loudspeaker is fine.", "Check this microphone's cable and whether something covers it, then test again."]
    }
    /// {0} channel, counted from 1.
    SoundTestNoSignal {
        vi: ["Kiểm tra âm thanh: micro số {0} hoàn toàn im lặng.", "Micro hỏng, bị tắt hoặc chưa cắm.", "Kiểm tra cáp và nút tắt của micro này, rồi kiểm tra lại."],
        en: ["Sound test: microphone {0} is dead silent.", "It is broken, muted or not connected.", "Check its cable and its mute switch, then test again."]
    }
    /// {0} channel, counted from 1.
    SoundTestClipped {
        vi: ["Kiểm tra âm thanh: micro số {0} bị vỡ tiếng khi thử.", "Loa quá to hoặc micro quá nhạy.", "Giảm âm lượng loa hoặc độ nhạy micro, rồi kiểm tra lại."],
        en: ["Sound test: microphone {0} was overdriven.", "The loudspeaker is too loud or the microphone too sensitive.", "Lower the one or the other, then test again."]
    }
    /// {0} channel, counted from 1, {1} dB, {2} dB.
    SoundTestNoisy {
        vi: ["Kiểm tra âm thanh: ở micro số {0}, tiếng thử chỉ to hơn tiếng ồn {1} dB, cần {2} dB.", "Kết quả đo không đủ tin cậy.", "Giữ phòng yên lặng, hoặc tăng âm lượng loa, rồi kiểm tra lại."],
        en: ["Sound test: at microphone {0} the test is only {1} dB above the noise, {2} dB are needed.", "What was measured cannot be relied upon.", "Keep the room quiet, or turn the loudspeaker up, then test again."]
    }
    /// {0} channel, {1} the channel it seems to be, both counted from 1.
    SoundTestSwapped {
        vi: ["Kiểm tra âm thanh: micro số {0} nghe như micro số {1} ngày lắp đặt.", "Hai dây có lẽ bị cắm đổi chỗ; hướng người nói sẽ bị tính sai.", "Đổi lại hai dây, rồi kiểm tra lại."],
        en: ["Sound test: microphone {0} hears what microphone {1} heard on the day of installation.", "Two cables are probably swapped; the direction of who speaks would be wrong.", "Swap the two cables back, then test again."]
    }
    /// {0} channel, counted from 1, {1} dB.
    SoundTestQuieter {
        vi: ["Kiểm tra âm thanh: micro số {0} nhỏ hơn ngày lắp đặt {1} dB.", "Loa hoặc micro bị che, bị vặn nhỏ hoặc dời chỗ.", "Kiểm tra âm lượng loa và vị trí của micro này, rồi kiểm tra lại."],
        en: ["Sound test: microphone {0} is {1} dB weaker than on the day of installation.", "Loudspeaker or microphone is covered, turned down or moved.", "Check the loudspeaker's volume and this microphone's place, then test again."]
    }
    /// {0} channel, counted from 1, {1} dB.
    SoundTestMoreEcho {
        vi: ["Kiểm tra âm thanh: micro số {0} nghe loa to hơn ngày lắp đặt {1} dB.", "Tiếng vọng có thể lọt về trung tâm.", "Giảm âm lượng loa, hoặc đặt loa xa micro hơn, rồi kiểm tra lại."],
        en: ["Sound test: microphone {0} hears the loudspeaker {1} dB louder than on the day of installation.", "The centre may hear itself.", "Turn the loudspeaker down or move it away from the microphone, then test again."]
    }
    /// {0} channel, counted from 1, {1} ms, {2} ms.
    SoundTestDelay {
        vi: ["Kiểm tra âm thanh: ở micro số {0}, tiếng đến sau {1} ms, ngày lắp đặt là {2} ms.", "Loa hoặc micro đã dời chỗ, hoặc có thiết bị mới trên đường tiếng.", "Đặt lại như cũ; nếu thay đổi là cố ý, lưu kết quả này làm mốc mới."],
        en: ["Sound test: at microphone {0} the sound comes after {1} ms, on the day of installation it was {2} ms.", "Loudspeaker or microphone was moved, or there is a new device in between.", "Put it back; if the change was meant, store this result as the new reference."]
    }
    /// Screen of a box.
    PressCallUnderWay {
        vi: ["Cuộc gọi đang được thực hiện.", "", "Đợi trung tâm trả lời, tối đa 10 giây."],
        en: ["The call is under way.", "", "Wait for the centre's answer, at most 10 seconds."]
    }
    /// Screen of a box: title of an installation.
    WizardNew {
        vi: ["Lắp đặt điểm cầu", "", ""],
        en: ["Installing this site", "", ""]
    }
    /// Screen of a box: title when it takes another box's place.
    WizardExchange {
        vi: ["Thay thiết bị điểm cầu", "", ""],
        en: ["Exchanging this site's box", "", ""]
    }
    /// Screen of a box: title when it stood elsewhere before.
    WizardMove {
        vi: ["Chuyển thiết bị đến điểm cầu mới", "", ""],
        en: ["Moving the box to this site", "", ""]
    }
    /// Screen of a box: title at the end.
    WizardDone {
        vi: ["Lắp đặt hoàn tất", "", ""],
        en: ["Installation complete", "", ""]
    }
    /// Label before the device's serial number.
    LabelSerial {
        vi: ["Số máy", "", ""],
        en: ["Serial", "", ""]
    }
    /// Label above what to do.
    LabelCure {
        vi: ["Việc cần làm", "", ""],
        en: ["What to do", "", ""]
    }
    /// Step of an installation.
    StepCable {
        vi: ["Cáp mạng", "", ""],
        en: ["Network cable", "", ""]
    }
    /// Step of an installation.
    StepAddress {
        vi: ["Địa chỉ mạng", "", ""],
        en: ["Network address", "", ""]
    }
    /// Step of an installation.
    StepTime {
        vi: ["Giờ hệ thống", "", ""],
        en: ["Clock", "", ""]
    }
    /// Step of an installation.
    StepCentre {
        vi: ["Liên lạc trung tâm", "", ""],
        en: ["Centre reachable", "", ""]
    }
    /// Step of an installation.
    StepCode {
        vi: ["Mã đăng ký", "", ""],
        en: ["Enrolment code", "", ""]
    }
    /// Step of an installation.
    StepEnrolled {
        vi: ["Đăng ký thiết bị", "", ""],
        en: ["Enrolled", "", ""]
    }
    /// Step of an installation.
    StepCamera {
        vi: ["Camera có hình", "", ""],
        en: ["Camera sees", "", ""]
    }
    /// Step of an installation.
    StepMicrophones {
        vi: ["Micro có tiếng", "", ""],
        en: ["Microphones hear", "", ""]
    }
    /// Step of an installation.
    StepEncoder {
        vi: ["Bộ mã hoá", "", ""],
        en: ["Encoder runs", "", ""]
    }
    /// Step of an installation.
    StepSpeed {
        vi: ["Tốc độ đường truyền", "", ""],
        en: ["Speed of the line", "", ""]
    }
    /// Step of an installation.
    StepCall {
        vi: ["Gọi thử", "", ""],
        en: ["Test call", "", ""]
    }
    /// Step of an installation.
    StepPlayback {
        vi: ["Ghi và phát lại", "", ""],
        en: ["Record and play back", "", ""]
    }
    /// Step under way.
    DoingCable {
        vi: ["Đang tìm cáp mạng.", "", "Cắm cáp mạng vào thiết bị và vào bộ định tuyến."],
        en: ["Looking for the network cable.", "", "Plug the network cable into the box and into the router."]
    }
    /// Step under way.
    DoingAddress {
        vi: ["Đang xin địa chỉ mạng.", "Bộ định tuyến thường cấp địa chỉ trong vài giây.", "Đợi tối đa 30 giây. Nếu mạng dùng địa chỉ tĩnh, cắm USB có tệp bridgepoint.txt."],
        en: ["Asking for a network address.", "The router usually gives one within seconds.", "Wait for up to 30 seconds. If the network uses static addresses, plug in a USB stick with the file bridgepoint.txt."]
    }
    /// Step under way.
    DoingTime {
        vi: ["Đang chỉnh giờ.", "Không có giờ đúng thì không kết nối an toàn được.", "Đợi tối đa 1 phút."],
        en: ["Setting the clock.", "Without the right time there is no secure connection.", "Wait for up to 1 minute."]
    }
    /// Step under way.
    DoingCentre {
        vi: ["Đang liên lạc với trung tâm.", "", "Đợi tối đa 10 giây."],
        en: ["Contacting the centre.", "", "Wait for up to 10 seconds."]
    }
    /// Step under way: a code is waited for.
    DoingCode {
        vi: ["Nhập mã đăng ký do trung tâm cấp.", "Mã có 8 ký tự, dùng một lần, trong 24 giờ. Không có các ký tự I, L, O, U, 0, 1.", "Gõ mã trên bàn phím USB rồi bấm Enter; hoặc đưa mã QR trước camera; hoặc cắm USB có tệp bridgepoint.txt."],
        en: ["Enter the enrolment code from the centre.", "It has 8 characters, works once, for 24 hours. It never has I, L, O, U, 0 or 1.", "Type it on a USB keyboard and press Enter; or hold its QR code before the camera; or plug in a USB stick with the file bridgepoint.txt."]
    }
    /// Step under way.
    DoingEnrolled {
        vi: ["Đang đăng ký thiết bị với trung tâm.", "", "Đợi tối đa 30 giây; không tắt nguồn."],
        en: ["Enrolling the box at the centre.", "", "Wait for up to 30 seconds; do not switch off."]
    }
    /// Step under way.
    DoingCamera {
        vi: ["Đang xem hình của camera.", "", "Bật đèn trong phòng và mở nắp ống kính."],
        en: ["Looking at the camera's picture.", "", "Switch the room's lights on and take the cap off the lens."]
    }
    /// Step under way.
    DoingMicrophones {
        vi: ["Đang nghe các micro.", "Mọi kênh đều phải nghe được tiếng nói.", "Ngồi vào chỗ của người dân và nói bình thường cho đến khi xong."],
        en: ["Listening to the microphones.", "Every channel has to hear speech.", "Sit where the citizen sits and speak normally until this is done."]
    }
    /// Step under way.
    DoingEncoder {
        vi: ["Đang thử bộ mã hoá.", "", "Đợi khoảng 5 giây."],
        en: ["Trying the encoder.", "", "Wait for about 5 seconds."]
    }
    /// Step under way.
    DoingSpeed {
        vi: ["Đang đo tốc độ, mỗi chiều 30 giây.", "Người khác dùng mạng lúc này sẽ làm sai kết quả.", "Đợi khoảng 1 phút; không rút cáp."],
        en: ["Measuring the speed, 30 seconds each way.", "Others who use the line now spoil the result.", "Wait for about 1 minute; leave the cable in."]
    }
    /// Step under way.
    DoingCall {
        vi: ["Đang gọi thử: trung tâm gửi trả lại hình và tiếng.", "", "Đợi khoảng 12 giây."],
        en: ["Test call: the centre sends picture and sound back.", "", "Wait for about 12 seconds."]
    }
    /// Step under way.
    DoingPlayback {
        vi: ["Đang ghi 10 giây, sau đó phát lại.", "Bạn sẽ thấy và nghe chính mình.", "Nói vài câu trước camera, rồi xem và nghe."],
        en: ["Recording 10 seconds, then playing them back.", "You will see and hear yourself.", "Say a few sentences before the camera, then watch and listen."]
    }
    /// Step under way: a person has to say whether the recording was right.
    DoingConfirm {
        vi: ["Bạn có thấy hình và nghe tiếng rõ không?", "", "Rõ: bấm Enter, hoặc bấm ngắn nút trên thiết bị. Không rõ: bấm Esc, hoặc giữ nút."],
        en: ["Did you see and hear the recording well?", "", "Yes: press Enter, or the box's button shortly. No: press Esc, or hold the button."]
    }
    /// All is proved; the report goes to the centre.
    ReportOnTheWay {
        vi: ["Mọi bước đều đạt. Đang gửi báo cáo lắp đặt.", "Báo cáo được ký bằng khoá của thiết bị.", "Đợi trung tâm xác nhận, thường trong vài giây."],
        en: ["Every step is passed. Sending the commissioning report.", "It is signed with the box's key.", "Wait for the centre to confirm it, usually within seconds."]
    }
    /// All is proved, but the cable is out.
    ReportNoCable {
        vi: ["Mọi bước đều đạt, nhưng cáp mạng đã bị rút.", "Báo cáo lắp đặt chưa đến trung tâm; thiết bị giữ báo cáo.", "Cắm lại cáp mạng."],
        en: ["Every step is passed, but the network cable is out.", "The commissioning report has not reached the centre; the box keeps it.", "Plug the network cable in again."]
    }
    /// The end: {0} site, {1} appliance.
    ReportDone {
        vi: ["Điểm cầu {0} đã sẵn sàng.", "Trung tâm đã nhận báo cáo lắp đặt của thiết bị {1}. Đèn xanh sáng.", "Rút bàn phím và USB. Giữ nút 1,5 giây để gọi."],
        en: ["Site {0} is ready.", "The centre has the commissioning report of the box {1}. The green lamp is lit.", "Unplug keyboard and USB stick. Hold the button for 1.5 seconds to call."]
    }
    /// What keys do.
    KeysCode {
        vi: ["Enter: gửi mã · Backspace: xoá một ký tự · Esc: xoá hết", "", ""],
        en: ["Enter: send the code · Backspace: one back · Esc: clear", "", ""]
    }
    /// What keys do.
    KeysConfirm {
        vi: ["Enter hoặc bấm ngắn nút: rõ · Esc hoặc giữ nút: không rõ", "", ""],
        en: ["Enter or a short press: yes · Esc or a long press: no", "", ""]
    }
    /// What keys do.
    KeysEnrolled {
        vi: ["Enter hoặc bấm ngắn nút: thử lại · Esc hoặc giữ nút: mã khác", "", ""],
        en: ["Enter or a short press: try again · Esc or a long press: another code", "", ""]
    }
    /// What keys do.
    KeysRetry {
        vi: ["Enter hoặc bấm ngắn nút: thử lại ngay", "", ""],
        en: ["Enter or a short press: try again now", "", ""]
    }
    /// Branch of the fault tree.
    TroubleConnection {
        vi: ["Không kết nối", "", ""],
        en: ["No connection", "", ""]
    }
    /// Branch of the fault tree.
    TroublePicture {
        vi: ["Không có hình", "", ""],
        en: ["No picture", "", ""]
    }
    /// Branch of the fault tree.
    TroubleSound {
        vi: ["Không có tiếng", "", ""],
        en: ["No sound", "", ""]
    }
    /// No connection.
    FaultCableOut {
        vi: ["Chưa cắm cáp mạng.", "Cổng mạng của thiết bị không có tín hiệu.", "Cắm chặt cáp ở cả hai đầu; nếu vẫn không có tín hiệu, đổi cáp khác hoặc cổng khác của bộ định tuyến."],
        en: ["The network cable is not connected.", "There is no signal on the box's network socket.", "Push the cable in at both ends; if there is still no signal, take another cable or another socket of the router."]
    }
    /// No connection.
    FaultNoAddress {
        vi: ["Không nhận được địa chỉ mạng.", "Bộ định tuyến không cấp địa chỉ tự động (DHCP).", "Khởi động lại bộ định tuyến; hoặc cắm USB có tệp bridgepoint.txt ghi địa chỉ tĩnh."],
        en: ["No network address was given.", "The router gives no addresses by itself (DHCP).", "Restart the router; or plug in a USB stick whose file bridgepoint.txt has a static address."]
    }
    /// {0} line, {1} its text.
    FaultStick {
        vi: ["Tệp bridgepoint.txt, dòng {0} không đúng: “{1}”.", "Không dùng gì trong tệp này.", "Sửa tệp theo mẫu trong hướng dẫn (address, gateway, dns, code) rồi cắm lại USB."],
        en: ["File bridgepoint.txt, line {0} is wrong: “{1}”.", "Nothing of this file is used.", "Correct it as the guide shows (address, gateway, dns, code), then plug the stick in again."]
    }
    /// No connection.
    FaultNoClock {
        vi: ["Không lấy được giờ đúng.", "Mạng có thể chặn máy chủ giờ (NTP, cổng UDP 123).", "Nhờ người quản trị mạng mở NTP; thiết bị tự thử lại."],
        en: ["The right time is not to be had.", "The network may block time servers (NTP, UDP port 123).", "Ask the network's administrator to open NTP; the box tries again by itself."]
    }
    /// {0} seconds.
    FaultClockWrong {
        vi: ["Đồng hồ lệch {0} giây.", "Thiết bị đang chỉnh lại giờ.", "Đợi 1 phút; nếu vẫn lệch, tắt và bật lại thiết bị."],
        en: ["The clock is off by {0} seconds.", "The box is setting it.", "Wait for 1 minute; if it stays so, switch the box off and on."]
    }
    /// No connection.
    FaultCentreUnknown {
        vi: ["Không tìm được tên của trung tâm.", "Máy chủ tên miền (DNS) không trả lời, hoặc không biết tên này.", "Kiểm tra internet ở một máy khác; với địa chỉ tĩnh, kiểm tra mục dns trong tệp."],
        en: ["The centre's name is not found.", "The name server (DNS) does not answer, or does not know it.", "Try the internet on another device; with a static address, check dns in the file."]
    }
    /// No connection.
    FaultCentreSilent {
        vi: ["Trung tâm không trả lời.", "Đường internet có thể bị đứt, hoặc tường lửa chặn cổng ra.", "Kiểm tra internet ở một máy khác; nếu có, nhờ người quản trị mạng mở cổng TCP 8883, 8884."],
        en: ["The centre does not answer.", "The internet may be down, or a firewall blocks the way out.", "Try the internet on another device; if it works, ask the administrator to open TCP ports 8883 and 8884."]
    }
    /// No connection.
    FaultCentreForeign {
        vi: ["Một máy khác trả lời thay trung tâm.", "Chứng thư không phải của trung tâm; không gửi gì cả.", "Nhờ người quản trị mạng bỏ kiểm tra TLS cho thiết bị này; nếu không có, gọi bộ phận vận hành."],
        en: ["Another machine answers in the centre's place.", "Its certificate is not the centre's; nothing was sent.", "Ask the administrator to exempt this box from TLS inspection; if there is none, call the operators."]
    }
    /// No connection.
    FaultCentreRefused {
        vi: ["Kết nối đến trung tâm bị từ chối.", "Tường lửa chặn, hoặc trung tâm đang bảo trì.", "Đợi 5 phút; nếu vẫn lỗi, gọi bộ phận vận hành."],
        en: ["The connection to the centre was refused.", "A firewall blocks it, or the centre is being serviced.", "Wait for 5 minutes; if it stays so, call the operators."]
    }
    /// {0} characters typed.
    FaultCodeLength {
        vi: ["Mã mới có {0} ký tự.", "Mã đăng ký có 8 ký tự.", "Gõ đủ 8 ký tự rồi bấm Enter."],
        en: ["There are {0} characters so far.", "A code has 8.", "Type all 8, then press Enter."]
    }
    /// {0} character.
    FaultCodeCharacter {
        vi: ["Không mã nào có ký tự “{0}”.", "Mã chỉ có các số 2–9 và chữ cái không dấu, trừ I, L, O, U.", "Xem lại mã: có thể là một chữ khác; tắt bộ gõ tiếng Việt."],
        en: ["No code has the character “{0}”.", "Codes have the digits 2–9 and letters except I, L, O and U.", "Look at the code again: it may be another letter."]
    }
    /// No picture.
    FaultCameraMissing {
        vi: ["Không thấy camera.", "Không có hình nào đến từ camera.", "Cắm chặt cáp hình và nguồn của camera; đợi đèn trên camera sáng."],
        en: ["There is no camera.", "No picture comes from it.", "Push in the camera's video cable and power; wait for the camera's light."]
    }
    /// No picture.
    FaultPictureBlack {
        vi: ["Hình của camera đen hoàn toàn.", "Nắp ống kính còn đóng, hoặc camera đang tắt.", "Mở nắp ống kính; kiểm tra đèn trên camera."],
        en: ["The camera's picture is black.", "The lens cap is on, or the camera sleeps.", "Take the cap off; look at the camera's light."]
    }
    /// No picture.
    FaultPictureCovered {
        vi: ["Camera bị che.", "Hình chỉ có một màu: có vật ở trước ống kính, hoặc camera quay vào tường.", "Bỏ vật che, lau ống kính, quay camera về phía bàn."],
        en: ["The camera is covered.", "The picture has one colour: something is before the lens, or it faces a wall.", "Take it away, wipe the lens, turn the camera to the table."]
    }
    /// No picture.
    FaultPictureDark {
        vi: ["Phòng quá tối.", "Không nhìn rõ mặt người.", "Bật đèn, kéo rèm; không để cửa sổ sáng sau lưng người ngồi."],
        en: ["The room is too dark.", "Faces cannot be seen.", "Switch the lights on, open the curtains; have no bright window behind the people."]
    }
    /// No sound.
    FaultMicrophoneMissing {
        vi: ["Không thấy micro.", "Thiết bị không có tiếng nào để gửi.", "Cắm chặt cáp của dàn micro."],
        en: ["There is no microphone.", "The box has no sound to send.", "Push in the cable of the microphone array."]
    }
    /// No sound: {0} channel, from 1.
    FaultMicrophoneSilent {
        vi: ["Micro {0} hoàn toàn im lặng.", "Kênh này hỏng, bị tắt, hoặc chưa cắm.", "Kiểm tra cáp và công tắc của micro {0}; nếu vẫn im, đổi micro."],
        en: ["Microphone {0} is completely silent.", "This channel is broken, switched off or not connected.", "Check the cable and the switch of microphone {0}; if it stays silent, exchange it."]
    }
    /// No sound: {0} channel, from 1.
    FaultMicrophoneQuiet {
        vi: ["Micro {0} nghe quá nhỏ.", "Người ở xa sẽ không nghe rõ.", "Nói bình thường ở chỗ của người dân; đặt micro gần hơn, bỏ vật che."],
        en: ["Microphone {0} hears too little.", "Others would not understand the citizen.", "Speak normally where the citizen sits; put the microphone nearer, uncover it."]
    }
    /// No sound: {0} channel, from 1.
    FaultMicrophoneClipped {
        vi: ["Micro {0} bị quá to.", "Tiếng bị vỡ.", "Đặt micro xa loa và người nói hơn, hoặc giảm mức thu trên dàn micro."],
        en: ["Microphone {0} is too loud.", "Its sound is distorted.", "Move it away from the loudspeaker and the speaker, or turn down the array's gain."]
    }
    /// No picture.
    FaultEncoderMissing {
        vi: ["Bộ mã hoá không cho hình.", "Thiết bị không gửi được hình.", "Tắt thiết bị, đợi 10 giây, bật lại; nếu vẫn lỗi, gọi bộ phận vận hành để đổi thiết bị."],
        en: ["The encoder delivers nothing.", "The box cannot send a picture.", "Switch the box off, wait for 10 seconds, switch it on; if it stays so, ask the operators to exchange it."]
    }
    /// {0} pictures out, {1} pictures in.
    FaultEncoderSlow {
        vi: ["Bộ mã hoá chỉ kịp {0} trong {1} hình.", "Hình sẽ bị giật.", "Để thoáng khe tản nhiệt; thiết bị tự thử lại. Nếu vẫn lỗi, gọi bộ phận vận hành."],
        en: ["The encoder managed {0} of {1} pictures.", "The picture would stutter.", "Clear the vents; the box tries again. If it stays so, call the operators."]
    }
    /// No connection.
    FaultLineBroke {
        vi: ["Đường truyền bị ngắt khi đang đo.", "Một phiên cũng sẽ bị ngắt như vậy.", "Kiểm tra cáp và bộ định tuyến; thiết bị tự đo lại sau 1 phút."],
        en: ["The line broke while it was measured.", "A session would break in the same way.", "Check cable and router; the box measures again after 1 minute."]
    }
    /// {0} up, {1} down, {2} up needed, {3} down needed, kbit/s.
    FaultLineSlow {
        vi: ["Đường truyền quá chậm: gửi {0}, nhận {1} kbit/s.", "Cần gửi {2}, nhận {3} kbit/s.", "Ngắt các máy khác khỏi mạng và đo lại; nếu vẫn chậm, báo nhà mạng."],
        en: ["The line is too slow: {0} up, {1} down, kbit/s.", "Needed: {2} up, {3} down.", "Take other devices off the line and measure again; if it stays slow, tell the provider."]
    }
    /// {0} percent.
    FaultLineLossy {
        vi: ["Đường truyền mất {0} % gói tin.", "Hình và tiếng sẽ bị ngắt quãng.", "Dùng cáp thay cho Wi-Fi giữa các thiết bị mạng; nếu vẫn mất, báo nhà mạng."],
        en: ["The line loses {0} % of the packets.", "Picture and sound would be interrupted.", "Use cables, not Wi-Fi, between the network's devices; if it stays so, tell the provider."]
    }
    /// No connection.
    FaultCallBroke {
        vi: ["Cuộc gọi thử không thành.", "Mạng có thể chặn UDP.", "Nhờ người quản trị mạng mở UDP ra ngoài; thiết bị tự gọi lại."],
        en: ["The test call failed.", "The network may block UDP.", "Ask the administrator to open UDP to the outside; the box calls again by itself."]
    }
    /// No picture.
    FaultCallNoPicture {
        vi: ["Gọi thử: hình không trở về đủ.", "Đường truyền nghẽn, hoặc hình không được gửi.", "Ngắt các máy khác khỏi mạng; thiết bị tự gọi lại."],
        en: ["Test call: too little picture came back.", "The line is congested, or no picture was sent.", "Take other devices off the line; the box calls again by itself."]
    }
    /// No sound.
    FaultCallNoSound {
        vi: ["Gọi thử: tiếng không trở về đủ.", "Hình có trở về; tiếng thì không.", "Kiểm tra micro có bị tắt không; thiết bị tự gọi lại."],
        en: ["Test call: too little sound came back.", "The picture did come back.", "See whether the microphone is muted; the box calls again by itself."]
    }
    /// {0} milliseconds.
    FaultCallLate {
        vi: ["Gọi thử: hình và tiếng về trễ {0} ms.", "Nói chuyện sẽ khó khăn.", "Ngắt các máy khác khỏi mạng; nếu vẫn trễ, báo nhà mạng."],
        en: ["Test call: picture and sound came {0} ms late.", "A conversation would be hard.", "Take other devices off the line; if it stays so, tell the provider."]
    }
    /// No recording.
    FaultRecordingFailed {
        vi: ["Không ghi được đoạn thử.", "Bản ghi của phiên cũng sẽ không đủ.", "Thiết bị tự thử lại; nếu vẫn lỗi, gọi bộ phận vận hành để kiểm tra ổ đĩa."],
        en: ["The test recording failed.", "A session's record would not be complete either.", "The box tries again; if it stays so, have the operators check the disk."]
    }
    /// A person said that it was not good.
    FaultPlaybackDenied {
        vi: ["Bạn đã báo hình hoặc tiếng không rõ.", "", "Kiểm tra cáp màn hình, âm lượng loa, chỗ đặt micro; rồi bấm Enter để ghi lại."],
        en: ["You said that picture or sound was not good.", "", "Check the screen's cable, the loudspeaker's volume, the microphone's place; then press Enter to record again."]
    }
    /// A part of the box gave no answer.
    FaultNoAnswer {
        vi: ["Bước này không có kết quả.", "Một phần của thiết bị không trả lời.", "Thiết bị tự thử lại; nếu lặp lại, tắt, đợi 10 giây rồi bật lại thiết bị."],
        en: ["This step came to no result.", "A part of the box does not answer.", "The box tries again; if it repeats, switch it off, wait for 10 seconds, switch it on."]
    }
    /// Screen of an idle box: {0} site's code.
    IdleSite {
        vi: ["Điểm cầu tiếp công dân trực tuyến · {0}", "", ""],
        en: ["Online citizen reception · site {0}", "", ""]
    }
    /// Screen of an idle box: label of the next session.
    IdleNext {
        vi: ["Phiên tới", "", ""],
        en: ["Next session", "", ""]
    }
    /// Screen of an idle box: no session is planned.
    IdleNoNext {
        vi: ["Chưa có lịch.", "", ""],
        en: ["None is planned.", "", ""]
    }
    /// Screen of an idle box: label of the lamps.
    IdleLamps {
        vi: ["Đèn trên thiết bị", "", ""],
        en: ["The box's lamps", "", ""]
    }
    /// Green lamp lit.
    LampReady {
        vi: ["Xanh: sẵn sàng", "", ""],
        en: ["Green: ready", "", ""]
    }
    /// Green lamp blinks slowly.
    LampCalling {
        vi: ["Xanh nháy chậm: đang gọi", "", ""],
        en: ["Green, slow blinking: calling", "", ""]
    }
    /// Green lamp dark.
    LampAlone {
        vi: ["Xanh tắt: chưa có trung tâm", "", ""],
        en: ["Green dark: no centre yet", "", ""]
    }
    /// Red lamp lit.
    LampRecord {
        vi: ["Đỏ: đang ghi hình", "", ""],
        en: ["Red: on record", "", ""]
    }
    /// Amber lamp lit.
    LampMuted {
        vi: ["Vàng: micro đang tắt", "", ""],
        en: ["Amber: microphone muted", "", ""]
    }
    /// Screen of an idle box.
    IdleReady {
        vi: ["Sẵn sàng.", "", "Giữ nút 1,5 giây để gọi."],
        en: ["Ready.", "", "Hold the button for 1.5 seconds to call."]
    }
    /// Screen of an idle box.
    IdleCalling {
        vi: ["Đang gọi…", "", "Đợi trung tâm trả lời."],
        en: ["Calling…", "", "Wait for the centre's answer."]
    }
    /// Screen of an idle box.
    IdleAlone {
        vi: ["Chưa liên lạc được với trung tâm.", "", "Đợi; thiết bị tự kết nối lại. Nếu quá 5 phút, kiểm tra cáp mạng."],
        en: ["The centre cannot be reached.", "", "Wait; the box connects again by itself. After 5 minutes, check the network cable."]
    }
    /// Screen of a box: title of a refused press.
    RefusedTitle {
        vi: ["Không thực hiện được", "", ""],
        en: ["This is not possible now", "", ""]
    }
    /// Screen of a box that cannot work: title of the reason.
    StoppedTitle {
        vi: ["Thiết bị không hoạt động được", "", ""],
        en: ["The box cannot work", "", ""]
    }
    /// Screen of a box held at its button at boot.
    ResetTitle {
        vi: ["Khôi phục cài đặt gốc", "", ""],
        en: ["Factory reset", "", ""]
    }
    /// {0} seconds.
    ResetCounting {
        vi: ["Còn {0} giây.", "Danh tính và khoá của thiết bị sẽ bị xoá; bản ghi được giữ lại.", "Thả nút ngay để huỷ; giữ tiếp để khôi phục."],
        en: ["{0} seconds left.", "The box's identity and keys will be erased; records are kept.", "Let go now to cancel; hold on to reset."]
    }
    /// The button was held long enough.
    ResetLetGo {
        vi: ["Thả nút để khôi phục.", "Giữ quá 1 phút: không có gì xảy ra.", "Thả nút."],
        en: ["Let go to reset the box.", "Held for more than 1 minute: nothing happens.", "Let go of the button."]
    }
    /// The reset is done.
    ResetDone {
        vi: ["Đã khôi phục cài đặt gốc.", "Thiết bị chưa được đăng ký.", "Đợi thiết bị khởi động, rồi đăng ký lại."],
        en: ["The box is reset.", "It is not enrolled any more.", "Wait for it to start, then enrol it again."]
    }
    /// Label of the list of checks in the fault tree.
    FaultChecks {
        vi: ["Đã kiểm tra", "", ""],
        en: ["What was checked", "", ""]
    }
    /// No picture.
    FaultPictureFrozen {
        vi: ["Hình của camera đứng yên.", "Camera gửi mãi một hình: nó bị treo.", "Rút nguồn camera, đợi 10 giây, cắm lại."],
        en: ["The camera's picture stands still.", "It sends one picture for ever: it hangs.", "Unplug the camera's power, wait for 10 s, plug it in again."]
    }
    /// {0} file or folder, {1} the system's reason.
    ScreenFonts {
        vi: ["Không dùng được phông chữ cho màn hình: {0}: {1}.", "Không có phông chữ, màn hình không hướng dẫn được kỹ thuật viên.", "Cài gói fonts-noto-core, hoặc đặt screen.regular và screen.bold trong agent.toml."],
        en: ["The screen's fonts cannot be used: {0}: {1}.", "Without them the screen cannot lead a technician.", "Install the package fonts-noto-core, or set screen.regular and screen.bold in agent.toml."]
    }
}

impl Text {
    /// The key of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The whole text with its places filled: what happened, what it means, what to do, each on its line.
    pub fn fill(self, lang: Lang, places: &[&str]) -> String {
        let Message { what, means, cure } = self.message(lang);
        let mut text = String::from(what);
        for part in [means, cure].into_iter().filter(|part| !part.is_empty()) {
            text = format!("{text}\n{part}");
        }
        for (n, place) in places.iter().enumerate() {
            text = text.replace(&format!("{{{n}}}"), place);
        }
        text
    }

    /// Both languages, Vietnamese first: what a program prints before it ends.
    pub fn both(self, places: &[&str]) -> String {
        format!("{}\n\n{}", self.fill(Lang::Vi, places), self.fill(Lang::En, places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn places(message: Message) -> Vec<usize> {
        let all = format!("{} {} {}", message.what, message.means, message.cure);
        (0..10).filter(|n| all.contains(&format!("{{{n}}}"))).collect()
    }

    #[test]
    fn both_languages_are_complete_and_have_the_same_places() {
        for key in Text::ALL {
            let (vi, en) = (key.message(Lang::Vi), key.message(Lang::En));
            assert!(!vi.what.is_empty() && !en.what.is_empty(), "{key:?}");
            assert_eq!(vi.means.is_empty(), en.means.is_empty(), "{key:?}");
            assert_eq!(vi.cure.is_empty(), en.cure.is_empty(), "{key:?}");
            assert_eq!(places(vi), places(en), "{key:?}");
            assert_eq!(Text::by_name(key.name()), Some(*key));
        }
    }
}
