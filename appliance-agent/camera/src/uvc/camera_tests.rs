use nix::libc::{EBUSY, EIO, ENODEV};

use super::super::double::{Double, number};
use super::*;
use crate::Remedy;
use agent_v4l2::QueryExtCtrl;

const PAN: u32 = 0x009a_0908;
const TILT: u32 = 0x009a_0909;
const ZOOM: u32 = 0x009a_090d;
const ZOOM_CONTINUOUS: u32 = 0x009a_090f;
const PAN_SPEED: u32 = 0x009a_0920;
const TILT_SPEED: u32 = 0x009a_0921;

fn camera(controls: impl IntoIterator<Item = QueryExtCtrl>) -> (UvcCamera, Arc<Double>) {
    let node = Arc::new(Double::new(controls));
    (UvcCamera::on("/dev/video9".into(), Box::new(Arc::clone(&node)), Vec::new()).unwrap(), node)
}

/// A PTZ camera with all that UVC 1.1 knows.
fn full() -> (UvcCamera, Arc<Double>) {
    camera([
        number(PAN, -612_000, 612_000, 3_600),
        number(TILT, -108_000, 324_000, 3_600),
        number(ZOOM, 100, 1_200, 10),
        number(ZOOM_CONTINUOUS, -7, 7, 1),
        number(PAN_SPEED, -24, 24, 1),
        number(TILT_SPEED, -20, 20, 1),
    ])
}

/// A web camera that crops: no speeds, and 0 as default.
fn cropping() -> (UvcCamera, Arc<Double>) {
    camera([number(PAN, -36_000, 36_000, 3_600), number(TILT, -36_000, 36_000, 3_600), number(ZOOM, 100, 500, 1)])
}

async fn settled() {
    // Lets tasks that are due run; the paused clock stands.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_position_is_set_in_one_call_and_read_back() {
    let (camera, node) = full();
    camera.goto(Position::new(0.5, -1.0, 0.5)).await.unwrap();
    assert_eq!(node.take_sets(), [[(PAN, 306_000), (TILT, -108_000), (ZOOM, 650)]]);
    assert!(camera.position().await.unwrap().distance(Position::new(0.5, -1.0, 0.5)) < 0.01);
}

#[tokio::test]
async fn speeds_are_set_and_a_stop_sets_them_to_nothing() {
    let (camera, node) = full();
    assert_eq!(camera.capabilities().drive, Means::Device);
    camera.drive(Speeds::new(-0.5, 0.0, 1.0)).await.unwrap();
    camera.stop().await.unwrap();
    let expected = [
        [(PAN_SPEED, -12), (TILT_SPEED, 0), (ZOOM_CONTINUOUS, 7)],
        [(PAN_SPEED, 0), (TILT_SPEED, 0), (ZOOM_CONTINUOUS, 0)],
    ];
    assert_eq!(node.take_sets(), expected);
}

#[tokio::test]
async fn a_position_ends_a_speed() {
    let (camera, node) = full();
    camera.drive(Speeds::new(1.0, 0.0, 0.0)).await.unwrap();
    camera.goto(Position::default()).await.unwrap();
    let firsts: Vec<_> = node.take_sets().into_iter().map(|set| set[0]).collect();
    assert_eq!(firsts, [(PAN_SPEED, 24), (PAN_SPEED, 0), (PAN, 0)]);
}

#[tokio::test]
async fn a_movement_that_nobody_repeats_ends() {
    let (camera, node) = full();
    camera.drive(Speeds::new(1.0, 0.0, 0.0)).await.unwrap();
    sleep(HOLD + Duration::from_millis(200)).await;
    assert_eq!(node.take_sets().last().unwrap()[0], (PAN_SPEED, 0));
}

