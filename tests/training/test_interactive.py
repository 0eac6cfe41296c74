"""The interactive loss, watched through a model that records what it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam, build
from sam.prompts import Decoded, Prompts
from training.loop.config import InteractiveConfig
from training.losses.interactive import interactive_loss, low_res_targets
from training.losses.mask_losses import mask_loss

SIZE = 32
LOW = SIZE // 4


@dataclass
class Recorder:
    """Answers every prompt with fixed logits and predicted IoUs; keeps the prompts."""

    logits: Tensor  # (N, 4, 8, 8)
    ious: Tensor  # (N, 4)
    asked: list[Prompts] = field(default_factory=list)
    learning: list[bool] = field(default_factory=list)  # one for each prompt asked
    config: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(low_res_stride_px=4))

    def decode(
        self, features: ImageFeatures, prompts: Prompts, *, is_learning: bool = False
    ) -> Decoded:
        self.asked.append(prompts)
        self.learning.append(is_learning)
        return Decoded(self.logits, self.ious)


def recorder(num: int = 1, seed: int = 0) -> Recorder:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(num, 4, LOW, LOW, generator=random).requires_grad_()
    return Recorder(logits, torch.rand(num, 4, generator=random).requires_grad_())


def square(x0: int, y0: int, x1: int, y1: int) -> Tensor:
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[0, y0:y1, x0:x1] = True
    return mask


def run(model: Recorder, masks: Tensor, config: InteractiveConfig, seed: int = 0):
    features = ImageFeatures(torch.zeros(1, 1, 2, 2), None)
    generator = torch.Generator().manual_seed(seed)
    return interactive_loss(cast(Sam, model), features, masks, config, generator)


ONE_PASS = InteractiveConfig(num_corrections=0, mask_only_passes=0)


def test_the_paper_s_recipe_takes_eleven_passes_and_nine_clicks() -> None:
    model = recorder()

    result = run(model, square(8, 8, 16, 16), InteractiveConfig(box_share=0.0))

    assert len(model.asked) == 11
    assert len(result.iou_by_pass) == 11
    clicks = [int((p.point_labels >= 0).sum()) for p in model.asked]
    assert clicks[0] == 1
    assert clicks[-1] == 9
    assert sorted(clicks) == clicks  # clicks accumulate
    assert model.asked[0].low_res_logits is None
    assert all(p.low_res_logits is not None for p in model.asked[1:])
    assert all(model.learning)  # rules that only answers need stay out of the loss


def test_the_first_prompt_is_a_click_inside_or_a_box_around() -> None:
    masks = square(8, 12, 16, 20).expand(400, -1, -1)
    model = recorder(400)

    run(model, masks, ONE_PASS)

    prompts = model.asked[0]
    is_box = prompts.point_labels[:, 0] == 2
    # half of 400, standard deviation 10
    assert abs(int(is_box.sum()) - 200) < 50
    assert prompts.point_labels[is_box].tolist() == [[2, 3]] * int(is_box.sum())
    assert prompts.point_labels[~is_box].tolist() == [[1, -1]] * int((~is_box).sum())
    clicks = prompts.point_coords[~is_box, 0]
    assert ((clicks[:, 0] >= 8) & (clicks[:, 0] < 16)).all()
    assert ((clicks[:, 1] >= 12) & (clicks[:, 1] < 20)).all()
    # sides of 8: normal noise of 0.8
    boxes = prompts.point_coords[is_box].reshape(-1, 4)
    assert boxes.mean(0).tolist() == pytest.approx([8, 12, 16, 20], abs=0.3)


def test_only_the_best_of_the_three_masks_learns_from_the_first_prompt() -> None:
    masks = square(0, 0, 16, 16)
    model = recorder()
    with torch.no_grad():
        model.logits[0, 2] = torch.where(low_res_targets(masks, stride_px=4)[0] > 0, 4.0, -4.0)

    result = run(model, masks, ONE_PASS)
    result.total.backward()

    touched = model.logits.grad[0].abs().sum((-2, -1)) > 0
    assert touched.tolist() == [False, False, True, False]
    by_hand = mask_loss(model.logits[0, 2], low_res_targets(masks, stride_px=4)[0]).item()
    assert result.mask == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("box_is_clear", "learns"), [(True, [True, False]), (False, [False, True])]
)
def test_a_box_trains_the_single_mask_where_it_counts_as_clear(
    box_is_clear: bool, learns: list[bool]
) -> None:
    model = recorder()
    only_boxes = InteractiveConfig(
        box_share=1.0, box_is_clear=box_is_clear, num_corrections=0, mask_only_passes=0
    )

    result = run(model, square(0, 0, 16, 16), only_boxes)
    result.total.backward()

    touched = model.logits.grad[0].abs().sum((-2, -1)) > 0
    assert [bool(touched[0]), bool(touched[1:].any())] == learns
    judged = model.ious.grad[0] != 0
    assert judged.tolist() == [learns[0]] + [learns[1]] * 3


def test_after_the_first_prompt_only_the_single_mask_learns() -> None:
    model = recorder()

    run(model, square(0, 0, 16, 16), ONE_PASS).total.backward()
    first = model.logits.grad.clone()
    model.logits.grad = None
    run(model, square(0, 0, 16, 16), InteractiveConfig(num_corrections=1, mask_only_passes=0))
    both = run(
        model, square(0, 0, 16, 16), InteractiveConfig(num_corrections=1, mask_only_passes=0)
    )
    both.total.backward()

    assert first[0, 0].abs().sum() == 0
    assert model.logits.grad[0, 0].abs().sum() > 0
    assert torch.allclose(model.logits.grad[0, 1:], first[0, 1:])


def test_the_mask_with_the_highest_predicted_iou_is_carried_on_detached() -> None:
    model = recorder()
    model.ious = torch.tensor([[0.99, 0.2, 0.1, 0.9]], requires_grad=True)

    run(model, square(0, 0, 16, 16), InteractiveConfig(num_corrections=1, mask_only_passes=0))

    fed_back = model.asked[1].low_res_logits
    assert fed_back is not None
    assert torch.equal(fed_back[:, 0], model.logits[:, 3])  # 3 of 1..3, never 0
    assert not fed_back.requires_grad


def test_predicted_iou_is_trained_towards_the_iou_of_the_upscaled_masks() -> None:
    masks = square(0, 0, 16, 32)
    full = torch.where(low_res_targets(masks, stride_px=4) > 0, 10.0, -10.0)
    nothing, everything = torch.full((1, LOW, LOW), -10.0), torch.full((1, LOW, LOW), 10.0)
    logits = torch.stack([nothing, full, nothing, everything], dim=1).requires_grad_()
    model = Recorder(logits, torch.full((1, 4), 0.5, requires_grad=True))

    result = run(model, masks, ONE_PASS)
    best_only = run(
        model,
        masks,
        InteractiveConfig(num_corrections=0, mask_only_passes=0, supervise_all_ious=False),
    )

    # IoUs of masks 1..3: 1, 0 and 16 * 32 / (32 * 32) = 0.5; predicted 0.5 for each
    assert result.iou == pytest.approx((0.25 + 0.25 + 0.0) / 3)
    assert best_only.iou == pytest.approx(0.25)
    assert result.best_iou == 1.0


def test_the_iou_weight_scales_its_part_of_the_total() -> None:
    model = recorder()
    config = InteractiveConfig(num_corrections=0, mask_only_passes=0, iou_weight=3.0)

    result = run(model, square(0, 0, 16, 16), config)

    assert result.total.item() == pytest.approx(result.mask + 3 * result.iou)


def test_corrections_are_drawn_between_the_limits() -> None:
    lengths = set()
    for seed in range(60):
        model = recorder()
        config = InteractiveConfig(num_corrections=3, min_corrections=0, mask_only_passes=1)
        run(model, square(0, 0, 16, 16), config, seed=seed)
        lengths.add(len(model.asked))

    assert lengths == {1, 3, 4, 5}  # no correction: one pass; else 1 + k + a last one


def test_one_seed_gives_the_same_clicks() -> None:
    asked = []
    for seed in (3, 3, 4):
        model = recorder()
        run(model, square(4, 4, 20, 24), InteractiveConfig(box_share=0.0), seed=seed)
        asked.append(model.asked[-1].point_coords)

    assert torch.equal(asked[0], asked[1])
    assert not torch.equal(asked[0], asked[2])


@pytest.mark.parametrize("through_logits", [False, True])
def test_passes_back_propagated_one_by_one_give_the_same_gradients(through_logits: bool) -> None:
    masks = square(4, 4, 20, 24)
    config = InteractiveConfig(
        num_corrections=2, mask_only_passes=1, gradient_through_logits=through_logits
    )
    model, other = recorder(), recorder()
    heard: list[float] = []

    def on_pass(loss: Tensor) -> None:
        heard.append(loss.item())
        loss.backward()

    together = run(model, masks, config)
    together.total.backward()
    generator = torch.Generator().manual_seed(0)
    features = ImageFeatures(torch.zeros(1, 1, 2, 2), None)
    apart = interactive_loss(cast(Sam, other), features, masks, config, generator, on_pass=on_pass)

    assert len(heard) == (1 if through_logits else 4)
    assert sum(heard) == pytest.approx(together.total.item())
    assert apart.total.item() == pytest.approx(together.total.item())
    assert not apart.total.requires_grad
    assert torch.allclose(other.logits.grad, model.logits.grad)
    assert torch.allclose(other.ious.grad, model.ious.grad)


def test_logits_fed_back_pass_gradients_only_when_asked() -> None:
    for is_asked in (False, True):
        model = recorder()
        config = InteractiveConfig(
            num_corrections=1, mask_only_passes=0, gradient_through_logits=is_asked
        )
        run(model, square(0, 0, 16, 16), config)
        assert model.asked[1].low_res_logits.requires_grad is is_asked


def test_the_loss_can_be_taken_at_the_model_s_resolution() -> None:
    masks = square(2, 2, 15, 15)  # no cell of 4 pixels begins or ends there
    model = recorder()
    config = InteractiveConfig(num_corrections=0, mask_only_passes=0, loss_frame="model")

    result = run(model, masks, config)

    full = torch.nn.functional.interpolate(
        model.logits[:, 1:].detach(), (SIZE, SIZE), mode="bilinear", align_corners=False
    )
    by_hand = min(mask_loss(full[0, m], masks[0].float()).item() for m in range(3))
    assert result.mask == pytest.approx(by_hand, rel=1e-5)


def test_the_focal_loss_takes_its_constants_from_the_config() -> None:
    model = recorder()
    masks = square(0, 0, 16, 16)
    config = InteractiveConfig(
        num_corrections=0, mask_only_passes=0, focal_alpha=0.5, focal_gamma=1.0
    )

    result = run(model, masks, config)

    target = low_res_targets(masks, stride_px=4)[0]
    losses = [
        mask_loss(model.logits[0, m], target, focal_alpha=0.5, focal_gamma=1.0).item()
        for m in (1, 2, 3)
    ]
    assert result.mask == pytest.approx(min(losses))


def test_masks_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="boolean"):
        run(recorder(), torch.ones(1, SIZE, SIZE), ONE_PASS)
    with pytest.raises(ValueError, match="at least 1"):
        run(recorder(), torch.ones(0, SIZE, SIZE, dtype=torch.bool), ONE_PASS)


def test_targets_are_the_covered_share_of_each_cell() -> None:
    targets = low_res_targets(square(0, 0, 6, 4), stride_px=4)

    assert targets[0, 0, :3].tolist() == [1.0, 0.5, 0.0]  # 16 and 8 of 16 pixels


def test_a_small_model_learns_a_square_from_clicks_and_boxes() -> None:
    model = build("tiny", seed=0).train()
    image = torch.full((1, 3, 128, 128), -1.0)
    image[:, :, 32:80, 40:96] = 1.0
    masks = torch.zeros(4, 128, 128, dtype=torch.bool)
    masks[:, 32:80, 40:96] = True
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    config = InteractiveConfig(num_corrections=1, mask_only_passes=0)
    ious = []

    for _ in range(40):
        result = interactive_loss(model, model.encode(image), masks, config, generator)
        optimizer.zero_grad()
        result.total.backward()
        optimizer.step()
        ious.append(result.iou_by_pass[-1])

    assert sum(ious[-5:]) / 5 > 0.8
    assert sum(ious[-5:]) / 5 > ious[0] + 0.3


def test_passes_without_a_new_click_may_withhold_all_but_the_last_answer() -> None:
    config = InteractiveConfig(num_corrections=2, mask_only_passes=1, mask_alone_share=1.0)
    model = recorder()

    run(model, square(4, 4, 20, 20), config)

    *clicked, alone = model.asked
    assert [bool((prompts.point_labels >= 0).any()) for prompts in clicked] == [True] * 3
    assert not (alone.point_labels >= 0).any()
    assert alone.point_coords.shape[1] <= 2
    assert not alone.point_coords.any()
    assert alone.low_res_logits is not None


def test_the_order_of_the_three_masks_is_learnt_where_they_answer() -> None:
    config = InteractiveConfig(num_corrections=0, rank_weight=1.0, box_share=0.0)
    plain, ranked = recorder(), recorder()

    run(plain, square(4, 4, 20, 20), replace(config, rank_weight=0.0)).total.backward()
    run(ranked, square(4, 4, 20, 20), config).total.backward()

    added = ranked.ious.grad[0] - plain.ious.grad[0]
    assert added[0] == 0.0  # the single mask has no part in it
    assert added[1:].abs().max() > 0
    assert added.sum() == pytest.approx(0.0, abs=1e-5)  # only differences between the three count
