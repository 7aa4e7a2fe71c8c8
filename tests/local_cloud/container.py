"""A process of one of our images as a restricted pod runs it: user 1000, read-only root file system, memory on /tmp."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_cloud.images import Images

MODEL = "/mnt"  # where the model's folder is seen
# $1 is the image's root, $2 the model's folder on this machine; the rest is the command.
ENTER = (
    'root=$1 model=$2; shift 2; mount --bind "$root" "$root"; mount -o remount,bind,ro "$root"; '
    'mount -t tmpfs -o mode=1777 tmp "$root/tmp"; mount -t proc proc "$root/proc"; mount --bind /dev "$root/dev"; '
    f'mount --bind -o ro "$model" "$root{MODEL}"; exec chroot --userspec=1000:1000 "$root" "$@"'
)


@contextmanager
def mounted(images: Images, image: str) -> Iterator[str]:
    """The folder with the image's files."""
    container = images.run("from", "--pull-never", image).strip()
    try:
        yield images.run("mount", container).strip()
    finally:
        images.run("rm", container)


def command(root: str, environment: list[str], model: Path, *arguments: str) -> list[str]:
    """What to start for `arguments` to run in the image, in a session of its own: killing its group ends all of it."""
    entered = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh", root, str(model)]
    return [*entered, "env", "-i", "-C", "/app", *environment, *arguments]


def output(*started: str) -> str:
    """Both outputs of a command that must succeed."""
    done = subprocess.run(started, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr
