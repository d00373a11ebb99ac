//! libFuzzer's entry into [`fuzz::interactions`]; scripts/fuzz builds and runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::interactions::check(input));
