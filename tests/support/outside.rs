//! Places where effects arrive. The tests count effects there, because these counts show what really happened, whatever
//! the host believes.
//!
//! None of these places is the host's journal, and most belong to the tests alone. Only [`Books`] is a file of the
//! host: the file of the ledger, because payments are made nowhere else. The tests read it with their own SQL, as an
//! auditor would.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::{Connection, OpenFlags};

use crate::support::skipped::skipped;
use crate::support::{Folder, Repository, component, until};

/// Where the effects of one capability arrive.
pub trait Outside {
    /// The configuration section of the host's connector for this capability.
    fn section(&self) -> String;

    /// The call that the agent makes, as a line of its task.
    fn line(&self) -> String;

    /// The built component of the agent.
    fn agent(&self) -> &'static str {
        "scripted"
    }

    /// A routine call that the agent can make before this call, as a line of its task; empty if it can make none.
    fn before(&self) -> &'static str {
        "list\n"
    }

    /// A part of the receipt that the agent gets after the effect.
    fn receipt(&self) -> String;

    /// How many effects have arrived.
    fn count(&self) -> usize;
}

/// An operator's folder whose agent acts on `outside`. The configuration `more` stands before the section of
/// `outside`.
///
/// The `scripted` agent imports every capability, and a deployment needs a repository. If the section names none, the
/// folder gets a repository that no test looks at.
pub fn folder(outside: &dyn Outside, more: &str) -> Folder {
    let mut section = format!("{more}\n{}", outside.section());
    let folder = Folder::new(&[], "");
    if !section.contains("[deployment]") {
        let repository = Repository::bare(&folder.path().join("unused.git"));
        section += &format!("[deployment]\nrepository = \"{}\"\n", repository.0.display());
    }
    folder.configure(&format!("{section}\n{}", agent(outside.agent())));
    folder
}

/// The configuration section of an agent that is a built component.
pub fn agent(name: &str) -> String {
    format!("[agents.{name}]\ncomponent = \"{}\"\n", component(name).display())
}

/// A Maildir, the folder format that a mail program reads.
pub struct Maildir(pub PathBuf);

impl Maildir {
    /// The messages, in any order.
    pub fn messages(&self) -> Vec<String> {
        ["new", "cur"].iter().flat_map(|name| texts(&self.0.join(name))).collect()
    }
}

impl Outside for Maildir {
    fn section(&self) -> String {
        format!("[email]\npath = \"{}\"\n", self.0.display())
    }

    fn line(&self) -> String {
        "email ann@localhost The report".into()
    }

    fn receipt(&self) -> String {
        format!("accepted-by: \"maildir {}", self.0.display())
    }

    fn count(&self) -> usize {
        self.messages().len()
    }
}

/// A bare repository, as a server keeps it. The log of its branch `production` shows how often the branch was moved.
pub struct Branch(pub Repository);

impl Branch {
    pub fn new(path: &Path) -> Self {
        let repository = Repository::bare(path);
        repository.git(&["config", "core.logAllRefUpdates", "always"]);
        Self(repository)
    }
}

impl Outside for Branch {
    fn section(&self) -> String {
        format!("[deployment]\nrepository = \"{}\"\n", self.0.0.display())
    }

    fn line(&self) -> String {
        "deploy main production Two commits".into()
    }

    fn receipt(&self) -> String {
        format!("commit: \"{}\"", self.0.tip("main"))
    }

    fn count(&self) -> usize {
        // The branch and its log are two files. While git has written only one of them, both are read again.
        until("branch that tells the same as its log", || {
            let log = fs::read_to_string(self.0.0.join("logs/refs/heads/production")).unwrap_or_default();
            let moves = log.lines().filter(|line| line.contains("holdshort: run")).count();
            let moved = self.0.tip("production") == self.0.tip("main");
            (moved == (moves > 0)).then_some(moves)
        })
    }
}

/// The ledger: the file of the ledger connector.
pub struct Books(pub PathBuf);

impl Outside for Books {
    fn section(&self) -> String {
        format!(
            "[payments]\npath = \"{}\"\n[payments.accounts.operating]\nopening = [\"1000.00 EUR\"]\n",
            self.0.display()
        )
    }

    fn line(&self) -> String {
        "pay operating acme 5000 EUR".into()
    }

    fn receipt(&self) -> String {
        "ok TransferReceipt { transferred: Transfer { source: \"operating\", payee: \"acme\"".into()
    }

