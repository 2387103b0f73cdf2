"""Runs a command on a pseudo-terminal and answers what it asks; the order comes as JSON on stdin, what was seen goes to stdout as JSON.

A step is a text to wait for, and what to type then.
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 60


def screen(raw):
    """The lines as they stand in the end: carriage returns, erased lines and a cursor that goes up are obeyed, colours are left out."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+|\x1b", raw):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part.startswith("\x1b["):
            count = int(re.sub(r"\D", "", part) or 1)
            if part[-1] == "A":
                row = max(0, row - count)
            elif part[-1] == "K":
                lines[row] = lines[row][:column] if part in ("\x1b[K", "\x1b[0K") else ""
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part):]
            column += len(part)
    return "\n".join(lines)


order = json.load(sys.stdin)
child, master = pty.fork()
if child == 0:
    # A shell starts background tests with Ctrl-C ignored, and their child processes would inherit this.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, order["columns"], 0, 0))
    os.chdir(order["folder"])
    # Restores the default for Ctrl-C, because a typed Ctrl-C must count.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvpe(order["command"][0], order["command"], order["environment"])

raw, seen, steps, failed = b"", 0, order["steps"], None
deadline = time.monotonic() + PATIENCE
while True:
    if time.monotonic() > deadline:
        failed = "it does not go on"
        os.kill(child, 9)
        break
    if not select.select([master], [], [], 1)[0]:
        continue
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    if not data:
        break
    raw += data
    while steps and steps[0][0].encode() in raw[seen:]:
        seen = raw.index(steps[0][0].encode(), seen) + len(steps[0][0].encode())
        os.write(master, steps.pop(0)[1].encode())
_, status = os.waitpid(child, 0)
text = raw.decode()
code = os.waitstatus_to_exitcode(status)
json.dump({"code": code, "raw": text, "screen": screen(text), "waited_for": [step[0] for step in steps], "failed": failed}, sys.stdout)
