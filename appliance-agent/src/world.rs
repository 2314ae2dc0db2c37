//! The clock and the dice: what no core reads itself.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel's random source does not fail once it is seeded");
    bytes
}

/// One random byte: jitter.
pub fn dice() -> u8 {
    random::<1>()[0]
}
