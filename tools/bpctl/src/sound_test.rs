//! `bpctl site sound-test`: the box listens to its own loudspeaker.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use bridgepoint_wire::text::{self, Text};
use serde_json::{Value, json};

use crate::api::Api;
use crate::show::{Lang, table, text as shown};

/// Two seconds of sound, what comes before and after it, and an event's way.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Lets a site's box test its sound; returns what came of it, as the box said it.
pub fn run(api: &Api, code: &str, install: bool, lang: Lang) -> anyhow::Result<Value> {
    let newest = || -> anyhow::Result<Value> { Ok(api.get(&format!("/api/sites/{code}/sound-tests"))?[0].clone()) };
    let before = newest()?;
    api.post(&format!("/api/sites/{code}/sound-test"), &json!({ "install": install }))?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let now = newest()?;
        if now != before {
            return Ok(now);
        }
        sleep(LOOK_EVERY);
    }
    bail!(
        "{}",
        lang.pick(
            "thiết bị đã bắt đầu kiểm tra nhưng chưa báo kết quả: có thể một phiên vừa bắt đầu, hoặc mất kết nối",
            "the box began the test and has not said what came of it: a session may have begun, or its line is down",
        )
    );
}

/// For people: what the box says, then its figures.
pub fn show(record: &Value, lang: Lang) -> String {
    let test = &record["event"]["SoundTested"];
    let language = match lang {
        Lang::Vi => text::Lang::Vi,
        Lang::En => text::Lang::En,
    };
    let sentence = |said: &Value| {
        let details: Vec<String> = said["details"].as_array().into_iter().flatten().map(shown).collect();
        let places: Vec<&str> = details.iter().map(String::as_str).collect();
        let text = Text::by_name(said["text"].as_str().unwrap_or_default());
        text.map_or_else(|| shown(&said["text"]), |text| text.fill(language, &places))
    };
    let mut lines: Vec<String> = test["said"].as_array().into_iter().flatten().map(sentence).collect();
    if test["kept"] == true {
        let kept = lang.pick(
            "Các giá trị này được giữ làm mốc so sánh (ngày lắp đặt).",
            "These values are kept: later tests are compared with them (day of installation).",
        );
        lines.push(kept.to_owned());
    }
    let head = match lang {
        Lang::Vi => ["MICRO", "MỨC (dBFS)", "TRỄ (ms)", "SUY HAO TIẾNG VỌNG (dB)", "TRÊN NỀN ỒN (dB)"],
        Lang::En => ["MICROPHONE", "LEVEL (dBFS)", "DELAY (ms)", "ECHO RETURN LOSS (dB)", "ABOVE NOISE (dB)"],
    };
    let row = |one: &Value| {
        let channel = one["channel"].as_u64().map_or("-".into(), |channel| (channel + 1).to_string());
        let figures = ["level_dbfs", "delay_ms", "erl_db", "snr_db"].map(|key| shown(&one[key]));
        [channel].into_iter().chain(figures).collect::<Vec<_>>()
    };
    let rows = test["microphones"].as_array().into_iter().flatten().map(row).collect();
    format!("{}\n\n{}", lines.join("\n\n"), table(&head, rows))
}
