//! `evolve` folds one event into the state of a release. No rules here: whatever is in the log has been decided.

use super::{
    Asked, Attempt, AttemptNumber, AttemptResult, AttemptState, Breach, Debt, Notice, Rejection, Release,
    SettlementChoice, Source, Status,
};
use crate::event::Event;
use crate::ids::{Millis, PersonId};
use crate::role::Role;
use std::collections::{BTreeMap, BTreeSet};

impl Release {
    /// Folds one later event into the state.
    pub fn evolve(&mut self, event: &Event, at_ms: Millis) {
        match event {
            Event::PlanChanged {
                by,
                owner,
                kind,
                version,
                plan,
                tickets,
                authors,
                typed_commit,
                ..
            } => {
                // Another version or another typed commit: what was resolved before is not what the plan says now.
                if self.version != *version || self.typed_commit != *typed_commit {
                    self.source = None;
                }
                if self.typed_commit != *typed_commit {
                    self.typed_commit.clone_from(typed_commit);
                    self.typed_by = typed_commit.as_ref().map(|_| by.clone());
                }
                self.owner.clone_from(owner);
                self.kind = *kind;
                self.version = version.clone();
                self.plan = Some(plan.clone());
                self.plan_changes += 1;
                self.tickets.clone_from(tickets);
                self.authors.clone_from(authors);
                self.begin_revision();
            }
            Event::SourceResolved {
                commit,
                script,
                executor,
                observed_ms,
                typed_by,
            } => {
                let source = Source {
                    commit: commit.clone(),
                    script: script.clone(),
                    executor: executor.clone(),
                    observed_ms: *observed_ms,
                    typed_by: typed_by.clone(),
                };
                self.source = Some(source);
                self.source_problem = None;
                self.begin_revision();
            }
            Event::CommitTyped { commit, by } => {
                self.typed_commit = Some(commit.clone());
                self.typed_by = Some(by.clone());
            }
            Event::SourceNotResolved { problem, .. } => self.source_problem = Some(*problem),
            Event::SignOffRequested { role, people, revision } => {
                let asked = self.asked.entry(*role).or_insert_with(|| Asked {
                    people: BTreeSet::new(),
                    at_ms,
                });
                // The same people again is a new question, and so is one to other tech leads; others beside those who were asked
                // (the CTO's deputy) are not, nor is a question to nobody.
                let others = *role == Role::TechLead && !people.is_empty();
                if others || !asked.people.is_disjoint(people) {
                    asked.at_ms = at_ms;
                }
                asked.people.extend(people.iter().cloned());
                self.copies
                    .extend(people.iter().map(|person| (*role, person.clone(), *revision)));
                if self.status == Status::Drafted {
                    self.status = Status::Asking;
                }
            }
            Event::ReleaseApproved {} => self.status = Status::Approved,
            Event::ReleaseCancelled { .. } => self.status = Status::Cancelled,
            Event::SignedOff { .. }
            | Event::SignOffWithdrawn { .. }
            | Event::SignOffsVoided { .. }
            | Event::ReleaseRejected { .. } => {
                self.evolve_sign_offs(event, at_ms);
            }
            Event::Attested { rule, attestation } => {
                let said = self.attestations.entry(*rule).or_default();
                said.retain(|word| word.by != attestation.by);
                said.push((**attestation).clone());
            }
            Event::AttestationWithdrawn { rule, by } => {
                if let Some(said) = self.attestations.get_mut(rule) {
                    said.retain(|word| word.by != *by);
                }
                self.attestations.retain(|_, said| !said.is_empty());
            }
            Event::RuleWaived { rule, waiver } => {
                let given = self.waivers.entry(*rule).or_default();
                given.retain(|other| other.by != waiver.by);
                given.push((**waiver).clone());
                self.waiver_changes += 1;
            }
            Event::WaiverWithdrawn { rule, by } => {
                if let Some(given) = self.waivers.get_mut(rule) {
                    given.retain(|waiver| waiver.by != *by);
                }
                self.waivers.retain(|_, given| !given.is_empty());
                self.waiver_changes += 1;
            }
            Event::DebtIncurred { rules, owed_by, due_ms } => {
                for rule in rules {
                    self.debts.insert(
                        *rule,
                        Debt {
                            owed_by: *owed_by,
                            due_ms: *due_ms,
                            closed: None,
                        },
                    );
                }
            }
            Event::DebtClosed { rule, by } => {
                if let Some(debt) = self.debts.get_mut(rule) {
                    debt.closed = Some((by.clone(), at_ms));
                }
            }
            Event::DeploymentRequested {
                attempt,
                fence,
                by,
                engineer,
            } => {
                self.attempts.push(Attempt::requested(
                    *attempt,
                    *fence,
                    by.clone(),
                    engineer.clone(),
                    at_ms,
                ));
                self.status = Status::Queued;
            }
            _ => self.evolve_attempt(event, at_ms),
        }
    }

    /// Whatever was asked before this point is asked again, or still stands if nothing it signed has changed.
    fn begin_revision(&mut self) {
        self.revision += 1;
        self.asked.clear();
        self.withdrawn.clear();
        // They were given on what the release was.
        self.waivers.clear();
        if self.status != Status::Rejected {
            self.status = Status::Drafted;
        }
    }

