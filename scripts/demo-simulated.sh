#!/usr/bin/env bash
# Two Workspaces from their files to their status table, then a change, on simulated nodes. Called by demo.sh.
set -euo pipefail
. "$(dirname "$0")/demo-screen.sh"

work=${KAITO_CACHE:-$HOME/.cache/kaito-components}/demo-simulated
mkdir -p "$work"

step "1/5  A cloud on this machine with simulated nodes (about 15 seconds). Real: Pulumi, the Kubernetes API. Standing in: Azure and the nodes"
show python -m local_cloud up --name demo-simulated
eval "$(python -m local_cloud env --name demo-simulated)"

step "2/5  Two Workspaces: the quick start's tuning file with its two placeholders filled in, and a model to serve"
sed -e 's#ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1#kaitodemo.azurecr.io/phi-3-dolly:0.0.1#' \
    -e 's#ACR_REGISTRY_SECRET_HERE#acr-push#' examples/quickstart/workspace-tuning-phi-3.yaml >"$work/tuning.yaml"
cp examples/quickstart/workspace-phi-4-mini.yaml "$work/inference.yaml"
cp examples/quickstart/push-secret.yaml "$work/push-secret.yaml"
sed -e "s#@WORK@#$work#" scripts/demo-stack.yaml >"$work/Pulumi.demo.yaml"
show kaito plan --image-registry kaitodemo.azurecr.io "$work/tuning.yaml" "$work/inference.yaml"

step "3/5  What will exist, before it exists; then make it (about 30 seconds) and wait until it is ready"
options=(--stack demo --config-file "$work/Pulumi.demo.yaml" --non-interactive)
pulumi stack select --create demo --non-interactive >/dev/null
show pulumi preview "${options[@]}" # with --diff: every field of every object
show pulumi up "${options[@]}" --yes --skip-preview --suppress-outputs
show kaito status

step "4/5  A change: a larger GPU. The new node pool comes first, the model moves, then the old pool goes"
show sed -i 's/Standard_NC24ads_A100_v4/Standard_NC40ads_H100_v5/' "$work/inference.yaml"
show pulumi preview "${options[@]}" --diff
show pulumi up "${options[@]}" --yes --skip-preview --suppress-outputs
show kaito status
show kaito chat workspace-phi-4-mini --message "Who answers?"

step "5/5  And again: nothing left to do"
show pulumi preview "${options[@]}" --expect-no-changes

cat <<END

${bold}Not shown${plain}  pods of simulated nodes run nothing: no model is loaded, and nothing is tuned, so nothing gives
           workspace-tuning-phi-3 its server. On real nodes (scripts/demo-real.sh) the Job does that last, and both columns turn True.

${bold}Go on${plain}    eval "\$(.venv/bin/python -m local_cloud env --name demo-simulated)"      # pulumi, kubectl and kaito now talk to this cloud
         edit $work/inference.yaml, then
         pulumi up --stack demo --config-file $work/Pulumi.demo.yaml
${bold}Remove${plain}   pulumi destroy --stack demo --config-file $work/Pulumi.demo.yaml --yes
${bold}Stop${plain}     make down
END
