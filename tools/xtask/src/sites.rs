//! Which sites a demo has, and what each box films.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};
use unicode_normalization::UnicodeNormalization as _;

/// One site of a demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its code, such as `17611`.
    pub code: String,
    /// Its name (NFC), as its plate shows it.
    pub name: String,
    /// What the box uses as camera and microphone: a file, a V4L2 node, or an `rtsp://` address. A demo talker when absent.
    pub camera: Option<PathBuf>,
}

/// Whether what a box films is a device or a camera on the network, and no file.
pub fn is_device(camera: &Path) -> bool {
    camera.starts_with("/dev") || is_stream(camera)
}

/// Whether what a box films is a camera on the network.
pub fn is_stream(camera: &Path) -> bool {
    camera.to_str().is_some_and(|url| url.starts_with("rtsp://"))
}

/// Communes and wards of Nghệ An (codes of 1 July 2025).
const NGHE_AN: [(&str, &str); 10] = [
    ("17611", "Xã Vân Tụ"),
    ("16681", "Phường Thành Vinh"),
    ("16756", "Xã Tri Lễ"),
    ("16732", "Phường Cửa Lò"),
    ("16813", "Xã Mường Xén"),
    ("17110", "Phường Hoàng Mai"),
    ("16777", "Xã Quỳ Châu"),
    ("16876", "Xã Tương Dương"),
    ("16941", "Xã Nghĩa Đàn"),
    ("16738", "Xã Quế Phong"),
];

/// The first `count` (2 to 9) sites of the demo.
pub fn defaults(count: usize) -> Result<Vec<Site>> {
    if !(2..=9).contains(&count) {
        bail!("--sites {count}: 2 to 9 are possible");
    }
    let site = |(code, name): &(&str, &str)| Site { code: (*code).into(), name: (*name).into(), camera: None };
    Ok(NGHE_AN.iter().take(count).map(site).collect())
}

/// A site that is none of `taken`: the one whose identity is kept without a box.
pub fn spare(taken: &[Site]) -> Site {
    let free = NGHE_AN.iter().rev().find(|(code, _)| taken.iter().all(|site| site.code != *code));
    let (code, name) = free.expect("there are more names than sites in a demo");
    Site { code: (*code).into(), name: (*name).into(), camera: None }
}

/// The name of a site with that code, when it is one that we know.
fn known_name(code: &str) -> Option<&'static str> {
    NGHE_AN.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

impl FromStr for Site {
    type Err = anyhow::Error;

    /// `CODE[:NAME]=FILE`. A name may hold `=`: the first split whose right side exists is taken, else the first.
    fn from_str(text: &str) -> Result<Self> {
        let is_there = |camera: &Path| is_stream(camera) || camera.exists();
        let splits = || text.match_indices('=').map(|(at, _)| (&text[..at], PathBuf::from(&text[at + 1..])));
        let Some((who, camera)) = splits().find(|(_, file)| is_there(file)).or_else(|| splits().next()) else {
            bail!("--site {text}: CODE=FILE or CODE:NAME=FILE is expected");
        };
        let (code, name) = who.split_once(':').map_or((who, None), |(code, name)| (code, Some(name)));
        let fits = (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            bail!("--site {text}: “{code}” is no site code (1 to 16 of A-Z a-z 0-9 and “-”, such as 17611)");
        }
        if !is_there(&camera) {
            bail!("--site {text}: there is no file {}", camera.display());
        }
        let name = name.map(str::trim).filter(|name| !name.is_empty()).or_else(|| known_name(code)).unwrap_or(code);
        Ok(Self { code: code.into(), name: name.nfc().collect(), camera: Some(camera) })
    }
}

/// Refuses what cannot be one demo: fewer than 2 or more than 9 sites, one code twice.
pub fn check(sites: &[Site]) -> Result<()> {
    if !(2..=9).contains(&sites.len()) {
        bail!("{} sites: 2 to 9 are possible", sites.len());
    }
    let mut seen = BTreeSet::new();
    for site in sites {
        if !seen.insert(&site.code) {
            bail!("--site {}: this code is given twice", site.code);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_any_text_and_is_composed() {
        let site: Site = "16681:Tri Le\u{302}\u{303} = 1: a=/dev/null".parse().unwrap();
        assert_eq!((site.code.as_str(), site.name.as_str()), ("16681", "Tri Lễ = 1: a"));
        assert_eq!(site.camera, Some(PathBuf::from("/dev/null")));
    }

    #[test]
    fn a_known_code_needs_no_name_and_an_unknown_one_names_itself() {
        assert_eq!("17611=/dev/null".parse::<Site>().unwrap().name, "Xã Vân Tụ");
        assert_eq!("x-1=/dev/null".parse::<Site>().unwrap().name, "x-1");
    }

    #[test]
    fn what_is_no_site_is_refused() {
        for bad in ["17611", "=/dev/null", "a/b=/dev/null", "17611=/no/such/file", "../x:N=/dev/null"] {
            assert!(bad.parse::<Site>().is_err(), "{bad}");
        }
        let twice = [defaults(2).unwrap(), defaults(2).unwrap()].concat();
        assert!(check(&twice).is_err() && check(&twice[..1]).is_err() && check(&defaults(9).unwrap()).is_ok());
    }

    #[test]
    fn the_spare_site_is_none_of_the_demo() {
        let sites = defaults(9).unwrap();
        assert!(sites.iter().all(|site| site.code != spare(&sites).code));
    }
}
