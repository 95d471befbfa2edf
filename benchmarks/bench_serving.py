"""`boxless serve` under load: throughput beside raw onnxruntime, latency, memory, overload.

The server is the real command in a process of its own; the client runs here, on loopback, and
checks each reply against labels computed in this process. Raw onnxruntime computes ready-made
tensors in this process, same batch and threads, while the server is idle; both are measured in
turn, round by round, so that other work on the machine meets both alike.

    python benchmarks/bench_serving.py                20,000 requests for the memory
    python benchmarks/bench_serving.py --quick        two minutes
    python benchmarks/bench_serving.py --model student.onnx --images photos/ --out serving.json
"""

import argparse
import asyncio
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from serving_load import Outcome, Server, load, served, write_student

from boxless.data import scenes
from boxless.inference.predictor import Predictor
from boxless.inference.preprocess import normalise

BATCH = 16
QUEUE = 64  # of the server that is overloaded


@dataclass(frozen=True)
class Job:
    """What every part of the benchmark needs."""

    predictor: Predictor
    images: list[bytes]
    labels: list[str]
    options: argparse.Namespace


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            model = Path(folder) / "student.onnx"
            write_student(model, options.size)
        predictor = Predictor.load(model, threads=options.threads)
        images = files_of(options.images)
        labels = [p.labels[0].name for p in predictor.predict(images, batch_size=BATCH)]
        job = Job(predictor, images, labels, options)
        results: dict[str, Any] = {"machine": machine(), "settings": settings(options, predictor)}
        words = ("--batch-size", str(BATCH), "--threads", str(options.threads))
        with served(model, *words) as server:
            results["throughput"] = throughput(server, job)
            results["latency"] = latency(server, job, results["throughput"])
            results["memory"] = memory(server, job)
        with served(model, *words, "--queue-size", str(QUEUE)) as server:
            results["overload"] = overload(server, job)
    results["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    show(results)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    failed = faults(results)
    print("failed: " + "; ".join(failed) if failed else "no reply lost, none wrong")
    raise SystemExit(bool(failed))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load test of boxless serve.")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the requests")
    parser.add_argument("--model", type=Path, help="student.onnx; default: random weights")
    parser.add_argument("--size", type=int, default=128, help="input of the default student")
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: painted scenes")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime, on both sides")
    parser.add_argument("--connections", type=int, default=3 * BATCH)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    options.rounds, options.requests = (2, 1000) if options.quick else (5, 20_000)
    options.round_seconds = 4 if options.quick else 10
    return options


def machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def settings(options: argparse.Namespace, predictor: Predictor) -> dict[str, Any]:
    return {
        "input_size": predictor.metadata.input_size,
        "classes": len(predictor.classes),
        "batch": BATCH,
        "threads": options.threads,
        "connections": options.connections,
    }


def files_of(folder: Path | None) -> list[bytes]:
    """JPEG files to send: a folder's first 64, or 32 scenes of 256 x 256 pixels."""
    if folder is not None:
        return [path.read_bytes() for path in sorted(folder.glob("*.jp*g"))[:64]]
    found = []
    for record in scenes.read("train=32,test=1,size=256").records[:32]:
        file = io.BytesIO()
        Image.fromarray(scenes.render(record.path)).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def raw(predictor: Predictor, seconds: float) -> float:
    """Images a second of onnxruntime on one ready-made batch."""
    facts = predictor.metadata
    pixels = np.zeros((BATCH, facts.input_size, facts.input_size, 3), np.uint8)
    inputs = normalise(pixels, facts.mean, facts.std, channels=facts.channels)
    session = predictor._student.session  # nothing of ours may stand between
    session.run(None, {"image": inputs})
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        session.run(None, {"image": inputs})
        images += BATCH
    return images / (time.perf_counter() - start)


