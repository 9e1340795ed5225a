"""`uucico`: the classic name, with Taylor UUCP's options as far as they mean something here.

    uucico -r1 -sSYSTEM     call, if the time to try again has come (-S: in any case)
    uucico -r1              call every system that there is work for
    uucico [-l]             answer on standard input and output; -l asks for login and password

As a login shell it is started without options. It ends with 1 if a call did not succeed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli import uucico
from relaynode.cli.rights import load_and_step_down
from relaynode.config.loader import find
from relaynode.errors import EX_OK, RelaynodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

EX_FAILED = 1


def main(words: Sequence[str], program: str = "uucico") -> int:
    """Run as `program`; the exit code: 0, or 1 for whatever went wrong."""
    options = _parser(program).parse_args(words)
    try:
        config = load_and_step_down(find(options.config))
        is_verbose = not options.quiet and bool(options.debug or options.verbose)
        if options.role == 0 and not (options.system or options.forced):
            return uucico.answer(config, has_prompts=options.prompt, login=options.login)
        code = uucico.call(
            config,
            [*options.system, *options.forced],
            grade=options.grade,
            has_patience=not (options.forced or options.force),
            only_with_work=options.if_work or not (options.system or options.forced),
            is_verbose=is_verbose,
            program=program,
        )
    except RelaynodeError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EX_FAILED
    return EX_OK if code == EX_OK else EX_FAILED


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("-r", "--role", type=int, choices=(0, 1), default=0, help="1 calls, 0 answers")
    add("--master", dest="role", action="store_const", const=1, help="as -r1")
    add("--slave", dest="role", action="store_const", const=0, help="as -r0")
    add("-s", "--system", action="append", default=[], metavar="SYSTEM", help="call it")
    add("-S", dest="forced", action="append", default=[], metavar="SYSTEM", help="... now")
    add("-f", "--force", action="store_true", help="also before the time to try again")
    add("-g", "--grade", metavar="LETTER", help="only jobs of this grade or better")
    add("-C", "--ifwork", dest="if_work", action="store_true", help="only if there is work")
    add("-l", "--prompt", action="store_true", help="ask for login and password")
    add("-u", "--login", metavar="NAME", help="who has logged in")
    add("-I", "--config", type=Path, metavar="FILE", help="a relaynode.toml")
    add("-q", "--quiet", action="store_true", help="say nothing")
    add("-x", "-X", "--debug", action="append", metavar="WHAT", help="say what happens")
    add("-v", "--verbose", action="store_true", help="say what happens")
    add("-D", "--nodetach", action="store_true", help="always so here")
    add("-c", "--if-not-waiting", action="store_true", help=argparse.SUPPRESS)
    return parser
