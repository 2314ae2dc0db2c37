//! The centre's program: control process and conference worker.

fn main() {}
