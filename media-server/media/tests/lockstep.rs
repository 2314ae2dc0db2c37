//! Real encoders and decoders, in lockstep: what goes in comes out before the next goes in. No clock, no sleep.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod marked;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::media::OpusPacket;
use marked::{clip, luma, marked, order, picture, ticks};
use server_core::{
    BLOCK, Block, Frame, Micros, Mixer, MixerConfig, Output, Picture, Presence, Site, Size, SoundDecoder,
};
use server_media::{Decoder, Encoder, EncoderEvent, OpusDec, OpusEnc, ProgramEncoder, Use};

/// Nothing here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn encoder_gives_each_frames_unit_before_the_next_frame_with_its_exact_ticks() {
    server_media::init().unwrap();
    let mut encoder = Encoder::new(order(1280, 720)).unwrap();
    let mut decoder = Decoder::new().unwrap();
    for n in 0..120 {
        let mut units = Vec::new();
        encoder.encode(picture(1280, 720, n), ticks(n), n == 70, |unit| units.push(unit)).unwrap();
        assert_eq!(units.len(), 1, "{n}");
        let unit = &units[0];
        assert_eq!(unit.ticks, ticks(n));
        // Every 2 s and when asked, with its parameter sets.
        assert_eq!(unit.key, [0, 50, 70].contains(&n) || n == 120, "{n}");
        let kinds: Vec<u8> = unit.nals().map(|nal| nal[0] & 0x1F).collect();
        assert_eq!(unit.key, kinds.contains(&7) && kinds.contains(&8), "{n}: {kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| [1, 5].contains(*kind)).count(), 1, "one slice: {kinds:?}");
        if n == 0 {
            let sps = unit.nals().find(|nal| nal[0] & 0x1F == 7).unwrap();
            assert_eq!(sps[1], 77, "main profile");
        }

        let mut pictures = Vec::new();
        decoder.decode(unit, |ticks, picture| pictures.push((ticks, picture))).unwrap();
        assert_eq!(pictures.len(), 1, "{n}");
        assert_eq!((pictures[0].0, pictures[0].1.size()), (ticks(n), Size { width: 1280, height: 720 }));
        assert!(marked(&pictures[0].1).abs_diff(luma(n)) <= 4, "{n}: {} {}", marked(&pictures[0].1), luma(n));
    }
}

#[test]
fn canvas_is_free_again_when_its_unit_is_out() {
    server_media::init().unwrap();
    let mut encoder = Encoder::new(order(640, 360)).unwrap();
    let frame = Arc::new(Frame::black(Size { width: 640, height: 360 }));
    for n in 0..10 {
        encoder.encode(Picture::from(Arc::clone(&frame)), ticks(n), false, |_| {}).unwrap();
        assert_eq!(Arc::strong_count(&frame), 1, "{n}");
    }
}

#[test]
fn bit_rate_stays_near_what_was_ordered() {
    server_media::init().unwrap();
    let bytes: usize = clip(1280, 720, 150).iter().map(|unit| unit.data.len()).sum();
    let kbps = bytes * 8 / 6 / 1_000;
    assert!(kbps < 2_600, "{kbps}");
}

#[test]
fn decoder_keeps_pictures_valid_while_it_goes_on_and_takes_odd_shapes() {
    server_media::init().unwrap();
    for (width, height) in [(480, 360), (426, 240), (202, 360), (640, 360)] {
        let mut decoder = Decoder::new().unwrap();
        let mut kept = Vec::new();
        for unit in clip(width, height, 40) {
            decoder.decode(&unit, |_, picture| kept.push(picture)).unwrap();
        }
        drop(decoder);
        assert_eq!(kept.len(), 40);
        for (n, picture) in kept.iter().enumerate() {
            assert_eq!(picture.size(), Size { width, height });
            assert!(marked(picture).abs_diff(luma(n)) <= 4, "{width}×{height} {n}");
        }
    }
}

#[test]
fn change_of_resolution_goes_on_without_a_new_decoder() {
    server_media::init().unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut sizes = Vec::new();
    for unit in clip(640, 360, 3).into_iter().chain(clip(1280, 720, 3)) {
        decoder.decode(&unit, |_, picture| sizes.push(picture.size().height)).unwrap();
    }
    assert_eq!(sizes, [360, 360, 360, 720, 720, 720]);
}

