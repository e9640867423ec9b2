"""`install` makes the device's Python environment, `run` stays and has it follow the configuration, `doctor` says what
stands in their way; standard library alone."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("io.edgeloop.Runtime: Python 3.11 or newer is needed, this is " + sys.version.split()[0])

NAME = "io.edgeloop.Runtime"


def say(line: str) -> None:
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:2] == ["run", "--root"] and len(words) == 3:
        import watch

        return watch.main(words[2], say)
    import commands

    return commands.main(words, say)


if __name__ == "__main__":
    sys.exit(main())
