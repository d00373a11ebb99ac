//! The workspace's movable clock and the source of Slack's unique `ts` values.
//! Forward only; must not be used for rate limits or trigger ids, which run in real time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

#[derive(Debug, Default)]
struct Position {
    offset_ms: i64,
    last_ts_us: i64,
}

/// Real time plus an offset that can only grow.
#[derive(Debug)]
pub struct MovableClock {
    position: Mutex<Position>,
    file: Option<PathBuf>,
}

impl MovableClock {
    /// Starts at real time and, with a file, announces the offset 0 there.
    pub fn start(file: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = &file {
            write_offset(path, 0)?;
        }
        Ok(Self {
            position: Mutex::default(),
            file,
        })
    }

    /// Milliseconds since 1970 in this workspace.
    pub fn now_ms(&self) -> i64 {
        real_now_us() / 1_000 + self.offset_ms()
    }

    /// How far this clock is ahead of real time.
    pub fn offset_ms(&self) -> i64 {
        self.lock().offset_ms
    }

    /// Moves the clock forward and tells the file's readers.
    pub fn advance(&self, step_ms: u64) -> anyhow::Result<()> {
        // The lock is kept while writing, so that two moves can't reach the file in the wrong order.
        let mut position = self.lock();
        let step_ms = i64::try_from(step_ms).context("the step is too large")?;
        let offset_ms = position
            .offset_ms
            .checked_add(step_ms)
            .context("the clock would overflow")?;
        if let Some(path) = &self.file {
            write_offset(path, offset_ms)?;
        }
        position.offset_ms = offset_ms;
        Ok(())
    }

    /// The next `ts`: never given twice, always growing.
    pub fn next_ts(&self) -> String {
        let mut position = self.lock();
        let now_us = real_now_us() + position.offset_ms * 1_000;
        let ts_us = now_us.max(position.last_ts_us + 1);
        position.last_ts_us = ts_us;
        format!("{}.{:06}", ts_us / 1_000_000, ts_us % 1_000_000)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Position> {
        // The numbers stay meaningful even if a thread died while holding them.
        self.position.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn real_now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

fn write_offset(path: &Path, offset_ms: i64) -> anyhow::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    std::fs::write(&draft, offset_ms.to_string())
        .with_context(|| format!("can't write the clock file {}", draft.display()))?;
    std::fs::rename(&draft, path).with_context(|| format!("can't replace the clock file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_unique_and_grow() {
        let clock = MovableClock::start(None).unwrap();
        let stamps: Vec<String> = (0..1_000).map(|_| clock.next_ts()).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_file_follows_the_offset() {
        let path = std::env::temp_dir().join(format!("playground-clock-{}", rand::random::<u64>()));
        let clock = MovableClock::start(Some(path.clone())).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0");
        clock.advance(60_000).unwrap();
        clock.advance(1_500).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "61500");
        std::fs::remove_file(&path).unwrap();
    }
}
