//! Decodes and encodes pictures (GStreamer) and sound (libopus) for the mixer.
