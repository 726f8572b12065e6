"""Become another program that dies with its parent: `python -I guard.py PARENT SIGNAL USER PROGRAM [ARGUMENT...]`.

A supervisor that is killed by SIGKILL cannot stop its children, so on Linux the kernel is told to do it. The request
must be made inside the child, after any change of user (which clears it) and before `exec` (which keeps it); a small
program does so without the hazards of running Python between `fork` and `exec`. It imports nothing of the project,
since it may run as root and only to become somebody else.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop to the user, tie the life of this process to its parent's, become the program."""
    parent, signal_number, user, *command = sys.argv[1:]
    if user:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        os.environ["HOME"] = entry.pw_dir
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the parent has died already")
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main()
