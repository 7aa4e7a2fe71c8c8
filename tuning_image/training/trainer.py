"""transformers' Trainer with our batches, loss, exact evaluation and atomic checkpoints. Called by training.train."""

import math
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from tuning_image.errors import UserError
from tuning_image.settings import Settings
from tuning_image.training import batches, checkpoints, losses, memory, ranks
from tuning_image.training.batches import Bin

USUAL_STEPS, FEWEST_STEPS = 50, 10  # whose gradient norms say what is usual
ALARM = 20.0  # times the median of these
SCALER_STEPS = 20  # in a row: from 2**16, where PyTorch's GradScaler begins, to below 1


class AdapterTrainer(Trainer):
    """Trains an adapter. `seen_tokens` counts since the start of the process, over all processes."""

    def __init__(self, settings: Settings, train: Sequence[Bin], validation: Sequence[Bin], **more: Any) -> None:
        super().__init__(train_dataset=train, eval_dataset=validation or None, **more)
        self._settings = settings
        self.control: Any
        self.loss_is_scaled_for_ga = True  # divided by what the whole step learns, below
        self.seen_tokens = 0
        self._step_names: list[str] = []
        self._overflows = 0
        self._norms: deque[float] = deque(maxlen=USUAL_STEPS)
        self.say: Callable[[str], None] = print

    def get_train_dataloader(self) -> batches.Loader:
        return self._loader(self.train_dataset, self._train_batch_size, self.args.seed)

    def get_eval_dataloader(self, *_: Any) -> batches.Loader:
        return self._loader(self.eval_dataset, self.args.per_device_eval_batch_size, None)

    def _loader(self, bins: Any, at_once: int, seed: int | None) -> batches.Loader:
        share = batches.Share(len(bins), at_once, ranks.rank(), ranks.count(), seed)
        pinned = self.args.dataloader_pin_memory
        return batches.Loader(bins, batch_sampler=share, collate_fn=batches.collate, pin_memory=pinned)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> float:
        """What the whole step learns, in all processes."""
        items = sum(self._items(batch) for batch in batch_samples)
        learned, tokens = ranks.total(items, sum(batch["input_ids"].numel() for batch in batch_samples))
        self.seen_tokens += int(tokens)
        self._step_names = [name for batch in batch_samples for name in batch["names"]]
        return learned

    def _items(self, batch: dict[str, Any]) -> int:
        if not batch["counts"]:
            return 0
        return len(batch["targets"]) if self._kind == "nll" else len(batch["segments"]) // 2

    @property
    def _kind(self) -> str:
        return self._settings.config.TrainingArguments.loss_type

    def floating_point_ops(self, inputs: Any) -> int:
        """Nobody reads them, and counting takes a tenth of a small model's step on a GPU."""
        return 0

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The sum of the batch's losses over what the whole step learns, in all processes."""
        loss = self._sum(model, inputs) / num_items_in_batch * ranks.count()  # accelerate takes the mean over processes
        if model.training and not math.isfinite(loss.item()):
            rows = "\n  ".join(inputs["names"])
            raise UserError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()}; the rows of the batch are\n  {rows}\n"
                "lower TrainingArguments.learning_rate, or look at these rows"
            )
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Called before the optimizer's step: what is not a number never reaches the adapter."""
        found = super()._get_grad_norm(model, grad_norm=grad_norm)
        self._judge(float(found))
        return found

    def _judge(self, norm: float) -> None:
        """Ends the run at a gradient that is not a number. float16's scaler skips such a step and halves its factor."""
        self._overflows = 0 if math.isfinite(norm) else self._overflows + 1
        if self._overflows > (SCALER_STEPS if self.accelerator.scaler else 0):
            raise UserError(
                f"{self._named(f'{norm}')}\n"
                "lower TrainingArguments.learning_rate or max_grad_norm, or look at these rows"
            )
        usual = statistics.median(self._norms) if len(self._norms) >= FEWEST_STEPS else math.inf
        if ALARM * usual < norm < math.inf:  # max_grad_norm limits what it does
            self.say(self._named(f"{norm:.3g}, {norm / usual:.0f} times the usual one"))
        if math.isfinite(norm):
            self._norms.append(norm)

    def _named(self, norm: str) -> str:
        rows = "\n  ".join(ranks.gathered(self._step_names))
        return f"step {self.state.global_step + 1}: the gradient norm is {norm}; the rows of the step are\n  {rows}"

    def _sum(self, model: Any, batch: Any) -> torch.Tensor:
        if self._kind == "nll":
            found = losses.token_losses(model, batch)
        else:
            found = losses.pair_losses(model, batch, self._kind, self._settings.config.TrainingArguments.beta)
        return found.sum() * batch["counts"]

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over all learned tokens of the validation rows, and its perplexity."""
        self.model.eval()
        total, items = ranks.total(*self._evaluated())
        metrics = {"eval_loss": total / items, "eval_perplexity": math.exp(min(total / items, 50.0))}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _evaluated(self) -> tuple[float, float]:
        """The sum over this process' rows, and their learned tokens; with fewer rows at a time when memory runs out."""
        while True:
            try:
                return self._once_evaluated()
            except (RuntimeError, MemoryError) as error:
                if not memory.ran_out(error) or self.args.per_device_eval_batch_size == 1:
                    raise
            self.args.per_device_eval_batch_size //= 2
            memory.free()
            self.say(memory.evaluates(self.args.per_device_eval_batch_size))

    @torch.no_grad()
    def _once_evaluated(self) -> tuple[float, float]:
        total = items = 0.0
        for batch in self.get_eval_dataloader():
            batch = self._prepare_inputs(batch)
            total += self._sum(self.model, batch).item()
            items += self._items(batch)
        return total, items

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """By the main process; the others add the state of their random numbers."""
        output = self._settings.arguments.output
        if not ranks.is_main():
            self._save_into(checkpoints.being_written(output), model)
            ranks.wait()
            return
        trained = sum(p.numel() * p.element_size() for p in self.model.parameters() if p.requires_grad)
        needed = 3 * trained + checkpoints.SLACK_BYTES  # the adapter and AdamW's two moments
        keep = self._settings.config.TrainingArguments.save_total_limit
        checkpoints.write(output, self.state.global_step, needed, keep, lambda folder: self._save_into(folder, model))
        ranks.wait()

    def _save_into(self, staging: Path, model: Any) -> None:
        """transformers writes `checkpoint-N` below output_dir; its files are moved to where they are wanted."""
        ranks.wait()
        before, self.args.output_dir = self.args.output_dir, str(staging)
        try:
            super()._save_checkpoint(model, None)
        finally:
            self.args.output_dir = before
        ranks.wait()
        if not ranks.is_main():
            return
        inner = staging / f"checkpoint-{self.state.global_step}"
        for path in inner.iterdir():
            path.rename(staging / path.name)
        inner.rmdir()
