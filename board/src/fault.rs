//! What a person has to correct in a file: which file, which key, what is wrong, what to do.

use std::fmt;
use std::path::PathBuf;

use bridgepoint_wire::text::{Lang, Text};

/// Something that a person has to correct in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Which key, such as `camera.video`; the line for a file that is no TOML.
    pub key: String,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The file cannot be read.
    Unreadable {
        /// The system's reason.
        reason: String,
    },
    /// The file is no TOML.
    Syntax {
        /// The parser's reason.
        reason: String,
    },
    /// No such key exists.
    Unknown {
        /// The keys that exist beside it.
        known: Vec<&'static str>,
    },
    /// The key must be there.
    Missing {
        /// A value that would do, as TOML.
        example: &'static str,
    },
    /// The value does not fit.
    Wrong {
        /// What came.
        got: String,
        /// A value that would do, as TOML.
        example: &'static str,
    },
    /// The number is out of its range, both ends of which are allowed.
    Range {
        /// What came.
        got: i64,
        /// The smallest that does.
        from: i64,
        /// The largest that does.
        to: i64,
    },
    /// The word is none of those that this build knows.
    Choice {
        /// What came.
        got: String,
        /// The words that do.
        of: Vec<&'static str>,
    },
    /// Two keys name one thing that only one of them can have.
    UsedTwice {
        /// The thing.
        what: Resource,
        /// The key that has it already; with its file when that is another one.
        other: String,
    },
    /// The list names hardware only: without it the box would be useless.
    NoFallback {
        /// The software elements of which one must be in the list.
        of: &'static [&'static str],
    },
    /// The board that is inherited from has this very value: an override that overrides nothing misleads its reader.
    SameAsParent {
        /// That board.
        parent: String,
    },
    /// No such board lies beside this one.
    NoBoard {
        /// What came.
        got: String,
        /// The boards that do.
        known: Vec<String>,
    },
    /// Boards inherit from each other in a circle.
    Circle {
        /// The boards in the order in which they were met, the first one again at the end.
        boards: Vec<String>,
    },
    /// The value names a device that does not exist.
    NoDevice {
        /// Its path.
        device: String,
    },
}

/// What only one key may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A file under `/dev`.
    Device(PathBuf),
    /// A line of the panel's GPIO chip or expander.
    Line(u16),
    /// A channel of an ALSA device, counted from 0.
    Channel {
        /// The device.
        device: String,
        /// Which of its channels.
        channel: u8,
    },
    /// A GStreamer element.
    Element(String),
    /// An LED of the kernel.
    Led(String),
}

impl Resource {
    fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Device(path), Lang::Vi) => format!("thiết bị {}", path.display()),
            (Self::Device(path), Lang::En) => format!("device {}", path.display()),
            (Self::Line(line), Lang::Vi) => format!("chân tín hiệu {line}"),
            (Self::Line(line), Lang::En) => format!("line {line}"),
            (Self::Channel { device, channel }, Lang::Vi) => format!("kênh {channel} của {device}"),
            (Self::Channel { device, channel }, Lang::En) => format!("channel {channel} of {device}"),
            (Self::Element(name), Lang::Vi) => format!("phần tử {name}"),
            (Self::Element(name), Lang::En) => format!("element {name}"),
            (Self::Led(name), Lang::Vi) => format!("đèn LED {name}"),
            (Self::Led(name), Lang::En) => format!("LED {name}"),
        }
    }
}

impl Fault {
    fn what(&self, lang: Lang) -> String {
        match (&self.kind, lang) {
            (FaultKind::Unreadable { reason }, Lang::Vi) => format!("không đọc được tệp ({reason})"),
            (FaultKind::Unreadable { reason }, Lang::En) => format!("the file cannot be read ({reason})"),
            (FaultKind::Syntax { reason }, Lang::Vi) => format!("sai cú pháp TOML ({reason})"),
            (FaultKind::Syntax { reason }, Lang::En) => format!("this is not TOML ({reason})"),
            (FaultKind::Unknown { .. }, Lang::Vi) => "không có khoá này".into(),
            (FaultKind::Unknown { .. }, Lang::En) => "there is no such key".into(),
            (FaultKind::Missing { .. }, Lang::Vi) => "thiếu khoá này".into(),
            (FaultKind::Missing { .. }, Lang::En) => "the key is missing".into(),
            (FaultKind::Wrong { got, .. } | FaultKind::Choice { got, .. }, Lang::Vi) => {
                format!("giá trị {got} không hợp lệ")
            }
            (FaultKind::Wrong { got, .. } | FaultKind::Choice { got, .. }, Lang::En) => format!("{got} does not fit"),
            (FaultKind::Range { got, from, to }, Lang::Vi) => format!("{got} nằm ngoài khoảng {from} đến {to}"),
            (FaultKind::Range { got, from, to }, Lang::En) => format!("{got} is not between {from} and {to}"),
            (FaultKind::UsedTwice { what, other }, Lang::Vi) => {
                format!("{} đã được dùng ở mục {other}", what.text(lang))
            }
            (FaultKind::UsedTwice { what, other }, Lang::En) => {
                format!("{} is used by the key {other} already", what.text(lang))
            }
            (FaultKind::NoFallback { .. }, Lang::Vi) => "thiếu phần tử phần mềm dự phòng".into(),
            (FaultKind::NoFallback { .. }, Lang::En) => "no software element to fall back to is named".into(),
            (FaultKind::SameAsParent { parent }, Lang::Vi) => format!("bo mạch {parent} đã có đúng giá trị này"),
            (FaultKind::SameAsParent { parent }, Lang::En) => format!("the board {parent} has this very value"),
            (FaultKind::NoBoard { got, .. }, Lang::Vi) => format!("không có bo mạch “{got}”"),
            (FaultKind::NoBoard { got, .. }, Lang::En) => format!("there is no board “{got}”"),
            (FaultKind::Circle { boards }, Lang::Vi) => {
                format!("các bo mạch kế thừa vòng tròn: {}", boards.join(" → "))
            }
            (FaultKind::Circle { boards }, Lang::En) => {
                format!("boards inherit from each other in a circle: {}", boards.join(" → "))
            }
            (FaultKind::NoDevice { device }, Lang::Vi) => format!("không có thiết bị {device}"),
            (FaultKind::NoDevice { device }, Lang::En) => format!("there is no device {device}"),
        }
    }