#[test]
fn program_encoder_makes_one_unit_per_frame_in_its_thread_and_key_frames_on_demand() {
    server_media::init().unwrap();
    let (events, received) = mpsc::channel();
    let encoder = ProgramEncoder::start(order(1280, 720), || {}, move |event| drop(events.send(event))).unwrap();
    for n in 0..30 {
        if n == 17 {
            encoder.force_key();
            encoder.force_key();
        }
        assert!(encoder.push(picture(1280, 720, n), ticks(n)));
        match received.recv_timeout(DEADLINE).unwrap() {
            EncoderEvent::Unit(unit) => assert_eq!((unit.ticks, unit.key), (ticks(n), n == 0 || n == 17)),
            EncoderEvent::Failed(error) => panic!("{error}"),
        }
    }
    // A picture of a wrong size is refused and harms nothing that follows.
    encoder.push(picture(640, 360, 0), ticks(30));
    assert!(matches!(received.recv_timeout(DEADLINE).unwrap(), EncoderEvent::Failed(_)));
    encoder.push(picture(1280, 720, 0), ticks(31));
    assert!(matches!(received.recv_timeout(DEADLINE).unwrap(), EncoderEvent::Unit(unit) if unit.key));
}

fn tone(n: u64) -> f64 {
    // Swept, so that a shift in time cannot hide behind a period.
    let t = n as f64 / 48_000.0;
    (std::f64::consts::TAU * (300.0 * t + 200.0 * t * t)).sin() * 0.4
}

fn block(n: u64) -> Block {
    std::array::from_fn(|i| (tone(n * BLOCK as u64 + i as u64) * 32_767.0) as i16)
}

/// Place by which `heard` (beginning at place `at`) is later than the tone, the best of ±10 ms.
fn shift(heard: &[f32], at: i64) -> i64 {
    let match_at = |shift: i64| -> f64 {
        heard.iter().enumerate().map(|(i, s)| f64::from(*s) * tone((at + i as i64 - shift) as u64)).sum()
    };
    (-480..=480).max_by(|a, b| match_at(*a).total_cmp(&match_at(*b))).expect("961 of them")
}

#[test]
fn opus_packets_carry_the_place_at_which_their_sound_really_is() {
    for purpose in [Use::Program, Use::MixMinus] {
        let (mut encoder, mut decoder) = (OpusEnc::new(purpose).unwrap(), OpusDec::new().unwrap());
        let (mut heard, mut begin) = (Vec::new(), None);
        for n in 10..60 {
            let packet = encoder.encode(n * BLOCK as u64, &block(n)).unwrap();
            begin.get_or_insert(packet.ticks);
            assert_eq!(packet.ticks, n * BLOCK as u64 - encoder.lookahead());
            assert!((9..=13).contains(&packet.level), "{}", packet.level);
            decoder.decode(&packet.data, &mut heard).unwrap();
        }
        assert_eq!(heard.len(), 50 * BLOCK);
        let skip = 10 * BLOCK;
        let off = shift(&heard[skip..skip + 9_600], begin.unwrap() as i64 + skip as i64);
        assert!(off.abs() <= 12, "{purpose:?}: {off} samples");
    }
}

#[test]
fn lost_sound_is_made_again_or_made_up_and_garbage_is_an_error() {
    let (mut encoder, mut decoder) = (OpusEnc::new(Use::MixMinus).unwrap(), OpusDec::new().unwrap());
    let packets: Vec<OpusPacket> = (0..40).map(|n| encoder.encode(n * BLOCK as u64, &block(n)).unwrap()).collect();
    let mut heard = Vec::new();
    for packet in &packets[..30] {
        decoder.decode(&packet.data, &mut heard).unwrap();
    }
    heard.clear();
    decoder.recover(&packets[31].data, BLOCK, &mut heard).unwrap();
    assert_eq!(heard.len(), BLOCK);
    let power = heard.iter().map(|s| s * s).sum::<f32>() / BLOCK as f32;
    assert!(power > 0.005, "{power}");
    heard.clear();
    for samples in [120, 360, 480, 600, 960] {
        decoder.conceal(samples, &mut heard);
    }
    assert_eq!(heard.len(), 2_520);
    assert!(decoder.decode(&[0xFF; 3], &mut heard).is_err());
    assert!(decoder.decode(&packets[32].data, &mut heard).is_ok());
}

