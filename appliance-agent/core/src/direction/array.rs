//! Where the microphones are, and what that lets them tell.

use serde::{Deserialize, Serialize};

/// Metres a second, in air of 20 °C. At 35 °C it is 2.6 % more, which turns a bearing of 60° by 2.5°.
pub const SPEED_OF_SOUND: f32 = 343.0;

/// Microphones in a plane, seen from above: `[right, front]` of the array's middle, metres, by channel.
///
/// An azimuth is 0° to the front and counts to the right, as a camera's pan does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<[f32; 2]>", into = "Vec<[f32; 2]>")]
pub struct Array(Vec<[f32; 2]>);

/// Why microphones at these places cannot tell a direction.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArrayFault {
    /// Fewer than two, or more than [`Array::MOST`].
    #[error("{0} microphones: 2 to {most} are needed", most = Array::MOST)]
    Count(usize),
    /// Not a number, or infinite.
    #[error("microphone {0}: its place is not a number")]
    NotFinite(usize),
    /// Two at one place, or two channels of one microphone.
    #[error("microphones {0} and {1} are less than 1 cm apart: nothing can be told from their delay")]
    TooClose(usize, usize),
    /// Further apart than [`Array::WIDEST_M`].
    #[error("microphones {0} and {1} are more than 1 m apart: sound no longer comes from one direction for both")]
    TooFar(usize, usize),
}

/// Which azimuths an array can tell from each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field {
    /// All.
    Around,
    /// Microphones on one line hear the same from both sides of it: what they hear is taken to be on this side, within
    /// 90° of this azimuth. It is the front, where the line allows it.
    Half {
        /// Degrees.
        middle_deg: f32,
    },
}

impl Array {
    /// Most microphones.
    pub const MOST: usize = 16;
    /// Nearest two, metres.
    pub const CLOSEST_M: f32 = 0.01;
    /// Farthest two, metres.
    pub const WIDEST_M: f32 = 1.0;

    /// Microphones at these places.
    ///
    /// # Errors
    /// The first [`ArrayFault`].
    pub fn new(microphones: Vec<[f32; 2]>) -> Result<Self, ArrayFault> {
        if !(2..=Self::MOST).contains(&microphones.len()) {
            return Err(ArrayFault::Count(microphones.len()));
        }
        if let Some(bad) = microphones.iter().position(|place| place.iter().any(|metres| !metres.is_finite())) {
            return Err(ArrayFault::NotFinite(bad));
        }
        let array = Self(microphones);
        for (a, b) in array.pairs() {
            let [x, y] = array.between(a, b);
            let apart = x.hypot(y);
            if apart < Self::CLOSEST_M {
                return Err(ArrayFault::TooClose(a, b));
            }
            if apart > Self::WIDEST_M {
                return Err(ArrayFault::TooFar(a, b));
            }
        }
        Ok(array)
    }

    /// On a line from left to right, channel 0 leftmost.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn linear(count: usize, spacing_m: f32) -> Result<Self, ArrayFault> {
        let middle = (count.max(1) - 1) as f32 / 2.0;
        Self::new((0..count).map(|n| [(n as f32 - middle) * spacing_m, 0.0]).collect())
    }

    /// On a circle, channel 0 in front, the others clockwise as seen from above.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn circular(count: usize, radius_m: f32) -> Result<Self, ArrayFault> {
        let angle = |n: usize| n as f32 / count as f32 * std::f32::consts::TAU;
        Self::new((0..count).map(|n| [angle(n).sin() * radius_m, angle(n).cos() * radius_m]).collect())
    }

    /// How many.
    #[expect(clippy::len_without_is_empty, reason = "an array has two at least")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each two microphones once.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.len();
        (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
    }

    fn between(&self, a: usize, b: usize) -> [f32; 2] {
        [self.0[b][0] - self.0[a][0], self.0[b][1] - self.0[a][1]]
    }

    /// How much later microphone `a` hears a distant sound from `azimuth_deg` than microphone `b`, seconds.
    pub(super) fn later(&self, (a, b): (usize, usize), azimuth_deg: f32) -> f32 {
        let (right, front) = azimuth_deg.to_radians().sin_cos();
        let [x, y] = self.between(a, b);
        (x * right + y * front) / SPEED_OF_SOUND
    }

    /// What the microphones named by `live` can tell.
    pub(super) fn field(&self, live: &[bool]) -> Field {
        let live: Vec<usize> = (0..self.len()).filter(|n| live[*n]).collect();
        let [first, second, rest @ ..] = &live[..] else { return Field::Half { middle_deg: 0.0 } };
        let [x, y] = self.between(*first, *second);
        let aside = |n: &usize| {
            let [u, v] = self.between(*first, *n);
            (x * v - y * u).abs() / x.hypot(y)
        };
        if rest.iter().any(|n| aside(n) > Self::CLOSEST_M / 2.0) {
            return Field::Around;
        }
        // The line's normal that looks to the front, or to the right where the line itself goes to the front.
        let normal = if x.abs() > 1e-3 { [-y * x.signum(), x.abs()] } else { [1.0, 0.0] };
        Field::Half { middle_deg: normal[0].atan2(normal[1]).to_degrees() }
    }
}

impl TryFrom<Vec<[f32; 2]>> for Array {
    type Error = ArrayFault;
    fn try_from(microphones: Vec<[f32; 2]>) -> Result<Self, ArrayFault> {
        Self::new(microphones)
    }
}

impl From<Array> for Vec<[f32; 2]> {
    fn from(array: Array) -> Self {
        array.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_from_which_nothing_can_be_told_are_refused() {
        assert_eq!(Array::linear(1, 0.1), Err(ArrayFault::Count(1)));
        assert_eq!(Array::linear(2, 0.001), Err(ArrayFault::TooClose(0, 1)));
        assert_eq!(Array::linear(4, 0.4), Err(ArrayFault::TooFar(0, 3)));
        assert_eq!(Array::new(vec![[0.0, 0.0], [f32::NAN, 0.0]]), Err(ArrayFault::NotFinite(1)));
    }

    #[test]
    fn a_line_tells_one_side_and_the_front_where_it_can() {
        let half = |places: &[[f32; 2]]| match Array::new(places.into()).unwrap().field(&vec![true; places.len()]) {
            Field::Half { middle_deg } => Some(middle_deg.round()),
            Field::Around => None,
        };
        assert_eq!(half(&[[-0.1, 0.0], [0.1, 0.0]]), Some(0.0));
        assert_eq!(half(&[[0.1, 0.0], [-0.1, 0.0]]), Some(0.0));
        assert_eq!(half(&[[0.0, 0.0], [0.1, -0.1]]), Some(45.0));
        assert_eq!(half(&[[0.0, 0.1], [0.0, -0.1]]), Some(90.0));
        assert_eq!(half(&[[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]]), None);
        let square = Array::circular(4, 0.05).unwrap();
        assert_eq!(square.field(&[true, false, true, false]), Field::Half { middle_deg: 90.0 });
    }

    #[test]
    fn the_nearer_microphone_hears_earlier() {
        let array = Array::linear(2, 0.1).unwrap();
        assert!(array.later((0, 1), 30.0) > 0.0 && array.later((0, 1), -30.0) < 0.0);
        assert!((array.later((0, 1), 90.0) - 0.1 / SPEED_OF_SOUND).abs() < 1e-7);
    }
}
