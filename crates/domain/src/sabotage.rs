//! The guards of the invariants that a proof takes out, one at a time, to show that it would notice. Without the feature
//! `sabotage`, which no release build has, every guard stands and nothing of this is in the program.

/// A guard that can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// SQLite's write transactions begin with the right to write.
    BeginImmediate,
    /// PostgreSQL's writers lock the head of the log before they chain to it.
    HeadLock,
    /// A commit compares the version of every stream that it read.
    VersionCheck,
    /// A request is answered once; its repeats get the saved reply.
    UniqueRequest,
    /// A business key exists once.
    BusinessKey,
    /// Only who holds a job's lease may end it.
    JobFence,
    /// Only the last grant of an environment frees it.
    EnvironmentFence,
    /// Of jobs whose lease is over only running ones are taken over.
    RescueState,
    /// A message records only a rendering that followed the one it saw.
    CardVersion,
    /// A sign-off falls when what it was given on changes.
    FingerprintCompare,
    /// A signer is in the role at the start as well.
    RoleAtStart,
    /// `starting` is durable before anything is spawned.
    StartingBeforeSpawn,
    /// An attempt's spool starts its script once, whoever asks.
    SpoolOnce,
}

#[cfg(feature = "sabotage")]
mod switches {
    use super::Guard;
    use std::sync::OnceLock;

    static OUT: OnceLock<Guard> = OnceLock::new();

    impl Guard {
        /// Every guard, by the name under which it is taken out.
        pub const ALL: [(&str, Self); 13] = [
            ("begin-immediate", Self::BeginImmediate),
            ("head-lock", Self::HeadLock),
            ("version-check", Self::VersionCheck),
            ("unique-request", Self::UniqueRequest),
            ("business-key", Self::BusinessKey),
            ("job-fence", Self::JobFence),
            ("environment-fence", Self::EnvironmentFence),
            ("rescue-state", Self::RescueState),
            ("card-version", Self::CardVersion),
            ("fingerprint-compare", Self::FingerprintCompare),
            ("role-at-start", Self::RoleAtStart),
            ("starting-before-spawn", Self::StartingBeforeSpawn),
            ("spool-once", Self::SpoolOnce),
        ];
    }

    /// Takes out the guard of this name for the rest of the process; false if there is none.
    pub fn take_out(name: &str) -> bool {
        let guard = Guard::ALL.iter().find(|(known, _)| *known == name);
        guard.is_some_and(|(_, guard)| OUT.get_or_init(|| *guard) == guard)
    }

    /// Whether `guard` has been taken out.
    pub fn is_out(guard: Guard) -> bool {
        OUT.get() == Some(&guard)
    }
}

#[cfg(feature = "sabotage")]
pub use switches::{is_out, take_out};

/// Whether `guard` has been taken out: never, without the feature.
#[cfg(not(feature = "sabotage"))]
#[inline]
pub const fn is_out(_guard: Guard) -> bool {
    false
}
