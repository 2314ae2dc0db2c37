//! Answers in the shapes of several makers: other prefixes, other habits, the same meaning.

use std::time::Duration;

use agent_camera::onvif::device::{GetCapabilities, GetServices, GetSystemDateAndTime};
use agent_camera::onvif::discovery::{MessageId, read_matches};
use agent_camera::onvif::media::{GetProfiles, GetProfiles2, Profile};
use agent_camera::onvif::ptz::{GetConfigurationOptions, GetPresets, GetStatus};
use agent_camera::onvif::soap::{FaultKind, Garbled, Reply, Request, Service, answer, open};
use agent_camera::onvif::space::Spaces;
use agent_camera::ptz::Position;
use proptest::prelude::*;

fn read<R: Request>(document: &str) -> Result<R::Answer, Garbled> {
    match open(document.as_bytes())? {
        Reply::Answer(element) => answer::<R>(&element),
        Reply::Fault(fault) => panic!("{fault}"),
    }
}

macro_rules! shape {
    ($name:literal) => {
        include_str!(concat!("shapes/", $name, ".xml"))
    };
}

#[test]
fn hikvision_says_where_it_looks() {
    let status = read::<GetStatus>(shape!("hikvision-get-status")).unwrap();
    assert_eq!(status.moving, Some(true));
    let options = read::<GetConfigurationOptions>(shape!("dahua-get-configuration-options")).unwrap();
    let position = options.absolute.to_position(&status.position.unwrap()).unwrap();
    assert!(position.distance(Position::new(-0.006_167, 0.587_444, 0.25)) < 1e-5);
}

#[test]
fn hikvision_has_a_profile_that_moves_and_one_that_does_not() {
    let profiles = read::<GetProfiles>(shape!("hikvision-get-profiles")).unwrap();
    let [main, sub] = &profiles[..] else { panic!("{profiles:?}") };
    assert_eq!((main.token.as_str(), main.ptz.as_deref()), ("Profile_1", Some("PTZToken")));
    assert_eq!(*sub, Profile { token: "Profile_2".into(), name: "subStream".into(), ptz: None });
}

#[test]
fn dahua_lists_degrees_first_and_has_no_zoom_to_drive() {
    let options = read::<GetConfigurationOptions>(shape!("dahua-get-configuration-options")).unwrap();
    assert!(options.absolute.pan_tilt[0].uri.ends_with("/PositionGenericSpace"));
    assert_eq!(options.absolute.pan_tilt.len(), 2);
    assert!(options.continuous.zoom.is_empty() && options.relative.is_offered());
    assert_eq!(options.timeout, Some((Duration::from_secs(1), Duration::from_mins(1))));
}

#[test]
fn dahua_refuses_a_login() {
    let Reply::Fault(fault) = open(shape!("dahua-not-authorized").as_bytes()).unwrap() else { panic!("no fault") };
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::NotAuthorized, "Sender not Authorized"));
}

#[test]
fn axis_lists_services_of_its_own_among_others() {
    let addresses = read::<GetServices>(shape!("axis-get-services")).unwrap();
    assert_eq!(addresses.get(Service::Ptz), Some("http://192.168.0.90/onvif/services"));
    assert_eq!(addresses.get(Service::Media), Some("http://192.168.0.90/onvif/services"));
    assert_eq!(addresses.get(Service::Media2), None);
}

#[test]
fn axis_lists_presets_also_without_names() {
    let presets = read::<GetPresets>(shape!("axis-get-presets")).unwrap();
    let names: Vec<_> = presets.iter().map(|preset| (preset.token.as_str(), preset.name.as_str())).collect();
    assert_eq!(names, [("1", "Home"), ("2", "Bục & bàn"), ("3", "")]);
}

#[test]
fn a_clock_is_read_without_any_prefix_also_in_a_leap_second() {
    let clock = read::<GetSystemDateAndTime>(shape!("default-namespaces-date-and-time")).unwrap();
    assert_eq!(clock, Some(1_483_228_799_000));
}

#[test]
fn the_second_media_service_names_its_ptz_elsewhere() {
    let profiles = read::<GetProfiles2>(shape!("media2-get-profiles")).unwrap();
    assert_eq!(profiles.iter().map(|profile| profile.ptz.as_deref()).collect::<Vec<_>>(), [None, Some("ptz0")]);
}

#[test]
fn a_camera_that_lists_no_spaces_is_taken_to_have_the_generic_ones() {
    let options = read::<GetConfigurationOptions>(shape!("no-spaces-get-configuration-options")).unwrap();
    let moved = options.absolute.for_position(Position::new(-1.0, 0.5, 1.0));
    let pan_tilt = moved.pan_tilt.unwrap();
    assert_eq!((pan_tilt.x, pan_tilt.y, pan_tilt.space), (-1.0, 0.5, None));
    assert!(options.continuous.is_offered() && !options.relative.is_offered());
}

const ALL: [&str; 9] = [
    shape!("hikvision-get-status"),
    shape!("hikvision-get-profiles"),
    shape!("dahua-get-configuration-options"),
    shape!("dahua-not-authorized"),
    shape!("axis-get-services"),
    shape!("axis-get-presets"),
    shape!("default-namespaces-date-and-time"),
    shape!("media2-get-profiles"),
    shape!("no-spaces-get-configuration-options"),
];

/// Every reader, on an answer of any kind.
fn read_all(document: &[u8]) {
    let id = MessageId::new([0; 16]);
    let _ = read_matches(&id, document);
    if let Ok(Reply::Answer(element)) = open(document) {
        let _ = GetSystemDateAndTime::read(&element);
        let _ = GetServices::read(&element);
        let _ = GetCapabilities::read(&element);
        let _ = GetProfiles::read(&element);
        let _ = GetProfiles2::read(&element);
        let _ = GetPresets::read(&element);
        let _ = GetStatus::read(&element).map(|status| {
            let vector = status.position.unwrap_or_default();
            Spaces::default().absolute.to_position(&vector)
        });
        let _ = GetConfigurationOptions::read(&element);
    }
}

proptest! {
    #[test]
    fn a_damaged_answer_is_an_error_or_an_answer_and_never_a_panic(
        which in 0..ALL.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut document = ALL[which].as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(document.len());
            document[at] = byte;
        }
        read_all(&document);
        document.truncate(end.index(document.len()));
        read_all(&document);
    }

    #[test]
    fn any_bytes_are_an_error_and_never_a_panic(document in prop::collection::vec(any::<u8>(), 0..512)) {
        read_all(&document);
        prop_assert!(open(&document).is_err());
    }
}

#[test]
fn the_answer_to_another_question_is_none() {
    let other = read::<GetPresets>(shape!("hikvision-get-status")).unwrap_err();
    assert_eq!(other, Garbled::Other("GetStatusResponse".into()));
}
