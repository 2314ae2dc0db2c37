//! The file `bridgepoint.txt` on a USB stick: an address where no DHCP gives one, and the code.
//!
//! ```text
//! # written at the office
//! address = 10.20.30.40/24
//! gateway = 10.20.30.1
//! dns = 10.20.30.1, 8.8.8.8
//! code = 7KQ2-M9FD
//! ```
//! Either part may be missing. Keys in any order and any case; a line that is none of these is an error and nothing of the
//! file is used: half an address is worse than none.

use std::net::IpAddr;

use bridgepoint_wire::enrol::Code;

/// The largest file that is looked at, bytes.
pub const MAX_STICK_FILE: usize = 4_096;

/// An address that nobody on the network gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAddress {
    /// The box's.
    pub address: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
    /// Where everything else is.
    pub gateway: IpAddr,
    /// Who knows names; may be empty.
    pub dns: Vec<IpAddr>,
}

/// What was on the stick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stick {
    /// The address to use.
    pub address: Option<StaticAddress>,
    /// The code.
    pub code: Option<Code>,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: “{text}”: {kind}")]
pub struct StickError {
    /// Counted from 1.
    pub line: usize,
    /// Its beginning, printable.
    pub text: String,
    /// What is wrong with it.
    pub kind: StickErrorKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StickErrorKind {
    /// Not `key = value`, or a key that nobody knows.
    #[error("neither address, gateway, dns nor code")]
    UnknownKey,
    /// The key stands there for the second time.
    #[error("the key was there before")]
    Twice,
    /// Not an address.
    #[error("not an address such as 10.20.30.40/24")]
    Address,
    /// Not a code.
    #[error("not a code such as 7KQ2-M9FD")]
    Code,
    /// Of `address` and `gateway` only one is there, or they are not of one network, or `dns` stands alone.
    #[error("address and gateway belong together, in one network")]
    Incomplete,
    /// The file is too long to be ours.
    #[error("longer than a stick's file is")]
    TooLong,
}

impl Stick {
    /// Reads the file.
    ///
    /// # Errors
    /// [`StickError`] names the first line that cannot be used.
    pub fn read(file: &str) -> Result<Self, StickError> {
        let error = |line, text: &str, kind| StickError { line, text: shown(text), kind };
        if file.len() > MAX_STICK_FILE {
            return Err(error(1, file, StickErrorKind::TooLong));
        }
        let (mut own, mut gateway, mut dns, mut code) = (None, None, None, None);
        let mut last = (1, "");
        for (n, raw) in (1..).zip(file.trim_start_matches('\u{feff}').lines()) {
            let text = raw.split('#').next().unwrap_or("").trim();
            if text.is_empty() {
                continue;
            }
            last = (n, raw);
            let twice = |seen: bool| if seen { Err(error(n, raw, StickErrorKind::Twice)) } else { Ok(()) };
            let bad = |kind| error(n, raw, kind);
            let (key, value) = text.split_once('=').ok_or_else(|| bad(StickErrorKind::UnknownKey))?;
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "address" => {
                    twice(own.is_some())?;
                    own = Some(network(value).ok_or_else(|| bad(StickErrorKind::Address))?);
                }
                "gateway" => {
                    twice(gateway.is_some())?;
                    gateway = Some(value.parse::<IpAddr>().map_err(|_| bad(StickErrorKind::Address))?);
                }
                "dns" => {
                    twice(dns.is_some())?;
                    let all: Result<Vec<IpAddr>, _> = value.split(',').map(|one| one.trim().parse()).collect();
                    dns = Some(all.map_err(|_| bad(StickErrorKind::Address))?);
                }
                "code" => {
                    twice(code.is_some())?;
                    code = Some(value.parse::<Code>().map_err(|_| bad(StickErrorKind::Code))?);
                }
                _ => return Err(bad(StickErrorKind::UnknownKey)),
            }
        }
        let address = match (own, gateway) {
            (Some((address, prefix)), Some(gateway)) if same_network(address, gateway, prefix) => {
                Some(StaticAddress { address, prefix, gateway, dns: dns.unwrap_or_default() })
            }
            (None, None) if dns.is_none() => None,
            _ => return Err(error(last.0, last.1, StickErrorKind::Incomplete)),
        };
        Ok(Self { address, code })
    }
}

