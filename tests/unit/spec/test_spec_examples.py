"""Files of the shapes that KAITO's examples and documentation have are accepted, or refused with a true reason."""

from pathlib import Path

import pytest

from kaito_components.spec import read_files
from kaito_components.spec.model import Workspace
from tests.unit.spec.workspaces import problems_of_text

HEAD = "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata:\n  name: workspace-model\n"
OLD_HEAD = HEAD.replace("v1beta1", "v1alpha1")
RESOURCE = (
    'resource:\n  instanceType: "Standard_NC24ads_A100_v4"\n  labelSelector:\n    matchLabels:\n      apps: model\n'
)

ACCEPTED = {
    "a preset": OLD_HEAD + RESOURCE + 'inference:\n  preset:\n    name: "phi-3-mini-128k-instruct"\n',
    "a Hugging Face id, no line feed at the end": HEAD
    + RESOURCE
    + "inference:\n  preset:\n    name: Qwen/Qwen2.5-Coder-32B",
    "the transformers runtime": f"""\
{HEAD}  annotations:
    kaito.sh/runtime: transformers
    kaito.sh/enablelb: "False"
{RESOURCE}inference:
  preset:
    name: gpt-oss-20b
""",
    "private weights": f"""\
{OLD_HEAD}{RESOURCE}inference:
  preset:
    name: "llama-2-13b-chat"
    accessMode: private
    presetOptions:
      image: example.azurecr.io/llama-2-13b-chat:0.0.4
      imagePullSecrets:
        - acr-pull
""",
    "an adapter, and nodes that are preferred": f"""\
{OLD_HEAD}resource:
  instanceType: Standard_NC4_A2
  preferredNodes:
    - <your-arc-node-name>
  labelSelector:
    matchLabels:
      apps: llm-inference
inference:
  preset:
    name: phi-3-mini-128k-instruct
  adapters:
    - source:
        name: "phi-3-adapter"
        image: "example.azurecr.io/adapter:0.0.1"
      strength: "1.0"
""",
    "half of a node's GPUs": f"""\
{HEAD}resource:
  # nodes that exist already
  labelSelector:
    matchLabels:
      apps: accelerator
  partition:
    mode: accelerator
    count: 2
inference:
  preset:
    name: llama-3.1-8b-instruct
    presetOptions:
      modelAccessSecret: hf-token
""",
    "a slice of a GPU": f"""\
{HEAD}resource:
  labelSelector:
    matchLabels:
      apps: mig
  partition:
    mode: mig
    profile: 1g.10gb
inference:
  preset:
    name: phi-4-mini-instruct
""",
    "weights on the node": f"""\
{HEAD}  annotations:
    kaito.sh/use-local-weights: "true"
resource:
  count: 1
  labelSelector:
    matchLabels:
      kaito-workspace: model
inference:
  preset:
    name: deepseek-ai/DeepSeek-V4-Flash
""",
    "Secret, ConfigMap and Workspace": f"""\
---
apiVersion: v1
kind: Secret
metadata:
  name: hf-token
type: Opaque
data:
  HF_TOKEN: aGZfdG9rZW4=
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: "inference-params"
data:
  inference_config.yaml: |
    # ── comment
    max_probe_steps: 6
    vllm:
      cpu-offload-gb: 0
      gpu-memory-utilization: 0.95
      enable-chunked-prefill: true
      max-model-len: 16384
---
{HEAD}{RESOURCE}inference:
  preset:
    name: meta-llama/Llama-3.3-70B-Instruct
    presetOptions:
      modelAccessSecret: hf-token
  config: "inference-params"
""",
    "a template": f"""\
{HEAD}{RESOURCE}inference:
  template:
    spec:
      containers:
        - name: custom-llm-container
          image: example.azurecr.io/custom:0.0.8
          livenessProbe:
            httpGet: {{path: /health, port: 5000}}
            initialDelaySeconds: 600
          resources:
            requests: {{nvidia.com/gpu: 1}}
            limits: {{nvidia.com/gpu: 1}}
          command: ["accelerate"]
          args: ["launch", "--num_processes", "1", "tfs/inference_api.py"]
          volumeMounts:
            - {{name: dshm, mountPath: /dev/shm}}
      volumes:
        - name: dshm
          emptyDir: {{medium: Memory}}
""",
    "tuning from and to volumes": f"""\
{HEAD}{RESOURCE}tuning:
  preset:
    name: phi-3-mini-128k-instruct
  method: lora
  config: tuning-config-map  # ConfigMap with tuning arguments
  input:
    name: tuning-data
    volumeSource:
      hostPath: {{path: /data}}
  output:
    volumeSource:
      persistentVolumeClaim:
        claimName: results
""",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_file_as_kaito_shows_it_is_accepted(name: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(ACCEPTED[name])
    (found,) = read_files([tmp_path / "w.yaml"]).workspaces
    assert isinstance(found, Workspace) and found.name == "workspace-model"
    assert {finding.code for finding in found.findings} <= {"deprecated-field"}


REFUSED = {
    "written below spec": (HEAD + "spec:\n  resource: {}\n", "spec", "to the top"),
    "a user's image to fill in": (
        ACCEPTED["private weights"].replace("example.azurecr.io/llama-2-13b-chat:0.0.4", "<YOUR IMAGE URL>"),
        "inference.preset.presetOptions.image",
        "placeholder",
    ),
    "an adapter's image to fill in": (
        ACCEPTED["an adapter, and nodes that are preferred"].replace("adapter:0.0.1", "ADAPTER_HERE:0.0.1"),
        "inference.adapters[0].source.image",
        "placeholder",
    ),
    "a token to fill in": (
        ACCEPTED["Secret, ConfigMap and Workspace"].replace("aGZfdG9rZW4=", "<base64-encoded-huggingface-token>"),
        "data.HF_TOKEN",
        "put your value there in base64",
    ),
    "a volume in the form of long ago": (
        ACCEPTED["tuning from and to volumes"].replace(
            "volumeSource:\n      hostPath: {path: /data}", "hostPath: /data"
        ),
        "tuning.input.hostPath",
        "is not a field",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_to_fill_in_or_of_long_ago_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    text, field, words = REFUSED[name]
    (found,) = problems_of_text(tmp_path, text)
    assert found.field == field and words in found.message and found.line
