//! Checks the documents. Each relative link of a Markdown file must lead to a file and a heading that exist. Each path
//! that a document names from the top of the repository must exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::top;

/// Folders whose documents are not checked. Documents in `templates` name paths of the project that a template makes.
const LEFT_OUT: [&str; 4] = ["target", "node_modules", ".git", "templates"];

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let documents = documents(&top());
    assert!(documents.len() >= 8, "{documents:?}");
    let wrong: Vec<String> = documents.iter().flat_map(|path| broken(path, &read(path))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let lost = |path: &PathBuf| {
        let text = read(path);
        let gone = named(&text).filter(|name| !top().join(name).exists()).map(str::to_owned).collect::<Vec<_>>();
        gone.into_iter().map(|name| format!("{}: there is no `{name}`", path.display())).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = documents(&top()).iter().flat_map(lost).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let text =
        "`host/gone.rs` and `cargo run`\n| `tests/run` |\n```sh\n`host/fence.rs`\n```\n`host/*.rs`, `host/<room>`\n";
    assert_eq!(named(text).collect::<Vec<_>>(), ["host/gone.rs", "tests/run"]);
}

#[test]
fn a_broken_link_is_found() {
    let readme = top().join("README.md");
    let text = "[a](SECURITY.md) [b](missing.md)\n`[c](code.md)` ![d](host/none.png)\n```\n[e](fence.md)\n```\n\
                [f](README.md#quick-start) [g](#quick-stop) [h](https://example.org) [i](host/CONFIGURATION.md#no)\n";
    let found = broken(&readme, text);
    let named = |target: &str| found.iter().filter(|line| line.contains(&format!("`{target}`"))).count();
    assert_eq!(found.len(), 4, "{found:?}");
    for target in ["missing.md", "host/none.png", "#quick-stop", "host/CONFIGURATION.md#no"] {
        assert_eq!(named(target), 1, "{target}: {found:?}");
    }
    assert_eq!(slug("`run`: What's *new*, and [a link](x.md)?"), "run-whats-new-and-a-link");
}

/// The beginnings of a path from the top of the repository.
const TOP: [&str; 7] = ["host/", "tests/", "wit/", "guest-examples/", ".ci/", ".github/", ".cargo/"];

/// The Markdown files under a folder.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() && !LEFT_OUT.contains(&name.as_str()) {
            found.extend(documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words in code spans of a document that are paths from the top of the repository.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    let lines = text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    let words = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    words.filter(is_path).filter(|word| TOP.iter().any(|top| word.starts_with(top)))
}

/// The text of a document without its code, because brackets in code are not links.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    lines.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("`") + "\n").collect()
}

/// The links of a document that lead nowhere, one per line.
fn broken(path: &Path, text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let relative = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    let lost = relative.filter(|target| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let to = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        let known = heading.is_empty() || to.is_file() && headings(&read(&to)).contains(heading);
        !to.exists() || !known
    });
    lost.map(|target| format!("{}: the link `{target}` leads nowhere", path.display())).collect()
}

/// The anchors that GitHub makes for the headings of a document.
fn headings(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title);
        let again = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(again).find(|slug| !found.contains(slug));
        found.extend(free);
    }
    found
}

/// The anchor of a heading: lower case, the text of links, `-` for spaces, and no other punctuation.
fn slug(title: &str) -> String {
    let text: String = title
        .split('[')
        .map(|part| {
            part.split_once("](").map_or(part.to_owned(), |(text, rest)| {
                format!("{text}{}", rest.split_once(')').map_or("", |(_, after)| after))
            })
        })
        .collect();
    let kept =
        text.trim().to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}
