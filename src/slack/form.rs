//! Reads a form body strictly: what can't be decoded exactly, or says a thing twice, is refused rather than guessed.

use crate::slack::payload::PayloadError;
use std::collections::BTreeMap;

/// More fields than any request of Slack has.
const MAX_FIELDS: usize = 100;

/// The fields of an `application/x-www-form-urlencoded` body.
///
/// # Errors
/// If it is not UTF-8, before or after decoding, or no form.
pub fn fields(body: &[u8]) -> Result<BTreeMap<String, String>, PayloadError> {
    let text = std::str::from_utf8(body).map_err(|_| PayloadError::NotUtf8)?;
    check_escapes(text)?;
    let mut fields = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        if fields.len() == MAX_FIELDS || fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(PayloadError::MalformedForm);
        }
    }
    Ok(fields)
}

/// The library decodes what it can and keeps the rest; a wrong escape or broken UTF-8 behind escapes is an error here.
fn check_escapes(text: &str) -> Result<(), PayloadError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || {
                bytes
                    .next()
                    .and_then(|b| char::from(b).to_digit(16))
                    .and_then(|d| u8::try_from(d).ok())
            };
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(PayloadError::MalformedForm);
            };
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    std::str::from_utf8(&decoded)
        .map(|_| ())
        .map_err(|_| PayloadError::NotUtf8)
}
