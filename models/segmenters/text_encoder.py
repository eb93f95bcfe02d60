"""BERT as GroundingDINO uses it: every phrase of a caption reads only itself, and each caption is computed once."""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertTokenizer

from bgdata.errors import InputError

# The folder of BERT's vocabulary among the weights.
BERT = "bert_base_uncased"
# Captions to remember: more than ImageNet has classes; some 25 KB each.
_REMEMBERED = 2048
# GroundingDINO parts a caption at these, and its checkpoints hold BERT with just these ids.
_SPECIAL = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
# In every vocabulary of English.
_PLAIN_WORD = "a"


class TextEncoder(nn.Module):
    """Stands in for groundingdino's `BertModelWarper`, which calls methods that transformers 5 no longer has.

    Same keys in the state dict, same numbers. A caption's output is remembered by its tokens while the network is in
    evaluation mode, and computed in float32 whatever autocast says, alone whatever the batch.

    Source: groundingdino-py 0.4.0, `bertwarper.py`.
    """

    def __init__(self, bert_model: BertModel) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings, self.encoder, self.pooler = bert_model.embeddings, bert_model.encoder, bert_model.pooler
        self._padding: int = bert_model.config.pad_token_id or 0
        self._known: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()

    def train(self, mode: bool = True) -> "TextEncoder":
        """Switch between training and evaluation; what is remembered is forgotten."""
        self._known.clear()
        return super().train(mode)

    def forward(
        self,
        input_ids: Int64[Tensor, "b t"],
        attention_mask: Bool[Tensor, "b t t"],
        token_type_ids: Int64[Tensor, "b t"],
        position_ids: Int64[Tensor, "b t"],
    ) -> dict[str, Float[Tensor, "b t c"]]:
        """The tokens' features; those of padding are zeros (nothing reads them)."""
        lengths = (input_ids != self._padding).sum(1).tolist()
        rows = [
            self._row(ids[None, :n], mask[None, :n, :n], types[None, :n], positions[None, :n])
            for n, ids, mask, types, positions in zip(
                lengths, input_ids, attention_mask, token_type_ids, position_ids, strict=True
            )
        ]
        return {"last_hidden_state": nn.utils.rnn.pad_sequence(rows, batch_first=True)}

    def _row(self, ids: Tensor, mask: Tensor, types: Tensor, positions: Tensor) -> Float[Tensor, "t c"]:
        if self.training:
            return self._encode(ids, mask, types, positions)
        key = tuple(ids[0].tolist())
        if key not in self._known:
            self._known[key] = self._encode(ids, mask, types, positions)
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]

    def _encode(self, ids: Tensor, mask: Tensor, types: Tensor, positions: Tensor) -> Float[Tensor, "t c"]:
        with torch.autocast(ids.device.type, enabled=False):
            embedded = self.embeddings(input_ids=ids, token_type_ids=types, position_ids=positions)
            bias = torch.zeros_like(mask, dtype=embedded.dtype).masked_fill(~mask, torch.finfo(embedded.dtype).min)
            return self.encoder(embedded, attention_mask=bias[:, None])[0][0]


def build_bert(folder: Path) -> BertModel:
    """BERT by the folder's config.json, its weights as drawn: a GroundingDINO checkpoint brings them.

    Raises InputError where the folder has no such file or it does not describe BERT.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {_how_to_mend(folder)}") from None
    except ValueError:
        raise InputError(f"{path} is no JSON: {_how_to_mend(folder)}") from None
    if not isinstance(content, dict) or content.get("model_type") != "bert":
        raise InputError(f"{path} does not describe BERT (`model_type` is not `bert`): {_how_to_mend(folder)}")
    return BertModel(BertConfig.from_dict(content))


def load_tokenizer(folder: Path) -> BertTokenizer:
    """BERT's tokenizer from the folder's vocab.txt alone.

    Raises InputError where the file is missing or is not the vocabulary that GroundingDINO was trained with.
    """
    if not (folder / "vocab.txt").is_file():
        raise InputError(f"{folder / 'vocab.txt'} is missing: {_how_to_mend(folder)}")
    # Not `BertTokenizer(vocab_file=...)`: transformers 5 then knows no word, and says nothing.
    tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    ids = dict(zip(_SPECIAL, tokenizer.convert_tokens_to_ids(list(_SPECIAL)), strict=True))
    if ids != _SPECIAL:
        raise InputError(
            f"{folder / 'vocab.txt'} is not the vocabulary of bert-base-uncased: expected the tokens {_SPECIAL}, found "
            f"{ids}: {_how_to_mend(folder)}"
        )
    if tokenizer.unk_token_id in tokenizer(_PLAIN_WORD)["input_ids"]:
        raise InputError(f"{folder / 'vocab.txt'} does not know the word {_PLAIN_WORD!r}: {_how_to_mend(folder)}")
    return tokenizer


def _how_to_mend(folder: Path) -> str:
    return f"run `dvc repro fetch_weights`, or put bert-base-uncased's config.json and vocab.txt into {folder}"
