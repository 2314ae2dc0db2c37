//! The whole mix on a simulated clock: what a viewer sees against what he hears.

use std::str::FromStr;
use std::sync::Arc;

use bridgepoint_wire::local::{ProgramStage, SiteRole, SiteStage};

use super::*;
use crate::audio::DecodeFailed;
use crate::layout::Size;
use crate::picture::Frame;
use crate::text::tests::fonts;

/// A packet's samples are all its second byte, in hundredths.
struct Fake;

impl SoundDecoder for Fake {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        out.extend([f32::from(packet[1]) / 100.0; BLOCK]);
        Ok(())
    }
    fn recover(&mut self, _: &[u8], _: usize, _: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        Err(DecodeFailed)
    }
    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        out.resize(out.len() + samples, 0.0);
    }
}

fn code(text: &str) -> SiteCode {
    SiteCode::from_str(text).unwrap()
}

fn picture(luma: u8) -> Picture {
    let mut frame = Frame::black(Size { width: 640, height: 360 });
    frame.fill(crate::Rect { x: 0, y: 0, width: 640, height: 360 }, [luma, 128, 128]);
    Picture::from(Arc::new(frame))
}

/// Reproducible noise, 0 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 31)
    }
}

/// A site as its link delivers it.
#[derive(Clone, Copy)]
struct Line {
    fps: f64,
    /// Its clock is this much off, and this much fast.
    clock_ms: f64,
    ppm: f64,
    /// Milliseconds from capture to arrival, and what is added at random (evenly up to).
    picture_ms: (f64, f64),
    sound_ms: (f64, f64),
}

const CALM: Line = Line { fps: 25.0, clock_ms: 0.0, ppm: 0.0, picture_ms: (35.0, 10.0), sound_ms: (24.0, 5.0) };

enum Event {
    Picture(u64, u8),
    Sound(OpusPacket),
}

/// What a site that flashes and beeps for 120 ms each second sends within `seconds`, by arrival time.
fn arrivals(line: Line, seconds: f64, noise: &mut Noise) -> Vec<(Micros, Event)> {
    let marked = |captured: f64| captured.fract() < 0.12;
    let mut events = Vec::new();
    let site_clock = |t: f64| t * (1.0 + line.ppm / 1e6) + line.clock_ms / 1e3;
    let mut picture_before = 0.0_f64;
    for n in 0..(seconds * line.fps) as u64 {
        let captured = n as f64 / line.fps + 0.0071;
        let arrives = (captured + (line.picture_ms.0 + noise.next() * line.picture_ms.1) / 1e3).max(picture_before);
        picture_before = arrives;
        let luma = if marked(captured + 1e-6) { 200 } else { 60 };
        events.push((
            Micros((arrives * 1e6) as i64),
            Event::Picture((site_clock(captured + 100.0) * 90_000.0) as u64, luma),
        ));
    }
    let mut sound_before = 0.0_f64;
    let begin = (site_clock(100.0) * 48_000.0) as u64;
    for n in 0..(seconds * 50.0) as u64 {
        // The site's samples are counted by its own clock.
        let captured = n as f64 * 0.02 / (1.0 + line.ppm / 1e6);
        let arrives = (captured + (line.sound_ms.0 + noise.next() * line.sound_ms.1) / 1e3).max(sound_before);
        sound_before = arrives;
        let data = vec![31 << 3, if marked(captured + 1e-6) { 50 } else { 0 }];
        let packet = OpusPacket { ticks: begin + n * 960, data: data.into(), level: 0 };
        events.push((Micros((arrives * 1e6) as i64), Event::Sound(packet)));
    }
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, event)| (at + Micros::from_millis(100_000), event)).collect()
}

/// Program instants (ms) at which tile 0 turned bright, at which sound began, and the frames' lumas.
struct Heard {
    flashes: Vec<f64>,
    beeps: Vec<f64>,
    frames: Vec<(u64, u8)>,
    blocks: Vec<u64>,
}

fn mixer() -> Mixer {
    let mut mixer = Mixer::new(MixerConfig {
        fonts: fonts(),
        lang: Lang::Vi,
        canvas: crate::CANVAS,
        start: Micros::from_millis(100_000),
        decoder: Box::new(|| Box::new(Fake)),
    });
    let site = |code: &SiteCode, name: &str| Site { code: code.clone(), name: name.into() };
    mixer.set_sites(Micros::from_millis(100_000), &[site(&code("a"), "A"), site(&code("b"), "B")]);
    mixer
}

