//! libFuzzer's entry into [`fuzz::form_bodies`]; scripts/fuzz builds and runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::form_bodies::check(input));
