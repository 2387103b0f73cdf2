//! Puts a file into a folder of the operator's. The connector serves foreign functions that have one parameter for the
//! file's name and another parameter for its content.
//!
//! The name contains no folder and no link is followed, so no file outside the folder is reached. Nothing is
//! overwritten: the complete file appears through `link(2)`, which fails if the name exists.
//!
//! The proof of an attempt is in the folder itself, below `.holdshort-files`. An attempt first writes the content to a
//! draft there, which is named after the effect's key. Then it links the draft under the file's name. Last, it replaces
//! the draft by an empty file, the mark. So a lookup finds the effect done if there is a mark, or if the draft and the
//! named file are the same file. In one case the outcome stays unknown: the host dies after the link and before the
//! mark, and another program renames or deletes the file.
//!
//! **Invariant:** "no mark and no draft" proves something only in the folder of proofs that the clearance names. The
//! folder has a random id, drawn when it is made. If another folder takes its place, such as after a rotation or when a
//! disk is not mounted, the id differs, and the effect stays in doubt.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, Consequence, Digest, EffectClass, EffectKey, FunctionType, WitType};
use holdshort_journal::Authorized;
use proofs::{Folders, State, create, draft, exists, fill, remove};
use rustix::fs::{AtFlags, linkat};
use serde_json::{Value, json};

use super::command::FunctionTypes;
use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect, Fact, FactType, Precondition};
use super::maildir::is_refusal;
use super::relative::RelativePath;
use super::{
    Attempt, CannotPreview, Exhibit, Finding, Inquiry, Perform, Preview, Previewed, Sentence, Trusted, key, quote,
    quote_start, quote_value, say,
};

mod proofs;

/// The connector.
pub const DESCRIPTOR: Descriptor =
    Descriptor { section: "[capabilities.…]", interface: None, functions: &[], class: Class::Consequential(EFFECT) };

const EFFECT: Effect = Effect {
    connector: "file-drop",
    class: EffectClass::Reconcilable,
    evidence: "the host looks in the folder's `.holdshort-files` for the call's draft (made before the file is put there) and mark (made afterwards); if there is a mark, or if the draft and the file are one file, the file was put there; if there is neither a mark nor a draft, the file was not put there",
    facts: DeclaredFacts::Fixed(&[
        Fact::new("bytes", FactType::Count, "the size of the file"),
        Fact::new("sha256", FactType::Text, "the digest of the file's content, as `sha256:…`"),
    ]),
    preconditions: &[
        Precondition::same("folder"),
        Precondition::same("proofs"),
        Precondition::same("name"),
        Precondition::same("sha256"),
    ],
};

/// The maximum size of a file, because a reviewer reads all of it. A second limit, on the arguments of a
/// call, is lower.
const FILE_BYTES_MAX: usize = 1 << 20;
/// The maximum length of a name in bytes. It is below Linux's limit of 255.
const NAME_BYTES_MAX: usize = 200;
/// The operator's settings.
#[derive(Clone, Debug)]
pub struct FileDropSettings {
    /// The folder for the files. It must exist.
    pub folder: PathBuf,
    /// The parameter with the file's name: a string.
    pub name_from: String,
    /// The parameter with the file's content: a string or a list of bytes.
    pub content_from: String,
}

/// Puts files into one folder.
#[derive(Clone)]
pub struct FileDrop {
    settings: Arc<FileDropSettings>,
    types: Arc<dyn FunctionTypes>,
}

/// A file that an agent wants to put into the folder.
struct ProposedFile {
    name: String,
    content: Vec<u8>,
    /// The function's `ok` value: the name, or nothing.
    receipt: Value,
}

impl FileDrop {
    /// Makes the folder of proofs if it is missing. Fails if the operator's folder or the folder of proofs
    /// cannot be used.
    pub fn open(settings: FileDropSettings, types: Arc<dyn FunctionTypes>) -> io::Result<Self> {
        Folders::make(&settings.folder)?;
        Ok(Self { settings: Arc::new(settings), types })
    }

