//! A whole box as a machine of its own: arm64, systemd, our units; camera, sound card, panel and watchdog are the kernel's
//! stand-ins (`board/qemu-arm64`). The centre is the real one, on this machine.
//!
//! An emulated processor is slow, and slower when the machine has other work: counts and contents are asserted, never
//! rates.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use scenarios::chance::Chance;
use scenarios::emulated::{Bench, PATIENCE};
use scenarios::measure::{Part, colour, sound, strength, times};
use scenarios::usbip::{BUS, UsbArray};
use xtask::machine::HOST;
use xtask::stack::Stack;

/// What is played into the guest's microphone, Hz.
const TONE: u32 = 1_000;
/// What vivid shows, from the left: whether red, green and blue are there.
const BARS: [[bool; 3]; 8] = [
    [true, true, true],
    [true, true, false],
    [false, true, true],
    [false, true, false],
    [true, false, true],
    [true, false, false],
    [false, false, true],
    [false, false, false],
];

#[test]
fn a_box_starts_enrols_is_pressed_is_seen_and_heard_tells_its_health_and_is_reset_when_it_hangs() {
    let mut bench = Bench::start("image-appliance");
    it_is_the_system_that_we_describe(&mut bench);
    a_press_brings_its_picture_and_sound_to_the_centre(&mut bench);
    its_health_is_what_its_machine_says(&mut bench);
    an_array_on_usb_is_asked_through_the_kernel(&mut bench);
    without_its_data_disk_it_writes_nothing_and_it_begins_anew_when_the_disk_comes(&mut bench);
    an_agent_that_hangs_is_started_again(&mut bench);
    a_kernel_that_hangs_is_reset_by_the_watchdog(&mut bench);
}

fn it_is_the_system_that_we_describe(bench: &mut Bench) {
    let up = bench.hand.run("systemctl show --value -p ActiveEnterTimestampMonotonic bridgepoint-agent").unwrap();
    println!("the agent was ready {:.1} s after its kernel began", up.trim().parse::<f64>().unwrap() / 1e6);
    let failed = bench.hand.run("systemctl list-units --failed --plain --no-legend").unwrap();
    assert_eq!(failed.trim(), "", "units that failed");
    assert!(bench.hand.run("touch /usr/bin/x").is_err(), "the root is written to");
    let data = bench.hand.run("findmnt -n -o SOURCE,OPTIONS /var/lib/bridgepoint").unwrap();
    assert!(data.contains("/dev/vdb") && data.contains("noexec"), "{data}");
    let user = bench.hand.run("stat -c %U /proc/$(systemctl show --value -p MainPID bridgepoint-agent)").unwrap();
    assert_eq!(user.trim(), "bridgepoint");
    let watched = bench.hand.run("cat /sys/class/watchdog/watchdog0/state").unwrap();
    assert_eq!(watched.trim(), "active", "systemd feeds the machine's watchdog");
    // Ready, with nobody in a session.
    bench.wait_lamps("a box at rest", [false, false, true]);
}

fn a_press_brings_its_picture_and_sound_to_the_centre(bench: &mut Bench) {
    let speaker = format!("speaker-test -D plughw:CARD=Loopback,DEV=0,SUBDEV=0 -c 1 -r 48000 -t sine -f {TONE}");
    bench.hand.run(&format!("systemd-run --quiet --unit=speaker -p Restart=always {speaker}")).unwrap();
    bench.press();
    bench.stack.wait_on_record(PATIENCE).unwrap();
    bench.wait_up();
    bench.wait_lamps("on record", [true, false, true]);
    // So much of a session, by the centre's clock.
    std::thread::sleep(Duration::from_secs(20));
    let archive = bench.finish_session();
    bench.wait_lamps("the session over", [false, false, true]);
    bench.hand.run("systemctl stop speaker").unwrap();

    let film = archive.join(format!("site-{}.mp4", bench.code));
    let frames = times(&film, "v").unwrap();
    println!("{} frames, {} packets of sound", frames.len(), times(&film, "a").unwrap().len());
    assert!(frames.len() >= 20, "{} frames in {}", frames.len(), film.display());
    let middle = f64::midpoint(frames[0], frames[frames.len() - 1]);
    for (n, wanted) in BARS.into_iter().enumerate() {
        // Below the text that vivid writes over it.
        let bar = Part { x: (n as f64 + 0.3) / 8.0, y: 0.7, w: 0.4 / 8.0, h: 0.2 };
        let seen = colour(&film, bar, middle).unwrap();
        assert_eq!(seen.map(|part| part > 100), wanted, "bar {n} is {seen:?} in {}", film.display());
    }
    let heard = sound(&film).unwrap();
    // In milliseconds: where an emulated processor was late, the record has gaps.
    let loud = |hz| strength(&heard, hz).into_iter().filter(|strength| *strength > 0.1).count();
    println!("{} ms of the tone, {} ms of another", loud(TONE), loud(TONE * 3 / 2));
    assert!(loud(TONE) > 1_000 && loud(TONE * 3 / 2) * 20 < loud(TONE), "another sound in {}", film.display());
    let program = archive.join("program.mp4");
    assert!(times(&program, "v").unwrap().len() >= 20 && times(&program, "a").unwrap().len() >= 20);
}

