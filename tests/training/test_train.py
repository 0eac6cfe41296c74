"""Training the mask model: it learns, resumes exactly, stops cleanly and leaves usable files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from sam.checkpoints import checkpoint_files, embedding_files
from sam.checkpoints.checkpoint_files import CheckpointError
from sam.modeling.model import Sam, build
from tests.training.blobs import write_blobs
from tests.training.runs import losses, same_weights
from training.data.features import FeatureStore
from training.data.manifest import ManifestError, read_manifest, write_manifest
from training.finetuning.train import TrainStopped, train
from training.loop.config import InteractiveConfig, Trainable, TrainConfig
from training.loop.run_folder import TrainError

QUICK = TrainConfig(
    num_steps=6,
    images_per_step=2,
    masks_per_image=2,
    learning_rate=1e-3,
    warmup_steps=2,
    checkpoint_every_steps=2,
    interactive=InteractiveConfig(num_corrections=1, mask_only_passes=1),
)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "data", num_train=3, num_holdout=1)


def test_training_lowers_the_loss_and_leaves_a_model_and_its_decoder(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    heard: list[float] = []
    config = replace(QUICK, num_steps=60, warmup_steps=5)

    result = train(
        config,
        manifest,
        start,
        tmp_path / "run",
        on_progress=lambda fraction, message, **figures: heard.append(fraction),
    )

    assert result.metrics["last_loss"] < 0.9 * result.metrics["first_loss"]
    assert result.metrics["num_steps"] == 60
    assert (result.metrics["num_images"], result.metrics["num_masks"]) == (3, 9)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert isinstance(checkpoint_files.load(result.checkpoint_path), Sam)
    session = onnxruntime.InferenceSession(str(result.decoder_path))
    assert [output.name for output in session.get_outputs()] == ["low_res_masks", "iou_predictions"]


def test_training_the_decoder_keeps_stored_features_valid(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    before = load_file(start)

    result = train(QUICK, manifest, start, tmp_path / "run")

    after = load_file(result.checkpoint_path)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith("image_encoder.") for name in changed)
    assert result.encoder_sha256 == checkpoint_files.encoder_sha256(checkpoint_files.load(start))


def test_training_everything_changes_the_encoder_and_says_so(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    result = train(replace(QUICK, trainable="all"), manifest, start, tmp_path / "run")

    trained = checkpoint_files.encoder_sha256(checkpoint_files.load(result.checkpoint_path))
    assert result.encoder_sha256 == trained
    assert trained != checkpoint_files.encoder_sha256(checkpoint_files.load(start))


class StopAfter:
    """Ask to stop from the n-th question on."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("trainable", ["decoder", "all"])
def test_a_stopped_run_resumes_to_the_same_weights_bit_for_bit(
    tmp_path: Path, start: Path, manifest: Path, trainable: str
) -> None:
    config = replace(QUICK, trainable=trainable)
    whole = train(config, manifest, start, tmp_path / "whole")

    questions = 3 + 3  # three images are read first
    with pytest.raises(TrainStopped, match="stopped after 3 of 6 steps"):
        train(config, manifest, start, tmp_path / "cut", should_stop=StopAfter(questions))
    resumed = train(config, manifest, start, tmp_path / "cut")

    assert same_weights(whole.checkpoint_path, resumed.checkpoint_path)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


