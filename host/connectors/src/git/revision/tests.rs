//! Tries many spellings of a revision with every connector that passes an agent's text to git. Each spelling gives the
//! same commit and reference everywhere, or is refused everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use holdshort_gate::Action;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::tests::{Scratch, action, answer};
use super::*;
use crate::checks::{Check, Checks};
use crate::child::Children;
use crate::deploy_command::DeployCommand;
use crate::deploy_git::DeployGit;
use crate::program::Program;
use crate::repository::Repository;
use crate::{CannotPreview, Preview};

#[path = "../../../../../tests/support/evidence.rs"]
#[allow(clippy::duplicate_mod, reason = "tests of several modules note what they tried")]
mod evidence;

/// The content of `tests/data/revisions.toml`. Comments in that file explain its words.
#[derive(Deserialize)]
struct Table {
    references: BTreeMap<String, String>,
    symbolic: BTreeMap<String, String>,
    rows: Rows,
}

#[derive(Deserialize)]
struct Rows {
    found: Vec<Found>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Found {
    text: String,
    is: String,
    by: Option<String>,
    #[serde(default)]
    on: Vec<String>,
}

#[derive(Deserialize)]
struct Refused {
    text: String,
    why: String,
}

const CHECKS: [(&str, &[&str]); 4] = [
    ("any", &["*"]),
    ("trusted", &["main", "release/*"]),
    ("tags", &["refs/tags/v*"]),
    ("remote", &["refs/remotes/origin/*"]),
];

/// The repository, the ids of its objects by their names in the table, and every connector that takes a revision.
struct World {
    scratch: Scratch,
    ids: BTreeMap<String, String>,
    checks: Checks,
    by_git: DeployGit,
    by_command: DeployCommand,
    repository: Repository,
}

impl World {
    fn new(table: &Table) -> Self {
        let scratch = Scratch::new();
        let mut ids = BTreeMap::new();
        for name in ["base", "reviewed", "evil", "other"] {
            scratch.commit(name, &[("a.txt", name)]);
            ids.insert(name.to_owned(), scratch.run(&["rev-parse", "HEAD"]));
        }
        scratch.run(&["checkout", "-q", "--detach"]);
        ids.insert("tree".into(), scratch.run(&["rev-parse", "HEAD^{tree}"]));
        ids.insert("blob".into(), scratch.run(&["rev-parse", "HEAD:a.txt"]));
        for (name, of) in
            [("annotated", "reviewed"), ("nested", "annotated"), ("tag-of-tree", "tree"), ("tag-of-blob", "blob")]
        {
            scratch.run(&["tag", "-a", "made", "-m", "x", &ids[of]]);
            ids.insert(name.into(), scratch.run(&["rev-parse", "refs/tags/made"]));
            scratch.run(&["update-ref", "-d", "refs/tags/made"]);
        }
        scratch.run(&["update-ref", "-d", "refs/heads/production"]);
        for (name, of) in &table.references {
            scratch.run(&["update-ref", &filled(name, &ids), &ids[of]]);
        }
        for (name, target) in &table.symbolic {
            scratch.run(&["symbolic-ref", name, target]);
        }
        let children = Children::open(&scratch.folder.path().join("children")).unwrap();
        let check = |patterns: &[&str]| Check {
            argv: ["cat", "a.txt"].map(str::to_owned).into(),
            time_out: Duration::from_secs(60),
            revisions: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(),
            environment: Vec::new(),
            confined: None,
        };
        let checks = CHECKS.map(|(name, patterns)| (name.to_owned(), check(patterns))).into();
        let program = Program {
            argv: vec!["true".into()],
            folder: scratch.path.clone(),
            time_out: Duration::from_secs(60),
            environment: Vec::new(),
            not_done: Vec::new(),
        };
        let targets = || BTreeMap::from([("live".to_owned(), "live".parse().unwrap())]);
        let git = scratch.git();
        Self {
            checks: Checks::open(git.clone(), checks, children.clone(), scratch.folder.path().join("checkouts"))
                .unwrap(),
            by_git: DeployGit::new(git.clone(), targets(), children.clone()),
            by_command: DeployCommand::new(program, git.clone(), targets(), children),
            repository: Repository::new(git),
            scratch,
            ids,
        }
    }

    fn filled(&self, text: &str) -> String {
        filled(text, &self.ids)
    }

    async fn check(&self, name: &str, text: &str) -> Value {
        answer(&self.checks, &action("checks", "run", &json!({ "name": name, "revision": text }))).await
    }

