//! Microphone arrays that tell by themselves from where a voice comes.
//!
//! An array's processor hears all microphones before anything is sent over USB, takes out what the loudspeaker plays and
//! tells speech from noise; so what it says is worth more than what could be worked out from its channels. It is asked
//! every 100 ms or so, and never makes its caller wait: an answer that is not ready yet is [`None`], and the question is
//! put again the next time.
//!
//! Sources, cited by short name in this module:
//! * *XVF3800*: XMOS, XVF3800 User Guide 3.2.1, "Device control" (`DOA_VALUE` is an addition of Seeed's firmware for
//!   the reSpeaker XVF3800, from 2.0.6 on: its wiki, "`XVF3800` I²C command list");
//! * *XVF3000*: XMOS, `VocalFusion` XVF3000 control guide; parameters as in Seeed's wiki, "`ReSpeaker` Mic Array v2.0".

mod xvf3000;
mod xvf3800;

pub use xvf3000::Xvf3000;
pub use xvf3800::{OnI2c, OnUsb, Parameters, Xvf3800};

/// Reads over USB by vendor requests to the device: `bmRequestType` C0h, `bRequest` 0 (USB 2.0, section 9.3).
pub trait VendorIn {
    /// What USB says when it fails.
    type Error;

    /// Reads with `wValue` and `wIndex`; returns how many bytes of `answer` came.
    ///
    /// # Errors
    /// The transfer failed.
    fn vendor_in(&mut self, value: u16, index: u16, answer: &mut [u8]) -> Result<usize, Self::Error>;
}

/// What an array hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Talk {
    /// From where, in the array's own degrees: 0 to 359. Where its 0 is and which way it counts depends on the array.
    pub angle_deg: u16,
    /// It is a voice. Without, the angle is an old one.
    pub voice: bool,
}

/// Why an array says nothing that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError<E> {
    /// The bus failed, or nobody is there.
    #[error("{0}")]
    Bus(E),
    /// Fewer bytes than the answer has.
    #[error("{0} bytes came, which is no answer")]
    Short(usize),
    /// It refuses the question: another array, or firmware that does not know it.
    #[error("the array refuses to say it (status {0})")]
    Refused(u8),
    /// No direction.
    #[error("{0} is no angle")]
    Angle(i32),
    /// An answer is never ready.
    #[error("the array has not been ready for {} questions", PATIENCE)]
    Busy,
}

/// An array that is not ready for so many questions in a row hangs.
pub const PATIENCE: u8 = 20;

/// An array that tells directions.
pub trait MicArray {
    /// What its bus says when it fails.
    type Error;

    /// What it hears now; `None`: it is not ready to say so.
    ///
    /// # Errors
    /// [`ArrayError`]. It can be asked again.
    fn poll(&mut self) -> Result<Option<Talk>, ArrayError<Self::Error>>;
}

impl Talk {
    fn new<E>(angle: i32, voice: bool) -> Result<Self, ArrayError<E>> {
        match u16::try_from(angle) {
            Ok(angle_deg @ 0..360) => Ok(Self { angle_deg, voice }),
            _ => Err(ArrayError::Angle(angle)),
        }
    }
}

#[cfg(test)]
#[path = "mic_array/tests.rs"]
mod tests;