    /// Reads the file from the action, and then does the work on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        action: &Action,
        work: impl FnOnce(&FileDropSettings, Result<ProposedFile, Sentence>) -> T + Send + 'static,
    ) -> Result<T, Sentence> {
        let (ty, settings, action) = (self.types.of(action).await?, self.settings.clone(), action.clone());
        let worked = tokio::task::spawn_blocking(move || work(&settings, settings.read(&action, &ty)));
        worked.await.map_err(|error| quote(error).into())
    }
}

impl Preview for FileDrop {
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        async move {
            let look = |settings: &FileDropSettings, read: Result<ProposedFile, Sentence>| {
                settings.preview_now(read.map_err(CannotPreview::Impossible)?)
            };
            self.with(action, look).await.map_err(CannotPreview::Unavailable)?
        }
        .boxed()
    }
}

impl Perform for FileDrop {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            let action = authorized.action().clone();
            if let Err(why) = self.types.of(&action).await {
                return Attempt::NotDone(why);
            }
            let attempt = move |settings: &FileDropSettings, read: Result<ProposedFile, Sentence>| match read {
                Ok(file) => settings.attempt(&file, authorized.preconditions(), authorized.key()),
                Err(why) => Attempt::NotDone(why),
            };
            let attempted = self.with(&action, attempt).await;
            attempted.unwrap_or_else(|why| Attempt::Unknown(say!("the attempt was interrupted: {}", why)))
        }
        .boxed()
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            let (key, shown) = (inquiry.key.clone(), inquiry.preconditions.clone());
            let find = move |settings: &FileDropSettings, read: Result<ProposedFile, Sentence>| match read {
                Ok(file) => settings.find(file, &shown, &key),
                Err(evidence) => Finding::Unknown { evidence },
            };
            self.with(&inquiry.action, find).await.unwrap_or_else(|evidence| Finding::Unknown { evidence })
        }
        .boxed()
    }

    /// `None`: the receipt depends on the function's type, and only a lookup reads this type.
    fn receipt(&self, _: &Inquiry) -> Option<Value> {
        None
    }
}

impl FileDropSettings {
    /// Checks that this connector can serve functions of a type. The error gives the reason if not.
    pub fn check(&self, ty: &FunctionType) -> Result<(), Sentence> {
        let parameter = |name: &str| ty.params.iter().find(|(known, _)| known == name).map(|(_, ty)| ty);
        if parameter(&self.name_from) != Some(&WitType::String) {
            let name = Trusted::configured(&self.name_from);
            return Err(say!(
                "the function has no parameter `{}` of type string: set `name-from` to the parameter with the file's name",
                name
            ));
        }
        if !matches!(parameter(&self.content_from), Some(ty) if *ty == WitType::String || is_bytes(ty)) {
            let (name, hint) = (
                Trusted::configured(&self.content_from),
                "set `content-from` to the parameter with the file's content",
            );
            return Err(say!("the function has no parameter `{}` of type string or bytes: {}", name, hint));
        }
        match &ty.result {
            Some(WitType::Result { ok: None, .. }) => Ok(()),
            Some(WitType::Result { ok: Some(ok), .. }) if **ok == WitType::String => Ok(()),
            _ => Err(say!("after success the function must return a string or nothing")),
        }
    }