    /// The preview of both deploy connectors. The two previews must agree.
    async fn deploy(&self, text: &str) -> Result<Value, String> {
        let release = json!({ "target": "live", "revision": text, "notes": "" });
        let action: Action = action("deployment", "deploy", &json!({ "release": release }));
        let look = async |preview: &dyn Preview| match preview.preview(&"agent".into(), &action).await {
            Ok(previewed) => Ok(json!([previewed.facts["new-commit"], previewed.facts["reference"]])),
            Err(CannotPreview::Impossible(why)) => Err(why.into_string()),
            Err(CannotPreview::Unavailable(why)) => panic!("{text:?}: {why}"),
        };
        let (git, command) = (look(&self.by_git).await, look(&self.by_command).await);
        assert_eq!(git, command, "{text:?}");
        git
    }

    /// The answers of all functions of `repository`, with the text in each revision argument.
    async fn read(&self, text: &str) -> Vec<Value> {
        let mut answers = Vec::new();
        for (function, arguments) in [
            ("read-file", json!({ "revision": text, "path": "a.txt" })),
            ("log", json!({ "from": text, "to": text, "limit": 1 })),
            ("diff", json!({ "from": text, "to": text })),
        ] {
            answers.push(answer(&self.repository, &action("repository", function, &arguments)).await);
        }
        answers
    }
}

/// Replaces each `{…}` of the table by the id or the repeated text that it stands for.
fn filled(text: &str, ids: &BTreeMap<String, String>) -> String {
    let Some((before, rest)) = text.split_once('{') else { return text.to_owned() };
    let Some((inner, after)) = rest.split_once('}') else { return text.to_owned() };
    let (name, digits) = inner.split_once(':').map_or((inner, 64), |(name, digits)| (name, digits.parse().unwrap()));
    let id = |id: &String| id.chars().take(digits).collect::<String>();
    let put = match inner.split_once('*') {
        Some((times, what)) if times.parse::<usize>().is_ok() => what.repeat(times.parse().unwrap()),
        _ => match (ids.get(name), ids.get(&name.to_lowercase())) {
            (Some(found), _) => id(found),
            (None, Some(found)) if name == name.to_uppercase() => id(found).to_uppercase(),
            // Other braces stay, because they are a part of a revision, such as `@{upstream}`.
            _ => return format!("{before}{{{inner}}}{}", filled(after, ids)),
        },
    };
    format!("{before}{put}{}", filled(after, ids))
}

#[tokio::test]
async fn a_text_is_the_same_commit_on_every_road_or_refused_on_each() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/revisions.toml");
    let table: Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let world = World::new(&table);
    let git = world.scratch.git();
    for Found { text, is, by, on } in &table.rows.found {
        let (text, by) = (world.filled(text), by.as_ref().map(|by| world.filled(by)));
        let id = &world.ids[is];
        let resolved = git.resolve(&text).await.unwrap_or_else(|why| panic!("{text:?}: {why}"));
        assert_eq!(
            (resolved.commit().as_str(), resolved.reference().map(ReferenceName::as_str)),
            (id.as_str(), by.as_deref()),
            "{text:?}"
        );
        for (name, _) in CHECKS {
            let answer = world.check(name, &text).await;
            if name == "any" || on.iter().any(|on| on == name) {
                assert_eq!(
                    (&answer["ok"]["revision"], &answer["ok"]["output-tail"]),
                    (&json!(id), &json!(is)),
                    "{name} {text:?}"
                );
            } else {
                let why = answer["err"].as_str().unwrap_or_else(|| panic!("{name} ran on {text:?}: {answer}"));
                assert!(why.contains("may not run on"), "{name} {text:?}: {why}");
            }
        }
        assert_eq!(world.deploy(&text).await, Ok(json!([id, by])), "{text:?}");
        let answers = [json!(is), json!([]), json!("")].map(|answer| json!({ "ok": answer }));
        assert_eq!(world.read(&text).await, answers, "{text:?}");
    }
    for Refused { text, why } in &table.rows.refused {
        let (text, why) = (world.filled(text), world.filled(why));
        let said = match git.resolve(&text).await {
            Err(NotResolved::Git(error)) => panic!("{text:?}: {error}"),
            Err(said) => said.to_string(),
            Ok(resolved) => panic!("{text:?} is {resolved:?}"),
        };
        assert!(said.contains(&why), "{text:?}: {said}");
        for name in ["any", "trusted"] {
            assert_eq!(world.check(name, &text).await, json!({ "err": said }), "{name} {text:?}");
        }
        assert_eq!(world.deploy(&text).await, Err(said.clone()), "{text:?}");
        for answer in world.read(&text).await {
            assert_eq!(answer, json!({ "err": said }), "{text:?}");
        }
    }
    let rows = table.rows.found.len() + table.rows.refused.len();
    assert!(rows >= 130, "{rows}");
    evidence::figure("T31", "spellings of a revision", rows as u64);
    let answers = table.rows.found.len() * (CHECKS.len() + 5) + table.rows.refused.len() * 7;
    evidence::figure("T31", "answers to them", answers as u64);
}