def test_a_run_stopped_while_reading_images_resumes(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    with pytest.raises(TrainStopped, match="while encoding images"):
        train(QUICK, manifest, start, tmp_path / "run", should_stop=StopAfter(1))

    train(QUICK, manifest, start, tmp_path / "run")

    assert len(losses(tmp_path / "run")) == 6


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from tests.training.test_train import QUICK
from training.finetuning.train import train

def on_progress(fraction, message, **figures):
    print(message, flush=True)
    if figures.get("step") == 5:
        os.kill(os.getpid(), signal.SIGKILL)  # between two states: steps 5 is lost

train(QUICK, Path({manifest!r}), Path({start!r}), Path({out!r}), on_progress=on_progress)
"""


def test_a_run_killed_between_two_states_resumes_to_the_same_weights_bit_for_bit(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    whole = train(QUICK, manifest, start, tmp_path / "whole")
    out = tmp_path / "killed"
    script = KILLED_RUN.format(
        root=str(ROOT), manifest=str(manifest), start=str(start), out=str(out)
    )

    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(losses(out)) == 5
    (out / ".state.safetensors.1x").write_bytes(b"half a state")
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    resumed = train(QUICK, manifest, start, out)

    assert same_weights(whole.checkpoint_path, resumed.checkpoint_path)
    assert losses(out) == losses(tmp_path / "whole")
    assert not list(out.glob(".*"))
    # TensorBoard's curves end where the figures do: one record to open the file, one a step
    assert (out / "events.out.tfevents.segloop").read_bytes().count(b"gradient_norm") == 6


def test_a_finished_run_can_be_asked_for_again(tmp_path: Path, start: Path, manifest: Path) -> None:
    first = train(QUICK, manifest, start, tmp_path / "run")
    figures = (tmp_path / "run" / "metrics.jsonl").read_text()

    again = train(QUICK, manifest, start, tmp_path / "run")

    assert again == first
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == figures  # no step was taken again


def test_a_folder_of_another_run_is_refused(tmp_path: Path, start: Path, manifest: Path) -> None:
    train(QUICK, manifest, start, tmp_path / "run")

    with pytest.raises(TrainError, match="holds another run: config differ"):
        train(replace(QUICK, seed=1), manifest, start, tmp_path / "run")


def test_a_state_without_its_config_is_not_gone_on_with(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    train(QUICK, manifest, start, tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()

    with pytest.raises(TrainError, match=r"its config\.json is gone"):
        train(replace(QUICK, seed=1), manifest, start, tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_before_the_step(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    model = build("tiny", seed=0)
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.fill_(3e38)  # finite, or loading would refuse it
    checkpoint_files.save(model, start)

    with pytest.raises(TrainError, match=r"step 1: the loss is (nan|inf); the step was not taken"):
        train(QUICK, manifest, start, tmp_path / "run")

    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "state.safetensors").exists()


def store_features(manifest: Path, *, model: Sam, folder: Path, scale: float = 1.0) -> Path:
    """Write the features of each image, times `scale`, and a manifest that names them."""
    store = FeatureStore(model, cache_dir=None)
    records = []
    folder.mkdir()
    for image in read_manifest(manifest).images:
        features = store.get(image)
        changed = type(features)(
            features.image_embeddings * scale, features.high_res_features * scale
        )
        path = folder / f"{image.image_id}.safetensors"
        path.write_bytes(
            embedding_files.to_bytes(changed, encoder_sha256=checkpoint_files.encoder_sha256(model))
        )
        records.append(replace(image, features_path=path))
    named = folder / "manifest.jsonl"
    write_manifest(named, images=records)
    return named


def test_stored_features_of_the_same_encoder_are_used(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    model = checkpoint_files.load(start)
    honest = store_features(manifest, model=model, folder=tmp_path / "a")
    doctored = store_features(manifest, model=model, folder=tmp_path / "b", scale=0.5)

    train(QUICK, manifest, start, tmp_path / "plain")
    train(QUICK, honest, start, tmp_path / "honest")
    train(QUICK, doctored, start, tmp_path / "doctored")

    assert losses(tmp_path / "honest") == losses(tmp_path / "plain")
    assert losses(tmp_path / "doctored") != losses(tmp_path / "plain")


def test_stored_features_of_another_encoder_are_not_used(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    other = store_features(manifest, model=build("tiny", seed=9), folder=tmp_path / "other")

    train(QUICK, manifest, start, tmp_path / "plain")
    train(QUICK, other, start, tmp_path / "foreign")

    assert losses(tmp_path / "foreign") == losses(tmp_path / "plain")


def test_bad_inputs_are_refused_in_one_sentence(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint at"):
        train(QUICK, manifest, tmp_path / "nothing.safetensors", tmp_path / "run")
    with pytest.raises(ManifestError, match="cannot read the manifest"):
        train(QUICK, tmp_path / "nothing.jsonl", start, tmp_path / "run")
    (image, *_) = read_manifest(manifest).in_split("holdout")
    write_manifest(tmp_path / "held.jsonl", images=[image])
    with pytest.raises(ManifestError, match="no usable image on the train split"):
        train(QUICK, tmp_path / "held.jsonl", start, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    image.image_path.write_bytes(image.image_path.read_bytes()[:400])
    write_manifest(tmp_path / "cut.jsonl", images=[replace(image, split="train")])
    with pytest.raises(ManifestError, match="cannot read the image"):
        train(QUICK, tmp_path / "cut.jsonl", start, tmp_path / "run")


def test_adapters_change_the_encoder_and_are_merged_into_plain_weights(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    config = replace(QUICK, trainable="lora", lora_rank=2)
    before = load_file(start)

    result = train(config, manifest, start, tmp_path / "run")

    after = load_file(result.checkpoint_path)
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert "image_encoder.laterals.0.weight" in changed
    assert "image_encoder.global_blocks.0.qkv.weight" in changed
    assert not any(name.startswith("image_encoder.stages.") for name in changed)
    assert any(name.startswith("mask_decoder.") for name in changed)
    assert train(config, manifest, start, tmp_path / "run") == result  # resumes its last state


@pytest.mark.parametrize("trainable", ["decoder", "all", "lora"])
def test_the_saved_weights_lie_between_the_start_and_what_was_trained(
    tmp_path: Path, start: Path, manifest: Path, trainable: Trainable
) -> None:
    config = replace(QUICK, trainable=trainable, start_share=0.25)
    before = load_file(start)

    mixed = load_file(train(config, manifest, start, tmp_path / "mixed").checkpoint_path)
    alone = load_file(
        train(replace(config, start_share=0.0), manifest, start, tmp_path / "alone").checkpoint_path
    )

    moved = [name for name in before if not torch.equal(before[name], alone[name])]
    assert moved
    for name in before:
        between = 0.25 * before[name].double() + 0.75 * alone[name].double()
        assert torch.allclose(mixed[name].double(), between, atol=1e-6)
    assert any(not torch.equal(mixed[name], alone[name]) for name in moved)


def test_what_stands_still_keeps_its_bits_when_averaged(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    model = checkpoint_files.load(start)
    with torch.no_grad():
        next(model.image_encoder.parameters()).flatten()[0] = -0.0
    checkpoint_files.save(model, tmp_path / "signed.safetensors", {})
    config = replace(QUICK, num_steps=2, start_share=0.25)

    result = train(config, manifest, tmp_path / "signed.safetensors", tmp_path / "run")

    assert result.encoder_sha256 == checkpoint_files.encoder_sha256(model)


def test_an_older_set_is_mixed_in_and_belongs_to_the_run(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    older = write_blobs(tmp_path / "older", num_train=2)
    config = replace(QUICK, num_steps=2)

    mixed = train(config, manifest, start, tmp_path / "mixed", mix_path=older)

    assert mixed.metrics["num_images"] == 3 + 2
    with pytest.raises(TrainError, match="holds another run: mixed_with differ"):
        train(config, manifest, start, tmp_path / "mixed")


def test_an_image_lost_during_the_run_is_skipped_and_counted(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    images = read_manifest(manifest).in_split("train")

    def lose_one(fraction: float, message: str, **figures: float) -> None:
        if figures.get("step") == 1:
            images[0].image_path.unlink()

    train(replace(QUICK, trainable="all"), manifest, start, tmp_path / "run", on_progress=lose_one)

    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 6
    assert sum(json.loads(line)["unread_images"] for line in lines) > 0


def test_masks_of_nearly_everything_are_left_out(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    from masks.rle import Rle
    from training.data.manifest import MaskRecord

    (image, *_) = read_manifest(manifest).images
    everything = MaskRecord(mask_id="all", rle=Rle.encode(np.ones(image.image_hw, dtype=bool)))
    write_manifest(tmp_path / "all.jsonl", images=[replace(image, masks=(everything,))])

    with pytest.raises(TrainError, match="no mask to learn from"):
        train(QUICK, tmp_path / "all.jsonl", start, tmp_path / "run")
