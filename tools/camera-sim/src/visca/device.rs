//! The camera's side of the protocol: sockets, replies, sequence numbers, and the faults of all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::faults::{Faults, Kind};
use super::head::{Head, Motor};
use super::packet::{Order, Question, Said, understand};

/// How long the camera thinks before it replies: one field of video (EVI-D70, *Timing*).
const REPLY_MS: u64 = 8;
const POWER_ON_MS: u64 = 1_000;
const REBOOT_MS: u64 = 400;
/// A reply that is to come after the next one comes anyway after this.
const HELD_MS: u64 = 60;

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Serial line: addresses, broadcasts, network change.
    Serial,
    /// Bare packets over a network.
    Raw,
    /// With the eight-byte header and its numbers.
    Ip,
}

/// Who said something, and with which number: its replies go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caller {
    /// On UDP.
    pub peer: Option<SocketAddr>,
    /// Over IP.
    pub number: u32,
}

/// Bytes that the camera sends now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    /// Where to.
    pub to: Caller,
    /// As they go on the wire.
    pub bytes: Vec<u8>,
}

/// What a socket executes.
#[derive(Debug, Clone, Copy)]
struct Job {
    caller: Caller,
    order: Order,
    begun: u64,
}

/// A camera that speaks VISCA. Time is passed in, milliseconds since its start.
#[derive(Debug)]
pub struct Device {
    /// Its moving parts.
    pub head: Head,
    /// What it does wrong.
    pub faults: Faults,
    dialect: Dialect,
    address: u8,
    sockets: [Option<Job>; 2],
    last_number: Number,
    off_until: Option<u64>,
    /// Sent at a time, in order.
    outbox: BTreeMap<(u64, u64), Out>,
    held: Option<(u64, Out)>,
    serial: u64,
    piece: Vec<u8>,
    /// Counts what happened, for those who watch.
    pub counts: Counts,
}

/// What has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Packets that arrived.
    pub packets: u32,
    /// Commands that began to be executed.
    pub commands: u32,
    /// Of them, stops of pan and tilt.
    pub stops: u32,
    /// Of them, drives of pan and tilt.
    pub drives: u32,
    /// How often the camera started again.
    pub reboots: u32,
    /// RESETs of the sequence number.
    pub resets: u32,
}

/// What the camera knows of the numbers (SRG-300H, *Sequence number*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    /// After RESET: whatever comes is the first.
    Any,
    /// After a start: 0 or 1 is the first.
    First,
    Was(u32),
}

