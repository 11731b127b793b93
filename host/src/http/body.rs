use std::sync::Arc;

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::Body;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits;

/// The unit of a [`Budget`], in bytes.
const UNIT: usize = 1024;

/// The memory that all bodies share.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// A part of the memory, given back when it is dropped.
#[derive(Debug)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// Why a body was not read.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than permitted.
    #[error("the body is larger than permitted")]
    TooLarge,
    /// The connection ended within it.
    #[error("the body was cut off")]
    CutOff,
    /// It did not come in time.
    #[error("the body came too slowly")]
    TooSlow,
    /// Too many others are being read.
    #[error("too many bodies at once")]
    Busy,
}

impl Budget {
    /// Memory of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Budget(Arc::new(Semaphore::new(bytes.div_ceil(UNIT))))
    }

    /// Take so many bytes, and wait for them for a while.
    ///
    /// # Errors
    ///
    /// Others have taken them, and keep them.
    pub async fn take(&self, bytes: usize) -> Result<Held, BodyError> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| BodyError::TooLarge)?;
        let permit = Arc::clone(&self.0).acquire_many_owned(units);
        let permit = timeout(limits::HTTP_BUDGET_TIMEOUT, permit).await;
        let permit = permit.map_err(|_| BodyError::Busy)?;
        Ok(Held(Some(permit.expect("it is never closed"))))
    }
}

impl Held {
    fn add(&mut self, other: Held) {
        match (&mut self.0, other.0) {
            (Some(own), Some(other)) => own.merge(other),
            (own @ None, other) => *own = other,
            (_, None) => {}
        }
    }
}

/// Read a whole body of at most so many bytes.
///
/// Memory is taken as the bytes come in, so that announcing a large body takes
/// none from others.
///
/// # Errors
///
/// It is too large, too slow or cut off, or there is no memory for it.
pub async fn read(
    body: &mut (impl Body + Unpin),
    bytes_max: usize,
    budget: &Budget,
) -> Result<(Vec<u8>, Held), BodyError> {
    let announced = body.size_hint().lower();
    if announced > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let deadline = Instant::now() + limits::HTTP_BODY_TIMEOUT;
    let (mut bytes, mut held, mut paid) = (Vec::new(), Held(None), 0);
    loop {
        let pause_end = (Instant::now() + limits::HTTP_BODY_PAUSE_MAX).min(deadline);
        let frame = timeout_at(pause_end, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { return Ok((bytes, held)) };
        let frame = frame.map_err(|_| BodyError::CutOff)?;
        let Ok(mut data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        let due = (bytes.len() + data.remaining()).next_multiple_of(UNIT);
        if due > paid {
            held.add(budget.take(due - paid).await?);
            paid = due;
        }
        if bytes.is_empty() {
            // What was announced is believed once some of it is there.
            bytes.reserve_exact((announced as usize).max(data.remaining()));
        }
        while data.has_remaining() {
            let piece = data.chunk();
            bytes.extend_from_slice(piece);
            let length = piece.len();
            data.advance(length);
        }
    }
}

/// Read the rest of a body that nobody wants, as far as that is worth it.
///
/// Where a connection is closed on a client that still sends, the client finds it
/// reset, does not see its answer, and tries again.
pub async fn discard(body: &mut (impl Body + Unpin)) {
    if body.size_hint().lower() > limits::HTTP_DISCARD_BYTES_MAX {
        return;
    }
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Buf::remaining) as u64;
            if bytes > limits::HTTP_DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    let _ = timeout(limits::HTTP_DISCARD_TIMEOUT, all).await;
}
