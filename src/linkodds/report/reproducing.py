"""How a run is made again: its command, the options it resolved, and what it cost."""

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from linkodds.config import FitConfig
from linkodds.formatting import number_of, plain_text


def command_of(config: Mapping[str, Any]) -> str:
    options, reading = config.get("options", {}), dict(config.get("reading", {}))
    edges = _argument(reading.pop("edges", "EDGES"))
    read = [_reading_flag(name, value) for name, value in reading.items()]
    flags = [
        f"--{name.replace('_', '-')} {_argument(value)}"
        for name, value in options.items()
        if value is not None
        and name in FitConfig.model_fields
        and (name in {"model", "seed"} or not _is_default(name, value))
    ]
    return plain_text(" ".join([f"linkodds fit {edges}", *read, *flags, "--out RUN"]), 2000)


def options_text(config: Mapping[str, Any]) -> str:
    def shown(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {plain_text(key, 80): shown(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [shown(each) for each in value[:50]]
        return value if value is None or isinstance(value, bool | int | float) else plain_text(value, 300)

    return yaml.safe_dump(
        {key: value for key, value in shown(config).items() if key != "versions"},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def cost_rows(cost: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    stages = cost.get("stages", cost)
    return [
        (plain_text(stage, 60), number_of(numbers.get("seconds")), number_of(numbers.get("peak_bytes")))
        for stage, numbers in stages.items()
        if isinstance(numbers, Mapping)
    ]


def _reading_flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name.replace('_', '-')} {_argument(value)}"


def _argument(value: Any) -> str:
    return shlex.quote("/".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _is_default(name: str, value: Any) -> bool:
    default = FitConfig.model_fields[name].default
    return bool((tuple(value) if isinstance(value, list) else value) == default)
