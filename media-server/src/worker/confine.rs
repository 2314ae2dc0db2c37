//! Takes from this process what it does not need, before it parses the first byte from the network.
//!
//! Landlock: it may write to its session's folder and nowhere else. Seccomp: no new socket, no bind, no connect, so
//! no network beyond the socket that is open by then (Landlock has no rule for UDP). No new privileges.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// What is read at run time: libraries and plug-ins, fonts, the machine's processors, random bytes.
const READ: [&str; 8] = ["/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/opt"];

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// Writes are bound to the folder.
    pub files: bool,
    /// No further sockets.
    pub sockets: bool,
}

/// Confines the calling thread and every thread that it starts from now on (files), the whole process (sockets).
/// A kernel without one of them is no reason not to hold a reception: the outcome says what holds.
pub fn confine(archive: &Path) -> Confinement {
    let files = bind_files(archive).unwrap_or_else(|error| {
        tracing::warn!(%error, "this kernel has no Landlock");
        false
    });
    let sockets = forbid_sockets().map_err(|error| tracing::warn!(%error, "this kernel has no seccomp filter"));
    Confinement { files, sockets: sockets.is_ok() }
}

fn bind_files(archive: &Path) -> Result<bool, landlock::RulesetError> {
    let abi = ABI::V3;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(READ.iter().filter_map(|path| {
            let fd = PathFd::new(path).ok()?;
            Some(Ok::<_, landlock::RulesetError>(PathBeneath::new(fd, AccessFs::from_read(abi))))
        }))?;
    if let Ok(fd) = PathFd::new(archive) {
        rules = rules.add_rule(PathBeneath::new(fd, AccessFs::from_all(abi)))?;
    }
    for device in ["/dev/null", "/dev/zero"] {
        if let Ok(fd) = PathFd::new(device) {
            rules = rules.add_rule(PathBeneath::new(fd, AccessFs::from_file(abi)))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

fn forbid_sockets() -> Result<(), Box<dyn std::error::Error>> {
    let forbidden = [nix::libc::SYS_socket, nix::libc::SYS_bind, nix::libc::SYS_connect, nix::libc::SYS_listen];
    let filter = SeccompFilter::new(
        forbidden.into_iter().map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(nix::libc::EPERM as u32),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}
