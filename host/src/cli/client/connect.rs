//! Chooses the host and the token for a command.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::Client;
use crate::cli::args::Global;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::socket;
use crate::config::Config;
use crate::config::defaults::JOURNAL_FILE;
use crate::own::{self, NotOurs};

/// A client for the given host, or for the host of this folder.
///
/// Any program can listen on a free port of this machine. Therefore a token from a state folder is
/// sent only to that folder's host through its socket, or to a given host under TLS. If no host is
/// given, every token goes through the socket.
pub fn connect(global: &Global, config: &Config, output: &Output) -> Result<Client, Failure> {
    let file = global.token_file.as_deref().unwrap_or(&config.token_file);
    let Some(url) = &global.url else {
        if !config.token_file.exists() {
            return Err(nobody_yet(config));
        }
        return local(&config.state, None, &config.server.listen.to_string(), file, output);
    };
    let named = NamedHost::parse(url)?;
    match state_of(file).filter(|_| !named.tls) {
        Some(state) => local(&state, Some(&named.base), "", file, output),
        None => Ok(Client::new(&named.base, &token(file, output)?)),
    }
}

/// A host given by URL. The URL is parsed once, and only its parsed parts are used, so that all
/// parts of the program understand it in the same way.
#[derive(Debug, PartialEq)]
struct NamedHost {
    tls: bool,
    /// The URL built from the parsed parts.
    base: String,
}

impl NamedHost {
    /// Parses a host's URL. A remote host needs TLS. An address of this machine may omit the
    /// scheme.
    fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::new(Exit::Usage, format!("`{url}` {what}"));
        let no_url = || wrong("is not an HTTP URL").hint("write a URL like `http://127.0.0.1:7411`");
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let parts = full.parse::<ureq::http::Uri>().map_err(|_| no_url())?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else { return Err(no_url()) };
        let (host, path) = (authority.host().to_ascii_lowercase(), parts.path_and_query);
        let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = path.as_ref().map_or("", |path| path.as_str()).trim_end_matches('/');
        // A host's address has no user name and no query. Our requests would drop them.
        if authority.as_str().contains('@') || path.contains('?') || full.contains('#') || host.is_empty() {
            return Err(no_url());
        }
        let near =
            host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let tls = match scheme.as_str() {
            "https" => true,
            "http" if near => false,
            "http" if url.contains("://") => {
                let hint = "use `https://`, or an SSH tunnel such as `ssh -L 7411:127.0.0.1:7411 HOST`";
                return Err(wrong("would send your token over the network without encryption").hint(hint));
            }
            _ => return Err(no_url()),
        };
        Ok(Self { tls, base: format!("{scheme}://{host}{port}{path}") })
    }
}

/// A client for the host of a state folder. `named` is the address that the user gave: the host
/// must have this address.
fn local(state: &Path, named: Option<&str>, usual: &str, file: &Path, output: &Output) -> Result<Client, Failure> {
    let shown = state.display();
    own::is_our_folder(state)
        .map_err(|error| Failure::new(Exit::Unreachable, format!("the state folder is not safe to use: {error}")))?;
    let token = token(file, output)?;
    if let Err(error) = socket::connect(state) {
        return Err(Failure::new(Exit::Unreachable, format!("cannot reach the host of `{shown}`: {error}"))
            .hint("start the host with `holdshort serve`, or name another host with `--url` and `--token-file`; if you were sending a decision, you can safely send it again"));
    }
    let base = beside_the_journal(&state.join(JOURNAL_FILE)).unwrap_or_else(|| format!("http://{usual}"));
    match named {
        Some(named) if named.trim_end_matches('/') != base => {
            let message = format!(
                "the operator's token in `{shown}` is for the host at `{base}`, and is not sent to another address without TLS"
            );
            Err(Failure::new(Exit::Usage, message)
                .hint("leave out `--url`, or give your token file for the other host with `--token-file`"))
        }
        Some(_) | None => Ok(Client::local(state, &base, &token)),
    }
}

/// The state folder that contains a token's file; `None` if the folder is no state folder.
fn state_of(token_file: &Path) -> Option<PathBuf> {
    let folder = token_file.canonicalize().ok()?.parent()?.to_owned();
    folder.join(JOURNAL_FILE).exists().then_some(folder)
}

