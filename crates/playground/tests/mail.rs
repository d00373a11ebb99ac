//! The mailbox: what arrives over real SMTP, who reads it on the page, and what the receiver puts up with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use playground::{Handle, Options, Workspace, start};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const NOTICE: &str = "From: Countersign <countersign@acme.example>\r\n\
    To: all-teams@acme.example\r\n\
    Subject: =?utf-8?b?SE9URklYIGbDvHIgYWxsZQ==?=\r\n\
    Message-ID: <notice.HOTFIX-1.1@acme.example>\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\
    \r\n\
    F=C3=BCr alle: <b>please</b> deploy=\r\n nothing.\r\n\
    ..hidden\r\n";

async fn playground() -> Handle {
    let options = Options {
        mail_address: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..Options::new(Workspace::demo())
    };
    start(options).await.unwrap()
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(slack: &Handle) -> Self {
        let address = slack.mail_url().unwrap().strip_prefix("smtp://").unwrap();
        let mut client = Self {
            stream: BufReader::new(TcpStream::connect(address).await.unwrap()),
        };
        assert!(client.answer().await.starts_with("220 "));
        client
    }

    /// The last line of an answer; empty if the connection was closed.
    async fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = timeout(Duration::from_secs(10), self.stream.read_line(&mut line)).await;
            // Closed with something unread is a reset on this side.
            let read = read.expect("an answer in time").unwrap_or_default();
            if read == 0 || line.as_bytes().get(3) == Some(&b' ') {
                return line;
            }
        }
    }

    async fn says(&mut self, text: &str) -> String {
        // Whoever was hung up on finds out by the answer.
        let _ = self.stream.write_all(text.as_bytes()).await;
        self.answer().await
    }

    /// Up to where the mail itself may come.
    async fn opens(&mut self) {
        for (said, code) in [
            ("EHLO bot\r\n", "250"),
            ("MAIL FROM:<countersign@acme.example> BODY=8BITMIME\r\n", "250"),
            ("RCPT TO:<all-teams@acme.example>\r\n", "250"),
            ("DATA\r\n", "354"),
        ] {
            let answer = self.says(said).await;
            assert!(answer.starts_with(code), "{said} {answer}");
        }
    }
}

async fn mailbox(slack: &Handle, user: &str, channel: &str) -> Value {
    let path = format!("/playground/state?user={user}&channel={channel}");
    slack.api().fetch(&path).await.unwrap().json()["mailbox"].clone()
}

#[tokio::test]
async fn a_mail_is_read_as_text_by_everybody_but_guests() {
    let slack = playground().await;
    assert_eq!(
        mailbox(&slack, "U0MIA", "M0TEAMS").await["mails"],
        serde_json::json!([])
    );
    let mut client = Client::connect(&slack).await;
    client.opens().await;
    assert_eq!(client.says(&format!("{NOTICE}.\r\n")).await, "250 taken\r\n");
    assert!(client.says("QUIT\r\n").await.starts_with("221"));

    let mails = slack.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "HOTFIX für alle");
    assert_eq!(mails[0].body, "Für alle: <b>please</b> deploy nothing.\n.hidden");
    assert_eq!(mails[0].from, "Countersign <countersign@acme.example>");
    assert_eq!(mails[0].to, ["all-teams@acme.example"]);
    assert_eq!(mails[0].message_id, "notice.HOTFIX-1.1@acme.example");

    let shown = mailbox(&slack, "U0MIA", "M0TEAMS").await;
    assert_eq!(shown["mails"][0]["subject"], "HOTFIX für alle");
    let elsewhere = mailbox(&slack, "U0MIA", "C0RELEASES").await;
    assert_eq!(
        (&elsewhere["latest"], &elsewhere["mails"][0]),
        (&shown["latest"], &Value::Null)
    );
    assert!(mailbox(&slack, "U0GUS", "M0TEAMS").await.is_null(), "Gus is a guest");
}

#[tokio::test]
async fn without_a_mail_address_there_is_no_mailbox_and_elsewhere_none_can_be() {
    let slack = start(Options::new(Workspace::demo())).await.unwrap();
    assert!(slack.mail_url().is_none() && mailbox(&slack, "U0MIA", "M0TEAMS").await.is_null());
    let everywhere = Options {
        mail_address: Some(SocketAddr::from(([0, 0, 0, 0], 0))),
        ..Options::new(Workspace::demo())
    };
    assert!(start(everywhere).await.unwrap_err().to_string().contains("loopback"));
}

#[tokio::test]
async fn steps_out_of_order_are_refused_and_a_conversation_can_begin_anew() {
    let slack = playground().await;
    let mut client = Client::connect(&slack).await;
    for (said, code) in [
        ("DATA\r\n", "503"),
        ("RCPT TO:<all@acme.example>\r\n", "503"),
        ("MAIL FROM:countersign\r\n", "501"),
        ("MAIL FROM:<countersign@acme.example>\r\n", "250"),
        ("RCPT TO:<nobody>\r\n", "501"),
        ("RCPT TO:<all@acme.example>\r\n", "250"),
        ("RSET\r\n", "250"),
        ("DATA\r\n", "503"),
        ("NOOP\r\n", "250"),
    ] {
        let answer = client.says(said).await;
        assert!(answer.starts_with(code), "{said} {answer}");
    }
    client.opens().await;
    assert!(client.says(&format!("{NOTICE}.\r\n")).await.starts_with("250"));
    assert_eq!(slack.mails().len(), 1);
}

#[tokio::test]
async fn what_is_too_much_or_no_mail_is_hung_up_on() {
    let slack = playground().await;
    let mut browser = Client::connect(&slack).await;
    let sent = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nOrigin: http://evil.example\r\n\r\n\
        MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n";
    let mut answer = browser.says(sent).await;
    while answer.starts_with("500") {
        answer = browser.answer().await;
    }
    assert!(!answer.starts_with("250"), "{answer}");

    let mut long = Client::connect(&slack).await;
    assert_eq!(long.says(&format!("NOOP {}\r\n", "x".repeat(3_000))).await, "");

    let mut large = Client::connect(&slack).await;
    large.opens().await;
    let line = format!("{}\r\n", "x".repeat(1_000));
    assert!(!large.says(&line.repeat(1_100)).await.starts_with("250"));

    let mut chatty = Client::connect(&slack).await;
    for _ in 0..200 {
        assert!(chatty.says("NOOP\r\n").await.starts_with("250"));
    }
    assert!(chatty.answer().await.starts_with("421"));

    let mut crowd = Client::connect(&slack).await;
    crowd.says("MAIL FROM:<a@b.example>\r\n").await;
    for number in 0..20 {
        assert!(
            crowd
                .says(&format!("RCPT TO:<n{number}@b.example>\r\n"))
                .await
                .starts_with("250")
        );
    }
    assert!(crowd.says("RCPT TO:<one-more@b.example>\r\n").await.starts_with("452"));
    assert!(slack.mails().is_empty());
}

#[tokio::test]
async fn no_mail_is_smuggled_in_behind_a_half_line_end() {
    let slack = playground().await;
    let mut client = Client::connect(&slack).await;
    client.opens().await;
    let smuggled =
        "MAIL FROM:<evil@x.example>\r\nRCPT TO:<all-teams@acme.example>\r\nDATA\r\nSubject: evil\r\n\r\nx\r\n";
    let sent = format!("Subject: first\r\n\r\nhello\n.\n{smuggled}also\n.\r\n{smuggled}.\r\n");
    assert!(client.says(&sent).await.starts_with("250"));
    let mails = slack.mails();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(mails[0].subject == "first" && mails[0].body.contains("evil@x.example"));
}
