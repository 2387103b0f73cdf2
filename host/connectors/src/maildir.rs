//! Delivers email into a Maildir. This is the default, so that a person can read the emails of a new installation
//! without a relay.
//!
//! The file is named after the effect's key, and `link(2)` puts it into `new/`. `link(2)` fails if the name exists, so
//! a second attempt with the same key delivers nothing twice. Mail readers move files to `cur/` and delete them, so a
//! missing file proves nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, EffectClass, EffectKey};
use holdshort_journal::Authorized;
use serde_json::Value;

use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect};
use super::message::{self, Bcc, Composer, NotComposed};
use super::{
    Attempt, CannotPreview, Clock, Finding, Inquiry, Perform, Preview, Previewed, Sentence, Trusted, key, quote, say,
};

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[email]",
    interface: Some("holdshort:agent/email@0.1.0"),
    functions: &["send-email"],
    class: Class::Consequential(EFFECT),
};

const EFFECT: Effect = Effect {
    connector: "maildir",
    class: EffectClass::Idempotent,
    evidence: "the host looks for the message's file in the Maildir's `new` and `cur`; if the file is there, the message was delivered; if not, the outcome is unknown, because a mail program may have removed the file",
    facts: DeclaredFacts::Fixed(message::FACTS),
    preconditions: message::PRECONDITIONS,
};

/// Delivers email into a Maildir.
#[derive(Clone)]
pub struct Maildir(Arc<Inner>);

struct Inner {
    composer: Composer,
    /// The folder with `tmp`, `new` and `cur` on one file system, as `link(2)` requires.
    folder: PathBuf,
    /// The clock for the message's `Date`.
    clock: Clock,
}

impl Maildir {
    /// Uses `folder`, and creates it with its `tmp`, `new` and `cur` (0700) if they are missing.
    pub fn open(folder: &Path, composer: Composer, clock: Clock) -> io::Result<Self> {
        make(folder)?;
        Ok(Self(Arc::new(Inner { composer, folder: folder.to_owned(), clock })))
    }

    /// Runs disk access on a thread that may block.
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
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn preview<'a>(
        &'a self,
        agent: &'a AgentName,
        action: &'a Action,
    ) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        let (agent, action) = (agent.clone(), action.clone());
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

    /// The receipt. It can be made from action and key alone, so also when a reviewer resolves the effect as done.
    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        self.0.receipt(&inquiry.action, &inquiry.key)
    }
}

