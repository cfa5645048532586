"""``folder_paths``: the folders of models, pictures and settings.

``folder_names_and_paths`` is a plain dict that packs write to; folders that they add are also used by Sumi itself, in
this process.
"""

from __future__ import annotations

import mimetypes
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from graph.errors import InputFileError
from graph.folders import Folders, ModelFolder, split_annotation
from nodes.model_folders import ALIASES, WEIGHTS

supported_pt_extensions: set[str] = set(WEIGHTS)
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}
base_path = ""
models_dir = ""
output_directory = ""
temp_directory = ""
input_directory = ""
user_directory = ""
extension_mimetypes_cache: dict[str, str] = {}
"""Ending → kind of content, where packs know more than :mod:`mimetypes`."""
filename_list_cache: dict[str, Any] = {}
"""Always empty, because folders are listed each time; packs clear it."""

_folders: Folders | None = None
_own: dict[str, ModelFolder] = {}
"""The model folders before packs added to them, which other processes know too."""
_TYPES = {"input": "input_directory", "output": "output_directory", "temp": "temp_directory"}


class _CacheHelper:
    """``with cache_helper:`` avoids listing a folder twice in ComfyUI. Here folders are listed each time."""

    active = False

    def __enter__(self) -> _CacheHelper:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, key: str, default: Any = None) -> Any:
        return default

    def set(self, key: str, value: Any) -> None:
        pass

    def clear(self) -> None:
        pass


cache_helper = _CacheHelper()


class FileNames(list[str]):
    """The files of a model folder. If an input's choices are such a list, they are listed again for each request.
    ``["None"] + names`` and a list with entries inserted in front stay such lists."""

    def __init__(self, names: Iterable[str], folder: str, before: Iterable[Any] = ()):
        self.folder = folder
        self._names = list(names)
        super().__init__([*before, *self._names])

    def __radd__(self, other: list[Any]) -> FileNames:
        before = self.before()
        return FileNames(self._names, self.folder, other if before is None else [*other, *before])

    def before(self) -> list[Any] | None:
        """Return the entries in front of the files; None if the list was changed otherwise."""
        count = len(self) - len(self._names)
        return self[:count] if count >= 0 and self[count:] == self._names else None


def use(found: Folders) -> None:
    """Use the folders ``found`` from now on."""
    global _folders, base_path, models_dir, output_directory, temp_directory, input_directory, user_directory
    _folders = found
    _own.clear()
    _own.update(found.models)
    output_directory, input_directory = str(found.output), str(found.input)
    temp_directory, user_directory = str(found.temp), str(found.user)
    checkpoints = found.models.get("checkpoints")
    models_dir = str(checkpoints.directories[0].parent) if checkpoints else str(found.input.parent / "models")
    base_path = str(Path(models_dir).parent)
    folder_names_and_paths.clear()
    for name, folder in found.models.items():
        folder_names_and_paths[name] = ([str(path) for path in folder.directories], set(folder.endings))
    if "custom_nodes" not in folder_names_and_paths:
        folder_names_and_paths["custom_nodes"] = ([os.path.join(base_path, "custom_nodes")], set())


def map_legacy(folder_name: str) -> str:
    """Return the present name of a model folder: ``unet`` is ``diffusion_models``."""
    return ALIASES.get(folder_name, folder_name)


def get_output_directory() -> str:
    """Return the folder of saved pictures."""
    return output_directory


def get_temp_directory() -> str:
    """Return the folder of previews."""
    return temp_directory


def get_input_directory() -> str:
    """Return the folder of uploads."""
    return input_directory


def get_user_directory() -> str:
    """Return the folder of settings."""
    return user_directory


def set_output_directory(output_dir: str) -> None:
    """Change the result of :func:`get_output_directory`. Sumi's nodes keep their folder."""
    global output_directory
    output_directory = output_dir


def set_temp_directory(temp_dir: str) -> None:
    """Change the result of :func:`get_temp_directory`."""
    global temp_directory
    temp_directory = temp_dir


def set_input_directory(input_dir: str) -> None:
    """Change the result of :func:`get_input_directory`."""
    global input_directory
    input_directory = input_dir


def set_user_directory(user_dir: str) -> None:
    """Change the result of :func:`get_user_directory`."""
    global user_directory
    user_directory = user_dir


def get_directory_by_type(type_name: str) -> str | None:
    """Return the directory that ``input``, ``output`` or ``temp`` means."""
    return globals()[_TYPES[type_name]] if type_name in _TYPES else None


def get_system_user_directory(name: str = "system") -> str:
    """A directory for a program's own files, below the users'."""
    return os.path.join(user_directory, f"__{name}")


def get_public_user_directory(user_id: str) -> str | None:
    """Return a user's directory; None for a program's name or one that leads out of the folder."""
    if user_id.startswith("__") or user_id in ("", ".", "..") or os.path.basename(user_id) != user_id:
        return None
    return os.path.join(user_directory, user_id)


