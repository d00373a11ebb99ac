//! A small mail server, friendly or not.

use countersign::records::mail::Mailer;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What the server does otherwise than a friendly one.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Friendly,
    NoLogin,
    /// Answers the command with this prefix so.
    Says(&'static str, &'static str),
    /// Closes the connection at the command with this prefix.
    Drops(&'static str),
}

/// The table of the configuration that says who is mailed.
pub const TEAMS: &str = "[mail]\nteams = [\"all-teams@acme.test\"]\n\n";

pub struct Server {
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, mood, Arc::clone(&seen)));
            }
        });
        Self { port, lines }
    }

    pub fn mailer(&self, login: &str) -> Mailer {
        Mailer::new(
            &format!("smtp://{login}127.0.0.1:{}", self.port),
            "Countersign <bot@acme.test>",
        )
        .unwrap()
    }

    /// What a bot has to be told to mail through it, beside [`TEAMS`] in its configuration.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("SMTP_URL", format!("smtp://127.0.0.1:{}", self.port)),
            ("SMTP_FROM", "Countersign <countersign@acme.test>".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// How often exactly this line was said, such as a mail's Message-ID.
    pub fn count(&self, line: &str) -> usize {
        let said = self.lines.lock().unwrap();
        said.iter().filter(|said| *said == line).count()
    }

    pub fn said(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

async fn converse(stream: tokio::net::TcpStream, mood: Mood, seen: Arc<Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mail.acme.test\r\n").await.unwrap();
    let mut in_data = false;
    while let Ok(Some(line)) = lines.next_line().await {
        seen.lock().unwrap().push(line.clone());
        let end_of_data = in_data && line == ".";
        if in_data && !end_of_data {
            continue;
        }
        in_data = false;
        match mood {
            Mood::Drops(at) if line.starts_with(at) => return,
            Mood::Says(at, answer) if line.starts_with(at) => {
                write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                continue;
            }
            _ => {}
        }
        let answer = match line.split(' ').next().unwrap_or_default() {
            "EHLO" if mood == Mood::NoLogin => "250 mail.acme.test",
            "EHLO" => "250-mail.acme.test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
