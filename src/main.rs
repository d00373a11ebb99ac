//! The binary.
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use countersign::deploy::supervise::supervise;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [verb, flag, spool] if verb == "supervise" && flag == "--spool" => {
            supervise(Path::new(spool))
        }
        _ => {
            let _ = writeln!(
                std::io::stderr(),
                "usage: countersign supervise --spool DIR"
            );
            ExitCode::from(64)
        }
    }
}