/// Plays arrivals and ticks, the tick thread being late by up to `tick_ms`.
fn play(events: Vec<(Micros, Event)>, tick_ms: f64, noise: &mut Noise) -> (Heard, Mixer) {
    let mut mixer = mixer();
    let mut heard = Heard { flashes: vec![], beeps: vec![], frames: vec![], blocks: vec![] };
    let (mut bright, mut loud) = (false, false);
    let end = events.last().unwrap().0;
    let mut events = events.into_iter().peekable();
    loop {
        let now = mixer.poll_timeout() + Micros((noise.next() * tick_ms * 1e3) as i64);
        if now > end {
            return (heard, mixer);
        }
        while let Some((arrived, event)) = events.next_if(|(at, _)| *at <= now) {
            match event {
                Event::Picture(ticks, luma) => mixer.handle_picture(&code("a"), ticks, &picture(luma), arrived),
                Event::Sound(packet) => mixer.handle_packet(&code("a"), packet, arrived),
            }
        }
        while let Some(output) = mixer.poll(now) {
            match output {
                Output::Frame { ticks, picture, .. } => {
                    let plane = picture.plane(0);
                    let luma = plane.data[300 * plane.stride + 300];
                    if (luma > 150) != std::mem::replace(&mut bright, luma > 150) && bright {
                        heard.flashes.push(ticks as f64 / 90.0);
                    }
                    heard.frames.push((ticks, luma));
                }
                Output::Seen(..) => {}
                Output::Sound(mix) => {
                    for (n, sample) in mix.shared.iter().enumerate() {
                        if (*sample > 8_000) != std::mem::replace(&mut loud, *sample > 8_000) && loud {
                            heard.beeps.push((mix.ticks as f64 + n as f64) / 48.0);
                        }
                    }
                    heard.blocks.push(mix.ticks);
                }
            }
        }
    }
}

/// Flash minus beep of each second from the third on, sorted, ms.
fn lip_sync(heard: &Heard) -> Vec<f64> {
    let mut offsets: Vec<f64> = heard
        .flashes
        .iter()
        .filter(|at| **at > 103_000.0)
        .filter_map(|flash| heard.beeps.iter().map(|beep| flash - beep).min_by(|a, b| a.abs().total_cmp(&b.abs())))
        .collect();
    offsets.sort_by(f64::total_cmp);
    offsets
}

#[test]
fn picture_and_sound_stay_together_over_any_line() {
    let lines = [
        ("calm", CALM),
        ("clock half a minute off", Line { clock_ms: -30_000.0, ..CALM }),
        ("clock fast", Line { ppm: 200.0, ..CALM }),
        ("clock slow", Line { ppm: -200.0, ..CALM }),
        ("60 ms more", Line { picture_ms: (95.0, 10.0), sound_ms: (84.0, 10.0), ..CALM }),
        ("15 fps", Line { fps: 15.0, ..CALM }),
        ("30 fps", Line { fps: 30.0, ..CALM }),
        ("jitter", Line { picture_ms: (30.0, 90.0), sound_ms: (24.0, 60.0), ..CALM }),
        ("sound 80 ms later", Line { sound_ms: (120.0, 20.0), ..CALM }),
    ];
    for (name, line) in lines {
        let mut noise = Noise(7);
        let (heard, mixer) = play(arrivals(line, 43.0, &mut noise), 4.0, &mut noise);
        let offsets = lip_sync(&heard);
        assert!(offsets.len() >= 38, "{name}: {} flashes", offsets.len());
        let median = offsets[offsets.len() / 2];
        let (low, high) = (offsets[offsets.len() / 40], offsets[offsets.len() - 1 - offsets.len() / 40]);
        // What a camera's frame rate itself makes of it: half a frame.
        let frame = 1_000.0 / line.fps - 40.0;
        assert!(median.abs() <= 10.0 + frame.max(10.0), "{name}: median {median}");
        assert!(low >= -50.0 && high <= 50.0 + frame.max(0.0), "{name}: {low} to {high}");
        let stats = mixer.site_stats(&code("a")).unwrap().1;
        assert!(stats.late <= 40, "{name}: {stats:?}");
    }
}

#[test]
fn calm_site_is_shown_at_most_120_ms_after_its_capture() {
    let mut noise = Noise(3);
    let (heard, mixer) = play(arrivals(CALM, 20.0, &mut noise), 4.0, &mut noise);
    let delay = mixer.site_stats(&code("a")).unwrap().0.unwrap();
    assert!(delay <= Micros::from_millis(120), "{delay:?}");
    assert!(lip_sync(&heard).iter().all(|offset| offset.abs() <= 10.0), "{:?}", lip_sync(&heard));
}

