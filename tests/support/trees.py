"""Folders full of files to copy, and whether two are the same."""

import filecmp
import pathlib
import random


def make_tree(top: pathlib.Path) -> pathlib.Path:
    """A folder with empty, small, large and oddly named files."""
    chance = random.Random(3)
    for i in range(40):
        folder = top / f"folder {i % 5}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{i}").write_bytes(chance.randbytes(i * 997))
    (top / "empty").write_bytes(b"")
    (top / "large").write_bytes(chance.randbytes(5_000_000))
    (top / "nämé 'with\" $(odd) characters").write_text("odd")
    return top


def same(one: pathlib.Path, other: pathlib.Path) -> None:
    comparison = filecmp.dircmp(one, other)
    assert not comparison.left_only and not comparison.right_only, (comparison.left_only, comparison.right_only)
    _, different, unread = filecmp.cmpfiles(one, other, comparison.common_files, shallow=False)
    assert not different and not unread
    for name in comparison.common_dirs:
        same(one / name, other / name)
