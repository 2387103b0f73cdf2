//! Opens a file: checks that the file is a journal and which version it has, and applies the settings.
//!
//! **Invariant:** Everything in the file is flushed before anybody reads it. If a host was killed, the system may show
//! a commit that is not on the disk yet. Opening a journal therefore flushes its file, its log, and the folders above,
//! because the folders may be new too.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use holdshort_gate::JournalId;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::connect::{bare, make_durable};
use super::presence::beside;
use super::project::rebuild;
use super::read::SqliteReaders;
use super::schema::{APPLICATION_ID, PROJECTION, TABLES, VERSION, lacking};
use super::write::Sqlite;
use crate::error::{OpenError, ReadError};
use crate::secret::Identity;
use crate::store::{Reader, Readers};

/// The oldest version of SQLite that the host accepts. Older versions can corrupt a database in WAL mode:
/// <https://www.sqlite.org/wal.html#walresetbug>.
const SQLITE_MIN: i32 = 3_051_003;

/// An open journal, in its parts.
pub(crate) struct Opened {
    pub(crate) identity: Identity,
    pub(crate) store: Sqlite,
    pub(crate) readers: SqliteReaders,
}

/// Opens the journal at `path`, or creates it. The caller has claimed the journal.
pub(crate) fn open(path: &Path) -> Result<Opened, OpenError> {
    if rusqlite::version_number() < SQLITE_MIN {
        let why = format!(
            "SQLite {} is older than 3.51.3 and can corrupt the journal: build Holdshort with a newer SQLite",
            rusqlite::version()
        );
        return Err(OpenError::Sqlite { path: path.into(), why });
    }
    make_file(path)?;
    let mut connection = bare(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| open_error(path, &error))?;
    let empty = inspect(path, &connection)?;
    // The settings come after the check, because they change the file, and a file of another program must stay as it
    // is.
    make_durable(&connection).map_err(|error| open_error(path, &error))?;
    prepare(path, &mut connection, empty)?;
    let identity = identity(&connection).map_err(|error| OpenError::unreadable(path, error))?;
    let readers = SqliteReaders::new(path.into());
    Ok(Opened { identity, store: Sqlite::new(path.into(), connection), readers })
}

/// Opens the journal at `path` for reading, whoever has claimed it. A journal of an older version is not brought to this
/// one, because that would write.
pub(crate) fn open_recorded(path: &Path) -> Result<(Identity, Box<dyn Reader>), OpenError> {
    let connection = bare(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| open_error(path, &error))?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if inspect(path, &connection)? || version.map_err(|error| open_error(path, &error))? != VERSION {
        let why = "the journal has no runs of this version: start a host here once, with `holdshort serve`".into();
        return Err(OpenError::NotAJournal { path: path.into(), why });
    }
    let identity = identity(&connection).map_err(|error| OpenError::unreadable(path, error))?;
    let reader = SqliteReaders::new(path.into()).reader().map_err(|error| OpenError::unreadable(path, error))?;
    Ok((identity, reader))
}

/// Creates the file if there is none. Afterwards the file's contents and name and the folders above it are on disk.
fn make_file(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Err(OpenError::NotAJournal { path: path.into(), why: "it is a folder".into() });
    }
    let io = |what| move |source| OpenError::Io { what, path: path.into(), source };
    if !path.exists() {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("create the journal"))?;
    }
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    // A host that was killed before a flush may have left data that is not on disk yet, and readers would see that
    // data.
    for file in [path.to_owned(), beside(path, "-wal")].iter().filter(|file| file.exists()) {
        sync(file).map_err(io("sync"))?;
    }
    for folder in path.ancestors().skip(1) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match sync(folder) {
            // A folder that this user may not read was made by somebody else, such as the folder `/home`.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                return Err(io("sync the folder of")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Refuses every file that this version cannot use; says whether the file is empty.
fn inspect(path: &Path, connection: &Connection) -> Result<bool, OpenError> {
    let open_error = |error: rusqlite::Error| open_error(path, &error);
    let pragma = |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma(connection, "application_id").map_err(open_error)?;
    let version = pragma(connection, "user_version").map_err(open_error)?;
    let tables = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], tables).map_err(open_error)?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(true);
    }
    if application != APPLICATION_ID {
        let why = "it is the SQLite database of another program".into();
        return Err(OpenError::NotAJournal { path: path.into(), why });
    }
    if version > VERSION {
        return Err(OpenError::Newer { path: path.into(), found: version, known: VERSION });
    }
    Ok(false)
}

/// Makes the tables of an empty file, the tables that an older file lacks, and the projections of a file whose
/// projections have another version.
fn prepare(path: &Path, connection: &mut Connection, empty: bool) -> Result<(), OpenError> {
    if empty {
        create(connection).map_err(|error| OpenError::Sqlite { path: path.into(), why: error })?;
    }
    migrate(connection).map_err(|error| open_error(path, &error))?;
    let projection = meta(connection, "projection").map_err(|error| OpenError::unreadable(path, error))?;
    if projection != PROJECTION.as_bytes() {
        rebuild(connection).map_err(|error| OpenError::unreadable(path, error))?;
    }
    Ok(())
}

/// Brings an older file to this version, completely or not at all.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    if version == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in lacking(version) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Creates the tables in one transaction, which includes the two numbers in the file's header. After an interruption
/// the file is therefore either a complete journal or still empty.
fn create(connection: &mut Connection) -> Result<(), String> {
    let identity = Identity::draw().map_err(|error| error.to_string())?;
    let create = |connection: &mut Connection| -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        for tables in TABLES.into_iter().chain(lacking(1)) {
            transaction.execute_batch(tables)?;
        }
        for (key, value) in
            [("id", identity.id.0.as_bytes()), ("secret", &identity.secret), ("projection", PROJECTION.as_bytes())]
        {
            transaction.execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", (key, value))?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    };
    create(connection).map_err(|error| error.to_string())
}

/// The name and the secret that the journal was created with. A journal without its secret is damaged and gets no new
/// one: every call would get another key, and no connector could recognise the effects that it has already performed.
fn identity(connection: &Connection) -> Result<Identity, ReadError> {
    let id = String::from_utf8(meta(connection, "id")?)
        .map_err(|_| ReadError::Damaged("the id of the journal is not text".into()))?;
    let secret = meta(connection, "secret")?;
    let secret = secret.try_into().map_err(|_| ReadError::Damaged("the secret of the journal is truncated".into()))?;
    Ok(Identity { id: JournalId(id), secret })
}

/// A value of the table `meta`. Every key was written when the journal was created, so a journal without the key is
/// damaged.
fn meta(connection: &Connection, key: &str) -> Result<Vec<u8>, ReadError> {
    let found = connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    found.ok_or_else(|| ReadError::Damaged(format!("the table `meta` has no `{key}`")))
}

fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.into();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotAJournal { path, why: "it is not a SQLite database".into() },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, why: error.to_string() },
        Some(_) | None => OpenError::Sqlite { path, why: error.to_string() },
    }
}
