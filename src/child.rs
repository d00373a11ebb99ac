//! Runs a short helper program: an argument array, never a shell; a bare environment; a time limit after which its
//! whole process group is killed; output with a limit. Deployments are not run here, they outlive the bot.

use rustix::process::{Pid, Signal, kill_process_group};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How long output is still read when the program has ended but something it left behind holds the pipe.
const LEFTOVER_LIMIT: Duration = Duration::from_millis(300);

/// A program to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a str,
    pub(crate) arguments: &'a [String],
    /// Variables that are passed on from ours, if set.
    pub(crate) inherited: &'a [&'a str],
    /// Variables that are set.
    pub(crate) set: &'a [(&'a str, &'a str)],
    pub(crate) limit: Duration,
    /// Of standard output and standard error each; what is beyond is read and dropped.
    pub(crate) output_bytes_max: usize,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    /// Whether there was more output than the limit.
    pub(crate) output_cut: bool,
    pub(crate) errors: Vec<u8>,
}

/// Why it has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEnd {
    /// It could not be started.
    NotStarted(std::io::ErrorKind),
    /// It was killed at its time limit.
    TimedOut,
}

/// Kills the group unless it was let go: when the time is up, and when whoever waits goes away.
struct Leash(Option<Pid>);

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The only error that can be is that nobody is left in it.
            let _nobody_left = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Program<'_> {
    /// Runs it to its end. Dropping the future kills it as well.
    pub(crate) async fn run(&self) -> Result<Ended, NoEnd> {
        let mut command = Command::new(self.path);
        command
            .args(self.arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in self.inherited {
            #[expect(
                clippy::disallowed_methods,
                reason = "passed on to a child, by a fixed list of names"
            )]
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .envs(self.set.iter().copied())
            .process_group(0)
            .kill_on_drop(true)
            // Not where the bot happens to run: Git, for one, would read that folder's configuration.
            .current_dir("/");
        let mut child = command.spawn().map_err(|error| NoEnd::NotStarted(error.kind()))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // Until it is waited for, the leader's id can't be given to anybody else, so the group is still ours.
        let mut leash = Leash(group);
        let mut output = Pipe::read(child.stdout.take(), self.output_bytes_max);
        let mut errors = Pipe::read(child.stderr.take(), self.output_bytes_max);
        let status = match tokio::time::timeout(self.limit, child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(NoEnd::NotStarted(error.kind())),
            Err(_) => return Err(NoEnd::TimedOut),
        };
        leash.0 = None;
        let (output, output_cut) = output.finish().await;
        let (errors, _) = errors.finish().await;
        Ok(Ended {
            status,
            output,
            output_cut,
            errors,
        })
    }
}

/// A pipe that is emptied beside the wait, so that a talkative program never blocks.
struct Pipe {
    seen: Arc<Mutex<(Vec<u8>, bool)>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Pipe {
    fn read(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, bytes_max: usize) -> Self {
        let seen = Arc::new(Mutex::new((Vec::new(), false)));
        let kept = Arc::clone(&seen);
        let reader = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut chunk = vec![0; 8 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = bytes_max.saturating_sub(kept.0.len()).min(length);
                kept.0.extend_from_slice(&chunk[..room]);
                kept.1 |= room < length;
            }
        });
        Self { seen, reader }
    }

    async fn finish(&mut self) -> (Vec<u8>, bool) {
        // Someone may have been left behind with the pipe open, such as a shared SSH connection.
        let _ended_or_not = tokio::time::timeout(LEFTOVER_LIMIT, &mut self.reader).await;
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, output_bytes_max: usize) -> Result<Ended, NoEnd> {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let program = Program {
            path: "/bin/sh",
            arguments: &arguments,
            inherited: &[],
            set: &[("GIVEN", "yes")],
            limit: Duration::from_secs(10),
            output_bytes_max,
        };
        program.run().await
    }

    #[tokio::test]
    async fn output_is_kept_up_to_its_limit_and_the_rest_is_read_away() {
        let ended = shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2", 1_000)
            .await
            .unwrap();
        assert!(ended.status.success() && ended.output_cut);
        assert_eq!((ended.output.len(), ended.errors.len()), (1_000, 1_000));
        let ended = shell("echo $GIVEN; pwd", 1_000).await.unwrap();
        assert_eq!(
            (String::from_utf8(ended.output).unwrap().as_str(), ended.output_cut),
            ("yes\n/\n", false)
        );
    }

    #[tokio::test]
    async fn what_stays_behind_with_the_pipe_open_does_not_hold_us_up() {
        let begun = std::time::Instant::now();
        let ended = shell("echo done; sleep 5 & exit 4", 1_000).await.unwrap();
        assert_eq!(
            (ended.status.code(), ended.output.as_slice()),
            (Some(4), b"done\n".as_slice())
        );
        assert!(begun.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test]
    async fn nobody_waits_any_more_so_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let survivor = folder.path().join("survivor");
        let script = format!("(sleep 1; touch '{}') & wait", survivor.display());
        let given_up = tokio::time::timeout(Duration::from_millis(200), shell(&script, 1_000)).await;
        assert!(given_up.is_err());
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        assert!(!survivor.exists());
    }
}
