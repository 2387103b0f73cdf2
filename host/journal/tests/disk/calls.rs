//! The C library's functions that change files, replaced for this executable. Each function makes the system call of
//! the replaced function, and records it.
//!
//! The list of watched folders stays locked during the call and its record, so that the records are in the order of the
//! calls.

use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_uint, c_void};
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::MutexGuard;

use crate::{All, Op, Opened, all};

/// Makes the linker use the functions of this file instead of those of the C library.
pub(crate) fn stand_in() {
    black_box((open as *const (), write as *const (), fsync as *const (), rename as *const ()));
}

/// The caller's path as an absolute path.
///
/// # Safety
///
/// `path` is null or ends with a zero byte.
unsafe fn path_of(path: *const c_char) -> Option<PathBuf> {
    // SAFETY: the caller promises that a path that is not null ends with a zero byte.
    let path = (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })?;
    std::path::absolute(OsStr::from_bytes(path.to_bytes())).ok()
}

/// The locked list, if the descriptor is watched. For other descriptors, such as a pipe, the lock is not held during a
/// write.
fn watching(descriptor: c_int) -> Option<MutexGuard<'static, Option<All>>> {
    let all = all();
    all.as_ref().is_some_and(|all| all.descriptors.contains_key(&descriptor)).then_some(all)
}

fn ok(result: c_long) -> bool {
    result >= 0
}

/// The third argument may be absent. Both calling conventions of Linux pass it like any other argument.
///
/// # Safety
///
/// The arguments are as `open(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller promises that these arguments are valid.
    let (name, mut all) = (unsafe { path_of(path) }, all());
    let was_there = name.as_ref().is_some_and(|name| std::path::Path::exists(name));
    // SAFETY: the caller promises that these arguments are valid.
    let descriptor = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) } as c_int;
    let (Some(all), Some(name), 0..) = (all.as_mut(), name, descriptor) else { return descriptor };
    let Some(watched) = all.above(&name) else { return descriptor };
    let opened = if name.is_dir() {
        Opened::Folder(name)
    } else {
        let (file, known) = watched.file(&name);
        match (was_there, known) {
            (false, _) => watched.ops.push(Op::Make { path: name, file }),
            (true, false) => watched.ops.push(Op::Found { path: name, file }),
            (true, true) => {}
        }
        if flags & libc::O_TRUNC != 0 && was_there {
            watched.ops.push(Op::Resize { file, len: 0 });
        }
        Opened::File(file)
    };
    let root = watched.root.clone();
    all.descriptors.insert(descriptor, (root, opened));
    descriptor
}

/// # Safety
///
/// The arguments are as `open(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller promises that these arguments are valid.
    unsafe { open(path, flags, mode) }
}

/// # Safety
///
/// The arguments are as `close(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    if let Some(all) = all().as_mut() {
        all.descriptors.remove(&descriptor);
    }
    // SAFETY: the caller promises that this argument is valid.
    unsafe { libc::syscall(libc::SYS_close, descriptor) as c_int }
}

/// # Safety
///
/// The arguments are as `write(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, count: usize) -> isize {
    let mut all = watching(descriptor);
    // SAFETY: the system call gets no pointer.
    let at = unsafe { libc::syscall(libc::SYS_lseek, descriptor, 0, libc::SEEK_CUR) };
    // SAFETY: the caller promises that these arguments are valid.
    let written = unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, count) };
    if let (Some(all), true) = (all.as_mut().and_then(|all| all.as_mut()), ok(written)) {
        // SAFETY: the system call has just read `written` bytes at `bytes`.
        all.on(descriptor, |opened| unsafe { wrote(opened, bytes, written, at) });
    }
    written as isize
}

/// # Safety
///
/// The arguments are as `pwrite(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(descriptor: c_int, bytes: *const c_void, count: usize, at: i64) -> isize {
    let mut all = watching(descriptor);
    // SAFETY: the caller promises that these arguments are valid.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, bytes, count, at) };
    if let (Some(all), true) = (all.as_mut().and_then(|all| all.as_mut()), ok(written)) {
        // SAFETY: the system call has just read `written` bytes at `bytes`.
        all.on(descriptor, |opened| unsafe { wrote(opened, bytes, written, at) });
    }
    written as isize
}

