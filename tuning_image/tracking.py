"""TensorBoard, MLflow and W&B by switch, through transformers' own callbacks: what each needs. Called by settings and
training.train. Only the writer of TensorBoard's files is in the image; the others count where they are installed.
"""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

FIELD = "TrainingArguments.report_to"
PACKAGES = {"tensorboard": ("tensorboardX", "tensorboard"), "mlflow": ("mlflow",), "wandb": ("wandb",)}
TENSORBOARD, WANDB = "TENSORBOARD_LOGGING_DIR", "WANDB_DIR"


def problems(report_to: str, environment: Mapping[str, str]) -> Iterator[str]:
    """What would stop it after the model is loaded."""
    if report_to == "none":
        return
    packages = PACKAGES[report_to]
    if not any(importlib.util.find_spec(name) for name in packages):
        yield (
            f"{FIELD}: {report_to}: the package {packages[0]} is not installed; build an image FROM this one that adds "
            "it, or use tensorboard, which is there"
        )
    yield from lacking(report_to, environment)


def lacking(report_to: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Variables without which it asks on a terminal, or writes where the container may not."""
    if report_to == "mlflow" and not environment.get("MLFLOW_TRACKING_URI"):
        yield f"{FIELD}: mlflow: MLFLOW_TRACKING_URI is not set; name the server in it"
    offline = environment.get("WANDB_MODE") in ("offline", "disabled")
    if report_to == "wandb" and not offline and not environment.get("WANDB_API_KEY"):
        yield f"{FIELD}: wandb: WANDB_API_KEY is not set; set it from a Secret, or WANDB_MODE=offline"


def places(report_to: str, output: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Where files go unless the environment says otherwise: W&B makes a folder `wandb` there."""
    folders = {"tensorboard": (TENSORBOARD, output / "tensorboard"), "wandb": (WANDB, output)}
    if report_to not in folders:
        return {}
    variable, folder = folders[report_to]
    return {variable: environment.get(variable) or str(folder)}
