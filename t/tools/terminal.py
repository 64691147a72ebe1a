# SPDX-License-Identifier: Apache-2.0
"""terminal.py OUT STEP... -- COMMAND...

Run COMMAND on a terminal of 100 by 10 and take steps: wait:TEXT until what is
new holds TEXT, send:KEYS, size:COLUMNSxROWS, kill:SIGNAL, end. What it wrote goes to
OUT; one line of JSON says whether each step went well, its exit status and
whether the terminal's mode is what it was."""
import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios
import time

LIMIT_S = 30


def main():
    split = sys.argv.index('--')
    out, steps, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
    master, slave = os.openpty()
    resize(master, 100, 10)
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.close(master)
        take(slave)
        os.execvp(command[0], command)
    seen, at, done, status = b'', 0, [], None
    for step in steps:
        kind, _, text = step.partition(':')
        if kind == 'send':
            os.write(master, text.encode())
            done.append(True)
        elif kind == 'size':
            at = len(seen)
            resize(master, *map(int, text.split('x')))
            done.append(True)
        elif kind == 'kill':
            os.kill(child, getattr(signal, 'SIG' + text))
            done.append(True)
        else:
            until = time.monotonic() + LIMIT_S
            found = False
            while not found and time.monotonic() < until:
                seen += read(master)
                if kind == 'wait':
                    place = seen.find(text.encode(), at)
                    found = place >= 0
                    at = place + len(text) if found else at
                else:
                    pid, code = os.waitpid(child, os.WNOHANG)
                    found = pid == child
                    status = code if found else None
            done.append(found)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    seen += read(master)
    with open(out, 'wb') as file:
        file.write(seen)
    print(json.dumps({
        'steps': done, 'same': termios.tcgetattr(slave) == before,
        'status': None if status is None else os.waitstatus_to_exitcode(status)}))


def take(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)


def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def read(fd):
    if not select.select([fd], [], [], 0.1)[0]:
        return b''
    try:
        return os.read(fd, 65536)
    except OSError:
        return b''


main()