fn its_health_is_what_its_machine_says(bench: &mut Bench) {
    let first = bench.health();
    println!("health: {first}");
    assert_eq!(first["temperature_c"].as_f64(), Some(41.5));
    bench.hand.run("echo 83250 >/run/board/temp").unwrap();
    bench.wait("the new temperature", PATIENCE, || {
        Ok((bench.health()["temperature_c"].as_f64() == Some(83.25)).then_some(()))
    });
    let before = first["disk_free_mib"].as_u64().unwrap();
    bench.hand.run("dd if=/dev/zero of=/var/lib/bridgepoint/filler bs=1M count=100 status=none").unwrap();
    let told = bench.hand.run("df -m --output=avail /var/lib/bridgepoint | tail -n 1").unwrap();
    let told: u64 = told.trim().parse().unwrap();
    let free = || bench.health()["disk_free_mib"].as_u64().unwrap_or(u64::MAX / 2);
    bench.wait("less room on the disk", PATIENCE, || {
        Ok((free() + 90 < before && free().abs_diff(told) < 5).then_some(()))
    });
    bench.hand.run("rm /var/lib/bridgepoint/filler").unwrap();
    assert!(first["memory_mib"].as_u64().unwrap() > 5);
}

/// The array is a program on this machine; all from the kernel's USB on is real: the rule that gives the device to the
/// agent's group, the devices that its unit allows, the requests.
fn an_array_on_usb_is_asked_through_the_kernel(bench: &mut Bench) {
    let array = UsbArray::start();
    let attach = format!("modprobe vhci-hcd && usbip --tcp-port {} attach -r {HOST} -b {BUS}", array.port);
    bench.hand.run(&attach).unwrap();
    bench.hand.run("udevadm settle").unwrap();
    // The same board with such an array.
    let told = "directions = { kind = \"xvf3000-usb\", front_deg = 90, clockwise = false }";
    let board = format!(
        "mkdir -p /run/array && sed 's/^spare = .*/&\\n{told}/' /usr/share/bridgepoint/board/qemu-arm64/board.toml >/run/array/board.toml \
         && sed 's|^board = .*|board = \"/run/array\"|' /etc/bridgepoint/agent.toml >/run/array/agent.toml"
    );
    bench.hand.run(&board).unwrap();
    for (angle, voice, line) in
        [(60, true, "angle_deg  60 · azimuth_deg  +30 · giọng nói / voice"), (271, false, "azimuth_deg +179 ·")]
    {
        array.hears(angle, voice);
        let asked = "systemd-run --quiet --pipe --wait -p User=bridgepoint -p DevicePolicy=closed \
                     -p 'DeviceAllow=char-usb_device rw' bridgepoint-agent directions --config /run/array/agent.toml --seconds 2";
        let said = bench.hand.run(asked).unwrap();
        let lines = said.lines().filter(|said| said.contains(line)).count();
        println!("the array was asked {} times in 2 s", said.lines().count());
        assert!(lines > 3 && lines == said.lines().count(), "{said}");
    }
    let unit = bench.hand.run("systemctl show -p DeviceAllow bridgepoint-agent").unwrap();
    assert!(unit.contains("char-usb_device rw"), "{unit}");
    bench.hand.run("usbip detach -p 0").unwrap();
    let gone = bench.hand.run("bridgepoint-agent directions --config /run/array/agent.toml --seconds 1");
    assert!(gone.is_err_and(|said| format!("{said:#}").contains("2886:0018")));
}

