//! Reads and checks board.toml: what a board's hardware is, as data.
