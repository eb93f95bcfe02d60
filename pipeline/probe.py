"""Judge a frozen network by a linear classifier on its features: accuracy on the variants, and the BG-gap.

`python -m pipeline.probe --arch timm:vit_small_patch16_224.dino --train-data data/in9 --data RELEASE`
"""

import argparse
from pathlib import Path

from bgdata.compose.names import VARIANTS
from bgdata.sources import open_sources
from models.classifiers.backbones import load_backbone
from models.evaluation.in9 import in9_score, judge_variants, recorded_predictions
from models.evaluation.probes import fit_probe, probed, read_features
from pipeline._arguments import check_file, seed
from pipeline._judging import (
    add_any_model_arguments,
    add_variants_argument,
    birth,
    data_classes,
    model_source,
    open_data,
    running,
    write_result,
)
from pipeline._printing import percent, print_in9
from pipeline._stage import SETS, run_stage


def main(arguments: argparse.Namespace) -> None:
    """Features, fit, judge; print, and write `--out`."""
    check_file(arguments.out, argument="--out")
    arguments.data = arguments.data or arguments.train_data
    run = running(arguments)
    train = open_sources(arguments.train_data, [arguments.train_on], split="train")[arguments.train_on]
    judged = open_data(arguments, arguments.variants)
    classes = data_classes(arguments, {arguments.train_on: train} | judged)
    backbone, record = load_backbone(model_source(arguments, classes))
    features = read_features(backbone, train, split="train", workers=arguments.workers, **run)
    probe = fit_probe(features, seed=arguments.seed)
    judgements = judge_variants(
        probed(backbone, probe), judged, split=arguments.split, workers=arguments.workers, **run
    )
    fitted = {
        "trained_on": arguments.train_on,
        "train_data": str(arguments.train_data),
        "photos": probe.photos,
        "features": probe.weight.shape[1],
        "l2": probe.l2,
        "held_out_accuracy": {f"{penalty:g}": accuracy for penalty, accuracy in probe.held_out.items()},
        "seed": arguments.seed,
    }
    score = birth(arguments, record, judged) | {"probe": fitted} | in9_score(judgements, among_nine=False)
    write_result(arguments.out, score | {"predictions": recorded_predictions(judgements)})
    print(
        f"{probe.photos} photos of {arguments.train_on}, {probe.weight.shape[1]} features, L2 {probe.l2:g} "
        f"({percent(probe.held_out[probe.l2])} of held-out photos right)\n"
    )
    print_in9(score)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_any_model_arguments(parser)
    probe_group = parser.add_argument_group("the probe")
    probe_group.add_argument("--train-data", type=Path, default=SETS, help=f"our sets, to train on; default {SETS}")
    probe_group.add_argument("--train-on", default="original", choices=VARIANTS, metavar="VARIANT")
    probe_group.add_argument("--seed", type=seed, default=0, help="draws the photos that choose the penalty")
    add_variants_argument(parser)
    run_stage(main, parser)
