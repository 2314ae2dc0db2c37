//! `bpctl plan`: what the idle screens of boxes say of the sessions to come.

use anyhow::Context as _;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::api::Api;
use crate::show::{Lang, rows, table, text};

/// What is done.
#[derive(clap::Subcommand)]
pub enum What {
    /// Sessions that are planned, the earliest first.
    List,
    /// Plan a session.
    Add {
        /// When: `2026-12-03 08:00` in Vietnam's time, or with seconds and zone as in RFC 3339.
        at: String,
        /// What it is called.
        title: String,
        /// Codes of its sites.
        #[arg(required = true)]
        codes: Vec<String>,
    },
    /// Take a session out of the plan.
    Remove {
        /// Its number.
        number: u64,
    },
}

/// Does it.
pub fn run(api: &Api, what: &What, lang: Lang) -> anyhow::Result<(Value, String)> {
    Ok(match what {
        What::List => {
            let planned = api.get("/api/planned")?;
            let shown = shown(&planned, lang);
            (planned, shown)
        }
        What::Add { at, title, codes } => {
            let body = json!({ "at_ms": at_ms(at, lang)?, "title": title, "sites": codes });
            let made = api.post("/api/planned", &body)?;
            let number = text(&made["id"]);
            (made, number)
        }
        What::Remove { number } => {
            api.delete(&format!("/api/planned/{number}"))?;
            (json!({}), number.to_string())
        }
    })
}

fn at_ms(at: &str, lang: Lang) -> anyhow::Result<u64> {
    let here = PrimitiveDateTime::parse(at, format_description!("[year]-[month]-[day] [hour]:[minute]"));
    let moment = here.map(|moment| moment.assume_offset(VIETNAM)).or_else(|_| OffsetDateTime::parse(at, &Rfc3339));
    let moment = moment.with_context(|| {
        let what = lang.pick("không phải ngày giờ; hãy ghi như", "is no day and time; write it as");
        format!("“{at}” {what} 2026-12-03 08:00")
    })?;
    Ok(u64::try_from(moment.unix_timestamp()).unwrap_or(0) * 1_000)
}

fn shown(planned: &Value, lang: Lang) -> String {
    let head = match lang {
        Lang::Vi => ["SỐ", "LÚC", "TÊN", "ĐIỂM CẦU"],
        Lang::En => ["NUMBER", "AT", "TITLE", "SITES"],
    };
    let row = |one: &Value| {
        let sites = one["sites"].as_array().into_iter().flatten();
        vec![
            text(&one["id"]),
            one["at_ms"].as_u64().and_then(moment).unwrap_or_else(|| "-".into()),
            text(&one["title"]),
            sites.map(text).collect::<Vec<_>>().join(" "),
        ]
    };
    table(&head, rows(planned, row))
}

/// Vietnam has one time all year (Decision 134/CP of 1967).
const VIETNAM: time::UtcOffset = offset!(+7);

fn moment(at_ms: u64) -> Option<String> {
    let seconds = i64::try_from(at_ms / 1_000).ok()?;
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?.to_offset(VIETNAM);
    moment.format(format_description!("[hour]:[minute] [day]/[month]/[year]")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_time_is_vietnams_unless_it_says_where_it_is() {
        let at = |text| at_ms(text, Lang::En);
        assert_eq!(at("2026-11-24 13:00").unwrap(), 1_795_500_000_000);
        assert_eq!(at("2026-11-24T06:00:00Z").unwrap(), 1_795_500_000_000);
        assert_eq!(at("2026-11-24T13:00:00+07:00").unwrap(), 1_795_500_000_000);
        assert!(at("24/11/2026").unwrap_err().to_string().contains("2026-12-03 08:00"));
        assert_eq!(moment(1_795_500_000_000).unwrap(), "13:00 24/11/2026");
    }
}