    /// Reads the file from an action's arguments.
    fn read(&self, action: &Action, ty: &FunctionType) -> Result<ProposedFile, Sentence> {
        self.check(ty)?;
        let value = |name: &String| action.arguments().get(name).and_then(Value::as_str).unwrap_or_default();
        let (name, content) = (value(&self.name_from), value(&self.content_from));
        let has_bytes = ty.params.iter().any(|(known, ty)| *known == self.content_from && is_bytes(ty));
        let content = if has_bytes { STANDARD.decode(content).map_err(quote)? } else { content.as_bytes().to_vec() };
        let is_plain = name.parse::<RelativePath>().is_ok_and(|path| path.names().count() == 1);
        if !is_plain || name.starts_with('.') || name.len() > NAME_BYTES_MAX {
            let why = "is not a file name; write a name of at most 200 bytes, without `/`, that does not begin with `.`, `-` or `:`";
            return Err(say!("{} {}", quote_start(name, NAME_BYTES_MAX), why));
        }
        if content.len() > FILE_BYTES_MAX {
            return Err(say!("the file has {} bytes; at most {} are allowed", content.len(), FILE_BYTES_MAX));
        }
        let returns_the_name = matches!(&ty.result, Some(WitType::Result { ok: Some(_), .. }));
        let receipt = if returns_the_name { json!(name) } else { Value::Null };
        Ok(ProposedFile { name: name.to_owned(), content, receipt })
    }

    fn unseen(&self, error: io::Error) -> Sentence {
        say!("the folder `{}` cannot be used: {}", Trusted::path(&self.folder), quote(error))
    }

    fn preconditions(&self, id: &str, file: &ProposedFile) -> Value {
        let (folder, digest) = (self.folder.display().to_string(), Digest::of(&file.content));
        json!({ "folder": folder, "proofs": id, "name": file.name, "sha256": digest })
    }

    fn preview_now(&self, file: ProposedFile) -> Result<Previewed, CannotPreview> {
        let unseen = |error| CannotPreview::Unavailable(self.unseen(error));
        let Folders { top, id, .. } = Folders::open(&self.folder).map_err(unseen)?;
        let (name, folder) = (quote(&file.name), Trusted::path(&self.folder));
        if exists(&top, &file.name).map_err(unseen)? {
            let why = say!("{} is already in the folder, and files are never overwritten: choose another name", name);
            return Err(CannotPreview::Impossible(why));
        }
        let (bytes, digest, preconditions) =
            (file.content.len(), Digest::of(&file.content), self.preconditions(&id, &file));
        Ok(Previewed {
            summary: say!("put the file {} ({} bytes) into {}", name.clone(), bytes, folder),
            exhibits: vec![Exhibit::words("the file", say!("the file {}", name), "text/plain", file.content)],
            preconditions,
            facts: json!({ "bytes": bytes, "sha256": digest }),
            consequence: Consequence::Medium,
        })
    }

    /// Writes and flushes a draft, links it by the file's name, flushes the folder, and replaces the draft by an empty
    /// mark. Before the link nothing has happened, so an error there is `NotDone`.
    fn attempt(&self, file: &ProposedFile, shown: &Value, key: &EffectKey) -> Attempt {
        let folders = match Folders::open(&self.folder) {
            Ok(folders) => folders,
            Err(error) => return Attempt::NotDone(self.unseen(error)),
        };
        if let Some(changed) = self.changed(shown, &folders.id, file) {
            return Attempt::FactsChanged(changed);
        }
        match folders.state(&file.name, key) {
            Ok(State::NotBegun) => {}
            Ok(State::Done) => return Attempt::Done(file.receipt.clone()),
            Ok(State::Unclear) => return Attempt::Unknown("an earlier attempt left its draft".into()),
            Err(error) => return Attempt::Unknown(self.unseen(error)),
        }
        let draft_file = match create(&folders.proofs, &draft(key)) {
            Ok(file) => file,
            // The draft exists because another attempt, perhaps of another host, is writing it. So it is not removed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Attempt::Unknown(self.unseen(error)),
            Err(error) => return Attempt::NotDone(self.unseen(error)),
        };
        if let Err(error) = fill(draft_file, &folders.proofs, &file.content) {
            remove(&folders.proofs, key);
            return Attempt::NotDone(self.unseen(error));
        }
        let linked = linkat(&folders.proofs, draft(key), &folders.top, &*file.name, AtFlags::empty());
        // The state is read even after an error, because the link may exist nevertheless: a network file system can
        // make the link and lose its answer.
        match (linked, folders.state(&file.name, key)) {
            (Ok(()), _) | (Err(_), Ok(State::Done)) => self.linked(&folders, file, key),
            (Err(errno), Ok(State::NotBegun | State::Unclear)) => self.not_linked(&folders, file, key, errno.into()),
            (Err(_), Err(error)) => Attempt::Unknown(self.unseen(error)),
        }
    }