/// As much of a foreign line as a screen shows.
fn shown(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(32).collect()
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (IpAddr, u8) = (address.trim().parse().ok()?, prefix.trim().parse().ok()?);
    let most = if address.is_ipv4() { 30 } else { 126 };
    (1..=most).contains(&prefix).then_some((address, prefix))
}

fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((a, family_a), (b, family_b)) = (bits(a), bits(b));
    family_a == family_b && a != b && (a ^ b).leading_zeros() >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(file: &str) -> (usize, StickErrorKind) {
        let error = Stick::read(file).unwrap_err();
        (error.line, error.kind)
    }

    #[test]
    fn the_file_as_the_guide_shows_it_is_read_also_from_windows() {
        let file = "\u{feff}# office\r\nAddress = 10.20.30.40/24\r\ngateway=10.20.30.1\r\ndns = 10.20.30.1, 8.8.8.8\r\n\r\ncode = 7kq2 m9fd # one time\r\n";
        let stick = Stick::read(file).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let address = StaticAddress {
            address: ip("10.20.30.40"),
            prefix: 24,
            gateway: ip("10.20.30.1"),
            dns: vec![ip("10.20.30.1"), ip("8.8.8.8")],
        };
        assert_eq!(stick, Stick { address: Some(address), code: "7KQ2-M9FD".parse().ok() });
        let only_code = Stick { address: None, code: "7KQ2-M9FD".parse().ok() };
        assert_eq!(Stick::read("code = 7KQ2M9FD"), Ok(only_code));
        assert_eq!(Stick::read(""), Ok(Stick::default()));
    }

    #[test]
    fn half_an_address_or_a_wrong_line_is_named_and_nothing_is_used() {
        assert_eq!(kind("address = 10.0.0.2/24"), (1, StickErrorKind::Incomplete));
        assert_eq!(kind("dns = 10.0.0.1\n"), (1, StickErrorKind::Incomplete));
        assert_eq!(kind("address = 10.0.0.2/24\ngateway = 10.0.1.1"), (2, StickErrorKind::Incomplete));
        assert_eq!(kind("address = 10.0.0.2/24\ngateway = 10.0.0.2"), (2, StickErrorKind::Incomplete));
        assert_eq!(kind("address = 10.0.0.2/24\ngateway = fe80::1"), (2, StickErrorKind::Incomplete));
        assert_eq!(kind("\naddress = 10.0.0.2"), (2, StickErrorKind::Address));
        assert_eq!(kind("address = 10.0.0.2/33"), (1, StickErrorKind::Address));
        assert_eq!(kind("adress = 10.0.0.2/24"), (1, StickErrorKind::UnknownKey));
        assert_eq!(kind("hello"), (1, StickErrorKind::UnknownKey));
        assert_eq!(kind("code = 7KQ2-M9FO"), (1, StickErrorKind::Code));
        assert_eq!(kind("code = 7KQ2-M9FD\ncode = 7KQ2-M9FD"), (2, StickErrorKind::Twice));
        assert_eq!(kind(&"#".repeat(MAX_STICK_FILE + 1)), (1, StickErrorKind::TooLong));
        assert!(Stick::read("address = fd00::2/64\ngateway = fd00::1").unwrap().address.is_some());
    }

    proptest! {
        #[test]
        fn no_file_panics_and_what_is_shown_is_short(file in "(?s).{0,200}") {
            if let Err(error) = Stick::read(&file) {
                prop_assert!(error.text.chars().count() <= 32 && !error.text.chars().any(char::is_control));
            }
        }
    }
}
