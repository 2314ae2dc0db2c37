//! The same chance in each run.

/// xorshift64*: the same garbage in each run.
pub struct Chance(pub u64);

impl Chance {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.bits() >> 33) as usize % end }
    }

    /// Random bytes; often with the beginning of STUN, DTLS or SRTP, and often cut there.
    pub fn datagram(&mut self) -> Vec<u8> {
        let len = self.below(200);
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.bits().to_le_bytes()).collect();
        bytes.truncate(len);
        let beginnings: [&[u8]; 5] = [
            &[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42],
            &[0, 1, 0xFF, 0xFF, 0x21, 0x12, 0xA4, 0x42],
            &[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40],
            &[0x80, 0x60],
            &[0x81, 0xC8, 0, 6],
        ];
        let kind = self.below(beginnings.len() + 2);
        if let Some(beginning) = beginnings.get(kind) {
            bytes.splice(0..beginning.len().min(bytes.len()), beginning.iter().copied());
        }
        bytes
    }
}
