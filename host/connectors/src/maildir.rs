//! Email into a Maildir: the embedded default, so that a fresh installation sends mail somewhere that a person can read it.
//!
//! The file is named by the effect's key and appears in `new/` through `link(2)`, which fails if the name exists: a second attempt with the
//! same key delivers nothing twice. Readers move files to `cur/` and remove them, so a file that is absent proves nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, EffectClass, EffectKey};
use holdshort_journal::Authorized;
use serde_json::Value;

use super::message::{Bcc, Composer, NotComposed};
use super::{
    Attempt, CannotPreview, Clock, Finding, IfLost, Inquiry, Known, Perform, Preview, Previewed, Sentence, key, quote,
    say,
};

/// How a lost outcome is settled.
pub const IF_LOST: IfLost = IfLost {
    class: EffectClass::Idempotent,
    evidence: "the host looks for the message's file in the Maildir's `new` and `cur`: with the file it was delivered; without it, a mail program may have removed it",
};

/// Delivers email into a Maildir.
#[derive(Clone)]
pub struct Maildir(Arc<Inner>);

struct Inner {
    composer: Composer,
    /// It holds `tmp`, `new` and `cur`, all of one file system, as `link(2)` needs.
    folder: PathBuf,
    /// For the message's `Date`.
    clock: Clock,
}

impl Maildir {
    /// Uses `folder`; it and its `tmp`, `new` and `cur` are made (0700) if they are absent.
    pub fn open(folder: &Path, composer: Composer, clock: Clock) -> io::Result<Self> {
        make(folder)?;
        Ok(Self(Arc::new(Inner { composer, folder: folder.to_owned(), clock })))
    }

    /// Runs what touches the disk where blocking is allowed.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
        interrupted: impl FnOnce(Sentence) -> T + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let inner = self.0.clone();
        async move {
            tokio::task::spawn_blocking(move || work(&inner))
                .await
                .unwrap_or_else(|error| interrupted(quote(error).into()))
        }
        .boxed()
    }
}

impl Preview for Maildir {
    fn name(&self) -> &str {
        "maildir"
    }

    fn class(&self) -> EffectClass {
        IF_LOST.class
    }

    fn evidence(&self) -> &str {
        IF_LOST.evidence
    }

    fn preview<'a>(&'a self, agent: &'a str, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        let (agent, action) = (agent.to_owned(), action.clone());
        self.blocking(
            move |inner| inner.composer.preview(&agent, &action),
            |error| Err(CannotPreview::Unavailable(error)),
        )
    }
}

impl Perform for Maildir {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        self.blocking(
            move |inner| {
                let (action, preconditions) = (authorized.action(), authorized.preconditions());
                inner.attempt(authorized.agent(), action, preconditions, authorized.key())
            },
            |error| Attempt::Unknown(say!("the delivery was interrupted: {}", error)),
        )
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        let inquiry = inquiry.clone();
        self.blocking(
            move |inner| inner.find(&inquiry.action, &inquiry.key),
            |error| Finding::Unknown { evidence: say!("the Maildir could not be read: {}", error) },
        )
    }

    /// It follows from the action and the key, so that a person's finding needs nothing else.
    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        self.0.receipt(&inquiry.action, &inquiry.key)
    }
}

// INVARIANT: the name in `new` is the key's, and only `link(2)` makes it. So it is there whole or not at all, and is never written over.
impl Inner {
    /// Writes the message under `tmp`, flushes it, links it by its key into `new` and flushes the folder.
    /// A name that exists already is the same message: the link is what happens once.
    /// Before the link nothing can have been delivered, so every failure is `NotDone`. After it the message is there for any reader, and only a folder
    /// that could not be synced leaves a doubt.
    fn attempt(&self, agent: &str, action: &Action, preconditions: &Value, key: &EffectKey) -> Attempt {
        // Before the facts are checked: a message that is there has happened, whatever has changed since.
        match self.whereabouts(key) {
            Ok(Some(_)) => return self.done(action, key),
            Ok(None) => {}
            // An earlier attempt's message may lie where nobody can look, and would be delivered a second time.
            Err(why) => {
                let why = say!("{}, so the message may be there already; nothing was delivered now", why);
                return Attempt::Unknown(why);
            }
        }
        let letter = match self.composer.compose(agent, action, preconditions, key, (self.clock)(), Bcc::Keep) {
            Ok(letter) => letter,
            Err(NotComposed::Impossible(why)) => return Attempt::NotDone(why),
            Err(NotComposed::FactsChanged(why)) => return Attempt::FactsChanged(why),
        };
        let name = key::plain(key);
        let tmp = self.folder.join("tmp").join(&name);
        // A Maildir's files are the local system's, whose lines end in LF. Every part is ASCII text, so nothing else changes.
        let bytes: Vec<u8> = letter.bytes.into_iter().filter(|byte| *byte != b'\r').collect();
        if let Err(error) = write_synced(&tmp, &bytes) {
            return Attempt::NotDone(say!("`{}` could not be written: {}", Known::path(&tmp), quote(error)));
        }
        let new = self.folder.join("new").join(&name);
        let attempt = match std::fs::hard_link(&tmp, &new) {
            Ok(()) => match File::open(self.folder.join("new")).and_then(|folder| folder.sync_all()) {
                Ok(()) => self.done(action, key),
                Err(error) => {
                    Attempt::Unknown(say!("the message is in `new`, but a power cut may remove it: {}", quote(error)))
                }
            },
            Err(error) => self.not_linked(action, key, &error),
        };
        if let Err(error) = std::fs::remove_file(&tmp) {
            tracing::warn!(path = %tmp.display(), %error, "a delivered message's draft could not be removed");
        }
        attempt
    }

