//! The media link, both ends: sans-IO over str0m.