    /// The outcome after a successful link. If the mark cannot be made, the effect is done nevertheless, because the
    /// draft stays as its proof.
    fn linked(&self, folders: &Folders, file: &ProposedFile, key: &EffectKey) -> Attempt {
        if let Err(errno) = rustix::fs::fsync(&folders.top) {
            return Attempt::Unknown(say!("the file was put there, but a power cut may remove it: {}", quote(errno)));
        }
        let mark = create(&folders.proofs, &key::plain(key)).and_then(|mark| fill(mark, &folders.proofs, b""));
        match mark {
            Ok(()) => remove(&folders.proofs, key),
            Err(error) => tracing::warn!(%error, "the draft of a file could not be replaced by its mark"),
        }
        Attempt::Done(file.receipt.clone())
    }

    /// The outcome if the link failed. The effect did not happen if the name was taken, or if the system refused to
    /// make a link. After any other error the outcome is unknown: the link may have been made, and another program may
    /// have removed the file.
    fn not_linked(&self, folders: &Folders, file: &ProposedFile, key: &EffectKey, error: io::Error) -> Attempt {
        let is_taken = error.kind() == io::ErrorKind::AlreadyExists;
        if !is_taken && !is_refusal(&error) {
            return Attempt::Unknown(self.unseen(error));
        }
        remove(&folders.proofs, key);
        if is_taken {
            let name = quote(&file.name);
            return Attempt::FactsChanged(say!("the name {} was free when the call was shown and is taken now", name));
        }
        Attempt::NotDone(self.unseen(error))
    }

    /// The first value that differs from the shown one, as text: the folder or its folder of proofs. The name or the
    /// content can differ only if the operator has changed the settings.
    fn changed(&self, shown: &Value, id: &str, file: &ProposedFile) -> Option<Sentence> {
        let now = self.preconditions(id, file);
        let differs = |name: &&str| shown.get(*name) != now.get(*name);
        let name = ["folder", "proofs", "name", "sha256"].into_iter().find(differs)?;
        let (was, is) = (shown.get(name).unwrap_or(&Value::Null), now.get(name).unwrap_or(&Value::Null));
        Some(say!("`{}` was {} when the call was shown and is {} now", name, quote_value(was), quote_value(is)))
    }

    /// Looks up an attempt in doubt. The lookup flushes the folders, because an attempt that was killed after its link
    /// did not flush them.
    fn find(&self, file: ProposedFile, shown: &Value, key: &EffectKey) -> Finding {
        let looked = Folders::open(&self.folder).and_then(|folders| {
            let state = folders.state(&file.name, key)?;
            rustix::fs::fsync(&folders.top)?;
            rustix::fs::fsync(&folders.proofs)?;
            Ok((state, self.changed(shown, &folders.id, &file)))
        });
        let (folder, name) = (Trusted::path(&self.folder), quote(&file.name));
        match looked {
            Ok((_, Some(evidence))) => Finding::Unknown { evidence },
            Ok((State::Done, None)) => {
                Finding::Happened { receipt: file.receipt, evidence: say!("{} was put into `{}`", name, folder) }
            }
            Ok((State::NotBegun, None)) => {
                Finding::DidNotHappen { evidence: say!("`{}` has neither a mark nor a draft of this call", folder) }
            }
            Ok((State::Unclear, None)) => Finding::Unknown {
                evidence: say!(
                    "`{}` has a draft of this call, but the name {} does not lead to it: the file was not put there, or was moved or removed afterwards",
                    folder,
                    name
                ),
            },
            Err(error) => Finding::Unknown { evidence: self.unseen(error) },
        }
    }
}

fn is_bytes(ty: &WitType) -> bool {
    *ty == WitType::List(Box::new(WitType::U8))
}

#[cfg(test)]
mod tests;
