from pathlib import Path

from edgeloop_tools.plugin.cases import check


def test_cases(tmp_path: Path) -> None:
    assert check(Path(__file__).parent, tmp_path) > 0
