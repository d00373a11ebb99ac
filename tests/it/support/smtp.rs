//! A small mail server, friendly or not.

use countersign::records::mail::Mailer;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

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

/// Whether and when the server speaks TLS. Where it does, it wants to know who mails, and asks in private only.
#[derive(Clone)]
pub enum Tls {
    No,
    AtOnce(TlsAcceptor),
    OnRequest(TlsAcceptor),
}

struct Said {
    line: String,
    in_clear: bool,
}

pub struct Server {
    pub port: u16,
    lines: Arc<Mutex<Vec<Said>>>,
}

impl Server {
    pub async fn start(mood: Mood) -> Self {
        Self::with_tls(mood, Tls::No).await
    }

    pub async fn with_tls(mood: Mood, tls: Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = Talk {
                    mood,
                    offers_tls: matches!(tls, Tls::OnRequest(_)),
                    wants_login: !matches!(tls, Tls::No),
                    in_clear: !matches!(tls, Tls::AtOnce(_)),
                    seen: Arc::clone(&seen),
                };
                tokio::spawn(talk.over(stream, tls.clone()));
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
        said.iter().filter(|said| said.line == line).count()
    }

    /// What whoever listens on the way could have read.
    pub fn said_in_clear(&self) -> String {
        self.said_that(|said| said.in_clear)
    }

    pub fn said(&self) -> String {
        self.said_that(|_| true)
    }

    fn said_that(&self, counts: impl Fn(&Said) -> bool) -> String {
        let said = self.lines.lock().unwrap();
        let lines: Vec<&str> = said
            .iter()
            .filter(|said| counts(said))
            .map(|said| said.line.as_str())
            .collect();
        lines.join("\n")
    }
}

/// One conversation.
struct Talk {
    mood: Mood,
    offers_tls: bool,
    wants_login: bool,
    in_clear: bool,
    seen: Arc<Mutex<Vec<Said>>>,
}

impl Talk {
    async fn over(mut self, stream: TcpStream, tls: Tls) {
        match tls {
            Tls::No => {
                self.converse(stream, true).await;
            }
            Tls::AtOnce(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    self.converse(stream, true).await;
                }
            }
            Tls::OnRequest(acceptor) => {
                let Some(stream) = self.converse(stream, true).await else {
                    return;
                };
                (self.offers_tls, self.in_clear) = (false, false);
                if let Ok(stream) = acceptor.accept(stream).await {
                    self.converse(stream, false).await;
                }
            }
        }
    }

    /// Until the end, or until encryption is asked for: then the stream is given back.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, greets: bool) -> Option<S> {
        let mut stream = BufReader::new(stream);
        if greets {
            stream.write_all(b"220 mail.acme.test\r\n").await.ok()?;
        }
        let (mut in_data, mut logged_in) = (false, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']).to_owned();
            self.seen.lock().unwrap().push(Said {
                line: line.clone(),
                in_clear: self.in_clear,
            });
            if in_data && line != "." {
                continue;
            }
            in_data = false;
            let answer = match self.mood {
                Mood::Drops(at) if line.starts_with(at) => return None,
                Mood::Says(at, answer) if line.starts_with(at) => answer,
                mood => match line.split(' ').next().unwrap_or_default() {
                    "EHLO" if mood == Mood::NoLogin => "250 mail.acme.test",
                    "EHLO" if self.offers_tls => "250-mail.acme.test\r\n250 STARTTLS",
                    "EHLO" => "250-mail.acme.test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
                    "STARTTLS" if self.offers_tls => "220 go ahead",
                    "AUTH" => {
                        logged_in = true;
                        "235 welcome"
                    }
                    "MAIL" if self.wants_login && !logged_in => "530 who are you?",
                    "DATA" => {
                        in_data = true;
                        "354 go on"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 ok",
                },
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            if line == "STARTTLS" && self.offers_tls {
                return Some(stream.into_inner());
            }
        }
    }
}
