//! A full disk: a real file system, small and in memory.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::said::{fails, holdshort, refused};
use crate::scene::{letters, post_office};
use crate::support::skipped::skipped;
use crate::support::{Folder, Host, until};

/// A file system of a few megabytes. It is unmounted when this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts such a file system on a new folder. Returns `None` if this machine does not permit it.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_path_buf()));
        }
        skipped("a full disk needs leave to mount a tmpfs, which this user does not have");
        None
    }

    /// Writes until the disk is full. Returns the file that must be removed to make room.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("rubbish");
        let mut file = File::create(&path).unwrap();
        for block in [65_536, 4_096, 512, 1] {
            let bytes = vec![b'x'; block];
            while file.write_all(&bytes).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

fn ready(host: &Host) -> bool {
    host.request(&host.token, "/readyz", None).0 == 200
}

#[test]
fn a_full_disk_delays_and_loses_nothing() {
    let folder = post_office("[limits]\nlinger-ms = 0\n");
    let Some(disk) = SmallDisk::mount(&folder.path().join(".holdshort")) else { return };
    let host = folder.serve();
    let run = host.start("scripted", "email bob@example.org Hello");
    let held = host.held(&run);
    let id = held["id"].as_str().unwrap();
    let path = format!("/v1/approvals/{id}/decisions");
    let approve = json!({ "type": "approve", "digest": held["digest"] });
    assert!(ready(&host));

    let rubbish = disk.fill();
    refused("full-disk", &folder, &host, &path, Some(&approve));
    let digest = held["digest"].as_str().unwrap();
    fails("full-disk", &folder, &["approvals", "approve", id, "--json", "--yes", "--digest", digest]).exits(1);
    refused("full-disk-start", &folder, &host, "/v1/runs", Some(&json!({ "agent": "scripted", "task": "list" })));
    assert!(!ready(&host), "whoever balances load is told");
    assert_eq!((host.approval(id)["state"].as_str(), letters(&folder)), (Some("held"), 0), "no effect, still held");

    fs::remove_file(rubbish).unwrap();
    until("ready host", || ready(&host).then_some(()));
    assert_eq!(host.post(&path, &approve).0, 200, "the same decision, without a restart");
    host.effect(id, "succeeded");
    assert_eq!((host.over(&run)["state"].as_str(), letters(&folder)), (Some("finished"), 1));
    assert_eq!(host.stop().code(), Some(0));
}

#[test]
fn a_host_on_a_full_disk_does_not_start_and_says_why() {
    let folder = Folder::new(&[], "");
    let Some(disk) = SmallDisk::mount(&folder.path().join(".holdshort")) else { return };
    let rubbish = disk.fill();
    let said = holdshort(&folder, &["serve"]).exits(1);
    assert!(said.err.to_lowercase().contains("full") || said.err.contains("No space left"), "{said:?}");
    fs::remove_file(rubbish).unwrap();
    assert_eq!(folder.serve().stop().code(), Some(0));
}
