//! Measurements, and what is good enough.

use bridgepoint_wire::commissioning::{CallProof, ChannelProof, EncoderProof, LineProof, PictureProof, PlaybackProof};

use super::fault::Fault;

/// What sessions need of a line, kbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Towards the centre: both encodings, sound, overhead.
    pub up_kbps: u32,
    /// From the centre: the program and sound.
    pub down_kbps: u32,
}

/// A clock that is off by less than this is right, milliseconds. Certificates are checked to the second, and a record's
/// clock mapping does the rest.
pub const CLOCK_MS: u64 = 2_000;
/// Each way of the line is measured for this long, seconds.
pub const LINE_S: u32 = 30;
/// The test call lasts this long, seconds.
pub const CALL_S: u32 = 10;
/// This much is recorded and played back, seconds.
pub const PLAYBACK_S: u32 = 10;

/// Brightness and contrast of a picture.
///
/// `luma`: rows of `stride` bytes of which `width` count, full range 0 to 255. Every fourth pixel of every fourth row is
/// looked at. An empty picture is black.
pub fn measure_picture(luma: &[u8], width: usize, stride: usize) -> PictureProof {
    let (mut count, mut sum, mut squares) = (0_u64, 0_u64, 0_u64);
    for row in luma.chunks(stride.max(1)).step_by(4) {
        for luma in row.iter().take(width).step_by(4).map(|luma| u64::from(*luma)) {
            count += 1;
            sum += luma;
            squares += luma * luma;
        }
    }
    let mean = sum.checked_div(count).unwrap_or(0);
    let variance = (squares * count).saturating_sub(sum * sum).checked_div(count * count).unwrap_or(0);
    // Both are at most 255: mean and deviation of bytes.
    PictureProof { mean: mean.min(255) as u8, spread: variance.isqrt().min(255) as u8 }
}

/// Black (a cap, no sensor), covered (a hand, a cloth, a wall), or too dark for faces.
///
/// # Errors
/// The picture's fault.
pub fn picture(seen: PictureProof) -> Result<PictureProof, Fault> {
    /// Sensors add noise of two or three steps to black.
    const BLACK: PictureProof = PictureProof { mean: 24, spread: 4 };
    /// A furnished room spreads over 30 and more; a hand before the lens over less than 10, bright or dark.
    const COVERED_SPREAD: u8 = 10;
    /// Faces in a room with its lamps on: 70 and more.
    const DARK_MEAN: u8 = 40;
    if seen.mean <= BLACK.mean && seen.spread <= BLACK.spread {
        Err(Fault::PictureBlack)
    } else if seen.spread < COVERED_SPREAD {
        Err(Fault::PictureCovered)
    } else if seen.mean < DARK_MEAN {
        Err(Fault::PictureDark)
    } else {
        Ok(seen)
    }
}

/// All channels must hear somebody who speaks: a spare microphone that is dead is noticed now or never.
///
/// # Errors
/// The first channel's fault.
pub fn sound(channels: Vec<ChannelProof>) -> Result<Vec<ChannelProof>, Fault> {
    /// Below the noise of any live microphone with its amplifier.
    const SILENT_DBFS: i8 = -90;
    /// Speech at 3 m gives −45 and more.
    const QUIET_DBFS: i8 = -55;
    /// A sample at full scale was cut off.
    const CLIPPED_DBFS: i8 = 0;
    if channels.is_empty() {
        return Err(Fault::MicrophoneMissing);
    }
    for (n, channel) in (0..=u8::MAX).zip(&channels) {
        if channel.peak_dbfs >= CLIPPED_DBFS {
            return Err(Fault::MicrophoneClipped(n));
        } else if channel.dbfs <= SILENT_DBFS {
            return Err(Fault::MicrophoneSilent(n));
        } else if channel.dbfs < QUIET_DBFS {
            return Err(Fault::MicrophoneQuiet(n));
        }
    }
    Ok(channels)
}

