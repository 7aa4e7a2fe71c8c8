"""Which servers load the adapter that the settings lead to. Called by contradictions, run and output.result.

Sources: vLLM's vllm/lora/peft_helper.py (validate_legal) and vllm/config/lora.py (MaxLoRARanks); for the serving image
of this project its adapter_files.py, held to this file by tests/tuning/test_servers.py.
"""

from tuning_image.sections import LoraSection

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what --max-lora-rank takes
VLLM_DEFAULT_RANK = 16
OUR_LARGEST_RANK = 256
OURS, VLLM = "KAITO's serving image", "vLLM"


def servers(lora: LoraSection) -> dict[str, str]:
    """Each server → how it loads the adapter, or why it refuses it."""
    found = {OURS: refusal(lora), VLLM: _refused(lora) or _too_large(lora.r, VLLM_RANKS[-1])}
    return {name: f"no: {reason}" if reason else f"yes{_flag(name, lora.r)}" for name, reason in found.items()}


def refusal(lora: LoraSection) -> str:
    """Why the serving image of this project would refuse it; empty if it loads it."""
    return _refused(lora) or _too_large(lora.r, OUR_LARGEST_RANK)


def _refused(lora: LoraSection) -> str:
    set_ = {"use_dora": lora.use_dora, "bias": lora.bias != "none", "modules_to_save": bool(lora.modules_to_save)}
    named = [f"LoraConfig.{name}" for name, given in set_.items() if given]
    return f"{', '.join(named)} is not served as an adapter; --merge writes full weights that are" if named else ""


def _too_large(rank: int, largest: int) -> str:
    return f"LoraConfig.r is {rank}, at most {largest} is served; --merge writes full weights" if rank > largest else ""


def _flag(name: str, rank: int) -> str:
    if name != VLLM or rank <= VLLM_DEFAULT_RANK:
        return ""
    return f", with --max-lora-rank {next(allowed for allowed in VLLM_RANKS if allowed >= rank)}"
