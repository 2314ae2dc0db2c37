//! The bytes of a file: init segment, fragments, seek index (ISO/IEC 14496-12 and -15; Opus in ISOBMFF 0.8.1).
//!
//! Every function here is pure: the same samples give the same bytes, at the box and at the centre.

use std::sync::Arc;

use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Dinf, Dops, Dref, Encode, FragmentInfo, Ftyp, Hdlr, Mdhd, Mdia, Mfhd, Mfra,
    Mfro, Minf, Moof, Moov, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd, Tfdt, Tfhd, Tfra, Tkhd, Traf, Trak, Trex, Trun,
    TrunEntry, Url, Visual, Vmhd,
};

use crate::avc::{Format, ParameterSets};

/// Track of the picture.
pub const VIDEO_TRACK: u32 = 1;
/// Track of the sound.
pub const AUDIO_TRACK: u32 = 2;

/// `sample_depends_on = 2`: decodes by itself.
const SYNC: u32 = 0x0200_0000;
/// `sample_depends_on = 1`, `sample_is_non_sync_sample`.
const NON_SYNC: u32 = 0x0101_0000;
/// Duration of a fragment's only picture, ticks of 90 kHz: 25 frames per second.
const LONE_PICTURE: u32 = 3_600;

/// One sample of a fragment, shared with whoever sent it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Ticks since the session's origin.
    pub ticks: u64,
    /// Decodes by itself; always true for sound.
    pub key: bool,
    /// The bytes of the MP4 sample.
    pub data: Arc<[u8]>,
}

/// A key frame's place inside a fragment, for the seek index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySample {
    /// Presentation time, 90 kHz ticks since the origin.
    pub time: u64,
    /// Which sample of the fragment's picture run, from 1.
    pub number: u32,
}

/// A key frame's place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seek {
    /// The fragment's first byte in the file.
    pub offset: u64,
    /// Which sample of it.
    pub key: KeySample,
}

/// The fragment of `video` and `audio` samples number `index`.
///
/// `ftyp` and `moov` come first in a file, see [`init`]. A sample lasts until the next one of the same fragment; the
/// last picture as long as the one before it, the last Opus packet as long as it says itself: so nothing outside of
/// the fragment changes its bytes.
pub fn fragment(index: u64, video: &[Sample], audio: &[Sample]) -> Vec<u8> {
    let video_bytes: usize = video.iter().map(|s| s.data.len()).sum();
    let audio_bytes: usize = audio.iter().map(|s| s.data.len()).sum();
    let mut moof = Moof { mfhd: Mfhd { sequence_number: (index + 1) as u32 }, traf: Vec::new() };
    if !video.is_empty() {
        moof.traf.push(traf(VIDEO_TRACK, video, video_entries(video)));
    }
    if !audio.is_empty() {
        moof.traf.push(traf(AUDIO_TRACK, audio, audio_entries(audio)));
    }
    let mut bytes = Vec::with_capacity(512 + 16 * (video.len() + audio.len()) + video_bytes + audio_bytes);
    put(&moof, &mut bytes);
    // The offsets count from the start of moof, whose length does not depend on their value.
    let mut at = bytes.len() + 8;
    for traf in &mut moof.traf {
        traf.trun[0].data_offset = Some(at as i32);
        at += if traf.tfhd.track_id == VIDEO_TRACK { video_bytes } else { audio_bytes };
    }
    bytes.clear();
    put(&moof, &mut bytes);
    bytes.extend_from_slice(&((8 + video_bytes + audio_bytes) as u32).to_be_bytes());
    bytes.extend_from_slice(b"mdat");
    for sample in video.iter().chain(audio) {
        bytes.extend_from_slice(&sample.data);
    }
    bytes
}

fn traf(track_id: u32, samples: &[Sample], entries: Vec<TrunEntry>) -> Traf {
    Traf {
        tfhd: Tfhd { track_id, default_base_is_moof: true, ..Tfhd::default() },
        tfdt: Some(Tfdt { base_media_decode_time: samples[0].ticks }),
        trun: vec![Trun { data_offset: Some(0), samples: entries.into() }],
        ..Traf::default()
    }
}

fn video_entries(samples: &[Sample]) -> Vec<TrunEntry> {
    let mut last = LONE_PICTURE;
    (0..samples.len())
        .map(|n| {
            if let Some(next) = samples.get(n + 1) {
                last = (next.ticks - samples[n].ticks) as u32;
            }
            TrunEntry {
                duration: Some(last),
                size: Some(samples[n].data.len() as u32),
                flags: Some(if samples[n].key { SYNC } else { NON_SYNC }),
                cts: None,
            }
        })
        .collect()
}

