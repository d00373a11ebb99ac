//! How long an input may take, by the time that this thread computed: a busy machine makes nothing slow here.

use rustix::time::{ClockId, clock_gettime};

/// Far more than any input needs, and far less than the 3 s that Slack waits.
const MS_MAX: i64 = 1_000;

/// Runs `read`, which must not take long; `what` and `input` are named if it does.
pub fn bounded<T>(what: &str, input: &[u8], read: impl FnOnce() -> T) -> T {
    let begun = computed_ms();
    let result = read();
    let took = computed_ms() - begun;
    assert!(
        took <= MS_MAX,
        "{what}: {took} ms for {} bytes: {}",
        input.len(),
        input[..input.len().min(64)].escape_ascii()
    );
    result
}

/// The time that this thread has computed so far.
pub fn computed_ms() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}
