//! What a V4L2 encoder is told through the controls of its own file, and what it says afterwards that it has: a driver may
//! lack a control, round a value, or take it and do nothing.
//!
//! Source: kernel documentation, *Codec Control Reference* and *Memory-to-Memory Stateful Video Encoder Interface*.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use agent_v4l2::{CODEC, ControlNode, QueryExtCtrl};
use gst::prelude::*;

/// `V4L2_MPEG_VIDEO_BITRATE_MODE_CBR`.
const CONSTANT: i32 = 1;
/// `V4L2_MPEG_VIDEO_H264_PROFILE_MAIN`: without B pictures every decoder of ours takes it, and it has CABAC.
const MAIN: i32 = 2;
/// A driver has steps: so far from what was ordered, in percent, a bit rate is still the one that was ordered.
const BITRATE_MAY_DIFFER: i64 = 5;
const BITRATE: &str = "V4L2_CID_MPEG_VIDEO_BITRATE";
const FORCE_KEY_FRAME: &str = "V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME";

/// A control that an encoder does not have, or does not keep as it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deviation {
    control: &'static str,
    wanted: i32,
    /// `None`: it has no such control.
    has: Option<i32>,
}

impl Deviation {
    /// Without this one an encoder cannot be used: its line would be flooded.
    fn is_fatal(&self) -> bool {
        self.control == BITRATE
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { control, wanted, has } = self;
        match has {
            Some(has) => write!(f, "{control} was set to {wanted} and is {has}"),
            None => write!(f, "{control} is not there (wanted: {wanted})"),
        }
    }
}

/// Sets everything, before the first picture. What it returns is worth saying, and can be lived with.
///
/// # Errors
/// Why this encoder cannot be used.
pub(super) fn set_all(element: &gst::Element, kbps: u32, gop: u32) -> Result<Vec<Deviation>, String> {
    let all = [
        ("V4L2_CID_MPEG_VIDEO_BITRATE_MODE", CONSTANT),
        (BITRATE, bits(kbps)),
        ("V4L2_CID_MPEG_VIDEO_GOP_SIZE", gop as i32),
        ("V4L2_CID_MPEG_VIDEO_H264_I_PERIOD", gop as i32),
        ("V4L2_CID_MPEG_VIDEO_B_FRAMES", 0),
        ("V4L2_CID_MPEG_VIDEO_H264_PROFILE", MAIN),
        ("V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER", 1),
    ];
    let mut deviations = with_node(element, |node| set(node, &all))?;
    // Key frames come by either.
    let is_period = |one: &Deviation| one.control.ends_with("GOP_SIZE") || one.control.ends_with("I_PERIOD");
    if deviations.iter().filter(|one| is_period(one) && one.has.is_none()).count() == 1 {
        deviations.retain(|one| !(is_period(one) && one.has.is_none()));
    }
    let key = with_node(element, |node| Ok(node.query(id(FORCE_KEY_FRAME)).is_ok_and(|query| query.is_settable())))?;
    if !key {
        deviations.push(Deviation { control: FORCE_KEY_FRAME, wanted: 1, has: None });
    }
    match deviations.iter().find(|one| one.is_fatal()) {
        Some(fatal) => Err(fatal.to_string()),
        None => Ok(deviations),
    }
}

/// From the next picture on. `false`: it does not take it while it runs.
pub(super) fn set_kbps(element: &gst::Element, kbps: u32) -> bool {
    match with_node(element, |node| set(node, &[(BITRATE, bits(kbps))])) {
        Ok(deviations) => deviations.is_empty(),
        Err(error) => {
            tracing::warn!("another bit rate: {error}");
            false
        }
    }
}

fn bits(kbps: u32) -> i32 {
    i32::try_from(kbps.max(1).saturating_mul(1_000)).unwrap_or(i32::MAX)
}

fn id(name: &str) -> u32 {
    // Names of this file are in the list by the test below; 0 is no control.
    CODEC.iter().find(|(known, _)| *known == name).map_or(0, |(_, id)| *id)
}

/// The element has its device open from state READY on.
fn with_node<T>(element: &gst::Element, work: impl FnOnce(&dyn ControlNode) -> io::Result<T>) -> Result<T, String> {
    let fd: i32 = element.property("device-fd");
    if fd < 0 {
        return Err("its device is not open".into());
    }
    // SAFETY: the element keeps its file open until it is set to state NULL, which the owner of `element` does, and not
    // during this call.
    let node = unsafe { BorrowedFd::borrow_raw(fd) };
    work(&node).map_err(|error| error.to_string())
}

