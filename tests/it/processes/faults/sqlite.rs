//! SQLite: a disk that takes nothing more, and a file that may only be read.

use super::Stream;
use crate::support::bot::run;
use crate::support::database::{Database, Engine};
use crate::support::process::World;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const LASTS: Duration = Duration::from_millis(2_500);

/// Root reads and writes whatever it likes; without this capability it is held to a file's mode like everybody else.
const HELD_TO_MODES: [&str; 2] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
/// A process that is told of a limit of file sizes as of a failed write, instead of being killed for it.
const TOLD_OF_LIMITS: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

fn launcher(words: impl IntoIterator<Item = &'static str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// What starts a process that is held to modes; nothing where root may not give that up.
fn held_to_modes() -> Option<Vec<String>> {
    if !rustix::process::getuid().is_root() {
        return Some(launcher(TOLD_OF_LIMITS));
    }
    let [setpriv, capabilities] = HELD_TO_MODES;
    let mut probe = Command::new(setpriv);
    let may = probe.args([capabilities, "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("not run: root may not give up a capability here");
        return None;
    }
    Some(launcher(HELD_TO_MODES.into_iter().chain(TOLD_OF_LIMITS)))
}

/// From now on no file can grow, nor be overwritten; or everything is possible again.
fn let_files_grow(process: Pid, grow: bool) {
    let hard = getrlimit(Resource::Fsize).maximum;
    let current = if grow { hard } else { Some(0) };
    let limit = Rlimit { current, maximum: hard };
    prlimit(Some(process), Resource::Fsize, limit).unwrap();
}

fn file_of(world: &World) -> PathBuf {
    PathBuf::from(world.database.url.strip_prefix("sqlite:").unwrap())
}

/// The database, what stands beside it, and their folder may be read only; or written again.
fn set_writable(file: &Path, writable: bool) {
    let folder = file.parent().unwrap();
    let mode = |file: u32, folder: u32| {
        if writable {
            (file | 0o200, folder | 0o200)
        } else {
            (file, folder)
        }
    };
    let (of_file, of_folder) = mode(0o444, 0o555);
    for beside in fs::read_dir(folder).unwrap() {
        fs::set_permissions(beside.unwrap().path(), Permissions::from_mode(of_file)).unwrap();
    }
    fs::set_permissions(folder, Permissions::from_mode(of_folder)).unwrap();
}

#[test]
fn a_disk_that_takes_nothing_more_is_told_and_survived() {
    run(Engine::Sqlite, async |engine| {
        Stream::over(Database::new(engine).await, launcher(TOLD_OF_LIMITS))
            .await
            .endures("no write goes through", true, async |stream| {
                let_files_grow(stream.bot.pid(), false);
                tokio::time::sleep(LASTS).await;
                let_files_grow(stream.bot.pid(), true);
            })
            .await;
    });
}

#[test]
fn a_file_that_may_only_be_read_is_told_and_survived() {
    run(Engine::Sqlite, async |engine| {
        let Some(held) = held_to_modes() else { return };
        Stream::over(Database::new(engine).await, held)
            .await
            .endures("read-only", true, async |stream| {
                let file = file_of(&stream.world);
                // Whoever has the file open may go on writing; a failed write makes the bot open it anew.
                let_files_grow(stream.bot.pid(), false);
                tokio::time::sleep(Duration::from_millis(400)).await;
                set_writable(&file, false);
                let_files_grow(stream.bot.pid(), true);
                tokio::time::sleep(LASTS).await;
                set_writable(&file, true);
            })
            .await;
    });
}

#[test]
fn a_file_that_may_only_be_read_is_refused_at_the_start() {
    run(Engine::Sqlite, async |engine| {
        let Some(held) = held_to_modes() else { return };
        let mut world = World::new(engine).await;
        world.launcher = held;
        assert_eq!(world.verb(&["migrate"]).await.0, Some(0));
        let file = file_of(&world);
        set_writable(&file, false);
        let (code, said) = world.verb(&["serve"]).await;
        set_writable(&file, true);
        assert_ne!(code, Some(0), "{said}");
        assert!(said.contains("can't be opened") && said.contains("ermission"), "{said}");
        // The lock may be written and the database not.
        fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
        let (code, said) = world.verb(&["serve"]).await;
        assert_ne!(code, Some(0), "{said}");
        let names_it = said.contains("test.sqlite") && said.contains("readonly");
        assert!(said.contains("can't be opened") && names_it, "{said}");
        // What SQLite has laid beside it meanwhile has the same mode.
        set_writable(&file, true);
        let bot = world.serve("bot", "all").await;
        world.audit().await;
        bot.terminate().await;
    });
}

/// A small file system in memory. Dropping it unmounts it.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Nothing where mounting is not permitted, as in most containers.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=48m", "small"])
            .arg(folder.path());
        let done = mount
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        done.then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes every byte that is left.
    fn fill(&self) -> u64 {
        let mut ballast = fs::File::create(self.path().join("ballast")).unwrap();
        for size in [1 << 20, 4_096, 1] {
            let block = vec![0; size];
            while ballast.write_all(&block).is_ok() {}
        }
        ballast.metadata().unwrap().len()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_and_survived() {
    run(Engine::Sqlite, async |engine| {
        let Some(disk) = SmallDisk::mount() else {
            println!("not run: mounting is not permitted here; a_disk_that_takes_nothing_more_is_told_and_survived is");
            return;
        };
        let url = format!("sqlite:{}", disk.path().join("full.sqlite").display());
        Stream::over(Database::at(engine, url), Vec::new())
            .await
            .endures("full disk", true, async |_| {
                println!("{} bytes of ballast", disk.fill());
                tokio::time::sleep(LASTS).await;
                fs::remove_file(disk.path().join("ballast")).unwrap();
            })
            .await;
    });
}
