//! Authenticates requests by bearer tokens. Of a reviewer's token the host keeps only the hash. The local operator's
//! token and name are in files.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdshort_gate::{Call, Digest, ReviewerName, Time};

use super::problem::{Kind, Problem};
use crate::own::{self, NotOurs};

/// The prefix of tokens, which secret scanners recognise. 43 characters of base64url (256 random bits) follow the
/// prefix.
const TOKEN_PREFIX: &str = "holdshort_";

/// The maximum length of a presented token. Every real token is shorter; a longer text is refused without hashing.
const TOKEN_BYTES_MAX: usize = 512;

/// The known reviewers by the hash of their token.
///
/// The presented token is hashed, and the hash is looked up. The lookup's duration can reveal something only about the
/// hash of the presented token, which the client knows already. To approach a stored hash, the client would have to
/// invert SHA-256. So the lookup does not need constant time.
#[derive(Clone, Debug, Default)]
pub struct Reviewers {
    by_hash: HashMap<Digest, ReviewerName>,
    /// The delegations of each delegate.
    delegations: HashMap<ReviewerName, Delegations>,
}

/// The absent reviewers that a delegate acts for, and the end of each delegation.
type Delegations = Arc<[(ReviewerName, Time)]>;

/// Two reviewers have the same token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` and `{1}` have the same token, so the host could not know who has decided: give each reviewer a different token"
)]
pub struct SharedToken(ReviewerName, ReviewerName);

impl Reviewers {
    /// Makes the table from names and the SHA-256 of their tokens. A reviewer may have several tokens.
    pub fn new(all: impl IntoIterator<Item = (ReviewerName, Digest)>) -> Result<Self, SharedToken> {
        let mut by_hash = HashMap::<Digest, ReviewerName>::new();
        for (name, hash) in all {
            if let Some(other) = by_hash.insert(hash, name.clone())
                && other != name
            {
                return Err(SharedToken(other, name));
            }
        }
        Ok(Self { by_hash, delegations: HashMap::new() })
    }

    /// Adds delegations: absent reviewer, delegate, end.
    #[must_use]
    pub fn with_delegations(mut self, all: impl IntoIterator<Item = (ReviewerName, ReviewerName, Time)>) -> Self {
        let mut delegations = HashMap::<ReviewerName, Vec<(ReviewerName, Time)>>::new();
        for (from, to, until) in all {
            delegations.entry(to).or_default().push((from, until));
        }
        self.delegations = delegations.into_iter().map(|(to, delegations)| (to, delegations.into())).collect();
        self
    }

    /// The reviewer whose token is in these headers.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Reviewer, Problem> {
        let refuse = |detail: &str| Problem::new(Kind::Unauthenticated, detail);
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refuse("send one header `Authorization: Bearer TOKEN`, with the token from your token file"));
        };
        let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("the `Authorization` header is not `Bearer TOKEN`"));
        }
        self.owner(token)
    }

    /// The reviewer who owns a token.
    pub(super) fn owner(&self, token: &str) -> Result<Reviewer, Problem> {
        let known = (token.len() <= TOKEN_BYTES_MAX).then(|| self.by_hash.get(&Digest::of(token.as_bytes()))).flatten();
        let detail = "unknown token: use the token whose hash is in your section `[reviewers.NAME]`; on the host's machine you can also use the token in `.holdshort/token`";
        let nobody = || Problem::new(Kind::Unauthenticated, detail);
        let delegations = |name: &ReviewerName| self.delegations.get(name).cloned().unwrap_or_default();
        known
            .cloned()
            .map(|name| Reviewer { delegations: delegations(&name), name, signed_in_for_ms: 0 })
            .ok_or_else(nobody)
    }
}

/// An authenticated reviewer. A handler with this argument cannot be reached without a token or session.
#[derive(Clone, Debug)]
pub(crate) struct Reviewer {
    name: ReviewerName,
    /// The age of the authentication in milliseconds; 0 for a token, because a token authenticates each request.
    signed_in_for_ms: u64,
    delegations: Delegations,
}

