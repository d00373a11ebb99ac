//! libFuzzer's entry into [`fuzz::command_texts`]; scripts/fuzz builds and runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::command_texts::check(input));