fn without_its_data_disk_it_writes_nothing_and_it_begins_anew_when_the_disk_comes(bench: &mut Bench) {
    let identity = "sha256sum /var/lib/bridgepoint/state/identity/* | sha256sum";
    let (own, starts) = (bench.hand.run(identity).unwrap(), bench.starts());
    bench.hand.run("systemctl stop bridgepoint-agent.timer bridgepoint-agent").unwrap();
    bench.hand.run("systemctl mask --runtime --now var-lib-bridgepoint.mount").unwrap();
    let started = bench.hand.run("systemctl start bridgepoint-agent");
    assert!(started.is_err(), "{started:?}");
    let said = bench.hand.run("journalctl -b -u bridgepoint-agent -n 12 -o cat").unwrap();
    assert!(said.contains("The storage of this box is not there (/var/lib/bridgepoint)"), "{said}");
    let written = bench.hand.run("find /var/lib/bridgepoint -mindepth 1").unwrap();
    assert_eq!(written.trim(), "");
    bench.hand.run("systemctl unmask --runtime var-lib-bridgepoint.mount").unwrap();
    bench.hand.run("systemctl start var-lib-bridgepoint.mount bridgepoint-agent.timer").unwrap();
    let came = Instant::now();
    bench.wait("it began anew", PATIENCE, || Ok((bench.starts() > starts).then_some(())));
    println!("its disk came: began anew, and has told so, after {:.1} s", came.elapsed().as_secs_f32());
    bench.wait_ready();
    assert_eq!(bench.hand.run(identity).unwrap(), own);
}

fn an_agent_that_hangs_is_started_again(bench: &mut Bench) {
    let (agent, boot, starts) = (bench.agent(), bench.boot_id(), bench.starts());
    bench.hand.run(&format!("kill -STOP {agent}")).unwrap();
    let hung = Instant::now();
    bench.wait("a new agent", PATIENCE, || Ok((bench.starts() > starts).then_some(())));
    println!("a hung agent is replaced, and has told so, after {:.1} s", hung.elapsed().as_secs_f32());
    bench.wait_ready();
    assert_ne!(bench.agent(), agent);
    assert_eq!(bench.boot_id(), boot, "the machine itself went on");
    let why = bench.hand.run("journalctl -b -u bridgepoint-agent -o cat | grep -c -i watchdog").unwrap();
    assert_ne!(why.trim(), "0");
}

fn a_kernel_that_hangs_is_reset_by_the_watchdog(bench: &mut Bench) {
    let boot = bench.boot_id();
    // A kernel that panicked stands still: nobody feeds the watchdog any more.
    let _ = bench.hand.run("echo 0 >/proc/sys/kernel/panic; (sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &");
    let hung = Instant::now();
    bench.wait("the box lost", PATIENCE, || {
        let own = bench.own();
        Ok((own["state"].is_string() && own["state"] != "online").then_some(()))
    });
    bench.wait_ready();
    println!("a hung machine is reset and ready again after {:.1} s", hung.elapsed().as_secs_f32());
    assert_ne!(bench.boot_id(), boot);
}

/// The longest that the recorder keeps a line of its journal from the disk is a second; an emulated disk takes its time.
const SYNCED: Duration = Duration::from_secs(3);

/// Half of them while the box records, half of them while it starts.
const CUTS: usize = 20;
/// From power to a box that records again, on a machine at rest.
const START: Duration = Duration::from_secs(25);

/// Files of the box's own record as far as they go now: name, length and hash, a line each. `SYNCED` later they are on its
/// disk for good.
fn written(bench: &mut Bench) -> String {
    let each = "for f in journal.jsonl *.mp4; do n=$(stat -c %s $f); echo $f $n $(head -c $n $f | sha256sum); done";
    bench.hand.run(&format!("cd /var/lib/bridgepoint/records/*/ && {each}")).unwrap()
}

