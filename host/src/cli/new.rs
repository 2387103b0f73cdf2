//! `holdshort new`: writes the project of an agent, which builds with one command of its language
//! and runs in its folder.
//!
//! A project imports only what its agent uses: the toolchains of Python and TypeScript import all
//! of a world, and a host refuses an agent with an import that the host cannot offer.

use std::io::ErrorKind;
use std::path::Path;
use std::{fs, io};

use serde_json::json;

use super::args::{Language, NewArgs, TemplateName};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::agent::WIT_FILES;

/// The files of every project.
const COMMON: [(&str, &str); 3] = [
    ("README.md", include_str!("new/templates/README.md")),
    ("holdshort.toml", include_str!("new/templates/holdshort.toml")),
    ("wit/world.wit", include_str!("new/templates/world.wit")),
];
/// The folder of the WIT package, where the tools of all languages look for it.
const PACKAGE: &str = "wit/deps/holdshort-agent";

/// What the agent of a project is for.
struct Purpose {
    /// What the README says of the agent.
    about: &'static str,
    /// The task of the examples, as a shell reads it.
    task: &'static str,
    /// The end of `holdshort.toml`.
    settings: &'static str,
    /// The script that tests the agent.
    script: &'static str,
}

const MINIMAL: Purpose = Purpose {
    about: "The agent asks a person what to write, and sends the answer by email. The message is sent after a reviewer has approved it.",
    task: "ann@example.org",
    settings: "",
    script: include_str!("new/templates/decisions.toml"),
};

const ASSISTANT: Purpose = Purpose {
    about: "A language model works on the task, with two tools: it asks a person, and it sends emails. A message is sent after a reviewer has approved it; \
            the model reads the reason of a rejection.",
    task: "'Tell ann@example.org that the report is ready.'",
    settings: include_str!("new/templates/typescript/assistant/settings.toml"),
    script: include_str!("new/templates/typescript/assistant/decisions.toml"),
};

/// A project in one language. Its files may contain the words that [`Template::fill`] replaces.
struct Template {
    purpose: Purpose,
    /// The tools that it needs: one command, given once.
    setup: &'static str,
    build: &'static str,
    /// The file that the build writes.
    component: &'static str,
    /// The file to begin with.
    source: &'static str,
    /// The end of the README.
    notes: &'static str,
    files: &'static [(&'static str, &'static str)],
}

const RUST: Template = Template {
    purpose: MINIMAL,
    setup: "rustup target add wasm32-unknown-unknown",
    build: "cargo build --release",
    component: "target/wasm32-unknown-unknown/release/agent.wasm",
    source: "src/lib.rs",
    notes: include_str!("new/templates/rust/notes.md"),
    files: &[
        ("Cargo.toml", include_str!("new/templates/rust/Cargo.toml")),
        (".cargo/config.toml", include_str!("new/templates/rust/.cargo/config.toml")),
        (".gitignore", include_str!("new/templates/rust/gitignore")),
        ("src/lib.rs", include_str!("new/templates/rust/src/lib.rs")),
    ],
};

const PYTHON: Template = Template {
    purpose: MINIMAL,
    setup: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
    build: ".venv/bin/componentize-py -d wit -w program componentize -p src app -o agent.wasm",
    component: "agent.wasm",
    source: "src/app.py",
    notes: include_str!("new/templates/python/notes.md"),
    files: &[
        ("requirements.txt", include_str!("new/templates/python/requirements.txt")),
        ("pyproject.toml", include_str!("new/templates/python/pyproject.toml")),
        (".gitignore", include_str!("new/templates/python/gitignore")),
        ("src/app.py", include_str!("new/templates/python/src/app.py")),
    ],
};

const TYPESCRIPT: Template = Template {
    purpose: MINIMAL,
    setup: "npm install",
    build: "npm run build",
    component: "agent.wasm",
    source: "src/agent.ts",
    notes: include_str!("new/templates/typescript/notes.md"),
    files: &[
        ("package.json", include_str!("new/templates/typescript/package.json")),
        ("tsconfig.json", include_str!("new/templates/typescript/tsconfig.json")),
        (".gitignore", include_str!("new/templates/typescript/gitignore")),
        ("src/agent.ts", include_str!("new/templates/typescript/src/agent.ts")),
    ],
};