/// # Safety
///
/// The arguments are as `pwrite(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(descriptor: c_int, bytes: *const c_void, count: usize, at: i64) -> isize {
    // SAFETY: the caller promises that these arguments are valid.
    unsafe { pwrite(descriptor, bytes, count, at) }
}

/// # Safety
///
/// `count` bytes can be read at `bytes`.
unsafe fn wrote(opened: &Opened, bytes: *const c_void, count: c_long, at: i64) -> Option<Op> {
    let (Opened::File(file), Ok(at), Ok(count)) = (opened, u64::try_from(at), usize::try_from(count)) else {
        return None;
    };
    // SAFETY: the caller promises that `count` bytes can be read at `bytes`.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
    Some(Op::Write { file: *file, at, bytes: bytes.into() })
}

/// # Safety
///
/// The arguments are as `ftruncate(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(descriptor: c_int, len: i64) -> c_int {
    let mut all = watching(descriptor);
    // SAFETY: the system call gets no pointer.
    let result = unsafe { libc::syscall(libc::SYS_ftruncate, descriptor, len) };
    if let (Some(all), true) = (all.as_mut().and_then(|all| all.as_mut()), ok(result)) {
        all.on(descriptor, |opened| match (opened, u64::try_from(len)) {
            (Opened::File(file), Ok(len)) => Some(Op::Resize { file: *file, len }),
            _ => None,
        });
    }
    result as c_int
}

/// # Safety
///
/// The arguments are as `ftruncate(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(descriptor: c_int, len: i64) -> c_int {
    // SAFETY: the caller promises that these arguments are valid.
    unsafe { ftruncate(descriptor, len) }
}

/// Flushes a file that is not watched. For a watched file the flush is only recorded.
///
/// # Safety
///
/// The arguments are as `fsync(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    if let Some(all) = watching(descriptor).as_mut().and_then(|all| all.as_mut()) {
        all.on(descriptor, |opened| {
            Some(match opened {
                Opened::File(file) => Op::Sync { file: *file },
                Opened::Folder(path) => Op::SyncFolder { path: path.clone() },
            })
        });
        return 0;
    }
    // SAFETY: the system call gets no pointer.
    unsafe { libc::syscall(libc::SYS_fsync, descriptor) as c_int }
}

/// # Safety
///
/// The arguments are as `fdatasync(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    // SAFETY: the caller promises that this argument is valid.
    unsafe { fsync(descriptor) }
}

/// # Safety
///
/// The arguments are as `mkdir(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: the caller promises that these arguments are valid.
    let (name, mut all) = (unsafe { path_of(path) }, all());
    // SAFETY: the caller promises that these arguments are valid.
    let result = unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, path, mode) };
    if let (Some(all), Some(path), true) = (all.as_mut(), name, ok(result))
        && let Some(watched) = all.above(&path)
    {
        watched.ops.push(Op::MakeFolder { path });
    }
    result as c_int
}

/// # Safety
///
/// The arguments are as `unlink(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller promises that these arguments are valid.
    let (name, mut all) = (unsafe { path_of(path) }, all());
    // SAFETY: the caller promises that these arguments are valid.
    let result = unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) };
    if let (Some(all), Some(path), true) = (all.as_mut(), name, ok(result))
        && let Some(watched) = all.above(&path)
    {
        watched.names.remove(&path);
        watched.ops.push(Op::Remove { path });
    }
    result as c_int
}

/// # Safety
///
/// The arguments are as `rename(2)` requires them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller promises that these arguments are valid.
    let (names, mut all) = (unsafe { path_of(from).zip(path_of(to)) }, all());
    let here = libc::AT_FDCWD;
    // SAFETY: the caller promises that these arguments are valid.
    let result = unsafe { libc::syscall(libc::SYS_renameat2, here, from, here, to, 0) };
    if let (Some(all), Some((from, to)), true) = (all.as_mut(), names, ok(result))
        && let Some(watched) = all.above(&from)
    {
        if let Some(file) = watched.names.remove(&from) {
            watched.names.insert(to.clone(), file);
        }
        watched.ops.push(Op::Rename { from, to });
    }
    result as c_int
}
