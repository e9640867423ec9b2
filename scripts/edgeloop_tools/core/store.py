"""The component store: recipes and artifacts that the core holds, and folders that a deployment brings."""

from __future__ import annotations

import base64
import filecmp
import hashlib
import os
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from edgeloop_tools.core import builtin, files
from edgeloop_tools.core.recipes import Artifact, Recipe, RecipeError, Version, read
from edgeloop_tools.core.user import ComponentUser

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(slots=True)
class RecipeFolder:
    """The recipes of a folder. One that is not valid matters only when its component is wanted."""

    folder: Path
    nucleus: str
    recipes: dict[str, dict[Version, Recipe]] = field(default_factory=dict)
    broken: dict[str, RecipeError] = field(default_factory=dict)

    def scan(self) -> RecipeFolder:
        try:
            paths = sorted(path for path in self.folder.iterdir() if path.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise RecipeError(
                "cannot read the folder of recipes", where=str(self.folder), why=error.strerror or str(error)
            ) from None
        for path in paths:
            try:
                recipe = read(path, self.nucleus)
            except RecipeError as error:
                self.broken[path.stem] = error
            else:
                self.recipes.setdefault(recipe.name, {})[recipe.version] = recipe
        return self

    def broken_of(self, name: str) -> RecipeError | None:
        for stem, error in self.broken.items():
            if stem == name or (stem.startswith(f"{name}-") and stem[len(name) + 1 :][:1].isdigit()):
                return error
        return None


class Source:
    """What a deployment may choose from: the folders it brings, over the store, over what the nucleus brings along."""

    def __init__(self, store: ComponentStore, recipe_dir: Path | None, artifact_dir: Path | None) -> None:
        self.store = store
        self.artifact_dir = artifact_dir
        self._brought = RecipeFolder(recipe_dir, store.nucleus).scan() if recipe_dir else None
        self._held = RecipeFolder(store.recipes, store.nucleus).scan()
        if artifact_dir and not artifact_dir.is_dir():
            raise RecipeError("there is no folder of artifacts", where=str(artifact_dir))

    def versions(self, name: str) -> list[Version]:
        if name in builtin.RECIPES and name not in self.store.absent:
            return [builtin.RECIPES[name].version]
        found = set(self._held.recipes.get(name, ()))
        if self._brought:
            if error := self._brought.broken_of(name):
                raise error
            found |= set(self._brought.recipes.get(name, ()))
        if not found and (error := self._held.broken_of(name)):
            raise error
        return sorted(found)

    def load(self, name: str, version: Version) -> Recipe:
        if name in builtin.RECIPES and name not in self.store.absent:
            return builtin.RECIPES[name]
        if self._brought and (recipe := self._brought.recipes.get(name, {}).get(version)):
            return recipe
        return self._held.recipes[name][version]

    def artifact(self, recipe: Recipe, artifact: Artifact) -> Path:
        """The file of an artifact. Raises RecipeError where it is missing or has another digest."""
        tried = []
        for folder in (self.artifact_dir, self.store.artifacts):
            if folder is None:
                continue
            path = folder / recipe.name / str(recipe.version) / artifact.file
            tried.append(str(path))
            if path.is_file():
                _check_digest(path, artifact, recipe)
                return path
        raise RecipeError(
            f"an artifact of {recipe.name} {recipe.version} is missing",
            where=tried[0],
            why=f"the recipe wants {artifact.uri}",
            mend="build it, and give --artifactDir",
        )


class ComponentStore:
    """`packages/` below the core's root. absent: of what a nucleus may bring along, what this one does not."""

    def __init__(
        self, root: Path, nucleus: str, user: ComponentUser, absent: frozenset[str] = frozenset()
    ) -> None:
        self.nucleus, self.absent = nucleus, absent
        self.recipes = root / "packages" / "recipes"
        self.artifacts = root / "packages" / "artifacts"
        self.unarchived = root / "packages" / "artifacts-unarchived"
        self._user = user
        for folder in (self.recipes, self.artifacts, self.unarchived):
            folder.mkdir(parents=True, exist_ok=True)

    def source(self, recipe_dir: Path | None = None, artifact_dir: Path | None = None) -> Source:
        return Source(self, recipe_dir, artifact_dir)

    def take(self, recipe: Recipe, source: Source) -> bool:
        """Hold the recipe and its artifacts. Returns whether an artifact that was held has changed."""
        if recipe.name in builtin.RECIPES:
            return False
        changed = False
        folder = self.artifacts / recipe.name / str(recipe.version)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for artifact in recipe.artifacts:
                path, target = source.artifact(recipe, artifact), folder / artifact.file
                if path != target and not (target.exists() and filecmp.cmp(path, target, shallow=False)):
                    changed |= target.exists()
                    files.copy(path, target, _mode(artifact), self._user.owner)
                if artifact.unarchive == "ZIP":
                    self._unpack(target, recipe)
        except OSError as error:
            raise RecipeError(
                f"cannot store the artifacts of {recipe.name}",
                where=str(error.filename or folder),
                why=error.strerror or str(error),
            ) from None
        held = self.recipes / f"{recipe.name}-{recipe.version}{recipe.path.suffix if recipe.path else '.yaml'}"
        for suffix in SUFFIXES:
            other = held.with_name(f"{recipe.name}-{recipe.version}{suffix}")
            if other != held:
                other.unlink(missing_ok=True)
        if not held.exists() or held.read_bytes() != recipe.text:
            files.write(held, recipe.text)
        return changed

    def _unpack(self, archive: Path, recipe: Recipe) -> None:
        folder = self.unarchived / recipe.name / str(recipe.version) / archive.stem
        stamp = folder.with_name(f".{archive.stem}.sha256")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if folder.exists() and stamp.exists() and stamp.read_text() == digest:
            return
        fresh = folder.with_name(f".{archive.stem}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            with zipfile.ZipFile(archive) as unpacked:
                unpacked.extractall(fresh)
        except (zipfile.BadZipFile, ValueError) as error:
            raise RecipeError(
                f"cannot unpack an artifact of {recipe.name}", where=str(archive), why=str(error)
            ) from None
        if self._user.owner:
            for path in (fresh, *fresh.rglob("*")):
                os.chown(path, *self._user.owner)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        files.write(stamp, digest.encode())


def _mode(artifact: Artifact) -> int:
    mode = {"NONE": 0, "OWNER": 0o400, "ALL": 0o444}[artifact.read]
    return mode | {"NONE": 0, "OWNER": 0o500, "ALL": 0o555}[artifact.execute]


def _check_digest(path: Path, artifact: Artifact, recipe: Recipe) -> None:
    if not artifact.digest:
        return
    digest = base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
    if digest != artifact.digest:
        raise RecipeError(
            f"an artifact of {recipe.name} is not the one of the recipe",
            where=str(path),
            why=f"its digest is {digest}, not {artifact.digest}",
            mend="build it again",
        )