fn audio_entries(samples: &[Sample]) -> Vec<TrunEntry> {
    (0..samples.len())
        .map(|n| TrunEntry {
            duration: Some(
                samples
                    .get(n + 1)
                    .map_or_else(|| opus_duration(&samples[n].data), |next| (next.ticks - samples[n].ticks) as u32),
            ),
            size: Some(samples[n].data.len() as u32),
            flags: None,
            cts: None,
        })
        .collect()
}

/// How long an Opus packet sounds, ticks of 48 kHz (RFC 6716 §3.1).
pub fn opus_duration(packet: &[u8]) -> u32 {
    let Some(&toc) = packet.first() else { return 960 };
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(1, |b| u32::from(b & 0x3F)),
    };
    // Nothing longer than 120 ms is an Opus packet.
    (frame * count).clamp(120, 5_760)
}

/// Channels of an Opus packet (bit 2 of its first byte).
pub fn opus_channels(packet: &[u8]) -> u8 {
    1 + packet.first().map_or(0, |toc| toc >> 2 & 1)
}

/// `ftyp` and `moov`: picture with these parameter sets, sound with this many channels.
pub fn init(sets: &ParameterSets, format: Format, channels: u8) -> Vec<u8> {
    let ftyp = Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"mp41".into(), b"avc1".into()],
    };
    let moov = Moov {
        mvhd: Mvhd { timescale: 1_000, rate: 1.into(), volume: 1.into(), next_track_id: 3, ..Mvhd::default() },
        mvex: Some(Mvex { mehd: None, trex: vec![trex(VIDEO_TRACK, NON_SYNC), trex(AUDIO_TRACK, SYNC)] }),
        trak: vec![video_trak(sets, format), audio_trak(channels)],
        ..Moov::default()
    };
    let mut bytes = Vec::with_capacity(1_200);
    put(&ftyp, &mut bytes);
    put(&moov, &mut bytes);
    bytes
}

fn trex(track_id: u32, default_sample_flags: u32) -> Trex {
    Trex { track_id, default_sample_description_index: 1, default_sample_flags, ..Trex::default() }
}

fn video_trak(sets: &ParameterSets, format: Format) -> Trak {
    let [profile, compatibility, level] = format.profile;
    let avc1 = Avc1 {
        visual: Visual { data_reference_index: 1, width: format.width, height: format.height, ..Visual::default() },
        avcc: Avcc {
            configuration_version: 1,
            avc_profile_indication: profile,
            profile_compatibility: compatibility,
            avc_level_indication: level,
            length_size: 4,
            sequence_parameter_sets: sets.sps.clone(),
            picture_parameter_sets: sets.pps.clone(),
            ext: format.high.map(|[chroma_format, bit_depth_luma, bit_depth_chroma]| AvccExt {
                chroma_format,
                bit_depth_luma,
                bit_depth_chroma,
                sequence_parameter_sets_ext: Vec::new(),
            }),
        },
        ..Avc1::default()
    };
    Trak {
        tkhd: Tkhd {
            track_id: VIDEO_TRACK,
            enabled: true,
            in_movie: true,
            width: format.width.into(),
            height: format.height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: 90_000, language: "und".into(), ..Mdhd::default() },
            hdlr: Hdlr { handler: b"vide".into(), name: "video".into() },
            minf: Minf { vmhd: Some(Vmhd::default()), dinf: here(), stbl: empty_table(avc1.into()), ..Minf::default() },
        },
        ..Trak::default()
    }
}

fn audio_trak(channels: u8) -> Trak {
    let opus = Opus {
        audio: Audio {
            data_reference_index: 1,
            channel_count: u16::from(channels),
            sample_size: 16,
            sample_rate: 48_000.into(),
        },
        // Pre-skip 0: the encoder's look-ahead is already taken off the time stamps.
        dops: Dops {
            output_channel_count: channels,
            pre_skip: 0,
            input_sample_rate: 48_000,
            output_gain: 0,
            channel_mapping: None,
        },
        btrt: None,
    };
    Trak {
        tkhd: Tkhd { track_id: AUDIO_TRACK, enabled: true, in_movie: true, volume: 1.into(), ..Tkhd::default() },
        mdia: Mdia {
            mdhd: Mdhd { timescale: 48_000, language: "und".into(), ..Mdhd::default() },
            hdlr: Hdlr { handler: b"soun".into(), name: "sound".into() },
            minf: Minf { smhd: Some(Smhd::default()), dinf: here(), stbl: empty_table(opus.into()), ..Minf::default() },
        },
        ..Trak::default()
    }
}