/// The error that no host has ever run in this folder, which is probably the wrong folder.
fn nobody_yet(config: &Config) -> Failure {
    let message = format!("no host has run yet in `{}`", config.folder.display());
    Failure::new(Exit::Unreachable, message).hint(
        "change to the folder where `holdshort serve` runs, or start `holdshort serve` here; for a host elsewhere, give its address with `--url` and your token file with `--token-file`",
    )
}

/// The address that a running host wrote beside its journal.
fn beside_the_journal(journal: &Path) -> Option<String> {
    let mut file = journal.as_os_str().to_owned();
    file.push(".address");
    let address = fs::read_to_string(file).ok()?;
    Some(address.trim().to_owned()).filter(|address| !address.is_empty())
}

/// Reads a reviewer's token from its file. If others can read the file, it prints a warning and
/// continues: they may know the token already, and stopping would not change that.
pub fn token(file: &Path, output: &Output) -> Result<String, Failure> {
    let path = file.display();
    let (text, mode) = own::secret(file).map_err(|error| {
        let missing =
            "give your token file with `--token-file`; the host writes the local operator's token file at its first start";
        let (why, hint) = if let NotOurs::Io { source, .. } = &error {
            (source.to_string(), missing)
        } else {
            (error.to_string(), "a person who can change the file can replace your token")
        };
        Failure::new(Exit::Usage, format!("cannot read your token in `{path}`: {why}")).hint(hint)
    })?;
    if mode & 0o077 != 0 {
        output.note(&format!("warning: other users can read your token in `{path}`: run `chmod 600 {path}`"));
    }
    let text = String::from_utf8_lossy(&text);
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| !c.is_ascii_graphic()) {
        let message = format!("`{path}` does not contain a token");
        return Err(Failure::new(Exit::Usage, message).hint("write only the token into the file, on one line"));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leaves_the_machine_only_under_tls() {
        let base = |url: &str| NamedHost::parse(url).map(|named| (named.tls, named.base));
        for (url, tls, expected) in [
            ("http://127.0.0.1:7411", false, "http://127.0.0.1:7411"),
            ("http://localhost:1", false, "http://localhost:1"),
            ("http://[::1]:80", false, "http://[::1]:80"),
            ("https://approvals.example.org", true, "https://approvals.example.org"),
            ("HTTP://127.0.0.1:7411/", false, "http://127.0.0.1:7411"),
            ("hTTp://LocalHost:7411", false, "http://localhost:7411"),
            ("hTTpS://Approvals.Example.org/holdshort/", true, "https://approvals.example.org/holdshort"),
            ("127.0.0.1:7411", false, "http://127.0.0.1:7411"),
            ("LOCALHOST:7411", false, "http://localhost:7411"),
        ] {
            assert_eq!(base(url), Ok((tls, expected.to_owned())), "{url}");
        }
        for bad in [
            "http://192.0.2.1:7411",
            "HTTP://192.0.2.1:7411",
            "http://localhost.example.org",
            "http://localhost.",
            "http://127.0.0.1.",
            "http://127.1",
            "http://2130706433",
            "http://0x7f.0.0.1",
            "http://[::ffff:192.0.2.1]",
            "ftp://127.0.0.1",
            "http://127.0.0.1@evil.example",
            "https://alice@approvals.example.org",
            "http://alice:secret@127.0.0.1",
            "http://127.0.0.1:7411/?a=b",
            "http://127.0.0.1:7411#a",
            " http://127.0.0.1:7411",
            "http://127.0.0.1:7411 ",
            "http:127.0.0.1:7411",
            "http:/127.0.0.1:7411",
            "//127.0.0.1:7411",
            "://127.0.0.1:7411",
            "http://",
            "",
            "nonsense",
            "approvals.example.org",
        ] {
            assert!(base(bad).is_err(), "{bad}: {:?}", base(bad));
        }
    }

    #[test]
    fn the_running_host_is_found_beside_its_journal() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        assert_eq!(beside_the_journal(&journal), None);
        fs::write(folder.path().join("journal.db.address"), "http://127.0.0.1:40001\n").unwrap();
        assert_eq!(beside_the_journal(&journal).as_deref(), Some("http://127.0.0.1:40001"));
    }
}
