//! What no section shows by itself: whether roles can be filled, and whether services depend on each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::Service;
use super::problem::Report;
use super::roles::{Member, ROLES_OF_A_START, RoleLists};
use domain::role::Role;

/// The list that counts for a service: its own, or the one of `[roles]`.
pub(super) fn effective<'r>(service: &'r RoleLists, general: &'r RoleLists, role: Role) -> &'r [Member] {
    service
        .get(&role)
        .or_else(|| general.get(&role))
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Every service needs somebody in each role of a start.
pub(super) fn check_roles(services: &BTreeMap<String, Service>, general: &RoleLists, report: &mut Report) {
    for (name, service) in services {
        for role in ROLES_OF_A_START {
            if !service.roles.contains_key(&role) && !general.contains_key(&role) {
                let wrong = format!("nobody is in this role, and no release of {name} can start without it");
                let remedy = format!("Name somebody under roles.{role}, or under services.{name}.roles.{role}.");
                report.problem(format!("services.{name}.roles.{role}"), wrong, remedy);
            }
        }
        same_signer(name, service, general, report);
        warn_of_one(&format!("services.{name}.roles"), &service.roles, general, report);
    }
    warn_of_one("roles", general, general, report);
}

/// One person signs once per release: two roles with the same only person never both sign.
fn same_signer(name: &str, service: &Service, general: &RoleLists, report: &mut Report) {
    let pair = [Role::ProductOwner, Role::QaLead].map(|role| effective(&service.roles, general, role));
    if let [[Member::Person(owner)], [Member::Person(qa)]] = pair
        && owner == qa
    {
        let wrong = format!(
            "{owner} is the only product_owner and the only qa_lead of {name}, and one person signs once per release"
        );
        report.warning(
            format!("services.{name}.roles"),
            wrong,
            "Name a second person in one of the two roles.",
        );
    }
}

fn warn_of_one(place: &str, lists: &RoleLists, general: &RoleLists, report: &mut Report) {
    let has_deputy = !effective(lists, general, Role::CtoDeputy).is_empty();
    for (role, members) in lists {
        // A CTO is one person everywhere; the deputy is what makes two of them. An auditor holds nothing up.
        let expected = match role {
            Role::Cto => has_deputy,
            Role::CtoDeputy | Role::Auditor => true,
            _ => false,
        };
        if let ([Member::Person(only)], false) = (members.as_slice(), expected) {
            let remedy = if *role == Role::Cto {
                "Name a deputy under roles.cto_deputy."
            } else {
                "Name a second person, or a group."
            };
            report.warning(
                format!("{place}.{role}"),
                format!("{only} is alone in this role: while {only} is away, nobody decides"),
                remedy,
            );
        }
    }
}

/// Dependencies never lead back.
pub(super) fn check_dependencies(services: &BTreeMap<String, Service>, report: &mut Report) {
    let mut done = BTreeSet::new();
    for name in services.keys() {
        if let Some(circle) = circle_from(name, services, &mut done) {
            let place = format!("services.{}.depends_on", circle[0]);
            report.problem(
                place,
                format!("the services depend on each other in a circle: {}", circle.join(" → ")),
                "Remove one of these dependencies.",
            );
        }
    }
}

/// The first circle that can be reached from `start` over services that were not looked at before. The walk keeps its
/// own stack: a file may list a chain longer than the thread's.
fn circle_from<'s>(
    start: &'s str,
    services: &'s BTreeMap<String, Service>,
    done: &mut BTreeSet<&'s str>,
) -> Option<Vec<&'s str>> {
    let mut path: Vec<(&'s str, usize)> = Vec::new();
    let mut circle = None;
    if done.insert(start) {
        path.push((start, 0));
    }
    while let Some((name, next)) = path.pop() {
        let Some(needed) = services.get(name).and_then(|service| service.depends_on.get(next)) else {
            continue;
        };
        path.push((name, next + 1));
        if let Some(begin) = path.iter().position(|(on_path, _)| on_path == needed) {
            let around = path[begin..]
                .iter()
                .map(|(on_path, _)| *on_path)
                .chain([needed.as_str()]);
            circle = circle.or_else(|| Some(around.collect()));
        } else if done.insert(needed) {
            path.push((needed, 0));
        }
    }
    circle
}
