//! Keyboards: every one that is plugged in (evdev), at any time; or one in software, for tests.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_core::commissioning::Key;
use evdev::{Device, EventSummary, KeyCode};
use nix::sys::stat::Mode;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::Sense;

const DEVICES: &str = "/dev/input";
/// How soon a keyboard that is plugged in is heard.
const LOOK: Duration = Duration::from_secs(1);

/// Hears every keyboard of the machine until nobody listens.
pub async fn plugged_in(told: mpsc::Sender<Sense>) {
    let (gone, mut ended) = mpsc::channel::<PathBuf>(16);
    let mut heard: HashSet<PathBuf> = HashSet::new();
    while !told.is_closed() {
        while let Ok(path) = ended.try_recv() {
            heard.remove(&path);
        }
        for path in nodes(Path::new(DEVICES)) {
            if !heard.insert(path.clone()) {
                continue;
            }
            let (told, gone) = (told.clone(), gone.clone());
            tokio::spawn(async move {
                if let Err(error) = hear(&path, &told).await {
                    tracing::debug!(%error, "{}", path.display());
                }
                // A node that is no keyboard stays known until it goes.
                while path.exists() && !told.is_closed() {
                    tokio::time::sleep(LOOK).await;
                }
                let _ = gone.send(path).await;
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn nodes(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_event = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("event"));
    entries.map(|entry| entry.path()).filter(is_event).collect()
}

async fn hear(path: &Path, told: &mpsc::Sender<Sense>) -> std::io::Result<()> {
    let device = Device::open(path)?;
    // A button or a remote control has some keys, too; only a keyboard has letters and Enter.
    let is_keyboard = device
        .supported_keys()
        .is_some_and(|keys| [KeyCode::KEY_A, KeyCode::KEY_Z, KeyCode::KEY_ENTER].iter().all(|key| keys.contains(*key)));
    if !is_keyboard {
        return Ok(());
    }
    tracing::info!(name = device.name(), "keyboard");
    let mut events = device.into_event_stream()?;
    loop {
        // 1: pressed, 2: repeated while held.
        if let EventSummary::Key(_, code, 1 | 2) = events.next_event().await?.destructure()
            && let Some(key) = key(code)
            && told.send(Sense::Key(key)).await.is_err()
        {
            return Ok(());
        }
    }
}

/// What a key types, whatever layout the keyboard's label has: codes are letters and digits, and where a layout moves
/// them the technician sees on the screen what was typed.
fn key(code: KeyCode) -> Option<Key> {
    const ROWS: [(KeyCode, &str); 4] = [
        (KeyCode::KEY_1, "1234567890"),
        (KeyCode::KEY_Q, "QWERTYUIOP"),
        (KeyCode::KEY_A, "ASDFGHJKL"),
        (KeyCode::KEY_Z, "ZXCVBNM"),
    ];
    const PAD: [(KeyCode, char); 10] = [
        (KeyCode::KEY_KP0, '0'),
        (KeyCode::KEY_KP1, '1'),
        (KeyCode::KEY_KP2, '2'),
        (KeyCode::KEY_KP3, '3'),
        (KeyCode::KEY_KP4, '4'),
        (KeyCode::KEY_KP5, '5'),
        (KeyCode::KEY_KP6, '6'),
        (KeyCode::KEY_KP7, '7'),
        (KeyCode::KEY_KP8, '8'),
        (KeyCode::KEY_KP9, '9'),
    ];
    match code {
        KeyCode::KEY_ENTER | KeyCode::KEY_KPENTER => return Some(Key::Enter),
        KeyCode::KEY_ESC => return Some(Key::Escape),
        KeyCode::KEY_BACKSPACE | KeyCode::KEY_DELETE => return Some(Key::Backspace),
        KeyCode::KEY_MINUS | KeyCode::KEY_SPACE => return Some(Key::Char('-')),
        _ => {}
    }
    // The codes of a row of keys follow each other (linux/input-event-codes.h).
    let of_row = ROWS.iter().find_map(|(first, row)| {
        let place = code.code().checked_sub(first.code())?;
        row.chars().nth(usize::from(place))
    });
    let of_pad = || PAD.iter().find(|(known, _)| *known == code).map(|(_, typed)| *typed);
    of_row.or_else(of_pad).map(Key::Char)
}

/// Hears a FIFO, which is made when it is missing: characters, line end for Enter, 0x1B for Esc, 0x08 or 0x7F for
/// backspace.
pub async fn in_software(fifo: PathBuf, told: mpsc::Sender<Sense>) {
    if !fifo.exists()
        && let Err(error) = nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)
    {
        tracing::error!(%error, "no keyboard: {}", fifo.display());
        return;
    }
    // For both ways: so it does not end with whoever types.
    let mut typed = match pipe::OpenOptions::new().read_write(true).open_receiver(&fifo) {
        Ok(typed) => typed,
        Err(error) => {
            tracing::error!(%error, "no keyboard: {}", fifo.display());
            return;
        }
    };
    let mut bytes = [0; 64];
    while let Ok(len @ 1..) = typed.read(&mut bytes).await {
        for key in bytes[..len].iter().filter_map(|byte| typed_key(*byte)) {
            if told.send(Sense::Key(key)).await.is_err() {
                return;
            }
        }
    }
}

fn typed_key(byte: u8) -> Option<Key> {
    match byte {
        b'\n' | b'\r' => Some(Key::Enter),
        0x1B => Some(Key::Escape),
        0x08 | 0x7F => Some(Key::Backspace),
        byte if byte.is_ascii_graphic() || byte == b' ' => Some(Key::Char(char::from(byte))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::enrol::{CODE_ALPHABET, code_character};

    #[test]
    fn every_character_of_a_code_is_on_a_keyboard_once() {
        let mut typed: Vec<char> = (0..=255)
            .filter_map(|code| match key(KeyCode::new(code)) {
                Some(Key::Char(c)) if c != '-' && code < KeyCode::KEY_KP7.code() => Some(c),
                _ => None,
            })
            .filter(|c| code_character(*c).is_ok())
            .collect();
        typed.sort_unstable();
        let codes: Vec<char> = CODE_ALPHABET.iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(typed, codes);
        assert_eq!(key(KeyCode::KEY_ENTER), Some(Key::Enter));
        assert_eq!(key(KeyCode::KEY_LEFTSHIFT), None);
        assert_eq!(key(KeyCode::KEY_KP8), Some(Key::Char('8')));
        assert_eq!(key(KeyCode::KEY_M), Some(Key::Char('M')));
    }

    #[test]
    fn a_keyboard_in_software_types_what_is_written_to_it() {
        let keys: Vec<Key> = b"7k\x7f\x1b\n\x01".iter().filter_map(|byte| typed_key(*byte)).collect();
        assert_eq!(keys, [Key::Char('7'), Key::Char('k'), Key::Backspace, Key::Escape, Key::Enter]);
    }
}