    fn evolve_sign_offs(&mut self, event: &Event, at_ms: Millis) {
        match event {
            Event::SignedOff { sign_off } => {
                self.rejections.remove(&sign_off.role);
                self.withdrawn.remove(&sign_off.role);
                self.sign_offs.insert(sign_off.role, (**sign_off).clone());
                if self.status == Status::Rejected && (self.rejections.is_empty() || sign_off.confirms_rejection) {
                    self.status = Status::Asking;
                }
            }
            Event::SignOffWithdrawn { role, .. } => {
                self.withdrawn.insert(*role);
                self.take_back(*role);
                self.reopen();
            }
            Event::SignOffsVoided { roles, .. } => {
                for role in roles {
                    self.take_back(*role);
                }
                self.reopen();
            }
            Event::ReleaseRejected { role, person, reason } => {
                self.take_back(*role);
                let rejection = Rejection {
                    person: person.clone(),
                    reason: reason.clone(),
                    at_ms,
                };
                self.rejections.insert(*role, rejection);
                self.status = Status::Rejected;
            }
            _ => {}
        }
    }

    fn take_back(&mut self, role: Role) {
        self.sign_offs.remove(&role);
        *self.rounds.entry(role).or_default() += 1;
    }

    /// A sign-off fell: what was approved asks again, and a rejection that it had overruled stands again.
    fn reopen(&mut self) {
        let overruled = self.sign_offs.values().any(|sign_off| sign_off.confirms_rejection);
        match self.status {
            Status::Drafted | Status::Asking | Status::Approved | Status::Queued
                if !self.rejections.is_empty() && !overruled =>
            {
                self.status = Status::Rejected;
            }
            Status::Approved | Status::Queued => self.status = Status::Asking,
            _ => {}
        }
    }

    fn evolve_attempt(&mut self, event: &Event, at_ms: Millis) {
        let is_emergency = self.kind.is_emergency();
        let Some(attempt) = self.attempts.last_mut() else {
            return;
        };
        match event {
            Event::AttemptStarting { host, unconfirmed, .. } => {
                attempt.state = AttemptState::Starting;
                attempt.host = Some(host.clone());
                attempt.starting_ms = Some(at_ms);
                attempt.unconfirmed.clone_from(unconfirmed);
                attempt.notice = is_emergency.then(|| Notice {
                    started_ms: at_ms,
                    posted_ms: None,
                    steps: BTreeSet::new(),
                    breached: None,
                });
                self.status = Status::Deploying;
            }
            Event::AttemptRunning { .. } => attempt.state = AttemptState::Running,
            Event::StopRequested { by, .. } => attempt.stop_by = Some(by.clone()),
            Event::AttemptEnded { result, output, .. } => {
                attempt.end(*result, at_ms);
                attempt.output.clone_from(output);
                self.status = self.status_after(*result);
            }
            Event::AttemptInterrupted { .. } | Event::AttemptLostInRestore { .. } => {
                attempt.lost_in_restore = matches!(event, Event::AttemptLostInRestore { .. });
                // What one of them has said was said of another history.
                attempt.settlements.clear();
                attempt.state = AttemptState::Interrupted;
                attempt.interrupted_ms = Some(at_ms);
                self.status = Status::Interrupted;
            }
            Event::SettlementProposed { choice, by, .. } => {
                attempt.settlements.insert(by.clone(), *choice);
            }
            Event::AttemptSettled { choice, .. } => {
                let result = match choice {
                    SettlementChoice::Finished => AttemptResult::Succeeded,
                    SettlementChoice::Failed | SettlementChoice::NewAttempt => AttemptResult::Failed(-1),
                };
                attempt.end(result, at_ms);
                self.status = self.status_after(result);
            }
            _ => self.evolve_notice(event, at_ms),
        }
    }

    fn evolve_notice(&mut self, event: &Event, at_ms: Millis) {
        let (Event::NoticePosted { attempt: number, .. }
        | Event::NoticeEscalated { attempt: number, .. }
        | Event::NoticeBreached { attempt: number, .. }) = event
        else {
            return;
        };
        let Some(notice) = self
            .attempts
            .iter_mut()
            .find(|a| a.number == *number)
            .and_then(|a| a.notice.as_mut())
        else {
            return;
        };
        match event {
            Event::NoticePosted { verified_ms, .. } => notice.posted_ms = Some(*verified_ms),
            Event::NoticeEscalated { step, .. } => drop(notice.steps.insert(*step)),
            Event::NoticeBreached { due_ms, .. } => {
                notice.breached = Some(Breach {
                    due_ms: *due_ms,
                    recorded_ms: at_ms,
                });
            }
            _ => {}
        }
    }

    fn status_after(&self, result: AttemptResult) -> Status {
        match (self.status, result) {
            // Called off in the same decision: the status was set by the event that did it.
            (Status::Rejected | Status::Cancelled | Status::Asking | Status::Drafted, _) => self.status,
            (_, AttemptResult::Succeeded) => Status::Released,
            _ => Status::Approved,
        }
    }
}

impl Attempt {
    fn requested(
        number: AttemptNumber,
        fence: u64,
        by: Option<PersonId>,
        engineer: Option<PersonId>,
        at_ms: Millis,
    ) -> Self {
        Self {
            number,
            fence,
            by,
            engineer,
            requested_ms: at_ms,
            state: AttemptState::Queued,
            host: None,
            starting_ms: None,
            interrupted_ms: None,
            lost_in_restore: false,
            ended_ms: None,
            output: None,
            unconfirmed: BTreeSet::new(),
            stop_by: None,
            settlements: BTreeMap::new(),
            notice: None,
        }
    }

    fn end(&mut self, result: AttemptResult, at_ms: Millis) {
        self.state = AttemptState::Ended(result);
        self.ended_ms = Some(at_ms);
    }
}
