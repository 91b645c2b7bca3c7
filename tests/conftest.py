# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of all tests: the checkout as a collection, and the tests to select."""

from __future__ import annotations

import gc
import importlib.util
import os
import shlex
from collections.abc import Generator
from pathlib import Path

import pytest

# ansible-test does this itself. It does not read pyproject.toml and finds no tests/tools.
if importlib.util.find_spec("collection_tree"):
    import collection_tree
    from ansible.plugins.loader import init_plugin_loader

    os.environ.update(collection_tree.environ())
    init_plugin_loader([os.environ["ANSIBLE_COLLECTIONS_PATH"]])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run every test: slow ones, every ansible-core, every dialect")
    parser.addoption("--others", action="store_true", help="run the tests that are left out without an option")
    parser.addoption("--again", action="store_true", help="name tests that pass now but failed before; in CI, fail")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Named tests always run.
    if config.getoption("--all") or config.getoption("-k") or any("::" in argument for argument in config.args):
        return

    def is_selected(item: pytest.Item) -> bool:
        if item.get_closest_marker("slow") and not item.get_closest_marker("promise"):
            return False
        return _is_default(item) or item.nodeid.partition("[")[0] not in default_functions

    default_functions = {item.nodeid.partition("[")[0] for item in items if _is_default(item)}
    others = config.getoption("--others")
    config.hook.pytest_deselected(items=[item for item in items if is_selected(item) == others])
    items[:] = [item for item in items if is_selected(item) != others]


def pytest_collection_finish() -> None:
    # No garbage is among thousands of tests.
    gc.collect()
    gc.freeze()


def _is_default(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return (
        parameters.get("core", "development") == "development" and parameters.get("workspace", "current") == "current"
    )


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Skip a test whose ansible-core needs a Python that this machine lacks."""
    try:
        return (yield)
    except Exception as error:
        if type(error).__name__ == "MissingPythonError":
            pytest.skip(str(error))
        raise


pytest_fixture_setup = pytest_pyfunc_call


def _fails_if_passed(config: pytest.Config) -> bool:
    return bool(config.getoption("--again") and os.environ.get("CI"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _fails_if_passed(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name tests that passed only now. In a suite, write what make shows at its end."""
    passed_again = terminalreporter.stats.get("passed", []) if config.getoption("--again") else []
    names = [f"PASSED ONLY WHEN RUN AGAIN {report.nodeid}" for report in passed_again]
    for name in names:
        terminalreporter.write_line(name)
    if step := os.environ.get("SUITE_STEP"):
        reports = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
        failed = [line for report in reports for line in _describe_failure(report)]
        _write_lines(Path(f"{step}.again"), names)
        _write_lines(Path(f"{step}.failed"), failed)
        _write_counts(Path(f"{step}.counts"), terminalreporter, config)


def _describe_failure(report: pytest.TestReport) -> list[str]:
    """Return the command that runs this test alone, and the first line of its error."""
    message = getattr(getattr(report.longrepr, "reprcrash", None), "message", "")
    reason = [f"    {line[:150]}" for line in message.strip().splitlines()[:1]]
    return [f"FAILED .venv/bin/pytest {shlex.quote(report.nodeid)}", *reason]


def _write_lines(file: Path, lines: list[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_counts(file: Path, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = {word: len(terminalreporter.stats.get(word, ())) for word in ("passed", "failed", "error", "skipped")}
    if _fails_if_passed(config):
        count["failed"], count["passed"] = count["failed"] + count["passed"], 0
    # Failed tests run once more, and count by that run.
    is_rerun = config.getoption("--again") and file.exists()
    before = file.read_text(encoding="utf-8").split() if is_rerun else ["0", "0", "0"]
    passed, skipped = int(before[0]) + count["passed"], int(before[2]) + count["skipped"]
    file.write_text(f"{passed} {count['failed'] + count['error']} {skipped}\n", encoding="utf-8")
