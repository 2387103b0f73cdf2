//! Limits the machine resources of a program that works for an agent, because the agent may choose the amount of work.
//!
//! The kernel enforces the limits, even after the host has died. The host sets them from outside as soon as the program
//! runs, so no helper program is needed. Threads and processes that the program starts inherit the limits.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getpriority_process, getrlimit, prlimit, setpriority_process};

/// The niceness that is added to the program's own. With it, the program gets about a tenth of the
/// CPU time of a busy host thread, so it still progresses on a busy machine.
const NICER: i32 = 10;
/// The value of `oom_score_adj` with which the kernel kills this program first when memory runs
/// out.
const FIRST_TO_END: &str = "1000";

/// The limits of one program. The program also gets a low priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Writable memory. Files mapped for reading, such as git's packs, do not count.
    pub memory_bytes: u64,
    /// The CPU time of all threads of the program together.
    pub cpu: Duration,
}

impl Bounds {
    /// Sets the limits for a child. `child` is its process number; `None` after the host has waited for
    /// the child's end.
    pub fn set(&self, child: Option<u32>) -> io::Result<()> {
        let pid = lower(child)?;
        let set = |resource, soft: u64, hard: u64| {
            // The process that started the host may have set a lower hard limit, which cannot be
            // raised.
            let hard = getrlimit(resource).maximum.map_or(hard, |given| given.min(hard));
            prlimit(Some(pid), resource, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) }).map(drop)
        };
        set(Resource::Data, self.memory_bytes, self.memory_bytes)?;
        // At the soft limit a signal ends the program. By this signal the host can tell that the
        // CPU time was used up.
        set(Resource::Cpu, self.cpu.as_secs(), self.cpu.as_secs().saturating_add(5))?;
        Ok(set(Resource::Core, 0, 0)?)
    }
}

/// Sets only the low priority, and no limits.
pub fn lower(child: Option<u32>) -> io::Result<Pid> {
    let pid = child.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let pid = pid.ok_or_else(|| io::Error::other("the child has no number"))?;
    let nice = getpriority_process(None)?.saturating_add(NICER).min(19);
    setpriority_process(Some(pid), nice)?;
    // An error is ignored, because some kernels lack this file.
    drop(std::fs::write(format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero()), FIRST_TO_END));
    Ok(pid)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_and_what_it_starts_have_the_limits() {
        let script = "read go; ulimit -d; ulimit -t; ulimit -c; nice; sh -c 'ulimit -d; ulimit -t; nice'";
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let bounds = Bounds { memory_bytes: 100 << 20, cpu: Duration::from_secs(7) };
        bounds.set(Some(child.id())).unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        let nice = getpriority_process(None).unwrap().saturating_add(10).min(19);
        assert_eq!(said, format!("102400\n7\n0\n{nice}\n102400\n7\n{nice}\n"));
    }

    #[test]
    fn nothing_runs_without_its_limits() {
        let bounds = Bounds { memory_bytes: 1, cpu: Duration::from_secs(1) };
        assert!(bounds.set(None).is_err() && bounds.set(Some(u32::MAX)).is_err() && bounds.set(Some(0)).is_err());
    }
}
