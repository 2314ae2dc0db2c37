//! What a file's header needs to know about an H.264 stream: its parameter sets and the picture's size.

use bridgepoint_wire::media::AccessUnit;

/// The parameter sets of one coded video sequence, as the encoder sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSets {
    /// Sequence parameter sets (NAL unit type 7), without start codes or lengths.
    pub sps: Vec<Vec<u8>>,
    /// Picture parameter sets (NAL unit type 8).
    pub pps: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// Those in `unit`; `None` unless it holds both kinds.
    pub fn of(unit: &AccessUnit) -> Option<Self> {
        let mut sets = Self { sps: Vec::new(), pps: Vec::new() };
        for nal in unit.nals() {
            let list = match nal.first().map(|b| b & 0x1F) {
                Some(7) => &mut sets.sps,
                Some(8) => &mut sets.pps,
                _ => continue,
            };
            if !list.iter().any(|known| known == nal) {
                list.push(nal.to_vec());
            }
        }
        // The header counts them in 5 and 8 bits and their lengths in 16 (ISO/IEC 14496-15 §5.3.3.1).
        let fits = (1..=31).contains(&sets.sps.len())
            && (1..=255).contains(&sets.pps.len())
            && sets.sps.iter().chain(&sets.pps).all(|set| u16::try_from(set.len()).is_ok());
        fits.then_some(sets)
    }
}

/// What the header repeats from a sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Width after cropping, pixels.
    pub width: u16,
    /// Height after cropping, pixels.
    pub height: u16,
    /// `profile_idc`, the constraint flags, `level_idc`.
    pub profile: [u8; 3],
    /// `chroma_format_idc` and the two bit depths; only of the High profiles, else `None`.
    pub high: Option<[u8; 3]>,
    /// Pictures are whole frames, never fields (`frame_mbs_only_flag`).
    pub progressive: bool,
}

