//! `holdshort approvals edit`: proposes other arguments for the same capability.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdshort_gate::{Action, RATIONALE};
use serde_json::Value;

use super::decide::{add, confirm, decision, send};
use super::show::{MARKED, Page};
use crate::cli::args::Edit;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::terminal;
use crate::review::{changes, remarks, visible};
use holdshort_common::once::once;

/// Shows the approval, reads new arguments, shows the changes, asks for confirmation, and sends the edit. The approval
/// is shown first, because an edit without new evidence also counts as an approval. With `--yes` it is not shown again,
/// because the reviewer has seen it before. The draft is kept until the host has accepted the edit, so that typed text
/// is not lost if the digest became outdated.
pub(super) fn edit(args: &Edit, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let page = Page::open(&args.id, args.confirm.digest, args.full, client)?;
    let editor = if args.arguments.is_none() { editor()? } else { String::new() };
    if !output.json && !args.confirm.yes {
        output.lines(&page.lines(client, output.columns())?)?;
    }
    let action = &page.verified.proposal.action;
    let before = action.arguments();
    let (after, draft) = match &args.arguments {
        Some(file) => (action.edited(parse(&read(file)?)?), None),
        None => in_editor(&editor, action, &args.id.to_string()).map(|(after, draft)| (after, Some(draft)))?,
    };
    let changes = changes(before, &after);
    if changes.is_empty() {
        draft.iter().for_each(|draft| drop(fs::remove_file(draft)));
        return Err(Failure::new(Exit::Failed, "nothing was changed; nothing was sent"));
    }
    if !output.json {
        output.lines(&terminal::changes(&changes, output.columns()))?;
    }
    let remarks = remarks::of_value("", &after);
    for remark in &remarks {
        output.note(&format!("! {remark}"));
    }
    let mut decision = decision("edit", page.verified.digest, args.message.as_deref());
    add(&mut decision, "arguments", after);
    let kept = |failure: Failure| match &draft {
        Some(draft) => failure.hint(format!("your draft is kept in `{}`: send it with `--arguments`", draft.display())),
        None => failure,
    };
    let caution = if !remarks.iter().any(remarks::Remark::alarms) { page.caution() } else { Some(MARKED) };
    confirm(&args.confirm, "Send this edit?", caution.map(|why| ("edit", why)), output).map_err(kept)?;
    let exit = send(&args.id, decision, client, output).map_err(kept)?;
    // The journal has the edited arguments now, so the draft is not needed any more.
    draft.iter().for_each(|draft| drop(fs::remove_file(draft)));
    Ok(exit)
}

/// Reads the arguments from a file, or from standard input for `-`.
fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        fs::read_to_string(file).map(|whole| text = whole)
    };
    read.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read the arguments from `{}`: {error}", file.display()))
    })?;
    Ok(text)
}

/// Checks only the JSON syntax. The host checks the function's type.
fn parse(text: &str) -> Result<Value, Failure> {
    once(text.as_bytes()).map_err(|error| {
        Failure::new(Exit::Usage, format!("the new arguments are not JSON: {error}"))
            .hint("write one object, with a field for each parameter of the function")
    })
}

/// The command of the reviewer's editor, with its arguments.
pub(in crate::cli) fn editor() -> Result<String, Failure> {
    let named = ["VISUAL", "EDITOR"].into_iter().filter_map(|name| std::env::var(name).ok());
    named.into_iter().find(|words| !words.trim().is_empty()).ok_or_else(|| {
        Failure::new(Exit::Usage, "no editor is set in $VISUAL or $EDITOR")
            .hint("set one of the two, or give the arguments with `--arguments FILE`")
    })
}

/// Opens the reviewer's editor with the arguments, in which invisible characters are escaped, and reads the saved text.
/// The agent's rationale is left out, because it cannot be edited.
pub(in crate::cli) fn in_editor(words: &str, action: &Action, name: &str) -> Result<(Value, PathBuf), Failure> {
    let mut before = action.arguments().clone();
    if let Some(fields) = before.as_object_mut() {
        fields.remove(RATIONALE);
    }
    let draft = std::env::temp_dir().join(format!("holdshort-{name}-{}.json", std::process::id()));
    write(&draft, &(visible::json(&before) + "\n")).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write the draft `{}`: {error}", draft.display()))
    })?;
    let kept = format!("your draft is kept in `{}`: correct it and send it with `--arguments`", draft.display());
    let mut words = words.split_whitespace();
    let editor = words.next().unwrap_or_default();
    let status = Command::new(editor).args(words).arg(&draft).status().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot start the editor `{editor}`: {error}")).hint(&kept)
    })?;
    if !status.success() {
        let message = format!("the editor `{editor}` failed ({status}); nothing was sent");
        return Err(Failure::new(Exit::Failed, message).hint(kept));
    }
    let after = parse(&read(&draft)?).map_err(|failure| failure.hint(kept))?;
    Ok((action.edited(after), draft))
}

/// Writes a new file that only its owner can read. It does not follow a link that another user put
/// there.
fn write(draft: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use holdshort_gate::{Digest, FunctionType, WitType};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_editor_gets_a_private_draft_in_which_everything_can_be_seen() {
        let params = ["to", "amount", RATIONALE].map(|name| (name.to_owned(), WitType::String)).into();
        let arguments = json!({"to": "a\u{202E}@example.org", "amount": "1", RATIONALE: "\"1\" is due"});
        let (function, of) = (FunctionType { params, result: None }, "a:b/c#d".parse().unwrap());
        let before = Action::new(Digest::of(b""), of, &function, &arguments).unwrap();
        let (after, draft) = in_editor("sed -i s/\"1\"/\"2\"/", &before, "edit-test").unwrap();
        assert_eq!(after, json!({"to": "a\u{202E}@example.org", "amount": "2", RATIONALE: "\"1\" is due"}));
        let text = fs::read_to_string(&draft).unwrap();
        assert!(text.contains("a\\u202e@") && !text.contains("is due"), "{text}");
        fs::remove_file(draft).unwrap();

        let draft = std::env::temp_dir().join(format!("holdshort-private-test-{}.json", std::process::id()));
        write(&draft, "{}").unwrap();
        assert_eq!(fs::metadata(&draft).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(&draft, "{}").is_err(), "what is there already is not written over");
        fs::remove_file(draft).unwrap();

        let failure = in_editor("false", &before, "gave-up-test").unwrap_err();
        let hint = failure.hint.unwrap();
        fs::remove_file(hint.split('`').nth(1).unwrap()).unwrap();
    }
}
