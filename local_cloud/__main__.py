"""The command `python -m local_cloud`: build, up, down, status, env, images, inputs, nodes."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path

from local_cloud import inputs
from local_cloud.control_plane import NotReady
from local_cloud.go_build import BuildError
from local_cloud.images import Images
from local_cloud.instance import Instance, NoInstance, instance_names
from local_cloud.real import node_images, packages, real_nodes
from local_cloud.real.nodes import NodeNotReady
from local_cloud.report import status_lines, what_is_real
from local_cloud.toolchain import Toolchain


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (NotReady, NodeNotReady, OSError) as error:
        print(f"local_cloud: {error}", file=sys.stderr)
        if "name" in options:
            print(
                f"local_cloud: `python -m local_cloud down --name {options.name}` and `up` start over", file=sys.stderr
            )
        return 1
    except (BuildError, NoInstance, ValueError) as error:
        print(f"local_cloud: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("local_cloud: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_cloud", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="build|up|down|status|env|images|inputs|nodes")
    build = commands.add_parser("build", help="build Pulumi, Kubernetes and what nodes need into the cache")
    build.add_argument("--images", action="store_true", help="at the same time: the container images, for real nodes")
    build.set_defaults(run=_build)
    up = commands.add_parser("up", help="start an instance; builds first what is missing")
    up.add_argument("--nodes", choices=("simulated", "real"), help="what runs the pods; real: containers, needs root")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="end an instance and remove its state, Pulumi's included")
    down.add_argument("--all", action="store_true", help="every instance")
    down.add_argument("--keep-state", action="store_true", help="only end the programs; `up` goes on from there")
    down.set_defaults(run=_down)
    status = commands.add_parser("status", help="show programs, ports and nodes of an instance")
    status.set_defaults(run=_status)
    env = commands.add_parser("env", help='print exports: eval "$(python -m local_cloud env)"')
    env.set_defaults(run=_env)
    images = commands.add_parser("images", help="build the two container images for this machine's CPU")
    images.add_argument("--push", metavar="REGISTRY", help="also push them there; http is for this machine")
    images.add_argument("--login-file", type=Path, help="docker's config.json for that registry")
    images.add_argument("--remove", action="store_true", help="remove what was built")
    images.set_defaults(run=_images)
    needed = commands.add_parser("inputs", help="make the small model and the quick start's data in the tuning image")
    needed.add_argument("folder", type=Path, help="where the data goes")
    needed.set_defaults(run=_inputs)
    nodes = commands.add_parser("nodes", help="say whether this machine can have real nodes; 1 if not")
    nodes.set_defaults(run=_nodes)
    for command in (up, down, status, env):
        command.add_argument("--name", default="default", help="instances of different names run side by side")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _build(options: argparse.Namespace) -> int:
    if reason := real_nodes.refusal():
        _say(f"built: {Toolchain().build(_say)}")
        _say(reason)
        return 0
    packages.ensure(_say)  # first: apt runs once at a time
    lacking = node_images.no_room() if options.images else None
    if lacking:
        _say(f"not built: {lacking}")
    with futures.ThreadPoolExecutor(1) as pool:  # Go wants the cores, the images the network
        images = pool.submit(node_images.prepare, Images(), _say) if options.images and not lacking else None
        _say(f"built: {Toolchain().build(_say)}")
        real_nodes.prepare(_say)
        if images:
            _say(f"images: new real nodes have them under {len(images.result())} names")
    return 0


def _up(options: argparse.Namespace) -> int:
    instance = Instance(options.name)
    instance.up(_say, real=options.nodes and options.nodes == "real")
    for line in what_is_real(instance):
        _say(line)
    _say(f'next: eval "$(python -m local_cloud env --name {options.name})"')
    return 0


def _down(options: argparse.Namespace) -> int:
    for name in instance_names() if options.all else [options.name]:
        Instance(name).down(options.keep_state)
        _say(f"local cloud {name!r}: down, {'its state is kept' if options.keep_state else 'nothing of it is left'}")
    return 0


def _status(options: argparse.Namespace) -> int:
    instance = Instance(options.name)
    status = instance.status()
    for line in (*status_lines(instance, status), *what_is_real(instance)):
        _say(line)
    return 0 if status.is_up else 1


def _env(options: argparse.Namespace) -> int:
    instance = Instance(options.name)
    instance.status()  # an instance that is not up has no environment
    variables = instance.env()
    folders = [shlex.quote(str(folder)) for folder in instance.toolchain.search_path()]
    _say(f'export PATH={":".join(folders)}:"$PATH"')
    for key, value in variables.items():
        if key != "PATH":
            _say(f"export {key}={shlex.quote(value)}")
    return 0


def _nodes(options: argparse.Namespace) -> int:
    reason = real_nodes.refusal()
    _say(reason or "real nodes are possible here")
    return 1 if reason else 0


def _images(options: argparse.Namespace) -> int:
    images = Images()
    if options.remove:
        images.remove()
        return 0
    if options.push:
        names = images.push(options.push, options.login_file, _say)
    else:
        names = images.build(_say) if real_nodes.refusal() else node_images.prepare(images, _say)
    _say(f"images: {', '.join(names)}")
    return 0


def _inputs(options: argparse.Namespace) -> int:
    _say(f"model: {inputs.model(_say)}")
    _say(f"data: {inputs.data(options.folder.absolute())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
