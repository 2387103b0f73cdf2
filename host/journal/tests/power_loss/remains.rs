//! The possible contents of a disk after a power loss, made from the requests to the disk up to then.
//!
//! A file's bytes and size are safe once the file was flushed, and a name is safe once its folder was flushed. Of all
//! other changes, any part may be on the disk: a disk and its file system write sectors in any order. If the disk
//! writes an older version of a sector after a newer one, the older version remains. This looks as if the newer write
//! were missing, so it needs no case of its own.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use holdshort_test_disk::{File, Op};

use crate::common::script::Dice;

/// The unit that a disk writes completely or not at all.
const SECTOR: u64 = 512;

/// Which of the unsafe changes have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    /// No unsafe change.
    Nothing,
    /// All unsafe changes, as if only the process had died.
    Everything,
    /// A random choice for each sector, size and name.
    Coins,
    /// All changes until a sector in the middle of a write, and none after it.
    Prefix,
    /// Only the last change of each file and folder.
    Last,
    /// All changes except the first of each file and folder.
    ButFirst,
    /// All changes of some files and folders, and none of the others.
    SomeFiles,
    /// The names and sizes; where a file grew, the bytes are not those that were written.
    Sizes,
}

pub(crate) const HANDS: [Hand; 8] = [
    Hand::Nothing,
    Hand::Coins,
    Hand::Prefix,
    Hand::Last,
    Hand::ButFirst,
    Hand::SomeFiles,
    Hand::Sizes,
    Hand::Everything,
];

/// Names beneath a folder with their contents; a folder has no bytes.
pub(crate) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The files that are beneath `root` now.
pub(crate) fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = path.is_file().then(|| fs::read(&path).unwrap());
            if bytes.is_none() {
                folders.push(path.clone());
            }
            found.insert(path, bytes);
        }
    }
    found
}

