//! Ways in which this Slack can be made to fail, per method and for a number of calls.
//! Only decides; the API's front door carries the failure out.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    queued: HashMap<String, Vec<Queued>>,
}

/// A fault that waits for calls whose arguments, as JSON, hold `about`.
#[derive(Debug)]
struct Queued {
    about: String,
    fault: Fault,
    left: u32,
}

impl Faults {
    /// Lets the next `calls` calls of `method` (or `*`) whose arguments hold `about` fail; later faults queue behind earlier
    /// ones.
    pub fn queue(&mut self, method: &str, about: &str, fault: Fault, calls: u32) {
        if calls > 0 {
            let about = about.to_owned();
            let queued = Queued {
                about,
                fault,
                left: calls,
            };
            self.queued.entry(method.to_owned()).or_default().push(queued);
        }
    }

    /// Forgets all queued faults.
    pub fn clear(&mut self) {
        self.queued.clear();
    }

    /// The fault for this call, if it must fail.
    pub fn take(&mut self, method: &str, args: &Value) -> Option<Fault> {
        if self.outage.is_some() {
            return self.outage.clone();
        }
        let args = args.to_string();
        self.take_queued(method, &args).or_else(|| self.take_queued("*", &args))
    }

    fn take_queued(&mut self, method: &str, args: &str) -> Option<Fault> {
        let queue = self.queued.get_mut(method)?;
        let index = queue.iter().position(|queued| args.contains(&queued.about))?;
        let queued = queue.get_mut(index)?;
        let fault = queued.fault.clone();
        queued.left -= 1;
        if queued.left == 0 {
            queue.remove(index);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_are_used_up_in_order() {
        let (mut faults, args) = (Faults::default(), Value::Null);
        faults.queue("chat.update", "", Fault::Unavailable, 2);
        faults.queue("chat.update", "", Fault::Hang, 1);
        assert_eq!(faults.take("chat.postMessage", &args), None);
        assert_eq!(faults.take("chat.update", &args), Some(Fault::Unavailable));
        assert_eq!(faults.take("chat.update", &args), Some(Fault::Unavailable));
        assert_eq!(faults.take("chat.update", &args), Some(Fault::Hang));
        assert_eq!(faults.take("chat.update", &args), None);
    }

    #[test]
    fn a_fault_waits_for_the_call_that_it_is_about() {
        let mut faults = Faults::default();
        let about = |text: &str| json!({ "channel": "C1", "text": text });
        faults.queue("chat.postMessage", "second", Fault::Hang, 1);
        faults.queue("chat.postMessage", "first", Fault::Unavailable, 1);
        assert_eq!(faults.take("chat.postMessage", &about("third")), None);
        assert_eq!(
            faults.take("chat.postMessage", &about("the first")),
            Some(Fault::Unavailable)
        );
        assert_eq!(faults.take("chat.postMessage", &about("the first")), None);
        assert_eq!(faults.take("chat.postMessage", &about("the second")), Some(Fault::Hang));
    }
}
