//! Set-up, demo, tests, checks and benchmarks of Bridgepoint.

fn main() {}
