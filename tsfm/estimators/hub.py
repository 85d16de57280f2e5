"""Models of the Hugging Face hub: folders of config.json, model.safetensors and README.md, downloaded and uploaded.

Needs the extra `hub` (`pip install 'tsfm-platform[hub]'`). Only the files that tsfm reads are downloaded, and no code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tsfm.contamination.sketch import SKETCH_FILE
from tsfm.model.checkpoint import CARD, CONFIG, WEIGHTS

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
FILES = (CONFIG, WEIGHTS, CARD, SKETCH_FILE)


def download(repo_id: str, **options: Any) -> Path:
    """Return the folder of a model in the local cache of the hub, after a download where it is not there yet.

    Parameters
    ----------
    repo_id
        Such as `organisation/name`.
    **options
        Of `huggingface_hub.snapshot_download`: revision, token, cache_dir, local_files_only, ...

    Raises
    ------
    FileNotFoundError
        If there is no such model, or it cannot be reached.
    ImportError
        If `huggingface_hub` is not installed.
    """
    if not REPOSITORY.fullmatch(repo_id):
        raise FileNotFoundError(
            f"no model {repo_id!r}: neither a folder, nor a bundled model, nor a name on a hub such as org/name"
        )
    hub = _library()
    try:
        return Path(hub.snapshot_download(repo_id, allow_patterns=list(FILES), **options))
    except (OSError, ValueError) as error:  # all errors of the library are of these kinds
        reason = " ".join(str(error).split())[:300]
        raise FileNotFoundError(f"{repo_id} cannot be downloaded ({reason}); check the name and the network") from None


def upload(folder: Path, repo_id: str, *, token: str | None = None, private: bool = False) -> str:
    """Upload the folder of a model, and return its address.

    Raises
    ------
    OSError
        If the hub refuses it or cannot be reached.
    ImportError
        If `huggingface_hub` is not installed.
    """
    api = _library().HfApi(token=token)
    try:
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(folder_path=str(folder), repo_id=repo_id, allow_patterns=list(FILES))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise OSError(
            f"{folder} cannot be uploaded to {repo_id} ({reason}); check the name, the token and the network"
        ) from None
    return str(address)


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            "models of a hub need huggingface_hub; install it by pip install 'tsfm-platform[hub]'"
        ) from None
    return huggingface_hub
