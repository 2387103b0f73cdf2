"""A check that takes over the first process that it sees: `python3 takeover.py WAY MARK`. x86-64, because it sets registers.

It says what it could do. Whatever that is, nothing of it may live on after the check or the host; `sleep MARK` is what would.
"""
import ctypes, os, struct, sys, time

way, mark = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype, libc.ptrace.argtypes = ctypes.c_long, [ctypes.c_long] * 4
GETREGS, SETREGS, SINGLESTEP, ATTACH, DETACH, ALL = 12, 13, 9, 16, 17, 0x40000000
NAMES = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES.split()]


def done(what, result):
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def trace(request, data=0):
    done("ptrace %d" % request, libc.ptrace(request, 1, 0, data))


def attached():
    trace(ATTACH)
    os.waitpid(1, ALL)
    old = Registers()
    trace(GETREGS, ctypes.addressof(old))
    return old


def called(number, *arguments):
    """Has the first process make a system call: it waits in one, so the instruction is just behind it."""
    old = attached()
    new = Registers.from_buffer_copy(old)
    new.rip, new.rax, new.orig_rax = old.rip - 2, number, 2**64 - 1
    for name, value in zip(("rdi", "rsi", "rdx"), arguments):
        setattr(new, name, value)
    trace(SETREGS, ctypes.addressof(new))
    trace(SINGLESTEP)
    os.waitpid(1, ALL)
    trace(GETREGS, ctypes.addressof(new))
    trace(SETREGS, ctypes.addressof(old))
    trace(DETACH)
    return ctypes.c_longlong(new.rax).value


def outlive():
    """PR_SET_PDEATHSIG to none: the first process no longer ends with its parent."""
    print("prctl in the first process gave", called(157, 1, 0))


def end_reported():
    """Reports to the parent of bubblewrap that the check has ended: an eventfd takes the exit status plus one, here 1."""
    found = [fd for fd in os.listdir("/proc/1/fd") if "eventfd" in os.readlink("/proc/1/fd/" + fd)]
    handle = done("pidfd_open", libc.syscall(434, 1, 0))
    number = done("pidfd_getfd", libc.syscall(438, handle, int(found[0]), 0))
    # The report is printed before the attempt, because the attempt may end the check at once.
    print("the first process was taken over", flush=True)
    os.write(number, struct.pack("Q", 1))


EXIT = b"\x31\xff\xb8\xe7\x00\x00\x00\x0f\x05"  # xor edi, edi; mov eax, exit_group; syscall


def by_file():
    at = attached().rip
    with open("/proc/1/mem", "r+b", buffering=0) as memory:
        memory.seek(at)
        memory.write(EXIT)
    trace(DETACH)
    print("its code was written by /proc/1/mem")


def by_call():
    """Its stack, because process_vm_writev obeys the protection of the code."""
    local = ctypes.create_string_buffer(b"x" * 4096)
    here = (ctypes.c_void_p * 2)(ctypes.addressof(local), 4096)
    there = (ctypes.c_void_p * 2)(attached().rsp, 4096)
    trace(DETACH)
    done("process_vm_writev", libc.syscall(311, 1, here, 1, there, 1, 0))
    print("its stack was written by process_vm_writev")


if os.fork() == 0:
    os.setsid()
    for fd in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR), fd)
    os.execvp("sleep", ["sleep", mark])
try:
    {
        "stays": outlive,
        "reports": lambda: (outlive(), sys.stdout.flush(), end_reported()),
        "exits": lambda: print("exit_group gave", called(231, 0)),
        "forks": lambda: (outlive(), print("fork in the first process gave", called(57))),
        "writes by file": by_file,
        "writes by call": by_call,
    }[way]()
    print("the first process was taken over")
except OSError as error:
    print("the first process is not to be had:", error)
sys.stdout.flush()
os.execvp("sleep", ["sleep", mark])
