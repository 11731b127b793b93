//! Limits the requests that run, and those that wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits;

/// Limits the requests that all functions handle at the same time. Clones share one limit.
#[derive(Debug, Clone)]
pub struct FunctionSlots(Arc<Semaphore>);

impl Default for FunctionSlots {
    fn default() -> Self {
        FunctionSlots(Arc::new(Semaphore::new(limits::FUNCTION_CALLS_MAX)))
    }
}

impl FunctionSlots {
    /// Creates the line of a function.
    pub(super) fn new_line(&self) -> WaitingLine {
        WaitingLine {
            all: Arc::clone(&self.0),
            own: Arc::new(Semaphore::new(limits::FUNCTION_CALLS_OF_ONE_MAX)),
            places: Arc::new(Semaphore::new(
                limits::FUNCTION_CALLS_OF_ONE_MAX + limits::FUNCTION_WAITING_MAX,
            )),
        }
    }
}

/// The requests of one function: those that run, and those that wait.
#[derive(Debug)]
pub(super) struct WaitingLine {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// A permit for each request that runs or waits.
    places: Arc<Semaphore>,
}

/// The right to run a request, until it is dropped.
#[derive(Debug)]
pub(super) struct FunctionSlot {
    _place: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl WaitingLine {
    /// Waits for a slot. Returns `None` if too many requests wait, or after
    /// [`FUNCTION_WAIT_MAX`](limits::FUNCTION_WAIT_MAX).
    pub(super) async fn wait_for_slot(&self) -> Option<FunctionSlot> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let permits = async {
            // The own permit comes first: a request that waits for its function takes nothing from
            // the others.
            let own = Arc::clone(&self.own).acquire_owned().await.ok()?;
            let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(FunctionSlot { _place: place, _own: own, _all: all })
        };
        timeout(limits::FUNCTION_WAIT_MAX, permits).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_function_uses_its_part_of_the_slots_and_the_rest_waits() {
        let slots = FunctionSlots::default();
        let (one, other) = (slots.new_line(), slots.new_line());
        let mut running = Vec::new();
        for _ in 0..limits::FUNCTION_CALLS_OF_ONE_MAX {
            running.push(one.wait_for_slot().await.unwrap());
        }
        // The next one waits in vain, while the other function has slots.
        assert!(one.wait_for_slot().await.is_none());
        assert!(other.wait_for_slot().await.is_some());
        let (next, ()) = tokio::join!(one.wait_for_slot(), async { drop(running.pop()) });
        assert!(next.is_some());
        running.extend(next);
        // Beyond the line, a request does not wait.
        let waiting: Vec<_> =
            (0..limits::FUNCTION_WAITING_MAX).map(|_| one.wait_for_slot()).collect();
        let mut waiting: Vec<_> = waiting.into_iter().map(Box::pin).collect();
        for request in &mut waiting {
            let pending = std::future::poll_fn(|context| {
                std::task::Poll::Ready(request.as_mut().poll(context).is_pending())
            });
            assert!(pending.await);
        }
        let start = tokio::time::Instant::now();
        assert!(one.wait_for_slot().await.is_none());
        assert_eq!(start.elapsed(), std::time::Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn all_functions_share_the_slots() {
        let slots = FunctionSlots::default();
        let functions = limits::FUNCTION_CALLS_MAX / limits::FUNCTION_CALLS_OF_ONE_MAX;
        let lines: Vec<_> = (0..=functions).map(|_| slots.new_line()).collect();
        let mut running = Vec::new();
        for line in &lines[..functions] {
            for _ in 0..limits::FUNCTION_CALLS_OF_ONE_MAX {
                running.push(line.wait_for_slot().await.unwrap());
            }
        }
        assert!(lines[functions].wait_for_slot().await.is_none());
        drop(running.pop());
        assert!(lines[functions].wait_for_slot().await.is_some());
    }
}
