//! Checks a session's folder without any of the server's code.

fn main() {}
