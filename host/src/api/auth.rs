//! Who asks: a bearer token per reviewer, of which the host keeps only the hash; and the local operator's token with its name.

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
use holdshort_gate::{Call, Digest, Time};

use super::problem::{Kind, Problem};
use crate::own::{self, NotOurs};

/// A token is this and 43 characters of base64url: 256 random bits, recognisable by scanners for secrets.
const TOKEN_PREFIX: &str = "holdshort_";

/// Longer than any token; what is longer is not even hashed.
const TOKEN_BYTES_MAX: usize = 512;

/// Who is known, by the hash of their token.
///
/// The presented token is hashed and the hash is looked up. How long that takes can tell about the hash of what was presented only, which whoever
/// presents it knows already; to steer a hash towards a stored one, SHA-256 would have to be inverted. So the look-up need not take constant time.
#[derive(Clone, Debug, Default)]
pub struct Reviewers {
    by_hash: HashMap<Digest, Arc<str>>,
    /// By who stands in: in whose place, and until when.
    places: HashMap<String, Places>,
}

/// In whose places somebody decides, and until when each.
type Places = Arc<[(String, Time)]>;

/// Two people have the same token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` and `{1}` have the same token, so nobody could tell who decided: give each a token of their own")]
pub struct SharedToken(String, String);

impl Reviewers {
    /// Reviewers by name with the SHA-256 of their tokens. A name may come more than once: a person may have several tokens.
    pub fn new(all: impl IntoIterator<Item = (String, Digest)>) -> Result<Self, SharedToken> {
        let mut by_hash = HashMap::<Digest, Arc<str>>::new();
        for (name, hash) in all {
            if let Some(other) = by_hash.insert(hash, name.as_str().into())
                && *other != *name
            {
                return Err(SharedToken(other.to_string(), name));
            }
        }
        Ok(Self { by_hash, places: HashMap::new() })
    }

    /// With who decides in whose place, and until when.
    #[must_use]
    pub fn with_delegations(mut self, all: impl IntoIterator<Item = (String, String, Time)>) -> Self {
        let mut places = HashMap::<String, Vec<(String, Time)>>::new();
        for (from, to, until) in all {
            places.entry(to).or_default().push((from, until));
        }
        self.places = places.into_iter().map(|(to, places)| (to, places.into())).collect();
        self
    }

    /// Who presents the token in these headers, if anybody known does.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Reviewer, Problem> {
        let refuse = |detail: &str| Problem::new(Kind::Unauthenticated, detail);
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refuse("send `Authorization: Bearer TOKEN` once, with the token from your token file"));
        };
        let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("the `Authorization` header is not `Bearer TOKEN`"));
        }
        self.owner(token)
    }

    /// Whose token it is.
    pub(super) fn owner(&self, token: &str) -> Result<Reviewer, Problem> {
        let known = (token.len() <= TOKEN_BYTES_MAX).then(|| self.by_hash.get(&Digest::of(token.as_bytes()))).flatten();
        let detail = "unknown token: use your own, whose hash the operator has under `[reviewers]`, or where the host runs that in `.holdshort/token`";
        let nobody = || Problem::new(Kind::Unauthenticated, detail);
        let places = |name: &str| self.places.get(name).cloned().unwrap_or_default();
        known.cloned().map(|name| Reviewer { places: places(&name), name, signed_in_for_ms: 0 }).ok_or_else(nobody)
    }
}

/// Somebody known. A handler that takes one cannot be reached without a token.
#[derive(Clone, Debug)]
pub(crate) struct Reviewer {
    name: Arc<str>,
    /// How long ago they proved who they are, in milliseconds: a token does so with each request.
    signed_in_for_ms: u64,
    places: Places,
}

