//! What a tag points to, asked of the repository itself by `git ls-remote`: nothing is fetched, nothing of the
//! repository is executed, and a branch that is named like the tag is never taken for it (rule `vcs.tag`).

use crate::child::{NoEnd, Program};
use crate::failure;
use domain::ids::CommitSha;
use std::time::Duration;

/// How long Git may take.
pub const GIT_LIMIT: Duration = Duration::from_secs(10);
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
const URL_LENGTH_MAX: usize = 500;
const TAG_LENGTH_MAX: usize = 100;
/// `git ls-remote --exit-code` ends so when the repository answered and nothing matched.
const NOTHING_MATCHED: i32 = 2;

/// What the repository says of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// It points to this commit; an annotated tag is peeled.
    Resolved(CommitSha),
    /// The repository answered, and has no such tag.
    Missing,
    /// Nothing is known, for this reason (for people; redacted).
    Silent(String),
}

/// Asks `repository_url` (https, ssh, `user@host:path`, file or an absolute path) for `tag`, such as `v1.4.0`, within
/// `limit`. Log-in by what `HOME` and `SSH_AUTH_SOCK` hold; Git never asks anybody.
pub async fn resolve_tag(repository_url: &str, tag: &str, limit: Duration) -> Tag {
    if !is_repository(repository_url) {
        return silent("the repository's address must be https, ssh or an absolute path; check services.….repository");
    }
    if !is_tag(tag) {
        // Not silence, which would let somebody type a commit instead.
        return Tag::Missing;
    }
    let name = format!("refs/tags/{tag}");
    let peeled = format!("{name}^{{}}");
    // Another address than the configured one is another repository.
    let mut arguments: Vec<String> = ["-c", "http.followRedirects=false", "ls-remote", "--exit-code", "--"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend([repository_url.to_owned(), name.clone(), peeled.clone()]);
    let program = Program {
        path: "git",
        arguments: &arguments,
        inherited: &["PATH", "HOME", "SSH_AUTH_SOCK"],
        set: &[
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_ALLOW_PROTOCOL", "https:ssh:file"),
            ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=5"),
            ("LC_ALL", "C"),
        ],
        limit,
        output_bytes_max: OUTPUT_BYTES_MAX,
    };
    match program.run().await {
        Ok(ended) if ended.output_cut => silent("the repository gave an endless answer"),
        Ok(ended) if ended.status.success() => read(&ended.output, &name, &peeled),
        Ok(ended) if ended.status.code() == Some(NOTHING_MATCHED) => Tag::Missing,
        Ok(ended) => silent(&format!(
            "Git could not read the repository: {}",
            first_line(&ended.errors)
        )),
        Err(NoEnd::TimedOut) => silent(&format!(
            "the repository did not answer within {} s",
            limit.as_secs_f32()
        )),
        Err(NoEnd::NotStarted(kind)) => silent(&format!("Git can't be started: {kind}; install git")),
    }
}

fn silent(reason: &str) -> Tag {
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Tag::Silent(failure::redact(&line).chars().take(300).collect())
}

/// Git's patterns match at the end of a name (`refs/heads/refs/tags/v1` too): only the exact names count.
fn read(output: &[u8], name: &str, peeled: &str) -> Tag {
    let Ok(text) = std::str::from_utf8(output) else {
        return silent("the repository's answer is not text");
    };
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let Some((sha, reference)) = line.split_once('\t') else {
            return silent("the repository's answer can't be read");
        };
        let list = match reference {
            _ if reference == name => &mut direct,
            _ if reference == peeled => &mut through,
            _ => continue,
        };
        let Ok(sha) = CommitSha::new(sha) else {
            return silent("the repository's answer holds no full commit id");
        };
        list.push(sha);
    }
    match (direct.as_slice(), through.as_slice()) {
        ([], []) => Tag::Missing,
        ([commit], []) | ([_], [commit]) => Tag::Resolved(commit.clone()),
        _ => silent("the repository names the tag more than once"),
    }
}

/// What Git may be given as an address: nothing that it could take for an option or for a program to run (`ext::`).
fn is_repository(url: &str) -> bool {
    let plain = (1..=URL_LENGTH_MAX).contains(&url.len())
        && !url.starts_with('-')
        && !url.contains("::")
        && url.bytes().all(|b| b.is_ascii_graphic() || !b.is_ascii());
    let host_is_no_option = |rest: &str| {
        let authority = rest.split('/').next().unwrap_or_default();
        !authority.rsplit('@').next().unwrap_or_default().starts_with('-') && !authority.starts_with('-')
    };
    let known = match url.split_once("://") {
        Some(("https" | "ssh", rest)) => !rest.starts_with('/') && host_is_no_option(rest),
        Some(("file", rest)) => rest.starts_with('/'),
        Some(_) => false,
        None => url.starts_with('/') || is_scp_like(url) && host_is_no_option(url),
    };
    plain && known
}

/// `user@host:path`, as people write for SSH.
fn is_scp_like(url: &str) -> bool {
    let Some((login, path)) = url.split_once(':') else {
        return false;
    };
    let host_is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    login
        .split_once('@')
        .is_some_and(|(user, host)| host_is_plain(user) && host_is_plain(host))
        && !path.is_empty()
        && !path.starts_with('-')
}

/// A tag as a version makes it: no pattern, no path upwards, no option (see git-check-ref-format).
fn is_tag(tag: &str) -> bool {
    (1..=TAG_LENGTH_MAX).contains(&tag.len())
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric())
        && tag.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !tag.contains("..")
        && !tag.contains("//")
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+/".contains(&b))
        && !tag.split('/').any(|part| {
            part.starts_with('.')
                || std::path::Path::new(part)
                    .extension()
                    .is_some_and(|end| end.eq_ignore_ascii_case("lock"))
        })
}

fn first_line(errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Git explains itself in the line that begins with `fatal:`; SSH's own words stand before it.
    lines
        .clone()
        .find(|line| line.starts_with("fatal:"))
        .or_else(|| lines.clone().next())
        .unwrap_or("no reason given")
        .to_owned()
}
