"""transformers' Trainer with our batches, loss, exact evaluation and atomic checkpoints. Called by training.train."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from tuning_image.errors import UserError
from tuning_image.settings import Settings
from tuning_image.training import checkpoints, losses
from tuning_image.training.batches import Bin


class AdapterTrainer(Trainer):
    """Trains an adapter. `seen_tokens` counts since the start of the process."""

    def __init__(self, settings: Settings, train: Sequence[Bin], validation: Sequence[Bin], **more: Any) -> None:
        super().__init__(train_dataset=train, eval_dataset=validation or None, **more)
        self._settings = settings
        self.control: Any
        self.loss_is_scaled_for_ga = True  # divided by what the whole step learns, below
        self.seen_tokens = 0

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> int:
        return sum(self._items(batch) for batch in batch_samples)

    def _items(self, batch: dict[str, Any]) -> int:
        return len(batch["targets"]) if self._kind == "nll" else len(batch["segments"]) // 2

    @property
    def _kind(self) -> str:
        return self._settings.config.TrainingArguments.loss_type

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The sum of the batch's losses over what the whole step learns."""
        if model.training:
            self.seen_tokens += inputs["input_ids"].numel()
        loss = self._sum(model, inputs) / (num_items_in_batch or self._items(inputs))
        if model.training and not math.isfinite(loss.item()):
            rows = "\n  ".join(inputs["names"])
            raise UserError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()}; the rows of the batch are\n  {rows}\n"
                "lower TrainingArguments.learning_rate, or look at these rows"
            )
        return loss

    def _sum(self, model: Any, batch: Any) -> torch.Tensor:
        if self._kind == "nll":
            return losses.token_losses(model, batch).sum()
        return losses.pair_losses(model, batch, self._kind, self._settings.config.TrainingArguments.beta).sum()

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over all learned tokens of the validation rows, and its perplexity."""
        self.model.eval()
        total = items = 0.0
        for batch in self.get_eval_dataloader():
            batch = self._prepare_inputs(batch)
            total += self._sum(self.model, batch).item()
            items += self._items(batch)
        metrics = {"eval_loss": total / items, "eval_perplexity": math.exp(min(total / items, 50.0))}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        output = self._settings.arguments.output
        trained = sum(p.numel() * p.element_size() for p in self.model.parameters() if p.requires_grad)
        needed = 3 * trained + checkpoints.SLACK_BYTES  # the adapter and AdamW's two moments
        keep = self._settings.config.TrainingArguments.save_total_limit
        checkpoints.write(output, self.state.global_step, needed, keep, lambda folder: self._save_into(folder, model))

    def _save_into(self, staging: Path, model: Any) -> None:
        """transformers writes `checkpoint-N` below output_dir; its files are moved to where they are wanted."""
        before, self.args.output_dir = self.args.output_dir, str(staging)
        try:
            super()._save_checkpoint(model, None)
        finally:
            self.args.output_dir = before
        inner = staging / f"checkpoint-{self.state.global_step}"
        for path in inner.iterdir():
            path.rename(staging / path.name)
        inner.rmdir()
