//! Hints that jobs may be ready, so that nobody has to poll fast. A hint may be missed; polling may not.

use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Wakes {
    here: watch::Sender<u64>,
    news: Arc<Notify>,
}

impl Wakes {
    pub(super) fn new() -> Self {
        Self {
            here: watch::Sender::new(0),
            news: Arc::new(Notify::new()),
        }
    }

    /// Wakes the workers of this process, and lets other processes know.
    pub(super) fn wake(&self) {
        self.wake_here();
        self.news.notify_one();
    }

    pub(super) fn wake_here(&self) {
        self.here.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns when there is something to let other processes know.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn subscribe(&self) -> Wake {
        Wake(self.here.subscribe())
    }
}

/// Tells one worker that jobs may be ready.
#[derive(Debug, Clone)]
pub struct Wake(watch::Receiver<u64>);

impl Wake {
    /// Returns at the next hint, at once if there was one since the last call.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone: no hint will come, and the caller's own timer decides.
            std::future::pending::<()>().await;
        }
    }
}
