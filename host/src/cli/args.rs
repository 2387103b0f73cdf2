//! The command line as clap parses it: subcommands, their arguments and options.

mod approvals;
mod grants;
mod ids;
mod policy;
mod runs;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use approvals::{
    ApprovalsAction, ApprovalsArgs, Approve, Confirm, Edit, ListApprovals, Reject, Respond, ShowApproval,
};
pub use grants::{GrantTerms, GrantsAction, GrantsArgs, ListGrants};
pub use ids::{CallId, RunName};
pub use policy::{Backtest, PolicyAction};
pub use runs::{FindingWord, History, ListRuns, Replay, Resolve, RunsAction, RunsArgs};

use super::exit::Exit;
use crate::config::defaults::NAME_CHARS_MAX;
use crate::config::duration_ms;

/// Runs AI agents as sandboxed WebAssembly components and holds every consequential call until policy or reviewers have cleared exactly those bytes.
#[derive(Debug, Parser)]
#[command(name = "holdshort", version, after_help = Exit::HELP, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every subcommand.
    #[command(flatten)]
    pub global: Global,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every subcommand.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The configuration file; by default `holdshort.toml` in the current folder, if it exists
    #[arg(long, global = true, value_name = "FILE", env = "HOLDSHORT_CONFIG")]
    pub config: Option<PathBuf>,
    /// The host to talk to; by default the host that uses this folder's journal
    #[arg(long, global = true, value_name = "URL", env = "HOLDSHORT_URL")]
    pub url: Option<String>,
    /// The file with your token; by default the local operator's token
    #[arg(long, global = true, value_name = "FILE", env = "HOLDSHORT_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours; the variable NO_COLOR has the same effect
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an agent in this folder, and show each held call
    Run(RunArgs),
    /// Run the host: the HTTP endpoint, and all runs of the journal
    Serve(ServeArgs),
    /// Try an approval: a real run on a scratch repository, until the branch is moved
    Demo(DemoArgs),
    /// Write the project of a new agent into a new folder
    New(NewArgs),
    /// Build and test an agent again after each change of its files
    Dev(DevArgs),
    /// Say whether this host would run an agent, and if not, what to change
    Check(InspectArgs),
    /// Show what an agent can and cannot do, before it runs
    Inspect(InspectArgs),
    /// Review waiting calls on a full screen and decide with the keyboard
    Review,
    /// List, show and decide on held calls
    Approvals(ApprovalsArgs),
    /// List, show and revoke grants
    Grants(GrantsArgs),
    /// List and show runs, cancel them, resolve effects in doubt
    Runs(RunsArgs),
    /// Show how much reviewers are asked, how long they take, and suggested policies
    Stats(StatsArgs),
    /// Print a link that signs a browser in to the review page, once
    SignIn(SignInArgs),
    /// Test notifications
    Notify {
        /// What to do
        #[command(subcommand)]
        action: NotifyAction,
    },
    /// Check, test and backtest policies, and explain verdicts
    Policy {
        /// What to do
        #[command(subcommand)]
        action: PolicyAction,
    },
    /// Print all settings in force, with the defaults
    Config,
    /// Read untrusted bytes in a child process of the host; not for users
    #[command(hide = true)]
    Isolated(IsolatedArgs),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `notify`
#[derive(Clone, Debug, Subcommand)]
pub enum NotifyAction {
    /// Send a test notification and print the answer
    Test {
        /// The name of a section `[notify.NAME]`, or of a reviewer with an email address
        name: String,
    },
}

/// `isolated`
#[derive(Clone, Debug, Args)]
pub struct IsolatedArgs {
    /// Memory in MiB, in addition to the program's own
    #[arg(long)]
    pub memory_mib: u64,
    /// CPU time of all threads, in seconds
    #[arg(long)]
    pub cpu_seconds: u64,
    /// The largest file, and the largest compiled code, in MiB
    #[arg(long)]
    pub file_mib: u64,
    /// What to do with the bytes at standard input
    #[command(subcommand)]
    pub work: IsolatedWork,
}

