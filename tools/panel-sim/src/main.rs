//! The front panel in software: the firmware's code behind a Unix socket.

fn main() {}
