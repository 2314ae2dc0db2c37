//! Each GStreamer element that the agent makes, and the package of the image that holds it.
//!
//! A plugin's package is no dependency that bitbake checks: plugins are split into packages only once they are built,
//! and an option that is off just leaves one out. So a camera would be the first to notice.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::layer::Recipes;

/// A package of the image with what the agent may use of it.
struct Plugin {
    /// `<set>-<name of libgst<name>.so>`, without `gstreamer1.0-` (oe-core, gstreamer1.0-plugins-packaging.inc).
    package: &'static str,
    /// What must be in its set's PACKAGECONFIG; empty where the set always builds it.
    option: &'static str,
    elements: &'static [&'static str],
}

const fn plugin(package: &'static str, option: &'static str, elements: &'static [&'static str]) -> Plugin {
    Plugin { package, option, elements }
}

const PLUGINS: [Plugin; 32] = [
    plugin("libav", "", &["avdec_aac", "avdec_h264"]),
    plugin("plugins-bad-fbdevsink", "", &["fbdevsink"]),
    plugin("plugins-bad-kms", "kms", &["kmssink"]),
    plugin("plugins-bad-openh264", "openh264", &["openh264dec", "openh264enc"]),
    plugin("plugins-bad-opusparse", "opusparse", &["opusparse"]),
    plugin("plugins-bad-uvch264", "uvch264", &["uvch264mjpgdemux", "uvch264src"]),
    plugin("plugins-bad-v4l2codecs", "v4l2codecs", &["v4l2slh264dec"]),
    plugin("plugins-bad-videoparsersbad", "", &["h264parse"]),
    plugin("plugins-bad-webrtcdsp", "webrtcdsp", &["webrtcdsp", "webrtcechoprobe"]),
    plugin("plugins-bad-zbar", "zbar", &["zbar"]),
    plugin("plugins-base-alsa", "alsa", &["alsasink", "alsasrc"]),
    plugin("plugins-base-app", "", &["appsink", "appsrc"]),
    plugin("plugins-base-audioconvert", "", &["audioconvert", "audiomixmatrix"]),
    plugin("plugins-base-audiomixer", "", &["audiointerleave", "audiomixer"]),
    plugin("plugins-base-audiorate", "", &["audiorate"]),
    plugin("plugins-base-audioresample", "", &["audioresample"]),
    plugin("plugins-base-audiotestsrc", "", &["audiotestsrc"]),
    plugin("plugins-base-opus", "opus", &["opusdec", "opusenc"]),
    plugin("plugins-base-playback", "", &["decodebin", "decodebin3", "playbin", "uridecodebin", "uridecodebin3"]),
    plugin("plugins-base-videoconvertscale", "", &["videoconvert", "videoconvertscale", "videoscale"]),
    plugin("plugins-base-videorate", "", &["videorate"]),
    plugin("plugins-base-videotestsrc", "", &["videotestsrc"]),
    plugin("plugins-base-volume", "", &["volume"]),
    plugin("plugins-good-interleave", "", &["deinterleave", "interleave"]),
    plugin("plugins-good-isomp4", "", &["mp4mux", "qtdemux", "qtmux"]),
    plugin("plugins-good-jpeg", "jpeg", &["jpegdec", "jpegenc"]),
    plugin("plugins-good-level", "", &["level"]),
    plugin("plugins-good-rtp", "", &["rtph264depay", "rtph264pay", "rtpjpegdepay"]),
    plugin("plugins-good-rtsp", "", &["rtspsrc"]),
    plugin("plugins-good-video4linux2", "v4l2", &["v4l2h264dec", "v4l2h264enc", "v4l2jpegdec", "v4l2src"]),
    plugin("plugins-good-videofilter", "", &["videobalance", "videoflip"]),
    plugin("plugins-ugly-x264", "x264", &["x264enc"]),
];

/// Of the package `gstreamer1.0` itself.
const CORE: [&str; 11] = [
    "capsfilter",
    "fakesink",
    "fakesrc",
    "filesink",
    "filesrc",
    "identity",
    "input-selector",
    "queue",
    "queue2",
    "tee",
    "valve",
];

