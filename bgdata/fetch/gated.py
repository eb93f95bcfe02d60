"""Files that Hugging Face gives only to those who have accepted a licence."""

from pathlib import Path

from bgdata.errors import InputError
from bgdata.fetch.download import fetch_file
from bgdata.fetch.remote import Gate, RemoteFile

HUB = "https://huggingface.co"


def fetch_gated(
    remote: RemoteFile, folder: Path, *, gate: Gate | None, token: str | None, mirror: str | None = None
) -> Path:
    """Put a remote file into `folder` (see `fetch_file`), with the token where a gate is before it.

    The token goes to the file's own host alone.

    Raises InputError as `fetch_file` does; a refusal at the gate says how to be let in.
    """
    headers = {"Authorization": f"Bearer {token.strip()}"} if gate and token else {}
    try:
        return fetch_file(remote, folder, mirror=mirror, headers=headers)
    except InputError as error:
        if gate is None or mirror or "may not be read" not in str(error):
            raise
        state = "the token in HF_TOKEN was not accepted" if headers else "HF_TOKEN is not set"
        raise InputError(
            f"Hugging Face refuses {remote.url} ({state}): accept {gate.licence} at {HUB}/{gate.page}, make a "
            f"token with read access at {HUB}/settings/tokens, and set the variable HF_TOKEN to it"
        ) from None