    /// What came of an attempt whose link was not made, by its reply. The message may be there all the same: another attempt was faster, or the reply
    /// is wrong. A reader takes it out of `new` within moments, so that both folders are looked at; and may remove it, so that finding nothing settles
    /// it only where the system has refused to begin.
    fn not_linked(&self, action: &Action, key: &EffectKey, error: &io::Error) -> Attempt {
        let new = self.folder.join("new").join(key::plain(key));
        let failed = say!("`{}` could not be linked to: {}", Known::path(&new), quote(error));
        match self.whereabouts(key) {
            Ok(Some(_)) => self.done(action, key),
            Ok(None) if is_refusal(error) => Attempt::NotDone(failed),
            Ok(None) => {
                Attempt::Unknown(say!("{}; the message is not there, but a mail program may have removed it", failed))
            }
            Err(why) => Attempt::Unknown(say!("{}; and {}", failed, why)),
        }
    }

    /// Without a receipt of the function's type the agent cannot be told that it succeeded, so a person has to look.
    fn done(&self, action: &Action, key: &EffectKey) -> Attempt {
        match self.receipt(action, key) {
            Some(receipt) => Attempt::Done(receipt),
            None => {
                Attempt::Unknown("the message was delivered, but the action has no `message` for the receipt".into())
            }
        }
    }

    fn receipt(&self, action: &Action, key: &EffectKey) -> Option<Value> {
        self.composer.receipt(action, key, &format!("maildir {}", self.folder.display()))
    }

    /// Present is proof, absent is none: whoever reads the mail may have removed it.
    fn find(&self, action: &Action, key: &EffectKey) -> Finding {
        let folder = Known::path(&self.folder);
        match (self.whereabouts(key), self.receipt(action, key)) {
            (Ok(Some(path)), Some(receipt)) => {
                Finding::Happened { receipt, evidence: say!("the message is there: `{}`", Known::path(&path)) }
            }
            (Ok(Some(path)), None) => Finding::Unknown {
                evidence: say!("`{}` is there, but the action has no `message` for the receipt", Known::path(&path)),
            },
            (Ok(None), _) => Finding::Unknown {
                evidence: say!(
                    "no message of this key is in `new` or `cur` of `{}`; a mail program may have removed it",
                    folder
                ),
            },
            (Err(why), _) => Finding::Unknown { evidence: why },
        }
    }

    /// Where the message of this key is, if it is anywhere; or which folder cannot be looked at.
    /// What is found is flushed: an attempt that was killed right after its link has not, and what is reported now is written down for good.
    fn whereabouts(&self, key: &EffectKey) -> Result<Option<PathBuf>, Sentence> {
        let Some(found) = self.search(key)? else { return Ok(None) };
        for folder in ["cur", "new"].map(|name| self.folder.join(name)) {
            let flushed = File::open(&folder).and_then(|folder| folder.sync_all());
            flushed.map_err(|error| {
                say!("`{}` is there, but a power cut may remove it: {}", Known::path(&found), quote(error))
            })?;
        }
        Ok(Some(found))
    }

    fn search(&self, key: &EffectKey) -> Result<Option<PathBuf>, Sentence> {
        let unseen = |path: &Path| {
            let path = Known::path(path);
            move |error: io::Error| say!("`{}` cannot be looked at: {}", path, quote(error))
        };
        let name = key::plain(key);
        let (new, cur) = (self.folder.join("new").join(&name), self.folder.join("cur"));
        if new.try_exists().map_err(unseen(&new))? {
            return Ok(Some(new));
        }
        // Readers move it to `cur` and append flags: `NAME:2,S`.
        let moved = format!("{name}:2,");
        for entry in std::fs::read_dir(&cur).map_err(unseen(&cur))? {
            let entry = entry.map_err(unseen(&cur))?;
            let found = entry.file_name();
            if found.to_str().is_some_and(|found| found == name || found.starts_with(&moved)) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }
}

/// Whether the system says by this error that it has not begun to make a link.
/// Any other (a disk that fails, a file server that does not answer, a name that exists) may come of a link that was made.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let refusals = [
        Kind::NotFound,
        Kind::NotADirectory,
        Kind::PermissionDenied,
        Kind::ReadOnlyFilesystem,
        Kind::StorageFull,
        Kind::QuotaExceeded,
        Kind::CrossesDevices,
        Kind::TooManyLinks,
        Kind::InvalidFilename,
        Kind::Unsupported,
    ];
    refusals.contains(&error.kind())
}

/// Makes `folder` with its `tmp`, `new` and `cur` (0700) as far as they are absent.
pub fn make(folder: &Path) -> io::Result<()> {
    for name in ["tmp", "new", "cur"] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join(name))?;
    }
    // A message in a folder whose own name is lost in a power cut is lost with it.
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for folder in [folder, above] {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Delivers a letter of the host's own under `name`; one that is there already is the same letter.
pub(super) fn deliver(folder: &Path, name: &str, letter: Vec<u8>) -> io::Result<String> {
    let (tmp, new) = (folder.join("tmp").join(name), folder.join("new"));
    let bytes: Vec<u8> = letter.into_iter().filter(|byte| *byte != b'\r').collect();
    write_synced(&tmp, &bytes)?;
    match std::fs::hard_link(&tmp, new.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => File::open(new)?.sync_all()?,
    }
    std::fs::remove_file(&tmp)?;
    Ok(format!("delivered to the maildir {}", folder.display()))
}

/// Writes a new file whose content is on disk when this returns.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A draft that an earlier attempt left behind is removed, never written over: it may be the very file that was delivered.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
