//! A microphone array on USB that is a program: what a machine's kernel sees of it comes over USB/IP.
//!
//! It is Seeed's `ReSpeaker` Mic Array v2.0 (XVF3000) as far as its control endpoint goes. Source: kernel documentation,
//! *USB/IP protocol*; USB 2.0, section 9.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what a test sets up may panic")]

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Its place, as `usbip attach -b` names it.
pub const BUS: &str = "1-1";
const VERSION: u16 = 0x0111;
const VENDOR: u16 = 0x2886;
const PRODUCT: u16 = 0x0018;
/// High speed.
const SPEED: u32 = 3;
/// A request that the device does not know: endpoint 0 stalls.
const EPIPE: i32 = -32;
const ECONNRESET: i32 = -104;

/// The array until the test's end.
pub struct UsbArray {
    /// Where it is plugged in.
    pub port: u16,
    angle: Arc<AtomicI32>,
    voice: Arc<AtomicI32>,
}

impl UsbArray {
    /// Ready to be attached.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (angle, voice) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicI32::new(0)));
        let device = Device { angle: Arc::clone(&angle), voice: Arc::clone(&voice) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who pulls it out ends the connection.
                let _ = device.serve(stream);
            }
        });
        Self { port, angle, voice }
    }

    /// What it hears from now on.
    pub fn hears(&self, angle_deg: u16, voice: bool) {
        self.angle.store(angle_deg.into(), Ordering::SeqCst);
        self.voice.store(voice.into(), Ordering::SeqCst);
    }
}

struct Device {
    angle: Arc<AtomicI32>,
    voice: Arc<AtomicI32>,
}

impl Device {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let [_, command] = words16(read(&mut stream)?);
        let _status = read::<4>(&mut stream)?;
        // OP_REQ_DEVLIST, OP_REQ_IMPORT.
        match command {
            0x8005 => {
                let interface = [0xFF, 0, 0, 0];
                let answer = [&reply(0x0005)[..], &1_u32.to_be_bytes(), &described(), &interface].concat();
                return stream.write_all(&answer);
            }
            0x8003 => {
                let _bus = read::<32>(&mut stream)?;
                stream.write_all(&[&reply(0x0003)[..], &described()].concat())?;
            }
            _ => return Ok(()),
        }
        loop {
            self.answer_one(&mut stream)?;
        }
    }

    /// `USBIP_CMD_SUBMIT` or `USBIP_CMD_UNLINK`.
    fn answer_one(&self, stream: &mut TcpStream) -> io::Result<()> {
        let head: [u8; 48] = read(stream)?;
        let word = |n: usize| u32::from_be_bytes([head[4 * n], head[4 * n + 1], head[4 * n + 2], head[4 * n + 3]]);
        let (command, number, inwards, length) = (word(0), word(1), word(3) == 1, word(6) as usize);
        let ret = |command: u32, status: i32, length: usize| {
            let words = [command, number, 0, 0, 0, status as u32, length as u32, 0, 0, 0, 0, 0];
            words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
        };
        if command == 2 {
            return stream.write_all(&ret(4, ECONNRESET, 0));
        }
        if !inwards {
            let mut given = vec![0; length];
            stream.read_exact(&mut given)?;
        }
        let setup = [head[40], head[41], head[42], head[43], head[44], head[45], head[46], head[47]];
        match self.control(setup) {
            Some(mut data) => {
                data.truncate(length);
                let counted = if inwards { data.len() } else { length };
                stream.write_all(&ret(3, 0, counted))?;
                if inwards { stream.write_all(&data) } else { Ok(()) }
            }
            None => stream.write_all(&ret(3, EPIPE, 0)),
        }
    }

    /// What endpoint 0 says; `None`: it stalls.
    fn control(&self, [kind, request, value_low, value_high, index_low, ..]: [u8; 8]) -> Option<Vec<u8>> {
        let number = |value: i32| [value.to_le_bytes(), 0_i32.to_le_bytes()].concat();
        match (kind, request) {
            (0x80, 6) => descriptor(value_high, value_low),
            // GET_STATUS, SET_CONFIGURATION, SET_INTERFACE.
            (0x80 | 0x81, 0) => Some(vec![0, 0]),
            (0x00, 9) | (0x01, 11) => Some(Vec::new()),
            // VOICEACTIVITY and DOAANGLE, as integers.
            (0xC0, 0) if (value_low, index_low) == (0xE0, 19) => Some(number(self.voice.load(Ordering::SeqCst))),
            (0xC0, 0) if (value_low, index_low) == (0xC0, 21) => Some(number(self.angle.load(Ordering::SeqCst))),
            _ => None,
        }
    }
}

fn descriptor(kind: u8, index: u8) -> Option<Vec<u8>> {
    let [vendor, product] = [VENDOR, PRODUCT].map(u16::to_le_bytes);
    match (kind, index) {
        (1, 0) => {
            let ids = [vendor, product, [0x00, 0x02]].concat();
            Some([&[18, 1, 0x00, 0x02, 0, 0, 0, 64][..], &ids, &[0, 1, 0, 1]].concat())
        }
        // One configuration with one interface of its maker's own, without endpoints.
        (2, 0) => Some(vec![9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 0xFF, 0, 0, 0]),
        (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
        (3, 1) => {
            let text: Vec<u8> = "ReSpeaker 4 Mic Array (model)".encode_utf16().flat_map(u16::to_le_bytes).collect();
            Some([&[text.len() as u8 + 2, 3][..], &text].concat())
        }
        _ => None,
    }
}

/// Head of an answer.
fn reply(code: u16) -> [u8; 8] {
    let ([a, b], [c, d]) = (VERSION.to_be_bytes(), code.to_be_bytes());
    [a, b, c, d, 0, 0, 0, 0]
}

/// `struct usbip_usb_device`.
fn described() -> Vec<u8> {
    let padded = |text: &str, length: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(length, 0);
        bytes
    };
    let numbers = [1_u32, 2, SPEED].map(u32::to_be_bytes).concat();
    let ids = [VENDOR, PRODUCT, 0x0200].map(u16::to_be_bytes).concat();
    // Class, subclass, protocol, configuration in use, configurations, interfaces.
    let rest = [0, 0, 0, 1, 1, 1];
    [&padded("/sys/devices/model/1-1", 256)[..], &padded(BUS, 32), &numbers, &ids, &rest].concat()
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn words16([a, b, c, d]: [u8; 4]) -> [u16; 2] {
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}
