//! The mixer at work in real time: N sites' thumbs decoded, composed, encoded, their sound mixed, as a worker does it
//! but without a link. Prints what it costs and what it gives.
//!
//! `cargo run --release -p server-media --example mix -- [SITES] [SECONDS] [WIDTHxHEIGHT of what they send]`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use bridgepoint_wire::text::Lang;
use server_core::{
    BLOCK, CANVAS, Fonts, Frame, Micros, Mixer, MixerConfig, Output, Picture, Presence, Rect, Site, Size, SoundDecoder,
    tile_size,
};
use server_media::{DecoderEvent, Encoder, EncoderEvent, OpusDec, OpusEnc, ProgramEncoder, Use, VideoDecoder};

enum Input {
    Picture(SiteCode, u64, Picture),
    Sound(SiteCode, OpusPacket),
}

/// Frames of a clip that is played again and again; both marks last 120 ms and begin each second.
const CLIP: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let sites: usize = args.next().map_or(Ok(4), |text| text.parse())?;
    let seconds: u64 = args.next().map_or(Ok(15), |text| text.parse())?;
    let size = match args.next().as_deref().and_then(|text| text.split_once('x')) {
        Some((width, height)) => Size { width: width.parse()?, height: height.parse()? },
        None => tile_size(sites, CANVAS),
    };
    server_media::init()?;
    let units = clip(size)?;
    let packets = sound()?;
    let names: Vec<Site> = (0..sites)
        .map(|n| Ok(Site { code: SiteCode::try_from(format!("{}", 16_681 + n))?, name: format!("Điểm cầu {n}") }))
        .collect::<Result<_, Box<dyn Error>>>()?;

    let began = Instant::now();
    let now = move || Micros(began.elapsed().as_micros() as i64);
    let (inputs, received) = channel();
    for site in &names {
        feed(site.code.clone(), units.clone(), packets.clone(), inputs.clone(), now, seconds)?;
    }
    drop(inputs);

    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let order = VideoOrder { width: 1_280, height: 720, fps: 25, kbps: 2_000 };
    let encoder = ProgramEncoder::start(
        order,
        || {},
        move |event| match event {
            EncoderEvent::Unit(_) => drop(counted.fetch_add(1, Ordering::Relaxed)),
            EncoderEvent::Failed(error) => eprintln!("{error}"),
        },
    )?;
    let before = cpu()?;
    let report = tick_thread(&names, &received, &encoder, now)?;
    let spent = (cpu()? - before) / began.elapsed().as_secs_f64();
    println!(
        "{sites} sites of {}x{}: {spent:.3} CPU s/s, {} program frames in {seconds} s",
        size.width,
        size.height,
        made.load(Ordering::Relaxed)
    );
    println!("{report}");
    Ok(())
}

/// What a conference worker's tick thread does.
fn tick_thread(
    names: &[Site],
    received: &Receiver<(Micros, Input)>,
    encoder: &ProgramEncoder,
    now: impl Fn() -> Micros,
) -> Result<String, Box<dyn Error>> {
    let font = |name: &str| std::fs::read(format!("/usr/share/fonts/truetype/noto/{name}.ttf"));
    let mut mixer = Mixer::new(MixerConfig {
        fonts: Fonts::new(font("NotoSans-Regular")?, font("NotoSans-Bold")?)?,
        lang: Lang::Vi,
        canvas: CANVAS,
        start: now(),
        decoder: Box::new(|| Box::new(OpusDec::new().expect("memory for a decoder")) as Box<dyn SoundDecoder>),
    });
    mixer.set_sites(now(), names);
    mixer.handle_on_record(true);
    for site in names {
        mixer.handle_presence(now(), &site.code, Presence::Live);
    }
    let mut shared = OpusEnc::new(Use::Program)?;
    let mut minus: Vec<(SiteCode, OpusEnc)> = Vec::new();
    let (mut flashes, mut beeps, mut bright, mut loud) = (Vec::new(), Vec::new(), true, true);
    loop {
        let wait = (mixer.poll_timeout() - now()).0.max(0) as u64;
        let mut next = match received.recv_timeout(Duration::from_micros(wait)) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // First the clock, then all that has arrived, then what was due at that instant.
        let at = now();
        while let Some((arrived, input)) = next.take() {
            match input {
                Input::Picture(code, ticks, picture) => mixer.handle_picture(&code, ticks, &picture, arrived),
                Input::Sound(code, packet) => mixer.handle_packet(&code, packet, arrived),
            }
            next = received.try_recv().ok();
        }
        while let Some(output) = mixer.poll(at) {
            match output {
                Output::Frame { ticks, picture, .. } => {
                    let plane = picture.plane(0);
                    let mark = plane.data[120 * plane.stride + 200] > 150;
                    if mark && !std::mem::replace(&mut bright, mark) {
                        flashes.push(ticks as f64 / 90.0);
                    }
                    bright = mark;
                    encoder.push(picture, ticks);
                }
                Output::Seen(..) => {}
                Output::Sound(mix) => {
                    let peak = mix.shared.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0) > 3_000;
                    if peak && !loud {
                        let n = mix.shared.iter().position(|sample| sample.unsigned_abs() > 3_000).unwrap_or(0);
                        beeps.push((mix.ticks as f64 + n as f64) / 48.0);
                    }
                    loud = peak;
                    // One goes to everybody and into the record, the others each to its site.
                    shared.encode(mix.ticks, &mix.shared)?;
                    for (code, block) in &mix.minus {
                        if !minus.iter().any(|(have, _)| have == code) {
                            minus.push((code.clone(), OpusEnc::new(Use::MixMinus)?));
                        }
                        if let Some((_, encoder)) = minus.iter_mut().find(|(have, _)| have == code) {
                            encoder.encode(mix.ticks, block)?;
                        }
                    }
                }
            }
        }
    }
    let mut offsets: Vec<f64> = flashes
        .iter()
        .filter_map(|flash| beeps.iter().map(|beep| flash - beep).min_by(|a, b| a.abs().total_cmp(&b.abs())))
        .collect();
    offsets.sort_by(f64::total_cmp);
    let stats: Vec<String> = names
        .iter()
        .filter_map(|site| mixer.site_stats(&site.code))
        .map(|(delay, stats)| format!("  delay {:.1} ms, {stats:?}", delay.unwrap_or_default().0 as f64 / 1e3))
        .collect();
    Ok(format!(
        "picture after sound, ms: {:?} (min, median, max of {})\nskipped {:?}, encoder dropped {}\n{}",
        [offsets.first(), offsets.get(offsets.len() / 2), offsets.last()],
        offsets.len(),
        mixer.skipped(),
        encoder.dropped(),
        stats.join("\n")
    ))
}