/// What a child of a host does.
#[derive(Clone, Debug, Subcommand)]
pub enum IsolatedWork {
    /// Print the imports of a component
    Manifest,
    /// Print the imports of a component, and compile it
    Compile {
        /// The folder for compiled code
        folder: PathBuf,
    },
    /// Check policies
    Policies,
    /// Evaluate policies on calls
    Judge,
}

/// `run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// A component's file, or the name of a configured agent
    #[arg(value_name = "AGENT.wasm|NAME")]
    pub agent: String,
    /// The agent's task
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present = "script")]
    pub task: Option<String>,
    /// Let the running host start the run, and do not wait for the end
    #[arg(long, conflicts_with = "script")]
    pub detach: bool,
    /// Test the agent: a script stands for reviewers and services, on a journal that is removed at the end
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
}

/// `serve`
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The address to listen on, instead of the configuration's
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address, a colon and a port, like `127.0.0.1:7411`; port 0 chooses a free port")
}

/// `stats`
#[derive(Clone, Debug, Args)]
pub struct StatsArgs {
    /// The start of the period, such as `12h` or `30d` ago
    #[arg(long, default_value = "30d", value_name = "TIME", value_parser = duration_ms)]
    pub since: u64,
    /// The end of the period, such as `7d` ago; now by default
    #[arg(long, value_name = "TIME", value_parser = duration_ms)]
    pub until: Option<u64>,
}

/// `sign-in`
#[derive(Clone, Debug, Args)]
pub struct SignInArgs {
    /// The approval that the link opens; the inbox by default
    #[arg(value_name = "RUN.CALL")]
    pub approval: Option<CallId>,
}

/// `demo`
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The agent to try
    #[arg(long, value_name = "AGENT", default_value = "release")]
    pub agent: DemoAgent,
    /// Ask a real model, at a server with OpenAI's form such as `http://localhost:11434/v1`, and not the scripted one
    #[arg(long, value_name = "URL")]
    pub model: Option<String>,
    /// The server's name for the model
    #[arg(long, value_name = "NAME", requires = "model", default_value = "gpt-5-mini")]
    pub model_name: String,
    /// The key of the model's server: an environment variable, or else a file
    #[arg(long, value_name = "VARIABLE|FILE", requires = "model")]
    pub credential: Option<String>,
    /// Work in this new folder, and keep the folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// The agents of `demo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoAgent {
    /// Deploys a small project: until its branch is moved
    Release,
    /// Pays an invoice and writes an email, with a model that follows a script or with a real one
    Assistant,
}

/// `new`
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// The name of the agent and of its folder
    #[arg(value_parser = project_name)]
    pub name: String,
    /// The language of the agent
    #[arg(long, value_name = "LANGUAGE")]
    pub lang: Language,
    /// What the agent does
    #[arg(long, value_name = "TEMPLATE", default_value = "minimal")]
    pub template: TemplateName,
}

/// `dev`
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// The agent, if the configuration has several that are built
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// The script that tests the agent
    #[arg(long, value_name = "FILE", default_value = "decisions.toml")]
    pub script: PathBuf,
}

/// The languages that `new` has a project for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Python,
    Typescript,
}

/// What the agent of a project is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TemplateName {
    /// Asks a person, and sends the answer by email
    Minimal,
    /// Lets a language model work with tools: emails, payments, questions
    Assistant,
}

/// Names that are allowed for folders, sections of the configuration and packages of cargo alike.
fn project_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && text.chars().all(plain) && text.len() <= NAME_CHARS_MAX {
        return Ok(text.into());
    }
    Err(format!(
        "write a name of at most {NAME_CHARS_MAX} lower-case letters, digits and `-`, with a letter first, like `my-agent`"
    ))
}

/// `check` and `inspect`
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// The component's file
    #[arg(value_name = "AGENT.wasm")]
    pub component: PathBuf,
}

#[cfg(test)]
mod tests;
