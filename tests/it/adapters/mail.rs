//! Real SMTP conversations with a small server.

use crate::support::smtp::{Mood, Server};
use countersign::failure::Failure;
use countersign::records::mail::{Mail, Mailer};
use std::time::Duration;
use tokio::net::TcpListener;

fn mail() -> Mail {
    Mail {
        to: "All teams <all-teams@acme.test>".into(),
        subject: "Emergency: payments v1.4.1".into(),
        body: "Line one\n.\nLine with ümlaut\n".into(),
        message_id: "<notice.REL-789.1@countersign.acme.test>".into(),
    }
}

#[tokio::test]
async fn a_mail_goes_out_with_its_login_its_fixed_id_and_a_whole_body() {
    let server = Server::start(Mood::Friendly).await;
    server.mailer("bot:p%40ss@").send(&mail()).await.unwrap();
    let said = server.said();
    // \0bot\0p@ss in Base64.
    assert!(said.contains("AUTH PLAIN AGJvdABwQHNz"), "{said}");
    assert!(said.contains("MAIL FROM:<bot@acme.test>") && said.contains("RCPT TO:<all-teams@acme.test>"));
    assert!(said.contains("Message-ID: <notice.REL-789.1@countersign.acme.test>"));
    assert!(said.contains("Auto-Submitted: auto-generated") && said.contains("charset=utf-8"));
    assert!(
        said.contains("\n..\n") || said.contains("base64"),
        "a lone dot does not end the mail: {said}"
    );
}

#[tokio::test]
async fn without_a_login_none_is_offered() {
    let server = Server::start(Mood::NoLogin).await;
    server.mailer("").send(&mail()).await.unwrap();
    assert!(!server.said().contains("AUTH"));
}

/// Transient, outcome unknown.
fn shape(failure: &Failure) -> (bool, bool) {
    (failure.is_transient(), failure.outcome_unknown())
}

#[tokio::test]
async fn every_refusal_is_judged_by_its_code() {
    for (mood, expected, words) in [
        (Mood::Says("RCPT", "450 greylisted for canary"), (true, false), "450"),
        (Mood::Says("MAIL", "421 too busy, canary"), (true, false), "421"),
        (
            Mood::Says("RCPT", "550 no such user canary@acme.test"),
            (false, false),
            "550",
        ),
        (
            Mood::Says("AUTH", "535 bad password canary"),
            (false, false),
            "SMTP_URL",
        ),
        (Mood::Says("DATA", "554 no"), (false, false), "554"),
        (Mood::Says(".", "452 full, canary"), (true, false), "452"),
        (Mood::Says(".", "552 too big"), (false, false), "552"),
        (Mood::Drops("RCPT"), (true, true), "broke"),
        (Mood::Drops("."), (true, true), "may have been taken"),
        (Mood::Says(".", "what?"), (true, true), "may have been taken"),
        (Mood::NoLogin, (false, false), "log-in"),
    ] {
        let server = Server::start(mood).await;
        let failure = server.mailer("bot:canary@").send(&mail()).await.unwrap_err();
        assert_eq!(shape(&failure), expected, "{failure}");
        assert!(failure.message().contains(words), "{failure}");
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_took_nothing() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    drop(server);
    let mailer = Mailer::new(&format!("smtp://bot:canary@127.0.0.1:{port}"), "bot@acme.test").unwrap();
    assert_eq!(shape(&mailer.send(&mail()).await.unwrap_err()), (true, false));
    assert!(!format!("{mailer:?}").contains("canary"));
}

#[tokio::test]
async fn no_header_can_be_smuggled_in() {
    let server = Server::start(Mood::Friendly).await;
    let mailer = server.mailer("");
    let tricks: Vec<Mail> = vec![
        Mail {
            subject: "x\r\nBcc: evil@x.test".into(),
            ..mail()
        },
        Mail {
            subject: "x\nBcc: evil@x.test".into(),
            ..mail()
        },
        Mail {
            subject: "x\rBcc: evil@x.test".into(),
            ..mail()
        },
        Mail {
            to: "a@acme.test\r\nBcc: evil@x.test".into(),
            ..mail()
        },
        Mail {
            to: "a@acme.test, evil@x.test".into(),
            ..mail()
        },
        Mail {
            to: "a@acme.test> SIZE=1\r\nRCPT TO:<evil@x.test".into(),
            ..mail()
        },
        Mail {
            to: String::new(),
            ..mail()
        },
        Mail {
            message_id: "<a@b>\r\nBcc: evil@x.test".into(),
            ..mail()
        },
        Mail {
            message_id: "a@b".into(),
            ..mail()
        },
        Mail {
            message_id: "<a@b><c@d>".into(),
            ..mail()
        },
        Mail {
            body: "x".repeat(300_000),
            ..mail()
        },
        Mail {
            subject: "x".repeat(201),
            ..mail()
        },
    ];
    for trick in tricks {
        let failure = mailer.send(&trick).await.unwrap_err();
        assert!(!failure.is_transient(), "{trick:?}");
    }
    mailer
        .send(&Mail {
            body: "hi\r\n.\r\nMAIL FROM:<evil@x.test>\r\n".into(),
            ..mail()
        })
        .await
        .unwrap();
    let said = server.said();
    assert!(!said.contains("Bcc"), "{said}");
    assert_eq!(
        said.matches("DATA").count(),
        1,
        "a body can't end its mail early: {said}"
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mailer = Mailer::new(&format!("smtp://127.0.0.1:{port}"), "bot@acme.test").unwrap();
    // The limits themselves are minutes of nobody's time: it is enough that dropping the wait ends it.
    let given_up = tokio::time::timeout(Duration::from_millis(200), mailer.send(&mail())).await;
    assert!(given_up.is_err());
}

#[tokio::test]
async fn a_password_never_leaves_this_machine_unencrypted() {
    let server = Server::start(Mood::Friendly).await;
    // 0.0.0.0 reaches this machine without being a loopback address; the server offers no STARTTLS.
    let elsewhere = format!("smtp://bot:canary@0.0.0.0:{}", server.port);
    let failure = Mailer::new(&elsewhere, "bot@acme.test")
        .unwrap()
        .send(&mail())
        .await
        .unwrap_err();
    assert!(
        !failure.is_transient() && failure.message().contains("encryption"),
        "{failure}"
    );
    let tls_at_once = format!("smtps://bot:canary@127.0.0.1:{}", server.port);
    assert!(
        Mailer::new(&tls_at_once, "bot@acme.test")
            .unwrap()
            .send(&mail())
            .await
            .is_err()
    );
    let said = server.said();
    assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
}

#[tokio::test]
async fn a_server_that_only_pretends_to_offer_encryption_gets_no_password() {
    let pretends = "250-mail.acme.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN";
    let server = Server::start(Mood::Says("EHLO", pretends)).await;
    let required = format!("smtp://bot:canary@127.0.0.1:{}?tls=required", server.port);
    let failure = Mailer::new(&required, "bot@acme.test")
        .unwrap()
        .send(&mail())
        .await
        .unwrap_err();
    assert_eq!(shape(&failure), (true, false), "{failure}");
    let said = server.said();
    assert!(said.contains("STARTTLS") && !said.contains("AUTH"), "{said}");
}
