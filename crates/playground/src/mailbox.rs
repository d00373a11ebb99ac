//! The mailbox of all teams: what the bot has mailed, read into plain text. Keeps the newest mails only.

use std::collections::VecDeque;

use mail_parser::{Address, MessageParser};
use serde::Serialize;

/// What the page calls the mailbox's place among the channels.
pub(crate) const ID: &str = "M0TEAMS";
const MAILS_MAX: usize = 50;

/// A mail as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// When it came, in the form of Slack's timestamps; no two have the same.
    pub ts: String,
    /// The sender's name and address.
    pub from: String,
    /// Whom the server was told to bring it to.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: String,
    /// Without the angle brackets; the same for every repetition.
    pub message_id: String,
}

impl Mail {
    /// Reads what came over the wire.
    pub(crate) fn read(ts: String, to: Vec<String>, bytes: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(bytes)?;
        let body = message.body_text(0).unwrap_or_default();
        Some(Self {
            ts,
            from: message.from().map(sender).unwrap_or_default(),
            to,
            subject: message.subject().unwrap_or("(no subject)").to_owned(),
            body: body.replace("\r\n", "\n").trim_end().to_owned(),
            message_id: message.message_id().unwrap_or_default().to_owned(),
        })
    }
}

fn sender(address: &Address<'_>) -> String {
    let Some(first) = address.first() else {
        return String::new();
    };
    let mail = first.address().unwrap_or_default();
    first
        .name()
        .map_or_else(|| mail.to_owned(), |name| format!("{name} <{mail}>"))
}

/// Mails, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    mails: VecDeque<Mail>,
}

impl Mailbox {
    pub fn put(&mut self, mail: Mail) {
        self.mails.push_back(mail);
        if self.mails.len() > MAILS_MAX {
            self.mails.pop_front();
        }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.iter().cloned().collect()
    }

    /// When the newest came.
    pub fn latest(&self) -> Option<&str> {
        self.mails.back().map(|mail| mail.ts.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str) -> Mail {
        let bytes = format!("Subject: {subject}\r\n\r\nHello\r\n");
        Mail::read("1.0".into(), vec!["all@acme.example".into()], bytes.as_bytes()).unwrap()
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut mailbox = Mailbox::default();
        for number in 0..MAILS_MAX + 3 {
            mailbox.put(mail(&number.to_string()));
        }
        let mails = mailbox.mails();
        assert_eq!((mails.len(), mails[0].subject.as_str()), (MAILS_MAX, "3"));
    }
}