/// 95 of 100 pictures must come out in time.
///
/// # Errors
/// [`Fault::EncoderMissing`], [`Fault::EncoderSlow`].
pub fn encoder(measured: EncoderProof) -> Result<EncoderProof, Fault> {
    let (done, of) = (u64::from(measured.pictures_out), u64::from(measured.pictures_in));
    if done == 0 {
        Err(Fault::EncoderMissing)
    } else if done * 100 < of * 95 {
        Err(Fault::EncoderSlow(measured.pictures_out, measured.pictures_in))
    } else {
        Ok(measured)
    }
}

/// Measured for the whole time, fast enough both ways, and at most 3 % lost.
///
/// # Errors
/// [`Fault::LineBroke`], [`Fault::LineSlow`], [`Fault::LineLossy`].
pub fn line(measured: LineProof, needed: Needs) -> Result<LineProof, Fault> {
    let LineProof { seconds, up_kbps, down_kbps, loss_permille, rtt_ms: _ } = measured;
    if seconds < LINE_S {
        Err(Fault::LineBroke)
    } else if up_kbps < needed.up_kbps || down_kbps < needed.down_kbps {
        Err(Fault::LineSlow { up_kbps, down_kbps, needed })
    } else if loss_permille > 30 {
        Err(Fault::LineLossy(loss_permille))
    } else {
        Ok(measured)
    }
}

/// Of what a call of its length holds (25 pictures and 50 packets of sound a second), 80 of 100 came back, within 1.5 s.
///
/// # Errors
/// [`Fault::CallBroke`], [`Fault::CallNoPicture`], [`Fault::CallNoSound`], [`Fault::CallLate`].
pub fn call(measured: CallProof) -> Result<CallProof, Fault> {
    let CallProof { seconds, pictures, sounds, delay_ms } = measured;
    let (seconds, pictures, sounds) = (u64::from(seconds), u64::from(pictures), u64::from(sounds));
    if seconds < u64::from(CALL_S) {
        Err(Fault::CallBroke)
    } else if pictures < seconds * 20 {
        Err(Fault::CallNoPicture)
    } else if sounds < seconds * 40 {
        Err(Fault::CallNoSound)
    } else if delay_ms > 1_500 {
        Err(Fault::CallLate(delay_ms))
    } else {
        Ok(measured)
    }
}

