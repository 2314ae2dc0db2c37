//! A double of `v4l2h264enc`: an element of its name and properties, which encodes by x264 and stops when it is told to; and
//! of the driver behind it: this program's own `ioctl` answers for the element's file, as a kernel would.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_ulong, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use agent_v4l2::{CODEC, FLAG_READ_ONLY, QueryExtCtrl, TYPE_BUTTON, TYPE_INTEGER};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// So many units come out of each element; then nothing.
pub static GIVES: AtomicU32 = AtomicU32::new(u32::MAX);
/// Takes every control, and keeps what it had.
pub static DEAF: AtomicBool = AtomicBool::new(false);

/// Puts it in the real one's place, for this process.
pub fn register() {
    gst::init().unwrap();
    gst::Element::register(None, "v4l2h264enc", gst::Rank::NONE, Double::static_type()).unwrap();
}

/// What was set last in any of the elements that are there, by the kernel's name.
pub fn values() -> Vec<BTreeMap<&'static str, i32>> {
    let devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let named = |id: &u32| CODEC.iter().find(|(_, known)| known == id).unwrap().0;
    devices.values().map(|device| device.values.iter().map(|(id, value)| (named(id), *value)).collect()).collect()
}

/// The driver behind one file.
struct Device {
    encoder: gst::Element,
    values: BTreeMap<u32, i32>,
}

static DEVICES: Mutex<BTreeMap<RawFd, Device>> = Mutex::new(BTreeMap::new());

fn id(name: &str) -> u32 {
    CODEC.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Some controls of bcm2835-codec, with its ranges and steps.
fn query(wanted: u32) -> Option<QueryExtCtrl> {
    let number = |name: &str, minimum, maximum, step| QueryExtCtrl {
        id: id(name),
        kind: TYPE_INTEGER,
        minimum,
        maximum,
        step,
        ..QueryExtCtrl::default()
    };
    let all = [
        number("V4L2_CID_MPEG_VIDEO_BITRATE", 25_000, 25_000_000, 25_000),
        number("V4L2_CID_MPEG_VIDEO_BITRATE_MODE", 0, 1, 1),
        number("V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER", 0, 1, 1),
        number("V4L2_CID_MPEG_VIDEO_H264_I_PERIOD", 0, 0x7FFF_FFFF, 1),
        number("V4L2_CID_MPEG_VIDEO_H264_PROFILE", 0, 4, 1),
        QueryExtCtrl { flags: FLAG_READ_ONLY, ..number("V4L2_CID_MPEG_VIDEO_B_FRAMES", 0, 0, 1) },
        QueryExtCtrl { kind: TYPE_BUTTON, ..number("V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME", 0, 0, 0) },
    ];
    all.into_iter().find(|query| query.id == wanted)
}

impl Device {
    fn set(&mut self, wanted: u32, value: i32) -> Result<(), c_int> {
        let query = query(wanted).ok_or(nix::libc::EINVAL)?;
        let offset = i64::from(value) - query.minimum;
        if query.flags & FLAG_READ_ONLY != 0 {
            return Err(nix::libc::EACCES);
        }
        if offset < 0 || i64::from(value) > query.maximum || (query.step > 0 && offset % query.step as i64 != 0) {
            return Err(nix::libc::ERANGE);
        }
        if DEAF.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.values.insert(wanted, value);
        match wanted {
            at if at == id("V4L2_CID_MPEG_VIDEO_BITRATE") => {
                self.encoder.set_property("bitrate", value as u32 / 1_000);
            }
            at if at == id("V4L2_CID_MPEG_VIDEO_H264_I_PERIOD") => {
                self.encoder.set_property("key-int-max", value as u32);
            }
            _ => {}
        }
        Ok(())
    }

    /// # Safety
    /// `arg` is what the request says.
    unsafe fn ioctl(&mut self, number: u8, arg: *mut c_void) -> Result<(), c_int> {
        // `struct v4l2_ext_controls`: count at 4, pointer at 24; `struct v4l2_ext_control`: 20 bytes, id at 0, value at 12.
        const COUNT: usize = 4;
        const CONTROLS: usize = 24;
        const LENGTH: usize = 20;
        const VALUE: usize = 12;
        if number == 103 {
            // SAFETY: VIDIOC_QUERY_EXT_CTRL carries this structure (compared with the kernel's header in `agent-v4l2`).
            let asked = unsafe { &mut *arg.cast::<QueryExtCtrl>() };
            *asked = query(asked.id).ok_or(nix::libc::EINVAL)?;
            return Ok(());
        }
        // SAFETY: VIDIOC_G_EXT_CTRLS and VIDIOC_S_EXT_CTRLS carry a `v4l2_ext_controls`, whose pointer has `count` entries.
        let (count, controls) =
            unsafe { (arg.byte_add(COUNT).cast::<u32>().read(), arg.byte_add(CONTROLS).cast::<*mut c_void>().read()) };
        for n in 0..count as usize {
            // SAFETY: as above; entries are packed.
            let (id, value) = unsafe {
                let control = controls.byte_add(n * LENGTH);
                (control.cast::<u32>().read_unaligned(), control.byte_add(VALUE).cast::<i32>())
            };
            match number {
                71 => {
                    let has =
                        query(id).map(|query| self.values.get(&id).map_or(query.default_value, |v| i64::from(*v)));
                    // SAFETY: as above.
                    unsafe { value.write_unaligned(has.ok_or(nix::libc::EINVAL)? as i32) };
                }
                // SAFETY: as above.
                72 => self.set(id, unsafe { value.read_unaligned() })?,
                _ => return Err(nix::libc::ENOTTY),
            }
        }
        Ok(())
    }
}

/// The program's own, before the C library's: V4L2's for the double's files, the kernel's for all others.
///
/// # Safety
/// As ioctl(2). It is variadic there; an argument that is there is passed in the same place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    let (kind, number) = ((request >> 8) as u8, request as u8);
    if kind == b'V'
        && let Some(device) = DEVICES.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&fd)
    {
        // SAFETY: who calls with such a request passes what it carries.
        return match unsafe { device.ioctl(number, arg) } {
            Ok(()) => 0,
            Err(errno) => {
                nix::errno::Errno::from_raw(errno).set();
                -1
            }
        };
    }
    // SAFETY: passed on as it came.
    unsafe { nix::libc::syscall(nix::libc::SYS_ioctl, fd, request, arg) as c_int }
}

glib::wrapper! {
    pub struct Double(ObjectSubclass<imp::Double>) @extends gst::Bin, gst::Element, gst::Object;
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Double {
        file: Mutex<Option<File>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Double {
        const NAME: &'static str = "BridgepointDoubleOfV4l2H264Enc";
        type Type = super::Double;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for Double {
        fn properties() -> &'static [glib::ParamSpec] {
            static ALL: LazyLock<Vec<glib::ParamSpec>> =
                LazyLock::new(|| vec![glib::ParamSpecInt::builder("device-fd").default_value(-1).read_only().build()]);
            &ALL
        }

        fn property(&self, _: usize, _: &glib::ParamSpec) -> glib::Value {
            let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.as_ref().map_or(-1, File::as_raw_fd).to_value()
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
            let file = File::open("/dev/null").unwrap();
            let device = Device { encoder, values: BTreeMap::new() };
            DEVICES.lock().unwrap_or_else(PoisonError::into_inner).insert(file.as_raw_fd(), device);
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }

        fn dispose(&self) {
            if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).take() {
                DEVICES.lock().unwrap_or_else(PoisonError::into_inner).remove(&file.as_raw_fd());
            }
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
