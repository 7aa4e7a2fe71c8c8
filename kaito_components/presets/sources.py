"""What the short names of sources in the presets' files mean. Read by schema, `kaito models NAME` and the docs."""

_KAITO = "KAITO 0.12 presets/workspace"

SOURCES = {
    "kaito-catalogue": f"{_KAITO}/models/model_catalog.yaml: numbers of the model's config.json, sizes of its files",
    "kaito-generator": f"{_KAITO}/generator/generator.go: what KAITO derives from the architecture and the name",
    "kaito-overrides": f"{_KAITO}/generator/model_catalog.go: what KAITO sets for single models",
    "kaito-switches": "KAITO 0.12 pkg/model/interface.go: switches by architecture",
    "kaito-supported": f"{_KAITO}/models/supported_models.yaml",
    "kaito-transformers": f"{_KAITO}/models/transformer_runtime_inference_parameters.go",
    "kaito-tuning": f"{_KAITO}/models/transformer_runtime_tuning_parameters.go",
    "kaito-tuning-docs": "KAITO 0.12 website/docs/tuning.md",
    "licenses": "kaito_components/data/licenses.csv",
    "model-card": "the model's page on Hugging Face",
    "model-config": "the model's config.json on Hugging Face, at this revision",
    "model-files": "the model's weight files on Hugging Face, at this revision",
    "model-index": "the model's model.safetensors.index.json",
    "model-api": "what Hugging Face's API says of the model",
    "given": "given by whoever added the preset",
    "computed": "computed from the other fields of this file",
    "architecture": "follows from the architecture; see docs/presets.md",
    "half-of-weights": "computed: two bytes a number, from the weights as rounded by the catalogue",
    "model-name": "the model's own name, which rounds",
    "transformers-layers": "names of the linear layers in transformers' modeling file of this architecture",
    "gpt-oss-windows": "transformers models/gpt_oss/configuration_gpt_oss.py: a window of 128 in every other layer",
    "gemma-3-windows": "Gemma 3 report, arXiv:2503.19786: five layers with a window of 1024 to one without",
    "qwen3.5-layers": "transformers models/qwen3_5/configuration_qwen3_5.py: every fourth attends, the rest are linear",
}