impl Device {
    /// A camera that has just been switched on.
    pub fn new(faults: Faults, dialect: Dialect) -> Self {
        Self {
            head: Head::default(),
            faults,
            dialect,
            address: 1,
            sockets: [None; 2],
            last_number: Number::First,
            off_until: None,
            outbox: BTreeMap::new(),
            held: None,
            serial: 0,
            piece: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Bytes came in on a line.
    pub fn hear_bytes(&mut self, now: u64, caller: Caller, bytes: &[u8]) {
        for byte in bytes {
            self.piece.push(*byte);
            if *byte == 0xFF {
                let packet = std::mem::take(&mut self.piece);
                self.hear(now, caller, &packet);
            } else if self.piece.len() >= 16 {
                self.piece.clear();
            }
        }
    }

    /// A datagram came in, with its header.
    pub fn hear_datagram(&mut self, now: u64, peer: SocketAddr, datagram: &[u8]) {
        self.pass(now);
        let Some((header, payload)) = datagram.split_at_checked(8) else { return };
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let number = (u32::from(field(4)) << 16) | u32::from(field(6));
        let caller = Caller { peer: Some(peer), number };
        if self.off_until.is_some() || self.faults.strikes(Kind::Deaf) {
            return;
        }
        let inquiry = payload.get(1) == Some(&0x09);
        match field(0) {
            _ if usize::from(field(2)) != payload.len() => self.control(now, caller, &[0x0F, 0x02]),
            0x0200 if payload == [0x01] => {
                self.counts.resets += 1;
                self.last_number = Number::Any;
                self.control(now, caller, &[0x01]);
            }
            kind @ (0x0100 | 0x0110 | 0x0120) if (kind == 0x0110) == inquiry => {
                if self.takes(number) {
                    self.hear_now(now, caller, payload);
                } else {
                    self.control(now, caller, &[0x0F, 0x01]);
                }
            }
            _ => self.control(now, caller, &[0x0F, 0x02]),
        }
    }

    /// Whether a number is one that may come now; forward jumps are lost messages.
    fn takes(&mut self, number: u32) -> bool {
        let good = match self.last_number {
            Number::Any => true,
            Number::First => number <= 1,
            Number::Was(last) => (1..1 << 31).contains(&number.wrapping_sub(last)),
        };
        if good {
            self.last_number = Number::Was(number);
        }
        good
    }

    fn hear(&mut self, now: u64, caller: Caller, packet: &[u8]) {
        self.pass(now);
        if self.off_until.is_none() && !self.faults.strikes(Kind::Deaf) {
            self.hear_now(now, caller, packet);
        }
    }

    fn hear_now(&mut self, now: u64, caller: Caller, packet: &[u8]) {
        self.counts.packets += 1;
        let z = 0x80 + self.address * 16;
        match understand(packet, self.address) {
            Said::AddressSet(next) if self.dialect == Dialect::Serial && (1..8).contains(&next) => {
                self.address = next;
                self.reply(now, caller, &[0x88, 0x30, next + 1, 0xFF]);
            }
            Said::ClearAll if self.dialect == Dialect::Serial => {
                self.sockets = [None; 2];
                self.reply(now, caller, packet);
            }
            Said::AddressSet(_) | Said::ClearAll | Said::NotForUs => {}
            Said::Clear => {
                self.sockets = [None; 2];
                self.reply(now, caller, &[z, 0x50, 0xFF]);
            }
            Said::Cancel(socket) => {
                let job = usize::from(socket).checked_sub(1).and_then(|at| self.sockets.get_mut(at)?.take());
                match job {
                    Some(job) => {
                        self.end(job.order);
                        self.reply(now, job.caller, &[z, 0x60 + socket, 0x04, 0xFF]);
                    }
                    None => self.reply(now, caller, &[z, 0x60 + socket, 0x05, 0xFF]),
                }
            }
            Said::Ask(question) => {
                let answer = self.answer(question);
                self.reply(now, caller, &[&[z, 0x50][..], &answer, &[0xFF]].concat());
            }
            Said::Do(order) => self.command(now, caller, order),
            Said::Nonsense => self.reply(now, caller, &[z, 0x60, 0x02, 0xFF]),
        }
    }

    fn answer(&self, question: Question) -> Vec<u8> {
        let digits = |value: i32| (0..4).rev().map(move |at| (value >> (4 * at)) as u8 & 0x0F);
        match question {
            Question::Power => vec![if self.head.powered { 0x02 } else { 0x03 }],
            Question::Zoom => digits(self.head.zoom.at()).collect(),
            Question::FocusMode => vec![if self.head.auto_focus { 0x02 } else { 0x03 }],
            Question::Focus => digits(self.head.focus.at()).collect(),
            Question::Position => digits(self.head.pan.at()).chain(digits(self.head.tilt.at())).collect(),
            Question::MaxSpeed => vec![0x18, 0x17],
            // Vendor Sony, model EVI-D70, ROM 1.0, two sockets.
            Question::Version => vec![0x00, 0x01, 0x04, 0x0E, 0x01, 0x00, 0x02],
        }
    }

    fn command(&mut self, now: u64, caller: Caller, order: Order) {
        let z = 0x80 + self.address * 16;
        if self.faults.strikes(Kind::Reboot) {
            self.reboot(now);
            return;
        }
        if self.faults.strikes(Kind::Full) {
            self.reply(now, caller, &[z, 0x60, 0x03, 0xFF]);
            return;
        }
        let Some(socket) = self.sockets.iter().position(Option::is_none) else {
            self.reply(now, caller, &[z, 0x60, 0x03, 0xFF]);
            return;
        };
        let number = socket as u8 + 1;
        let manual = matches!(order, Order::Focus { .. } | Order::FocusTo(_)) && self.head.auto_focus;
        if manual || !(self.head.powered || matches!(order, Order::Power(_))) {
            self.reply(now, caller, &[z, 0x60 + number, 0x41, 0xFF]);
            return;
        }
        self.counts.commands += 1;
        self.begin(order);
        self.sockets[socket] = Some(Job { caller, order, begun: now });
        self.reply(now, caller, &[z, 0x40 + number, 0xFF]);
        self.end_jobs(now);
    }

    fn begin(&mut self, order: Order) {
        let head = &mut self.head;
        match order {
            Order::Power(on) => {
                head.powered = on;
                if !on {
                    head.halt();
                }
            }
            Order::Drive { pan: 0, tilt: 0, .. } => {
                self.counts.stops += 1;
                head.pan.stop();
                head.tilt.stop();
            }
            Order::Drive { pan, tilt, speeds: (v, w) } => {
                self.counts.drives += 1;
                head.pan.drive(f64::from(pan) * Head::pan_speed(v));
                head.tilt.drive(f64::from(tilt) * Head::tilt_speed(w));
            }
            Order::To { pan, tilt, speeds: (v, w) } => {
                head.pan.go_to(f64::from(pan), Head::pan_speed(v));
                head.tilt.go_to(f64::from(tilt), Head::tilt_speed(w));
            }
            Order::By { pan, tilt, speeds: (v, w) } => {
                head.pan.go_by(f64::from(pan), Head::pan_speed(v));
                head.tilt.go_by(f64::from(tilt), Head::tilt_speed(w));
            }
            Order::Home | Order::Reset => {
                head.pan.go_to(0.0, Head::pan_speed(0x18));
                head.tilt.go_to(0.0, Head::tilt_speed(0x17));
            }
            Order::Limit { up_right, pan, tilt } => head.limit(up_right, pan, tilt),
            Order::NoLimit { up_right } => head.clear_limit(up_right),
            Order::Zoom { towards: 0, .. } => head.zoom.stop(),
            Order::Zoom { towards, speed } => head.zoom.drive(f64::from(towards) * Head::zoom_speed(speed)),
            Order::ZoomTo(to) => head.zoom.go_to(f64::from(to), Head::zoom_speed(7)),
            Order::Focus { towards: 0, .. } => head.focus.stop(),
            Order::Focus { towards, speed } => head.focus.drive(f64::from(towards) * Head::focus_speed(speed)),
            Order::FocusTo(to) => head.focus.go_to(f64::from(to), Head::focus_speed(7)),
            Order::AutoFocus(on) => head.auto_focus = on,
            Order::OnePush => {}
            Order::PresetReset(preset) => head.reset_preset(preset),
            Order::PresetSet(preset) => head.set_preset(preset),
            Order::PresetRecall(preset) => head.recall_preset(preset),
        }
    }

    /// A cancelled command moves nothing any more.
    fn end(&mut self, order: Order) {
        let head = &mut self.head;
        match order {
            Order::Drive { .. } | Order::To { .. } | Order::By { .. } | Order::Home | Order::Reset => {
                head.pan.stop();
                head.tilt.stop();
            }
            Order::Zoom { .. } | Order::ZoomTo(_) => head.zoom.stop(),
            Order::Focus { .. } | Order::FocusTo(_) => head.focus.stop(),
            Order::PresetRecall(_) => head.halt(),
            _ => {}
        }
    }

    fn has_ended(&self, now: u64, job: &Job) -> bool {
        let head = &self.head;
        match job.order {
            Order::Power(true) => now >= job.begun + POWER_ON_MS,
            Order::To { .. } | Order::By { .. } | Order::Home | Order::Reset => {
                !head.pan.is_on_its_way() && !head.tilt.is_on_its_way()
            }
            Order::ZoomTo(_) => !head.zoom.is_on_its_way(),
            Order::FocusTo(_) => !head.focus.is_on_its_way(),
            Order::PresetRecall(_) => {
                ![&head.pan, &head.tilt, &head.zoom, &head.focus].into_iter().any(Motor::is_on_its_way)
            }
            _ => true,
        }
    }

    fn end_jobs(&mut self, now: u64) {
        let z = 0x80 + self.address * 16;
        for at in 0..self.sockets.len() {
            if let Some(job) = self.sockets[at].filter(|job| self.has_ended(now, job)) {
                self.sockets[at] = None;
                self.reply(now, job.caller, &[z, 0x51 + at as u8, 0xFF]);
            }
        }
    }

    /// Starts again: stands, and knows nothing.
    pub fn reboot(&mut self, now: u64) {
        self.counts.reboots += 1;
        self.head.halt();
        self.sockets = [None; 2];
        self.last_number = Number::First;
        self.outbox.clear();
        self.held = None;
        self.piece.clear();
        self.off_until = Some(now + REBOOT_MS);
    }

    /// Whether it is starting again.
    pub const fn is_off(&self) -> bool {
        self.off_until.is_some()
    }

    // ---- what it says --------------------------------------------------------------------------------------------

    fn reply(&mut self, now: u64, to: Caller, packet: &[u8]) {
        self.emit(now, to, 0x0111, packet);
    }

    fn control(&mut self, now: u64, to: Caller, payload: &[u8]) {
        self.emit(now, to, 0x0201, payload);
    }

    fn emit(&mut self, now: u64, to: Caller, kind: u16, packet: &[u8]) {
        if self.faults.strikes(Kind::Silent) {
            return;
        }
        let mut packet = packet.to_vec();
        if self.faults.strikes(Kind::Cut) {
            packet.truncate(packet.len() / 2);
        }
        let mut bytes = Vec::new();
        if self.faults.strikes(Kind::Garbage) {
            let len = 1 + (self.faults.throw() * 20.0) as usize;
            bytes.extend((0..len).map(|_| (self.faults.throw() * 256.0) as u8));
        }
        if self.dialect == Dialect::Ip {
            bytes.extend(kind.to_be_bytes());
            bytes.extend((packet.len() as u16).to_be_bytes());
            bytes.extend(to.number.to_be_bytes());
        }
        bytes.extend(packet);
        let late = if self.faults.strikes(Kind::Late) { self.faults.late_ms } else { 0 };
        let at = now + REPLY_MS + late;
        let out = Out { to, bytes };
        if self.faults.strikes(Kind::Twice) {
            self.post(at + 3, out.clone());
        }
        if let Some((_, held)) = self.held.take() {
            self.post(at, out);
            self.post(at + 1, held);
        } else if self.faults.strikes(Kind::Reorder) {
            self.held = Some((now + HELD_MS, out));
        } else {
            self.post(at, out);
        }
    }

    fn post(&mut self, at: u64, out: Out) {
        self.serial += 1;
        self.outbox.insert((at, self.serial), out);
    }

    /// Lets time pass.
    pub fn pass(&mut self, now: u64) {
        self.head.pass(now);
        if self.off_until.is_some_and(|until| now >= until) {
            self.off_until = None;
            // Every camera is the first one until addresses are set.
            self.address = 1;
            if self.dialect == Dialect::Serial {
                self.reply(now, Caller::default(), &[0x90, 0x38, 0xFF]);
            }
        }
        self.end_jobs(now);
        if let Some((_, held)) = self.held.take_if(|(until, _)| now >= *until) {
            self.post(now, held);
        }
    }

    /// What is to be sent by now.
    pub fn take_due(&mut self, now: u64) -> Option<Out> {
        let entry = self.outbox.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// When something happens without anybody saying anything; `None`: never.
    pub fn next_at(&self, now: u64) -> Option<u64> {
        let moving = (self.head.is_moving() || self.sockets.iter().any(Option::is_some)).then_some(now + 10);
        let reply = self.outbox.keys().next().map(|(at, _)| *at);
        let held = self.held.as_ref().map(|(until, _)| *until);
        [moving, reply, held, self.off_until].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(dialect: Dialect, faults: &[&str]) -> Device {
        let faults: Vec<_> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        Device::new(Faults::new(&faults, 1, 300), dialect)
    }

    fn said(device: &mut Device, until: u64) -> Vec<Vec<u8>> {
        device.pass(until);
        std::iter::from_fn(|| device.take_due(until)).map(|out| out.bytes).collect()
    }

    #[test]
    fn two_commands_execute_and_a_third_finds_the_buffer_full() {
        let mut camera = device(Dialect::Serial, &[]);
        let far = b"\x81\x01\x06\x02\x01\x01\x00\x08\x00\x00\x00\x00\x00\x00\xFF";
        camera.hear_bytes(0, Caller::default(), far);
        camera.hear_bytes(0, Caller::default(), b"\x81\x01\x04\x47\x04\x00\x00\x00\xFF\x81\x01\x04\x38\x02\xFF");
        assert_eq!(said(&mut camera, 20), [&b"\x90\x41\xFF"[..], b"\x90\x42\xFF", b"\x90\x60\x03\xFF"]);
        camera.hear_bytes(30, Caller::default(), b"\x81\x22\xFF\x81\x22\xFF");
        assert_eq!(said(&mut camera, 50), [&b"\x90\x62\x04\xFF"[..], b"\x90\x62\x05\xFF"]);
    }

    #[test]
    fn a_drive_moves_until_its_stop() {
        let mut camera = device(Dialect::Serial, &[]);
        camera.hear_bytes(0, Caller::default(), b"\x81\x01\x06\x01\x18\x14\x02\x03\xFF");
        assert_eq!(said(&mut camera, 500), [b"\x90\x41\xFF", b"\x90\x51\xFF"]);
        camera.hear_bytes(1_000, Caller::default(), b"\x81\x01\x06\x01\x01\x01\x03\x03\xFF");
        camera.pass(9_000);
        assert_eq!(camera.head.pan.at(), 1_334);
    }

    #[test]
    fn a_number_that_was_had_is_abnormal_and_reset_forgets_it() {
        let mut camera = device(Dialect::Ip, &[]);
        let peer = "127.0.0.1:9".parse().unwrap();
        let ask = |number| [1, 0x10, 0, 5, 0, 0, 0, number, 0x81, 9, 4, 0, 0xFF];
        camera.hear_datagram(0, peer, &ask(1));
        camera.hear_datagram(10, peer, &ask(1));
        let answer = [1_u8, 0x11, 0, 4, 0, 0, 0, 1, 0x90, 0x50, 2, 0xFF];
        let abnormal = [2_u8, 1, 0, 2, 0, 0, 0, 1, 0x0F, 1];
        assert_eq!(said(&mut camera, 30), [&answer[..], &abnormal]);
        camera.hear_datagram(40, peer, &[2, 0, 0, 1, 0, 0, 0, 0, 1]);
        camera.hear_datagram(50, peer, &ask(1));
        assert_eq!(said(&mut camera, 70), [&[2_u8, 1, 0, 1, 0, 0, 0, 0, 1][..], &answer]);
        camera.reboot(100);
        camera.pass(600);
        camera.hear_datagram(600, peer, &ask(3));
        let abnormal = [2_u8, 1, 0, 2, 0, 0, 0, 3, 0x0F, 1];
        assert_eq!(said(&mut camera, 620), [abnormal]);
        camera.hear_datagram(630, peer, &[1, 0, 0, 5, 0, 0, 0, 1, 0x81, 9, 4, 0, 0xFF]);
        assert_eq!(said(&mut camera, 650), [[2_u8, 1, 0, 2, 0, 0, 0, 1, 0x0F, 2]]);
    }

    #[test]
    fn faults_do_what_their_names_say() {
        let ack = |faults: &[&str], until| {
            let mut camera = device(Dialect::Serial, faults);
            camera.hear_bytes(0, Caller::default(), b"\x81\x01\x04\x38\x02\xFF");
            said(&mut camera, until)
        };
        let (one, done) = (b"\x90\x41\xFF".to_vec(), b"\x90\x51\xFF".to_vec());
        assert_eq!(ack(&[], 20), [one.clone(), done.clone()]);
        assert_eq!(ack(&["late=1"], 307), [b""; 0]);
        assert_eq!(ack(&["late=1"], 308), [one.clone(), done.clone()]);
        assert_eq!(ack(&["twice=1"], 20), [one.clone(), done.clone(), one.clone(), done.clone()]);
        assert_eq!(ack(&["reorder=1"], 20), [done.clone(), one.clone()]);
        assert_eq!(ack(&["cut=1"], 20), [[0x90], [0x90]]);
        assert_eq!(ack(&["full=1"], 20), [b"\x90\x60\x03\xFF"]);
        assert_eq!(ack(&["silent=1"], 20), [b""; 0]);
        assert_eq!(ack(&["deaf=1"], 20), [b""; 0]);
        assert_eq!(ack(&["reboot=1"], 20), [b""; 0]);
        assert_eq!(ack(&["reboot=1"], 500), [b""; 0]);
        let noisy = ack(&["garbage=1"], 20);
        assert!(noisy[0].len() > 3 && noisy[0].ends_with(&one));
    }

    #[test]
    fn in_standby_only_power_and_inquiries_are_answered() {
        let mut camera = device(Dialect::Raw, &[]);
        camera.hear_bytes(0, Caller::default(), b"\x81\x01\x04\x00\x03\xFF");
        said(&mut camera, 50);
        camera.hear_bytes(60, Caller::default(), b"\x81\x01\x06\x04\xFF\x81\x09\x04\x00\xFF");
        assert_eq!(said(&mut camera, 99), [&b"\x90\x61\x41\xFF"[..], b"\x90\x50\x03\xFF"]);
    }
}
