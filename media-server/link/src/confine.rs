//! Takes from a process what it does not need, before it parses the first byte from the network.
//!
//! Landlock: it may write where it must and nowhere else, and reach one TCP port where it has to. Seccomp: no new sockets,
//! but for those that are left to it. No new privileges.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// What is read at run time: libraries and plug-ins, fonts, the machine's processors, random bytes.
const READ: [&str; 8] = ["/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/opt"];

/// What a process may do from now on.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Folders that it may read, beside the system's own.
    pub read: &'a [&'a Path],
    /// Folders that it may change.
    pub write: &'a [&'a Path],
    /// It may use devices: cameras, encoders, sound. A camera that is plugged in again is a new node, so this is all of
    /// `/dev`, within what the process's user may open.
    pub devices: bool,
    /// Which sockets it may open.
    pub sockets: Sockets,
}

/// Which sockets a process may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// None beside those that it has.
    None,
    /// UDP: a box's line may change its address at any time, and names are resolved by it.
    Udp {
        /// And TCP to this port of any host: a camera on the network. (Which port: from Linux 6.7 on.)
        tcp_to: Option<u16>,
        /// And sockets of this machine: its sound devices are a sound server's.
        local: bool,
    },
}

impl Sockets {
    /// UDP alone.
    pub const UDP: Self = Self::Udp { tcp_to: None, local: false };
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// Writes are bound to the folders.
    pub files: bool,
    /// No further sockets.
    pub sockets: bool,
}

/// Confines the calling thread and every thread that it starts from now on (files), the whole process (sockets).
/// A kernel without one of them is no reason not to hold a reception: the outcome says what holds.
pub fn confine(limits: &Limits<'_>) -> Confinement {
    let files = bind_files(limits).unwrap_or_else(|error| {
        tracing::warn!(%error, "this kernel has no Landlock");
        false
    });
    let sockets =
        forbid_sockets(limits.sockets).map_err(|error| tracing::warn!(%error, "this kernel has no seccomp filter"));
    Confinement { files, sockets: sockets.is_ok() }
}

fn bind_files(limits: &Limits<'_>) -> Result<bool, landlock::RulesetError> {
    let abi = ABI::V3;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .create()?;
    if let Sockets::Udp { tcp_to: Some(port), .. } = limits.sockets {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    let use_device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir;
    let devices: &[&str] = if limits.devices { &["/dev"] } else { &[] };
    let paths = READ
        .iter()
        .map(|path| (Path::new(path), AccessFs::from_read(abi)))
        .chain(limits.read.iter().map(|path| (*path, AccessFs::from_read(abi))))
        .chain(limits.write.iter().map(|path| (*path, AccessFs::from_all(abi))))
        .chain(devices.iter().map(|path| (Path::new(path), use_device)))
        .chain(["/dev/null", "/dev/zero"].map(|path| (Path::new(path), AccessFs::from_file(abi))));
    for (path, access) in paths {
        // What is not there needs no rule.
        if let Ok(fd) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

fn forbid_sockets(allowed: Sockets) -> Result<(), Box<dyn std::error::Error>> {
    let always = Vec::new();
    let forbidden = match allowed {
        Sockets::None => {
            vec![
                (libc::SYS_socket, always.clone()),
                (libc::SYS_bind, always.clone()),
                (libc::SYS_connect, always.clone()),
            ]
        }
        Sockets::Udp { tcp_to, local } => {
            let stream = tcp_to.map(|_| libc::SOCK_STREAM);
            let kinds: Vec<i32> = [libc::SOCK_DGRAM].into_iter().chain(stream).collect();
            let others: &[i32] = if local { &[libc::AF_UNIX] } else { &[] };
            vec![(libc::SYS_socket, other_than(&kinds, others)?)]
        }
    };
    let filter = SeccompFilter::new(
        forbidden.into_iter().chain([(libc::SYS_listen, always)]).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}

/// `socket(2)` with any family but IP and `others`, or of IP with any type but these.
fn other_than(kinds: &[i32], others: &[i32]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    /// The bits of a socket's type that are not flags.
    const TYPE: u64 = 0xf;
    let argument = |index, op, value: i32| SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value as u64);
    let none_of = |families: &[i32]| -> Result<Vec<SeccompCondition>, _> {
        families.iter().map(|family| argument(0, SeccompCmpOp::Ne, *family)).collect()
    };
    let known: Vec<i32> = [libc::AF_INET, libc::AF_INET6].iter().chain(others).copied().collect();
    let mut rules = vec![SeccompRule::new(none_of(&known)?)?];
    // The filter knows no "masked and not equal".
    for kind in (0..=TYPE as i32).filter(|kind| !kinds.contains(kind)) {
        let mut conditions = none_of(others)?;
        conditions.push(argument(1, SeccompCmpOp::MaskedEq(TYPE), kind)?);
        rules.push(SeccompRule::new(conditions)?);
    }
    Ok(rules)
}
