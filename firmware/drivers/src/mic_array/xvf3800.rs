//! XVF3800, as in Seeed's `reSpeaker` XVF3800, on USB (2886:001A) or on I²C (2Ch).

use embedded_hal::i2c::I2c;

use super::{ArrayError, MicArray, PATIENCE, Talk, VendorIn};

/// `DOA_VALUE`: the angle and whether it is a voice, 16 bits each.
const RESOURCE: u8 = 20;
const COMMAND: u8 = 18;
const LENGTH: usize = 4;

/// A command that reads (*XVF3800*).
const READ: u8 = 0x80;
/// Before what is read stands a status.
const ANSWER: usize = 1 + LENGTH;
const DONE: u8 = 0;
/// "The command is being worked on: ask again" of the transport, and of the processor behind it.
const WAIT: u8 = 1;
const RETRY: u8 = 64;

/// What carries the device control of XMOS.
pub trait Parameters {
    /// What it says when it fails.
    type Error;

    /// Reads a parameter: its status and its bytes. Returns how many came.
    ///
    /// # Errors
    /// The bus failed.
    fn read(&mut self, resource: u8, command: u8, answer: &mut [u8]) -> Result<usize, Self::Error>;
}

/// By vendor requests.
#[derive(Debug)]
pub struct OnUsb<U>(U);

impl<U: VendorIn> Parameters for OnUsb<U> {
    type Error = U::Error;

    fn read(&mut self, resource: u8, command: u8, answer: &mut [u8]) -> Result<usize, U::Error> {
        self.0.vendor_in(u16::from(READ | command), u16::from(resource), answer)
    }
}

/// By a write of what is asked and a read of the answer.
#[derive(Debug)]
pub struct OnI2c<I> {
    bus: I,
    address: u8,
}

impl<I: I2c> Parameters for OnI2c<I> {
    type Error = I::Error;

    fn read(&mut self, resource: u8, command: u8, answer: &mut [u8]) -> Result<usize, I::Error> {
        // Two transactions: the processor needs the stop between them to begin.
        self.bus.write(self.address, &[resource, READ | command, answer.len() as u8])?;
        self.bus.read(self.address, answer)?;
        Ok(answer.len())
    }
}

/// The array.
#[derive(Debug)]
pub struct Xvf3800<P> {
    parameters: P,
    /// Questions since it was ready last.
    unanswered: u8,
}

impl<U: VendorIn> Xvf3800<OnUsb<U>> {
    /// On its USB device.
    pub const fn on_usb(usb: U) -> Self {
        Self { parameters: OnUsb(usb), unanswered: 0 }
    }
}

impl<I: I2c> Xvf3800<OnI2c<I>> {
    /// The 7-bit address that the firmware has.
    pub const ADDRESS: u8 = 0x2C;

    /// At a 7-bit address.
    pub const fn on_i2c(bus: I, address: u8) -> Self {
        Self { parameters: OnI2c { bus, address }, unanswered: 0 }
    }
}

impl<P: Parameters> MicArray for Xvf3800<P> {
    type Error = P::Error;

    fn poll(&mut self) -> Result<Option<Talk>, ArrayError<P::Error>> {
        let mut answer = [0; ANSWER];
        let got = self.parameters.read(RESOURCE, COMMAND, &mut answer).map_err(ArrayError::Bus)?;
        let [status, a, b, c, d] = answer;
        match status {
            // Without a status nothing is said.
            DONE | WAIT | RETRY if got == 0 => Err(ArrayError::Short(got)),
            DONE if got < ANSWER => Err(ArrayError::Short(got)),
            DONE => {
                self.unanswered = 0;
                let voice = u16::from_le_bytes([c, d]) != 0;
                Talk::new(i32::from(u16::from_le_bytes([a, b])), voice).map(Some)
            }
            WAIT | RETRY => {
                self.unanswered += 1;
                if self.unanswered < PATIENCE {
                    return Ok(None);
                }
                self.unanswered = 0;
                Err(ArrayError::Busy)
            }
            refused => Err(ArrayError::Refused(refused)),
        }
    }
}
