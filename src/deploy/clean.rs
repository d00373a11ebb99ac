//! Takes terminal control sequences and overlong lines out of a stream of bytes, however it is cut into chunks.

/// Stands where the rest of an overlong line was.
pub const LINE_CUT: &str = "…[line cut]";

/// A control string (a window title, say) that is longer is text of a script gone wrong.
const STRING_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Escape,
    /// After ESC and an intermediate byte, as in the choice of a character set.
    EscapeIntermediate,
    Control,
    /// Inside OSC, DCS, SOS, PM or APC.
    ControlString,
    /// An ESC inside such a string, which ends it.
    StringEscape,
}

/// Keeps text, tab, line feed and carriage return; one per stream.
#[derive(Debug)]
pub struct Cleaner {
    state: State,
    string_bytes: usize,
    line_bytes: usize,
    line_bytes_max: usize,
    cutting: bool,
    any_cut: bool,
}

impl Cleaner {
    /// A cleaner that keeps at most `line_bytes_max` bytes of a line, and then [`LINE_CUT`].
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            state: State::Text,
            string_bytes: 0,
            line_bytes: 0,
            line_bytes_max,
            cutting: false,
            any_cut: false,
        }
    }

    /// Appends what is left of `raw` to `clean`.
    pub fn push(&mut self, raw: &[u8], clean: &mut Vec<u8>) {
        for &byte in raw {
            self.byte(byte, clean);
        }
    }

    /// Whether a line was cut so far.
    pub fn has_cut(&self) -> bool {
        self.any_cut
    }

    fn byte(&mut self, byte: u8, clean: &mut Vec<u8>) {
        match self.state {
            State::Text => self.text(byte, clean),
            State::Escape => self.escape(byte, clean),
            State::EscapeIntermediate => match byte {
                0x20..=0x2f => {}
                0x30..=0x7e => self.state = State::Text,
                _ => self.back_to_text(byte, clean),
            },
            State::Control => match byte {
                0x20..=0x3f => {}
                0x40..=0x7e => self.state = State::Text,
                _ => self.back_to_text(byte, clean),
            },
            State::ControlString => self.string(byte, clean),
            State::StringEscape => match byte {
                b'\\' => self.state = State::Text,
                _ => self.escape(byte, clean),
            },
        }
    }

    fn escape(&mut self, byte: u8, clean: &mut Vec<u8>) {
        self.string_bytes = 0;
        self.state = match byte {
            b'[' => State::Control,
            b']' | b'P' | b'X' | b'^' | b'_' => State::ControlString,
            0x20..=0x2f => State::EscapeIntermediate,
            0x1b => State::Escape,
            0x30..=0x7e => State::Text,
            _ => return self.back_to_text(byte, clean),
        };
    }

    fn string(&mut self, byte: u8, clean: &mut Vec<u8>) {
        self.string_bytes += 1;
        match byte {
            0x07 | 0x18 | 0x1a => self.state = State::Text,
            0x1b => self.state = State::StringEscape,
            // A string that nobody ends must not swallow the rest of the output.
            b'\n' => self.back_to_text(byte, clean),
            _ if self.string_bytes > STRING_BYTES_MAX => self.back_to_text(byte, clean),
            _ => {}
        }
    }

    fn back_to_text(&mut self, byte: u8, clean: &mut Vec<u8>) {
        self.state = State::Text;
        self.text(byte, clean);
    }

    fn text(&mut self, byte: u8, clean: &mut Vec<u8>) {
        match byte {
            0x1b => self.state = State::Escape,
            // A carriage return starts a line over, so progress bars are no overlong lines.
            b'\n' | b'\r' => {
                self.line_bytes = 0;
                self.cutting = false;
                clean.push(byte);
            }
            0x00..=0x08 | 0x0b..=0x1f | 0x7f => {}
            _ => self.keep(byte, clean),
        }
    }

    fn keep(&mut self, byte: u8, clean: &mut Vec<u8>) {
        if self.cutting {
            return;
        }
        // A character that has begun is kept whole.
        let continues = byte & 0xc0 == 0x80 && self.line_bytes < self.line_bytes_max + 3;
        if self.line_bytes < self.line_bytes_max || continues {
            self.line_bytes += 1;
            clean.push(byte);
        } else {
            self.cutting = true;
            self.any_cut = true;
            clean.extend_from_slice(LINE_CUT.as_bytes());
        }
    }
}

/// One text for people to read: lossy UTF-8 without control sequences, control characters or
/// characters that hide or reorder text; a carriage return starts its line over.
pub fn clean_text(bytes: &[u8]) -> String {
    let mut clean = Vec::with_capacity(bytes.len());
    Cleaner::new(usize::MAX - 3).push(bytes, &mut clean);
    let text = String::from_utf8_lossy(&clean).replace("\r\n", "\n");
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let shown = line.trim_end_matches('\r').rsplit('\r').next();
        let visible: String = shown
            .unwrap_or_default()
            .chars()
            .filter(|character| shows(*character))
            .collect();
        lines.push(visible);
    }
    lines.join("\n")
}

fn shows(character: char) -> bool {
    match character {
        '\t' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        other => !other.is_control(),
    }
}
