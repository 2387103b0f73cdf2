//! Reads access control lists (POSIX.1e). They can give other users write access although the
//! permission bits name only owner and group.

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// The attribute in which Linux stores the list: a version, then entries of eight bytes with a
/// kind, permissions and an id.
const NAME: &str = "system.posix_acl_access";
const VERSION: &[u8] = &[2, 0, 0, 0];
/// The maximum size of an attribute on Linux.
const BYTES_MAX: usize = 64 * 1024;
const WRITE: u16 = 2;
/// The kinds of entries: a user by id, the file's group, a group by id, and the mask, which limits the permissions of
/// the other three.
const USER: u16 = 2;
const OWNING_GROUP: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;

/// The users and groups with write access, without the file's owner and without the entry for all others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Writers {
    pub(super) users: Vec<u32>,
    pub(super) groups: Vec<u32>,
}

/// The users and groups that may write to a file by its access control list. `owning` is the file's group. `None` if
/// the file has no list, so that its permission bits are complete.
pub(super) fn writers(path: &Path, owning: u32) -> io::Result<Option<Writers>> {
    let mut bytes = vec![0; BYTES_MAX];
    match rustix::fs::getxattr(path, NAME, &mut bytes[..]) {
        Ok(read) => {
            let list = bytes.get(..read).and_then(|bytes| bytes.strip_prefix(VERSION));
            list.and_then(|list| read_list(list, owning))
                .map(Some)
                .ok_or_else(|| io::Error::other("the access control list cannot be read"))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn read_list(list: &[u8], owning: u32) -> Option<Writers> {
    let (entries, rest) = list.as_chunks::<8>();
    let entries = || {
        entries.iter().map(|[k0, k1, p0, p1, n0, n1, n2, n3]| {
            (u16::from_le_bytes([*k0, *k1]), u16::from_le_bytes([*p0, *p1]), u32::from_le_bytes([*n0, *n1, *n2, *n3]))
        })
    };
    let most = entries().find(|(kind, ..)| *kind == MASK).map_or(u16::MAX, |(_, may, _)| may);
    let mut writers = Writers::default();
    for (kind, _, number) in entries().filter(|(_, may, _)| may & most & WRITE != 0) {
        match kind {
            USER => writers.users.push(number),
            GROUP => writers.groups.push(number),
            OWNING_GROUP => writers.groups.push(owning),
            _ => {}
        }
    }
    rest.is_empty().then_some(writers)
}