/// Sets each and reads it back.
fn set(node: &dyn ControlNode, wanted: &[(&'static str, i32)]) -> io::Result<Vec<Deviation>> {
    let mut deviations = Vec::new();
    for &(control, wanted) in wanted {
        let query = match node.query(id(control)) {
            Ok(query) => query,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                deviations.push(Deviation { control, wanted, has: None });
                continue;
            }
            Err(error) => return Err(error),
        };
        if query.is_settable()
            && let Err(error) = node.set(&[(query.id, fitted(&query, wanted))])
        {
            // It says which value it has instead, below.
            tracing::debug!("{control}: {error}");
        }
        let has = node.get(&[query.id])?.first().copied().unwrap_or_default();
        let may_differ = if control == BITRATE { i64::from(wanted) * BITRATE_MAY_DIFFER / 100 } else { 0 };
        if i64::from(has).abs_diff(wanted.into()) > may_differ.unsigned_abs() {
            deviations.push(Deviation { control, wanted, has: Some(has) });
        }
    }
    Ok(deviations)
}

/// The nearest value that the control can have.
fn fitted(query: &QueryExtCtrl, wanted: i32) -> i32 {
    let wanted = i64::from(wanted).clamp(query.minimum, query.maximum.max(query.minimum));
    let step = i64::try_from(query.step).unwrap_or(1).max(1);
    let above = wanted - query.minimum;
    let nearest = query.minimum + (above + step / 2) / step * step;
    // Between a 32-bit number and the range's ends.
    nearest.min(query.maximum) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_v4l2::{TYPE_BUTTON, TYPE_INTEGER};
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// Controls of a driver: what is known of each, and what it has. `deaf` takes everything and keeps what it had.
    #[derive(Default)]
    struct Driver {
        controls: BTreeMap<u32, QueryExtCtrl>,
        values: Mutex<BTreeMap<u32, i32>>,
        deaf: bool,
    }

    impl Driver {
        fn with(mut self, name: &str, minimum: i64, maximum: i64, step: u64) -> Self {
            let kind = if name == FORCE_KEY_FRAME { TYPE_BUTTON } else { TYPE_INTEGER };
            let query = QueryExtCtrl { id: id(name), kind, minimum, maximum, step, ..QueryExtCtrl::default() };
            self.controls.insert(query.id, query);
            self
        }
    }

    impl ControlNode for Driver {
        fn query(&self, id: u32) -> io::Result<QueryExtCtrl> {
            self.controls.get(&id).copied().ok_or_else(|| rustix::io::Errno::INVAL.into())
        }

        fn get(&self, ids: &[u32]) -> io::Result<Vec<i32>> {
            let values = self.values.lock().unwrap();
            Ok(ids.iter().map(|id| values.get(id).copied().unwrap_or(-1)).collect())
        }

        fn set(&self, values: &[(u32, i32)]) -> io::Result<()> {
            for &(id, value) in values {
                let query = self.query(id)?;
                let range = query.minimum..=query.maximum;
                let on_grid = (i64::from(value) - query.minimum) % query.step as i64 == 0;
                if !range.contains(&i64::from(value)) || !on_grid {
                    return Err(rustix::io::Errno::RANGE.into());
                }
            }
            if !self.deaf {
                self.values.lock().unwrap().extend(values.iter().copied());
            }
            Ok(())
        }
    }

    #[test]
    fn a_drivers_own_steps_are_kept_and_a_value_near_enough_is_as_ordered() {
        // As bcm2835-codec has it.
        let driver = Driver::default().with(BITRATE, 25_000, 25_000_000, 25_000);
        assert_eq!(set(&driver, &[(BITRATE, 1_490_000)]).unwrap(), []);
        assert_eq!(driver.get(&[id(BITRATE)]).unwrap(), [1_500_000]);
        let said = set(&driver, &[(BITRATE, 140_000)]).unwrap();
        assert_eq!(said, [Deviation { control: BITRATE, wanted: 140_000, has: Some(150_000) }]);
        assert_eq!(set(&driver, &[(BITRATE, 90_000_000)]).unwrap()[0].has, Some(25_000_000));
    }

    #[test]
    fn what_is_not_there_or_not_kept_is_said() {
        let missing = set(&Driver::default(), &[(BITRATE, 800_000)]).unwrap();
        assert_eq!(missing[0].to_string(), "V4L2_CID_MPEG_VIDEO_BITRATE is not there (wanted: 800000)");
        let deaf = Driver { deaf: true, ..Driver::default() }.with(BITRATE, 0, 10_000_000, 1);
        let kept = set(&deaf, &[(BITRATE, 800_000)]).unwrap();
        assert_eq!(kept[0].to_string(), "V4L2_CID_MPEG_VIDEO_BITRATE was set to 800000 and is -1");
        assert!(kept[0].is_fatal());
    }

    #[test]
    fn names_are_the_kernels() {
        let is_name = |rest: &str| !rest.is_empty() && !rest.contains(' ');
        let words = include_str!("controls.rs").split('"');
        let used = words.filter(|word| word.strip_prefix("V4L2_CID_MPEG_VIDEO_").is_some_and(is_name));
        assert!(used.map(id).inspect(|id| assert_ne!(*id, 0)).count() >= 8);
    }
}