    fn cure(&self, lang: Lang) -> String {
        match (&self.kind, lang) {
            (FaultKind::Unreadable { .. }, Lang::Vi) => "Kiểm tra đường dẫn và quyền đọc".into(),
            (FaultKind::Unreadable { .. }, Lang::En) => "Check the path and the permission to read it".into(),
            (FaultKind::Syntax { .. }, Lang::Vi) => "Sửa dòng này".into(),
            (FaultKind::Syntax { .. }, Lang::En) => "Correct this line".into(),
            (FaultKind::Unknown { known }, Lang::Vi) => format!("Xoá hoặc dùng một trong: {}", known.join(", ")),
            (FaultKind::Unknown { known }, Lang::En) => format!("Remove it, or use one of: {}", known.join(", ")),
            (FaultKind::Missing { example } | FaultKind::Wrong { example, .. }, Lang::Vi) => {
                format!("Ghi, ví dụ: {} = {example}", self.key)
            }
            (FaultKind::Missing { example } | FaultKind::Wrong { example, .. }, Lang::En) => {
                format!("Write, for example: {} = {example}", self.key)
            }
            (FaultKind::Range { from, to, .. }, Lang::Vi) => format!("Ghi một số từ {from} đến {to}"),
            (FaultKind::Range { from, to, .. }, Lang::En) => format!("Write a number from {from} to {to}"),
            (FaultKind::Choice { of, .. }, Lang::Vi) => format!("Dùng một trong: {}", of.join(", ")),
            (FaultKind::Choice { of, .. }, Lang::En) => format!("Use one of: {}", of.join(", ")),
            (FaultKind::UsedTwice { other, .. }, Lang::Vi) => {
                format!("Xem sơ đồ đấu dây, rồi sửa {} hoặc {other}", self.key)
            }
            (FaultKind::UsedTwice { other, .. }, Lang::En) => {
                format!("Look at the wiring, then correct {} or {other}", self.key)
            }
            (FaultKind::NoFallback { of }, Lang::Vi) => format!("Thêm vào cuối danh sách: {}", of.join(" / ")),
            (FaultKind::NoFallback { of }, Lang::En) => format!("Add at the list's end: {}", of.join(" or ")),
            (FaultKind::SameAsParent { .. }, Lang::Vi) => "Xoá khoá này ở đây".into(),
            (FaultKind::SameAsParent { .. }, Lang::En) => "Remove the key here".into(),
            (FaultKind::NoBoard { known, .. }, Lang::Vi) => format!("Dùng một trong: {}", known.join(", ")),
            (FaultKind::NoBoard { known, .. }, Lang::En) => format!("Use one of: {}", known.join(", ")),
            (FaultKind::Circle { .. }, Lang::Vi) => "Xoá một trong các khoá inherit".into(),
            (FaultKind::Circle { .. }, Lang::En) => "Remove one of these inherit keys".into(),
            (FaultKind::NoDevice { .. }, Lang::Vi) => "Cắm thiết bị, hoặc sửa tên".into(),
            (FaultKind::NoDevice { .. }, Lang::En) => "Connect the device, or correct its name".into(),
        }
    }

    /// What happened, what it means, what to do.
    pub fn text(&self, lang: Lang) -> String {
        let file = self.file.display().to_string();
        match &self.kind {
            FaultKind::NoDevice { device } => Text::BoardDeviceMissing.fill(lang, &[&file, &self.key, device]),
            _ => Text::ConfigBad.fill(lang, &[&file, &self.key, &self.what(lang), &self.cure(lang)]),
        }
    }
}

/// All faults of a start, in the order in which they were met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    /// Both languages, Vietnamese first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Lang::Vi, Lang::En]
            .map(|lang| self.0.iter().map(|fault| fault.text(lang)).collect::<Vec<_>>().join("\n\n"));
        f.write_str(&all.join("\n\n"))
    }
}