/// Four sites through real codecs into one frame of the program, for people to look at.
#[test]
fn whole_program_frame_is_written_as_a_picture() {
    server_media::init().unwrap();
    let font =
        |name: &str| std::fs::read(format!("/usr/share/fonts/truetype/noto/{name}.ttf")).expect("fonts-noto-core");
    let fonts = server_core::Fonts::new(font("NotoSans-Regular"), font("NotoSans-Bold")).unwrap();
    let decoder = || Box::new(OpusDec::new().unwrap()) as Box<dyn SoundDecoder>;
    let start = Micros::from_video_ticks(ticks(0));
    let mut mixer = Mixer::new(MixerConfig {
        fonts,
        lang: bridgepoint_wire::text::Lang::Vi,
        canvas: server_core::CANVAS,
        start,
        decoder: Box::new(decoder),
    });
    let sites: Vec<Site> = [
        ("16681", "Tri Lễ"),
        ("17611", "Mường Xén"),
        ("17209", "Nghĩa Đàn"),
        ("16879", "Uỷ ban nhân dân xã Châu Khê, huyện Con Cuông, tỉnh Nghệ An"),
    ]
    .map(|(code, name)| Site { code: SiteCode::from_str(code).unwrap(), name: name.into() })
    .to_vec();
    mixer.set_sites(start, &sites);
    mixer.handle_on_record(true);
    mixer.handle_mute(start, &sites[1].code, true);
    for (site, (width, height)) in sites.iter().zip([(640, 360), (480, 360), (202, 360)]) {
        mixer.handle_presence(start, &site.code, Presence::Live);
        let mut decoder = Decoder::new().unwrap();
        for unit in clip(width, height, 4) {
            let arrived = Micros::from_video_ticks(unit.ticks);
            decoder.decode(&unit, |ticks, picture| mixer.handle_picture(&site.code, ticks, &picture, arrived)).unwrap();
        }
    }
    let mut last = None;
    while let Some(output) = mixer.poll(start + Micros::from_millis(150)) {
        if let Output::Frame { picture, .. } = output {
            last = Some(picture);
        }
    }
    let frame = last.unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let raw = folder.join("program.i420");
    std::fs::write(&raw, frame.whole().unwrap().data).unwrap();
    let png = folder.join("program.png");
    let made = std::process::Command::new("ffmpeg")
        .args(["-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "1280x720", "-i"])
        .arg(&raw)
        .arg(&png)
        .status()
        .unwrap();
    assert!(made.success());
    println!("{}", png.display());
}

/// How much of a CPU the codecs cost: `cargo test --release -p server-media -- --ignored --nocapture budget`.
#[test]
#[ignore = "prints times, proves nothing"]
fn budget() {
    server_media::init().unwrap();
    // This thread's nanoseconds on a CPU: everything here happens in it.
    let cpu = || -> f64 {
        let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
    };
    for (width, height) in [(426, 240), (640, 360), (1280, 720)] {
        let units = clip(width, height, 250);
        let mut decoder = Decoder::new().unwrap();
        let began = cpu();
        for unit in &units {
            decoder.decode(unit, |_, _| {}).unwrap();
        }
        println!("decode {width}x{height}: {:.4} CPU s/s", (cpu() - began) / 10.0);
    }
    let pictures: Vec<Picture> = (0..50).map(|n| picture(1280, 720, n)).collect();
    let mut encoder = Encoder::new(order(1280, 720)).unwrap();
    let began = cpu();
    for n in 0..250 {
        encoder.encode(pictures[n % 50].clone(), ticks(n), false, |_| {}).unwrap();
    }
    println!("encode 1280x720: {:.4} CPU s/s", (cpu() - began) / 10.0);
    let (mut encoder, mut decoder) = (OpusEnc::new(Use::Program).unwrap(), OpusDec::new().unwrap());
    let began = cpu();
    let packets: Vec<OpusPacket> = (0..500).map(|n| encoder.encode(n * 960, &block(n)).unwrap()).collect();
    println!("encode sound: {:.4} CPU s/s", (cpu() - began) / 10.0);
    let mut out = Vec::new();
    let began = cpu();
    for packet in &packets {
        out.clear();
        decoder.decode(&packet.data, &mut out).unwrap();
    }
    println!("decode sound: {:.4} CPU s/s", (cpu() - began) / 10.0);
}