/// Compares names only, because the same reviewer may have signed in at different times.
impl PartialEq for Reviewer {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Reviewer {}

impl Hash for Reviewer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Reviewer {
    /// The name that is recorded with decisions.
    pub(crate) fn name(&self) -> &ReviewerName {
        &self.name
    }

    /// The absent reviewers whom this reviewer may act for at the time `now`.
    pub(crate) fn absent_reviewers(&self, now: Time) -> impl Iterator<Item = &ReviewerName> {
        self.delegations.iter().filter(move |(_, until)| now < *until).map(|(name, _)| name)
    }

    /// This reviewer, and the absent reviewers whom this reviewer may act for. A list of waiting calls covers all of
    /// these.
    pub(crate) fn may_act_for(&self, now: Time) -> Vec<ReviewerName> {
        std::iter::once(self.name()).chain(self.absent_reviewers(now)).cloned().collect()
    }

    /// The absent reviewer for whom this reviewer votes on `call`. `None` if the reviewer's own vote counts now or in a
    /// later stage, or if no absent reviewer's vote counts.
    pub(crate) fn acting_for(&self, call: &Call, started_by: &ReviewerName, now: Time) -> Option<&ReviewerName> {
        let counts = |name: &ReviewerName| call.admits_approval(name, started_by).is_ok() && !call.has_vote_of(name);
        // A delegate cannot override a decision that the absent reviewer made in person.
        let silent = |name: &ReviewerName| !call.is_rejected_by(name);
        let later = |asks: &holdshort_gate::Requirement| asks.decides_in_later_stage(self.name(), call.stage);
        if counts(self.name()) || call.requirement().is_some_and(later) {
            return None;
        }
        self.absent_reviewers(now).find(|name| counts(name) && silent(name))
    }

    /// The time of the authentication.
    pub(crate) fn signed_in_at(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.signed_in_for_ms.saturating_mul(1_000)))
    }

    /// The same reviewer, authenticated by a session of this age.
    pub(crate) fn signed_in_for(self, ms: u64) -> Self {
        Self { signed_in_for_ms: ms, ..self }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reviewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Problem::new(Kind::Unauthenticated, "this request needs a reviewer's token"))
    }
}

/// The local operator's token or name is unusable.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Other users can read or change the file.
    #[error("other users can read or change the local operator's `{path}` (mode {mode:o}): run `chmod 600 {path}`")]
    Open { path: PathBuf, mode: u32 },
    /// Other users can change or replace the file.
    #[error("the local operator's file is not safe: {0}")]
    NotOurs(#[from] NotOurs),
    /// The file contains no token.
    #[error("`{0}` does not contain a token: remove the file, and the host writes a new token at the next start")]
    NotAToken(PathBuf),
    /// The file contains no name.
    #[error("`{0}` does not contain the local operator's name: write the earlier name into the file again")]
    NotAName(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot use the local operator's file `{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The system gave no random numbers.
    #[error("the operating system gives no random numbers for a token: {0}")]
    Random(getrandom::Error),
}

/// The hash of the local operator's token. The first start creates the file atomically, readable only by its owner;
/// later starts read it.
pub fn ensure_local_token(path: &Path) -> Result<Digest, TokenError> {
    let text = ensure(path, new_token)?.ok_or_else(|| TokenError::NotAToken(path.into()))?;
    let token = text.trim();
    let random = token.strip_prefix(TOKEN_PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    match random {
        Some(random) if random.len() == 32 => Ok(Digest::of(token.as_bytes())),
        Some(_) | None => Err(TokenError::NotAToken(path.into())),
    }
}

/// The name that belongs to the local operator's token: `name` at the first start, and the saved name at later starts.
///
/// Votes are counted by name, so a token with a second name would count as a second person. The caller must read the
/// name before the token, so that a token never exists without a saved name.
pub fn ensure_local_name(path: &Path, name: &ReviewerName) -> Result<ReviewerName, TokenError> {
    let text = ensure(path, || Ok(name.to_string()))?;
    let kept = text.as_deref().map(str::trim).filter(|kept| !kept.is_empty() && !kept.contains(char::is_control));
    kept.map(ReviewerName::new).ok_or_else(|| TokenError::NotAName(path.into()))
}

/// The content of one of the local operator's files. A missing file is created first. A link is refused, because it
/// could lead to any file.
fn ensure(path: &Path, first: impl FnOnce() -> Result<String, TokenError>) -> Result<Option<String>, TokenError> {
    let failed = |source| TokenError::Io { path: path.into(), source };
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, &first()?)?,
        Err(error) => return Err(failed(error)),
    }
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_file() {
        return Ok(None);
    }
    if mode & 0o077 != 0 {
        return Err(TokenError::Open { path: path.into(), mode });
    }
    own::is_our_file(path)?;
    fs::read_to_string(path).map(Some).map_err(failed)
}