def in_process(predictor: Predictor, images: list[bytes], seconds: float) -> float:
    """Images a second of `Predictor.predict`: decoding and computing, without a server."""
    many = images * (BATCH * 4 // len(images) + 1)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += len(predictor.predict(many, batch_size=BATCH))
    return done / (time.perf_counter() - start)


def throughput(server: Server, job: Job) -> dict[str, Any]:
    """Raw and served in turn."""
    rows = []
    guess = raw(job.predictor, 1.0)
    for _ in range(job.options.rounds):
        alone = raw(job.predictor, job.options.round_seconds / 2)
        requests = max(int(guess * job.options.round_seconds), 4 * job.options.connections)
        cpu = server.cpu()
        outcome = run(server, job, requests, job.options.connections)
        cpu = server.cpu() - cpu
        alone = statistics.mean([alone, raw(job.predictor, job.options.round_seconds / 2)])
        guess = outcome.rate
        rows.append({"raw": alone, "served": outcome.rate, **figures(outcome)})
        rows[-1]["server_cores"] = cpu / outcome.seconds
    ratio = [row["served"] / row["raw"] for row in rows]
    return {
        "raw_images_per_s": statistics.median(row["raw"] for row in rows),
        "served_images_per_s": statistics.median(row["served"] for row in rows),
        "ratio": statistics.median(ratio),
        "ratio_of_rounds": ratio,
        "predict_images_per_s": in_process(
            job.predictor, job.images, job.options.round_seconds / 2
        ),
        "rounds": rows,
    }


def latency(server: Server, job: Job, found: dict[str, Any]) -> dict[str, Any]:
    """One request at a time, and half of the greatest throughput."""
    requests = max(job.options.requests // 10, 200)
    alone = run(server, job, requests // 2, 1)
    half = found["served_images_per_s"] / 2
    steady = run(server, job, requests, 2 * BATCH, rate=half)
    return {"one_at_a_time": figures(alone), "half_load": {"rate": half, **figures(steady)}}


def memory(server: Server, job: Job) -> dict[str, Any]:
    """Resident memory of the server over many requests."""
    seen: list[float] = []
    step = max(job.options.requests // 20, 1)

    def watch(done: int) -> None:
        if done % step == 0:
            seen.append(server.resident())

    before = server.resident()
    outcome = run(server, job, job.options.requests, job.options.connections, on_done=watch)
    tenth = max(len(seen) // 10, 1)
    return {
        "requests": job.options.requests,
        "before_mb": before,
        "first_tenth_mb": statistics.mean(seen[:tenth]),
        "last_tenth_mb": statistics.mean(seen[-tenth:]),
        "most_mb": max(seen),
        "mb_of_each_twentieth": [round(value, 1) for value in seen],
        **figures(outcome),
    }


def overload(server: Server, job: Job) -> dict[str, Any]:
    """Six times as many connections as places, then a quiet moment."""
    requests = max(job.options.requests // 4, 1500)
    calm = run(server, job, 60, 1)
    storm = run(server, job, requests, 6 * QUEUE)
    after = run(server, job, 60, 1)
    return {
        "queue": QUEUE,
        "connections": 6 * QUEUE,
        "without_retry_after": storm.without_retry,
        "storm": figures(storm),
        "p50_before_ms": calm.quantile(0.5),
        "p50_after_ms": after.quantile(0.5),
        "answered_after": after.statuses[200] / 60,
    }


def run(server: Server, job: Job, requests: int, connections: int, **more: Any) -> Outcome:
    return asyncio.run(
        load(
            server.port, job.images, job.labels, requests=requests, connections=connections, **more
        )
    )


def figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "sent": outcome.sent,
        "statuses": {str(key): value for key, value in sorted(outcome.statuses.items())},
        "lost": outcome.sent - sum(outcome.statuses.values()),
        "wrong": outcome.wrong,
        **{f"p{share}_ms": outcome.quantile(share / 100) for share in (50, 95, 99)},
    }


def faults(results: dict[str, Any]) -> list[str]:
    """What must never happen, whatever the machine."""
    parts = [*results["throughput"]["rounds"], *results["latency"].values(), results["memory"]]
    parts.append(results["overload"]["storm"])
    found = []
    if any(part["lost"] or part["wrong"] for part in parts):
        found.append("replies are lost or wrong")
    if any(set(part["statuses"]) - {"200"} for part in parts[:-1]):
        found.append("a status other than 200 without overload")
    if set(parts[-1]["statuses"]) != {"200", "503"} or results["overload"]["without_retry_after"]:
        found.append("overload is answered otherwise than with 200 or 503 and Retry-After")
    if results["overload"]["answered_after"] < 1:
        found.append("the server has not recovered")
    return found


def show(results: dict[str, Any]) -> None:
    made, memo, storm = results["throughput"], results["memory"], results["overload"]
    print(f"{results['machine']}\n{results['settings']}\n")
    print(f"raw onnxruntime, ready-made batches  {made['raw_images_per_s']:8.1f} images/s")
    print(f"Predictor.predict, files in memory   {made['predict_images_per_s']:8.1f} images/s")
    print(f"served                               {made['served_images_per_s']:8.1f} images/s")
    rounds = ", ".join(f"{ratio:.2f}" for ratio in made["ratio_of_rounds"])
    print(f"served / raw                         {made['ratio']:8.2f}   (rounds {rounds})\n")
    print("latency, ms                 p50      p95      p99")
    rows = {**results["latency"], "all connections busy": made["rounds"][-1]}
    for name, part in rows.items():
        values = "".join(f"{part[f'p{share}_ms']:9.1f}" for share in (50, 95, 99))
        print(f"{name.replace('_', ' '):22}{values}")
    print(
        f"\nmemory over {memo['requests']:,} requests: {memo['first_tenth_mb']:.0f} MB in the first"
        f" tenth, {memo['last_tenth_mb']:.0f} MB in the last, most {memo['most_mb']:.0f} MB"
    )
    print(
        f"overload ({storm['connections']} connections, {storm['queue']} places): "
        f"{storm['storm']['statuses']}, then all answered: {storm['answered_after'] == 1}, "
        f"p50 {storm['p50_before_ms']:.1f} ms before, {storm['p50_after_ms']:.1f} ms after"
    )


if __name__ == "__main__":
    main()
