//! Ways in which this Slack can be made to fail, per method and for a number of calls.
//! Only decides; the API's front door carries the failure out.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// One way of failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// HTTP 503 without having done anything.
    Unavailable,
    /// `{"ok":false,"error":"fatal_error"}` without having done anything.
    FatalError,
    /// Any other of Slack's errors, without having done anything.
    Error(String),
    /// HTTP 429 with this `Retry-After`, without having done anything.
    RateLimited {
        /// Seconds the caller is told to wait.
        retry_after_s: u64,
    },
    /// The work IS done, but the caller gets a 503 instead of the answer.
    LostAnswer,
    /// The work IS done, but the caller never hears back.
    LostAnswerHang,
    /// Nothing is done and the caller never hears back.
    Hang,
    /// The call works, this many milliseconds late.
    Slow {
        /// Delay before the work.
        delay_ms: u64,
    },
}

/// Faults waiting for calls.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Set while Slack is switched off; hits every call and stops deliveries.
    pub outage: Option<Fault>,
    queued: HashMap<String, Vec<(Fault, u32)>>,
}

impl Faults {
    /// Lets the next `calls` calls of `method` (or `*`) fail; later faults queue behind earlier ones.
    pub fn queue(&mut self, method: &str, fault: Fault, calls: u32) {
        if calls > 0 {
            self.queued.entry(method.to_owned()).or_default().push((fault, calls));
        }
    }

    /// Forgets all queued faults.
    pub fn clear(&mut self) {
        self.queued.clear();
    }

    /// The fault for this call, if it must fail.
    pub fn take(&mut self, method: &str) -> Option<Fault> {
        if self.outage.is_some() {
            return self.outage.clone();
        }
        self.take_queued(method).or_else(|| self.take_queued("*"))
    }

    fn take_queued(&mut self, method: &str) -> Option<Fault> {
        let queue = self.queued.get_mut(method)?;
        let (fault, left) = queue.first_mut()?;
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            queue.remove(0);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_used_up_in_order() {
        let mut faults = Faults::default();
        faults.queue("chat.update", Fault::Unavailable, 2);
        faults.queue("chat.update", Fault::Hang, 1);
        assert_eq!(faults.take("chat.postMessage"), None);
        assert_eq!(faults.take("chat.update"), Some(Fault::Unavailable));
        assert_eq!(faults.take("chat.update"), Some(Fault::Unavailable));
        assert_eq!(faults.take("chat.update"), Some(Fault::Hang));
        assert_eq!(faults.take("chat.update"), None);
    }
}