#[test]
fn program_has_every_tick_once_whatever_the_ticks_thread_goes_through() {
    let mut noise = Noise(9);
    // Late by up to 150 ms, all the time.
    let (heard, mixer) = play(arrivals(CALM, 20.0, &mut noise), 150.0, &mut noise);
    assert!(heard.frames.windows(2).all(|w| w[1].0 - w[0].0 == 3_600));
    assert!(heard.blocks.windows(2).all(|w| w[1] - w[0] == 960));
    assert_eq!((heard.frames[0].0, heard.blocks[0]), (9_000_000, 4_800_000));
    assert_eq!(mixer.skipped(), (0, 0));
    assert!(lip_sync(&heard).iter().all(|offset| offset.abs() <= 40.0));
}

#[test]
fn tick_thread_that_sleeps_for_a_second_loses_no_sound() {
    let mut noise = Noise(11);
    let events = arrivals(CALM, 12.0, &mut noise);
    let mut mixer = mixer();
    let (mut events, mut blocks, mut frames) = (events.into_iter().peekable(), 0, 0);
    // Awake every 5 ms, but for one second in the middle.
    for step in (0..1_000).chain(1_200..2_200) {
        let now = Micros::from_millis(100_000 + step * 5);
        while let Some((arrived, event)) = events.next_if(|(at, _)| *at <= now) {
            match event {
                Event::Picture(ticks, luma) => mixer.handle_picture(&code("a"), ticks, &picture(luma), arrived),
                Event::Sound(packet) => mixer.handle_packet(&code("a"), packet, arrived),
            }
        }
        while let Some(output) = mixer.poll(now) {
            match output {
                Output::Frame { .. } => frames += 1,
                Output::Sound(_) => blocks += 1,
                Output::Seen(..) => {}
            }
        }
    }
    let stats = mixer.site_stats(&code("a")).unwrap().1;
    assert_eq!((stats.late, stats.concealed, stats.broken), (0, 0, 0));
    assert_eq!((blocks, frames, mixer.skipped()), (549, 275, (0, 0)));
}

#[test]
fn site_that_stalls_stops_nobody_and_comes_back_in_sync() {
    let mut noise = Noise(5);
    let gone = |at: Micros| (Micros::from_millis(110_000)..Micros::from_millis(116_000)).contains(&at);
    let events = arrivals(CALM, 30.0, &mut noise).into_iter().filter(|(at, _)| !gone(*at)).collect();
    let (heard, _) = play(events, 4.0, &mut noise);
    assert!(heard.frames.windows(2).all(|w| w[1].0 - w[0].0 == 3_600));
    let slate = heard.frames.iter().filter(|(_, luma)| *luma == 44).count();
    // From 2 s after the last picture to the first new one; before the first picture ever, a few more.
    assert!((95..=110).contains(&slate), "{slate}");
    let offsets = lip_sync(&heard);
    assert!(offsets.len() >= 20 && offsets.iter().all(|offset| offset.abs() <= 20.0), "{offsets:?}");
}

/// Ten sites of which all are there and send pictures of their own grey; what operators order; what is seen.
struct Hall {
    mixer: Mixer,
    at: Micros,
    frames: BTreeMap<Program, Vec<u64>>,
    seen: BTreeMap<Program, Vec<String>>,
    last: BTreeMap<Program, Picture>,
}

const HALL: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

impl Hall {
    fn new() -> Self {
        let mut mixer = mixer();
        let at = Micros::from_millis(100_000);
        mixer.set_sites(at, &HALL.map(|name| Site { code: code(name), name: name.into() }));
        for name in HALL {
            mixer.handle_presence(at, &code(name), Presence::Live);
        }
        Self { mixer, at, frames: BTreeMap::new(), seen: BTreeMap::new(), last: BTreeMap::new() }
    }

    fn order(&mut self, stage: &Stage) {
        let layouts = Program::ALL.into_iter().filter_map(|program| {
            let layout = crate::Layouts::builtin().by_name(&stage.program(program)?.layout)?;
            Some((program, layout))
        });
        self.mixer.set_stage(self.at, stage.clone(), layouts.collect());
    }

