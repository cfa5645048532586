"""Makes a folder of training pictures without those that measure the small CLIP.

    python models/tiny/hold_out.py models/tiny/pictures input/clip

The pictures are hard links, so the folder takes no space. One picture in fifty is held out, chosen by its name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Final

ONE_IN: Final = 50


def is_held_out(file_name: str) -> bool:
    """Whether the picture with that name is left out of the CLIP's training."""
    return int.from_bytes(hashlib.blake2b(file_name.encode(), digest_size=8).digest(), "big") % ONE_IN == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("training", type=Path)
    arguments = parser.parse_args()
    lines = (arguments.pictures / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not is_held_out(json.loads(line)["file_name"])]
    arguments.training.mkdir(parents=True, exist_ok=True)
    for line in kept:
        name = json.loads(line)["file_name"]
        target = arguments.training / name
        if not target.exists():
            os.link(arguments.pictures / name, target)
    (arguments.training / "metadata.jsonl").write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    print(f"{len(kept)} of {len(lines)} pictures are for training, in {arguments.training}")


if __name__ == "__main__":
    main()