/// A person is the same whenever they signed in.
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
    /// The name that is written down with what they do.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// In whose places they decide now.
    pub(crate) fn stands_for(&self, now: Time) -> impl Iterator<Item = &str> {
        self.places.iter().filter(move |(_, until)| now < *until).map(|(name, _)| name.as_str())
    }

    /// For whom what waits for them waits: for themselves, and for those in whose places they decide.
    pub(crate) fn seats(&self, now: Time) -> Vec<String> {
        std::iter::once(self.name()).chain(self.stands_for(now)).map(str::to_owned).collect()
    }

    /// In whose place they would decide on this call: nobody's while their own word counts, or where nobody's would.
    pub(crate) fn seat(&self, call: &Call, started_by: &str, now: Time) -> Option<&str> {
        let counts = |name: &str| call.admits_approval(name, started_by).is_ok() && !call.has_vote_of(name);
        // Nobody overrules in somebody's place what they have said themselves.
        let silent = |name: &str| !call.is_rejected_by(name);
        let later = |asks: &holdshort_gate::Requirement| asks.asks_later(self.name(), call.stage);
        if counts(self.name()) || call.requirement().is_some_and(later) {
            return None;
        }
        self.stands_for(now).find(|name| counts(name) && silent(name))
    }

    /// When they proved who they are.
    pub(crate) fn signed_in_at(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.signed_in_for_ms.saturating_mul(1_000)))
    }

    /// The same person, by a session that has lasted for so long.
    pub(crate) fn signed_in_for(self, ms: u64) -> Self {
        Self { signed_in_for_ms: ms, ..self }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reviewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Problem::new(Kind::Unauthenticated, "this needs a reviewer's token"))
    }
}

/// Why the local operator has no token, or no name.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Others could read the token, or put another name.
    #[error("others can get at the local operator's `{path}` (mode {mode:o}): run `chmod 600 {path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others could change it, or put another in its place.
    #[error("the local operator's file: {0}")]
    NotOurs(#[from] NotOurs),
    /// It is no token.
    #[error("`{0}` does not hold a token: remove it, and the host writes a new one at the next start")]
    NotAToken(PathBuf),
    /// It is no name.
    #[error(
        "`{0}` does not hold the name under which the local operator decided so far: write that name into it again"
    )]
    NotAName(PathBuf),
    /// The file cannot be read or written.
    #[error("the local operator's file `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No random numbers.
    #[error("the operating system gives no random numbers for a token: {0}")]
    Random(getrandom::Error),
}

/// The hash of the local operator's token. The file is created at the first start, whole or not at all and readable by nobody else, and read at later ones.
pub fn ensure_local_token(path: &Path) -> Result<Digest, TokenError> {
    let text = ensure(path, new_token)?.ok_or_else(|| TokenError::NotAToken(path.into()))?;
    let token = text.trim();
    let random = token.strip_prefix(TOKEN_PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    match random {
        Some(random) if random.len() == 32 => Ok(Digest::of(token.as_bytes())),
        Some(_) | None => Err(TokenError::NotAToken(path.into())),
    }
}

/// The name that the local operator's token stands for: `name` at the first start, and what was kept then at every later one.
///
/// Votes are counted by name, so a token that changed its name would be two people. Ask for the name before the token: then there never is a token
/// whose name is not kept yet.
pub fn ensure_local_name(path: &Path, name: &str) -> Result<String, TokenError> {
    let text = ensure(path, || Ok(name.into()))?;
    let kept = text.as_deref().map(str::trim).filter(|kept| !kept.is_empty() && !kept.contains(char::is_control));
    kept.map(str::to_owned).ok_or_else(|| TokenError::NotAName(path.into()))
}

/// The text of one of the local operator's files, which is created first if it is missing; nothing if it is no file, because a link could lead anywhere.
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

/// Writes a line beside `path` and links it there, so that nobody ever sees half of it; if another process was faster, its line stands.
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
    // A draft that an earlier, killed host of the same process id left behind is removed too; the next start succeeds.
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
        let all = [("alice".to_owned(), hash("a")), ("bob".into(), hash("b")), ("bob".into(), hash("b2"))];
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
            assert_eq!(found.as_ref().ok().map(Reviewer::name), name, "{value}");
        }
        let mut twice = presents("Bearer a");
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(reviewers.identify(&twice).is_err(), "two tokens are nobody's");
        assert!(reviewers.identify(&HeaderMap::new()).is_err());
        let shared = Reviewers::new([("alice".to_owned(), hash("x")), ("bob".into(), hash("x"))]);
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
            assert_eq!(ensure_local_name(&path, name).unwrap(), "olivia");
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "").unwrap();
        assert!(matches!(ensure_local_name(&path, "mallory"), Err(TokenError::NotAName(_))), "it is not given away");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(ensure_local_name(&path, "mallory"), Err(TokenError::Open { mode: 0o620, .. })));
    }
}
