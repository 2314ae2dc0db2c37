//! A V4L2 camera that is pulled out and put in again: a double of GStreamer's element stands in for it, whose node is a
//! link that comes and goes as udev's would.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so")]

mod support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_media::Captured;
use agent_media::device::DeviceCamera;
use agent_media::eye::Lens;
use support::camera;

static ALONE: Mutex<()> = Mutex::new(());

/// The double is one for the process.
fn double(coded: bool) -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    camera::register();
    camera::CODED.store(coded, Ordering::SeqCst);
    alone
}

fn film(node: &Path) -> (DeviceCamera, Receiver<(Captured, Instant)>) {
    let mut camera = DeviceCamera::open(Lens::V4l2(node.display().to_string())).unwrap();
    let (to, captured) = channel();
    camera.start((1_280, 720), 25, move |captured| drop(to.send((captured, Instant::now())))).unwrap();
    (camera, captured)
}

fn until<T>(
    captured: &Receiver<(Captured, Instant)>,
    what: &str,
    mut wanted: impl FnMut(Captured) -> Option<T>,
) -> (T, Instant) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let (captured, at) = captured.recv_timeout(left).unwrap_or_else(|_| panic!("no {what}"));
        if let Some(found) = wanted(captured) {
            return (found, at);
        }
    }
}

fn pull_and_put_back(coded: bool) {
    let _alone = double(coded);
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("camera");
    std::os::unix::fs::symlink("/dev/null", &node).unwrap();
    let (_camera, captured) = film(&node);
    let is_main = move |captured: &Captured| match captured {
        Captured::Picture { coded: false, .. } => !coded,
        Captured::Unit { .. } => coded,
        _ => false,
    };
    let mut seen = 0;
    until(&captured, "pictures", |captured| {
        seen += usize::from(is_main(&captured));
        (seen == 30).then_some(())
    });
    let pulled = Instant::now();
    std::fs::remove_file(&node).unwrap();
    let ((), lost) = until(&captured, "loss", |captured| matches!(captured, Captured::Lost(_)).then_some(()));
    while pulled.elapsed() < Duration::from_secs(2) {
        match captured.recv_timeout(Duration::from_millis(100)) {
            Ok((Captured::Picture { .. }, _)) | Err(_) => {}
            Ok((other, _)) => panic!("{other:?}"),
        }
    }
    let put = Instant::now();
    std::os::unix::fs::symlink("/dev/null", &node).unwrap();
    until(&captured, "return", |captured| matches!(captured, Captured::Back { .. }).then_some(()));
    let ((), back) = until(&captured, "picture", |captured| is_main(&captured).then_some(()));
    let (lost, back) = (lost - pulled, back - put);
    println!("coded {coded}: lost after {} ms, a picture {} ms after it is there", lost.as_millis(), back.as_millis());
    assert!(lost < Duration::from_secs(2), "{lost:?}");
    assert!(back < Duration::from_secs(3), "{back:?}");
}

#[test]
fn a_camera_of_raw_pictures_is_lost_at_once_and_back_soon() {
    pull_and_put_back(false);
}

#[test]
fn a_camera_that_encodes_is_lost_at_once_and_back_soon() {
    pull_and_put_back(true);
}

#[test]
fn a_camera_that_is_away_at_the_begin_is_waited_for_and_told_of() {
    let _alone = double(false);
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("camera");
    let begun = Instant::now();
    let (_camera, captured) = film(&node);
    let ((), lost) = until(&captured, "loss", |captured| matches!(captured, Captured::Lost(_)).then_some(()));
    assert!(lost - begun < Duration::from_secs(2), "{:?}", lost - begun);
    std::os::unix::fs::symlink("/dev/null", &node).unwrap();
    until(&captured, "return", |captured| matches!(captured, Captured::Back { .. }).then_some(()));
}
