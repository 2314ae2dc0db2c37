//! A live camera: the picture as [`crate::eye`] gets it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::eye::{Eye, Lens};
use crate::{Captured, MediaError, lock};

/// A live camera.
pub struct DeviceCamera {
    lens: Lens,
    running: Option<(Eye, Sink)>,
}

/// Where everything that is captured goes; to nobody once the camera was let go.
pub(crate) type Sink = Arc<Mutex<Option<Box<dyn FnMut(Captured) + Send>>>>;

impl DeviceCamera {
    /// Opens nothing, so that a camera's light stays off until it is needed; one that is away is waited for then.
    ///
    /// # Errors
    /// [`MediaError::Framework`].
    pub fn open(lens: Lens) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        Ok(Self { lens, running: None })
    }

    /// Starts to capture, pictures of at most this size and rate. A camera that is away, or is lost, is told of and
    /// waited for.
    ///
    /// # Errors
    /// [`MediaError::Framework`].
    pub fn start(
        &mut self,
        size: (u16, u16),
        fps: u8,
        on_captured: impl FnMut(Captured) + Send + 'static,
    ) -> Result<Instant, MediaError> {
        let sink: Sink = Arc::new(Mutex::new(Some(Box::new(on_captured))));
        let eye = Eye::open(self.lens.clone(), size, fps, &sink)?;
        self.running = Some((eye, sink));
        Ok(Instant::now())
    }
}

impl Drop for DeviceCamera {
    fn drop(&mut self) {
        let Some((eye, sink)) = self.running.take() else {
            return;
        };
        // It waits for nobody.
        drop(eye);
        // Out of the lock before it is dropped: its encoders' threads may be about to give something.
        let on_captured = lock(&sink).take();
        drop(on_captured);
    }
}

pub(crate) fn give(sink: &Sink, captured: Captured) {
    if let Some(on_captured) = &mut *lock(sink) {
        on_captured(captured);
    }
}
