//! Deployments by script: real supervisors, real scripts, real signals; every wait is a poll with a deadline.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign::deploy::environment::{DEFAULT_ALLOW_LIST, Variables, child_environment};
use countersign::deploy::launch::{FORMAT, Launch, OutputLimits};
use countersign::deploy::program::{resolve_program, script_digest};
use countersign::deploy::redact::Redactor;
use countersign::deploy::spool::{Observation, Outcome, Status, forbid_start, observe, request_stop, spool_directory};
use countersign::deploy::start::{Certainty, StartError, Started, start};
use countersign::deploy::tail::{Tail, tail};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::is_alive;

mod inputs;
mod text;

const BINARY: &str = env!("CARGO_BIN_EXE_countersign");
const PATIENCE: Duration = Duration::from_mins(1);

/// A spool root, and a directory for the script and what it leaves behind.
struct Bench {
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("spool")).unwrap();
        fs::create_dir(root.path().join("work")).unwrap();
        Self { root }
    }

    fn spool_root(&self) -> PathBuf {
        self.root.path().join("spool")
    }

    fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    fn spool(&self) -> PathBuf {
        spool_directory(&self.spool_root(), &self.attempt())
    }

    /// Unique on this machine, as the marker that strays are found by must be.
    fn attempt(&self) -> String {
        let name = self.root.path().file_name().unwrap().to_string_lossy();
        format!("a{}", name.replace('.', ""))
    }

    /// Writes `#!/bin/sh` and `body` as the script; the launch runs it for up to a minute.
    fn launch(&self, body: &str) -> Launch {
        let path = self.work().join("deploy script.sh");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let program = resolve_program("./deploy script.sh", &self.work()).unwrap();
        Launch {
            format: FORMAT,
            attempt: self.attempt(),
            release: "REL-789".to_owned(),
            script_digest: script_digest(&program).unwrap(),
            program,
            arguments: Vec::new(),
            working_directory: self.work(),
            environment: self.environment(),
            timeout_ms: 60_000,
            idle_output_timeout_ms: None,
            kill_grace_ms: 20_000,
            output: OutputLimits::default(),
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let ambient = BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        child_environment(&DEFAULT_ALLOW_LIST, &ambient, &variables(&self.attempt())).unwrap()
    }

    fn start(&self, launch: &Launch) -> Result<Started, StartError> {
        start(launch, &self.spool_root(), Path::new(BINARY))
    }

    /// Runs a launch to its end.
    fn finish(&self, launch: &Launch) -> Status {
        self.start(launch).unwrap();
        self.finished()
    }

    fn finished(&self) -> Status {
        eventually("the attempt finishes", || match observe(&self.spool()).unwrap() {
            Observation::Finished(status) => Some(status),
            Observation::Running { .. } => None,
            other => panic!("expected it to run or finish, found {other:?}"),
        })
    }

    fn tail(&self) -> Tail {
        tail(&self.spool(), 3000, 50, &Redactor::new(["canary-secret-value"])).unwrap()
    }

    /// What the script wrote into a file of its working directory, once it is there.
    fn told(&self, file: &str) -> String {
        let path = self.work().join(file);
        eventually(file, || {
            let text = fs::read_to_string(&path).ok()?;
            text.ends_with('\n').then_some(text)
        })
    }

    fn told_pid(&self, file: &str) -> Pid {
        pid(self.told(file).trim().parse().unwrap())
    }
}

fn variables(attempt: &str) -> Variables {
    Variables {
        release: "REL-789".to_owned(),
        version: "1.4.0".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        environment: "production".to_owned(),
        attempt: attempt.to_owned(),
        fence: 7,
    }
}

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).unwrap()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_script_that_succeeds_is_exited_with_0_and_its_output_is_kept_in_order() {
    let bench = Bench::new();
    let launch = bench.launch("echo one; echo two >&2; echo three; cat; umask; ulimit -c");
    let status = bench.finish(&launch);
    assert_eq!(status.outcome, Outcome::Exited { code: 0 });
    assert_eq!((status.exit_code, status.survivors), (Some(0), 0));
    assert!(status.started_ms.unwrap() <= status.ended_ms);
    assert!(!status.output.truncated);
    let tail = bench.tail();
    assert_eq!(tail.text, "one\ntwo\nthree\n0077\n0");
    assert!(!tail.truncated);
    assert_eq!(tail.total_bytes, status.output.raw_bytes);
}

