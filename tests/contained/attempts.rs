//! Attempts of a check to break out. A check prints `GOT` if it succeeded.

use std::time::Duration;

use holdshort::connectors::checks::Check;
use holdshort::connectors::confined::{Sandbox, SandboxAccess};

use super::evidence;
use super::skipped::skipped;
use super::world::{SECRET, World, ended, sandbox};

const TIME: Duration = Duration::from_secs(30);

/// Each attempt: its name, its script, and whether it succeeds without the sandbox on any machine. An attempt that does
/// is also run without the sandbox, so that a mistake in its script is found.
const ATTEMPTS: &[(&str, &str, bool)] = &[
    ("the token", "cat STATE/token && echo GOT", true),
    ("the journal", "cat STATE/journal.db && echo GOT", true),
    ("the host's folder", "ls HOST && echo GOT", true),
    ("its configuration, written", "echo x > HOST/holdshort.toml && echo GOT", true),
    ("other checkouts", "ls STATE/checkouts | grep check- && echo GOT", true),
    ("a link in the commit to the token", "cat link && echo GOT", true),
    ("a hard link to the token", "ln STATE/token mine && cat mine && echo GOT", true),
    ("the way up", "ls ../../../token && echo GOT", true),
    ("the way through a process's root", "cat /proc/US/root/STATE/token && echo GOT", true),
    ("the way through its own first process", "cat /proc/1/root/STATE/token && echo GOT", false),
    ("the way through its working folder", "cd /proc/self/cwd/../.. && ls | grep token && echo GOT", false),
    ("another process's environment", "grep -c swordfish /proc/VICTIM/environ && echo GOT", true),
    ("the host's own variables", "env | grep CARGO && echo GOT", false),
    ("another process's command line", "cat /proc/VICTIM/cmdline | grep sleep && echo GOT", true),
    ("the host's memory map", "head -n 1 /proc/US/maps && echo GOT", true),
    ("another process's memory", "python3 -c 'open(\"/proc/VICTIM/mem\", \"rb\"); print(\"GOT\")'", true),
    (
        "ptrace",
        "python3 -c 'import ctypes; print(\"GOT\" if ctypes.CDLL(None).ptrace(16, VICTIM, 0, 0) == 0 else \"no\")'",
        false,
    ),
    ("a signal to another process", "kill -CONT VICTIM && echo GOT", true),
    ("a signal to the host", "kill -CONT US && echo GOT", true),
    (
        "the end of its own first process",
        "kill -KILL 1; sleep 0.1; readlink /proc/1/exe | grep -v bwrap && echo GOT",
        false,
    ),
    (
        "the endpoint",
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", PORT), 2); print(\"GOT\")'",
        true,
    ),
    (
        "the endpoint by the other loopback",
        "python3 -c 'import socket; socket.create_connection((\"localhost\", PORT), 2); print(\"GOT\")'",
        true,
    ),
    (
        "an abstract socket",
        "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"\\0ABSTRACT\"); print(\"GOT\")'",
        true,
    ),
    (
        "the host's socket",
        "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"STATE/socket\"); print(\"GOT\")'",
        true,
    ),
    (
        "the network",
        "python3 -c 'import os; print(\"GOT\" if set(os.listdir(\"/sys/class/net\")) - {\"lo\"} else \"no\")'",
        false,
    ),
    ("a route out", "grep -q -v Iface /proc/net/route && echo GOT", false),
    ("names of hosts", "cat /etc/resolv.conf && echo GOT", false),
    ("a system program, changed", "touch /usr/bin/holdshort-was-here && echo GOT", false),
    ("a file at the top", "touch /holdshort-was-here && echo GOT", false),
    ("a file in /etc", "touch /etc/holdshort-was-here && echo GOT", false),
    ("an account", "echo evil:x:0:0::/:/bin/sh >> /etc/passwd && echo GOT", false),
    ("the password hashes", "cat /etc/shadow && echo GOT", false),
    ("people's homes", "ls /root /home/*/.ssh && echo GOT", false),
    ("running services", "ls /run/* && echo GOT", false),
    ("the system's logs", "ls /var/log && echo GOT", false),
    ("the machine's devices", "ls /sys/class && echo GOT", false),
    ("a disk", "ls /dev/sd* /dev/vd* /dev/nvme* /dev/mem /dev/kmsg 2>/dev/null | grep . && echo GOT", false),
    ("a device of its own", "mknod disk b 8 0 && echo GOT", false),
    ("a mount", "mount -t tmpfs none /tmp && echo GOT", false),
    ("a mount that is taken away", "umount /usr || umount -l /proc && echo GOT", false),
    ("a mount that is made writable", "mount -o remount,rw,bind /usr && echo GOT", false),
    ("a user namespace", "unshare --user --map-root-user true && echo GOT", false),
    ("more user namespaces", "echo 100 > /proc/sys/user/max_user_namespaces && echo GOT", false),
    ("the first process's namespaces", "nsenter --target 1 --mount --pid --net true && echo GOT", false),
    ("another root", "mkdir -p r && chroot r true && echo GOT", false),
    ("root by set-user-id", "cp /usr/bin/id mine && chmod u+s mine && ./mine -u | grep -x 0 && echo GOT", false),
    ("root by sudo", "su -c 'id' < /dev/null && echo GOT", false),
    ("another user", "python3 -c 'import os; os.setuid(0); print(\"GOT\")'", false),
    ("a capability", "grep CapEff /proc/self/status | grep -v 0000000000000000 && echo GOT", false),
    ("rights that it may get back", "grep NoNewPrivs /proc/self/status | grep 0 && echo GOT", false),
    ("the kernel's settings", "echo /tmp/x > /proc/sys/kernel/core_pattern && echo GOT", false),
    ("the kernel's emergency keys", "echo b > /proc/sysrq-trigger && echo GOT", false),
    ("the machine's name", "hostname evil && echo GOT", false),
    ("the machine's clock", "date -s '2001-01-01' && echo GOT", false),
    ("open files of the host", "ls /proc/self/fd | grep -v -x '[0123]' && echo GOT", false),
    (
        "a terminal to type into",
        "python3 -c 'import fcntl, termios; fcntl.ioctl(open(\"/dev/tty\"), termios.TIOCSTI, b\"x\"); print(\"GOT\")'",
        false,
    ),
    (
        "a terminal by its input",
        "python3 -c 'import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b\"x\"); print(\"GOT\")'",
        false,
    ),
    ("a session of the host's", "python3 -c 'import os; print(\"no\" if os.getsid(0) else \"GOT\")'", false),
    ("a core file", "ulimit -H -c | grep -v -x 0 && echo GOT", false),
    ("more processes", "prlimit --nproc=1000000 true && echo GOT", false),
    ("another branch's file", "git cat-file -p PRIVATE && echo GOT", false),
    ("all objects of the repository", "git cat-file --batch-all-objects --batch | grep swordfish && echo GOT", false),
    ("another branch's tag", "git rev-parse --verify private-tag && echo GOT", false),
    ("the repository itself", "ls REPOSITORY/.git && echo GOT", true),
    ("the repository that it was taken from", "cat .git/objects/info/alternates && echo GOT", false),
    ("shared memory of others", "test \"$(ipcs -a | grep -c 0x)\" != 0 && echo GOT", false),
    ("what the journal's folder is called", "ls -d /tmp/.tmp* && echo GOT", false),
    // This attempt is the last, because it ends everything that runs beside it.
    ("a signal to everybody", "trap '' TERM; kill -TERM -1; kill -0 US && echo GOT", false),
];