/// Packages without an element of theirs in the code, and why they are there.
const INDIRECT: [(&str, &str); 10] = [
    ("plugins-base-app", "appsrc and appsink are made by their types, not by name"),
    ("plugins-base-typefindfunctions", "decodebin asks it what a stream is"),
    ("plugins-good-isomp4", "decodebin: a clip in place of a camera"),
    ("plugins-good-jpeg", "decodebin: cameras that give MJPEG"),
    ("plugins-good-rtp", "rtspsrc: depayloaders of network cameras"),
    ("plugins-good-rtpmanager", "rtspsrc"),
    ("plugins-good-rtsp", "network cameras"),
    ("plugins-good-udp", "rtspsrc"),
    ("plugins-bad-kms", "the screen of a board with KMS (board.toml, [display])"),
    ("plugins-bad-v4l2codecs", "decodebin: boards with a stateless decoder"),
];

/// Endings that only elements' names have; a bare `src` or `sink` is a pad.
const ENDINGS: [&str; 10] = ["bin", "convert", "dec", "enc", "flip", "parse", "pay", "resample", "sink", "src"];

/// Every element of the code is in the image, its option is on, and no package is there without a reason.
pub fn check(agent: &Path, recipes: &Recipes, breaches: &mut Vec<String>) -> Result<()> {
    let mut used = BTreeSet::new();
    sources(agent, &mut used)?;
    let group = recipes.variable("packagegroup-bridgepoint-media.bb", "RDEPENDS:${PN}")?;
    let group: BTreeSet<&str> = group.iter().filter_map(|package| package.strip_prefix("gstreamer1.0-")).collect();
    let mut wanted: BTreeSet<&str> = INDIRECT.iter().map(|(package, _)| *package).collect();
    for element in used.iter().filter(|element| !CORE.contains(&element.as_str())) {
        match PLUGINS.iter().find(|plugin| plugin.elements.contains(&element.as_str())) {
            Some(plugin) => drop(wanted.insert(plugin.package)),
            None => breaches.push(format!(
                "appliance-agent makes `{element}`: tools/xtask/src/yocto/elements.rs does not know its package"
            )),
        }
    }
    for package in wanted.difference(&group) {
        breaches.push(format!("packagegroup-bridgepoint-media.bb lacks gstreamer1.0-{package}, which the agent needs"));
    }
    for package in group.difference(&wanted) {
        breaches
            .push(format!("packagegroup-bridgepoint-media.bb has gstreamer1.0-{package}, which nothing here needs"));
    }
    for Plugin { package, option, .. } in PLUGINS.iter().filter(|p| wanted.contains(p.package) && !p.option.is_empty())
    {
        let set = package.split('-').take(2).collect::<Vec<_>>().join("-");
        let append = format!("gstreamer1.0-{set}_%.bbappend");
        if !recipes.variable(&append, "PACKAGECONFIG:bridgepoint")?.iter().any(|on| on == option) {
            breaches.push(format!("{append} must turn `{option}` on: gstreamer1.0-{package} is empty without it"));
        }
    }
    Ok(())
}

fn sources(folder: &Path, used: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, used)?;
        } else if path.extension().is_some_and(|end| end == "rs") && !name.ends_with("_tests.rs") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            used.extend(elements(&text));
        }
    }
    Ok(())
}

/// The names of elements in a source file, tests left out: what is handed to a `make("…")` or `find("…")` of a factory,
/// and every literal that is called as only an element is.
fn elements(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut used = BTreeSet::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let parts: Vec<&str> = line.split('"').collect();
        for (before, literal) in parts.iter().zip(parts.iter().skip(1)).step_by(2) {
            let made = before.ends_with("make(") || before.ends_with("ElementFactory::find(");
            let called = ENDINGS.iter().any(|ending| literal.len() > ending.len() && literal.ends_with(ending));
            let name =
                !literal.is_empty() && literal.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
            if name && (made || called) {
                used.insert((*literal).to_owned());
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_and_what_is_called_as_an_element_counts() {
        let source = r#"
            // "kmssink" is spoken of.
            let queue = configured(make("queue")?, |e| e.set_property("leaky", "downstream"));
            const fn name(self) -> &'static str { match self { Self::X264 => "x264enc", Self::Pad => "sink" } }
            expose(&bin, &queue, "sink", "src")?;
        "#;
        assert_eq!(elements(source), ["queue", "x264enc"].map(str::to_owned).into());
    }

    #[test]
    fn a_test_may_make_what_the_image_has_not() {
        let source = "let a = make(\"alsasrc\");\n#[cfg(test)]\nmod tests {\n    let b = make(\"videotestsrc\");\n}\n";
        assert_eq!(elements(source), ["alsasrc".to_owned()].into());
    }
}