    fn count(&self) -> usize {
        if !self.0.exists() {
            // A host makes the file when it is first started.
            return 0;
        }
        let books = Connection::open_with_flags(&self.0, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        // Both sums are read in one transaction, so that they are of the same moment.
        let books = books.unchecked_transaction().unwrap();
        let one = |sql: &str| books.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let to_acme = "FROM postings JOIN accounts ON accounts.number = account WHERE name = 'acme'";
        let transfers = one(&format!("SELECT count(*) {to_acme}"));
        let paid = one(&format!("SELECT coalesce(sum(amount), 0) {to_acme}"));
        assert_eq!(paid, transfers * 5_000, "what was paid is what was booked");
        transfers.try_into().unwrap()
    }
}

/// A folder for files. The agent `third-party` calls a function of another company, which the connector `file-drop`
/// serves.
pub struct Files(pub PathBuf);

impl Files {
    /// Makes the folder: the connector uses only a folder that exists.
    pub fn new(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        Self(path.to_owned())
    }
}

impl Outside for Files {
    fn section(&self) -> String {
        format!(
            "[capabilities.\"acme:crm/contacts@1.0.0#delete-contact\"]\nclass = \"consequential\"\n\
             connector = \"file-drop\"\nfolder = \"{}\"\nname-from = \"id\"\ncontent-from = \"reason\"\n\
             [capabilities.\"acme:crm/contacts@1.0.0#*\"]\nclass = \"routine\"\ncommand = [\"false\"]\n",
            self.0.display()
        )
    }

    fn line(&self) -> String {
        "delete report.txt All is well.".into()
    }

    fn agent(&self) -> &'static str {
        "third-party"
    }

    fn before(&self) -> &'static str {
        ""
    }

    fn receipt(&self) -> String {
        "report.txt".into()
    }

    /// A file that has a name in the folder is complete.
    fn count(&self) -> usize {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
        let complete = |text: &String| ["All is well.", "A person says so."].contains(&text.as_str());
        files.inspect(|text| assert!(complete(text), "a file without its content: {text}")).count()
    }
}

/// A real SMTP server in its own process: aiosmtpd, which stores the messages that it accepts in a Maildir.
pub struct Relay {
    process: Child,
    port: u16,
    mail: PathBuf,
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The process may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Relay {
    /// Starts the relay. Without aiosmtpd it returns `None` and notes that the test was skipped.
    pub fn start(folder: &Path) -> Option<Self> {
        let python = std::env::var("HOLDSHORT_AIOSMTPD").unwrap_or_else(|_| "python3".into());
        let probe = Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !probe.is_ok_and(|status| status.success()) {
            skipped("no aiosmtpd; tests/run installs it, or name a Python that has it in HOLDSHORT_AIOSMTPD");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mail = folder.join("relay");
        let process = Command::new(python)
            .args(["-m", "aiosmtpd", "-n", "-l", &format!("localhost:{port}")])
            .args(["-c", "aiosmtpd.handlers.Mailbox", &mail.to_string_lossy()])
            .spawn()
            .unwrap();
        let relay = Self { process, port, mail };
        until("SMTP server", || TcpStream::connect(("localhost", port)).ok());
        Some(relay)
    }

    /// Every message that the relay accepted, in any order.
    pub fn messages(&self) -> Vec<String> {
        texts(&self.mail.join("new")).into_iter().map(|text| text.replace('\r', "")).collect()
    }

    /// The messages that the relay accepted with this subject.
    pub fn mailbox(&self, subject: &str) -> Mailbox<'_> {
        Mailbox { relay: self, subject: subject.into() }
    }
}

/// A port that answers the first client as a relay that is too busy, and connects every later client to the relay
/// behind it.
pub fn busy_at_first(relay: u16) -> u16 {
    let door = TcpListener::bind("localhost:0").unwrap();
    let port = door.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, visitor) in door.incoming().enumerate() {
            let mut visitor = visitor.unwrap();
            if number == 0 {
                drop(visitor.write_all(b"421 too busy, come again\r\n"));
                continue;
            }
            let mut relay = TcpStream::connect(("localhost", relay)).unwrap();
            let (mut from, mut to) = (relay.try_clone().unwrap(), visitor.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            drop(std::io::copy(&mut visitor, &mut relay));
        }
    });
    port
}

/// The messages of one subject that a relay accepted.
pub struct Mailbox<'a> {
    relay: &'a Relay,
    subject: String,
}

impl Mailbox<'_> {
    /// The messages, in any order.
    pub fn messages(&self) -> Vec<String> {
        let wanted = format!("\nSubject: {}\n", self.subject);
        self.relay.messages().into_iter().filter(|text| text.contains(&wanted)).collect()
    }
}

impl Outside for Mailbox<'_> {
    fn section(&self) -> String {
        let port = self.relay.port;
        format!(
            "[email]\nconnector = \"smtp\"\nhost = \"localhost\"\ntls = \"none\"\nport = {port}\nfrom = \"agent@localhost\"\n"
        )
    }

    fn line(&self) -> String {
        format!("email ann@localhost {}", self.subject)
    }

    fn receipt(&self) -> String {
        "accepted-by: \"accepted by the relay localhost:".into()
    }

    fn count(&self) -> usize {
        self.messages().len()
    }
}

fn texts(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}
