"""One measurement of benchmarks.tuning, in a process: `.venv-images/bin/python -m benchmarks.tuning_run NAME PART`.

Prints one JSON line: real tokens (padding not counted), seconds of training alone, optimizer steps, peak memory.
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import small_model

ROWS, PARTS = 200, 4  # each part is trained by a process of its own
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORDS = ("the", "a", "river", "stone", "light", "under", "carries", "slowly", "market", "song", "table", "north")


def chats(folder: Path, part: slice = slice(None)) -> Path:
    """Chats of about 55 to 300 tokens, the same in every process; or a part of them."""
    source, path = random.Random(0), folder / "chats.jsonl"
    rows = []
    for _ in range(ROWS):
        question, answer = (" ".join(source.choices(WORDS, k=source.randint(8, 130))) for _ in range(2))
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        rows.append(json.dumps({"messages": turns}))
    path.write_text("\n".join(rows[part]) + "\n")
    return path


def trl(folder: Path, data: Path, packing: bool, quantized: bool) -> Callable[[], Any]:
    """SFTTrainer as its documentation shows it, bfloat16; it cannot mask this chat template, so all is learned."""
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    model = AutoModelForCausalLM.from_pretrained(
        small_model.folder(), dtype=torch.bfloat16, quantization_config=quantization if quantized else None
    )
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "out"),
            per_device_train_batch_size=1 if packing else 8,
            packing=packing,
            max_length=1024,
            num_train_epochs=1,
            gradient_checkpointing=False,
            bf16=True,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=load_dataset("json", data_files=str(data), split="train"),
        peft_config=LoraConfig(r=16, lora_alpha=16, target_modules=LINEAR, task_type="CAUSAL_LM"),
    )
    return trainer.train


def flags(packing: bool) -> list[str]:
    """The same settings for this project's image."""
    chosen = [
        "ModelConfig.torch_dtype=bfloat16",
        "LoraConfig.r=16",
        "LoraConfig.lora_alpha=16",
        f"LoraConfig.target_modules=[{','.join(LINEAR)}]",
        "TrainingArguments.assistant_only_loss=false",
        "TrainingArguments.num_train_epochs=1",
        f"TrainingArguments.packing={str(packing).lower()}",
        f"TrainingArguments.per_device_train_batch_size={1 if packing else 8}",
    ]
    return [word for flag in chosen for word in ("--set", flag)]


def ours(folder: Path, data: Path, packing: bool, quantized: bool, minutes: float) -> Callable[[], Any]:
    """This project's image, with a checkpoint every so many minutes."""
    from tuning_image.__main__ import AWAKE_TURNS

    os.environ.setdefault("GOMP_SPINCOUNT", AWAKE_TURNS)  # as the image's process sets it, before it loads PyTorch
    import torch

    from tuning_image import arguments, gauges, run, settings
    from tuning_image.training import model, train

    argv = ["--model", str(small_model.folder()), "--data", str(data), "--output", str(folder / "out")]
    argv += ["--method", "qlora" if quantized else "lora", "--checkpoint-minutes", str(minutes), *flags(packing)]
    (folder / "out").mkdir()
    chosen = settings.read(arguments.parse(argv), {})
    prepared = run.prepare(chosen)
    adapted = model.load(chosen, model.Precision(torch.bfloat16, "as TRL"))
    pieces = (chosen.config.TrainingArguments.per_device_train_batch_size, 1)
    return lambda: train.train(train.Work(chosen, adapted, prepared.train, [], pieces, gauges.show))


def real_tokens(data: Path) -> int:
    """Tokens of these chats by their template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_model.folder())
    rows = [json.loads(line)["messages"] for line in data.read_text().splitlines()]
    return sum(len(tokenizer(tokenizer.apply_chat_template(row, tokenize=False))["input_ids"]) for row in rows)


def main(name: str, part: int) -> None:
    """`trl|ours-padded|packed-lora|qlora`, and `ours-saved-lora`: packed, with a checkpoint after each step."""
    who, shape, method = name.split("-")
    with tempfile.TemporaryDirectory() as place:
        folder, packing, quantized = Path(place), shape != "padded", method == "qlora"
        data, minutes = chats(folder, slice(part, None, PARTS)), 1e-6 if shape == "saved" else 0
        given = folder, data, packing, quantized
        work = trl(*given) if who == "trl" else ours(*given, minutes)
        start = time.perf_counter()
        done = work()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        steps = done.global_step if who == "trl" else done.steps
        found = {"tokens": real_tokens(data), "seconds": seconds, "steps": steps, "peak_bytes": peak}
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
