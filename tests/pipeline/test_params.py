"""params.yaml: every mistake at once, each with its path; a change reaches only what reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bgdata.errors import InputError
from pipeline._read_params import read_params
from pipeline._resolve_settings import resolve_settings
from pipeline.params import PROFILES, WEIGHTS

ROOT = Path(__file__).resolve().parent.parent.parent
Edit = Callable[[dict[str, Any]], None]


def edited(folder: Path, edit: Edit) -> Path:
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load(ROOT / "params.yaml")
    edit(params)
    path = folder / "params.yaml"
    with path.open("w") as file:
        yaml.dump(params, file)
    return path


def resolved(folder: Path, edit: Edit = lambda _: None) -> dict[str, Any]:
    return resolve_settings(read_params(edited(folder, edit)))


def changed(folder: Path, edit: Edit) -> set[str]:
    before, after = resolved(folder), resolved(folder, edit)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["train"]["p"] = 1.7
        params["train"]["momentun"] = params["train"].pop("momentum")
        params["mix"]["mixup"]["alpha"] = "0.4"
        params["train"]["lr"] = 0.2
        params["recipes"]["cutmix"]["data"] = "cutmx"
        params["profiles"]["demo"]["train"]["epochs"] = True
        params["profiles"]["imagenet"]["train"]["size"] = 2

    with pytest.raises(InputError) as caught:
        read_params(edited(tmp_path, edit))
    lines = [line.strip() for line in str(caught.value).splitlines()]
    expected = [
        "train.p: 1.7 is wrong: it should be less than or equal to 1",
        "train.momentum: missing",
        "train.momentun: unknown key (did you mean momentum?)",
        "mix.mixup.alpha: '0.4' is wrong: it should be a valid number",
        "profiles.demo.train.lr: also set as train.lr; keep one",
        "recipes.cutmix.data: 'cutmx' is wrong",
        "profiles.demo.train.epochs: True is wrong",
        "profiles.imagenet.train.size: 2 is wrong: it should be greater than or equal to 16",
    ]
    for sentence in expected:
        assert any(line.startswith(sentence) for line in lines), sentence


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="profile must be one of demo, imagenet"):
        read_params(edited(tmp_path, lambda params: params.update(profile="full")))


def test_broken_yaml_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("profile: [demo\nseed: 0")
    with pytest.raises(InputError, match="is not valid YAML"):
        read_params(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text.replace(b"seed: 0", b"seed:\t0\n\ttab: 1", 1), r"params.yaml:\d+ is not valid YAML: \S+"),
        (
            lambda text: text.replace(b"seed: 0", b"seed: 0\nseed: 1", 1),
            r"params.yaml:\d+ is not valid YAML: .*dupl",
        ),
        (lambda text: text + b"\n# \x07\n", r"is not valid YAML: \S+"),
        (lambda text: text + b"# caf\xe9\n", r"params.yaml:\d+: expected text in UTF-8, got the byte 0xe9"),
        (lambda text: text.decode().encode("utf-16"), r"params.yaml:1: expected text in UTF-8, got the byte 0xff"),
    ],
)
def test_broken_text_is_one_line_with_its_place(tmp_path: Path, spoil: Callable[[bytes], bytes], words: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(spoil((ROOT / "params.yaml").read_bytes()))
    with pytest.raises(InputError, match=words) as caught:
        read_params(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"gone.yaml cannot be read"):
        read_params(tmp_path / "gone.yaml")


def test_an_editors_endings_and_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (ROOT / "params.yaml").read_bytes().replace(b"\n", b"\r\n"))
    assert read_params(path) == read_params(ROOT / "params.yaml")


def test_numbers_are_read_as_dvc_writes_them(tmp_path: Path) -> None:
    """`dvc exp run -S train.jitter=1e-5` writes 1e-05, which YAML 1.1 takes for a string."""
    path = edited(tmp_path, lambda _: None)
    path.write_text(path.read_text().replace("jitter: 0.2", "jitter: 1e-05"))
    assert read_params(path).train.jitter == pytest.approx(1e-5)


@pytest.mark.parametrize("profile", PROFILES)
def test_all_profiles_are_valid(tmp_path: Path, profile: str) -> None:
    settings = resolved(tmp_path, lambda params: params.update(profile=profile))
    assert settings["fetch"]["source"] == {"demo": "synthetic", "pets": "oxford_pets"}.get(profile, profile)
    if profile == "imagenet":
        assert settings["train-original"]["train"]["arch"] == "resnet50"


@pytest.mark.parametrize(
    ("section", "key", "stage"),
    [("challenge", "rated_per_class", "challenge"), ("saliency", "per_class", "saliency")],
)
def test_a_judges_setting_reruns_that_judge_alone(tmp_path: Path, section: str, key: str, stage: str) -> None:
    assert changed(tmp_path, lambda params: params["profiles"]["demo"][section].update({key: 5})) == {stage}


def wanted(settings: dict[str, Any]) -> set[str]:
    return {source for group in WEIGHTS for source in settings[f"weights-{group}"]["wanted"]}


@pytest.mark.parametrize(
    ("method", "judged", "names"),
    [
        ("given", ["grabcut", "unet"], set()),
        ("sam_boxes", [], {"sam_vit_b"}),
        ("grounded_sam", [], {"sam_vit_b", "groundingdino_swint_ogc", "bert_base_uncased"}),
        ("given", ["grounded_sam"], {"sam_vit_b", "groundingdino_swint_ogc", "bert_base_uncased"}),
        ("sam3", [], {"sam3"}),
        ("given", ["sam3", "sam_boxes"], {"sam3", "sam_vit_b"}),
    ],
)
def test_weights_are_wanted_by_the_methods_in_use(
    tmp_path: Path, method: str, judged: list[str], names: set[str]
) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["profiles"]["demo"]["segment"]["method"] = method
        params["profiles"]["demo"]["evaluate_segmentation"]["methods"] = judged

    assert wanted(resolved(tmp_path, edit)) == names


def test_judged_methods_want_weights_also_without_public_sets(tmp_path: Path) -> None:
    """The masks that came with the photos are judged in any case."""

    def edit(params: dict[str, Any]) -> None:
        judging = params["profiles"]["demo"]["evaluate_segmentation"]
        judging |= {"methods": ["sam_boxes"], "sources": dict.fromkeys(judging["sources"], "none")}

    assert wanted(resolved(tmp_path, edit)) == {"sam_vit_b"}


def test_a_threshold_reruns_the_segmenter_that_has_it(tmp_path: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["segment"]["grounding_dino"]["box_threshold"] = 0.3

    assert changed(tmp_path, edit) == set()

    def ask(params: dict[str, Any]) -> None:
        params["profiles"]["demo"]["segment"]["method"] = "grounded_sam"

    asked = tmp_path / "asked"
    asked.mkdir()
    before = resolved(asked, ask)
    after = resolved(asked, lambda params: (ask(params), edit(params)))
    assert {name for name in before if before[name] != after[name]} == {"segment"}


def test_a_judged_unet_must_be_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evaluate_segmentation\.methods names unet, but unet\.train is false"):
        resolved(tmp_path, lambda params: params["profiles"]["demo"]["unet"].update(train=False))


def test_no_recipe_takes_the_students_folder(tmp_path: Path) -> None:
    recipe = {"start": "init", "data": "original"}
    with pytest.raises(InputError, match=r"recipes\.unet: runs/unet holds something else"):
        resolved(tmp_path, lambda params: params["recipes"].update(unet=recipe))


def test_p_reaches_the_dynamic_recipes_only(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["train"].update(p=0.123)) == {"train-dynamic", "report"}


def test_runtime_reaches_nothing_but_itself(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["runtime"].update(device="cuda")) == {"runtime"}


def test_a_mixing_parameter_reaches_its_set_only(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["mix"]["cutmix"].update(alpha=0.5)) == {"mix-cutmix"}


def test_a_new_recipe_adds_its_own_settings(tmp_path: Path) -> None:
    new = {"start": "init", "data": "only_fg"}
    assert changed(tmp_path, lambda params: params["recipes"].update(only_fg=new)) == {
        "train-only_fg",
        "recipe_backgrounds",
        "evaluate",
        "challenge",
        "saliency",
        "corruptions",
        "leak",
        "report",
    }


def test_corruptions_reach_the_stage_that_writes_them_only(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda params: params["corruptions"].update(store=False)) == {"corrupt"}
    demo = {"names": "all", "severities": [5], "regions": ["whole"]}
    assert changed(tmp_path, lambda params: params["profiles"]["demo"]["corruptions"].update(demo)) == {"corrupt"}
    noise = {"sensitivity_per_class": 3}
    assert changed(tmp_path, lambda params: params["profiles"]["demo"]["evaluate"].update(noise)) == {"evaluate"}


def test_the_classes_are_resolved_for_the_stages_that_read_them(tmp_path: Path) -> None:
    path = tmp_path / "three.csv"
    path.write_text("class,wnid\ndog,n02085620\nfish,n01440764\nsnake,n01748264\n")
    demo = resolved(tmp_path, lambda _: None)
    settings = resolved(tmp_path, lambda params: params["profiles"]["demo"].update(classes=str(path)))
    assert {name for name in settings if settings[name] != demo[name]} == {"fetch", "ingest", "init"}
    for name in ("fetch", "ingest", "init"):
        assert settings[name]["classes"]["names"] == ["dog", "fish", "snake"]
    pets = resolved(tmp_path, lambda params: params.update(profile="pets"))
    assert len(pets["ingest"]["classes"]["names"]) == 37


def test_a_recipe_may_name_classes_of_the_list_alone(tmp_path: Path) -> None:
    pairs = {"by": {"dog": {"bird": 1.0}, "cat": {"dgo": 1.0}}, "p": {"fish": 0.5, "fsih": 0.5}}
    words = (
        r"(?s)names classes that are not there:\n  recipes\.dynamic\.background: 'cat' is none of the classes in9 "
        r".*'dgo'.*'fsih'"
    )
    with pytest.raises(InputError, match=words):
        resolved(tmp_path, lambda params: params["recipes"]["dynamic"].update(background=pairs))


def test_a_list_that_is_no_file_is_told_what_lists_there_are(tmp_path: Path) -> None:
    words = r"classes is 'dogs', and there is no such file: expected in9, folders, or a CSV with the columns class,wnid"
    with pytest.raises(InputError, match=words):
        resolved(tmp_path, lambda params: params["profiles"]["demo"].update(classes="dogs"))


def test_folders_need_a_tree(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"classes: folders needs fetch\.source: folder"):
        resolved(tmp_path, lambda params: params["profiles"]["demo"].update(classes="folders"))


PLACES = {"kind": "external", "folder": "/places", "classes": None, "val_share": 0.2, "splits": ["train", "val"]}
DYNAMIC = {"start": "init", "data": "original", "background": {"by": "any_class", "p": 0.5}}


def add_places(params: dict[str, Any], **changes: Any) -> None:
    params["backgrounds"]["places"] = PLACES | changes


def test_a_source_reaches_its_own_stage_and_the_leak_column(tmp_path: Path) -> None:
    assert changed(tmp_path, add_places) == {"backgrounds-places", "leak"}

    def dilate(params: dict[str, Any]) -> None:
        params["backgrounds"]["f"]["dilate"] = 7

    assert changed(tmp_path, dilate) == {"backgrounds-f", "leak"}
    assert resolved(tmp_path)["backgrounds-f"]["render"].keys() == {
        *("resize", "size", "jpeg_quality", "edge", "feather", "mixed_rand_from", "placement", "images_per_shard")
    }


def test_where_backgrounds_come_from_reaches_what_reads_them(tmp_path: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        add_places(params)
        params["challenge"]["background_from"] = "places"
        params["recipes"]["flow"]["background_from"] = "places"

    reached = changed(tmp_path, edit) - changed(tmp_path, add_places)
    assert reached == {"challenge", "flow", "recipe_backgrounds", "train-flow", "report"}
    assert resolved(tmp_path, edit)["flow"]["recipes"] == {"flow": "places"}


@pytest.mark.parametrize("data", ["mixed_rand_places", "mixed_rand_f", "only_bg_f", "mixed_correlated_c95"])
def test_recipes_train_on_the_sets_of_sources(tmp_path: Path, data: str) -> None:
    def edit(params: dict[str, Any]) -> None:
        add_places(params)
        params["profiles"]["demo"]["backgrounds"]["f"]["splits"] = ["train", "val"]
        params["profiles"]["sample"]["backgrounds"]["f"]["splits"] = ["train", "val"]
        params["correlated"] = {"c95": {"correlation": 0.95, "partners": None, "background_from": "t"}}
        background = {} if data == "only_bg_f" else {"background": DYNAMIC["background"], "background_from": "places"}
        params["recipes"]["new"] = {"start": "init", "data": data} | background

    assert resolved(tmp_path, edit)["train-new"]["recipe"]["data"] == data


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (
            {"data": "mixed_rand_g"},
            r"recipes.new.data is mixed_rand_g: expected a set with train images, one of original, .*mixed_rand_places",
        ),
        # Of the demo's filled backgrounds there are those of val alone.
        ({"data": "mixed_rand_f"}, r"recipes.new.data is mixed_rand_f: expected a set with train images"),
        # Their classes are unknown.
        ({"data": "mixed_same_places"}, r"recipes.new.data is mixed_same_places: expected a set with train images"),
        ({"data": "mixed_correlated_c95"}, r"recipes.new.data is mixed_correlated_c95: expected a set with"),
        (
            {"data": "Mixed"},
            r"recipes.new.data: 'Mixed' is wrong: it should be one of original, .* or a set of `ba",
        ),
        (DYNAMIC | {"data": "only_bg_places"}, r"background needs data with a foreground \(.*\), not only_bg_places"),
        (DYNAMIC | {"background_from": "f"}, r"recipes.new takes train backgrounds of f: add it to its splits"),
        (DYNAMIC | {"background_from": "g"}, r"new.background_from is 'g': expected one of t \(tiled\), f, places"),
    ],
)
def test_sets_that_are_not_there_are_told_apart(tmp_path: Path, recipe: dict[str, Any], words: str) -> None:
    def edit(params: dict[str, Any]) -> None:
        add_places(params)
        params["recipes"]["new"] = {"start": "init", "data": "original"} | recipe

    with pytest.raises(InputError, match=words):
        resolved(tmp_path, edit)


def test_the_challenge_needs_val_backgrounds(tmp_path: Path) -> None:
    def edit(params: dict[str, Any]) -> None:
        add_places(params, splits=["train"])
        params["challenge"]["background_from"] = "places"

    with pytest.raises(InputError, match="challenge takes val backgrounds of places: add it to its splits"):
        resolved(tmp_path, edit)


@pytest.mark.parametrize("name", ["t", "b"])
def test_no_source_takes_a_name_of_renders(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"backgrounds.{name}: render makes only_bg_{name} itself; take another name"):
        resolved(tmp_path, lambda params: params["backgrounds"].update({name: PLACES}))


def test_a_source_may_name_classes_of_the_list_alone(tmp_path: Path) -> None:
    words = r"\n  backgrounds.places.classes: 'dgo' is none of the classes in9"
    with pytest.raises(InputError, match=words):
        resolved(tmp_path, lambda params: add_places(params, classes={"dog": ["a"], "dgo": ["b"]}))


def test_partners_of_correlated_sets_are_classes(tmp_path: Path) -> None:
    made = {"correlation": 0.9, "partners": {"dog": "brid"}, "background_from": "t"}
    with pytest.raises(InputError, match=r"correlated\.strong\.partners: 'brid' is none of the classes"):
        resolved(tmp_path, lambda params: params["correlated"].update(strong=made))


def test_a_correlated_set_adds_its_own_settings(tmp_path: Path) -> None:
    made = {"correlation": 0.9, "partners": None, "background_from": "t"}
    found = changed(tmp_path, lambda params: params["correlated"].update(strong=made))
    assert found == {"correlate-strong", "report"}
    for wrong, said in (({"correlation": 1.5}, "correlation"), ({"background_from": "places"}, "expected one of t")):
        with pytest.raises(InputError, match=said):
            resolved(tmp_path, lambda params, wrong=wrong: params["correlated"].update(strong=made | wrong))


def test_what_looks_for_leaks_is_a_segmenter_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"leak\.segmenter: 'sam9' is wrong: it should be 'given', 'grabcut'"):
        resolved(tmp_path, lambda params: params["profiles"]["demo"]["leak"].update(segmenter="sam9"))

    def untrained(params: dict[str, Any]) -> None:
        params["profiles"]["demo"]["evaluate_segmentation"]["methods"] = []
        params["profiles"]["demo"]["unet"]["train"] = False

    with pytest.raises(InputError, match=r"leak\.segmenter is unet, but unet\.train is false"):
        resolved(tmp_path, untrained)
