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

/// Where an example in Rust has its world.
const EXAMPLE_WORLD: &str = "world: \"agent\", path: \"../../wit\"";

/// What the agent of a project is for.
struct Purpose {
    /// What the README says of the agent.
    about: &'static str,
    /// The task of the examples, as a shell reads it.
    task: &'static str,
    /// What it imports of the WIT package, beside the imports of every project.
    imports: &'static str,
    /// The end of `holdshort.toml`.
    settings: &'static str,
    /// The script that tests the agent.
    script: &'static str,
}

const MINIMAL: Purpose = Purpose {
    about: "The agent asks a person what to write, and sends the answer by email. The message is sent after a reviewer has approved it.",
    task: "ann@example.org",
    imports: "",
    settings: "",
    script: include_str!("new/templates/decisions.toml"),
};

/// An agent that asks models of the host.
const ASSISTANT: Purpose = Purpose {
    about: "A language model works on the task, with three tools: it asks a person, sends emails and pays invoices. Nothing leaves before a reviewer has \
            approved it; the model reads the reason of a rejection.",
    task: "'Tell ann@example.org that the report is ready.'",
    imports: "    import holdshort:agent/model@0.1.0;\n    import holdshort:agent/payments@0.1.0;\n",
    settings: include_str!("new/templates/model/settings.toml"),
    script: include_str!("new/templates/model/decisions.toml"),
};

/// The same with an SDK, which sends requests to a model's server.
const ASSISTANT_WITH_SDK: Purpose = Purpose {
    imports: "    import holdshort:agent/payments@0.1.0;\n",
    settings: include_str!("new/templates/typescript/assistant/settings.toml"),
    script: include_str!("new/templates/typescript/assistant/decisions.toml"),
    ..ASSISTANT
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
    /// The packages that the agent uses, as the project's file of its language names them.
    dependencies: &'static str,
    files: &'static [(&'static str, &'static str)],
}

const RUST: Template = Template {
    purpose: MINIMAL,
    setup: "rustup target add wasm32-unknown-unknown",
    build: "cargo build --release",
    component: "target/wasm32-unknown-unknown/release/agent.wasm",
    source: "src/lib.rs",
    notes: include_str!("new/templates/rust/notes.md"),
    dependencies: "",
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
    dependencies: "",
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
    dependencies: "",
    files: &[
        ("package.json", include_str!("new/templates/typescript/package.json")),
        ("tsconfig.json", include_str!("new/templates/typescript/tsconfig.json")),
        (".gitignore", include_str!("new/templates/typescript/gitignore")),
        ("src/agent.ts", include_str!("new/templates/typescript/src/agent.ts")),
    ],
};

// The sources of the assistants are the examples, which the tests run.

const RUST_ASSISTANT: Template = Template {
    purpose: ASSISTANT,
    notes: include_str!("new/templates/rust/assistant.md"),
    dependencies: "# The arguments of tools.\nserde_json = { version = \"1\", default-features = false, features = [\"alloc\"] }\n",
    files: &[
        ("Cargo.toml", include_str!("new/templates/rust/Cargo.toml")),
        (".cargo/config.toml", include_str!("new/templates/rust/.cargo/config.toml")),
        (".gitignore", include_str!("new/templates/rust/gitignore")),
        ("src/lib.rs", include_str!("../../../guest-examples/assistant/src/lib.rs")),
    ],
    ..RUST
};

const PYTHON_ASSISTANT: Template = Template {
    purpose: ASSISTANT,
    notes: include_str!("new/templates/python/assistant.md"),
    files: &[
        ("requirements.txt", include_str!("new/templates/python/requirements.txt")),
        ("pyproject.toml", include_str!("new/templates/python/pyproject.toml")),
        (".gitignore", include_str!("new/templates/python/gitignore")),
        ("src/app.py", include_str!("../../../guest-examples/python/assistant.py")),
        ("src/toolbox.py", include_str!("new/templates/python/src/toolbox.py")),
        ("src/event_loop.py", include_str!("new/templates/python/src/event_loop.py")),
    ],
    ..PYTHON
};

const TYPESCRIPT_ASSISTANT: Template = Template {
    purpose: ASSISTANT_WITH_SDK,
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
        (Language::Rust, TemplateName::Assistant) => RUST_ASSISTANT,
        (Language::Python, TemplateName::Assistant) => PYTHON_ASSISTANT,
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
        let build = json!(self.build.split(' ').collect::<Vec<_>>()).to_string();
        for (word, value) in [
            ("ABOUT", self.purpose.about),
            ("NOTES\n", self.notes),
            ("IMPORTS\n", self.purpose.imports),
            ("DEPENDENCIES\n", self.dependencies),
            (EXAMPLE_WORLD, "world: \"program\", path: \"wit\", generate_all"),
            ("SETTINGS", self.purpose.settings),
            ("SETUP", self.setup),
            ("BUILD_ARGV", &build),
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
