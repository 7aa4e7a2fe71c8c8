"""Fine-tuning with LoRA and QLoRA: `python -m tuning_image`, and what the tuning Job's container runs."""
