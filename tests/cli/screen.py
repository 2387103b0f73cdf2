"""A program on a pseudo-terminal, and what stands on its screen.

The first line of stdin is the order, as JSON; each further one is something to do, answered by a line of JSON on stdout:
  {"type": "keys"}      typed
  {"see": ["a", "b"]}   waits until all of these stand on the screen
  {"size": [c, r]}      the window gets another size
  {"signal": 15}        sent to the program
  {"end": true}         waits until the program has ended
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
import unicodedata

PATIENCE = 60


class Screen:
    """As much of a terminal as the program uses. What it does not know is kept in `unknown`, so that the tests can say that there was none."""

    def __init__(self, columns, rows):
        self.unknown, self.alternate, self.hidden, self.rest, self.scrolled = [], False, False, "", False
        self.size(columns, rows)

    def size(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def shows(self, text):
        """Whether a text stands there, be it wrapped; where a line is broken its last space cannot be seen."""
        whole = "\n".join("".join(row) for row in self.cells)
        return text in whole or text in re.sub(r" *\n *┊ ", "", whole) or text in re.sub(r" *\n *┊ ", " ", whole)

    def feed(self, text):
        text = self.rest + text
        self.rest = ""
        cut = re.search(r"\x1b(\[[0-9;?]*)?$", text)
        if cut:
            text, self.rest = text[:cut.start()], text[cut.start():]
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.|.", text, re.DOTALL):
            if len(part) > 1:
                self.command(part)
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self.row = min(self.row + 1, self.rows - 1)
            elif unicodedata.category(part) in ("Cc", "Cf", "Co", "Cn"):
                self.unknown.append(part)
            else:
                self.put(part)

    def put(self, sign):
        if unicodedata.category(sign).startswith("M"):
            return
        wide = 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if self.column + wide > self.columns and not self.alternate:
            self.row, self.column = min(self.row + 1, self.rows - 1), 0
        if self.column + wide > self.columns:
            self.unknown.append(f"beyond the edge: {sign}")
            return
        self.cells[self.row][self.column] = sign
        if wide == 2:
            self.cells[self.row][self.column + 1] = ""
        self.column += wide

    def command(self, part):
        numbers = [int(number or 0) for number in re.sub(r"[^0-9;]", "", part).split(";")]
        if part[-1] == "H":
            self.row, self.column = min(numbers[0] or 1, self.rows) - 1, min((numbers + [1])[1] or 1, self.columns) - 1
        elif part[-1] == "J" and numbers[0] in (0, 2):
            keep = (self.row, self.column)
            self.clear()
            self.row, self.column = keep
        elif part in ("\x1b[?1049h", "\x1b[?1049l"):
            self.alternate = part[-1] == "h"
            self.clear()
        elif part in ("\x1b[?25h", "\x1b[?25l"):
            self.hidden = part[-1] == "l"
        elif part[-1] not in "m" and part not in ("\x1b[?2004h", "\x1b[?2004l"):
            self.unknown.append(part)


order = json.loads(sys.stdin.readline())
screen = Screen(*order["size"])
# The test side of the terminal stays open too, so that its settings can be read when the program has ended.
master, slave = pty.openpty()


def resize(columns, rows):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


resize(*order["size"])
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(order["folder"])
    os.execvpe(order["command"][0], order["command"], order["environment"])

raw, code = b"", None


def read(seconds):
    global raw
    if select.select([master], [], [], seconds)[0]:
        data = os.read(master, 65536)
        raw += data
        # The bytes of an incomplete character wait for the rest.
        text = data if not read.part else read.part + data
        for cut in range(len(text), max(len(text) - 4, -1), -1):
            try:
                screen.feed(text[:cut].decode())
                read.part = text[cut:]
                break
            except UnicodeDecodeError:
                continue
        return True
    return False


read.part = b""


def until(found):
    deadline = time.monotonic() + PATIENCE
    # The output that has arrived by now is read first.
    read(0.05)
    while not found():
        if time.monotonic() > deadline:
            return "it never comes"
        read(0.02)
    return None


def ended():
    global code
    if code is None:
        pid, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if pid else None
    return code is not None


for line in sys.stdin:
    step, failed = json.loads(line), None
    if "type" in step:
        os.write(master, step["type"].encode())
    elif "see" in step:
        failed = until(lambda: all(screen.shows(text) for text in step["see"]))
    elif "size" in step:
        while read(0.05):
            pass
        screen.size(*step["size"])
        resize(*step["size"])
    elif "signal" in step:
        os.kill(child, step["signal"])
    else:
        failed = until(ended)
        while read(0.05):
            pass
    answer = {
        "failed": failed, "screen": screen.text(), "unknown": screen.unknown, "code": code, "raw": raw.decode(errors="replace"),
        "restored": termios.tcgetattr(slave) == before and not screen.alternate and not screen.hidden,
    }
    print(json.dumps(answer), flush=True)
if not ended():
    os.kill(child, 9)