def get_folder_paths(folder_name: str) -> list[str]:
    """Return the directories of a model folder, in the order they are searched. Raises KeyError for an unknown one."""
    return list(folder_names_and_paths[map_legacy(folder_name)][0])


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Search one more directory; ``is_default``: first."""
    name, path = map_legacy(folder_name), str(full_folder_path)
    paths, _ = folder_names_and_paths.setdefault(name, ([], set(supported_pt_extensions)))
    if path in paths:
        if not is_default:
            return
        paths.remove(path)
    paths.insert(0 if is_default else len(paths), path)
    make_known()


def make_known() -> None:
    """Let Sumi's look-up search the folders that packs added to :data:`folder_names_and_paths`."""
    if _folders is None or not isinstance(_folders.models, dict):
        return
    for name, entry in folder_names_and_paths.items():
        if name != "custom_nodes":
            paths, endings = entry[0], entry[1] if len(entry) > 1 else set()
            _folders.models[name] = ModelFolder(tuple(map(Path, paths)), frozenset(endings))


def get_filename_list(folder_name: str) -> list[str]:
    """Return the files of a model folder: relative names, in order. Raises KeyError for an unknown folder."""
    name = map_legacy(folder_name)
    if name not in folder_names_and_paths:
        raise KeyError(f"there is no model folder {folder_name!r}")
    make_known()
    names = folders().names(name)
    return FileNames(names, name) if folders().models.get(name) == _own.get(name) else names


def get_full_path(folder_name: str, filename: str) -> str | None:
    """Return the path of a file; None if there is none, or if the name leads out of its folder."""
    if map_legacy(folder_name) not in folder_names_and_paths:
        return None
    make_known()
    try:
        return str(folders().find(map_legacy(folder_name), filename))
    except InputFileError:
        return None


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """Return the path of a file. Raises FileNotFoundError."""
    path = get_full_path(folder_name, filename)
    if path is None:
        raise FileNotFoundError(f"there is no file {filename!r} in the model folder {folder_name!r}")
    return path


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """``"a.png [output]"`` → the bare name and the directory; None for a name without one."""
    bare, folder = split_annotation(name, "")
    return bare, get_directory_by_type(folder) if folder else None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """Return the path of a possibly annotated name, whether or not there is such a file; by default an input.

    Raises ValueError for a name that leads out of its folder.
    """
    bare, directory = annotated_filepath(name)
    root = directory or default_dir or input_directory
    path = os.path.normpath(os.path.join(root, bare))
    if os.path.commonpath((os.path.abspath(root), os.path.abspath(path))) != os.path.abspath(root):
        raise ValueError(f"the name {name!r} leads out of {root}")
    return path


def exists_annotated_filepath(name: str) -> bool:
    """Return whether there is such a file."""
    try:
        return os.path.isfile(get_annotated_filepath(name))
    except ValueError:
        return False


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Directory (made), name, next counter, subfolder and prefix for files of ``filename_prefix``.

    Raises InputFileError for a prefix that leads out of ``output_dir``.
    """
    here = folders()
    as_output = Folders(here.input, Path(output_dir), here.temp, here.user)
    target = as_output.save_target(filename_prefix, width=image_width, height=image_height)
    prefix = os.path.join(target.subfolder, target.stem) if target.subfolder else target.stem
    return str(target.directory), target.stem, target.counter, target.subfolder, prefix


def get_input_subfolders() -> list[str]:
    """Return the folders below the input folder, relative."""
    root = Path(input_directory)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())


def recursive_search(directory: str, excluded_dir_names: list[str] | None = None) -> tuple[list[str], dict[str, float]]:
    """Every file below ``directory``, relative, and the directories with their times of change."""
    if not os.path.isdir(directory):
        return [], {}
    files: list[str] = []
    directories: dict[str, float] = {}
    for parent, subdirectories, names in os.walk(directory, followlinks=True):
        subdirectories[:] = [name for name in subdirectories if name not in (excluded_dir_names or ())]
        directories[parent] = os.path.getmtime(parent)
        files += [os.path.relpath(os.path.join(parent, name), directory) for name in names]
    return files, directories


def filter_files_extensions(files: Collection[str], extensions: Collection[str]) -> list[str]:
    """Return the ``files`` with one of ``extensions`` (all files without any), in order."""
    return sorted(f for f in files if not extensions or os.path.splitext(f)[1].lower() in extensions)


def filter_files_content_types(files: list[str], content_types: list[str]) -> list[str]:
    """Return the ``files`` that are of these types by their names: image, video, audio, model …"""

    def matches(name: str) -> bool:
        known = extension_mimetypes_cache.get(name.rpartition(".")[2].lower())
        kind = (known or mimetypes.guess_type(name, strict=False)[0] or "").split("/")[0]
        return kind in content_types or ("image" in content_types and name.lower().endswith((".webp", ".avif")))

    return [name for name in files if matches(name)]


def cached_filename_list_(folder_name: str) -> tuple[list[str], dict[str, float], float] | None:
    """Return None: folders are listed each time."""
    return None


def get_filename_list_(folder_name: str) -> tuple[list[str], dict[str, float], float]:
    """Return the files of a folder, its directories, and when they were listed."""
    return get_filename_list(folder_name), {}, time.perf_counter()


def folders() -> Folders:
    """Sumi's own look-up."""
    if _folders is None:
        raise RuntimeError("folder_paths works only in a process that loads node packs")
    return _folders