impl Format {
    /// Reads a sequence parameter set NAL unit (ITU-T H.264 §7.3.2.1.1). `None` when it is cut short or absurd.
    pub fn of(sps: &[u8]) -> Option<Self> {
        let &[_, profile_idc, constraints, level, ..] = sps else { return None };
        let payload = without_emulation_prevention(sps.get(4..)?);
        let mut bits = Bits { bytes: &payload, at: 0 };
        bits.ue()?; // seq_parameter_set_id
        let mut chroma = 1;
        let mut high = None;
        if matches!(profile_idc, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma = bits.ue()?;
            if chroma == 3 {
                bits.bit()?; // separate_colour_plane_flag
            }
            let luma_depth = 8 + bits.ue()?;
            let chroma_depth = 8 + bits.ue()?;
            if chroma > 3 || luma_depth > 14 || chroma_depth > 14 {
                return None;
            }
            high = Some([chroma as u8, luma_depth as u8, chroma_depth as u8]);
            bits.bit()?; // qpprime_y_zero_transform_bypass_flag
            if bits.bit()? {
                for list in 0..if chroma == 3 { 12 } else { 8 } {
                    if bits.bit()? {
                        bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        bits.ue()?; // log2_max_frame_num_minus4
        match bits.ue()? {
            0 => {
                bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
            }
            1 => {
                bits.bit()?; // delta_pic_order_always_zero_flag
                bits.se()?; // offset_for_non_ref_pic
                bits.se()?; // offset_for_top_to_bottom_field
                for _ in 0..bits.ue().filter(|n| *n < 256)? {
                    bits.se()?; // offset_for_ref_frame
                }
            }
            _ => {}
        }
        bits.ue()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let width_mbs = bits.ue()? + 1;
        let height_units = bits.ue()? + 1;
        let frame_mbs_only = bits.bit()?;
        if !frame_mbs_only {
            bits.bit()?; // mb_adaptive_frame_field_flag
        }
        bits.bit()?; // direct_8x8_inference_flag
        let crop = if bits.bit()? { [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?] } else { [0; 4] };
        let (unit_x, unit_y) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let fields = if frame_mbs_only { 1 } else { 2 };
        let [left, right, top, bottom] = crop.map(u64::from);
        let width = (u64::from(width_mbs) * 16).checked_sub((left + right) * unit_x)?;
        let height = (u64::from(height_units) * 16 * fields).checked_sub((top + bottom) * unit_y * fields)?;
        let size = |pixels: u64| u16::try_from(pixels).ok().filter(|p| *p > 0);
        Some(Self {
            width: size(width)?,
            height: size(height)?,
            profile: [profile_idc, constraints, level],
            high,
            progressive: frame_mbs_only,
        })
    }
}

/// Whether a picture of `unit` refers to later ones (a B slice, ITU-T H.264 §7.3.3 and table 7-6).
pub fn has_b_slice(unit: &AccessUnit) -> bool {
    unit.nals().filter(|nal| nal.first().is_some_and(|head| matches!(head & 0x1F, 1 | 5))).any(|nal| {
        // Both numbers are short; emulation prevention cannot begin before the third byte.
        let head = without_emulation_prevention(&nal[1..nal.len().min(16)]);
        let mut bits = Bits { bytes: &head, at: 0 };
        let slice_type = bits.ue().and_then(|_first_mb| bits.ue());
        slice_type.is_some_and(|slice_type| slice_type % 5 == 1)
    })
}

/// RBSP from NAL unit payload: drops each 03 after two zero bytes (ITU-T H.264 §7.4.1).
fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Unsigned Exp-Golomb code (§9.1), up to 2³²−2.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value: u64 = 1;
        for _ in 0..zeros {
            value = value << 1 | u64::from(self.bit()?);
        }
        // One below the limit, so that `+ 1` and `+ 8` of the callers cannot overflow.
        u32::try_from(value - 1).ok().filter(|v| *v < u32::MAX - 8)
    }

    fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 })
    }

    fn skip_scaling_list(&mut self, size: usize) -> Option<()> {
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..size {
            if next != 0 {
                next = (last + self.se()? + 256).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x264, 1920×1080 High (the example of mp4-atom's own tests): cropped from 1088 lines.
    const HIGH_1080: [u8; 26] =
        [103, 100, 0, 40, 172, 217, 64, 120, 2, 39, 229, 132, 0, 0, 3, 0, 4, 0, 0, 3, 0, 240, 60, 96, 198, 88];

    #[test]
    fn size_and_depth_come_from_a_real_parameter_set() {
        let format = Format::of(&HIGH_1080).unwrap();
        assert_eq!((format.width, format.height), (1920, 1080));
        assert_eq!(format.profile, [100, 0, 40]);
        assert_eq!(format.high, Some([1, 8, 8]));
        assert!(format.progressive);
    }

    #[test]
    fn b_slices_are_found_wherever_they_are_in_a_picture() {
        // `first_mb_in_slice` 0 is the bit 1; then slice types 0 (P), 1 (B), 7 (I), 6 (B): 1, 010, 0001000, 00111.
        let unit = |nals: &[[u8; 3]]| AccessUnit::from_nals(0, nals.iter().map(<[u8; 3]>::as_slice)).unwrap();
        let (p, b, i, all_b) =
            ([0x41, 0b1100_0000, 9], [0x01, 0b1010_0000, 9], [0x65, 0b1000_1000, 9], [0x01, 0b1001_1100, 9]);
        assert!(!has_b_slice(&unit(&[p])) && !has_b_slice(&unit(&[i])));
        assert!(has_b_slice(&unit(&[b])) && has_b_slice(&unit(&[all_b])) && has_b_slice(&unit(&[p, b])));
        // Not a slice.
        assert!(!has_b_slice(&unit(&[[0x06, 0b1010_0000, 9]])));
    }

    #[test]
    fn parameter_sets_cut_short_or_of_random_bytes_are_refused_without_a_panic() {
        for len in 0..10 {
            assert_eq!(Format::of(&HIGH_1080[..len]), None, "{len}");
        }
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (seed >> 33) as u8
                })
                .collect();
            let _ = Format::of(&bytes);
        }
    }
}
