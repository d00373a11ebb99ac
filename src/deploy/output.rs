//! The kept output of a script: a head file and a ring file of fixed sizes, whatever the script writes.
//! Writing never fails the caller: what the disk does not take is dropped and counted.
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::clean::Cleaner;
use super::launch::OutputLimits;
use super::spool::OutputSummary;

const HEAD_FILE: &str = "output.head";
const TAIL_FILE: &str = "output.tail";

/// Stands where output was lost because the disk did not take it.
pub const LOST: &str = "…[output lost]";

/// Stands where output is not shown because only its start and its end are kept.
pub const NOT_KEPT: &str = "…[output not kept]\n";

/// The ring file starts with how many bytes ever went through it and how many it holds.
const HEADER_BYTES: u64 = 16;

/// The most that is in the ring file before its header says so.
const PIECE_BYTES: usize = 16 * 1024;

/// Writes the output of one attempt.
#[derive(Debug)]
pub struct OutputSpool {
    head: File,
    tail: File,
    limits: OutputLimits,
    cleaner: Cleaner,
    clean: Vec<u8>,
    head_bytes: u64,
    tail_bytes: u64,
    after_loss: bool,
    summary: OutputSummary,
}

impl OutputSpool {
    /// Makes both files.
    ///
    /// # Errors
    /// The error of making them; a deployment without a place for its output does not start.
    pub fn create(spool: &Path, limits: OutputLimits) -> io::Result<Self> {
        let create = |name| {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(spool.join(name))
        };
        let output = Self {
            head: create(HEAD_FILE)?,
            tail: create(TAIL_FILE)?,
            limits,
            cleaner: Cleaner::new(limits.line_bytes),
            clean: Vec::new(),
            head_bytes: 0,
            tail_bytes: 0,
            after_loss: false,
            summary: OutputSummary::default(),
        };
        output.write_header()?;
        Ok(output)
    }

    /// Takes what the script wrote, in the order of arrival.
    pub fn append(&mut self, raw: &[u8]) {
        self.summary.raw_bytes += raw.len() as u64;
        let mut clean = std::mem::take(&mut self.clean);
        clean.clear();
        if self.after_loss {
            clean.extend_from_slice(LOST.as_bytes());
        }
        let mark_bytes = clean.len();
        self.cleaner.push(raw, &mut clean);
        let new_bytes = (clean.len() - mark_bytes) as u64;
        self.summary.clean_bytes += new_bytes;
        if new_bytes > 0 {
            let stored = self.store(&clean);
            self.after_loss = stored.is_err();
            if let Err(error) = stored {
                self.summary.lost_bytes += new_bytes;
                self.summary.error.get_or_insert_with(|| error.to_string());
            }
        }
        self.clean = clean;
    }

    /// What became of the output so far; also asks the disk to keep it.
    pub fn summary(&mut self) -> OutputSummary {
        for file in [&self.head, &self.tail] {
            if let Err(error) = file.sync_data() {
                self.summary.error.get_or_insert_with(|| error.to_string());
            }
        }
        let mut summary = self.summary.clone();
        summary.truncated =
            self.tail_bytes > self.limits.tail_bytes || summary.lost_bytes > 0 || self.cleaner.has_cut();
        summary
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.limits.head_bytes - self.head_bytes;
        let in_head = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        let (first, rest) = bytes.split_at(in_head);
        self.head.write_all_at(first, self.head_bytes)?;
        self.head_bytes += first.len() as u64;
        for piece in rest.chunks(PIECE_BYTES) {
            self.store_in_ring(piece)?;
        }
        Ok(())
    }

    fn store_in_ring(&mut self, piece: &[u8]) -> io::Result<()> {
        let at = self.tail_bytes % self.limits.tail_bytes;
        let until_wrap = usize::try_from(self.limits.tail_bytes - at).unwrap_or(usize::MAX);
        let (first, wrapped) = piece.split_at(until_wrap.min(piece.len()));
        self.tail.write_all_at(first, HEADER_BYTES + at)?;
        self.tail.write_all_at(wrapped, HEADER_BYTES)?;
        self.tail_bytes += piece.len() as u64;
        self.write_header()
    }

    fn write_header(&self) -> io::Result<()> {
        let mut header = [0; 16];
        header[..8].copy_from_slice(&self.tail_bytes.to_le_bytes());
        header[8..].copy_from_slice(&self.limits.tail_bytes.to_le_bytes());
        self.tail.write_all_at(&header, 0)
    }
}

/// The kept output as it stands on the disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// From the start.
    pub head: Vec<u8>,
    /// From the end; follows `head` directly if `missing_bytes` is 0.
    pub tail: Vec<u8>,
    /// Between the two.
    pub missing_bytes: u64,
}

/// Reads the kept output, also while it is being written. No files means no output.
pub(super) fn read_kept(spool: &Path, finished: bool) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let Some(ring) = open(&spool.join(TAIL_FILE))? else {
        return Ok(kept);
    };
    // The ring before the head: it is used only once the head is full.
    let (before, capacity) = read_header(&ring)?;
    let mut data = Vec::new();
    (&ring).take(HEADER_BYTES + capacity).read_to_end(&mut data)?;
    data.drain(..data.len().min(16));
    let (after, _) = read_header(&ring)?;
    if let Some(mut head) = open(&spool.join(HEAD_FILE))? {
        head.read_to_end(&mut kept.head)?;
    }
    // A piece is in the ring before the header says so: its place can't be trusted meanwhile.
    let unsaid = if finished { 0 } else { PIECE_BYTES as u64 };
    kept.missing_bytes = (after + unsaid).saturating_sub(capacity).min(before);
    kept.tail = unroll(&data, kept.missing_bytes, before, capacity);
    Ok(kept)
}

/// The bytes that were written at the positions `from..until`, in order.
fn unroll(ring: &[u8], from: u64, until: u64, capacity: u64) -> Vec<u8> {
    let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
    let start = index(from.checked_rem(capacity).unwrap_or(0)).min(ring.len());
    let wanted = index(until - from);
    let first = &ring[start..ring.len().min(start.saturating_add(wanted))];
    let wrapped = &ring[..start.min(wanted - first.len())];
    [first, wrapped].concat()
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_header(ring: &File) -> io::Result<(u64, u64)> {
    let mut header = [0; 16];
    match ring.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((0, 0)),
        other => other?,
    }
    let (mut written, mut capacity) = ([0; 8], [0; 8]);
    written.copy_from_slice(&header[..8]);
    capacity.copy_from_slice(&header[8..]);
    Ok((u64::from_le_bytes(written), u64::from_le_bytes(capacity)))
}
