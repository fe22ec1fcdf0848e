"""Runs the MongoDB specification tests that pymongo's source distribution carries against a running server.

    run.py URI[,URI ...] [FOLDER ...]      FOLDER: one of FOLDERS below; all of them by default

The tests are pymongo's own and are fetched, not kept: ../install.sh unpacks the source distribution of the version
that ../python/requirements.txt names into TOOLS. Promises: every case
counts as passed, failed or skipped by folder; the run fails when a case fails that expected_failures.txt does
not list with a reason, twice, since many wait for times that a busy machine does not keep. One that is listed and
passes is named. Several servers share the folders between them, each running one folder at a time. Deliberately
unknown: which provider the tenants live on. The server must have been started with --mongodb-test-commands, since
most cases make it fail on purpose (failCommand).
"""

import fnmatch
import os
import pathlib
import queue
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(os.environ.get("NIMBUS_MONGODB_TOOLS", HERE.parent / ".tools"))
EXPECTED = HERE / "expected_failures.txt"
# Seconds after which a case that hangs is a failure.
CASE_TIMEOUT_SECS = 30
# How the reason begins of a case that is counted as failed without running it, since it only waits for long.
NOT_RUN = "not run: "

# A folder of the specification tests, and the modules of pymongo's suite that run it. Those that take longest come
# first.
FOLDERS = {
    "transactions": ["test_transactions_unified", "test_transactions"],
    "change_streams": ["test_change_stream"],
    "retryable_reads": ["test_retryable_reads_unified", "test_retryable_reads"],
    "retryable_writes": ["test_retryable_writes_unified", "test_retryable_writes"],
    "crud": ["test_crud_unified"],
    "unified-test-format": ["test_unified_format"],
    "sessions": ["test_sessions_unified"],
    "command_monitoring": ["test_command_monitoring"],
    "run_command": ["test_run_command"],
    "read_write_concern": ["test_read_write_concern_spec"],
    "versioned-api": ["test_versioned_api", "test_versioned_api_integration"],
    "collection_management": ["test_collection_management"],
    "collation": ["test_collation"],
}


def source_distribution():
    """The unpacked source distribution."""
    requirement = next(
        line for line in (HERE.parent / "python/requirements.txt").read_text().split() if line.startswith("pymongo==")
    )
    folder = TOOLS / requirement.replace("==", "-")
    if not folder.is_dir():
        sys.exit(f"{folder.name} is not there; tests/mongodb/install.sh fetches it")
    return folder


def environment(uri):
    """What pymongo's suite wants to know of the server."""
    parts = urllib.parse.urlsplit(uri)
    return os.environ | {
        "DB_IP": parts.hostname,
        "DB_PORT": str(parts.port),
        "DB_USER": urllib.parse.unquote(parts.username or ""),
        "DB_PASSWORD": urllib.parse.unquote(parts.password or ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def deselected(folder, module, expected):
    """The options that leave out what is not run."""
    for name, reason in expected.items():
        where, case = name.split("/", 1)
        if where == folder and reason.startswith(NOT_RUN):
            yield f"--deselect={node(module, case)}"


def node(module, case):
    """A case `Class.test` as pytest names it."""
    return f"test/{module}.py::{case.replace('.', '::', 1)}"


def run_module(folder, module, source, env, what):
    """Runs what is asked of one module; yields (name, outcome, message) for each of its cases."""
    report = TOOLS / f"report-{os.getpid()}-{module}.xml"
    command = [sys.executable, "-m", "pytest", *what, "-q", "--tb=short", "-p", "no:cacheprovider"]
    command += [f"--timeout={CASE_TIMEOUT_SECS}", f"--junitxml={report}"]
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    if not report.exists():
        raise SystemExit(f"{folder}: {module} did not run:\n{done.stdout}\n{done.stderr}")
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{folder}/{case.get('classname', '').rsplit('.', 1)[-1]}.{case.get('name')}"
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        if bad is not None:
            yield name, "failed", (bad.get("message") or "").splitlines()[:1]
        elif case.find("skipped") is not None:
            yield name, "skipped", [case.find("skipped").get("message") or ""]
        else:
            yield name, "passed", []
    report.unlink()


def expected_failures():
    """Pattern of a case's name → reason, from lines `pattern: reason`."""
    lines = EXPECTED.read_text().splitlines() if EXPECTED.exists() else []
    pairs = (line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    return {name: reason for name, reason in pairs}


def run_folder(folder, source, uris, expected):
    """Runs a folder on a server that is free; gives its counts, its problems and why cases were skipped."""
    uri = uris.get()
    counts, problems, skipped = Counter(), [], Counter()
    counts["failed"] = sum(
        name.startswith(f"{folder}/") and reason.startswith(NOT_RUN) for name, reason in expected.items()
    )
    try:
        for module in FOLDERS[folder]:
            env, surprises = environment(uri), []
            everything = [f"test/{module}.py", *deselected(folder, module, expected)]
            for name, outcome, message in run_module(folder, module, source, env, everything):
                is_expected = any(fnmatch.fnmatchcase(name, pattern) for pattern in expected)
                if outcome == "failed" and not is_expected:
                    surprises.append(node(module, name.split("/", 1)[1]))
                    continue
                counts[outcome] += 1
                if outcome == "passed" and is_expected:
                    print(f"listed as a failure, and passed: {name}")
                elif outcome == "skipped":
                    skipped[message[0][:120]] += 1
            for name, outcome, message in run_module(folder, module, source, env, surprises) if surprises else []:
                counts[outcome] += 1
                if outcome == "failed":
                    problems.append(f"failed twice: {name}: {' '.join(message)[:300]}")
    finally:
        uris.put(uri)
    return counts, problems, skipped


def main(uris, folders):
    source, expected, free = source_distribution(), expected_failures(), queue.Queue()
    folders = folders or list(FOLDERS)
    for uri in uris:
        free.put(uri)
    print("| folder | passed | failed | skipped |\n| --- | --- | --- | --- |")
    problems, skipped = [], Counter()
    with ThreadPoolExecutor(len(uris)) as pool:
        ran = pool.map(lambda folder: run_folder(folder, source, free, expected), folders)
        for folder, (counts, bad, why) in zip(folders, ran):
            print(f"| {folder} | {counts['passed']} | {counts['failed']} | {counts['skipped']} |", flush=True)
            problems += bad
            skipped += why
    if os.environ.get("NIMBUS_SHOW_SKIPPED"):
        for reason, count in skipped.most_common():
            print(f"skipped {count}: {reason}")
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(","), sys.argv[2:]))
