//! What the box measures of itself: the kernel's figures about processor, memory, disk and temperature.

use std::path::{Path, PathBuf};

use bridgepoint_wire::health::Health;

/// Reads the kernel's figures; remembers what differences need.
pub struct Gauges {
    records_dir: PathBuf,
    thermal: Vec<PathBuf>,
    processor: Option<Processor>,
}

/// Ticks of all cores since the machine's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Processor {
    busy: u64,
    all: u64,
}

impl Gauges {
    /// For the disk that recordings go to and the board's thermal zones.
    pub fn new(records_dir: &Path, thermal: Vec<PathBuf>) -> Self {
        let processor = read_processor();
        Self { records_dir: records_dir.to_owned(), thermal, processor }
    }

    /// Fills in what the kernel knows. What cannot be read stays as it was: absent, or zero.
    pub fn read(&mut self, media_pid: Option<u32>, health: &mut Health) {
        let now = read_processor();
        if let (Some(before), Some(now)) = (self.processor, now) {
            health.cpu_percent = percent(now.busy.saturating_sub(before.busy), now.all.saturating_sub(before.all));
        }
        self.processor = now.or(self.processor);
        let own = memory_mib("self");
        health.memory_mib = own + media_pid.map_or(0, |pid| memory_mib(&pid.to_string()));
        if let Some(disk) = Disk::read(&self.records_dir) {
            health.disk_free_mib = disk.free_mib;
            health.disk_used_percent = percent(disk.all_mib.saturating_sub(disk.free_mib), disk.all_mib);
        }
        // The hottest place decides.
        health.temperature_c = self.thermal.iter().filter_map(|zone| read_temperature(zone)).reduce(f32::max);
    }
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free for this user.
    pub free_mib: u64,
    /// In all.
    pub all_mib: u64,
}

impl Disk {
    /// The disk under a folder.
    pub fn read(folder: &Path) -> Option<Self> {
        let stat = nix::sys::statvfs::statvfs(folder).ok()?;
        let mib = |blocks: u64| blocks.saturating_mul(stat.fragment_size()) >> 20;
        Some(Self { free_mib: mib(stat.blocks_available()), all_mib: mib(stat.blocks()) })
    }
}

fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 * 100.0 / whole as f32 }
}

fn read_processor() -> Option<Processor> {
    parse_processor(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// First line of `/proc/stat`: user nice system idle iowait irq softirq steal … (proc(5)).
fn parse_processor(stat: &str) -> Option<Processor> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else { return None };
    let busy = user + nice + system + irq + softirq + steal;
    Some(Processor { busy, all: busy + idle + iowait })
}

/// Memory of a process that is resident now (proc(5), statm).
fn memory_mib(pid: &str) -> u32 {
    let Ok(statm) = std::fs::read_to_string(format!("/proc/{pid}/statm")) else { return 0 };
    let pages: Vec<u64> = statm.split_whitespace().take(3).map_while(|word| word.parse().ok()).collect();
    let [_, resident, _] = pages[..] else { return 0 };
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4_096) as u64;
    ((resident * page) >> 20) as u32
}

fn read_temperature(zone: &Path) -> Option<f32> {
    let text = std::fs::read_to_string(zone).ok()?;
    text.trim().parse::<i32>().ok().map(|millis| millis as f32 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_share_is_counted_between_two_readings() {
        let before = parse_processor("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 …").unwrap();
        let after = parse_processor("cpu  150 0 150 850 50 0 0 0 0 0").unwrap();
        assert!((percent(after.busy - before.busy, after.all - before.all) - 50.0).abs() < 0.01);
        assert_eq!(parse_processor("intr 1 2"), None);
    }

    #[test]
    fn this_machine_has_figures() {
        let mut health = Health::default();
        Gauges::new(Path::new("/"), Vec::new()).read(None, &mut health);
        assert!(health.memory_mib > 0 && health.disk_free_mib > 0 && health.disk_used_percent <= 100.0);
        assert_eq!(health.temperature_c, None);
    }

    #[test]
    fn the_hottest_zone_is_told_and_one_that_is_not_there_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let zones = [("a", "41000\n"), ("b", "63500\n"), ("c", "57000\n")].map(|(name, text)| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        });
        let mut health = Health::default();
        let all = zones.into_iter().chain([folder.path().join("gone")]).collect();
        Gauges::new(Path::new("/"), all).read(None, &mut health);
        assert_eq!(health.temperature_c, Some(63.5));
    }
}
