//! The folder of what a box received and played: `docs/ref/returns.md`. For the demo and for measurements.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bridgepoint_record::cutter::{Cut, Cutter, Millis};
use bridgepoint_wire::SessionId;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use hound::{SampleFormat, WavSpec, WavWriter};

use crate::MediaError;
use crate::pace::{BLOCK, SOUND_RATE};

/// Files are made readable up to here so often.
const EVERY: Duration = Duration::from_millis(500);

/// Writes one part of the folder; each media process that joins begins a new part.
pub struct Returns {
    folder: PathBuf,
    part: u32,
    session: SessionId,
    origin_ms: u64,
    heard: Option<(WavWriter<BufWriter<File>>, u64)>,
    shown: BufWriter<File>,
    program: Program,
    flushed: Duration,
}

/// `program.mp4`, remuxed by the same code that makes records.
struct Program {
    cutter: Cutter,
    file: Option<File>,
    files: Vec<(String, u64)>,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> MediaError {
    let file = path.display().to_string();
    move |e| MediaError::File { file, reason: e.to_string() }
}

fn wav(e: hound::Error) -> std::io::Error {
    match e {
        hound::Error::IoError(e) => e,
        other => std::io::Error::other(other),
    }
}

fn name(stem: &str, part: u32, extension: &str) -> String {
    if part == 1 { format!("{stem}.{extension}") } else { format!("{stem}.{part}.{extension}") }
}

impl Returns {
    /// Begins a new part in `folder`, which is made when missing.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn create(folder: &Path, session: &SessionId, origin_ms: u64) -> Result<Self, MediaError> {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let taken = |part: &u32| folder.join(name("shown", *part, "csv")).exists();
        let part = (1..u32::MAX).find(|part| !taken(part)).unwrap_or(u32::MAX);
        let path = folder.join(name("shown", part, "csv"));
        let mut shown = BufWriter::new(File::create_new(&path).map_err(failed(&path))?);
        writeln!(shown, "program_ticks,program_ms,shown_at_ms,decoded").map_err(failed(&path))?;
        let program = Program { cutter: Cutter::new(), file: None, files: Vec::new() };
        let returns = Self {
            folder: folder.to_owned(),
            part,
            session: session.clone(),
            origin_ms,
            heard: None,
            shown,
            program,
            flushed: Duration::ZERO,
        };
        returns.describe()?;
        Ok(returns)
    }

    /// The next 20 ms that were heard; the first began at `at_ms` (since 1970), each follows the one before.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn heard(&mut self, at_ms: u64, block: &[i16; BLOCK]) -> Result<(), MediaError> {
        let path = self.folder.join(name("heard", self.part, "wav"));
        if self.heard.is_none() {
            let spec = WavSpec {
                channels: 1,
                sample_rate: SOUND_RATE as u32,
                bits_per_sample: 16,
                sample_format: SampleFormat::Int,
            };
            let file = File::create(&path).map_err(failed(&path))?;
            let writer = WavWriter::new(BufWriter::new(file), spec).map_err(|e| failed(&path)(wav(e)))?;
            self.heard = Some((writer, at_ms));
            self.describe()?;
        }
        let Some((writer, _)) = &mut self.heard else {
            return Ok(());
        };
        let mut samples = writer.get_i16_writer(BLOCK as u32);
        for sample in block {
            samples.write_sample(*sample);
        }
        samples.flush().map_err(|e| failed(&path)(wav(e)))
    }

    /// A picture of the program was shown, or would have been.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn shown(&mut self, ticks: u64, shown_at_ms: f64, decoded: bool) -> Result<(), MediaError> {
        let program_ms = self.origin_ms as f64 + ticks as f64 / 90.0;
        writeln!(self.shown, "{ticks},{program_ms:.3},{shown_at_ms:.3},{}", u8::from(decoded))
            .map_err(failed(&self.folder))
    }

    /// A received picture.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn program_picture(&mut self, unit: &AccessUnit, now: Duration) -> Result<(), MediaError> {
        self.program.cutter.handle_video(unit, millis(now));
        self.write_program()
    }

    /// A received Opus packet.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn program_sound(&mut self, packet: &OpusPacket, now: Duration) -> Result<(), MediaError> {
        self.program.cutter.handle_audio(packet, millis(now));
        self.write_program()
    }

    fn write_program(&mut self) -> Result<(), MediaError> {
        let mut renamed = false;
        while let Some(cut) = self.program.cutter.poll() {
            match cut {
                Cut::Open(opening) => {
                    let (path, file) = self.next_program_file()?;
                    let file = self.program.file.insert(file);
                    file.write_all(&opening.bytes).map_err(failed(&path))?;
                    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    self.program.files.push((file_name, self.origin_ms + opening.starts_ms));
                    renamed = true;
                }
                Cut::Fragment(fragment) => {
                    if let Some(file) = &mut self.program.file {
                        file.write_all(&fragment.bytes).map_err(failed(&self.folder))?;
                    }
                }
                Cut::Close(_) => self.program.file = None,
                Cut::Refused { .. } => {}
            }
        }
        if renamed { self.describe() } else { Ok(()) }
    }

    fn next_program_file(&self) -> Result<(PathBuf, File), MediaError> {
        for part in 1.. {
            let path = self.folder.join(name("program", part, "mp4"));
            match File::create_new(&path) {
                Ok(file) => return Ok((path, file)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(&path)(e)),
            }
        }
        Err(failed(&self.folder)(std::io::ErrorKind::AlreadyExists.into()))
    }

    /// Time passed (`now` on any clock that only goes forward): what is written so far becomes readable.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn tick(&mut self, now: Duration) -> Result<(), MediaError> {
        if now < self.flushed + EVERY {
            return Ok(());
        }
        self.flushed = now;
        self.program.cutter.handle_timeout(millis(now));
        self.write_program()?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), MediaError> {
        if let Some((writer, _)) = &mut self.heard {
            writer.flush().map_err(|e| failed(&self.folder)(wav(e)))?;
        }
        self.shown.flush().map_err(failed(&self.folder))
    }

    /// Completes the files.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn finish(mut self) -> Result<(), MediaError> {
        self.program.cutter.handle_end();
        self.write_program()?;
        self.flush()?;
        match self.heard.take() {
            Some((writer, _)) => writer.finalize().map_err(|e| failed(&self.folder)(wav(e))),
            None => Ok(()),
        }
    }

    fn describe(&self) -> Result<(), MediaError> {
        let path = self.folder.join(name("return", self.part, "json"));
        let program: Vec<_> = self
            .program
            .files
            .iter()
            .map(|(file, at)| serde_json::json!({ "file": file, "starts_at_ms": at }))
            .collect();
        let about = serde_json::json!({
            "v": 1,
            "session": self.session,
            "origin_ms": self.origin_ms,
            "heard": name("heard", self.part, "wav"),
            "heard_started_at_ms": self.heard.as_ref().map(|(_, at)| at),
            "shown": name("shown", self.part, "csv"),
            "program": program,
        });
        // Whole or not at all, for a script that reads it meanwhile.
        let draft = path.with_extension("json.new");
        std::fs::write(&draft, format!("{about:#}\n")).map_err(failed(&draft))?;
        std::fs::rename(&draft, &path).map_err(failed(&path))
    }
}

fn millis(now: Duration) -> Millis {
    Millis(now.as_millis() as u64)
}
