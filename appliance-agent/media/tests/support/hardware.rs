//! A double of `v4l2h264enc`: an element of its name and properties, which encodes by x264 and stops when it is told to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// So many units come out of each element; then nothing.
pub static GIVES: AtomicU32 = AtomicU32::new(u32::MAX);

/// Puts it in the real one's place, for this process.
pub fn register() {
    gst::init().unwrap();
    gst::Element::register(None, "v4l2h264enc", gst::Rank::NONE, Double::static_type()).unwrap();
}

glib::wrapper! {
    pub struct Double(ObjectSubclass<imp::Double>) @extends gst::Bin, gst::Element, gst::Object;
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Double {
        encoder: Mutex<Option<gst::Element>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Double {
        const NAME: &'static str = "BridgepointDoubleOfV4l2H264Enc";
        type Type = super::Double;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for Double {
        fn properties() -> &'static [glib::ParamSpec] {
            static ALL: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![glib::ParamSpecBoxed::builder::<gst::Structure>("extra-controls").mutable_playing().build()]
            });
            &ALL
        }

        fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
            let controls: gst::Structure = value.get().unwrap();
            let encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
            let encoder = encoder.as_ref().unwrap();
            let number = |name: &str| controls.get::<i32>(name).ok();
            if let Some(bits) = number("video_bitrate") {
                encoder.set_property("bitrate", bits as u32 / 1_000);
            }
            if let Some(pictures) = number("h264_i_frame_period") {
                encoder.set_property("key-int-max", pictures as u32);
            }
        }

        fn constructed(&self) {
            self.parent_constructed();
            let encoder = gst::ElementFactory::make("x264enc")
                .property_from_str("tune", "zerolatency")
                .property_from_str("speed-preset", "ultrafast")
                .build()
                .unwrap();
            self.obj().add(&encoder).unwrap();
            for name in ["sink", "src"] {
                let pad = gst::GhostPad::with_target(&encoder.static_pad(name).unwrap()).unwrap();
                pad.set_active(true).unwrap();
                self.obj().add_pad(&pad).unwrap();
            }
            let given = AtomicU32::new(0);
            let stops = move |_: &gst::Pad, _: &mut gst::PadProbeInfo<'_>| {
                if given.fetch_add(1, Ordering::SeqCst) < GIVES.load(Ordering::SeqCst) {
                    gst::PadProbeReturn::Ok
                } else {
                    gst::PadProbeReturn::Drop
                }
            };
            encoder.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, stops);
            *self.encoder.lock().unwrap_or_else(PoisonError::into_inner) = Some(encoder);
        }
    }

    impl GstObjectImpl for Double {}

    impl ElementImpl for Double {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static ABOUT: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Double", "Codec/Encoder/Video", "Stands in for hardware", "tests")
            });
            Some(&ABOUT)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static ALL: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let of = |name: &str, direction, media: &str| {
                    let caps = gst::Caps::new_empty_simple(media);
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
                };
                vec![
                    of("sink", gst::PadDirection::Sink, "video/x-raw"),
                    of("src", gst::PadDirection::Src, "video/x-h264"),
                ]
            });
            &ALL
        }
    }

    impl BinImpl for Double {}
}
