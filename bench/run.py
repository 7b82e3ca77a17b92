"""Run the benchmarks, ours and our peers' in one go, and keep the figures in bench/results/.

usage: python bench/run.py overhead|storage|ingest|startup|matching|interleavings [--peers FOLDER] [--rounds N]

The harness that measures peers is the shared bench folder (at $SPANREEL_SHARED, or beside the checkout). Peers are installed by
name into virtual environments under FOLDER (default bench/.peers). Timings on a shared machine are noisy: read ratios, and
both sides were run in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = Path(os.environ.get("SPANREEL_SHARED") or ROOT.parent / "shared") / "bench"
RESULTS = HERE / "results"
OTLP = ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-common"]
SERVER = ["psutil", "opentelemetry-proto", "grpcio"]
PEERS = {
    "traceloop": ["openai", "opentelemetry-instrumentation-openai", *OTLP],
    "openinference": ["openai", "openinference-instrumentation-openai", *OTLP],
    "otel-genai": ["openai", "opentelemetry-instrumentation-genai-openai", *OTLP],
    "phoenix": ["arize-phoenix", *SERVER],
    "mlflow": ["mlflow", *SERVER],
    "replayt": ["replayt"],
}


def peer(folder: Path, name: str) -> Path:
    """The interpreter of a peer's environment, installed when it is not there."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        print(f"installing {name}", file=sys.stderr)
        venv.create(folder / name, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[name]], check=True)
    return python


def run(*command: object, **environ: str) -> None:
    subprocess.run([str(word) for word in command], check=True, env=os.environ | environ)


def overhead(peers: Path, rounds: int) -> None:
    """Cost of a model call, histories of 2, 20 and 200 messages and a stream, against three instrumentations."""
    raw = RESULTS / "overhead.jsonl"
    raw.unlink(missing_ok=True)
    targets = [f"{name}={peer(peers, name)}" for name in ("traceloop", "openinference", "otel-genai")]
    base = peer(peers, "traceloop")
    ours = f"{HERE / 'adapter.py'}:Spanreel={sys.executable}"
    run(sys.executable, SHARED / "run_overhead.py", "--rounds", rounds, "--pairs", 40, "--exporter", "encode", "--out", raw,
        f"none={base}", f"manual={base}", *targets, ours, PYTHONPATH=f"{ROOT}{os.pathsep}{SHARED}")  # fmt: skip
    raw.write_text(raw.read_text("utf-8").replace(f"{HERE / 'adapter.py'}:Spanreel", "spanreel"), "utf-8")


def server(name: str) -> list[object]:
    if name != "spanreel":
        return ["--server", name]
    command = f"{sys.executable} -m spanreel collect --host 127.0.0.1 --http-port {{http}} --grpc-port {{grpc}} --store {{dir}}/s.db"
    return ["--server", json.dumps({"name": "spanreel", "cmd": command, "db": "{dir}/s.db", "health": "http://127.0.0.1:{http}/healthz",
                                    "count_sql": "select count(*) from spans"})]  # fmt: skip


def storage(peers: Path, rounds: int) -> None:
    """Bytes of a conversation of 10, 50, 100 and 200 turns sent as standard spans."""
    out = RESULTS / "storage.jsonl"
    out.unlink(missing_ok=True)
    run(sys.executable, SHARED / "storage_growth.py", *server("spanreel"), "--python", sys.executable, "--workdir", peers / "work-storage",
        "--turns", "10,50,100,200", "--out", out, PYTHONPATH=str(ROOT))  # fmt: skip
    run(
        sys.executable,
        HERE / "recorded_conversation.py",
        "--out",
        RESULTS / "recorded_conversation.jsonl",
        PYTHONPATH=str(ROOT),
    )


def ingest(peers: Path, rounds: int) -> None:
    """Spans a second over HTTP, durable before they are acknowledged, in turns with Phoenix and MLflow."""
    out = RESULTS / "ingest.jsonl"
    out.unlink(missing_ok=True)
    spans = {"spanreel": 20000, "mlflow": 6000, "phoenix": 1500}
    for _ in range(rounds):
        for name, count in spans.items():
            python = Path(sys.executable) if name == "spanreel" else peer(peers, name)
            run(sys.executable, SHARED / "ingest_bench.py", *server(name), "--python", python, "--workdir", peers / f"work-{name}", "--spans", count,
                "--fetch-spans", 0, "--out", out, PYTHONPATH=str(ROOT))  # fmt: skip


def startup(peers: Path, rounds: int) -> None:
    """Import and --help, against replayt's."""
    replayt = peer(peers, "replayt")
    ours = Path(sys.executable).with_name("spanreel")
    run(sys.executable, SHARED / "startup_bench.py", "--repeat", 15, "--out", RESULTS / "startup.json",
        f"import-spanreel={sys.executable} -c 'import spanreel; spanreel.instrument'", f"import-replayt={replayt} -c 'import replayt'",
        f"help-spanreel={ours} --help", f"help-replayt={replayt.with_name('replayt')} --help")  # fmt: skip


def matching(peers: Path, rounds: int) -> None:
    """A replayed call, against VCR.py with and without the body."""
    run(sys.executable, HERE / "matching.py", "--peers", peers, "--repeat", rounds, PYTHONPATH=str(ROOT))


def interleavings(peers: Path, rounds: int) -> None:
    """10,100 random interleavings of concurrent calls, and 1,000 edits; some twenty minutes."""
    run(sys.executable, HERE / "interleavings.py", "--replays", 101, "--edits", 10, PYTHONPATH=str(ROOT))


def main() -> None:
    benches = {
        "overhead": overhead,
        "storage": storage,
        "ingest": ingest,
        "startup": startup,
        "matching": matching,
        "interleavings": interleavings,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", choices=benches)
    parser.add_argument("--peers", type=Path, default=HERE / ".peers")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    benches[options.bench](options.peers.absolute(), options.rounds)


main()
