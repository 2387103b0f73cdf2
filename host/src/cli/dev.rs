//! `holdshort dev`: builds and tests an agent again after each change of its files.
//!
//! The test is [`run --script`](super::script), so no service is reached. Build and test are programs of their own, in a
//! group of processes that ends with this command.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use holdshort_gate::AgentName;
use rustix::process::{Pid, Signal, kill_process_group};

use super::args::{DevArgs, Global};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::session;
use crate::config::{Agent, Config};

/// The interval between looks at the files, and at a running program.
const PAUSE: Duration = Duration::from_millis(200);
/// The folders of a project that are watched, with all that is in them.
const WATCHED: [&str; 2] = ["src", "wit"];

/// The files that are watched: when each was changed, and its size.
type Files = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// An agent's project.
struct Project<'a> {
    folder: &'a Path,
    name: &'a AgentName,
    component: &'a Path,
    build: &'a [String],
    script: &'a Path,
    output: &'a Output,
    interrupted: Arc<AtomicBool>,
}

/// Builds and tests until Ctrl-C.
pub(super) fn run(args: &DevArgs, global: &Global, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let (name, agent, build) = agent(args.agent.as_deref(), config)?;
    if !args.script.exists() {
        return Err(Failure::new(Exit::Usage, format!("there is no script `{}`", args.script.display()))
            .hint("the script says what the agent must call, as host/TESTING.md describes; `holdshort runs record RUN` writes one from a run"));
    }
    let runtime = session::runtime()?;
    let interrupted = session::interrupted(&runtime);
    let (component, script) = (agent.component.as_path(), args.script.as_path());
    let project = Project { folder: &config.folder, name, component, build, script, output, interrupted };
    while !project.is_over() {
        let before = project.files();
        project.build_and_test(global)?;
        project.await_change(before);
    }
    Ok(Exit::Done)
}

/// The agent with this name, or the only one that is built.
fn agent<'a>(given: Option<&str>, config: &'a Config) -> Result<(&'a AgentName, &'a Agent, &'a [String]), Failure> {
    let built = config.agents.iter().filter_map(|(name, agent)| Some((name, agent, agent.build.as_deref()?)));
    let mut named = built.filter(|(name, ..)| given.is_none_or(|given| name.as_str() == given));
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::new(Exit::Usage, match given {
            Some(given) => format!("no agent `{given}` with a `build` is configured"),
            None => "no agent with a `build` is configured".into(),
        })
        .hint("add the command that writes the component to its section, such as `build = [\"npm\", \"run\", \"build\"]` in `[agents.NAME]`")),
        (Some(_), Some(_)) => Err(Failure::new(Exit::Usage, "several agents are built here").hint("name one of them: `holdshort dev AGENT`")),
    }
}

impl Project<'_> {
    fn is_over(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn build_and_test(&self, global: &Global) -> Result<(), Failure> {
        let [program, arguments @ ..] = self.build else { return Ok(()) };
        let mut build = Command::new(program);
        build.args(arguments).current_dir(self.folder);
        self.output.note(&format!("building: {}", self.build.join(" ")));
        let Some((status, took)) = self.ended(&mut build, program)? else { return Ok(()) };
        if !status.success() {
            self.output.note(&format!("the build failed ({status}) after {took:.1} s"));
            return Ok(());
        }
        self.output.note(&format!("built in {took:.1} s; testing `{}`", self.name));
        let ours = std::env::current_exe().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let mut test = Command::new(&ours);
        if let Some(config) = &global.config {
            test.arg("--config").arg(config);
        }
        if global.no_color {
            test.arg("--no-color");
        }
        test.arg("run").arg(self.name.as_str()).arg("--script").arg(self.script);
        if let Some((status, took)) = self.ended(&mut test, "holdshort")? {
            let how = if status.success() { "passed" } else { "failed" };
            self.output.note(&format!("the test {how} after {took:.1} s"));
        }
        Ok(())
    }

    /// Waits for a program, and returns how it ended and the seconds that it took; `None` after Ctrl-C.
    fn ended(&self, command: &mut Command, program: &str) -> Result<Option<(ExitStatus, f32)>, Failure> {
        let began = Instant::now();
        let failed = |error: io::Error| Failure::new(Exit::Failed, format!("`{program}`: {error}"));
        let mut group = Group(command.stdin(Stdio::null()).process_group(0).spawn().map_err(failed)?);
        loop {
            if let Some(status) = group.0.try_wait().map_err(failed)? {
                return Ok(Some((status, began.elapsed().as_secs_f32())));
            }
            if self.is_over() {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for another file than before the build, or Ctrl-C. What a build changes beside the watched folders, such as
    /// a lock file, is no reason to build again.
    fn await_change(&self, before: Files) {
        let is_watched = |path: &PathBuf| WATCHED.iter().any(|folder| path.starts_with(self.folder.join(folder)));
        let built = self.files().into_iter().filter(|(path, _)| !is_watched(path));
        let known: Files = before.into_iter().filter(|(path, _)| is_watched(path)).chain(built).collect();
        if self.is_over() {
            return;
        }
        self.output.note(&format!("waiting for a change in {}; Ctrl-C ends", self.folder.display()));
        while !self.is_over() && self.files() == known {
            thread::sleep(PAUSE);
        }
    }

    /// The files beside the configuration without the component, and those in the watched folders.
    fn files(&self) -> Files {
        let mut files = Files::new();
        add(self.folder, false, &mut files);
        WATCHED.iter().for_each(|folder| add(&self.folder.join(folder), true, &mut files));
        files.remove(self.component);
        files
    }
}

/// Adds the files of a folder, and of the folders in it if `deep`. Hidden files and compiled modules of Python are left
/// out, and a file that is just being replaced.
fn add(folder: &Path, deep: bool, files: &mut Files) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".") || name == "__pycache__";
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && deep && !is_hidden => add(&entry.path(), true, files),
            Ok(metadata) if metadata.is_file() && !is_hidden => {
                files.insert(entry.path(), (metadata.modified().ok(), metadata.len()));
            }
            _ => {}
        }
    }
}

/// A program and those that it started. They end when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // The group has gone if all of its programs have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}
