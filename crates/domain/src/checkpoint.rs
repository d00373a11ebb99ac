//! Checkpoints: the end of the chain at one moment, as text for a signature that outlives the database's owner. The text
//! has the form of C2SP's tlog-checkpoint in a C2SP signed note; signing itself is done outside.

use crate::digest::Digest;
use crate::log_entry::Head;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Before the log's id in the origin line: no other log has the same one.
pub const ORIGIN_PREFIX: &str = "countersign/";
/// The signature type of plain Ed25519 in a signed note.
const ED25519: u8 = 1;
/// How long such a signature is.
const ED25519_BYTES: usize = 64;
/// Signatures that one note may carry.
const SIGNATURES_MAX: usize = 16;
/// An em dash: it begins a signature's line.
const DASH: &str = "\u{2014} ";

/// The entry with `hash` stood at `position` of `log`, and everything before it is settled by that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checkpoint {
    /// How many entries there were: the position of the last one.
    pub position: u64,
    /// The log's random id.
    pub log: String,
    /// The hash of the last entry; of an empty log, the hash that stands for its beginning.
    pub hash: Digest,
}

/// A signature under a checkpoint, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose it is said to be.
    pub key_name: String,
    /// The first four bytes: which key of that name.
    pub key_id: [u8; 4],
    /// The rest: 64 bytes for Ed25519.
    pub bytes: Vec<u8>,
}

/// A checkpoint with the signatures under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// At least one.
    pub signatures: Vec<Signature>,
}

/// A public key with its name, in the form that signed notes are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The origin of the log that it signs.
    pub name: String,
    /// As RFC 8032 encodes it.
    pub bytes: [u8; 32],
}

impl From<&Head> for Checkpoint {
    fn from(head: &Head) -> Self {
        Self {
            position: head.position,
            log: head.log.clone(),
            hash: head.hash.clone(),
        }
    }
}

impl Checkpoint {
    /// The log's name for the rest of the world; also the name of the key that signs it.
    pub fn origin(&self) -> String {
        format!("{ORIGIN_PREFIX}{}", self.log)
    }

    /// The three lines that are signed, the last line end included.
    pub fn text(&self) -> String {
        let hash = BASE64.encode(unhex(&self.hash));
        format!("{}\n{}\n{hash}\n", self.origin(), self.position)
    }

    /// The note with one Ed25519 signature, which `sign` makes over the text.
    pub fn signed(&self, key: &PublicKey, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let text = self.text();
        let mut signature = key.id().to_vec();
        signature.extend(sign(text.as_bytes()));
        format!("{text}\n{DASH}{} {}\n", key.name, BASE64.encode(signature))
    }
}

impl PublicKey {
    /// Which key of its name it is.
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', ED25519]);
        hasher.update(self.bytes);
        let hash = hasher.finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Whether `signature` says that it is by this key. That it is remains to be checked.
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        signature.key_name == self.name && signature.key_id == self.id()
    }

    /// Reads `name+id+key`, as [`fmt::Display`] writes it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let no = |why: &str| Err(format!("this is no public key of a log: {why}"));
        // Base64 may hold a `+`; a name and an id may not.
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return no("it must look like countersign/LOG+ID+KEY");
        };
        let Ok(bytes) = BASE64.decode(key) else {
            return no("its last part is not base64");
        };
        let Some((&ED25519, bytes)) = bytes.split_first() else {
            return no("it is not an Ed25519 key");
        };
        let Ok(bytes) = <[u8; 32]>::try_from(bytes) else {
            return no("an Ed25519 key has 32 bytes");
        };
        let key = Self {
            name: name.to_owned(),
            bytes,
        };
        if crate::digest::hex(&key.id()) == id {
            Ok(key)
        } else {
            no("its id is not that of its name and key")
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(&self.bytes);
        let id = crate::digest::hex(&self.id());
        write!(f, "{}+{id}+{}", self.name, BASE64.encode(bytes))
    }
}

/// Every note in `text`, one after another. What stands between them is passed over: mail headers, a sentence around them.
///
/// # Errors
/// Names the line at which something begins like a checkpoint and is none.
pub fn notes(text: &str) -> Result<Vec<Note>, String> {
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
    let (mut notes, mut at) = (Vec::new(), 0);
    while let Some(line) = lines.get(at) {
        if line.starts_with(ORIGIN_PREFIX) {
            let (note, length) = note(&lines[at..]).map_err(|why| format!("line {}: {why}", at + 1))?;
            notes.push(note);
            at += length;
        } else {
            at += 1;
        }
    }
    Ok(notes)
}

/// Where a last note begins whose writer was cut off: it ends before its signature is whole, and nothing follows it.
pub fn unfinished_at(text: &str) -> Option<usize> {
    let begins = |at: &usize| text[*at..].starts_with(ORIGIN_PREFIX);
    let mut lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    let at = lines.rfind(begins)?;
    let rest = &text[at..];
    let is_whole = |notes: Vec<Note>| {
        let mut signatures = notes.iter().flat_map(|note| &note.signatures);
        signatures.all(|signature| signature.bytes.len() >= ED25519_BYTES)
    };
    let is_cut = !rest.ends_with('\n') || !rest.lines().any(|line| line.starts_with(DASH));
    (is_cut && !notes(rest).is_ok_and(is_whole)).then_some(at)
}

