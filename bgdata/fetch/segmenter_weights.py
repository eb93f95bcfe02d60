"""The weights of the segmenters that transformers runs, as Hugging Face holds them."""

from bgdata.fetch.remote import Gate, RemoteFile

_HUB = "https://huggingface.co"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_AGREED = "measured alike by three or more unrelated public repositories, at this revision"
# What such a config.json says is held against the architecture that is expected (models/segmenters/folders.py).
_UNHASHED = "revision: many public repositories name it; no three unrelated ones name a hash of this file"
_UNPINNED = "no public repository was found that names a revision or a hash"
_SAM3 = Gate("SAM 3's licence (Meta's SAM License, which limits its use)", "facebook/sam3")

# A file's name, size and SHA-256.
_File = tuple[str, int | None, str | None]


def _published(
    source: str,
    repository: str,
    revision: str,
    *files: _File,
    licence: str = "Apache-2.0",
    gate: Gate | None = None,
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(
            name,
            f"{_HUB}/{repository}/resolve/{revision}/{name}",
            size=size,
            sha256=sha256,
            licence=licence,
            confirmed=_UNPINNED if revision == "main" else _AGREED if sha256 else _UNHASHED,
            under=source,
            gate=gate,
        )
        for name, size, sha256 in files
    )


_SAM2_FILES: dict[str, tuple[str, _File, _File]] = {
    "tiny": (
        "de431c4043854a71d8101e17995dfe596bf101a5",
        (_CONFIG, 5695, "860aff9751b139d83a4ad7df1e5535416fded533e0ead02625edbefcb9953cce"),
        (_WEIGHTS, 155_908_064, "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7"),
    ),
    "small": (
        "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        (_CONFIG, 5698, "97ff9f65b76d107acda4247885f0a5555d0048850ae3c5f97183df289aaecde9"),
        (_WEIGHTS, 184_305_280, "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60"),
    ),
    "base_plus": (
        "b7320756a13354e7530a63935656d35b2f91a290",
        (_CONFIG, None, None),
        (_WEIGHTS, 323_476_296, "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780"),
    ),
    "large": (
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        (_CONFIG, 5705, None),
        (_WEIGHTS, 897_897_416, "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230"),
    ),
}
_SAM_HQ = {"b": "base", "l": "large", "h": "huge"}
_MM_GROUNDING_DINO = (
    "tiny_o365v1_goldg",
    "tiny_o365v1_goldg_v3det",
    "base_o365v1_goldg_v3det",
    "base_all",
    "large_o365v2_oiv6_goldg",
    "large_all",
)
_NOTHING_KNOWN: tuple[_File, _File] = ((_CONFIG, None, None), (_WEIGHTS, None, None))

SEGMENTER_WEIGHTS: dict[str, tuple[RemoteFile, ...]] = {
    **{
        (source := f"sam2_1_hiera_{size}"): _published(
            source, f"facebook/sam2.1-hiera-{size.replace('_', '-')}", revision, *files
        )
        for size, (revision, *files) in _SAM2_FILES.items()
    },
    **{
        (source := f"sam_hq_vit_{letter}"): _published(
            source, f"syscv-community/sam-hq-vit-{size}", "main", *_NOTHING_KNOWN
        )
        for letter, size in _SAM_HQ.items()
    },
    **{
        (source := f"mm_grounding_dino_{name}"): _published(
            source, f"openmmlab-community/{source}", "main", *_NOTHING_KNOWN
        )
        for name in _MM_GROUNDING_DINO
    },
    "sam3": _published(
        "sam3",
        "facebook/sam3",
        "3c879f39826c281e95690f02c7821c4de09afae7",
        (_CONFIG, 25_843, "4616385e4b21f2e5e22c875b65679185cbccfa95de42542b9166f7dc3d57160f"),
        (_WEIGHTS, 3_439_938_512, "6d06f0a5f84e435071fe6603e61d0b4cc7b40e0d39d487cfd4d67d8cc11cc14a"),
        # The vocabulary is CLIP's, to the bit.
        ("vocab.json", 862_328, "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363"),
        ("merges.txt", 524_619, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"),
        licence="SAM License (Meta)",
        gate=_SAM3,
    ),
}
