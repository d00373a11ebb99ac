//! What a sign-off is tied to, in words, read off the fingerprint: what is named here is what voids it.

use crate::slack::markup::joined;
use domain::fingerprint::Field;
use domain::role::Role;

/// What asks `role` again when it changes.
pub fn asks_again(role: Role) -> String {
    titles(|field| field.concerns(role), "or")
}

/// What a changed plan voids, by role, and what it doesn't.
pub fn of_plan() -> String {
    let of = |field: Field, role| field.concerns(role);
    let both = |field| of(field, Role::ProductOwner) && of(field, Role::QaLead);
    let owner = |field| of(field, Role::ProductOwner) && !of(field, Role::QaLead);
    let qa = |field| !of(field, Role::ProductOwner) && of(field, Role::QaLead);
    let none = |field| matches!(field, Field::Length | Field::Outcome);
    format!(
        "A change of {} voids both sign-offs, of {} the product owner's, of {} the QA lead's, and they are asked again; of {} none",
        titles(|field| is_planned(field) && both(field), "or"),
        titles(|field| is_planned(field) && owner(field), "or"),
        titles(|field| is_planned(field) && qa(field), "or"),
        titles(none, "or")
    )
}

/// Whether it stands in the plan's form.
fn is_planned(field: Field) -> bool {
    !matches!(
        field,
        Field::Justification | Field::Skips | Field::Rules | Field::Executor | Field::Script
    )
}

fn titles(chosen: impl Fn(Field) -> bool, word: &str) -> String {
    let titles: Vec<String> = Field::ALL
        .into_iter()
        // Service and environment stay what they were when it was proposed.
        .filter(|field| *field != Field::Target && chosen(*field))
        .map(|field| match field {
            Field::PlannedStart => "planned start (earlier, or another day)".to_owned(),
            field => field.title().to_owned(),
        })
        .collect();
    joined(&titles, word)
}
