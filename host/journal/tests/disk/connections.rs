//! Changes the settings of SQLite connections that the tested code opens.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::Once;

use rusqlite::ffi;

use crate::all;

/// Makes SQLite call [`connected`] for every connection of this process.
pub(crate) fn stand_in() {
    static ONCE: Once = Once::new();
    // SAFETY: the function lives as long as the process, and no connection is being opened yet.
    ONCE.call_once(|| assert_eq!(unsafe { ffi::sqlite3_auto_extension(Some(connected)) }, ffi::SQLITE_OK));
}

unsafe extern "C" fn connected(
    database: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite hands over a connection that has just been opened; the name is its own and ends with a zero byte.
    let path = unsafe {
        let name = ffi::sqlite3_db_filename(database, c"main".as_ptr());
        if name.is_null() { return ffi::SQLITE_OK } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    };
    let sql = all().as_ref().and_then(|all| {
        let watched = all.watched.iter().find(|watched| Path::new(&path).starts_with(&watched.root))?;
        watched.connections.clone()
    });
    let Some(sql) = sql else { return ffi::SQLITE_OK };
    let keeps = sql.contains("synchronous");
    let Ok(sql) = CString::new(sql) else { return ffi::SQLITE_ERROR };
    // SAFETY: only this function uses the connection until it returns, and the text lives as long as the call.
    unsafe {
        let done = ffi::sqlite3_exec(database, sql.as_ptr(), None, null_mut(), null_mut());
        if done == ffi::SQLITE_OK && keeps {
            return ffi::sqlite3_set_authorizer(database, Some(keep_synchronous), null::<c_void>().cast_mut());
        }
        done
    }
}

/// Ignores each attempt to set `synchronous`; other settings are not changed.
unsafe extern "C" fn keep_synchronous(
    _: *mut c_void,
    action: c_int,
    name: *const c_char,
    value: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    // SAFETY: the texts are SQLite's own, and are null or end with a zero byte.
    let sets = action == ffi::SQLITE_PRAGMA
        && !name.is_null()
        && !value.is_null()
        && unsafe { CStr::from_ptr(name) } == c"synchronous";
    if sets { ffi::SQLITE_IGNORE } else { ffi::SQLITE_OK }
}
