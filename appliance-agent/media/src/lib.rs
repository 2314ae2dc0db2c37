//! Capture, encode, playout and local recording of an appliance.