// INVARIANT: each name in `new` is made from a key, and only `link(2)` creates it. So the file is complete or absent,
// and is never overwritten.
impl Inner {
    /// Writes the message in `tmp`, flushes it, links it into `new` under its key, and flushes the folder. If the name
    /// exists, the message was delivered before. Until the link, nothing has been delivered, so every failure is
    /// `NotDone`. From the link on, every mail reader sees the message. The effect is in doubt if the folder cannot be
    /// flushed, or if it is uncertain whether the link was made.
    fn attempt(&self, agent: &AgentName, action: &Action, preconditions: &Value, key: &EffectKey) -> Attempt {
        // The message is looked up before the facts are compared. If it is there, it has been delivered, even if a fact
        // has changed since.
        match self.whereabouts(key) {
            Ok(Some(_)) => return self.done(action, key),
            Ok(None) => {}
            // A folder cannot be read. An earlier attempt's message may be in it, and a new message would be
            // the second delivery.
            Err(why) => {
                let why = say!("{}, so the message may already be there; nothing was delivered now", why);
                return Attempt::Unknown(why);
            }
        }
        let composed = match self.composer.compose(agent, action, preconditions, key, (self.clock)(), Bcc::Keep) {
            Ok(composed) => composed,
            Err(NotComposed::Impossible(why)) => return Attempt::NotDone(why),
            Err(NotComposed::FactsChanged(why)) => return Attempt::FactsChanged(why),
        };
        let name = key::plain(key);
        let tmp = self.folder.join("tmp").join(&name);
        // Files of a Maildir have the local system's LF line ends. All parts of a message are ASCII, so removing each
        // CR changes nothing else.
        let bytes: Vec<u8> = composed.bytes.into_iter().filter(|byte| *byte != b'\r').collect();
        if let Err(error) = write_synced(&tmp, &bytes) {
            return Attempt::NotDone(say!("`{}` could not be written: {}", Trusted::path(&tmp), quote(error)));
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

    /// The outcome if the link failed. The message may be there nevertheless: another attempt was faster, or the system
    /// made the link and reported an error. A mail reader moves a message out of `new` within moments, so both folders
    /// are searched. A mail reader may also delete the message. So a missing message proves something only if the
    /// system refused to make a link.
    fn not_linked(&self, action: &Action, key: &EffectKey, error: &io::Error) -> Attempt {
        let new = self.folder.join("new").join(key::plain(key));
        let failed = say!("cannot make the link `{}`: {}", Trusted::path(&new), quote(error));
        match self.whereabouts(key) {
            Ok(Some(_)) => self.done(action, key),
            Ok(None) if is_refusal(error) => Attempt::NotDone(failed),
            Ok(None) => {
                Attempt::Unknown(say!("{}; the message is not there, but a mail program may have removed it", failed))
            }
            Err(why) => Attempt::Unknown(say!("{}; and {}", failed, why)),
        }
    }

    /// The outcome after a delivery. If no receipt of the function's type can be made, the outcome is unknown, because
    /// the agent cannot be told of the success.
    fn done(&self, action: &Action, key: &EffectKey) -> Attempt {
        match self.receipt(action, key) {
            Some(receipt) => Attempt::Done(receipt),
            None => Attempt::Unknown(
                "the message was delivered, but no receipt can be written, because the action has no `message`".into(),
            ),
        }
    }

    fn receipt(&self, action: &Action, key: &EffectKey) -> Option<Value> {
        self.composer.receipt(action, key, &format!("maildir {}", self.folder.display()))
    }

    /// Looks up an attempt in doubt. A message that is there proves delivery. A missing message proves nothing, because
    /// a mail reader may have deleted it.
    fn find(&self, action: &Action, key: &EffectKey) -> Finding {
        let folder = Trusted::path(&self.folder);
        match (self.whereabouts(key), self.receipt(action, key)) {
            (Ok(Some(path)), Some(receipt)) => {
                Finding::Happened { receipt, evidence: say!("the message is there: `{}`", Trusted::path(&path)) }
            }
            (Ok(Some(path)), None) => Finding::Unknown {
                evidence: say!(
                    "the file `{}` is there, but no receipt can be written, because the action has no `message`",
                    Trusted::path(&path)
                ),
            },
            (Ok(None), _) => Finding::Unknown {
                evidence: say!(
                    "no message with this key is in `new` or `cur` of `{}`; a mail program may have removed it",
                    folder
                ),
            },
            (Err(why), _) => Finding::Unknown { evidence: why },
        }
    }

    /// The file with this key's message. An error names the folder that cannot be read or flushed. The folders of a
    /// found message are flushed, because a killed attempt did not flush them, and a delivery that is reported must
    /// survive a power failure.
    fn whereabouts(&self, key: &EffectKey) -> Result<Option<PathBuf>, Sentence> {
        let Some(found) = self.search(key)? else { return Ok(None) };
        for folder in ["cur", "new"].map(|name| self.folder.join(name)) {
            let flushed = File::open(&folder).and_then(|folder| folder.sync_all());
            flushed.map_err(|error| {
                say!("the file `{}` is there, but a power cut may remove it: {}", Trusted::path(&found), quote(error))
            })?;
        }
        Ok(Some(found))
    }

    fn search(&self, key: &EffectKey) -> Result<Option<PathBuf>, Sentence> {
        let unseen = |path: &Path| {
            let path = Trusted::path(path);
            move |error: io::Error| say!("cannot look at `{}`: {}", path, quote(error))
        };
        let name = key::plain(key);
        let (new, cur) = (self.folder.join("new").join(&name), self.folder.join("cur"));
        if new.try_exists().map_err(unseen(&new))? {
            return Ok(Some(new));
        }
        // Mail readers move the message to `cur` and append flags: `NAME:2,S`.
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

/// Whether this error proves that the system made no link. After other errors (a failing disk, a silent file server, an
/// existing name) the link may have been made.
pub(super) fn is_refusal(error: &io::Error) -> bool {
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

/// Creates `folder` with its `tmp`, `new` and `cur` (0700) if they are missing.
pub fn make(folder: &Path) -> io::Result<()> {
    for name in ["tmp", "new", "cur"] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join(name))?;
    }
    // The folder's own name is flushed too, in the folder above. If a power cut loses this name, it loses the messages.
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for folder in [folder, above] {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Delivers an email of the host under `name`. If a file of this name exists, the email was delivered before.
pub(super) fn deliver(folder: &Path, name: &str, composed: Vec<u8>) -> io::Result<String> {
    let (tmp, new) = (folder.join("tmp").join(name), folder.join("new"));
    let bytes: Vec<u8> = composed.into_iter().filter(|byte| *byte != b'\r').collect();
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
    // An earlier attempt may have left a draft that is the same file as the delivered message under a second name.
    // Writing to the draft would change the message; removing the draft's name does not.
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
