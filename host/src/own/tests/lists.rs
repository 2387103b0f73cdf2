//! Tests access control lists, with real lists on this file system.

use super::*;

/// Sets an access control list: kinds, permissions and ids as in the kernel. Returns false where the file system has no
/// such lists.
fn list(path: &Path, named: &[(u16, u16, u32)], group: u16, mask: u16) -> bool {
    let own = [(1, 6, u32::MAX), (4, group, u32::MAX), (16, mask, u32::MAX), (32, 0, u32::MAX)];
    let mut entries: Vec<(u16, u16, u32)> = own.into_iter().chain(named.iter().copied()).collect();
    entries.sort_unstable();
    let entry = |(kind, may, number): &(u16, u16, u32)| {
        [&kind.to_le_bytes()[..], &may.to_le_bytes(), &number.to_le_bytes()].concat()
    };
    let bytes = [vec![2, 0, 0, 0], entries.iter().flat_map(entry).collect()].concat();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, "system.posix_acl_access", &bytes, flags).is_ok()
}

/// The cases: users and groups in the list, the group's permissions and the mask, and whether the file passes.
#[test]
fn a_list_that_lets_others_write_is_seen() {
    type Case<'a> = (&'a [(u16, u16, u32)], u16, u16, bool);
    const USER: u16 = 2;
    const GROUP: u16 = 8;
    let us = us();
    let cases: &[Case<'_>] = &[
        (&[], 4, 4, true),
        (&[], 6, 6, true),
        (&[(USER, 6, STRANGER)], 4, 6, false),
        (&[(USER, 2, STRANGER)], 0, 2, false),
        (&[(USER, 7, 65_534)], 0, 7, false),
        (&[(USER, 6, STRANGER)], 4, 4, true),
        (&[(USER, 4, STRANGER)], 6, 6, true),
        (&[(USER, 6, us)], 4, 6, true),
        (&[(USER, 6, 0)], 4, 6, true),
        (&[(GROUP, 6, STRANGER)], 4, 6, false),
        (&[(GROUP, 6, STRANGER)], 4, 4, true),
        (&[(GROUP, 6, 0)], 4, 6, true),
        (&[(USER, 4, STRANGER), (GROUP, 6, STRANGER)], 4, 6, false),
        (&[(USER, 4, 1), (USER, 6, STRANGER), (USER, 4, 65_534)], 4, 6, false),
    ];
    for (named, group, mask, ours) in cases {
        let scene = Scene::new(&[]);
        let (secret, way) = (scene.at("way/secret"), scene.at("way"));
        if !list(&secret, named, *group, *mask) {
            return;
        }
        let refused = |result: Result<(), NotOurs>| result.is_err();
        let what = format!("{named:?}, group {group}, mask {mask}");
        assert_eq!(refused(super::secret(&secret).map(drop)), !ours, "{what}");
        assert_eq!((refused(unwritable(&secret)), refused(installed(&secret))), (!ours, !ours), "{what}");
        assert_eq!(refused(is_our_file(&secret)), !ours, "{what}");
        // Tightening the permission bits also tightens the list.
        set(&secret, 0o600);
        assert!(!refused(unwritable(&secret)), "{what}");
        assert!(list(&way, named, group | 1, mask | 1));
        assert_eq!(refused(unwritable(&secret)), !ours, "on the way: {what}");
    }
}
