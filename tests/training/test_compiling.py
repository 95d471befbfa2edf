"""torch.compile of what is trained: same names, same bytes after a kill, nothing left behind."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from task_case import LEVEL, classifier_task, region_task, student
from test_loop import Interrupted, KilledError, assert_same, run
from training_case import settings

from boxless.errors import ConfigError
from boxless.losses.region_transfer import Adapter
from boxless.training.compiling import compiled, eager, missing_compiler, require_compiler
from boxless.training.events import WEIGHTS

CPU = torch.device("cpu")
FINE = "stride8"


@pytest.fixture
def compiling(runtime, monkeypatch):
    """The CPU, with compiled backbones."""
    monkeypatch.setattr(runtime, "compiled", True)
    return runtime


def needs_compiler():
    return pytest.mark.skipif(missing_compiler(CPU, 1) != "", reason="no C++ compiler")


def compiled_calls(task):
    return [part for part in task.module.modules() if part._compiled_call_impl is not None]


class Watched:
    """A task that notes whether its backbone is compiled while it computes losses."""

    def __init__(self, task):
        self.task, self.seen = task, []

    def __getattr__(self, name):
        return getattr(self.task, name)

    def losses(self, batch):
        self.seen.append(len(compiled_calls(self.task)))
        return self.task.losses(batch)


@needs_compiler()
@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(tmp_path, compiling):
    """Dropout, trained statistics, and a plateau whose held-out loss is computed as ever."""
    chosen = settings(schedule="plateau", epochs=2.5)

    def validation(task, seen):
        def measure():
            seen.append(len(compiled_calls(task)))
            task.module.eval()
            return 1.0

        return measure

    whole, seen = Watched(classifier_task()), []
    run(whole, tmp_path / "whole", compiling, chosen, validate=validation(whole, seen))
    assert set(whole.seen) == {1}
    assert set(seen) == {0}
    assert compiled_calls(whole) == []
    killed = Interrupted(classifier_task(), at=3)
    with pytest.raises(KilledError):
        run(killed, tmp_path / "killed", compiling, chosen, validate=validation(killed, []))
    again = classifier_task()
    run(again, tmp_path / "killed", compiling, chosen, validate=validation(again, []))
    assert_same(tmp_path / "whole", tmp_path / "killed")
    assert load_file(tmp_path / "whole" / WEIGHTS).keys() == again.module.state_dict().keys()


@pytest.mark.slow
def test_two_levels_frozen_layers_and_mixed_precision(tmp_path, compiling, monkeypatch):
    """Traced as ever, but not turned into machine code, which would take half a minute."""
    compile_module, traced = torch.nn.Module.compile, []

    def traced_only(module, **options):
        traced.append(options.pop("options"))
        compile_module(module, backend="aot_eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", traced_only)

    def task():
        model = student(dropout=0.0)
        model.backbone.freeze_to("stride4")
        made = region_task(model=model, statistics=False)
        made.levels = (FINE, LEVEL)
        width = model.backbone.channels(FINE)
        made.adapters[FINE] = Adapter(width, width, kind="identity")
        return made

    monkeypatch.setattr(compiling, "autocast", lambda: torch.autocast("cpu", torch.bfloat16))
    start = copy.deepcopy(task().module.state_dict())
    run(task(), tmp_path / "fast", compiling, settings())
    assert traced
    monkeypatch.setattr(compiling, "compiled", False)
    run(task(), tmp_path / "plain", compiling, settings())
    fast, plain = (load_file(tmp_path / name / WEIGHTS) for name in ("fast", "plain"))
    moved = [key for key, value in plain.items() if not torch.equal(value, start[key])]
    assert moved
    assert moved == [key for key, value in fast.items() if not torch.equal(value, start[key])]
    for key in moved:
        torch.testing.assert_close(fast[key], plain[key], rtol=0.05, atol=0.02, msg=key)


def test_what_is_not_trained_is_not_compiled(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: calls.append(self))
    task = classifier_task()
    with compiled(task.module, wanted=False):
        pass
    task.student.backbone.requires_grad_(requires_grad=False)
    with compiled(task.module, wanted=True):
        pass
    assert calls == []
    task.student.backbone.requires_grad_(requires_grad=True)
    with compiled(task.module, wanted=True):
        pass
    assert calls == [task.student.backbone]


def test_eager_within_a_block():
    task = classifier_task()
    task.student.backbone._compiled_call_impl = call = object()
    with eager(task.module):
        assert compiled_calls(task) == []
    assert task.student.backbone._compiled_call_impl is call


def test_a_compiler_that_fails_is_told_in_a_line(tmp_path, compiling, monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    def fail(*_):
        raise TorchDynamoException("\n  no such [header]\nmore")

    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)
    task = classifier_task()
    monkeypatch.setattr(task.student.backbone, "forward", fail)
    with pytest.raises(ConfigError, match=r"torch\.compile fails here: no such") as caught:
        run(task, tmp_path, compiling, settings())
    assert "more" not in caught.value.message
    assert "run.compile" in caught.value.hint


def test_without_a_compiler(monkeypatch, tmp_path):
    import torch._inductor.cpp_builder as builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none(*_):
        raise InvalidCxxCompiler

    require_compiler(CPU, 1)
    monkeypatch.setattr(builder, "get_cpp_compiler", none)
    with pytest.raises(ConfigError, match=r"run.compile = 'yes': no C\+\+ compiler is found"):
        require_compiler(CPU, 1)
    assert "not by 2" in missing_compiler(CPU, 2)