/// The note that begins with the first of `lines`, and how many lines it takes.
fn note(lines: &[&str]) -> Result<(Note, usize), String> {
    let no = |why: &str| Err(format!("this begins like a checkpoint, but {why}"));
    let [origin, position, hash, rest @ ..] = lines else {
        return no("it ends before its third line");
    };
    let log = origin.strip_prefix(ORIGIN_PREFIX).unwrap_or_default();
    if log.is_empty() || log.contains(|c: char| c.is_whitespace() || c == '+') {
        return no("its first line names no log");
    }
    let size = position
        .parse()
        .ok()
        .filter(|size: &u64| size.to_string() == **position);
    let Some(size) = size else {
        return no("its second line is not a number of entries");
    };
    let bytes = BASE64.decode(hash).ok().filter(|bytes| bytes.len() == 32);
    let Some(hash) = bytes.and_then(|bytes| Digest::try_from(crate::digest::hex(&bytes)).ok()) else {
        return no("its third line is not a SHA-256 hash in base64");
    };
    let [blank, rest @ ..] = rest else {
        return no("nothing signs it");
    };
    // Countersign writes no extension lines, and a signature would cover them.
    if !blank.is_empty() {
        return no("it has more than three lines before its signatures");
    }
    let signed = rest.iter().take_while(|line| line.starts_with(DASH)).count();
    if signed == 0 || signed > SIGNATURES_MAX {
        return no("it has no signature, or too many");
    }
    let Some(signatures) = rest[..signed].iter().map(|line| signature(line)).collect() else {
        return no("one of its signatures can't be read");
    };
    let checkpoint = Checkpoint {
        position: size,
        log: log.to_owned(),
        hash,
    };
    Ok((Note { checkpoint, signatures }, 4 + signed))
}

fn signature(line: &str) -> Option<Signature> {
    let (key_name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = BASE64.decode(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    Some(Signature {
        key_name: key_name.to_owned(),
        key_id: *id,
        bytes: bytes.to_vec(),
    })
}

/// The 32 bytes of a digest.
fn unhex(digest: &Digest) -> Vec<u8> {
    let digit = |c: u8| if c.is_ascii_digit() { c - b'0' } else { c - b'a' + 10 };
    let pairs = digest.as_str().as_bytes().chunks_exact(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PublicKey {
        PublicKey {
            name: "countersign/log-1".to_owned(),
            bytes: [7; 32],
        }
    }

    fn sample() -> Checkpoint {
        Checkpoint {
            position: 12,
            log: "log-1".to_owned(),
            hash: Digest::of(b"x"),
        }
    }

    #[test]
    fn a_checkpoint_is_the_three_lines_of_c2sp() {
        assert_eq!(
            sample().text(),
            "countersign/log-1\n12\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\n"
        );
    }

    #[test]
    fn the_published_example_of_a_signed_note_has_its_key_id() {
        // The verifier key of golang.org/x/mod/sumdb/note's documentation.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = PublicKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(crate::digest::hex(&key.id()), "c74f20a3");
    }

    #[test]
    fn notes_are_read_as_they_are_written_wherever_they_stand() {
        let written = sample().signed(&key(), |_| vec![9; 64]);
        let text = format!(
            "From: a\r\n\r\nHello,\n\n{written}\nand again\n{}",
            written.replace('\n', "\r\n")
        );
        let read = notes(&text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], read[1]);
        assert_eq!(read[0].checkpoint, sample());
        assert!(key().is_named_by(&read[0].signatures[0]));
        assert_eq!(read[0].signatures[0].bytes, vec![9; 64]);
    }

    #[test]
    fn only_a_last_note_that_was_cut_off_is_unfinished() {
        let written = sample().signed(&key(), |_| vec![9; 64]);
        let before = format!("{written}\n");
        for cut in 1..written.len() - 1 {
            let Some(part) = written.get(..cut) else { continue };
            let text = format!("{before}{part}");
            // A beginning that is not even the prefix is no note.
            let expected = part.starts_with(ORIGIN_PREFIX).then_some(before.len());
            assert_eq!(unfinished_at(&text), expected, "{part:?}");
            let kept = &text[..unfinished_at(&text).unwrap_or(text.len())];
            assert_eq!(notes(kept).map(|notes| notes.len()), Ok(1), "{part:?}");
            // Whatever follows it, it was not the last thing that was written.
            assert_eq!(unfinished_at(&format!("{part}\n\n{written}")), None, "{part:?}");
        }
        for whole in [&written, written.trim_end(), "", "nothing here"] {
            assert_eq!(unfinished_at(whole), None, "{whole:?}");
        }
        // A whole signature under something else was not cut off.
        assert_eq!(unfinished_at(&written.replacen("\n12\n", "\nx\n", 1)), None);
    }

    #[test]
    fn what_only_looks_like_a_checkpoint_is_refused() {
        let written = sample().signed(&key(), |_| vec![9; 64]);
        for (from, to) in [
            ("\n12\n", "\n012\n"),
            ("\n12\n", "\n+12\n"),
            ("countersign/log-1\n", "countersign/\n"),
            ("=\n\n", "=\n"),
            ("=\n\n", "=\nmore\n\n"),
            ("=\n\n", "\n\n"),
            ("\u{2014} countersign/log-1 ", "\u{2014} countersign/log-1"),
            ("\u{2014} ", "- "),
        ] {
            assert!(written.contains(from), "{from:?}");
            let broken = written.replacen(from, to, 1);
            assert!(notes(&broken).is_err(), "{broken}");
        }
        assert!(PublicKey::parse("countersign/log-1+00000000+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH").is_err());
        assert_eq!(notes("nothing here"), Ok(Vec::new()));
    }
}
