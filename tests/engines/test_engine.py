"""Both engines keep one promise; here without a cluster."""

import pickle
import socket
import time

import pytest
from engine_work import die_at_three, double, refuse_three

from boxless.cli.app import main
from boxless.errors import ConfigError, DataError, MissingExtraError, RunError
from boxless.files.engine import AHEAD, LocalEngine
from boxless.files.ray_engine import Parcel, _version, _work, engine_beyond


def test_two_processes_answer_in_order_and_take_units_little_by_little():
    taken = []

    def units():
        for number in range(40):
            taken.append(number)
            yield number

    answers = LocalEngine(2).map(double, units())
    assert next(answers) == 0
    assert len(taken) <= 2 * AHEAD
    assert list(answers) == [2 * number for number in range(1, 40)]


def test_errors_and_deaths_of_workers_are_told():
    engine = LocalEngine(2)
    with pytest.raises(DataError, match="three is a crowd") as caught:
        list(engine.map(refuse_three, range(6)))
    assert caught.value.hint == "take two"
    with pytest.raises(RunError, match="a worker process died"):
        list(engine.map(die_at_three, range(6)))


def test_one_worker_needs_no_pickle():
    assert list(LocalEngine(1).map(lambda n: n + 1, range(3))) == [1, 2, 3]


def test_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(MissingExtraError("ray", "ray")))
    assert str(error) == str(MissingExtraError("ray", "ray"))


def test_workers_of_another_version_refuse():
    row = {"unit": Parcel(2)}
    assert _work(double, _version())(row)["answer"].value == 4
    refused = _work(double, "0.0")(row)["answer"].value
    assert isinstance(refused, RunError)
    assert "this command is boxless 0.0" in refused.message


def test_local_is_a_steps_own_way_and_has_no_address():
    with engine_beyond("local") as engine:
        assert engine is None
    with pytest.raises(ConfigError, match="engine is 'local'"), engine_beyond("local", address="a"):
        pass


@pytest.fixture
def no_cluster(monkeypatch):
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


@pytest.mark.parametrize("address", ["nowhere", "ray://host:10001", "host:port"])
def test_addresses_have_a_form(no_cluster, address):
    with pytest.raises(ConfigError, match="HOST:PORT"), engine_beyond("ray", address=address):
        pass


def test_a_cluster_that_is_not_there_is_told_at_once(no_cluster):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with (
        pytest.raises(RunError, match=f"cannot use the Ray cluster '{address}'"),
        engine_beyond("ray", address=address),
    ):
        pass
    assert time.monotonic() - began < 10


def test_without_ray_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SystemExit) as stop:
        main(["proposals", "scenes:train=2,test=1", "--method", "grid", "--engine", "ray"])
    assert stop.value.code == 2
    assert "pip install 'boxless[ray]'" in capsys.readouterr().err


def test_address_without_the_engine_is_refused(tmp_path, capsys):
    words = ["scenes:train=2,test=1", "--method", "grid", "--out", str(tmp_path / "store")]
    with pytest.raises(SystemExit) as stop:
        main(["proposals", *words, "--ray-address", "auto"])
    assert stop.value.code == 2
    assert "take the engine 'ray'" in capsys.readouterr().err
