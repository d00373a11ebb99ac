//! Cleaning and redacting: what a person may see of a script's output, however it was cut on its way.
use countersign::deploy::clean::{Cleaner, LINE_CUT, clean_text};
use countersign::deploy::launch::OutputLimits;
use countersign::deploy::output::OutputSpool;
use countersign::deploy::redact::Redactor;
use countersign::deploy::tail::tail;
use proptest::prelude::*;

const PLAIN: &str = "QxZ#7w%Jv&9Kq";
const SECRET: &str = "s3cr3t/Pa+ss wörd\"x";

#[test]
fn control_sequences_and_hidden_characters_are_stripped() {
    for (raw, shown) in [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m \x1b[1;38;5;9mbold\x1b[m", "red bold"),
        (
            "\x1b]0;title\x07after \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
            "after link",
        ),
        ("\x1bP device \x1b\\x\x1b(By\x1b7z\x1b=", "xyz"),
        ("never ended \x1b]0;title\nnext", "never ended \nnext"),
        ("10%\r50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("\x07a\x08b\x00c\x7fd\u{85}e", "abcde"),
        ("to\u{202e}reverse\u{200b}d\u{feff}", "toreversed"),
        ("\x1b[", ""),
        ("\x1b[12\nkept", "\nkept"),
    ] {
        assert_eq!(clean_text(raw.as_bytes()), shown, "{raw:?}");
    }
    assert_eq!(clean_text(b"not \xff utf-8 \xc3"), "not \u{fffd} utf-8 \u{fffd}");
    let swallowed = format!("\x1b]{}", "x".repeat(10_000));
    assert!(
        clean_text(swallowed.as_bytes()).len() > 5_000,
        "an endless title hides the output"
    );
}

#[test]
fn an_overlong_line_is_cut_and_the_next_one_is_whole() {
    let mut cleaner = Cleaner::new(80);
    let mut clean = Vec::new();
    cleaner.push(
        format!("{}é{}\nnext\n", "x".repeat(79), "y".repeat(100)).as_bytes(),
        &mut clean,
    );
    let expected = format!("{}é{LINE_CUT}\nnext\n", "x".repeat(79));
    assert_eq!(String::from_utf8(clean).unwrap(), expected);
    assert!(cleaner.has_cut());
}

#[test]
fn secrets_are_redacted_in_every_form() {
    let redactor = Redactor::new([SECRET, "abc", "line one of the key\nline two of the key\n"]);
    for (text, shown) in [
        (SECRET.to_owned(), "[redacted]"),
        (format!("a{SECRET}{SECRET}b"), "a[redacted][redacted]b"),
        ("czNjcjN0L1BhK3NzIHfDtnJkIng=".to_owned(), "[redacted]"),
        ("s3cr3t%2FPa%2Bss%20w%C3%B6rd%22x".to_owned(), "[redacted]"),
        ("s3cr3t%2fPa%2bss+w%c3%b6rd%22x".to_owned(), "[redacted]"),
        (
            "{\"p\":\"s3cr3t/Pa+ss wörd\\\"x\"}".to_owned(),
            "{\"p\":\"[redacted]\"}",
        ),
        (
            "7333637233742f50612b73732077c3b6726422 78".replace(' ', ""),
            "[redacted]",
        ),
        ("> line two of the key".to_owned(), "> [redacted]"),
        ("abc stays, it is too short".to_owned(), "abc stays, it is too short"),
        (String::new(), ""),
    ] {
        assert_eq!(redactor.redact(&text), shown, "{text}");
    }
    assert_eq!(format!("{redactor:?}").matches("s3cr3t").count(), 0);
    let overlapping = Redactor::new(["abcdefgh", "efghijkl"]);
    assert_eq!(overlapping.redact("abcdefghijkl"), "[redacted]");
}

/// Base64 of user:secret and secret:more, which share no whole group with base64 of the secret alone.
#[test]
fn a_secret_inside_longer_base64_is_redacted() {
    let redactor = Redactor::new(["correct horse battery"]);
    for text in [
        "dTpjb3JyZWN0IGhvcnNlIGJhdHRlcnk=",
        "dXM6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5Om1vcmU=",
        "dXNlOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==",
    ] {
        let shown = redactor.redact(text).into_owned();
        assert!(shown.contains("[redacted]") && shown.len() < 24, "{shown}");
    }
}

#[test]
fn token_shapes_are_redacted_and_ordinary_text_is_not() {
    let redactor = Redactor::new([""; 0]);
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc/+=\nDEF\n-----END RSA PRIVATE KEY-----";
    for (text, shown) in [
        ("token=xoxb-1-2-abc!", "token=[redacted]!"),
        ("xapp-1-A0-1-ff and xoxp-9", "[redacted] and [redacted]"),
        (
            "ghp_abcDEF123 github_pat_11AA_b glpat-x1",
            "[redacted] [redacted] [redacted]",
        ),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer [redacted]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        (
            "https://hooks.slack.com/services/T0/B0/xyz",
            "https://hooks.slack.com/services/[redacted]",
        ),
        (
            "postgres://app:p@ss/w0rd@db:5432/x",
            "postgres://app:[redacted]@db:5432/x",
        ),
        (
            "https://abcdefghij0123456789@git.acme.test/x",
            "https://[redacted]@git.acme.test/x",
        ),
        ("cut: postgres://app:pas", "cut: postgres://app:[redacted]"),
        (
            "https://acme.test:8443/a ssh://git@acme.test/x",
            "https://acme.test:8443/a ssh://git@acme.test/x",
        ),
        (
            "weighs_more basic functionality bearer of news",
            "weighs_more basic functionality bearer of news",
        ),
        ("mail to ops@acme.test at 10:30", "mail to ops@acme.test at 10:30"),
    ] {
        assert_eq!(redactor.redact(text), shown, "{text}");
        assert_eq!(redactor.redact(shown), shown, "twice: {shown}");
    }
    assert_eq!(redactor.redact(&format!("a {key} b")), "a [redacted] b");
    let (begin, end) = key.split_at(40);
    assert_eq!(redactor.redact(&format!("a {begin}")), "a [redacted]");
    let shown = redactor.redact(&format!("it said:\n\"!\n{end} b")).into_owned();
    assert_eq!(shown, "it said:\n\"!\n[redacted] b");
    let public = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----";
    assert_eq!(redactor.redact(public), public);
}

/// No text of people may hold a piece of the secret this long.
const PIECE_CHARS: usize = 3;

fn leaks(text: &str) -> Option<String> {
    let letters: Vec<char> = PLAIN.chars().collect();
    letters
        .windows(PIECE_CHARS)
        .map(|piece| piece.iter().collect::<String>())
        .find(|piece| text.contains(piece))
}

fn limits() -> OutputLimits {
    OutputLimits {
        head_bytes: 300,
        tail_bytes: OutputLimits::TAIL_BYTES_MIN,
        line_bytes: 100,
    }
}

/// About `bytes` bytes of words and lines with the secret between them, some of it in color.
fn chatter(mut seed: u64, bytes: usize) -> String {
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut text = String::new();
    while text.len() < bytes {
        for _ in 0..next(90) {
            text.push(['a', 'b', 'c', ' ', ' ', '\n', '\r', 'é'][usize::try_from(next(8)).unwrap()]);
        }
        text.push_str(if next(3) == 0 { "QxZ#\x1b[1m7w%Jv&9Kq" } else { PLAIN });
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the chunks, the limits and the moment of looking: not a piece of the secret is seen.
    #[test]
    fn no_cut_of_the_output_leaks_a_piece_of_a_secret(
        seed in any::<u64>(),
        bytes in prop_oneof![0_usize..2_000, 60_000_usize..70_000],
        chunks in prop::collection::vec(1_usize..700, 1..40),
        looks in 1_usize..40,
        max_bytes in 0_usize..5000,
        max_lines in 0_usize..60,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut output = OutputSpool::create(directory.path(), limits()).unwrap();
        let redactor = Redactor::new([PLAIN]);
        let text = chatter(seed, bytes);
        let mut rest = text.as_bytes();
        for (index, size) in chunks.iter().cycle().enumerate() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            output.append(chunk);
            rest = after;
            if index % (bytes / looks / 300 + 1) == 0 || rest.is_empty() {
                let seen = tail(directory.path(), max_bytes, max_lines, &redactor).unwrap();
                prop_assert!(seen.text.len() <= max_bytes);
                prop_assert!(seen.text.lines().count() <= max_lines);
                prop_assert_eq!(leaks(&seen.text), None, "{:?}", seen.text);
            }
            if rest.is_empty() {
                break;
            }
        }
        let all = tail(directory.path(), usize::MAX, usize::MAX, &redactor).unwrap();
        prop_assert_eq!(leaks(&all.text), None, "{:?}", all.text);
    }

    /// Cleaning does not depend on where the stream is cut.
    #[test]
    fn chunks_do_not_change_what_is_clean(raw in "([a-z\u{1b}\\[\\]0-9;m\n\r\u{7}é]){0,200}", at in 0_usize..400) {
        let raw = raw.as_bytes();
        let (first, second) = raw.split_at(at.min(raw.len()));
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        Cleaner::new(80).push(raw, &mut whole);
        let mut cleaner = Cleaner::new(80);
        cleaner.push(first, &mut parts);
        cleaner.push(second, &mut parts);
        prop_assert_eq!(whole, parts);
    }

    /// The redactor takes any text, changes it at most once, and leaves nothing of the secret.
    #[test]
    fn redacting_is_safe_on_any_text_and_settles(before in ".*", after in ".*") {
        let redactor = Redactor::new([SECRET]);
        let once = redactor.redact(&format!("{before}{SECRET}{after}")).into_owned();
        prop_assert!(!once.contains(SECRET));
        prop_assert_eq!(redactor.redact(&once).into_owned(), once);
    }
}
