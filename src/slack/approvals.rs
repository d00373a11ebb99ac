//! Who stands behind a hotfix, in words: the CTO's side, and the tech lead, signed or not. For #releases and for mail, which
//! call people and times differently.

use domain::event::SignOff;
use domain::ids::{Millis, PersonId};
use domain::release::Release;
use domain::role::Role;
use domain::rule::Rule;

/// How people and times are called where it is read.
pub struct Style<'a> {
    /// A person.
    pub person: &'a dyn Fn(&PersonId) -> String,
    /// A time.
    pub time: &'a dyn Fn(Millis) -> String,
}

/// `, approved by … (CTO) …`; nothing without that sign-off.
pub fn by_cto(release: &Release, style: &Style<'_>) -> String {
    release.sign_offs.get(&Role::Cto).map_or_else(String::new, |sign_off| {
        format!(
            ", approved by {} ({}) {}",
            (style.person)(&sign_off.person),
            signed_as(sign_off),
            (style.time)(sign_off.signed_ms)
        )
    })
}

/// In which role somebody signed: a deputy is not the CTO.
pub fn signed_as(sign_off: &SignOff) -> String {
    if sign_off.as_deputy {
        format!("deputy of the {}", Role::Cto.title())
    } else {
        sign_off.role.title().to_owned()
    }
}

/// How the tech lead stands: signed, against it, or owing.
pub fn of_tech_lead(release: &Release, style: &Style<'_>) -> String {
    if let Some(sign_off) = release.sign_offs.get(&Role::TechLead) {
        let side = if sign_off.as_deputy {
            "for the tech lead, from the CTO's side,"
        } else {
            "as tech lead"
        };
        return format!(
            "{} signed {side} {}.",
            (style.person)(&sign_off.person),
            (style.time)(sign_off.signed_ms)
        );
    }
    if let Some(no) = release.rejections.get(&Role::TechLead) {
        let confirmed = release
            .sign_offs
            .get(&Role::Cto)
            .is_some_and(|sign_off| sign_off.confirms_rejection && sign_off.signed_ms >= no.at_ms);
        let confirmed = if confirmed {
            "; the CTO's side confirmed it with that in view"
        } else {
            ""
        };
        return format!(
            "The tech lead, {}, rejected it {}{confirmed}.",
            (style.person)(&no.person),
            (style.time)(no.at_ms)
        );
    }
    match release
        .debts
        .get(&Rule::SignoffTechLead)
        .filter(|debt| debt.closed.is_none())
    {
        Some(debt) => format!(
            "The tech lead has not signed; owed by a {} until {}.",
            debt.owed_by.title(),
            (style.time)(debt.due_ms)
        ),
        None => "The tech lead has not signed.".to_owned(),
    }
}
