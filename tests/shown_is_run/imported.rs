//! Commits that are made byte by byte with `git fast-import`. They have names, modes and contents that a work tree
//! would not accept.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A file in a commit.
#[derive(Clone, Debug)]
pub struct File {
    pub path: Vec<u8>,
    pub mode: &'static str,
    pub content: Vec<u8>,
}

/// An ordinary file.
pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> File {
    with_mode("100644", path, content)
}

/// A file with any mode. The content of a submodule is the id of its commit.
pub fn with_mode(mode: &'static str, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> File {
    File { path: path.as_ref().to_vec(), mode, content: content.as_ref().to_vec() }
}

/// Commits for `git fast-import`, each with its own mark.
#[derive(Default)]
pub struct Import {
    script: Vec<u8>,
    marks: usize,
}

impl Import {
    /// Adds a commit at the tip of `branch`, with exactly these parents (given as marks) and exactly these files.
    /// Returns its mark.
    pub fn commit(&mut self, branch: &str, parents: &[usize], files: &[File]) -> usize {
        self.marks += 1;
        let mark = self.marks;
        let person = format!("Ann <ann@example.com> {} +0000", 1_700_000_000 + mark);
        let subject = format!("commit {mark}");
        // The branch is reset before every commit, so that the commit has only the parents that are named.
        let mut head = format!("reset refs/heads/{branch}\ncommit refs/heads/{branch}\nmark :{mark}\n");
        head += &format!("author {person}\ncommitter {person}\ndata {}\n{subject}\n", subject.len());
        for (number, parent) in parents.iter().enumerate() {
            head += &format!("{} :{parent}\n", if number == 0 { "from" } else { "merge" });
        }
        self.script.extend((head + "deleteall\n").into_bytes());
        for File { path, mode, content } in files {
            let path: Vec<u8> = path.iter().flat_map(|byte| format!("\\{byte:03o}").into_bytes()).collect();
            let path = [b"\"", path.as_slice(), b"\"\n"].concat();
            if *mode == "160000" {
                let id = String::from_utf8(content.clone()).unwrap();
                self.script.extend([format!("M 160000 {id} ").as_bytes(), &path].concat());
            } else {
                let data = format!("data {}\n", content.len());
                self.script
                    .extend([format!("M {mode} inline ").as_bytes(), &path, data.as_bytes(), content, b"\n"].concat());
            }
        }
        self.script.push(b'\n');
        mark
    }

    /// Makes the commits in a new bare repository.
    pub fn into_repository(self, path: &Path) {
        git(path.parent().unwrap(), &["init", "--quiet", "--bare", "--initial-branch=main", path.to_str().unwrap()]);
        let mut child = command(path, &["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&self.script).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

/// A git command as a person runs it.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
    command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]);
    command
}

/// The output of git as bytes, when a person runs it with all settings of the repository.
pub fn git_bytes(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Like `git_bytes`, as text.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(git_bytes(folder, arguments)).unwrap().trim().to_owned()
}