/// A site: paced like a live device, its pictures through a decoder of its own.
fn feed(
    code: SiteCode,
    units: Vec<AccessUnit>,
    packets: Vec<OpusPacket>,
    inputs: Sender<(Micros, Input)>,
    now: impl Fn() -> Micros + Copy + Send + 'static,
    seconds: u64,
) -> Result<(), Box<dyn Error>> {
    let (site, pictures) = (code.clone(), inputs.clone());
    let decoder = VideoDecoder::start(
        code.as_str(),
        || {},
        move |event| match event {
            DecoderEvent::Picture { ticks, picture } => {
                drop(pictures.send((now(), Input::Picture(site.clone(), ticks, picture))));
            }
            DecoderEvent::KeyWanted => {}
            DecoderEvent::Failed(error) => eprintln!("{error}"),
        },
    )?;
    thread::spawn(move || {
        // 20 ms at a time: a picture every other time.
        for step in 0..seconds * 50 {
            let captured = Micros::from_millis(step as i64 * 20 + 7);
            // What capture and encoder took.
            let wait = (captured + Micros::from_millis(25) - now()).0.max(0) as u64;
            thread::sleep(Duration::from_micros(wait));
            let mut packet = packets[step as usize % packets.len()].clone();
            packet.ticks = captured.samples() as u64;
            drop(inputs.send((now(), Input::Sound(code.clone(), packet))));
            if step % 2 == 0 {
                let mut unit = units[(step / 2) as usize % CLIP].clone();
                unit.ticks = step * 1_800 + 630;
                decoder.push(unit, false);
            }
        }
    });
    Ok(())
}

fn clip(size: Size) -> Result<Vec<AccessUnit>, Box<dyn Error>> {
    let order = VideoOrder { width: size.width as u16, height: size.height as u16, fps: 25, kbps: 800 };
    let mut encoder = Encoder::new(order)?;
    let mut units = Vec::new();
    let mut noise = 1_u32;
    for n in 0..CLIP {
        let mut frame = Frame::black(size);
        // Something to do for encoders: a soft, moving, slightly noisy picture.
        for index in 0..3 {
            let (data, stride) = frame.plane_mut(index);
            for (y, row) in data.chunks_mut(stride).enumerate() {
                for (x, pixel) in row.iter_mut().enumerate() {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let wave = ((x + 3 * n) as f32 * 0.03).sin() + ((y + n) as f32 * 0.05).cos();
                    *pixel = (110.0 + 20.0 * wave + (noise >> 30) as f32) as u8;
                }
            }
        }
        let mark = if n % 25 < 3 { 220 } else { 30 };
        let (width, height) = ((size.width / 2) & !1, (size.height / 2) & !1);
        frame.fill(Rect { x: (width / 2) & !1, y: (height / 2) & !1, width, height }, [mark, 128, 128]);
        encoder.encode(Picture::from(Arc::new(frame)), n as u64 * 3_600, false, |unit| units.push(unit))?;
    }
    Ok(units)
}

fn sound() -> Result<Vec<OpusPacket>, Box<dyn Error>> {
    let mut encoder = OpusEnc::new(Use::Program)?;
    // The marks are early by the encoder's look-ahead, as a box takes it off its ticks.
    let ahead = encoder.lookahead() as usize;
    let blocks = (0..CLIP * 2).map(|n| {
        let block = std::array::from_fn(|i| {
            let place = n * BLOCK + i + ahead;
            let loud = if place % 48_000 < 5_760 { 9_000.0 } else { 200.0 };
            ((place as f64 * 0.13).sin() * loud) as i16
        });
        encoder.encode(0, &block)
    });
    Ok(blocks.collect::<Result<_, _>>()?)
}

/// CPU seconds of this process so far.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no stat")?.1;
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}