#[tokio::test]
async fn a_camera_without_speeds_glides_and_stops_where_it_is() {
    let (camera, node) = cropping();
    assert_eq!(camera.capabilities().drive, Means::Emulated);
    camera.drive(Speeds::new(1.0, 0.0, 0.0)).await.unwrap();
    sleep(Duration::from_millis(700)).await;
    camera.stop().await.unwrap();
    let sets = node.take_sets();
    let here = node.get(&[PAN]).unwrap()[0];
    assert!((3_600..=18_000).contains(&here), "{here}");
    assert_eq!(sets.last().unwrap()[0], (PAN, here));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(node.take_sets(), Vec::<Vec<(u32, i32)>>::new(), "it moves after the stop");
}

#[tokio::test]
async fn a_stop_is_repeated_until_the_camera_takes_it() {
    let (camera, node) = full();
    node.fail_next(&[EBUSY, EIO, EBUSY]);
    camera.stop().await.unwrap();
    assert_eq!(node.take_sets().len(), 1);
}

#[tokio::test]
async fn a_busy_camera_may_be_asked_again_and_a_broken_one_is_opened_anew() {
    let (camera, node) = full();
    node.fail_next(&[EBUSY]);
    assert_eq!(camera.goto(Position::default()).await.unwrap_err().remedy(), Remedy::Retry);
    node.fail_next(&[EIO]);
    let broken = camera.goto(Position::default()).await.unwrap_err();
    assert_eq!(broken.remedy(), Remedy::Reopen);
    assert!(broken.to_string().contains("V4L2_CID_PAN_ABSOLUTE"), "{broken}");
    camera.goto(Position::default()).await.unwrap();
}

#[tokio::test]
async fn a_camera_that_is_unplugged_is_gone_at_once_and_its_movement_with_it() {
    let (camera, node) = full();
    camera.drive(Speeds::new(1.0, 0.0, 0.0)).await.unwrap();
    node.unplug();
    assert!(matches!(camera.stop().await, Err(CameraError::Gone { .. })));
    assert!(matches!(camera.position().await, Err(CameraError::Gone { .. })));
    assert_eq!(fault(&"c".into(), "x", io::Error::from_raw_os_error(ENODEV)).remedy(), Remedy::Reopen);
    settled().await;
}

#[tokio::test]
async fn presets_and_home_are_places_that_are_kept() {
    let (camera, node) = full();
    let missing = camera.recall(Preset(3)).await.unwrap_err();
    assert!(matches!(missing, CameraError::NoPreset { preset: Preset(3), .. }));
    camera.goto(Position::new(0.5, 0.0, 1.0)).await.unwrap();
    camera.store(Preset(3)).await.unwrap();
    camera.goto(Position::default()).await.unwrap();
    node.take_sets();
    camera.recall(Preset(3)).await.unwrap();
    assert_eq!(node.take_sets()[0][0], (PAN, 306_000));
    camera.home().await.unwrap();
    assert_eq!(node.take_sets(), [[(PAN, 0), (TILT, 0), (ZOOM, 100)]]);
    let kept = camera.spots();
    let again = UvcCamera::on("/dev/video9".into(), Box::new(Arc::clone(&node)), kept).unwrap();
    again.recall(Preset(3)).await.unwrap();
    assert_eq!(node.take_sets()[0][0], (PAN, 306_000));
    again.remove(Preset(3)).await.unwrap();
    assert!(again.recall(Preset(3)).await.is_err());
}

#[tokio::test]
async fn controls_of_unknown_types_are_as_if_they_were_not_there() {
    let unknown = |id| QueryExtCtrl { kind: 0x0281, ..number(id, -10, 10, 1) };
    let (camera, _) = camera([unknown(PAN), unknown(TILT), number(ZOOM, 0, 10, 1)]);
    let can = camera.capabilities();
    assert_eq!((can.drive, can.goto, can.zoom), (Means::Emulated, Means::Device, true));
    let (fixed, _) = self::camera([unknown(PAN_SPEED)]);
    assert!(matches!(fixed.drive(Speeds::default()).await, Err(CameraError::Unable { .. })));
}
