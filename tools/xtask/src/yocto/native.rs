//! What the agent's crates need that is no crate: libraries and programs, as recipes in `DEPENDS` of the agent's.

use std::collections::BTreeSet;

/// Crates that look for something outside, and the recipe that has it; `None` where the crate brings its own.
const NEEDS: [(&str, Option<&str>); 20] = [
    ("alsa-sys", Some("alsa-lib")),
    ("aws-lc-rs", None),
    ("aws-lc-sys", None),
    ("clang-sys", Some("clang-native")),
    ("cmake", Some("cmake-native")),
    ("drm-sys", None),
    ("gio-sys", Some("glib-2.0")),
    ("glib-sys", Some("glib-2.0")),
    ("gobject-sys", Some("glib-2.0")),
    ("gstreamer-app-sys", Some("gstreamer1.0-plugins-base")),
    ("gstreamer-base-sys", Some("gstreamer1.0")),
    ("gstreamer-sys", Some("gstreamer1.0")),
    ("gstreamer-video-sys", Some("gstreamer1.0-plugins-base")),
    ("ioctl-sys", None),
    ("libudev-sys", Some("udev")),
    ("libusb1-sys", Some("libusb1")),
    ("linux-raw-sys", None),
    ("opusic-sys", None),
    ("ring", None),
    ("v4l2-sys-mit", None),
];

/// Every crate that may need something outside is known, and what it needs is in `depends`.
pub fn check<'a>(
    crates: impl IntoIterator<Item = (&'a str, bool)>,
    depends: &BTreeSet<String>,
    breaches: &mut Vec<String>,
) {
    for (name, links) in crates {
        match NEEDS.iter().find(|(known, _)| *known == name) {
            Some((_, Some(recipe))) if depends.contains(*recipe) => {}
            Some((_, Some(recipe))) => {
                breaches.push(format!("the crate {name} needs {recipe}: DEPENDS of bridgepoint-agent lacks it"));
            }
            None if links || name.ends_with("-sys") => breaches.push(format!(
                "the crate {name} may need a library: say which recipe has it in tools/xtask/src/yocto/native.rs"
            )),
            Some((_, None)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_without_its_recipe_is_a_breach() {
        let depends = BTreeSet::from(["gstreamer1.0".to_owned()]);
        let mut breaches = Vec::new();
        check([("gstreamer-sys", true), ("serde", false), ("ring", true)], &depends, &mut breaches);
        assert_eq!(breaches, Vec::<String>::new());
        check([("clang-sys", true), ("unheard-of-sys", false), ("other", true)], &depends, &mut breaches);
        assert_eq!(breaches.len(), 3);
    }
}
