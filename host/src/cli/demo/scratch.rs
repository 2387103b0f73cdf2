//! The demo's scratch folder. Everything of the demo is inside, so removing the folder leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::exit::{Exit, Failure};

/// The scratch folder. It is removed on drop, unless the user chose its name.
pub(super) struct Scratch {
    folder: PathBuf,
    temporary: Option<TempDir>,
}

impl Scratch {
    /// Makes the new folder `keep`, or a temporary one.
    pub(super) fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        match keep {
            Some(folder) => {
                let cannot = |error: std::io::Error| {
                    Failure::new(Exit::Usage, format!("cannot make the folder `{}`: {error}", folder.display()))
                };
                fs::create_dir(folder).map_err(cannot)?;
                Ok(Self { folder: std::path::absolute(folder).map_err(cannot)?, temporary: None })
            }
            None => {
                let temporary =
                    tempfile::Builder::new().prefix("holdshort-demo-").tempdir().map_err(|error| failed(&error))?;
                Ok(Self { folder: temporary.path().to_path_buf(), temporary: Some(temporary) })
            }
        }
    }

    /// Writes a file into the folder.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(|error| failed(&format!("cannot write `{}`: {error}", path.display())))
    }

    /// The folder with the configuration.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, if it will be removed at the end.
    pub(super) fn temporary(&self) -> Option<PathBuf> {
        self.temporary.as_ref().map(|folder| folder.path().to_path_buf())
    }

    /// Advice on what to do with the folder now.
    pub(super) fn farewell(&self) -> String {
        match self.temporary {
            Some(_) => {
                "The scratch folder is removed now; `holdshort demo --keep DIR` keeps the folder for you to look around.".into()
            }
            None => format!(
                "To look around: `cd {}`, start `holdshort serve`, and in another terminal `holdshort runs` and `holdshort approvals --state all`.",
                self.folder.display()
            ),
        }
    }
}

/// A problem of this machine that stops the demo.
pub(super) fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
