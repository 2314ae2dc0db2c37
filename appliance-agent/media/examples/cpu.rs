//! What a box's capture and encoding cost: `cpu CLIP SECONDS WIDTHxHEIGHT KBPS THUMBWxTHUMBH`.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent_media::clip::ClipCamera;
use agent_media::encode::{Encoder, Encodings};
use agent_media::sound::Microphone;
use agent_media::timeline::Timeline;
use agent_media::{Captured, Encoding};
use bridgepoint_wire::command::VideoOrder;

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let size = |text: &str| { let (w, h) = text.split_once('x').unwrap(); (w.parse().unwrap(), h.parse().unwrap()) };
    let (w, h) = size(&args[3]);
    let (tw, th) = size(&args[5]);
    let encoder = Encoder::choose(&["x264enc".into()], "ultrafast").unwrap();
    let mut camera = ClipCamera::open(args[1].as_ref(), 25).unwrap();
    let count = Arc::new(Mutex::new((0, 0, 0)));
    let c = count.clone();
    let mut enc = Encodings::new(&encoder, VideoOrder { width: w, height: h, fps: 25, kbps: args[4].parse().unwrap() }, VideoOrder { width: tw, height: th, fps: 25, kbps: 300 }, move |e, u| {
        let mut c = c.lock().unwrap();
        if e == Encoding::Main { c.0 += 1; c.1 += u.data.len(); } else { c.2 += u.data.len(); }
    });
    let mut mic = Microphone::new(48, false).unwrap();
    let timeline = Timeline::new(timeline_now());
    camera.start(move |x| match x {
        Captured::Picture { picture, at } => enc.push(&picture, timeline.video_ticks(at).unwrap(), Instant::now()).unwrap(),
        Captured::Sound { block, at } => { mic.encode(&block, timeline.audio_ticks(at).unwrap()).unwrap(); }
        Captured::Failed(e) => panic!("{e}"),
    });
    std::thread::sleep(Duration::from_secs(1));
    let (from, begin) = (cpu(), Instant::now());
    *count.lock().unwrap() = (0, 0, 0);
    std::thread::sleep(Duration::from_secs(args[2].parse().unwrap()));
    let s = begin.elapsed().as_secs_f64();
    let c = *count.lock().unwrap();
    println!("cpu {:.3} s/s, main {:.1} fps {:.0} kbit/s, thumb {:.0} kbit/s, turns {}", (cpu() - from) / s, c.0 as f64 / s, c.1 as f64 * 8e-3 / s, c.2 as f64 * 8e-3 / s, camera.turns());
}

fn timeline_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64 - 1000
}
