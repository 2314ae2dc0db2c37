//! The server's clock, and what a moment is called.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: u64 = 86_400_000;

/// Now, milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A moment in UTC, as a calendar and a clock on the wall show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Second of the day.
    pub second: u32,
}

/// `at_ms` in UTC. Source: H. Hinnant, *chrono-compatible low-level date algorithms*, `civil_from_days`.
pub const fn civil(at_ms: u64) -> Civil {
    let days = (at_ms / DAY_MS) as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u8;
    let year = (year_of_era + era * 400 + (month <= 2) as i64) as i32;
    Civil { year, month, day, second: ((at_ms % DAY_MS) / 1_000) as u32 }
}

/// `20261124-101530`: how sessions are named.
pub fn stamp(at_ms: u64) -> String {
    let Civil { year, month, day, second } = civil(at_ms);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_their_names() {
        assert_eq!(stamp(0), "19700101-000000");
        assert_eq!(stamp(951_827_696_000), "20000229-123456");
        assert_eq!(stamp(1_795_515_330_000), "20261124-101530");
    }
}