fn new_token() -> Result<String, TokenError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(TokenError::Random)?;
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// Creates a file with one line atomically: it writes a draft beside `path` and links it. If another process was
/// faster, that process's line stays.
fn create(path: &Path, line: &str) -> Result<(), TokenError> {
    let failed = |source| TokenError::Io { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        fs::File::open(folder)?.sync_all()
    })();
    // Writing fails if a killed host with the same process id has left its draft. The old draft is removed, so that the
    // next start succeeds.
    let _ = fs::remove_file(&draft);
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn presents(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_token_identifies_one_person() {
        let hash = |token: &str| Digest::of(token.as_bytes());
        let all = [("alice".into(), hash("a")), ("bob".into(), hash("b")), ("bob".into(), hash("b2"))];
        let reviewers = Reviewers::new(all).unwrap();
        for (value, name) in [
            ("Bearer a", Some("alice")),
            ("bearer b2", Some("bob")),
            ("Bearer c", None),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic a", None),
            ("a", None),
        ] {
            let found = reviewers.identify(&presents(value));
            assert_eq!(found.as_ref().ok().map(|reviewer| reviewer.name().as_str()), name, "{value}");
        }
        let mut twice = presents("Bearer a");
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(reviewers.identify(&twice).is_err(), "two tokens are nobody's");
        assert!(reviewers.identify(&HeaderMap::new()).is_err());
        let shared = Reviewers::new([("alice".into(), hash("x")), ("bob".into(), hash("x"))]);
        assert_eq!(shared.unwrap_err(), SharedToken("alice".into(), "bob".into()));
        assert!(!format!("{reviewers:?}").contains("holdshort_"), "no secret is kept that could be printed");
    }

    #[test]
    fn the_local_token_is_made_once_and_is_the_operators_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/token");
        let hash = ensure_local_token(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let token = fs::read_to_string(&path).unwrap();
        assert_eq!(token.trim().len(), TOKEN_PREFIX.len() + 43);
        assert_eq!(hash, Digest::of(token.trim().as_bytes()));
        assert_eq!(ensure_local_token(&path).unwrap(), hash, "read again, not made again");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
        assert_ne!(ensure_local_token(&folder.path().join("other")).unwrap(), hash);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = ensure_local_token(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "swordfish").unwrap();
        assert!(matches!(ensure_local_token(&path), Err(TokenError::NotAToken(_))));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("other"), &link).unwrap();
        assert!(matches!(ensure_local_token(&link), Err(TokenError::NotAToken(_))), "a link could lead anywhere");
    }

    #[test]
    fn hosts_that_start_together_agree_on_one_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(folder.path().join(format!("token.{}", u32::MAX)), "half a tok").unwrap();
        create(&path, &new_token().unwrap()).unwrap();
        let first = ensure_local_token(&path).unwrap();
        create(&path, &new_token().unwrap()).unwrap();
        assert_eq!(ensure_local_token(&path).unwrap(), first);
    }

    #[test]
    fn the_local_name_is_the_first_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/operator");
        for name in ["olivia", "mallory"] {
            assert_eq!(ensure_local_name(&path, &name.into()).unwrap(), "olivia");
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "").unwrap();
        assert!(
            matches!(ensure_local_name(&path, &"mallory".into()), Err(TokenError::NotAName(_))),
            "it is not given away"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(ensure_local_name(&path, &"mallory".into()), Err(TokenError::Open { mode: 0o620, .. })));
    }
}