/// Runs all attempts in one check, each in its own shell, so that the sandbox is made only once.
async fn tried(
    world: &World,
    attempts: &[&(&str, &str, bool)],
    confined: Option<(Sandbox, SandboxAccess)>,
) -> Vec<String> {
    let one = |(number, (_, script, _)): (usize, &&(&str, &str, bool))| {
        format!("echo; echo '== {number}'\n( {script} ) 2>&1\n")
    };
    let script = attempts.iter().enumerate().map(one).collect::<String>();
    let ended = world.run(&script, confined, TIME).await;
    let said = ended.output.split("\n== ").skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(said.len(), attempts.len(), "{ended:?}");
    said
}

#[tokio::test]
async fn a_check_gets_nothing_of_the_machine() {
    let Some(sandbox) = sandbox() else { return };
    let world = World::new();
    let got = |said: &str| said.lines().any(|line| line == "GOT");
    let all = ATTEMPTS.iter().collect::<Vec<_>>();
    let said = tried(&world, &all, Some((sandbox, SandboxAccess::default()))).await;
    let wrong: Vec<_> =
        ATTEMPTS.iter().zip(&said).filter(|(_, said)| got(said) || said.contains(&format!("{SECRET}-"))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Without the sandbox these attempts succeed.
    let some = ATTEMPTS.iter().filter(|(_, _, works_outside)| *works_outside).collect::<Vec<_>>();
    let said = tried(&world, &some, None).await;
    let wrong: Vec<_> = some.iter().zip(&said).filter(|(_, said)| !got(said)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    evidence::figure("T33", "attempts of a check to get out", ATTEMPTS.len() as u64);
}

#[tokio::test]
async fn nothing_of_a_check_is_left_when_it_ends() {
    let Some(sandbox) = sandbox() else { return };
    let world = World::new();
    let ways = [
        "sleep MARK & exit 0",
        "nohup setsid sleep MARK < /dev/null > /dev/null 2>&1 & exit 0",
        "trap '' HUP TERM INT; (setsid sh -c 'trap \"\" HUP TERM INT; sleep MARK' &) ; exit 0",
        "python3 -c 'import os\nfor _ in range(3):\n  if os.fork(): os._exit(0)\n  os.setsid()\nos.closerange(0, 64)\nos.execlp(\"sleep\", \"sleep\", \"MARK\")'",
        // The ways from here on do not end by themselves.
        "sleep MARK",
        "trap '' HUP TERM INT QUIT; while :; do sleep MARK; done",
        "setsid -w sleep MARK",
    ];
    for (number, way) in ways.iter().enumerate() {
        let mark = format!("{}.{number}", 86_400 + std::process::id());
        // The first four end by themselves, however slow the machine is. The host must end the others.
        let ends = number < 4;
        let time_out = if ends { TIME } else { Duration::from_secs(2) };
        let ended =
            world.run(&way.replace("MARK", &mark), Some((sandbox.clone(), SandboxAccess::default())), time_out).await;
        assert_eq!((ended.passed, ended.output.contains("[stopped after")), (ends, !ends), "{way}: {ended:?}");
        world.has_lost(&mark, way).await;
    }
    evidence::figure("T33", "ways to outlive a check", ways.len() as u64);
}

#[tokio::test]
async fn what_grows_without_end_stops_and_the_next_check_works() {
    let Some(sandbox) = sandbox() else { return };
    let world = World::new();
    let given = |memory_mib: u64| SandboxAccess { memory_bytes: Some(memory_mib << 20), ..SandboxAccess::default() };
    let bombs = [
        // Both fork as long as they can: the first makes processes, the second threads.
        ("f() { f & f & wait; }; f", 512, false),
        (
            "python3 -c 'import threading, time\nn = 0\ntry:\n  while n < 9000:\n    threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\nexcept RuntimeError: pass\nprint(\"THREADS\", n < 3000, flush=True)'",
            2_048,
            true,
        ),
        ("python3 -c 'x = bytearray(1 << 30)'", 256, true),
        ("python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 20))'", 256, true),
        ("dd if=/dev/zero of=/dev/shm/a bs=1M count=2000", 256, true),
        ("dd if=/dev/zero bs=1M count=2000", 256, false),
    ];
    for (bomb, memory_mib, ends) in bombs {
        let ended = world
            .run(bomb, Some((sandbox.clone(), given(memory_mib))), Duration::from_secs(if ends { 30 } else { 3 }))
            .await;
        assert!(!ended.passed || ended.output.contains("THREADS True"), "{bomb}: {ended:?}");
        assert_eq!(ended.status != -1, ends, "{bomb}: {ended:?}");
        let next = world.run("echo fine", Some((sandbox.clone(), SandboxAccess::default())), TIME).await;
        assert_eq!((next.passed, next.output.as_str()), (true, "fine\n"), "after {bomb}");
    }
    evidence::figure("T33", "bombs", bombs.len() as u64);
}

/// The check runs on its own disk, because it fills that disk.
#[tokio::test]
async fn a_check_leaves_half_of_the_disk() {
    let world = World::new();
    let disk = world.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut mount = std::process::Command::new("mount");
    if !mount
        .args(["-t", "tmpfs", "-o", "size=128m,nr_inodes=20000", "none"])
        .arg(&disk)
        .status()
        .is_ok_and(|status| status.success())
    {
        return skipped("a check that fills the disk: mounting needs root");
    }
    for (confined, script) in [
        (sandbox(), "dd if=/dev/zero of=big bs=1M count=120 2>&1; sync; sleep 20"),
        (None, "dd if=/dev/zero of=big bs=1M count=120 2>&1; sleep 20"),
        (sandbox(), "i=0; while [ $i -lt 15000 ]; do : > f$i; i=$((i+1)); done; sleep 20"),
    ] {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let check = Check {
            argv,
            time_out: TIME,
            revisions: vec!["main".parse().unwrap()],
            environment: Vec::new(),
            confined: confined.map(|sandbox| (sandbox, SandboxAccess::default())),
        };
        let ended = ended(&world.checks(check, &disk.join("checkouts"))).await;
        assert!(ended.output.contains("half of the free disk space"), "{script}: {ended:?}");
        for _ in 0..500 {
            if std::fs::read_dir(disk.join("checkouts")).unwrap().count() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(std::process::Command::new("umount").arg("-l").arg(&disk).status().unwrap().success());
}

/// The folders are deeper than a recursive removal could follow, and their owner may not open them.
#[tokio::test]
async fn whatever_a_check_leaves_behind_is_removed() {
    let world = World::new();
    let messes = [
        "python3 -c 'import os\nfor _ in range(3000): os.mkdir(\"d\"); os.chdir(\"d\")'",
        "mkdir -p a/b/c; touch a/b/c/d; chmod 000 a/b/c a/b a; chmod 000 .",
        "ln -s / top; ln -s ../../.. up; mkfifo pipe; touch -- '-rf' ./- \"$(printf 'new\\nline')\"",
    ];
    for mess in messes {
        for confined in [None, sandbox().map(|sandbox| (sandbox, SandboxAccess::default()))] {
            let ended = world.run(mess, confined, TIME).await;
            assert!(ended.passed, "{mess}: {ended:?}");
        }
    }
    for _ in 0..1_000 {
        if std::fs::read_dir(world.path("host/.holdshort/checkouts")).unwrap().count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(std::fs::read_dir(world.path("host/.holdshort/checkouts")).unwrap().count(), 0);
    assert!(world.path("host/.holdshort/token").exists(), "and nothing else");
    evidence::figure("T33", "messes removed", messes.len() as u64);
}
