//! The network socket as the kernel tells of it, the clock as time servers do, and a static address for the system.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_core::commissioning::judge::CLOCK_MS;
use agent_core::commissioning::{Fact, StaticAddress};
use bridgepoint_wire::commissioning::{AddressFrom, Addressing};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use rsntp::AsyncSntpClient;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::{Config, NetworkConfig};
use crate::durable;
use crate::senses::Sense;

/// How often the kernel is asked.
const LOOK: Duration = Duration::from_millis(500);
/// A clock that is not right yet is compared again after this, while a technician who has just plugged the box in waits …
const CLOCK_AGAIN: Duration = Duration::from_secs(5);
/// … which is so often; after that, when nobody answers, only now and then.
const CLOCK_TRIES: u32 = 24;
/// See above.
const CLOCK_SELDOM: Duration = Duration::from_mins(1);
/// One that is right, after this.
const CLOCK_KNOWN: Duration = Duration::from_mins(10);
/// For the system to take up: `bridgepoint-network.path` watches it.
const FOR_SYSTEM: &str = "address.network";
/// What the stick said, for the next start.
const KEPT: &str = "address.network";

/// Tells of socket, address and clock whenever they change, until nobody listens.
pub async fn watch(config: Arc<Config>, told: mpsc::Sender<Sense>) {
    restore(&config);
    let network = &config.network;
    let (mut link, mut address, mut clock_at, mut tries) = (None, None, Instant::now(), 0);
    loop {
        let interface = network.interface.clone().or_else(|| first_wired(&network.sys));
        let up = interface.as_deref().is_some_and(|interface| carrier(&network.sys, interface));
        if link != Some(up) {
            link = Some(up);
            if told.send(Sense::Fact(Fact::Link { up })).await.is_err() {
                return;
            }
        }
        let now = interface.as_deref().filter(|_| up).and_then(|interface| addressing(&config, interface));
        if address.as_ref() != Some(&now) {
            address = Some(now.clone());
            (clock_at, tries) = (Instant::now(), 0);
            if told.send(Sense::Fact(Fact::Address(now.clone()))).await.is_err() {
                return;
            }
        }
        if now.is_some() && Instant::now() >= clock_at {
            let offset_ms = clock(network).await;
            let right = offset_ms.is_some_and(|offset| offset.unsigned_abs() <= CLOCK_MS);
            tries = if right { 0 } else { tries + 1 };
            clock_at = Instant::now()
                + match tries {
                    0 => CLOCK_KNOWN,
                    1..=CLOCK_TRIES => CLOCK_AGAIN,
                    _ => CLOCK_SELDOM,
                };
            if let Some(offset_ms) = offset_ms
                && told.send(Sense::Fact(Fact::Clock { offset_ms })).await.is_err()
            {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
        if told.is_closed() {
            return;
        }
    }
}

/// The first by name that is a device of the machine, and no radio.
fn first_wired(sys: &Path) -> Option<String> {
    let mut names: Vec<String> = std::fs::read_dir(sys)
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let wired = path.join("device").exists() && !path.join("wireless").exists();
            wired.then(|| path.file_name()?.to_str().map(str::to_owned)).flatten()
        })
        .collect();
    names.sort();
    names.into_iter().next()
}

/// A socket that is down cannot be read, and has no carrier.
fn carrier(sys: &Path, interface: &str) -> bool {
    std::fs::read_to_string(sys.join(interface).join("carrier")).is_ok_and(|text| text.trim() == "1")
}

fn addressing(config: &Config, interface: &str) -> Option<Addressing> {
    let own: Vec<(IpAddr, u32)> = getifaddrs()
        .ok()?
        .filter(|found| found.interface_name == interface)
        .filter_map(|found| Some((ip(found.address.as_ref()?)?, prefix(ip(found.netmask.as_ref()?)?))))
        .collect();
    let usable = |ip: &IpAddr| match ip {
        // 169.254/16 and fe80::/10: nobody gave an address, the box took one.
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    let v4_first = |(ip, _): &&(IpAddr, u32)| !ip.is_ipv4();
    let (address, prefix) = own.iter().filter(|(ip, _)| usable(ip)).min_by_key(v4_first)?;
    let from_stick = std::fs::read_to_string(config.data_dir.join(KEPT))
        .is_ok_and(|kept| kept.lines().any(|line| line == format!("Address={address}/{prefix}")));
    let how = if from_stick { AddressFrom::UsbStick } else { AddressFrom::Dhcp };
    Some(Addressing { how, address: format!("{address}/{prefix}") })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        (None, None) => None,
    }
}

