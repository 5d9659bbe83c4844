"""An alert can only fire on a series that exists before the event it waits for."""

import ast
import re

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from libs.common.runtime import metrics

GROWTH = re.compile(r"\b(?:increase|rate)\((?P<name>\w+)")
ZERO = re.compile(r"\b(?P<name>[a-z_]+) == 0\b")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")


@pytest.fixture(scope="module")
def watched(root):
    """Names in metrics.py of what alerts want to see grow or be 0, and that has labels."""
    rules = yaml.safe_load((root / "deploy/prometheus/alerts.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    told = {
        SUFFIX.sub("", found["name"])
        for expression in expressions
        for pattern in (GROWTH, ZERO)
        for found in pattern.finditer(expression)
    }
    return {
        constant
        for constant, metric in vars(metrics).items()
        if isinstance(metric, Counter | Gauge | Histogram)
        and SUFFIX.sub("", metric.describe()[0].name) in told
        and metric._labelnames  # a metric without labels is born at 0 by itself
    }


def labels_made_at_start(tree):
    """Names of metrics whose labels are named in an ``__init__``."""
    return {
        call.func.value.id
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "labels"
        and isinstance(call.func.value, ast.Name)
    }


def test_what_alerts_wait_for_is_at_0_before_it_first_happens(sources, watched):
    assert {"FEED_GAP_ALERTS", "FEED_GAPS", "DEAD_LETTERS", "STREAM_CONNECTED"} <= watched
    late = [
        f"{source.path}: {name}: name its labels in __init__"
        for source in sources
        if source.path.startswith(("libs/", "services/"))
        and source.path != "libs/common/runtime/metrics.py"
        for name in watched & {n.id for n in ast.walk(source.tree) if isinstance(n, ast.Name)}
        if name not in labels_made_at_start(source.tree)
    ]
    assert not late, "\n".join(late)
