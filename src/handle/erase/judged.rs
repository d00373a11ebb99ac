//! Which releases an erasure has to wait for, and at which versions it has seen that the others are over.

use super::super::HandleError;
use crate::store::{Store, StreamVersion};
use domain::ids::ReleaseKey;
use domain::release::{Release, Status};
use domain::rule::Rule;
use std::collections::BTreeSet;

const RELEASES_AT_ONCE: usize = 500;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Releases in which somebody may still sign or start something, so that what was erased could be shown, signed and kept
    /// again; and those that can't be read.
    pub(super) open: Vec<String>,
    /// The others, as they were seen: a decision in one of them would make the judgement old.
    pub(super) over: Vec<StreamVersion>,
}

pub(super) async fn judge(store: &Store, releases: &BTreeSet<ReleaseKey>) -> Result<Judged, HandleError> {
    let streams: Vec<String> = releases.iter().map(ReleaseKey::stream).collect();
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    let mut over = Vec::new();
    for some in streams.chunks(RELEASES_AT_ONCE) {
        for row in store.streams(some).await? {
            if serde_json::from_str::<Release>(&row.state).is_ok_and(|release| is_over(&release)) {
                over.push(StreamVersion {
                    stream: row.stream,
                    version: row.version,
                });
            }
        }
    }
    let ended: BTreeSet<&str> = over.iter().map(|one| one.stream.as_str()).collect();
    let open = releases.iter().filter(|key| !ended.contains(key.stream().as_str()));
    let open = open.map(ToString::to_string).collect();
    Ok(Judged { open, over })
}

fn is_over(release: &Release) -> bool {
    let owes_a_sign_off = release.open_debts().any(|(rule, _)| rule == Rule::SignoffTechLead);
    matches!(release.status, Status::Released | Status::Cancelled) && !owes_a_sign_off
}