/// Whether all that was written is there, bit by bit.
fn assert_kept(bench: &mut Bench, round: usize, written: &str) {
    let files: Vec<Vec<&str>> = written.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(files.len() > 1 && files.iter().all(|file| file.len() == 4), "{written}");
    for file in files {
        let [name, length, hash, _] = file[..] else { continue };
        let read = format!("cd /var/lib/bridgepoint/records/*/ && head -c {length} {name} | sha256sum");
        let now = bench.hand.run(&read).unwrap();
        assert_eq!(now.split_whitespace().next(), Some(hash), "round {round}: of the first {length} bytes of {name}");
    }
}

#[test]
fn a_box_whose_power_is_cut_twenty_times_while_it_writes_stays_who_it_is_and_loses_nothing() {
    let mut bench = Bench::start("image-cuts");
    let identity = "cat /var/lib/bridgepoint/state/identity/* | sha256sum";
    let own = bench.hand.run(identity).unwrap();
    bench.press();
    bench.stack.wait_on_record(PATIENCE).unwrap();
    bench.wait_up();
    let mut chance = Chance(0x5EED_0F9A_7E11);
    let mut boot = bench.boot_id();
    let mut numbers = Vec::new();
    for round in 0..CUTS / 2 {
        bench.wait_up();
        let files = written(&mut bench);
        let known = bench.events().iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
        std::thread::sleep(SYNCED + Duration::from_millis(chance.below(2_000) as u64));
        bench.machine.cut_power().unwrap();
        // And again anywhere in the start that follows: in the kernel, before the disk is mounted, while the agent opens
        // its store, repairs its record, goes on with it.
        let start = Duration::from_millis(chance.below(START.as_millis() as usize) as u64);
        std::thread::sleep(start);
        bench.machine.cut_power().unwrap();
        let begun = Instant::now();
        boot = bench.wait_started_again(&boot);
        bench.wait_data();
        assert_kept(&mut bench, round, &files);
        assert_eq!(bench.hand.run(identity).unwrap(), own, "round {round}: another box");
        numbers.extend(known);
        println!(
            "cut while it recorded, and {:.1} s into its start: {} files kept; its disk was there again after {:.1} s",
            start.as_secs_f32(),
            files.lines().count(),
            begun.elapsed().as_secs_f32()
        );
    }
    bench.wait_up();
    let appliance = bench.hand.run("cat /var/lib/bridgepoint/state/identity/identity.json").unwrap();
    let archive = bench.finish_session();
    // The box has said everything: its numbers have no hole, and none was used twice for two events.
    bench.wait("the box's last events", PATIENCE, || {
        Ok(bench.events().iter().any(|(_, event)| event.get("Left").is_some()).then_some(()))
    });
    let events = bench.events();
    let seqs: Vec<u64> = events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "numbers of the box's events");
    assert!(numbers.iter().all(|seq| seqs.contains(seq)));
    println!("{} events, {} of them starts; {appliance}", seqs.len(), bench.starts());
    println!("the centre's record: {}", archive.display());
    the_box_s_own_record_is_whole(&mut bench);
}

/// Read from the disk itself, without the guest.
fn the_box_s_own_record_is_whole(bench: &mut Bench) {
    bench.hand.run("sync").unwrap();
    bench.stack.supervisor().stop(&[Bench::NAME.into()], Duration::from_secs(10));
    let out = bench.stack.dir().join("records-of-the-box");
    fs::create_dir_all(&out).unwrap();
    let disk = bench.machine.data();
    // As at the next start: what the file system's own journal still holds is put in its place.
    let _ = Command::new("e2fsck").args(["-p"]).arg(disk).output().unwrap();
    let order = format!("rdump /records {}", out.display());
    assert!(Command::new("debugfs").args(["-R", &order]).arg(disk).output().unwrap().status.success());
    let sessions: Vec<PathBuf> =
        fs::read_dir(out.join("records")).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_whole(&bench.stack, &sessions[0]);
}

fn assert_whole(stack: &Stack, session: &Path) {
    let verdict = stack.verify_folder(session);
    assert_eq!(verdict, "intact", "{}", session.display());
    let fragments = fs::read_to_string(session.join("journal.jsonl")).unwrap();
    let fragments = fragments.lines().filter(|line| line.contains("\"kind\":\"fragment\"")).count();
    println!("the box's own record: {fragments} fragments, {verdict}");
    assert!(fragments >= 20);
}
