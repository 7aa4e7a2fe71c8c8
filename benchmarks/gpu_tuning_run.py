"""What gpu_speed measures of tuning: `python -m benchmarks.gpu_tuning_run WHO METHOD DEVICE OUTPUT MODEL...`.

144 chats of 55 to 300 tokens, 8 at a time, LoRA or QLoRA with r = 16 on all linear layers, gradient checkpointing, one
epoch; prints a JSON line for each model: real tokens (no padding) per second after the third step, and the peak.
"""

import gc
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

from transformers import TrainerCallback

from benchmarks import gpu_models, tuning_run

ROWS, AT_ONCE, EPOCHS = 144, 8, 1


class Clock(TrainerCallback):
    """When training was warm, and when it ended."""

    def __init__(self, device: str) -> None:
        self._device, self.warm, self.end = device, 0.0, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3:
            self.warm = self._now()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.end = self._now()

    def _now(self) -> float:
        import torch

        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def trl(clock: Clock, method: str, device: str, model: str, folder: Path) -> None:
    """SFTTrainer as its documentation shows it."""
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    kind = torch.bfloat16
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=kind)
    quantized = {"quantization_config": four} if method == "qlora" else {}
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=kind, device_map=device, **quantized)
    args = SFTConfig(
        output_dir=str(folder / "out"), per_device_train_batch_size=AT_ONCE, num_train_epochs=EPOCHS, max_length=1024,
        gradient_checkpointing=True, bf16=True, use_cpu=device == "cpu", save_strategy="no", report_to="none",
        logging_steps=1,
    )  # fmt: skip
    rows = load_dataset("json", data_files=str(folder / "chats.jsonl"), split="train")
    adapter = LoraConfig(r=16, lora_alpha=16, target_modules=list(gpu_models.LINEAR), task_type="CAUSAL_LM")
    SFTTrainer(model=loaded, args=args, train_dataset=rows, peft_config=adapter, callbacks=[clock]).train()


def ours(clock: Clock, method: str, device: str, model: str, folder: Path) -> None:
    """This project's image with the same settings."""
    from tuning_image import arguments, run, settings
    from tuning_image.training import callbacks, train
    from tuning_image.training.model import choose_precision, load

    chosen = {
        "ModelConfig.device_map": device, "ModelConfig.torch_dtype": "bfloat16", "LoraConfig.r": 16,
        "LoraConfig.lora_alpha": 16, "LoraConfig.target_modules": f"[{','.join(gpu_models.LINEAR)}]",
        "TrainingArguments.num_train_epochs": EPOCHS, "TrainingArguments.per_device_train_batch_size": AT_ONCE,
        "TrainingArguments.assistant_only_loss": "false", "TrainingArguments.gradient_checkpointing": "true",
    }  # fmt: skip
    argv = ["--model", model, "--data", str(folder / "chats.jsonl"), "--output", str(folder / "out")]
    argv += ["--method", method, "--checkpoint-minutes", "0"]
    for name, value in chosen.items():
        argv += ["--set", f"{name}={value}"]
    (folder / "out").mkdir()
    read = settings.read(arguments.parse(argv), {})
    prepared = run.prepare(read)
    adapted = load(read, choose_precision(read.config))
    begin = callbacks.StopOnSignal.on_step_end

    def timed(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        clock.on_step_end(args, state, control)
        begin(self, args, state, control, **more)

    with mock.patch.object(callbacks.StopOnSignal, "on_step_end", timed):  # the image takes no callbacks from outside
        train.train(train.Work(read, adapted, prepared.train, [], (AT_ONCE, 1), lambda entry: None))
    clock.end = clock._now()


def trl_without_cudnn(clock: Clock, method: str, device: str, model: str, folder: Path) -> None:
    """The same without cuDNN's attention, which makes itself ready for each new shape."""
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)
    trl(clock, method, device, model, folder)


WHO = {"ours": ours, "trl": trl, "trl-without-cudnn": trl_without_cudnn}


def main(who: str, method: str, device: str, output: str, *models: str) -> None:
    """Trains each model and prints; one that fails says so, and the others go on."""
    tuning_run.ROWS = ROWS if device == "cuda" else 32
    for model in models:
        folder = Path(output) / Path(model).name
        folder.mkdir(parents=True)
        try:
            found = measured(who, method, device, model, folder)
        except Exception as error:
            traceback.print_exc()
            found = {"failed": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps({"name": f"{Path(model).name} {method} {who}", **found}), flush=True)


def measured(who: str, method: str, device: str, model: str, folder: Path) -> dict[str, Any]:
    """One training."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    tuning_run.chats(folder)
    clock = Clock(device)
    WHO[who](clock, method, device, model, folder)
    steps = tuning_run.ROWS // AT_ONCE * EPOCHS
    tokens = _tokens(folder, Path(model)) * EPOCHS * (steps - 3) / steps
    peak = torch.cuda.max_memory_reserved() / 1e9 if device == "cuda" else 0.0
    return {"tokens/s": round(tokens / (clock.end - clock.warm)), "peak GB": round(peak, 2)}


def _tokens(folder: Path, model: Path) -> int:
    """Of all chats by their template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line)["messages"] for line in (folder / "chats.jsonl").read_text().splitlines()]
    return sum(len(tokenizer(tokenizer.apply_chat_template(row, tokenize=False))["input_ids"]) for row in rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
