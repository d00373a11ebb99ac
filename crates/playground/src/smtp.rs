//! A mail server that takes every mail, for the mailbox on the page. Just enough of SMTP (RFC 5321) for an honest client on
//! this machine, and a limit on everything; no log-in and no encryption, so it must listen on loopback only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::mailbox::Mail;
use crate::state::Shared;

const CONNECTIONS_MAX: usize = 8;
const CONVERSATION_LIMIT: Duration = Duration::from_secs(30);
const LINE_BYTES_MAX: u64 = 2_000;
const MAIL_BYTES_MAX: usize = 1024 * 1024;
const RECIPIENTS_MAX: usize = 20;
const COMMANDS_MAX: usize = 200;
/// A browser that was sent here says one header after the other; it is cut off before it gets to its body.
const MISTAKES_MAX: usize = 3;

/// Takes mails until it is dropped.
pub(crate) async fn receive(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        if open.len() >= CONNECTIONS_MAX {
            open.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, perhaps: no reason to spin.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let conversation = Conversation {
            stream: BufReader::new(stream),
            shared: Arc::clone(&shared),
            has_sender: false,
            recipients: Vec::new(),
            mistakes: 0,
        };
        open.spawn(timeout(CONVERSATION_LIMIT, conversation.hold()));
    }
}

struct Conversation {
    stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
    has_sender: bool,
    recipients: Vec<String>,
    mistakes: usize,
}

impl Conversation {
    async fn hold(mut self) -> io::Result<()> {
        self.say("220 playground takes every mail").await?;
        for _ in 0..COMMANDS_MAX {
            let Some(line) = self.line().await? else {
                return Ok(());
            };
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
            match verb.to_ascii_uppercase().as_str() {
                "QUIT" => return self.say("221 bye").await,
                "DATA" if !self.recipients.is_empty() => {
                    if !self.data().await? {
                        return Ok(());
                    }
                }
                verb => {
                    let answer = self.command(verb, rest);
                    self.say(&answer).await?;
                    if self.mistakes > MISTAKES_MAX {
                        return self.say("421 this is a mail server; bye").await;
                    }
                }
            }
        }
        self.say("421 that was enough; bye").await
    }

    fn command(&mut self, verb: &str, rest: &str) -> String {
        match verb {
            "EHLO" => {
                self.reset();
                format!("250-playground\r\n250-8BITMIME\r\n250 SIZE {MAIL_BYTES_MAX}")
            }
            "HELO" | "RSET" => {
                self.reset();
                "250 ok".to_owned()
            }
            "NOOP" => "250 ok".to_owned(),
            "MAIL" if path(rest, "FROM:").is_some() => {
                self.reset();
                self.has_sender = true;
                "250 ok".to_owned()
            }
            "RCPT" if self.has_sender => match path(rest, "TO:").filter(|to| to.contains('@')) {
                Some(_) if self.recipients.len() >= RECIPIENTS_MAX => "452 too many recipients".to_owned(),
                Some(to) => {
                    self.recipients.push(to.to_owned());
                    "250 ok".to_owned()
                }
                None => "501 write RCPT TO:<name@host>".to_owned(),
            },
            "RCPT" | "DATA" => "503 first MAIL FROM, then RCPT TO, then DATA".to_owned(),
            "MAIL" => "501 write MAIL FROM:<name@host>".to_owned(),
            _ => {
                self.mistakes += 1;
                "500 not understood".to_owned()
            }
        }
    }

    fn reset(&mut self) {
        self.has_sender = false;
        self.recipients.clear();
    }

    /// Takes the mail itself; `false` where the conversation can't go on.
    async fn data(&mut self) -> io::Result<bool> {
        self.say("354 end with a lone dot").await?;
        let mut mail = Vec::new();
        let mut line_ended = true;
        loop {
            let Some(line) = self.line().await? else {
                self.say("500 a line is too long; bye").await?;
                return Ok(false);
            };
            // Only a dot between two whole line ends is the end: anything laxer lets one mail smuggle in another.
            if line_ended && line == b".\r\n" {
                break;
            }
            let stuffed = line_ended && line.starts_with(b".");
            mail.extend_from_slice(&line[usize::from(stuffed)..]);
            line_ended = line.ends_with(b"\r\n");
            if mail.len() > MAIL_BYTES_MAX {
                self.say("552 the mail is too large; bye").await?;
                return Ok(false);
            }
        }
        let to = std::mem::take(&mut self.recipients);
        self.reset();
        let Some(mail) = Mail::read(self.shared.clock.next_ts(), to, &mail) else {
            self.say("554 this is no mail").await?;
            return Ok(true);
        };
        self.shared.state().mailbox.put(mail);
        self.shared.changed();
        self.say("250 taken").await?;
        Ok(true)
    }

    /// The next line with its end, or nothing if it is too long or cut off.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await?;
        Ok(line.ends_with(b"\n").then_some(line))
    }

    async fn say(&mut self, answer: &str) -> io::Result<()> {
        self.stream.write_all(format!("{answer}\r\n").as_bytes()).await
    }
}

/// The address in `FROM:<address> PARAMETERS`.
fn path<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.trim_start().split_at_checked(prefix.len())?;
    let (path, _) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    start.eq_ignore_ascii_case(prefix).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn paths_are_read_with_and_without_parameters() {
        assert_eq!(path("FROM:<a@b.test> BODY=8BITMIME", "FROM:"), Some("a@b.test"));
        assert_eq!(path("from: <>", "FROM:"), Some(""));
        for bad in [
            "",
            "FROM:a@b.test",
            "FROM:<a@b.test",
            "TO:<a@b.test>",
            "FRÖM:<a@b.test>",
        ] {
            assert_eq!(path(bad, "FROM:"), None, "{bad}");
        }
    }
}
