//! Tables for people.

use clap::ValueEnum;
use serde_json::Value;

/// Language of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Tiếng Việt.
    Vi,
    /// English.
    En,
}

impl Lang {
    /// One of the two.
    pub const fn pick<'a>(self, vi: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Vi => vi,
            Self::En => en,
        }
    }
}

/// All sites, and how every box is.
pub fn sites(sites: &Value, lang: Lang) -> String {
    let head = match lang {
        Lang::Vi => [
            "MÃ",
            "TÊN",
            "TRẠNG THÁI",
            "TUỔI (s)",
            "ĐƯỜNG TRUYỀN",
            "HÌNH/s",
            "MIC (dB)",
            "CPU (%)",
            "ĐĨA (%)",
            "GIỜ (ms)",
            "PHIÊN BẢN",
            "PHIÊN",
        ],
        Lang::En => [
            "CODE",
            "NAME",
            "STATE",
            "AGE (s)",
            "LINK",
            "FPS",
            "MIC (dB)",
            "CPU (%)",
            "DISK (%)",
            "CLOCK (ms)",
            "VERSION",
            "SESSION",
        ],
    };
    let row = |site: &Value| {
        let health = &site["health"];
        let link = match health["link"]["up"].as_bool() {
            Some(true) => lang.pick("tốt", "up").to_owned(),
            Some(false) => lang.pick("mất", "down").to_owned(),
            None => "-".to_owned(),
        };
        vec![
            text(&site["code"]),
            text(&site["name"]),
            state(site, lang),
            site["age_ms"].as_f64().map_or("-".into(), |age| format!("{:.1}", age / 1_000.0)),
            link,
            number(&health["encoder_fps"]),
            number(&health["mic_dbfs"]),
            number(&health["cpu_percent"]),
            number(&health["disk_used_percent"]),
            text(&health["clock_offset_ms"]),
            text(&site["version"]),
            text(&site["session"]),
        ]
    };
    table(&head, rows(sites, row))
}

/// Sessions.
pub fn sessions(sessions: &Value, lang: Lang) -> String {
    let head = match lang {
        Lang::Vi => ["PHIÊN", "TRẠNG THÁI", "GHI HÌNH", "BẮT ĐẦU BỞI", "ĐIỂM CẦU", "KIỂM CHỨNG"],
        Lang::En => ["SESSION", "STATE", "ON RECORD", "STARTED BY", "SITES", "VERIFIED"],
    };
    let row = |session: &Value| {
        let sites = session["sites"].as_array().into_iter().flatten();
        let by = &session["started_by"];
        vec![
            text(&session["id"]),
            session_state(session, lang),
            yes(&session["on_record"], lang),
            format!("{} {}", text(&by["kind"]), text(&by["who"])),
            sites.map(|site| text(&site["code"])).collect::<Vec<_>>().join(" "),
            text(&session["verify"]),
        ]
    };
    table(&head, rows(sessions, row))
}

/// One session and its sites.
pub fn session(session: &Value, lang: Lang) -> String {
    let head = match lang {
        Lang::Vi => ["MÃ", "TÊN", "KẾT NỐI", "TẮT MIC", "MỨC (dB)", "HÌNH/s"],
        Lang::En => ["CODE", "NAME", "UP", "MUTED", "LEVEL (dB)", "FPS"],
    };
    let row = |site: &Value| {
        vec![
            text(&site["code"]),
            text(&site["name"]),
            yes(&site["up"], lang),
            yes(&site["muted"], lang),
            number(&site["dbfs"]),
            number(&site["fps"]),
        ]
    };
    let one = Value::Array(vec![session.clone()]);
    format!(
        "{}\n\n{}\n\n{}",
        sessions(&one, lang),
        table(&head, rows(&session["sites"], row)),
        text(&session["archive"])
    )
}