fn prefix(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(v4) => v4.to_bits().leading_ones(),
        IpAddr::V6(v6) => v6.to_bits().leading_ones(),
    }
}

/// Own clock minus the first time server's that answers.
async fn clock(network: &NetworkConfig) -> Option<i64> {
    for server in &network.time {
        let address = if server.contains(':') { server.clone() } else { format!("{server}:123") };
        match AsyncSntpClient::new().synchronize(&address).await {
            Ok(answer) => {
                // The library says what has to be added to the own clock.
                let seconds = -answer.clock_offset().as_secs_f64();
                return Some((seconds * 1_000.0).round() as i64);
            }
            Err(error) => tracing::info!(%server, %error, "no time"),
        }
    }
    None
}

/// Gives the system the address that a stick has: a file for systemd-networkd, which its own unit takes up.
pub fn use_address(config: &Config, address: &StaticAddress) {
    let interface = config.network.interface.clone().or_else(|| first_wired(&config.network.sys));
    let Some(interface) = interface else {
        tracing::error!("there is no network socket to give {}/{} to", address.address, address.prefix);
        return;
    };
    let text = network_file(&interface, address);
    let kept = config.data_dir.join(KEPT);
    let written = durable::replace(&kept, text.as_bytes()).and_then(|()| hand_over(config, &text));
    match written {
        Ok(()) => tracing::info!(address = %address.address, interface, "static address"),
        Err(error) => tracing::error!(%error, "the static address could not be written"),
    }
}

/// After a start, the system has forgotten it.
fn restore(config: &Config) {
    if let Ok(text) = std::fs::read_to_string(config.data_dir.join(KEPT))
        && let Err(error) = hand_over(config, &text)
    {
        tracing::error!(%error, "the static address could not be written");
    }
}

fn hand_over(config: &Config, text: &str) -> std::io::Result<()> {
    let path: PathBuf = config.runtime_dir.join(FOR_SYSTEM);
    let draft = path.with_extension("new");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, path)
}

/// systemd.network(5).
fn network_file(interface: &str, address: &StaticAddress) -> String {
    let mut text = format!(
        "[Match]\nName={interface}\n\n[Network]\nDHCP=no\nAddress={}/{}\nGateway={}\n",
        address.address, address.prefix, address.gateway
    );
    for dns in &address.dns {
        text.extend(["DNS=", &dns.to_string(), "\n"]);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_first_wired_socket_is_taken_and_its_carrier_read() {
        let sys = tempfile::tempdir().unwrap();
        let plug = |name: &str, files: &[&str]| {
            for file in files {
                std::fs::create_dir_all(sys.path().join(name).join(file)).unwrap();
            }
        };
        plug("lo", &["queues"]);
        plug("wlan0", &["device", "wireless"]);
        plug("eth1", &["device"]);
        plug("eth0", &["device"]);
        assert_eq!(first_wired(sys.path()).as_deref(), Some("eth0"));
        assert!(!carrier(sys.path(), "eth0"));
        for (text, up) in [("1\n", true), ("0\n", false)] {
            std::fs::write(sys.path().join("eth0/carrier"), text).unwrap();
            assert_eq!(carrier(sys.path(), "eth0"), up);
        }
    }

    #[test]
    fn a_static_address_is_said_as_systemd_reads_it() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let address = StaticAddress {
            address: ip("10.20.30.40"),
            prefix: 24,
            gateway: ip("10.20.30.1"),
            dns: vec![ip("10.20.30.1"), ip("8.8.8.8")],
        };
        let text = "[Match]\nName=eth0\n\n[Network]\nDHCP=no\nAddress=10.20.30.40/24\nGateway=10.20.30.1\n\
                    DNS=10.20.30.1\nDNS=8.8.8.8\n";
        assert_eq!(network_file("eth0", &address), text);
        assert_eq!((prefix(ip("255.255.254.0")), prefix(ip("ffff:ffff:ffff:ffff::"))), (23, 64));
    }
}
