"""A runner of composite actions: what GitHub's runner does with `action.yml`, on this machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from checkouts import clean_environment
from forge import Forge

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
_TOKEN = re.compile(r"'[^']*'|&&|\|\||!(?!=)|[A-Za-z_][\w.-]*|\S")
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_WORDS = {"&&": " and ", "||": " or ", "!": " not "}


@dataclass(kw_only=True)
class Job:
    """One run of the action, and what it left."""

    forge: Forge
    """The hosting site."""
    workspace: Path
    """The checkout."""
    scratch: Path
    """For what the runner itself writes; new for each job."""
    inputs: Mapping[str, str]
    """`with:` of the workflow."""
    event: Mapping[str, Any]
    """What the site says of the pull request."""
    head: str
    """Commit at the end of the branch of the pull request."""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """By id of step."""
    log: str = ""
    """What the steps printed."""
    codes: dict[str, int] = field(default_factory=dict)
    """Exit code of each step that ran, by name."""

    @property
    def code(self) -> int:
        """Exit code of the job: that of the step that failed, if one did."""
        return next((code for code in self.codes.values() if code), 0)

    @property
    def summary(self) -> str:
        """What the job's page shows."""
        return self._file("summary").read_text(encoding="utf-8")

    def output(self, name: str) -> str:
        """Return an output of the action."""
        return self._filled(ACTION["outputs"][name]["value"])

    def run(self) -> Job:
        """Run the steps in order, until one fails."""
        self.scratch.mkdir()
        (self.scratch / "temp").mkdir()
        self._file("summary").touch()
        self._file("event.json").write_text(json.dumps(self.event))
        for step in ACTION["runs"]["steps"]:
            if not self._is_wanted(step.get("if", "true")):
                continue
            if "run" in step:
                self._run(step)
            else:
                self._use(step["uses"], {key: self._filled(v) for key, v in step["with"].items()})
            if self.code:
                break
        return self

    def _run(self, step: Mapping[str, Any]) -> None:
        assert step["shell"] == "bash"
        self._file("output").write_text("")
        own = {key: self._filled(value) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace / self._filled(step.get("working-directory", ".")),
            env={**clean_environment(), **self._variables(), **own},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=120,
        )  # fmt: skip
        self.log += done.stdout
        self.codes[step["name"]] = done.returncode
        lines = self._file("output").read_text(encoding="utf-8").splitlines()
        self.outputs[step.get("id", "")] = dict(line.split("=", 1) for line in lines)

    def _use(self, action: str, given: Mapping[str, str]) -> None:
        path = Path(given["path"])
        if action.startswith("actions/upload-artifact@"):
            self.forge.keep(given["name"], path, head=self.head)
        else:
            assert action.startswith("actions/download-artifact@")
            assert given["github-token"] == self.forge.token
            shutil.copytree(self.forge.kept(given["name"], run=int(given["run-id"])), path)

    def _variables(self) -> dict[str, str]:
        return {
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.forge.url,
            "GITHUB_EVENT_PATH": str(self._file("event.json")),
            "GITHUB_OUTPUT": str(self._file("output")),
            "GITHUB_PATH": str(self._file("path")),
            "GITHUB_REF": self.event["ref"],
            "GITHUB_REPOSITORY": self.forge.repository,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_STEP_SUMMARY": str(self._file("summary")),
            "RUNNER_TEMP": str(self.scratch / "temp"),
        }

    def _file(self, name: str) -> Path:
        return self.scratch / name

    def _is_wanted(self, condition: str) -> bool:
        return bool(self._evaluate(condition))

    def _filled(self, text: str) -> str:
        return _EXPRESSION.sub(lambda match: str(self._evaluate(match[1])), str(text))

    def _evaluate(self, expression: str) -> Any:
        def replaced(token: str) -> str:
            if token in _WORDS:
                return _WORDS[token]
            if token == "true":
                return "True"
            return f" look({token!r}) " if token[0].isalpha() else token

        python = "".join(replaced(token) for token in _TOKEN.findall(expression))
        return eval(python, {"look": self._look})

    def _look(self, name: str) -> Any:
        """Return what an expression names; what is unknown is empty, as on GitHub."""
        scope, *rest = name.split(".")
        if scope == "inputs":
            (key,) = rest
            return self.inputs[key] if key in self.inputs else self._default(key)
        if scope == "steps":
            step, what, key = rest
            assert what == "outputs"
            assert step in {one.get("id") for one in ACTION["runs"]["steps"]}
            return self.outputs.get(step, {}).get(key, "")
        assert scope == "github", name
        found: Any = {
            "event": self.event, "repository": self.forge.repository, "token": self.forge.token,
        }  # fmt: skip
        for key in rest:
            found = found.get(key, "") if isinstance(found, Mapping) else ""
        return found

    def _default(self, name: str) -> str:
        declared = ACTION["inputs"][name]
        assert not declared.get("required"), f"`{name}` is required"
        return self._filled(declared["default"])
