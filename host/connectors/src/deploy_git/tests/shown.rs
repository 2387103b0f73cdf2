//! What a reviewer sees of a deployment, from several kinds of repositories.

use super::*;

#[tokio::test]
async fn nothing_of_the_repository_runs() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n")]);
    let canary = scratch.trap();
    // This step checks that the trap works: an ordinary git command triggers it.
    scratch.run(&["update-ref", "refs/heads/x", "main"]);
    assert!(std::fs::remove_file(&canary).is_ok());
    let (git, action) = (connector(&scratch), deploy("production", "main"));
    let previewed = git.preview(&"release".into(), &action).await.unwrap();
    assert!(text(&previewed, "diff").contains("-1\n+2\n"));
    assert!(matches!(perform(&git, &action, &previewed.preconditions, "k").await, Attempt::Done(_)));
    assert!(matches!(git.lookup(&inquiry(&action, &previewed.preconditions, "k")).await, Finding::Happened { .. }));
    assert!(!canary.exists(), "{}", std::fs::read_to_string(&canary).unwrap_or_default());
}

#[tokio::test]
async fn a_large_diff_is_shown_whole_or_the_deployment_is_refused() {
    let scratch = Scratch::new();
    // The test looks for the last line, which would be missing in a shortened diff.
    scratch.commit("large", &[("large.txt", &("0123456789\n".repeat(1_000_000) + "the last line\n"))]);
    let previewed = connector(&scratch).preview(&"release".into(), &deploy("production", "main")).await.unwrap();
    let diff = text(&previewed, "diff");
    assert!(diff.len() > 12_000_000 && diff.ends_with("+0123456789\n+the last line\n"), "{} bytes", diff.len());

    scratch.commit("larger", &[("larger.txt", &"0123456789\n".repeat(500_000))]);
    let refused = connector(&scratch).preview(&"release".into(), &deploy("production", "main")).await;
    let Err(CannotPreview::Impossible(why)) = refused else { panic!("it is shown") };
    let end = "bytes, but at most 16777216 bytes are shown to reviewers, and evidence is never cut: deploy a revision closer to the \
               target's current commit, or ask the operator to move the branch by hand";
    assert!(
        why.starts_with("over a limit of this host: `diff ") && why.contains("` is 1800") && why.ends_with(end),
        "{why}"
    );
    // The first of the two commits is small enough to be shown, so it can be deployed.
    assert!(
        connector(&scratch)
            .preview(&"release".into(), &deploy("production", scratch.tip("main~1").as_str()))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_bare_repository_with_packed_references_is_deployed_to() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n")]);
    let bare = scratch.folder.path().join("bare.git");
    scratch.run(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let children = Children::open(&scratch.folder.path().join("children")).unwrap();
    let git = Git::at(&bare);
    // A bare repository has nothing checked out, although HEAD names a branch.
    let targets = [("main".to_owned(), "main".parse().unwrap())].into();
    let git = DeployGit::new(git, targets, children);
    let action = deploy("main", "production");
    let previewed = git.preview(&"release".into(), &action).await.unwrap();
    assert!(previewed.summary.contains("NOT A FAST-FORWARD"), "back to an earlier commit: {}", previewed.summary);
    assert!(matches!(perform(&git, &action, &previewed.preconditions, "k").await, Attempt::Done(_)));
    let [main] = git.git.references(["refs/heads/main"]).await.unwrap();
    assert_eq!(main.unwrap().id, scratch.tip("production"));
}

/// However an agent names the commit, `branches` lists the branches at exactly that commit. Policies can use it when
/// `reference` is missing.
#[tokio::test]
async fn the_branches_at_the_commit_are_told_however_it_is_named() {
    let scratch = Scratch::new();
    let below = scratch.commit("two", &[("a.txt", "2\n")]);
    let new = scratch.commit("three", &[("a.txt", "3\n")]);
    let old = scratch.tip("production").to_string();
    scratch.run(&["branch", "release/1", &new.to_string()]);
    scratch.run(&["branch", "below", &below.to_string()]);
    // Tags, symbolic references, other references and longer names do not count.
    scratch.run(&["tag", "v3", &new.to_string()]);
    scratch.run(&["tag", "-a", "-m", "three", "v3-a", &new.to_string()]);
    scratch.run(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    scratch.run(&["update-ref", "refs/remotes/origin/main", &new.to_string()]);
    scratch.run(&["update-ref", "refs/holdshort/effects/k9", &new.to_string()]);
    let git = connector(&scratch);
    let told = async |revision: &str| {
        let previewed = git.preview(&"release".into(), &deploy("production", revision)).await.unwrap();
        (
            previewed.facts["branches"].clone(),
            previewed.exhibits.iter().map(|one| one.title.clone()).collect::<Vec<_>>(),
        )
    };
    let both = json!(["refs/heads/main", "refs/heads/release/1"]);
    let (full, main) = (new.to_string(), "refs/heads/main");
    for revision in [&*full, "main", main, "release/1", "v3", "v3-a", "refs/tags/v3-a", "refs/remotes/origin/main"] {
        assert_eq!(told(revision).await.0, both, "{revision}");
    }
    assert_eq!(told(&below.to_string()).await.0, json!(["refs/heads/below"]));
    scratch.run(&["branch", "-D", "below"]);
    assert_eq!(told(&below.to_string()).await.0, json!([]));
    assert_ne!(old, full);
    // With one branch more than the maximum, no branch is listed, and the evidence says so.
    for index in 0..62 {
        scratch.run(&["update-ref", &format!("refs/heads/many/{index:02}"), &full]);
    }
    scratch.run(&["symbolic-ref", "--delete", "refs/heads/alias"]);
    let (branches, titles) = told(&full).await;
    let names: Vec<&str> = branches.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!((names.len(), names.is_sorted()), (64, true));
    assert!(!titles.iter().any(|title| title.contains("NOT LISTED")), "{titles:?}");
    scratch.run(&["update-ref", "refs/heads/many/62", &full]);
    let (branches, titles) = told(&full).await;
    assert_eq!((branches, titles.iter().filter(|title| title.contains("NOT LISTED")).count()), (Value::Null, 1));
}

#[tokio::test]
async fn a_message_that_git_cuts_is_shown_as_it_is_stored() {
    let scratch = Scratch::new();
    let (tree, parent) = (scratch.run(&["rev-parse", "main^{tree}"]), scratch.tip("main"));
    let text = format!(
        "tree {tree}\nparent {parent}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nfine\0and all else\n"
    );
    let id = scratch.fed(&["hash-object", "-t", "commit", "-w", "--literally", "--stdin"], text);
    let previewed = connector(&scratch).preview(&"release".into(), &deploy("production", &id)).await.unwrap();
    let stored = self::text(&previewed, "messages of 1 commit NOT SHOWN EXACTLY AS STORED");
    assert!(stored.contains(&id) && stored.contains("NUL bytes") && stored.contains("fine\0and all else"), "{stored}");
}

/// Whatever name a target or revision has, the host's own words in a refusal do not change.
#[tokio::test]
async fn a_refusal_is_in_the_hosts_words() {
    let scratch = Scratch::new();
    let git = connector(&scratch);
    let mut refused = BTreeMap::new();
    for words in crate::exhibit::tests::words() {
        let both = (refusal(&git, &words, "main").await, refusal(&git, "production", &words).await);
        refused.insert(words, both);
    }
    let both = |words: &str| refused.get(words).cloned();
    assert!(refused_alike("target", |words| Some(both(words)?.0)) > 150);
    assert!(refused_alike("revision", |words| Some(both(words)?.1)) > 150);
}