/// Ended sessions.
pub fn records(records: &Value, lang: Lang) -> String {
    let head = match lang {
        Lang::Vi => ["PHIÊN", "SỐ TỆP", "DUNG LƯỢNG (MB)", "KIỂM CHỨNG", "THƯ MỤC"],
        Lang::En => ["SESSION", "FILES", "SIZE (MB)", "VERIFIED", "FOLDER"],
    };
    let row = |record: &Value| {
        let files = record["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let bytes: f64 = files.iter().filter_map(|file| file["bytes"].as_f64()).sum();
        vec![
            text(&record["id"]),
            files.len().to_string(),
            format!("{:.1}", bytes / 1e6),
            text(&record["verify"]),
            text(&record["archive"]),
        ]
    };
    table(&head, rows(records, row))
}

/// A commissioning report.
pub fn report(record: &Value, lang: Lang) -> String {
    let report = &record["report"];
    let proofs = &report["proofs"];
    let of = |value: &Value, unit: &str| format!("{} {unit}", text(value));
    let occasion = match &report["occasion"] {
        Value::Object(fields) => {
            let said: Vec<_> = fields.iter().map(|(kind, of)| format!("{kind} {of}")).collect();
            said.join(" ")
        }
        other => text(other),
    };
    let channels = proofs["sound"].as_array().into_iter().flatten();
    let channels: Vec<_> =
        channels.map(|heard| format!("{} (max {}) dBFS", text(&heard["dbfs"]), text(&heard["peak_dbfs"]))).collect();
    let (picture, encoder) = (&proofs["picture"], &proofs["encoder"]);
    let (line, call, playback) = (&proofs["line"], &proofs["call"], &proofs["playback"]);
    let loss = line["loss_permille"].as_f64().map_or("-".into(), |permille| format!("{:.1} %", permille / 10.0));
    let rows = [
        (["Điểm cầu", "Site"], text(&report["site"])),
        (["Thiết bị", "Box"], format!("{} ({})", text(&report["appliance"]), text(&report["serial"]))),
        (["Lý do", "Occasion"], occasion),
        (["Phiên bản", "Version"], text(&report["version"])),
        (["Thời gian lắp đặt", "It took"], of(&report["took_s"], "s")),
        (["Số lần lỗi", "Failures"], text(&report["failures"])),
        (
            ["Địa chỉ", "Address"],
            format!("{} ({})", text(&proofs["address"]["address"]), text(&proofs["address"]["how"])),
        ),
        (["Lệch giờ", "Clock"], of(&proofs["clock_offset_ms"], "ms")),
        (["Tới trung tâm", "To the centre"], of(&proofs["centre_rtt_ms"], "ms")),
        (["Mã đăng ký từ", "Code from"], text(&proofs["code_from"])),
        (["Hình", "Picture"], format!("{} ± {}", text(&picture["mean"]), text(&picture["spread"]))),
        (["Micro", "Microphones"], channels.join(", ")),
        (
            ["Mã hoá", "Encoder"],
            format!("{} {}/{}", text(&encoder["name"]), text(&encoder["pictures_out"]), text(&encoder["pictures_in"])),
        ),
        (
            ["Đường truyền", "Line"],
            format!(
                "↑ {} ↓ {} kbit/s, {loss}, {} ms, 2 × {} s",
                text(&line["up_kbps"]),
                text(&line["down_kbps"]),
                text(&line["rtt_ms"]),
                text(&line["seconds"])
            ),
        ),
        (
            ["Gọi thử", "Test call"],
            format!(
                "{} + {} ({} s), {} ms",
                text(&call["pictures"]),
                text(&call["sounds"]),
                text(&call["seconds"]),
                text(&call["delay_ms"])
            ),
        ),
        (
            ["Ghi và phát lại", "Recorded and played"],
            format!("{} ms, {} B", text(&playback["recorded_ms"]), text(&playback["bytes"])),
        ),
    ];
    let head = [lang.pick("BIÊN BẢN LẮP ĐẶT", "COMMISSIONING REPORT"), ""];
    table(&head, rows.into_iter().map(|([vi, en], value)| vec![lang.pick(vi, en).to_owned(), value]).collect())
}

/// Everything of one thing, a line each.
pub fn one(value: &Value) -> String {
    let mut lines = Vec::new();
    flatten("", value, &mut lines);
    let width = lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(key, value)| format!("{key:width$}  {value}")).collect::<Vec<_>>().join("\n")
}

fn flatten(prefix: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, lines);
            }
        }
        Value::Array(items) => {
            lines.push((prefix.to_owned(), items.iter().map(text).collect::<Vec<_>>().join(" ")));
        }
        other => lines.push((prefix.to_owned(), text(other))),
    }
}

/// A row for each.
pub fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

/// Columns under their heads.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![head.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>()];
    all.extend(rows);
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A value without quotation marks.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(value: &Value) -> String {
    value.as_f64().map_or("-".into(), |number| format!("{number:.1}"))
}

fn yes(value: &Value, lang: Lang) -> String {
    match value.as_bool() {
        Some(true) => lang.pick("có", "yes").to_owned(),
        Some(false) => lang.pick("không", "no").to_owned(),
        None => "-".to_owned(),
    }
}

fn state(site: &Value, lang: Lang) -> String {
    match site["state"].as_str() {
        Some("online") => lang.pick("trực tuyến", "online").to_owned(),
        Some("lost") => lang.pick("mất kết nối", "lost").to_owned(),
        Some("never") => lang.pick("chưa có", "never").to_owned(),
        _ => text(&site["state"]),
    }
}

fn session_state(session: &Value, lang: Lang) -> String {
    match session["state"].as_str() {
        Some("starting") => lang.pick("đang bắt đầu", "starting").to_owned(),
        Some("running") => lang.pick("đang chạy", "running").to_owned(),
        Some("ended") => lang.pick("đã kết thúc", "ended").to_owned(),
        _ => text(&session["state"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_in_vietnamese() {
        let list = json!([
            { "code": "17611", "name": "Tri Lễ", "state": "online", "calls": ["16681"] },
            { "code": "1", "name": "Trung tâm tỉnh", "state": "lost", "calls": [] },
        ]);
        let text = sites(&list, Lang::Vi);
        let lines: Vec<&str> = text.lines().collect();
        let at = |line: &str, word: &str| line.find(word).map(|at| line[..at].chars().count());
        assert_eq!(at(lines[1], "trực tuyến"), at(lines[0], "TRẠNG THÁI"));
        assert_eq!(at(lines[2], "mất kết nối"), at(lines[0], "TRẠNG THÁI"));
    }

    #[test]
    fn what_is_not_measured_is_a_dash_and_never_zero() {
        let list = json!([{ "code": "1", "name": "A", "state": "online", "health": { "cpu_percent": 3.25 } }]);
        let text = sites(&list, Lang::En);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["1", "A", "online", "-", "-", "-", "-", "3.2", "-", "-", "-", "-"]);
    }
}
