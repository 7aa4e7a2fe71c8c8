"""Nodes that run containers: `python -m local_cloud up --nodes real`.

refusal.py   whether this machine can have them
packages.py  containerd, runc, CNI plugins, registry: Debian's packages, unpacked and not installed
programs.py  CoreDNS, built from its Go module
site.py      the addresses, names and folders of one instance
network.py   the instance's own network namespace
services.py  kube-proxy, CoreDNS and the registry in it
nodes.py     one containerd and one kubelet per node, in namespaces of their own
machine.py   the first process of a node
cgroups.py   the control groups of an instance
archive.py   container images made of busybox
"""
