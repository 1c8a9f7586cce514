"""What a program tells Prometheus, as values."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Values = dict[tuple[str, ...], float]


def scrape(url: str) -> str:
    """The text at `url`/metrics."""
    answer = httpx.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def values(text: str) -> Values:
    """By name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Values, name: str, *labels: str) -> float:
    """The sum of all series with that name whose label values begin with these."""
    return sum(value for key, value in found.items() if key[: 1 + len(labels)] == (name, *labels))
