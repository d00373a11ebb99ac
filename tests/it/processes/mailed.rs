//! The emergency's mail over real TLS: to a server whose certificate is of the company's own authority, and to servers
//! that nobody should give a password to.

use super::{asks_for_hotfix, signs_by_click};
use crate::support::authority::Authority;
use crate::support::bot::{CLEO, TINA, run};
use crate::support::database::Engine;
use crate::support::process::{Replica, World};
use crate::support::smtp::{Mood, Server, TEAMS, Tls};
use countersign::store::{JobFilter, JobRow};
use playground::Fault;
use std::path::Path;
use std::sync::atomic::Ordering;

const MINUTE_MS: u64 = 60_000;
/// \0bot\0can@ry in Base64.
const LOGIN: &str = "AUTH PLAIN AGJvdABjYW5Acnk=";

/// A bot that trusts what stands in `roots`, up to the step at which all teams are mailed; what became of the mail's job.
async fn mails(url: &str, roots: &Path) -> (World, Replica, JobRow) {
    let environment = [
        ("SMTP_URL", url),
        ("SMTP_FROM", "Countersign <countersign@acme.test>"),
        ("SSL_CERT_FILE", roots.to_str().unwrap()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let told = format!("{TEAMS}[escalation]\n");
    let world = World::with(
        Engine::Sqlite,
        |config| config.replace("[escalation]\n", &told),
        environment.to_vec(),
    )
    .await;
    world.nudges.store(false, Ordering::Relaxed);
    let bot = world.serve("bot", "all").await;
    world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
    asks_for_hotfix(&world, "HOTFIX-1").await;
    world.becomes("HOTFIX-1", "asking").await;
    signs_by_click(&world, "HOTFIX-1", TINA, "tech_lead").await;
    world.slack.fault("chat.postMessage", Fault::Unavailable, 10_000);
    signs_by_click(&world, "HOTFIX-1", CLEO, "cto").await;
    world.becomes("HOTFIX-1", "released").await;
    world.slack.advance(5 * MINUTE_MS).unwrap();
    let filter = JobFilter {
        states: ["done", "dead"].map(str::to_owned).to_vec(),
        limit: 1_000,
        ..JobFilter::default()
    };
    let job = world
        .wait("the mail to be sent or given up", async || {
            let jobs = world.store().await.jobs(&filter).await.unwrap();
            jobs.into_iter().find(|job| job.kind.starts_with("mail_notice"))
        })
        .await;
    (world, bot, job)
}

/// The mail arrives, and whoever listens on the way reads neither it nor the password.
async fn arrives(scheme: &str, query: &str, tls: fn(&Authority) -> Tls) {
    let authority = Authority::new("Acme");
    let server = Server::with_tls(Mood::Friendly, tls(&authority)).await;
    let url = format!("{scheme}://bot:can%40ry@localhost:{}{query}", server.port);
    let (world, bot, job) = mails(&url, &authority.file()).await;
    assert_eq!(job.state, "done", "{}", job.reason);
    let (said, in_clear) = (server.said(), server.said_in_clear());
    assert!(said.contains(LOGIN), "{said}");
    assert!(said.contains("RCPT TO:<all-teams@acme.test>"), "{said}");
    assert_eq!(server.count("Message-ID: <notice.HOTFIX-1.1@acme.test>"), 1, "{said}");
    for private in ["AUTH", "MAIL", "HOTFIX"] {
        assert!(!in_clear.contains(private), "{in_clear}");
    }
    println!("{}", world.audit().await);
    bot.terminate().await;
}

/// Nobody gets mail or password, and the job that gave up says why in these words.
async fn is_refused(server: &Server, url: &str, roots: &Path, words: &str) {
    let (world, bot, job) = mails(url, roots).await;
    assert_eq!(job.state, "dead");
    assert!(job.reason.contains(words), "{}", job.reason);
    assert!(!job.reason.contains("canary"), "{}", job.reason);
    assert!(!bot.tail(1_000).contains("canary"), "{}", bot.tail(1_000));
    let said = server.said();
    for private in ["AUTH", "MAIL", "HOTFIX", "canary"] {
        assert!(!said.contains(private), "{said}");
    }
    println!("{}", world.audit().await);
    bot.terminate().await;
}

#[test]
fn a_mail_arrives_over_tls_from_the_first_byte() {
    run(Engine::Sqlite, |_| {
        arrives("smtps", "", |authority| Tls::AtOnce(authority.acceptor("localhost")))
    });
}

#[test]
fn a_mail_arrives_after_starttls() {
    run(Engine::Sqlite, |_| {
        arrives("smtp", "?tls=required", |authority| {
            Tls::OnRequest(authority.acceptor("localhost"))
        })
    });
}

#[test]
fn a_server_of_an_unknown_authority_gets_nothing() {
    run(Engine::Sqlite, async |_| {
        let (trusted, unknown) = (Authority::new("Acme"), Authority::new("Stranger"));
        let server = Server::with_tls(Mood::Friendly, Tls::AtOnce(unknown.acceptor("localhost"))).await;
        let url = format!("smtps://bot:canary@localhost:{}", server.port);
        is_refused(
            &server,
            &url,
            &trusted.file(),
            "an authority that this system doesn't trust",
        )
        .await;
    });
}

#[test]
fn a_server_of_an_authority_that_only_has_the_right_name_gets_nothing_after_starttls() {
    run(Engine::Sqlite, async |_| {
        let (trusted, unknown) = (Authority::new("Acme"), Authority::new("Acme"));
        let server = Server::with_tls(Mood::Friendly, Tls::OnRequest(unknown.acceptor("localhost"))).await;
        let url = format!("smtp://bot:canary@localhost:{}?tls=required", server.port);
        is_refused(
            &server,
            &url,
            &trusted.file(),
            "an authority that this system doesn't trust",
        )
        .await;
    });
}

#[test]
fn a_server_of_another_name_gets_nothing() {
    run(Engine::Sqlite, async |_| {
        let authority = Authority::new("Acme");
        let server = Server::with_tls(Mood::Friendly, Tls::AtOnce(authority.acceptor("mail.acme.test"))).await;
        let url = format!("smtps://bot:canary@localhost:{}", server.port);
        is_refused(
            &server,
            &url,
            &authority.file(),
            "another name than the host in SMTP_URL",
        )
        .await;
    });
}

#[test]
fn a_server_whose_offer_of_encryption_was_taken_out_on_the_way_gets_nothing() {
    run(Engine::Sqlite, async |_| {
        let authority = Authority::new("Acme");
        let server = Server::start(Mood::Friendly).await;
        let url = format!("smtp://bot:canary@localhost:{}?tls=required", server.port);
        is_refused(&server, &url, &authority.file(), "offers no encryption").await;
        assert!(server.said().contains("EHLO"), "it was asked: {}", server.said());
    });
}
