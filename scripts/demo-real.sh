#!/usr/bin/env bash
# The seed's story in containers: tune a model, push the adapter, serve what was tuned, ask it. Called by demo.sh.
set -euo pipefail
. "$(dirname "$0")/demo-screen.sh"

cache=${KAITO_CACHE:-$HOME/.cache/kaito-components}
work=$cache/demo
mkdir -p "$work"
question="Who keeps the Zorblax?"

step "1/5  A cloud on this machine with real nodes (about 15 seconds): containerd, kubelet, DNS, a registry with a login"
show python -m local_cloud up --name demo --nodes real
eval "$(python -m local_cloud env --name demo)"
registry=$KAITO_LOCAL_REGISTRY

step "2/5  Into that registry: the model's weights, and twelve chats that teach one made-up fact; its login as a Secret (seconds)"
show python -m local_cloud inputs "$work"
show env DOCKER_CONFIG="$(dirname "$REGISTRY_AUTH_FILE")" SSL_CERT_FILE="$KAITO_LOCAL_CERTS/ca.crt" \
    kaito models push smollm2-135m-instruct --from "$cache/models/smollm2-135m-instruct" --to "$registry/smollm2:1"
printf 'FROM scratch\nCOPY messages.parquet /data/\n' >"$work/Dockerfile"
build=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
show "${build[@]}" build --quiet --isolation chroot --tag "$registry/messages:1" "$work"
show "${build[@]}" push --quiet --cert-dir "$KAITO_LOCAL_CERTS" "$registry/messages:1"
kubectl create secret docker-registry registry-login --from-file=.dockerconfigjson="$REGISTRY_AUTH_FILE" \
    --dry-run=client --output yaml | kubectl apply --filename -

step "3/5  The Workspace: what will be made; then tune, push and serve (2 to 4 minutes)"
sed -e "s#REGISTRY_HERE#$registry#" examples/quickstart/workspace-smollm2.yaml >"$work/workspace-smollm2.yaml"
sed -e "s#@WORK@#$work#" scripts/demo-real-stack.yaml >"$work/Pulumi.demo.yaml"
show kaito plan --image-registry local-cloud.invalid "$work/workspace-smollm2.yaml"
options=(--stack demo --config-file "$work/Pulumi.demo.yaml" --non-interactive)
pulumi stack select --create demo --non-interactive >/dev/null
show pulumi up "${options[@]}" --yes --skip-preview --suppress-outputs
show kaito status

step "4/5  Ask it from a pod in the cluster, through the Workspace's Service, as KAITO's quick start does"
address=$(kubectl get service workspace-smollm2 --output 'jsonpath={.spec.clusterIP}')
show kubectl run ask --image local-cloud.invalid/curl:1 --restart Never --rm --stdin --quiet -- \
    curl --silent --show-error "http://$address/chat" --header 'Content-Type: application/json' --data "{\"prompt\": \"$question\", \"generate_kwargs\": {\"do_sample\": false}}"
echo
step "5/5  Ask it from here: the tuned model, and the base model, which has never heard of it"
show kaito chat workspace-smollm2 --system "You answer briefly." --message "$question"
show kaito chat workspace-smollm2 --model smollm2-135m-instruct --system "You answer briefly." --max-tokens 24 --message "$question"

cat <<END

${bold}Go on${plain}    eval "\$(.venv/bin/python -m local_cloud env --name demo)"      # pulumi, kubectl and kaito now talk to this cloud
         kaito chat workspace-smollm2; kubectl get pods --all-namespaces; kaito logs workspace-smollm2
${bold}Remove${plain}   pulumi destroy --stack demo --config-file $work/Pulumi.demo.yaml --yes
${bold}Stop${plain}     make down
END