/// Something of nearly the whole length was recorded. Whether it is good, a person says.
///
/// # Errors
/// [`Fault::RecordingFailed`].
pub fn playback(measured: PlaybackProof) -> Result<PlaybackProof, Fault> {
    let whole = measured.recorded_ms >= PLAYBACK_S * 1_000 - 500 && measured.bytes > 0;
    if whole { Ok(measured) } else { Err(Fault::RecordingFailed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIDE: usize = 352;

    /// 320×180 from a function of (x, y); the stride's rest is white and must not count.
    fn judged(luma: impl Fn(usize, usize) -> u8) -> Result<PictureProof, Fault> {
        let mut bytes = vec![255; STRIDE * 180];
        for y in 0..180 {
            for x in 0..320 {
                bytes[y * STRIDE + x] = luma(x, y);
            }
        }
        picture(measure_picture(&bytes, 320, STRIDE))
    }

    /// Something like noise, 0 to 7.
    fn noise(x: usize, y: usize) -> u8 {
        ((x * 7919 + y * 104_729 + x * y * 31) % 8) as u8
    }

    /// A wall, a table, a face.
    fn room(x: usize, y: usize) -> u8 {
        match (x, y) {
            (120..200, 50..130) => 170,
            (_, 120..) => 60,
            _ => 120 + (x / 8) as u8,
        }
    }

    #[test]
    fn a_picture_is_black_covered_too_dark_or_good() {
        assert_eq!(judged(noise), Err(Fault::PictureBlack));
        assert_eq!(judged(|x, y| 30 + noise(x, y)), Err(Fault::PictureCovered));
        assert_eq!(judged(|x, y| 200 + noise(x, y)), Err(Fault::PictureCovered));
        assert_eq!(judged(|x, y| room(x, y) / 5), Err(Fault::PictureCovered));
        assert_eq!(judged(|x, y| room(x, y) / 4), Err(Fault::PictureDark));
        assert!(judged(room).is_ok_and(|seen| (90..140).contains(&seen.mean)));
        assert_eq!(picture(measure_picture(&[], 0, 0)), Err(Fault::PictureBlack));
    }

    #[test]
    fn one_dead_quiet_or_clipped_channel_is_named() {
        let good = ChannelProof { dbfs: -30, peak_dbfs: -10 };
        let with = |dbfs, peak_dbfs| sound(vec![good, ChannelProof { dbfs, peak_dbfs }]);
        assert_eq!(sound(vec![good, good]), Ok(vec![good, good]));
        assert_eq!(with(-127, -127), Err(Fault::MicrophoneSilent(1)));
        assert_eq!(with(-60, -40), Err(Fault::MicrophoneQuiet(1)));
        assert_eq!(with(-3, 0), Err(Fault::MicrophoneClipped(1)));
        assert_eq!(sound(vec![]), Err(Fault::MicrophoneMissing));
    }

    #[test]
    fn an_encoder_keeps_up_or_not() {
        let with = |out| encoder(EncoderProof { name: "x".into(), pictures_in: 100, pictures_out: out });
        assert!(with(95).is_ok());
        assert_eq!(with(94), Err(Fault::EncoderSlow(94, 100)));
        assert_eq!(with(0), Err(Fault::EncoderMissing));
    }

    #[test]
    fn a_line_is_measured_whole_and_must_do_for_both_ways() {
        let needed = Needs { up_kbps: 2_500, down_kbps: 2_000 };
        let good = LineProof { seconds: 30, up_kbps: 2_500, down_kbps: 2_000, loss_permille: 30, rtt_ms: 40 };
        assert_eq!(line(good, needed), Ok(good));
        assert_eq!(line(LineProof { seconds: 29, ..good }, needed), Err(Fault::LineBroke));
        let slow = |up_kbps, down_kbps| Err(Fault::LineSlow { up_kbps, down_kbps, needed });
        assert_eq!(line(LineProof { up_kbps: 2_499, ..good }, needed), slow(2_499, 2_000));
        assert_eq!(line(LineProof { down_kbps: 1, ..good }, needed), slow(2_500, 1));
        assert_eq!(line(LineProof { loss_permille: 31, ..good }, needed), Err(Fault::LineLossy(31)));
    }

    #[test]
    fn a_call_brings_back_both_picture_and_sound_soon() {
        let good = CallProof { seconds: 10, pictures: 200, sounds: 400, delay_ms: 1_500 };
        assert_eq!(call(good), Ok(good));
        assert_eq!(call(CallProof { seconds: 9, ..good }), Err(Fault::CallBroke));
        assert_eq!(call(CallProof { pictures: 199, ..good }), Err(Fault::CallNoPicture));
        assert_eq!(call(CallProof { sounds: 399, ..good }), Err(Fault::CallNoSound));
        assert_eq!(call(CallProof { delay_ms: 1_501, ..good }), Err(Fault::CallLate(1_501)));
    }

    #[test]
    fn a_recording_that_is_short_or_empty_is_none() {
        assert!(playback(PlaybackProof { recorded_ms: 9_500, bytes: 1 }).is_ok());
        assert_eq!(playback(PlaybackProof { recorded_ms: 9_499, bytes: 1 }), Err(Fault::RecordingFailed));
        assert_eq!(playback(PlaybackProof { recorded_ms: 10_000, bytes: 0 }), Err(Fault::RecordingFailed));
    }
}