/// Writes `tree` of the folder `old` into the folder `new`.
pub(crate) fn lay_down(tree: &Tree, old: &Path, new: &Path) {
    for (path, bytes) in tree {
        let path = new.join(path.strip_prefix(old).unwrap());
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::create_dir(path).unwrap(),
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Resize(u64),
}

#[derive(Clone)]
enum Named {
    File(File),
    Folder,
}

#[derive(Clone)]
enum Renaming {
    Add(PathBuf, Named),
    Remove(PathBuf),
    Move(PathBuf, PathBuf),
}

#[derive(Clone, Default)]
struct Content {
    safe: Vec<u8>,
    changes: Vec<Change>,
}

/// A disk at some moment: the safe contents, and the changes that are not safe yet.
#[derive(Clone)]
pub(crate) struct Remains {
    found: Tree,
    names: BTreeMap<PathBuf, Named>,
    files: HashMap<File, Content>,
    /// The renamings, by folder.
    renamings: BTreeMap<PathBuf, Vec<Renaming>>,
}

impl Remains {
    /// A disk that holds `found` safely.
    pub(crate) fn new(found: Tree) -> Self {
        let names = found.iter().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| (path.clone(), Named::Folder));
        Self { names: names.collect(), found, files: HashMap::new(), renamings: BTreeMap::new() }
    }

    /// Adds one more request.
    pub(crate) fn ask(&mut self, op: &Op) {
        match op {
            Op::Found { path, file } => {
                let safe = self.found.remove(path).flatten().expect("a file that was there");
                self.files.insert(*file, Content { safe, changes: Vec::new() });
                self.names.insert(path.clone(), Named::File(*file));
            }
            Op::Make { path, file } => {
                self.files.entry(*file).or_default();
                self.rename(path, Renaming::Add(path.clone(), Named::File(*file)));
            }
            Op::MakeFolder { path } => self.rename(path, Renaming::Add(path.clone(), Named::Folder)),
            Op::Remove { path } => self.rename(path, Renaming::Remove(path.clone())),
            Op::Rename { from, to } => self.rename(to, Renaming::Move(from.clone(), to.clone())),
            Op::Write { file, at, bytes } => self.change(*file, Change::Write { at: *at, bytes: bytes.clone() }),
            Op::Resize { file, len } => self.change(*file, Change::Resize(*len)),
            Op::Sync { file } => {
                let content = self.files.get_mut(file).unwrap();
                content.changes.drain(..).for_each(|change| change.apply(&mut content.safe));
            }
            Op::SyncFolder { path } => {
                let renamings = self.renamings.remove(path).unwrap_or_default();
                renamings.iter().for_each(|renaming| renaming.apply(&mut self.names));
            }
            Op::Mark(_) => {}
        }
    }

    /// Adds requests of another process, which sees all changes, also the unsafe ones. They were recorded in a copy at
    /// `there` of the folder `root`.
    pub(crate) fn ask_elsewhere(&mut self, ops: &[Op], there: &Path, root: &Path) {
        let mut names = self.names.clone();
        self.renamings.values().flatten().for_each(|renaming| renaming.apply(&mut names));
        let here = |path: &Path| root.join(path.strip_prefix(there).unwrap());
        let mut files = HashMap::new();
        for op in ops {
            let mut op = op.clone();
            match &mut op {
                Op::Found { path, file } => {
                    let Some(Named::File(known)) = names.get(&here(path)) else {
                        panic!("{path:?} comes from nowhere")
                    };
                    files.insert(*file, *known);
                    continue;
                }
                Op::Make { path, .. } | Op::MakeFolder { path } | Op::SyncFolder { path } | Op::Remove { path } => {
                    *path = here(path);
                }
                Op::Rename { from, to } => (*from, *to) = (here(from), here(to)),
                Op::Write { file, .. } | Op::Resize { file, .. } | Op::Sync { file } => {
                    *file = *files.get(file).unwrap_or(file);
                }
                Op::Mark(_) => {}
            }
            self.ask(&op);
        }
    }

    fn rename(&mut self, path: &Path, renaming: Renaming) {
        // The root is above everything that is watched, and no process has to flush it.
        self.renamings.entry(path.parent().unwrap().into()).or_default().push(renaming);
    }

    fn change(&mut self, file: File, change: Change) {
        self.files.get_mut(&file).unwrap().changes.push(change);
    }

    /// Whether there are unsafe changes. Only then do the variants of [`Hand`] lead to different contents.
    pub(crate) fn is_uncertain(&self) -> bool {
        !self.renamings.is_empty() || self.files.values().any(|content| !content.changes.is_empty())
    }

    /// Whether the file with this name has unsafe changes.
    pub(crate) fn is_changing(&self, path: &Path) -> bool {
        matches!(self.names.get(path), Some(Named::File(file)) if !self.files[file].changes.is_empty())
    }

    /// The contents of the disk after a power loss of this kind.
    pub(crate) fn after(&self, hand: Hand, dice: &mut Dice) -> Tree {
        let mut names = self.names.clone();
        for renamings in self.renamings.values() {
            let kept = which(hand, renamings.len(), dice);
            for (renaming, _) in renamings.iter().zip(kept).filter(|(_, kept)| *kept) {
                renaming.apply(&mut names);
            }
        }
        let mut left: Tree = self.found.clone();
        for (path, named) in names {
            // A file is missing if its folder is missing.
            let is_there = path.ancestors().skip(1).all(|folder| !self.is_lost(folder, &left));
            if is_there {
                left.insert(path.clone(), self.bytes(&path, &named, hand, dice));
            }
        }
        left
    }

    /// Whether the power loss removed `folder`: the recorded process created it, and `left` does not have it.
    fn is_lost(&self, folder: &Path, left: &Tree) -> bool {
        let mut made = self.renamings.values().flatten();
        let is_ours = made.any(|renaming| matches!(renaming, Renaming::Add(path, Named::Folder) if path == folder));
        is_ours && !left.contains_key(folder)
    }

    fn bytes(&self, path: &Path, named: &Named, hand: Hand, dice: &mut Dice) -> Option<Vec<u8>> {
        let Named::File(file) = named else { return None };
        let Content { safe, changes } = &self.files[file];
        if path.extension().is_some_and(|end| end == "db-shm") && hand != Hand::Nothing {
            // The file that SQLite shares between processes. Nobody promises to keep it, so its bytes may be anything.
            return Some((0..dice.below(40_000)).map(|_| dice.below(256) as u8).collect());
        }
        let mut bytes = safe.clone();
        if hand == Hand::Sizes {
            let mut whole = safe.clone();
            changes.iter().for_each(|change| change.clone().apply(&mut whole));
            bytes.truncate(whole.len());
            let other = dice.below(256) as u8;
            bytes.resize(whole.len(), other);
            return Some(bytes);
        }
        let pieces: Vec<Change> = changes.iter().flat_map(Change::sectors).collect();
        let kept = which(hand, pieces.len(), dice);
        pieces.into_iter().zip(kept).filter(|(_, kept)| *kept).for_each(|(piece, _)| piece.apply(&mut bytes));
        if hand == Hand::Coins && dice.below(2) == 0 && !changes.is_empty() {
            // The size is written separately.
            let until = dice.below(changes.len() as u64 + 1) as usize;
            let mut other = safe.clone();
            changes.iter().take(until).for_each(|change| change.clone().apply(&mut other));
            bytes.resize(other.len(), 0);
        }
        Some(bytes)
    }
}

/// Which of `count` changes of one file or folder are kept.
fn which(hand: Hand, count: usize, dice: &mut Dice) -> Vec<bool> {
    let place = dice.below(count as u64 + 1) as usize;
    let coin = dice.below(2) == 0;
    let kept = |index: usize| match hand {
        Hand::Nothing => false,
        Hand::Everything | Hand::Sizes => true,
        Hand::Coins => unreachable!("each has a coin of its own"),
        Hand::Prefix => index < place,
        Hand::Last => index + 1 == count,
        Hand::ButFirst => index > 0,
        Hand::SomeFiles => coin,
    };
    (0..count).map(|index| if hand == Hand::Coins { dice.below(2) == 0 } else { kept(index) }).collect()
}

impl Change {
    /// The change, cut into the pieces that a disk writes separately.
    fn sectors(&self) -> Vec<Self> {
        let Self::Write { at, bytes } = self else { return vec![self.clone()] };
        let (mut at, mut rest) = (*at, bytes.as_slice());
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min((SECTOR - at % SECTOR) as usize));
            pieces.push(Self::Write { at, bytes: piece.into() });
            at += piece.len() as u64;
            rest = others;
        }
        pieces
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resize(len) => bytes.resize(len as usize, 0),
            Self::Write { at, bytes: new } => {
                let (from, to) = (at as usize, at as usize + new.len());
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(&new);
            }
        }
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Named>) {
        match self {
            Self::Add(path, named) => drop(names.insert(path.clone(), named.clone())),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Move(from, to) => {
                if let Some(named) = names.remove(from) {
                    names.insert(to.clone(), named);
                }
            }
        }
    }
}
