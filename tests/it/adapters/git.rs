//! Tags asked of real repositories (A3, A20).

use countersign::probes::git::{GIT_LIMIT, Tag, resolve_tag};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A repository in a folder of its own.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.path())
            .args([
                "-c",
                "user.name=dev",
                "-c",
                "user.email=dev@acme.test",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    async fn ask(&self, tag: &str) -> Tag {
        resolve_tag(&self.url(), tag, GIT_LIMIT).await
    }
}

fn sha(tag: &Tag) -> &str {
    match tag {
        Tag::Resolved(sha) => sha.as_str(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tag_resolves_to_the_full_commit_light_annotated_and_nested() {
    let repository = Repository::new();
    let first = repository.commit("one");
    repository.git(&["tag", "v1.0.0"]);
    let second = repository.commit("two");
    repository.git(&["tag", "-a", "v1.1.0", "-m", "annotated"]);
    repository.git(&["tag", "-a", "v1.2.0", "-m", "a tag of a tag", "v1.1.0"]);
    assert_eq!(sha(&repository.ask("v1.0.0").await), first);
    assert_eq!(
        sha(&repository.ask("v1.1.0").await),
        second,
        "peeled: the commit, not the tag object"
    );
    assert_eq!(sha(&repository.ask("v1.2.0").await), second);
    let by_file = format!("file://{}", repository.url());
    assert_eq!(sha(&resolve_tag(&by_file, "v1.0.0", GIT_LIMIT).await), first);
}

#[tokio::test]
async fn a_tag_that_is_moved_or_deleted_is_seen_as_it_is_now() {
    let repository = Repository::new();
    let first = repository.commit("one");
    repository.git(&["tag", "v1.0.0"]);
    assert_eq!(sha(&repository.ask("v1.0.0").await), first);
    let second = repository.commit("two");
    repository.git(&["tag", "-f", "v1.0.0"]);
    assert_eq!(sha(&repository.ask("v1.0.0").await), second);
    repository.git(&["tag", "-d", "v1.0.0"]);
    assert_eq!(repository.ask("v1.0.0").await, Tag::Missing);
}

#[tokio::test]
async fn a_branch_with_the_tags_name_is_never_taken_for_it() {
    let repository = Repository::new();
    let tagged = repository.commit("one");
    repository.git(&["tag", "v1.0.0"]);
    let other = repository.commit("two");
    // The last three match the pattern refs/tags/v1.… at their end.
    for reference in [
        "refs/heads/v1.0.0",
        "refs/heads/v2.0.0",
        "refs/heads/refs/tags/v1.0.0",
        "refs/heads/refs/tags/v2.0.0",
        "refs/x/refs/tags/v2.0.0",
    ] {
        repository.git(&["update-ref", reference, &other]);
    }
    assert_eq!(sha(&repository.ask("v1.0.0").await), tagged);
    assert_eq!(
        repository.ask("v2.0.0").await,
        Tag::Missing,
        "there are only branches of that name"
    );
    repository.git(&["tag", "v1.0.0-rc.1"]);
    repository.git(&["tag", "x/v3.0.0"]);
    assert_eq!(repository.ask("v3.0.0").await, Tag::Missing);
}

#[tokio::test]
async fn hostile_names_never_reach_git() {
    let repository = Repository::new();
    repository.commit("one");
    repository.git(&["tag", "v1.0.0"]);
    for tag in [
        "",
        "-h",
        "--upload-pack=touch x",
        "v1.0.0\n",
        "v1.*",
        "v1.?.0",
        "v[1].0.0",
        "v1..0",
        "v1.0.0^{}",
        "v1.0.0~1",
        "v1.0.0:x",
        "v1.0.0 v2",
        "v1.0.0\0",
        "../v1.0.0",
        "/v1",
        "v1/",
        "v1.lock",
        "@{u}",
        "$(id)",
        "`id`",
        "ｖ1.0.0",
    ] {
        assert_eq!(repository.ask(tag).await, Tag::Missing, "{tag:?}");
    }
    let witness = repository.path().join("witness");
    let touch = format!("touch {}", witness.display());
    for url in [
        String::new(),
        "--upload-pack=true".into(),
        format!("--upload-pack={touch}"),
        format!("ext::sh -c '{touch}'"),
        format!("ext::{touch}"),
        "fd::17".into(),
        "http://git.acme.test/x.git".into(),
        "git://git.acme.test/x.git".into(),
        "ftp://git.acme.test/x.git".into(),
        "ssh://-oProxyCommand=touch/x".into(),
        "ssh://git@-oProxyCommand=touch/x".into(),
        "-oProxyCommand=x:path".into(),
        "git@-oProxyCommand=x:path".into(),
        "git@host:-x".into(),
        "../relative".into(),
        "relative".into(),
        "/tmp/a b".into(),
        "https://git.acme.test/\nx".into(),
        "https:///x".into(),
    ] {
        assert!(
            matches!(resolve_tag(&url, "v1.0.0", GIT_LIMIT).await, Tag::Silent(_)),
            "{url:?}"
        );
    }
    assert!(!witness.exists());
}

#[tokio::test]
async fn a_repository_that_can_not_be_read_is_silent_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere").to_str().unwrap().to_owned();
    let Tag::Silent(reason) = resolve_tag(&nowhere, "v1.0.0", GIT_LIMIT).await else {
        panic!()
    };
    assert!(reason.contains("Git could not read"), "{reason}");
    let empty = Repository::new();
    assert_eq!(
        empty.ask("v1.0.0").await,
        Tag::Missing,
        "an empty repository has no tag"
    );
}

#[tokio::test]
async fn a_password_in_the_address_is_not_repeated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("https://bot:xoxb-canary-99@127.0.0.1:{port}/x.git");
    let Tag::Silent(reason) = resolve_tag(&url, "v1.0.0", GIT_LIMIT).await else {
        panic!()
    };
    assert!(!reason.contains("canary"), "{reason}");
}

/// Whether a process whose command line holds `needle` is running.
fn running(needle: &str) -> Vec<PathBuf> {
    let lists = |path: &PathBuf| {
        std::fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(needle))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(lists)
        .collect()
}

#[tokio::test]
async fn a_repository_that_hangs_is_given_up_and_nothing_stays_behind() {
    // Takes the connection and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let marker = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let begun = Instant::now();
    let answer = resolve_tag(
        &format!("https://{marker}/hang.git"),
        "v1.0.0",
        Duration::from_millis(500),
    )
    .await;
    assert!(
        matches!(&answer, Tag::Silent(reason) if reason.contains("did not answer")),
        "{answer:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running(&marker), Vec::<PathBuf>::new(), "git and its helpers are gone");
}