/// The sources are the example of the SDK `openai`, which the tests run.
const TYPESCRIPT_ASSISTANT: Template = Template {
    purpose: ASSISTANT,
    notes: include_str!("new/templates/typescript/assistant/notes.md"),
    files: &[
        ("package.json", include_str!("new/templates/typescript/assistant/package.json")),
        ("tsconfig.json", include_str!("new/templates/typescript/tsconfig.json")),
        (".gitignore", include_str!("new/templates/typescript/gitignore")),
        ("model.cedar", include_str!("new/templates/typescript/assistant/model.cedar")),
        ("src/agent.ts", include_str!("../../../guest-examples/typescript/openai.ts")),
        ("src/tools.ts", include_str!("../../../guest-examples/typescript/tools.ts")),
    ],
    ..TYPESCRIPT
};

/// Writes the project into a new folder, and prints the commands that build and run it.
pub(super) fn run(args: &NewArgs, output: &Output) -> Result<Exit, Failure> {
    let name = &args.name;
    let template = match (args.lang, args.template) {
        (Language::Rust, TemplateName::Minimal) => RUST,
        (Language::Python, TemplateName::Minimal) => PYTHON,
        (Language::Typescript, TemplateName::Minimal) => TYPESCRIPT,
        (Language::Typescript, TemplateName::Assistant) => TYPESCRIPT_ASSISTANT,
        (Language::Rust | Language::Python, TemplateName::Assistant) => {
            return Err(Failure::new(Exit::Usage, "the template `assistant` is written in TypeScript only")
                .hint("write `--lang typescript`, or leave out `--template`"));
        }
    };
    fs::create_dir(name).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return Failure::new(Exit::Usage, format!("`{name}` exists already"))
                .hint("choose another name, or another folder to work in: `new` overwrites nothing");
        }
        Failure::new(Exit::Failed, format!("cannot make the folder `{name}`: {error}"))
    })?;
    template.write(name).map_err(|error| {
        // An incomplete project would only confuse. The folder is new, so all in it was made here.
        let _ = fs::remove_dir_all(name);
        Failure::new(Exit::Failed, format!("cannot write the project `{name}`: {error}"))
    })?;
    let run = format!("holdshort run {name} --task {}", template.purpose.task);
    if output.json {
        let test = format!("holdshort run {name} --script decisions.toml");
        let commands = json!({ "setup": template.setup, "build": template.build, "run": run, "test": test });
        output.json(&json!({ "folder": name, "component": template.component, "commands": commands }))?;
    } else {
        output.text(&format!(
            "The agent `{name}` is in the folder `{name}`; {name}/README.md describes it. To build and run the agent:\n\n  \
             cd {name}\n  {}   # once\n  {}\n  {run}\n",
            template.setup, template.build
        ))?;
    }
    Ok(Exit::Done)
}

impl Template {
    fn write(&self, name: &str) -> io::Result<()> {
        let script = ("decisions.toml", self.purpose.script);
        for (path, text) in COMMON.iter().chain(self.files).chain([&script]) {
            write(&Path::new(name).join(path), &self.fill(text, name))?;
        }
        WIT_FILES.iter().try_for_each(|(file, text)| write(&Path::new(name).join(PACKAGE).join(file), text))
    }

    /// The text with the values of this project.
    fn fill(&self, text: &str, name: &str) -> String {
        let mut text = text.to_owned();
        for (word, value) in [
            ("ABOUT", self.purpose.about),
            ("NOTES\n", self.notes),
            ("SETTINGS", self.purpose.settings),
            ("SETUP", self.setup),
            ("BUILD", self.build),
            ("SOURCE", self.source),
            ("COMPONENT", self.component),
            ("TASK", self.purpose.task),
            ("NAME", name),
        ] {
            text = text.replace(word, value);
        }
        text
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}
