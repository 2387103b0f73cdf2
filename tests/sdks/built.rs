//! The example agents, each built in the project that `holdshort new --lang typescript --template assistant` writes.
//!
//! Building a component takes 15 seconds of processor, and compiling it 40 more in a debug build of the host. So both
//! results stay under `target/sdks`, with the digest of everything that the component is made of.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::support::skipped::skipped;
use crate::support::{Folder, top};

/// The host of a model's server in the examples, and their URLs.
const SERVERS: [&str; 2] = ["https://api.openai.com/v1", "https://api.anthropic.com"];

/// A project whose agent is `source`, ready to build. `None` without the tools, which notes that the test is skipped.
pub fn project(source: &str) -> Option<Folder> {
    let tools = top().join("target/authors/typescript/node_modules");
    if !tools.join("openai").exists() {
        skipped(&format!("agents with SDKs: `tests/run` installs them in {}", tools.display()));
        return None;
    }
    let folder = Folder::new(&[], "");
    fs::remove_file(folder.path().join("holdshort.toml")).unwrap();
    let said = folder.run(&["new", "my-agent", "--lang", "typescript", "--template", "assistant"]);
    assert!(said.status.success(), "{said:?}");
    let project = folder.path().join("my-agent");
    for entry in fs::read_dir(&project).unwrap().map(Result::unwrap) {
        fs::rename(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder.write("src/agent.ts", source);
    symlink(tools, folder.path().join("node_modules")).unwrap();
    Some(folder)
}

/// Builds a project with the command of its README. Returns what the command said if it failed.
pub fn build(folder: &Folder) -> Result<(), String> {
    let output = Command::new("npm").args(["run", "build"]).current_dir(folder.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
}

/// An example agent whose model is at an address of the test.
pub struct Built {
    /// The project, as `new` wrote it.
    pub project: Folder,
    pub component: PathBuf,
    /// The compiled code, as a host keeps it.
    compiled: PathBuf,
}

impl Built {
    /// The example `name`, built now or before. `None` without the tools.
    pub fn example(name: &str, server: &str) -> Option<Self> {
        let source = fs::read_to_string(top().join(format!("guest-examples/typescript/{name}.ts"))).unwrap();
        let here = SERVERS.iter().fold(source.clone(), |text, url| {
            text.replace(url, &format!("http://{server}{}", if url.ends_with("/v1") { "/v1" } else { "" }))
        });
        assert_ne!(here, source, "{name} names the URL of its model");
        let folder = project(&here)?;
        let (kept, digest) = (top().join("target/sdks").join(name), digest(folder.path()));
        let component = kept.join("agent.wasm");
        if fs::read_to_string(kept.join("digest")).ok().as_ref() != Some(&digest) {
            drop(fs::remove_dir_all(&kept));
            build(&folder).unwrap_or_else(|said| panic!("{name}: {said}"));
            fs::create_dir_all(&kept).unwrap();
            fs::copy(folder.path().join("agent.wasm"), &component).unwrap();
            fs::write(kept.join("digest"), digest).unwrap();
        }
        let compiled = kept.join("compiled");
        if compiled.exists() {
            fs::create_dir_all(folder.path().join(".holdshort")).unwrap();
            copy(&compiled, &folder.path().join(".holdshort/compiled"));
        }
        Some(Self { project: folder, component, compiled })
    }

    /// Keeps the code that the host of the project has compiled.
    pub fn keep(&self) {
        if !self.compiled.exists() {
            copy(&self.project.path().join(".holdshort/compiled"), &self.compiled);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// The digest of everything that the component of a project is made of.
fn digest(project: &Path) -> String {
    let mut whole = Sha256::new();
    let lock = top().join("guest-examples/typescript/package-lock.json");
    for path in files(project).into_iter().chain([lock]) {
        whole.update(path.file_name().unwrap().as_encoded_bytes());
        whole.update(Sha256::digest(fs::read(path).unwrap()));
    }
    whole.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a folder, in the order of their paths, without links.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}
