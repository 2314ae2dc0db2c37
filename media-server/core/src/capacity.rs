//! Whether a machine has room for more sites: what would be too much is refused before those who take part notice it.

use bridgepoint_wire::local::Shed;

use crate::session::{Figures, Phase, Session};

/// What a conference costs at the centre, processors; measured, see `docs/design/mixer.md`. The program and its sound.
const PROGRAM: f32 = 0.28;
/// A site in sight.
const SEEN: f32 = 0.0125;
/// So many are in sight at most, in common layouts.
const MOST_SEEN: usize = 16;
/// Any other site.
const UNSEEN: f32 = 0.005;
/// What may be planned with; the rest is for bursts, and for all else that the machine does.
const USABLE: f32 = 0.85;

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoRoom {
    /// A conference that runs does without something already.
    #[error(
        "the server is busy to its limit, a running session does without something of its quality already: wait until a \
         session ends"
    )]
    Strained,
    /// More processors would be needed than there are.
    #[error(
        "the sessions would need {needed:.1} of this server's {usable:.1} usable processors: end a session, or call fewer \
         sites"
    )]
    Full {
        /// Processors, with what was asked for.
        needed: f32,
        /// Processors that may be planned with.
        usable: f32,
    },
}

fn planned(sites: usize) -> f32 {
    let seen = sites.min(MOST_SEEN);
    PROGRAM + SEEN * seen as f32 + UNSEEN * (sites - seen) as f32
}

/// Whether a machine of that many processors can take `sites` more, in a session of their own or (`joining`) in one that
/// runs and was planned with them.
///
/// # Errors
/// [`NoRoom`].
pub fn room<'a>(
    running: impl Iterator<Item = &'a Session>,
    processors: usize,
    sites: usize,
    joining: bool,
) -> Result<(), NoRoom> {
    let live: Vec<&Session> = running.filter(|session| matches!(session.phase(), Phase::Live)).collect();
    let is_strained = |figures: Figures| figures.shed != Shed::Nothing || figures.busy > USABLE;
    if live.iter().filter_map(|session| session.figures).any(is_strained) {
        return Err(NoRoom::Strained);
    }
    // What was measured, but not less than what is to be expected once everybody has arrived.
    let needed =
        |session: &&Session| session.figures.map_or(0.0, |figures| figures.cpu).max(planned(session.members().len()));
    let asked = if joining { 0.0 } else { planned(sites) };
    let (needed, usable) = (live.iter().map(needed).sum::<f32>() + asked, USABLE * processors as f32);
    if needed > usable { Err(NoRoom::Full { needed, usable }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{By, Origin};

    fn session(sites: usize, figures: Option<Figures>) -> Session {
        let codes = (1..=sites).map(|n| (n.to_string().parse().unwrap(), None));
        let by = By { kind: Origin::Bpctl, who: "x".into() };
        let mut session = Session::start("20261124-101530-1".parse().unwrap(), 0, "1".parse().unwrap(), by, codes);
        session.figures = figures;
        session
    }

    fn figures(busy: f32, cpu: f32, shed: Shed) -> Figures {
        Figures { program_fps: 25.0, late_ticks: 0, dropped_datagrams: 0, busy, cpu, shed }
    }

    #[test]
    fn a_province_fits_on_two_processors_and_no_second_one() {
        assert_eq!(room([].into_iter(), 2, 132, false), Ok(()));
        let province = session(132, None);
        let one = || std::iter::once(&province);
        assert!(matches!(room(one(), 2, 132, false), Err(NoRoom::Full { .. })), "planned, though nobody has arrived");
        assert_eq!(room(one(), 2, 4, false), Ok(()));
        assert_eq!(room(one(), 2, 1, true), Ok(()), "it was planned with");
        assert!(room([].into_iter(), 1, 132, false).is_err());
    }

    #[test]
    fn what_was_measured_counts_when_it_is_more_than_was_planned() {
        let costly = session(4, Some(figures(0.5, 1.6, Shed::Nothing)));
        assert!(matches!(room([&costly].into_iter(), 2, 2, false), Err(NoRoom::Full { .. })));
        assert_eq!(room([&costly].into_iter(), 4, 2, false), Ok(()));
    }

    #[test]
    fn nobody_is_let_in_while_a_session_is_in_strain() {
        for strained in [figures(0.9, 0.3, Shed::Nothing), figures(0.2, 0.3, Shed::SmallPictures)] {
            let session = session(4, Some(strained));
            for joining in [false, true] {
                assert_eq!(room([&session].into_iter(), 64, 1, joining), Err(NoRoom::Strained));
            }
        }
    }
}
