import pytest

from boxless.errors import RunError
from boxless.runs.finished import MARK, is_run, refuse_foreign_folder


def test_new_and_empty_folders_and_runs_are_taken(tmp_path):
    refuse_foreign_folder(tmp_path / "new")
    refuse_foreign_folder(tmp_path)
    (tmp_path / "leaks.json").write_text("{}")  # stopped before its first step
    refuse_foreign_folder(tmp_path)
    (tmp_path / "recipe.toml").write_text(f"# scenes:\n{MARK}\n")
    (tmp_path / "notes.txt").write_text("mine")
    refuse_foreign_folder(tmp_path)
    assert is_run(tmp_path)


def test_a_run_of_before_is_known_by_its_steps(tmp_path):
    (tmp_path / "proposals").mkdir()
    (tmp_path / "proposals" / "step.json").write_text("{}")
    (tmp_path / "recipe.toml").write_text("# scenes:\n")
    refuse_foreign_folder(tmp_path)


@pytest.mark.parametrize("name", ["recipe.toml", "results.json", "photo.jpg", "report.html"])
def test_a_folder_of_the_users_is_refused_and_named(tmp_path, name):
    (tmp_path / name).write_text("# my own recipe, with a comment\nname = 'mine'\n")
    with pytest.raises(RunError, match=f"no run folder, and not empty: it holds {name}"):
        refuse_foreign_folder(tmp_path)
