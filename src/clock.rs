//! The one real clock. Everything else gets `now_ms` as a value or this clock as a handle, so that the demo can
//! move time forward for the bot and its Slack together.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// UTC milliseconds: the system's clock plus an offset that is 0 outside of the demo and of tests.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
    /// The demo's Slack writes its offset there.
    file: Option<Arc<PathBuf>>,
    #[cfg(feature = "simulation")]
    simulated: Option<Simulated>,
}

/// A clock that the simulation turns as it likes.
#[cfg(feature = "simulation")]
#[derive(Clone)]
struct Simulated(Arc<dyn Fn() -> i64 + Send + Sync>);

#[cfg(feature = "simulation")]
impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Simulated")
    }
}

impl Clock {
    /// A clock that follows the offset in `file`.
    pub fn following(file: PathBuf) -> Self {
        let clock = Self {
            offset_ms: Arc::default(),
            file: Some(Arc::new(file)),
            #[cfg(feature = "simulation")]
            simulated: None,
        };
        clock.follow();
        clock
    }

    /// A clock that says what `now_ms` says.
    #[cfg(feature = "simulation")]
    pub fn simulated(now_ms: Arc<dyn Fn() -> i64 + Send + Sync>) -> Self {
        Self {
            simulated: Some(Simulated(now_ms)),
            ..Self::default()
        }
    }

    /// Reads the file that this clock follows, if it follows one: at each request and every so often.
    pub fn follow(&self) {
        let Some(file) = &self.file else { return };
        // Written by a rename, so it is there and whole, or the demo has only begun.
        if let Some(offset_ms) = std::fs::read_to_string(&**file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
        {
            self.advance_to(offset_ms);
        }
    }

    /// Now, UTC milliseconds.
    pub fn now_ms(&self) -> i64 {
        #[cfg(feature = "simulation")]
        if let Some(Simulated(now_ms)) = &self.simulated {
            return now_ms();
        }
        system_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock to this offset; never back, because nothing that was recorded becomes unrecorded.
    pub fn advance_to(&self, offset_ms: i64) {
        self.offset_ms.fetch_max(offset_ms, Ordering::Relaxed);
    }

    /// The offset in milliseconds.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
