use std::os::unix::fs::{chown, lchown, symlink};

use super::*;

mod lists;

/// Another user. Only root can create files that belong to others.
const STRANGER: u32 = 12_345;

/// A change to the test's folder before the check.
type Change = fn(&Path);

struct Scene(tempfile::TempDir);

impl Scene {
    /// Creates `way/state/` with a file and a folder in it, and a secret in `way/`.
    fn new(changes: &[Change]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self(folder);
        for made in ["way", "way/state", "way/state/compiled"] {
            DirBuilder::new().mode(0o700).create(scene.at(made)).unwrap();
        }
        for file in ["way/state/journal.db", "way/state/compiled/code", "way/secret"] {
            fs::write(scene.at(file), "text").unwrap();
            set(&scene.at(file), 0o600);
        }
        changes.iter().for_each(|change| change(scene.0.path()));
        scene
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn replace_by_link(path: &Path, to: &Path) {
    fs::rename(path, to).unwrap();
    symlink(to, path).unwrap();
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Ours,
    Closed,
    Refused,
}

fn verdict(result: Result<TightenedNotice, NotOurs>) -> Verdict {
    match result {
        Ok(None) => Verdict::Ours,
        Ok(Some(_)) => Verdict::Closed,
        Err(_) => Verdict::Refused,
    }
}

use Verdict::{Closed, Ours, Refused};

/// The changes, whether they need root, and the expected results for the state folder, the journal and a secret.
const TABLE: &[(&str, bool, &[Change], [Verdict; 3])] = &[
    ("nothing", false, &[], [Ours, Ours, Ours]),
    ("the folder can be listed", false, &[|f| set(&f.join("way/state"), 0o755)], [Closed, Ours, Ours]),
    ("the folder can be passed", false, &[|f| set(&f.join("way/state"), 0o711)], [Closed, Ours, Ours]),
    ("the folder is everybody's", false, &[|f| set(&f.join("way/state"), 0o777)], [Closed, Refused, Ours]),
    ("the folder is the group's", false, &[|f| set(&f.join("way/state"), 0o770)], [Closed, Ours, Ours]),
    ("the folder is like /tmp", false, &[|f| set(&f.join("way/state"), 0o1777)], [Closed, Ours, Ours]),
    (
        "the folder and what is in it are everybody's",
        false,
        &[|f| set(&f.join("way/state"), 0o777), |f| set(&f.join("way/state/journal.db"), 0o666)],
        [Refused, Refused, Ours],
    ),
    (
        "deeper in it something is everybody's",
        false,
        &[|f| set(&f.join("way/state"), 0o777), |f| set(&f.join("way/state/compiled/code"), 0o602)],
        [Refused, Refused, Ours],
    ),
    (
        "somebody has left a file in the folder",
        true,
        &[
            |f| set(&f.join("way/state"), 0o777),
            |f| chown(f.join("way/state/compiled/code"), Some(STRANGER), None).unwrap(),
        ],
        [Refused, Refused, Ours],
    ),
    (
        "somebody has left a link in the folder",
        true,
        &[
            |f| set(&f.join("way/state"), 0o777),
            |f| {
                symlink("/etc/passwd", f.join("way/state/token")).unwrap();
                lchown(f.join("way/state/token"), Some(STRANGER), None).unwrap();
            },
        ],
        [Refused, Refused, Ours],
    ),
    (
        "the folder is somebody else's",
        true,
        &[|f| chown(f.join("way/state"), Some(STRANGER), None).unwrap()],
        [Refused, Refused, Ours],
    ),
    (
        "the folder is a link of ours",
        false,
        &[|f| replace_by_link(&f.join("way/state"), &f.join("moved"))],
        [Ours, Ours, Ours],
    ),
    (
        "the folder is a link of somebody else's",
        true,
        &[
            |f| replace_by_link(&f.join("way/state"), &f.join("moved")),
            |f| lchown(f.join("way/state"), Some(STRANGER), None).unwrap(),
        ],
        [Refused, Refused, Ours],
    ),
    (
        "the folder is a link into somebody's hands",
        true,
        &[|f| {
            DirBuilder::new().mode(0o755).create(f.join("theirs")).unwrap();
            replace_by_link(&f.join("way/state"), &f.join("theirs/state"));
            chown(f.join("theirs"), Some(STRANGER), None).unwrap();
        }],
        [Refused, Refused, Ours],
    ),
    (
        "the folder is a file",
        false,
        &[|f| {
            fs::remove_dir_all(f.join("way/state")).unwrap();
            fs::write(f.join("way/state"), "").unwrap();
        }],
        [Refused, Refused, Ours],
    ),
    ("the way is everybody's", false, &[|f| set(&f.join("way"), 0o777)], [Refused, Refused, Refused]),
    ("the way is like /tmp", false, &[|f| set(&f.join("way"), 0o1777)], [Ours, Ours, Ours]),
    (
        "the way is a group's",
        true,
        &[|f| chown(f.join("way"), None, Some(STRANGER)).unwrap(), |f| set(&f.join("way"), 0o770)],
        [Refused, Refused, Refused],
    ),
    (
        "the way can be read by a group",
        true,
        &[|f| chown(f.join("way"), None, Some(STRANGER)).unwrap(), |f| set(&f.join("way"), 0o750)],
        [Ours, Ours, Ours],
    ),
    ("the way is the user's own group's", false, &[|f| set(&f.join("way"), 0o770)], [Ours, Ours, Ours]),
    (
        "the way is somebody else's",
        true,
        &[|f| chown(f.join("way"), Some(STRANGER), None).unwrap()],
        [Refused, Refused, Refused],
    ),
    (
        "the way is a link of somebody else's",
        true,
        &[
            |f| replace_by_link(&f.join("way"), &f.join("moved")),
            |f| lchown(f.join("way"), Some(STRANGER), None).unwrap(),
        ],
        [Refused, Refused, Refused],
    ),
    (
        "the way is a link in a circle",
        false,
        &[|f| {
            fs::rename(f.join("way"), f.join("moved")).unwrap();
            symlink("way", f.join("way")).unwrap();
        }],
        [Refused, Refused, Refused],
    ),
    (
        "files can be read by all",
        false,
        &[|f| set(&f.join("way/state/journal.db"), 0o644), |f| set(&f.join("way/secret"), 0o644)],
        [Ours, Closed, Ours],
    ),
    (
        "files are the group's to read",
        false,
        &[|f| set(&f.join("way/state/journal.db"), 0o640), |f| set(&f.join("way/secret"), 0o640)],
        [Ours, Closed, Ours],
    ),
    (
        "files can be written by all",
        false,
        &[|f| set(&f.join("way/state/journal.db"), 0o606), |f| set(&f.join("way/secret"), 0o602)],
        [Ours, Refused, Refused],
    ),
    (
        "files can be written by a group",
        true,
        &[|f| {
            for file in ["way/state/journal.db", "way/secret"] {
                chown(f.join(file), None, Some(STRANGER)).unwrap();
                set(&f.join(file), 0o620);
            }
        }],
        [Ours, Refused, Refused],
    ),
    (
        "files are somebody else's",
        true,
        &[|f| {
            for file in ["way/state/journal.db", "way/secret"] {
                chown(f.join(file), Some(STRANGER), None).unwrap();
            }
        }],
        [Ours, Refused, Refused],
    ),
    (
        "files are links of ours",
        false,
        &[
            |f| replace_by_link(&f.join("way/state/journal.db"), &f.join("moved")),
            |f| replace_by_link(&f.join("way/secret"), &f.join("moved-secret")),
        ],
        [Ours, Refused, Ours],
    ),
    (
        "a secret is a link of somebody else's",
        true,
        &[
            |f| replace_by_link(&f.join("way/secret"), &f.join("moved")),
            |f| lchown(f.join("way/secret"), Some(STRANGER), None).unwrap(),
        ],
        [Ours, Ours, Refused],
    ),
    (
        "a secret leads to somebody else's file",
        true,
        &[
            |f| replace_by_link(&f.join("way/secret"), &f.join("moved")),
            |f| chown(f.join("moved"), Some(STRANGER), None).unwrap(),
        ],
        [Ours, Ours, Refused],
    ),
    (
        "a secret leads through a folder that is everybody's",
        false,
        &[|f| {
            DirBuilder::new().mode(0o700).create(f.join("open")).unwrap();
            replace_by_link(&f.join("way/secret"), &f.join("open/secret"));
            set(&f.join("open"), 0o777);
        }],
        [Ours, Ours, Refused],
    ),
    (
        "a secret leads up and down again",
        false,
        &[|f| {
            fs::rename(f.join("way/secret"), f.join("moved")).unwrap();
            symlink("../way/../moved", f.join("way/secret")).unwrap();
        }],
        [Ours, Ours, Ours],
    ),
    (
        "files are pipes",
        false,
        &[|f| {
            for file in ["way/state/journal.db", "way/secret"] {
                fs::remove_file(f.join(file)).unwrap();
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    f.join(file),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::from_raw_mode(0o600),
                    0,
                )
                .unwrap();
            }
        }],
        [Ours, Refused, Refused],
    ),
    (
        "files are folders",
        false,
        &[|f| {
            for file in ["way/state/journal.db", "way/secret"] {
                fs::remove_file(f.join(file)).unwrap();
                DirBuilder::new().mode(0o700).create(f.join(file)).unwrap();
            }
        }],
        [Ours, Refused, Refused],
    ),
    (
        "there is no file",
        false,
        &[|f| {
            for file in ["way/state/journal.db", "way/secret"] {
                fs::remove_file(f.join(file)).unwrap();
            }
        }],
        [Ours, Ours, Refused],
    ),
];

#[test]
fn what_is_kept_is_ours_alone() {
    let mut tried = 0;
    for (what, needs_root, changes, expected) in TABLE {
        if *needs_root && us() != 0 {
            continue;
        }
        tried += 1;
        // Each check gets a folder of its own, because a check of the folder may tighten it.
        let state = verdict(folder(&Scene::new(changes).at("way/state")));
        let journal = verdict(file(&Scene::new(changes).at("way/state/journal.db")));
        let secret = verdict(secret(&Scene::new(changes).at("way/secret")).map(|_| None));
        assert_eq!([state, journal, secret], *expected, "{what}");
    }
    assert!(tried >= 20, "{tried}");
}

#[test]
fn what_is_run_is_looked_at_like_what_is_read() {
    for (what, needs_root, changes, [_, _, expected]) in TABLE {
        if *needs_root && us() != 0 || ["files are folders"].contains(what) {
            continue;
        }
        let scene = Scene::new(changes);
        let (read, run) = (unwritable(&scene.at("way/secret")), installed(&scene.at("way/secret")));
        assert_eq!((read.is_err(), run.is_err()), (*expected == Refused, *expected == Refused), "{what}");
    }
    for program in ["/bin/sh", "/usr/bin/env", "/usr/bin", "/tmp/../bin/sh"] {
        installed(Path::new(program)).unwrap();
    }
}

#[test]
fn what_is_closed_stays_closed_and_what_is_refused_stays_refused() {
    let scene = Scene::new(&[|f| set(&f.join("way/state"), 0o755), |f| set(&f.join("way/state/journal.db"), 0o644)]);
    let said = folder(&scene.at("way/state")).unwrap().unwrap();
    assert!(said.contains("was open to other users (mode 755)"), "{said}");
    file(&scene.at("way/state/journal.db")).unwrap().unwrap();
    assert_eq!((mode(&scene.at("way/state")), mode(&scene.at("way/state/journal.db"))), (0o700, 0o600));
    assert_eq!(verdict(folder(&scene.at("way/state"))), Ours);
    assert_eq!(verdict(file(&scene.at("way/state/journal.db"))), Ours);

    let scene = Scene::new(&[|f| set(&f.join("way/state"), 0o777), |f| set(&f.join("way/state/journal.db"), 0o666)]);
    for _ in 0..2 {
        assert_eq!(verdict(folder(&scene.at("way/state"))), Refused, "whoever looks next is told as well");
    }
    set(&scene.at("way/state/journal.db"), 0o600);
    assert_eq!(verdict(folder(&scene.at("way/state"))), Closed);
    let new = scene.at("way/new/deeper");
    assert_eq!(verdict(folder(&new)), Ours);
    assert_eq!(mode(&new), 0o700);
}

#[test]
fn a_secret_is_read_whole_or_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().canonicalize().unwrap().join("secret");
    for (length, is_read) in [(0, true), (1, true), (SECRET_BYTES_MAX, true), (SECRET_BYTES_MAX + 1, false)] {
        let bytes = vec![b'x'; usize::try_from(length).unwrap()];
        fs::write(&path, &bytes).unwrap();
        set(&path, 0o600);
        match secret(&path) {
            Ok((read, mode)) => assert!(is_read && read == bytes && mode == 0o600, "{length}"),
            Err(error) => assert!(!is_read && matches!(error, NotOurs::TooLong(_)), "{length}: {error}"),
        }
    }
}
