//! What the recorder writes is what came in, as ordinary players see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use bridgepoint_record::{RecordEvent, Role, Stream};
use common::{case, feed, quiet, site, standard};

/// Per track: (pts, size, SHA-256) of each packet as ffprobe sees it.
fn packets(file: &std::path::Path) -> [Vec<(u64, usize, String)>; 2] {
    let entries =
        ["-show_data_hash", "sha256", "-show_entries", "packet=stream_index,pts,size,data_hash", "-of", "csv=p=0"];
    let mut tracks = [Vec::new(), Vec::new()];
    for line in quiet("ffprobe", &entries, file).lines() {
        let fields: Vec<&str> = line.trim_end_matches(',').split(',').collect();
        let hash = fields[3].trim_start_matches("SHA256:").to_owned();
        tracks[fields[0].parse::<usize>().unwrap()].push((
            fields[1].parse().unwrap(),
            fields[2].parse().unwrap(),
            hash,
        ));
    }
    tracks
}

fn expected(ticks: u64, data: &[u8]) -> (u64, usize, String) {
    (ticks, data.len(), bridgepoint_record::journal::sha256(data))
}

#[test]
fn every_picture_and_packet_is_in_the_file_bit_for_bit_at_its_time() {
    let clip = standard();
    let case = case();
    let (recorder, _) = case.start(Role::Centre, 1);
    for stream in [Stream::Program, site("17611")] {
        feed(&recorder, &stream, clip);
    }
    let head = recorder.finish().unwrap().head;
    case.seal(&head);
    assert_eq!(case.verdict().text, "intact", "{:#?}", case.verdict());
    for name in ["program.mp4", "site-17611.mp4"] {
        let file = case.folder.join(name);
        let [video, audio] = packets(&file);
        assert_eq!(video, clip.video.iter().map(|unit| expected(unit.ticks, &unit.data)).collect::<Vec<_>>());
        assert_eq!(audio, clip.audio.iter().map(|packet| expected(packet.ticks, &packet.data)).collect::<Vec<_>>());
        quiet("ffmpeg", &[], &file);
    }
    if let Ok(keep) = std::env::var("KEEP_RECORD") {
        std::fs::copy(case.folder.join("program.mp4"), keep).unwrap();
    }
}

#[test]
fn a_change_of_resolution_ends_the_file_and_both_parts_play() {
    let case = case();
    let (recorder, _) = case.start(Role::Box, 1);
    let stream = site("17611");
    feed(&recorder, &stream, &common::clip("320x180", 2, 1_000));
    feed(&recorder, &stream, &common::clip("640x360", 2, 3_000));
    recorder.finish().unwrap();
    assert_eq!(case.verdict().text, "intact");
    for (name, size) in [("site-17611.mp4", "320,180"), ("site-17611.2.mp4", "640,360")] {
        let file = case.folder.join(name);
        let [video, audio] = packets(&file);
        assert_eq!(video.len(), 50, "{name}");
        assert!((100..=101).contains(&audio.len()), "{name}: {}", audio.len());
        let shown = quiet(
            "ffprobe",
            &["-show_entries", "stream=width,height", "-select_streams", "v", "-of", "csv=p=0"],
            &file,
        );
        assert_eq!(shown.trim(), size);
        quiet("ffmpeg", &[], &file);
    }
}

#[test]
fn pictures_without_sound_play_too() {
    let case = case();
    let (recorder, events) = case.start(Role::Box, 1);
    for unit in &standard().video {
        recorder.video(&Stream::Program, unit.clone());
    }
    recorder.finish().unwrap();
    let file = case.folder.join("program.mp4");
    let [video, audio] = packets(&file);
    assert_eq!((video.len(), audio.len()), (150, 0));
    quiet("ffmpeg", &[], &file);
    let written = events.lock().unwrap().iter().filter(|e| matches!(e, RecordEvent::Written { .. })).count();
    assert_eq!(written, 13);
}

#[test]
fn the_seek_index_leads_to_the_key_frames() {
    let case = case();
    let (recorder, _) = case.start(Role::Box, 1);
    feed(&recorder, &Stream::Program, standard());
    recorder.finish().unwrap();
    let file = case.folder.join("program.mp4");
    // From 8 s on the next earlier key frame is the one at 7.2 s (every 50 pictures from 3.2 s).
    let near =
        ["-read_intervals", "8%+#1", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    assert_eq!(quiet("ffprobe", &near, &file).trim().trim_end_matches(','), "7.200000");
    let bytes = std::fs::read(&file).unwrap();
    let len = u32::from_be_bytes(bytes[bytes.len() - 4..].try_into().unwrap()) as usize;
    assert_eq!(&bytes[bytes.len() - len + 4..bytes.len() - len + 8], b"mfra");
}
