//! A double of `v4l2src`: an element of its name, which gives a test picture for as long as its device's file is there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// From the next element on: the camera encodes, and says so.
pub static CODED: AtomicBool = AtomicBool::new(false);

/// Puts it in the real one's place, for this process.
pub fn register() {
    gst::init().unwrap();
    gst::Element::register(None, "v4l2src", gst::Rank::NONE, Double::static_type()).unwrap();
}

glib::wrapper! {
    pub struct Double(ObjectSubclass<imp::Double>) @extends gst::Bin, gst::Element, gst::Object;
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Double {
        device: Mutex<String>,
    }

    impl Double {
        fn is_plugged(&self) -> bool {
            Path::new(&*self.device.lock().unwrap_or_else(PoisonError::into_inner)).exists()
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Double {
        const NAME: &'static str = "BridgepointDoubleOfV4l2Src";
        type Type = super::Double;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for Double {
        fn properties() -> &'static [glib::ParamSpec] {
            static ALL: LazyLock<Vec<glib::ParamSpec>> =
                LazyLock::new(|| vec![glib::ParamSpecString::builder("device").build()]);
            &ALL
        }

        fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
            *self.device.lock().unwrap_or_else(PoisonError::into_inner) = value.get().unwrap();
        }

        fn constructed(&self) {
            self.parent_constructed();
            let make = |name: &'static str| gst::ElementFactory::make(name);
            let source = make("videotestsrc").property("is-live", true).build().unwrap();
            let size = gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", 320)
                .field("height", 180)
                .field("framerate", gst::Fraction::new(25, 1))
                .build();
            let filter = make("capsfilter").property("caps", &size).build().unwrap();
            let mut chain = vec![source, filter];
            if CODED.load(Ordering::SeqCst) {
                let encoder = make("x264enc").property_from_str("tune", "zerolatency");
                chain.push(encoder.property("key-int-max", 50_u32).property("bframes", 0_u32).build().unwrap());
            }
            self.obj().add_many(&chain).unwrap();
            gst::Element::link_many(&chain).unwrap();
            let pad = gst::GhostPad::with_target(&chain.last().unwrap().static_pad("src").unwrap()).unwrap();
            let weak = self.obj().downgrade();
            // As the real one does when its driver has said ENODEV.
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let Some(camera) = weak.upgrade() else { return gst::PadProbeReturn::Drop };
                if camera.imp().is_plugged() {
                    return gst::PadProbeReturn::Ok;
                }
                gst::element_error!(camera, gst::ResourceError::Read, ["Could not read from resource."]);
                gst::PadProbeReturn::Drop
            });
            self.obj().add_pad(&pad).unwrap();
        }
    }

    impl GstObjectImpl for Double {}

    impl ElementImpl for Double {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static ABOUT: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Double", "Source/Video", "Stands in for a camera", "tests")
            });
            Some(&ABOUT)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static ALL: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let any = gst::Caps::new_any();
                vec![gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &any).unwrap()]
            });
            &ALL
        }

        fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            if transition == gst::StateChange::NullToReady && !self.is_plugged() {
                gst::element_error!(self.obj(), gst::ResourceError::NotFound, ["Cannot identify device."]);
                return Err(gst::StateChangeError);
            }
            self.parent_change_state(transition)
        }
    }

    impl BinImpl for Double {}
}
