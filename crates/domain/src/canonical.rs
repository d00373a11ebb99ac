//! Canonical JSON (RFC 8785), narrowed: no floats, integers within ±(2^53 − 1), at most 32 levels.
//! The bytes that come out are the bytes that are hashed, so nothing here may ever change.

use serde_json::Value;
use std::fmt;

/// Integers beyond this are not exact in every JSON reader (RFC 8785, section 3.2.2.3).
const INTEGER_MAX: i64 = 9_007_199_254_740_991;
const DEPTH_MAX: usize = 32;

/// Why a value has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCanonical {
    /// A number with a fraction or exponent.
    Float,
    /// An integer outside ±(2^53 − 1).
    IntegerTooLarge,
    /// More than 32 levels.
    TooDeep,
}

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "a number is not an integer",
            Self::IntegerTooLarge => "an integer is larger than 2^53 - 1",
            Self::TooDeep => "the value is nested more than 32 levels deep",
        })
    }
}

impl std::error::Error for NotCanonical {}

/// The canonical bytes of `value`.
pub fn to_bytes(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::with_capacity(256);
    write_value(value, 0, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    if depth > DEPTH_MAX {
        return Err(NotCanonical::TooDeep);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let integer = match number.as_i64() {
                Some(integer) => integer,
                None if number.is_u64() => return Err(NotCanonical::IntegerTooLarge),
                None => return Err(NotCanonical::Float),
            };
            if integer.abs() > INTEGER_MAX {
                return Err(NotCanonical::IntegerTooLarge);
            }
            out.extend_from_slice(integer.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            // RFC 8785 sorts by UTF-16 code units, which differs from byte order above U+FFFF.
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_value(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: &Value, expected: &str) {
        let bytes = to_bytes(value).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn keys_are_sorted_by_utf16_and_control_characters_escaped() {
        check(&json!({"b": 1, "a": [true, null, -7]}), r#"{"a":[true,null,-7],"b":1}"#);
        // The sample of RFC 8785, section 3.2.3, without its floats.
        check(
            &json!({"\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
                    "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis"}),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\
             \"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        );
        check(&json!("\u{1}\u{8}\n\"\\\u{7f}"), "\"\\u0001\\b\\n\\\"\\\\\u{7f}\"");
    }

    #[test]
    fn what_other_readers_could_misread_is_refused() {
        assert_eq!(to_bytes(&json!(1.5)), Err(NotCanonical::Float));
        assert_eq!(to_bytes(&json!(u64::MAX)), Err(NotCanonical::IntegerTooLarge));
        assert_eq!(to_bytes(&json!(INTEGER_MAX + 1)), Err(NotCanonical::IntegerTooLarge));
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(to_bytes(&deep), Err(NotCanonical::TooDeep));
    }
}