    fn play(&mut self, millis: i64) {
        for _ in 0..millis / 20 {
            self.at = self.at + Micros::from_millis(20);
            for (n, name) in HALL.iter().enumerate() {
                let ticks = self.at.0 as u64 * 9 / 100;
                self.mixer.handle_picture(&code(name), ticks, &picture(40 + 20 * n as u8), self.at);
            }
            while let Some(output) = self.mixer.poll(self.at) {
                match output {
                    Output::Frame { program, ticks, picture } => {
                        self.frames.entry(program).or_default().push(ticks);
                        self.last.insert(program, picture);
                    }
                    Output::Seen(program, decision) => {
                        let order = decision.order.iter().map(SiteCode::as_str).collect();
                        self.seen.entry(program).or_default().push(order);
                    }
                    Output::Sound(_) => {}
                }
            }
        }
    }

    fn luma(&self, program: Program) -> u8 {
        let plane = self.last[&program].plane(0);
        plane.data[300 * plane.stride + 300]
    }
}

fn single(front: &str) -> ProgramStage {
    ProgramStage { layout: "single".into(), front: Some(code(front)), spotlight: None, follow: false }
}

fn two_programs() -> Stage {
    let official = SiteStage { role: SiteRole::Official, ..SiteStage::default() };
    Stage {
        main: ProgramStage { layout: "grid-4".into(), ..ProgramStage::default() },
        others: [(Program::Officials, single("j"))].into(),
        sites: [(code("a"), official)].into(),
        ..Stage::default()
    }
}

#[test]
fn two_programs_are_directed_apart_and_decoded_once_in_the_larger_size() {
    let mut hall = Hall::new();
    let mut stage = two_programs();
    hall.order(&stage);
    hall.play(1_000);
    assert_eq!(hall.seen[&Program::Main].last().unwrap(), "abcd");
    assert_eq!(hall.seen[&Program::Officials].last().unwrap(), "j");
    assert_eq!(hall.frames[&Program::Main], hall.frames[&Program::Officials]);
    assert_eq!((hall.luma(Program::Main), hall.luma(Program::Officials)), (40, 220));
    let size = |hall: &Hall, name: &str| hall.mixer.visible().get(&code(name)).map(|size| size.width);
    let sizes = ["a", "d", "e", "j"].map(|name| size(&hall, name));
    assert_eq!(sizes, [Some(640), Some(640), None, Some(1280)]);
    // The same site in both: once, as large as the larger one.
    stage.main.front = Some(code("j"));
    hall.order(&stage);
    hall.play(1_000);
    assert_eq!(hall.seen[&Program::Main].last().unwrap(), "jabc");
    assert_eq!((hall.seen[&Program::Officials].len(), size(&hall, "j")), (1, Some(1280)));
}

#[test]
fn a_program_that_nobody_gets_is_not_composed_and_nobody_is_seen_because_of_it() {
    let mut hall = Hall::new();
    let mut stage = two_programs();
    let official = std::mem::take(&mut stage.sites);
    hall.order(&stage);
    hall.play(1_000);
    assert!(!hall.frames.contains_key(&Program::Officials) && !hall.mixer.visible().contains_key(&code("j")));
    stage.sites = official;
    hall.order(&stage);
    let before = hall.frames[&Program::Main].len();
    hall.play(1_000);
    assert_eq!(hall.frames[&Program::Officials], hall.frames[&Program::Main][before..]);
    // Recorded, it is made without anybody who gets it; then the main one is for those that remain.
    stage.recorded = Program::Officials;
    stage.sites = HALL.map(|name| (code(name), SiteStage { role: SiteRole::Chair, ..SiteStage::default() })).into();
    hall.order(&stage);
    let before = hall.frames[&Program::Main].len();
    hall.play(1_000);
    assert_eq!(hall.frames[&Program::Main].len(), before, "nobody gets the main program");
    stage.sites.clear();
    hall.order(&stage);
    hall.play(1_000);
    assert_eq!(hall.frames[&Program::Main].len(), before + 25);
    assert_eq!(hall.frames[&Program::Officials].len(), 75);
}

#[test]
fn a_new_program_begins_with_the_pictures_of_those_that_were_in_sight() {
    let mut hall = Hall::new();
    let mut stage = two_programs();
    let official = std::mem::take(&mut stage.sites);
    hall.order(&stage);
    hall.play(1_000);
    stage.others.insert(Program::Officials, single("b"));
    stage.sites = official;
    hall.order(&stage);
    hall.play(40);
    assert_eq!((hall.frames[&Program::Officials].len(), hall.luma(Program::Officials)), (1, 60));
}
