//! What the media child may still do once it is configured: its folders, devices, UDP.

use std::path::{Path, PathBuf};

use bridgepoint_link::confine::{Limits, Sockets, confine};
use bridgepoint_wire::local::{Camera, MediaConfig};
use bridgepoint_wire::trial::ScreenAt;

/// Before the camera's and the link's threads start: they inherit it.
pub(super) fn restrict(config: &MediaConfig) {
    let clip = match &config.camera {
        // Rules are for what is really there, not for a link to it.
        Camera::Clip(clip) => std::fs::canonicalize(clip).ok().and_then(|clip| clip.parent().map(Path::to_owned)),
        Camera::Device { .. } | Camera::Rtsp(_) => None,
    };
    let tcp_to = match &config.camera {
        Camera::Clip(_) | Camera::Device { .. } => None,
        Camera::Rtsp(stream) => Some(stream.port()),
    };
    let sockets = Sockets::Udp { tcp_to, local: config.sound_server };
    let server = if config.sound_server { sound_server_files() } else { Vec::new() };
    let read: Vec<&Path> = clip.iter().chain(&server).map(PathBuf::as_path).collect();
    let screen = match &config.screen {
        Some(ScreenAt::File { file, .. }) => Path::new(file).parent(),
        Some(ScreenAt::Kms { .. } | ScreenAt::Framebuffer { .. }) | None => None,
    };
    let own = [&config.records].into_iter().chain(&config.returns).map(Path::new);
    let own: Vec<&Path> = own.chain(screen).collect();
    let limits = Limits { read: &read, write: &own, devices: true, sockets };
    let confinement = confine(&limits);
    tracing::info!(?confinement, "media child is confined");
}

/// Where a person's sound server says how it is reached, besides the system's own folders.
fn sound_server_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let alsa = variable("ALSA_CONFIG_PATH").and_then(|file| std::fs::canonicalize(file).ok());
    let alsa = alsa.and_then(|file| file.parent().map(Path::to_owned));
    let of_person = variable("HOME").map(|home| home.join(".config/pulse"));
    let of_login = variable("XDG_RUNTIME_DIR").map(|run| run.join("pulse"));
    [alsa, of_person, of_login].into_iter().flatten().filter(|folder| folder.is_dir()).collect()
}
