//! Backups of the database: files that only their owner can read, whole or not there at all.

pub mod dump;
pub mod postgres;

use anyhow::Context as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file in the making, beside its place. It gets there by [`NewFile::keep`]; otherwise nothing is left of it.
#[derive(Debug)]
pub struct NewFile {
    /// Where it is written.
    pub path: PathBuf,
    target: PathBuf,
}

impl NewFile {
    /// An empty file, for its owner only.
    ///
    /// # Errors
    /// When its place is taken, or can't be written.
    pub fn for_target(target: &Path) -> anyhow::Result<Self> {
        let target = std::path::absolute(target)?;
        let taken = target.symlink_metadata().is_ok();
        anyhow::ensure!(!taken, "{} exists; nothing is ever overwritten", target.display());
        let mut name = target.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| {
                format!(
                    "{} (if it is left over from a run that was cut off, remove it)",
                    path.display()
                )
            })?;
        Ok(Self { path, target })
    }

    /// Makes it durable and gives it its name, unless somebody else has taken that meanwhile.
    ///
    /// # Errors
    /// When it can't be written, or the name is taken.
    pub fn keep(self) -> anyhow::Result<PathBuf> {
        let place = || self.target.display().to_string();
        File::open(&self.path)
            .and_then(|file| file.sync_all())
            .with_context(place)?;
        fs::hard_link(&self.path, &self.target).with_context(place)?;
        fs::remove_file(&self.path).with_context(place)?;
        if let Some(folder) = self.target.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .with_context(place)?;
        }
        Ok(self.target.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_new_file_is_its_owners_whole_or_not_there_and_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup");
        drop(NewFile::for_target(&target).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let new = NewFile::for_target(&target).unwrap();
        fs::write(&new.path, "all of it").unwrap();
        assert!(!target.exists());
        let late = NewFile::for_target(&folder.path().join("late")).unwrap();
        new.keep().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "all of it");
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(NewFile::for_target(&target).is_err());
        // Whoever was faster stays.
        fs::write(folder.path().join("late"), "mine").unwrap();
        assert!(late.keep().is_err());
        assert_eq!(fs::read_to_string(folder.path().join("late")).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