/// The samples are in this file.
fn here() -> Dinf {
    Dinf { dref: Dref { entries: vec![Url::default().into()] } }
}

/// Where the samples of a fragmented file are is said by its fragments.
fn empty_table(codec: Codec) -> Stbl {
    Stbl { stsd: Stsd { codecs: vec![codec] }, stco: Some(Stco::default()), ..Stbl::default() }
}

/// `mfra`: where every key frame is. The last box of a closed file.
pub fn index(keys: &[Seek]) -> Vec<u8> {
    let entries = keys
        .iter()
        .map(|seek| FragmentInfo {
            time: seek.key.time,
            moof_offset: seek.offset,
            traf_number: 1, // the picture's run is the first of its fragment
            trun_number: 1,
            sample_delta: seek.key.number,
        })
        .collect();
    let mut mfra = Mfra { tfra: vec![Tfra { track_id: VIDEO_TRACK, entries }], mfro: Mfro { parent_size: 0 } };
    let mut bytes = Vec::new();
    put(&mfra, &mut bytes);
    mfra.mfro.parent_size = bytes.len() as u32;
    bytes.clear();
    put(&mfra, &mut bytes);
    bytes
}

/// Key frames of the samples of one fragment.
pub fn keys(video: &[Sample]) -> Vec<KeySample> {
    let keyed = video.iter().enumerate().filter(|(_, sample)| sample.key);
    keyed.map(|(n, sample)| KeySample { time: sample.ticks, number: n as u32 + 1 }).collect()
}

fn put(atom: &impl Encode, bytes: &mut Vec<u8>) {
    // Cannot fail: every value that the encoder refuses (mapping tables, lengths) is one that this module chose, and
    // what comes from outside (parameter sets, sizes) was checked in `avc`.
    atom.encode(bytes).expect("boxes of checked values can be encoded");
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp4_atom::{Any, DecodeMaybe};

    #[test]
    fn opus_packets_say_how_long_they_are() {
        let cases: [(&[u8], u32); 8] = [
            (&[0b0000_1000], 960),      // SILK 20 ms
            (&[0b0111_1000], 960),      // hybrid 20 ms
            (&[0b1111_1000], 960),      // CELT 20 ms
            (&[0b1110_0000], 120),      // CELT 2.5 ms
            (&[0b1111_1001], 1_920),    // two frames
            (&[0b1111_1011, 3], 2_880), // three frames
            (&[0b0001_1000], 2_880),    // SILK 60 ms
            (&[], 960),
        ];
        for (packet, ticks) in cases {
            assert_eq!(opus_duration(packet), ticks, "{packet:?}");
        }
        assert_eq!((opus_channels(&[0b1111_1000]), opus_channels(&[0b1111_1100])), (1, 2));
    }

    #[test]
    fn a_fragment_depends_on_its_samples_only_and_its_offsets_point_at_them() {
        let sample = |ticks, key, byte: u8, len| Sample { ticks, key, data: vec![byte; len].into() };
        let video = [sample(90_000, true, 1, 1_000), sample(93_600, false, 2, 70)];
        let audio = [sample(48_000, true, 0xF8, 3), sample(48_960, true, 0xF8, 4)];
        let bytes = fragment(2, &video, &audio);
        assert_eq!(bytes, fragment(2, &video, &audio));
        let mut rest = bytes.as_slice();
        let Ok(Some(Any::Moof(moof))) = Any::decode_maybe(&mut rest) else { panic!("no moof") };
        assert_eq!(moof.mfhd.sequence_number, 3);
        for (traf, byte) in moof.traf.iter().zip([1, 0xF8]) {
            let at = traf.trun[0].data_offset.unwrap() as usize;
            assert_eq!(bytes[at], byte);
        }
        let durations: Vec<u32> =
            moof.traf.iter().flat_map(|t| t.trun[0].samples.iter().map(|s| s.duration.unwrap())).collect();
        assert_eq!(durations, [3_600, 3_600, 960, 960]);
        assert_eq!(&rest[4..8], b"mdat");
        assert_eq!(rest.len(), 8 + 1_000 + 70 + 7);
    }
}
