//! The self-test of loudspeaker and microphones: when the centre asks for it, and once by itself, on the day of
//! installation, whose values are kept and compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent_core::selftest::{Measured, Reading, judge};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::event::{CommandRefusal, Event};
use bridgepoint_wire::local::ToMedia;
use bridgepoint_wire::sound::SoundTest;
use bridgepoint_wire::trial::{Found, MeasuredMicrophone, Trial};
use serde::{Deserialize, Serialize};

use super::Agent;
use crate::{durable, wall_ms};

/// An installation counts its tries from 0 on.
const FIRST_ATTEMPT: u32 = 1 << 31;

/// Tests so far, and the one that is under way.
#[derive(Debug, Default)]
pub(super) struct SoundTests {
    begun: u32,
    now: Option<Now>,
}

#[derive(Debug)]
struct Now {
    attempt: u32,
    /// What is measured becomes what later tests are compared with.
    install: bool,
}

/// The day of installation, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Installed {
    /// In another room everything sounds differently.
    site: SiteCode,
    at_ms: u64,
    readings: BTreeMap<u8, Reading>,
}

impl Installed {
    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("sound-installed.json")
    }

    /// `None`: none for this site, or none that can be read: it is measured anew.
    fn load(data_dir: &Path, site: &SiteCode) -> Option<Self> {
        durable::load::<Option<Self>>(&Self::file(data_dir)).filter(|installed| installed.site == *site)
    }

    fn save(&self, data_dir: &Path) -> std::io::Result<()> {
        durable::save(self, &Self::file(data_dir))
    }
}

impl Agent {
    fn can_test_sound(&self) -> bool {
        let sound = &self.config.sound;
        sound.microphones.is_some()
            && sound.loudspeaker.is_some()
            && self.session.running().is_none()
            && self.installing.is_none()
            && self.supervisor.is_ready()
            && self.sound_tests.now.is_none()
    }

    /// The centre wants a test.
    pub(super) fn handle_sound_test_order(&mut self, install: bool) -> Result<(), CommandRefusal> {
        if !self.can_test_sound() {
            return Err(CommandRefusal::NotNow);
        }
        self.begin_sound_test(install);
        Ok(())
    }

    /// A box that has just been put up tests its sound while the technician is there.
    pub(super) fn settle_sound_test(&mut self) {
        let first = self.sound_tests.begun == 0 && self.uplink.is_up() && self.can_test_sound();
        if first && Installed::load(&self.config.data_dir, self.site()).is_none() {
            self.begin_sound_test(true);
        } else if first {
            // Known: not looked for again.
            self.sound_tests.begun = 1;
        }
    }

    fn begin_sound_test(&mut self, install: bool) {
        let attempt = FIRST_ATTEMPT + self.sound_tests.begun;
        self.sound_tests.begun += 1;
        self.sound_tests.now = Some(Now { attempt, install });
        self.tell(ToMedia::Try { attempt, trial: Trial::TestSound });
    }

    /// The child that was to do it is gone.
    pub(super) fn lose_sound_test(&mut self) {
        self.sound_tests.now = None;
    }

    /// What came of a test; `false`: this try was none.
    pub(super) fn handle_sound_tested(&mut self, attempt: u32, found: &Found) -> bool {
        let Some(Now { install, .. }) = self.sound_tests.now.take_if(|now| now.attempt == attempt) else {
            return attempt >= FIRST_ATTEMPT;
        };
        if let Found::SoundTest(microphones) = found {
            self.report_sound_test(microphones, install);
        } else {
            // A session has the devices now.
            tracing::info!("the sound's self-test was stopped");
        }
        true
    }

    fn report_sound_test(&mut self, microphones: &[MeasuredMicrophone], install: bool) {
        let data_dir = &self.config.data_dir;
        let installed = Installed::load(data_dir, self.site()).filter(|_| !install);
        let measured: Vec<Measured> = microphones.iter().map(|one| one.measured).collect();
        let reading = |one: &MeasuredMicrophone| installed.as_ref()?.readings.get(&one.channel).copied();
        let then: Vec<Option<Reading>> = microphones.iter().map(reading).collect();
        let report = judge(&measured, &then, &self.config.sound.test);
        let mut kept = false;
        if installed.is_none() {
            let channels = microphones.iter().map(|one| one.channel);
            let readings: BTreeMap<u8, Reading> =
                channels.zip(report.readings()).filter_map(|(channel, reading)| Some((channel, reading?))).collect();
            let today = Installed { site: self.site().clone(), at_ms: wall_ms(), readings };
            kept = !today.readings.is_empty()
                && today
                    .save(data_dir)
                    .inspect_err(|error| tracing::error!(%error, "the values of this day could not be kept"))
                    .is_ok();
        }
        let channels: Vec<u8> = microphones.iter().map(|one| one.channel).collect();
        let compared_with_ms = installed.map(|installed| installed.at_ms);
        self.say(Event::SoundTested(SoundTest {
            compared_with_ms,
            kept,
            good: report.is_good(),
            said: report.said(&channels),
            microphones: report.figures(&channels),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_installation_is_of_one_site_and_a_broken_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there): (SiteCode, SiteCode) = ("17611".parse().unwrap(), "17612".parse().unwrap());
        assert_eq!(Installed::load(folder.path(), &here), None);
        let reading = Reading { level_dbfs: -30.0, delay_ms: 12.5, erl_db: 18.0, snr_db: 40.0 };
        let installed = Installed { site: here.clone(), at_ms: 7, readings: BTreeMap::from([(3, reading)]) };
        installed.save(folder.path()).unwrap();
        assert_eq!(Installed::load(folder.path(), &here), Some(installed));
        assert_eq!(Installed::load(folder.path(), &there), None);
        std::fs::write(Installed::file(folder.path()), b"{").unwrap();
        assert_eq!(Installed::load(folder.path(), &here), None);
    }
}