#[test]
fn exit_codes_and_signals_of_the_script_are_told_apart() {
    let bench = Bench::new();
    let status = bench.finish(&bench.launch("echo failing; exit 37"));
    assert_eq!(status.outcome, Outcome::Exited { code: 37 });

    let bench = Bench::new();
    let status = bench.finish(&bench.launch("kill -SEGV $$"));
    assert_eq!(status.outcome, Outcome::Signalled { signal: 11 });
    assert_eq!((status.exit_code, status.signal), (None, Some(11)));
}

#[test]
fn the_spool_is_for_its_owner_only() {
    let bench = Bench::new();
    bench.finish(&bench.launch("exit 0"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.spool()), 0o700);
    for entry in fs::read_dir(bench.spool()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// Ignores TERM, as do its child in the group, a grandchild in a session of its own, and an orphan
/// that has wiped its environment besides.
const STUBBORN_TREE: &str = r#"
trap '' TERM
(trap '' TERM; while :; do sleep 1; done) &
echo $! > child
setsid sh -c 'trap "" TERM; echo $$ > escaped; while :; do sleep 1; done' &
env -i PATH="$PATH" setsid sh -c 'sh -c "trap : TERM; echo \$\$ > unmarked; while :; do sleep 1; done" &' &
echo $$ > leader
while :; do sleep 1; done
"#;

fn assert_stubborn_tree_is_dead(bench: &Bench, status: &Status) {
    assert_eq!(status.signal, Some(9));
    assert_eq!(status.survivors, 0);
    for file in ["leader", "child", "escaped", "unmarked"] {
        assert!(!is_alive(bench.told_pid(file)), "{file} lives");
    }
}

#[test]
fn a_timeout_ends_the_whole_tree_even_if_it_ignores_term_and_left_the_group() {
    let bench = Bench::new();
    let mut launch = bench.launch(STUBBORN_TREE);
    launch.timeout_ms = 1_500;
    launch.kill_grace_ms = 300;
    let status = bench.finish(&launch);
    assert_eq!(status.outcome, Outcome::TimedOut);
    assert_stubborn_tree_is_dead(&bench, &status);
}

#[test]
fn a_stop_ends_the_whole_tree_and_asking_again_changes_nothing() {
    let bench = Bench::new();
    let mut launch = bench.launch(STUBBORN_TREE);
    launch.kill_grace_ms = 300;
    bench.start(&launch).unwrap();
    for file in ["leader", "escaped", "unmarked"] {
        bench.told(file);
    }
    assert!(request_stop(&bench.spool(), "asked by dev").unwrap());
    assert!(!request_stop(&bench.spool(), "asked by somebody else").unwrap());
    let status = bench.finished();
    let reason = Some("asked by dev".to_owned());
    assert_eq!(status.outcome, Outcome::Stopped { reason });
    assert_stubborn_tree_is_dead(&bench, &status);
    assert!(!request_stop(&bench.spool(), "too late").unwrap());
    assert_eq!(bench.finished(), status);
}

#[test]
fn a_stopped_script_may_clean_up_within_its_grace() {
    let bench = Bench::new();
    let launch = bench.launch("trap 'echo cleaned up; exit 3' TERM; echo ready > ready; while :; do sleep 0.05; done");
    bench.start(&launch).unwrap();
    bench.told("ready");
    request_stop(&bench.spool(), "enough").unwrap();
    let status = bench.finished();
    assert!(matches!(status.outcome, Outcome::Stopped { .. }));
    assert_eq!(status.exit_code, Some(3));
    assert!(bench.tail().text.ends_with("cleaned up"));
}

#[test]
fn silence_ends_a_script_only_while_it_has_an_output() {
    let bench = Bench::new();
    let mut launch = bench.launch("echo hello; sleep 600");
    launch.idle_output_timeout_ms = Some(300);
    assert_eq!(bench.finish(&launch).outcome, Outcome::IdleTimedOut);

    let bench = Bench::new();
    let mut launch = bench.launch("exec >&- 2>&-; sleep 0.6; echo survived > survived");
    launch.idle_output_timeout_ms = Some(300);
    assert_eq!(bench.finish(&launch).outcome, Outcome::Exited { code: 0 });
    assert_eq!(bench.told("survived"), "survived\n");
}

#[test]
fn a_flood_of_output_is_bounded_on_disk_and_in_memory_and_keeps_both_ends() {
    let bench = Bench::new();
    let body = "echo first line; yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 67108864; echo; grep VmHWM /proc/$PPID/status; echo last line";
    let launch = bench.launch(body);
    let status = bench.finish(&launch);
    assert_eq!(status.outcome, Outcome::Exited { code: 0 });
    assert!(status.output.raw_bytes > 67_108_864);
    assert!(status.output.truncated);
    let kept: u64 = fs::read_dir(bench.spool())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let limits = launch.output;
    assert!(
        kept <= limits.head_bytes + limits.tail_bytes + 16 * 1024,
        "{kept} bytes kept"
    );

    let head = fs::read_to_string(bench.spool().join("output.head")).unwrap();
    assert!(head.starts_with("first line\n"));
    let tail = bench.tail();
    assert!(tail.truncated);
    assert!(tail.text.len() <= 3000);
    assert!(tail.text.ends_with("\nlast line"), "{}", tail.text);
    let peak = tail.text.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let peak_kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak_kib < 64 * 1024, "the supervisor used {peak}");

    let none = Redactor::new([""; 0]);
    let everything = tail_of(&bench, usize::MAX, usize::MAX, &none);
    assert!(everything.text.starts_with("first line\n"));
    assert!(everything.text.contains("…[output not kept]\n"));
    let rows = everything.text.lines().filter(|line| line.starts_with("0123")).count();
    assert!(rows > 60_000, "{rows}");
}

fn tail_of(bench: &Bench, max_bytes: usize, max_lines: usize, redactor: &Redactor) -> Tail {
    tail(&bench.spool(), max_bytes, max_lines, redactor).unwrap()
}

#[test]
fn a_background_process_that_holds_the_output_does_not_hold_up_the_end() {
    let bench = Bench::new();
    let status = bench.finish(&bench.launch("sleep 600 & echo $! > left; echo done"));
    assert_eq!(status.outcome, Outcome::Exited { code: 0 });
    assert_eq!(status.survivors, 0);
    assert!(!is_alive(bench.told_pid("left")), "a leftover of the group lives");

    let bench = Bench::new();
    let body = "setsid sh -c 'echo $$ > daemon; exec sleep 600' & while ! test -s daemon; do sleep 0.01; done";
    let status = bench.finish(&bench.launch(body));
    assert_eq!(status.outcome, Outcome::Exited { code: 0 });
    let daemon = bench.told_pid("daemon");
    assert!(is_alive(daemon), "a daemon that the script deployed was killed");
    kill_process(daemon, Signal::KILL).unwrap();
}

#[test]
fn a_script_that_changed_after_its_digest_was_taken_does_not_run() {
    let bench = Bench::new();
    let mut launch = bench.launch("echo ran > ran");
    launch.script_digest = "0".repeat(64);
    let error = bench.start(&launch).unwrap_err();
    assert!(matches!(error, StartError::ScriptChanged), "{error}");
    assert_eq!(error.certainty(), Certainty::NotStarted);
    let status = bench.finished();
    assert_eq!(status.outcome, Outcome::ScriptChanged);
    assert_eq!(status.started_ms, None);
    assert!(!bench.work().join("ran").exists());
}

#[test]
fn a_supervisor_that_can_not_be_run_means_not_started_for_ever() {
    let bench = Bench::new();
    let launch = bench.launch("echo ran > ran");
    let error = start(&launch, &bench.spool_root(), Path::new("/nowhere/countersign"));
    assert_eq!(error.unwrap_err().certainty(), Certainty::NotStarted);
    let error = bench.start(&launch).unwrap_err();
    assert!(matches!(error, StartError::Forbidden), "{error}");
    assert!(!bench.work().join("ran").exists());
}

#[test]
fn a_script_whose_interpreter_is_missing_is_not_started() {
    let bench = Bench::new();
    let mut launch = bench.launch("");
    fs::write(&launch.program, "#!/nowhere/interpreter\n").unwrap();
    launch.script_digest = script_digest(&launch.program).unwrap();
    let error = bench.start(&launch).unwrap_err();
    assert!(matches!(error, StartError::SpawnFailed(_)), "{error}");
    assert_eq!(error.certainty(), Certainty::NotStarted);
    let status = bench.finished();
    assert!(matches!(status.outcome, Outcome::SpawnFailed { .. }));
    assert_eq!(status.started_ms, None);
}

/// A program that stands in for the supervisor and misbehaves.
fn stand_in(bench: &Bench, body: &str) -> PathBuf {
    let path = bench.work().join("stand-in");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_supervisor_that_comes_too_late_runs_nothing() {
    let bench = Bench::new();
    let launch = bench.launch("echo ran > ran");
    let slow = stand_in(&bench, r#"echo $$ > "${0%/*}/slow"; exec sleep 600"#);
    let error = start(&launch, &bench.spool_root(), &slow).unwrap_err();
    assert_eq!(error.certainty(), Certainty::NotStarted, "{error}");
    kill_process(bench.told_pid("slow"), Signal::KILL).unwrap();
    assert_eq!(supervise_by_hand(&bench.spool()), Some(75));
    assert!(!bench.work().join("ran").exists());
}

#[test]
fn a_supervisor_that_dies_over_the_start_leaves_it_unknown() {
    let bench = Bench::new();
    let launch = bench.launch("echo ran > ran");
    let claim = r#"printf '{"claim":"started","pid":%d,"boot_id":"","at_ms":1}' $$ > "$3/started""#;
    let dying = stand_in(&bench, claim);
    let error = start(&launch, &bench.spool_root(), &dying).unwrap_err();
    assert_eq!(error.certainty(), Certainty::Unknown, "{error}");
    assert_eq!(observe(&bench.spool()).unwrap(), Observation::Gone);
    assert_eq!(supervise_by_hand(&bench.spool()), Some(75));
    assert!(!bench.work().join("ran").exists());
}

#[test]
fn starts_at_once_and_again_run_the_script_once() {
    for _ in 0..20 {
        let bench = Bench::new();
        let launch = bench.launch("echo ran >> runs");
        let barrier = std::sync::Barrier::new(3);
        let results: Vec<_> = std::thread::scope(|scope| {
            let call = || {
                barrier.wait();
                bench.start(&launch)
            };
            let calls: Vec<_> = (0..3).map(|_| scope.spawn(call)).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let started = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(started, 1, "{results:?}");
        bench.finished();
        let again = bench.start(&launch).unwrap_err();
        assert_eq!(again.certainty(), Certainty::StartedElsewhere, "{again}");
        assert_eq!(bench.told("runs"), "ran\n");
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(error.certainty(), Certainty::StartedElsewhere, "{error}");
        }
    }
}

#[test]
fn another_launch_under_the_same_attempt_is_refused() {
    let bench = Bench::new();
    let mut launch = bench.launch("echo ran >> runs");
    bench.finish(&launch);
    launch.arguments.push("other".to_owned());
    let error = bench.start(&launch).unwrap_err();
    assert!(matches!(error, StartError::LaunchDiffers(_)), "{error}");
    assert_eq!(bench.told("runs"), "ran\n");
}

/// The bot of the test below, in a process of its own so that it can be killed.
#[test]
#[ignore = "run by a_script_outlives_the_bot"]
fn bot_that_starts_and_waits() {
    let Ok(launch) = std::env::var("TEST_LAUNCH") else {
        return;
    };
    let launch: Launch = serde_json::from_str(&launch).unwrap();
    let root = std::env::var("TEST_SPOOL_ROOT").unwrap();
    start(&launch, Path::new(&root), Path::new(BINARY)).unwrap();
    std::thread::sleep(PATIENCE);
}

#[test]
fn a_script_outlives_the_bot() {
    let bench = Bench::new();
    let launch = bench.launch("echo up > up; while ! test -e go; do sleep 0.02; done; echo went on");
    let mut bot = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "deploy::bot_that_starts_and_waits"])
        .env("TEST_LAUNCH", serde_json::to_string(&launch).unwrap())
        .env("TEST_SPOOL_ROOT", bench.spool_root())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    bench.told("up");
    bot.kill().unwrap();
    bot.wait().unwrap();
    let supervisor = running_pid(&bench);
    // What a service manager or a closed terminal may send.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        kill_process(supervisor, signal).unwrap();
    }
    assert!(matches!(observe(&bench.spool()).unwrap(), Observation::Running { .. }));
    fs::write(bench.work().join("go"), "").unwrap();
    assert_eq!(bench.finished().outcome, Outcome::Exited { code: 0 });
    assert_eq!(bench.tail().text, "went on");
}

fn running_pid(bench: &Bench) -> Pid {
    match observe(&bench.spool()).unwrap() {
        Observation::Running {
            pid: Some(raw),
            since_ms: Some(_),
        } => pid(raw.try_into().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_killed_supervisor_leaves_an_interrupted_attempt_that_never_starts_again() {
    let bench = Bench::new();
    let launch = bench.launch("echo ran >> runs; sleep 600");
    let started = bench.start(&launch).unwrap();
    bench.told("runs");
    assert!(!forbid_start(&bench.spool()).unwrap(), "it runs: too late to forbid");
    kill_process(running_pid(&bench), Signal::KILL).unwrap();
    let script = pid(started.supervisor.script_pid.try_into().unwrap());
    let seen = eventually("the supervisor is gone", || {
        let seen = observe(&bench.spool()).unwrap();
        (!matches!(seen, Observation::Running { .. })).then_some(seen)
    });
    assert_eq!(seen, Observation::Gone);
    assert!(is_alive(script));
    rustix::process::kill_process_group(script, Signal::KILL).unwrap();
    assert_eq!(
        bench.start(&launch).unwrap_err().certainty(),
        Certainty::StartedElsewhere
    );
    assert_eq!(bench.told("runs"), "ran\n");
}

#[test]
fn a_forbidden_start_stays_forbidden() {
    let bench = Bench::new();
    assert_eq!(
        observe(&bench.spool()).unwrap(),
        Observation::NotStarted { forbidden: false }
    );
    assert!(forbid_start(&bench.spool()).unwrap());
    assert!(forbid_start(&bench.spool()).unwrap(), "forbidding again is fine");
    assert_eq!(
        observe(&bench.spool()).unwrap(),
        Observation::NotStarted { forbidden: true }
    );
    let error = bench.start(&bench.launch("echo ran > ran")).unwrap_err();
    assert!(matches!(error, StartError::Forbidden), "{error}");
    assert_eq!(supervise_by_hand(&bench.spool()), Some(75));
    assert!(!bench.work().join("ran").exists());
}

fn supervise_by_hand(spool: &Path) -> Option<i32> {
    let mut command = Command::new(BINARY);
    command.arg("supervise").arg("--spool").arg(spool);
    command.stderr(Stdio::null()).status().unwrap().code()
}

#[test]
fn a_start_and_its_prohibition_never_both_win() {
    let mut wins = [0, 0];
    for round in 0..20 {
        let bench = Bench::new();
        let launch = bench.launch("echo ran > ran");
        let (started, forbidden) = std::thread::scope(|scope| {
            let starting = scope.spawn(|| bench.start(&launch));
            std::thread::sleep(Duration::from_millis(round * 2));
            let forbidden = forbid_start(&bench.spool()).unwrap();
            (starting.join().unwrap(), forbidden)
        });
        assert_eq!(started.is_ok(), !forbidden, "{started:?}");
        if forbidden {
            assert!(!bench.work().join("ran").exists());
            wins[1] += 1;
        } else {
            bench.finished();
            assert!(bench.work().join("ran").exists());
            wins[0] += 1;
        }
    }
    println!("starts won {}, prohibitions {}", wins[0], wins[1]);
}

#[test]
fn observers_never_see_a_finished_attempt_as_gone_nor_keep_it_from_starting() {
    for _ in 0..10 {
        let bench = Bench::new();
        let launch = bench.launch("exit 0");
        std::thread::scope(|scope| {
            let watch = || {
                let deadline = Instant::now() + PATIENCE;
                while Instant::now() < deadline {
                    match observe(&bench.spool()).unwrap() {
                        Observation::Gone => panic!("a live attempt was called interrupted"),
                        Observation::Finished(_) => return,
                        _ => {}
                    }
                }
                panic!("never finished");
            };
            let watchers = [scope.spawn(watch), scope.spawn(watch)];
            bench.start(&launch).unwrap();
            for watcher in watchers {
                watcher.join().unwrap();
            }
        });
    }
}

#[test]
fn a_stop_before_the_start_keeps_the_script_from_running() {
    let bench = Bench::new();
    fs::create_dir(bench.spool()).unwrap();
    request_stop(&bench.spool(), "cancelled").unwrap();
    let error = bench.start(&bench.launch("echo ran > ran")).unwrap_err();
    assert!(matches!(error, StartError::Stopped), "{error}");
    assert_eq!(bench.finished().started_ms, None);
    assert!(!bench.work().join("ran").exists());
}

#[test]
fn a_full_disk_loses_output_but_not_the_outcome() {
    let bench = Bench::new();
    let launch = bench.launch("ulimit -f unlimited; yes full | head -c 200000; exit 5");
    fs::create_dir(bench.spool()).unwrap();
    fs::write(bench.spool().join("launch.json"), serde_json::to_vec(&launch).unwrap()).unwrap();
    // A limit of 8 KiB on every file stands for the full disk; it is soft, so the script can lift its own.
    let supervisor = Command::new("/bin/sh")
        .args(["-c", "ulimit -S -f 16; exec \"$0\" supervise --spool \"$1\"", BINARY])
        .arg(bench.spool())
        .status()
        .unwrap();
    assert_eq!(supervisor.code(), Some(0));
    let status = bench.finished();
    assert_eq!(status.outcome, Outcome::Exited { code: 5 });
    assert!(status.output.lost_bytes > 100_000);
    assert!(status.output.truncated && status.output.error.is_some());
    assert_eq!(status.output.raw_bytes, 200_000);
    assert!(bench.tail().truncated);
}

#[test]
fn supervising_nothing_is_refused_with_a_reason() {
    let bench = Bench::new();
    assert_eq!(supervise_by_hand(&bench.work().join("nowhere")), Some(64));
    assert_eq!(supervise_by_hand(&bench.work()), Some(64));
    let reason = fs::read_to_string(bench.work().join("supervisor-error.txt")).unwrap();
    assert!(reason.contains("there is no launch.json"), "{reason}");
    fs::write(bench.work().join("launch.json"), "{").unwrap();
    assert_eq!(supervise_by_hand(&bench.work()), Some(64));
    assert!(!bench.work().join("started").exists());
}

/// A command run in a container from outside (`docker exec`) has a session whose number nobody in there can see.
#[test]
fn a_session_led_from_outside_the_container_does_not_keep_a_script_from_running() {
    let bench = Bench::new();
    let session = "sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 4";
    let launch = bench.launch(&format!("{session}; exit 6"));
    fs::create_dir(bench.spool()).unwrap();
    fs::write(bench.spool().join("launch.json"), serde_json::to_vec(&launch).unwrap()).unwrap();
    let rights: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let supervisor = Command::new("unshare")
        .args(rights)
        .args(["--pid", "--fork", "--mount-proc", "/bin/sh", "-c"])
        .arg(format!("{session} >\"$2\"; \"$0\" supervise --spool \"$1\"; exit $?"))
        .arg(BINARY)
        .arg(bench.spool())
        .arg(bench.work().join("outer-session"))
        .status()
        .unwrap();
    assert_eq!(supervisor.code(), Some(0), "a PID namespace, or the supervisor in it");
    assert_eq!(
        bench.told("outer-session").trim(),
        "0",
        "this is what the test is about"
    );
    assert_eq!(bench.finished().outcome, Outcome::Exited { code: 6 });
    assert_ne!(bench.tail().text, "0", "the script's session is the supervisor's own");
}
