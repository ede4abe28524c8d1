"""Distillation: imitate which pictures and captions a teacher finds similar."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.losses.base import Loss
from imtext.losses.targets import Targets

NO_TEACHER = (
    "loss=distillation learns from a teacher, and the data has none: write its embeddings with "
    "`python -m imtext.embed ckpt_path=<teacher>`, then add data.teacher=teacher.safetensors"
)


class Distillation(Loss):
    """Symmetric cross-entropy between a teacher's and the model's distributions over the batch.

    For every caption, the teacher's similarities to the images of the batch, divided by a temperature, become
    probabilities (softmax), and the model's similarities, at its own temperature, have to give the same ones; and for
    every image over the captions. The loss is the mean of both directions, each a mean over its queries. It is smallest
    when the probabilities are equal (a Kullback-Leibler divergence of zero), and is then the teacher's entropy. Unlike
    matching pairs alone, they say how similar the other pairs are.

    Soft targets: Hinton et al., "Distilling the knowledge in a neural network", 2015. Of similarities within a batch,
    for which both models may have any number of dimensions: "affinity mimicking", Wu et al., "TinyCLIP", ICCV 2023;
    Yang et al., "CLIP-KD", CVPR 2024.

    The teacher sees each picture without augmentation.

    Args:
        teacher_temperature: of the teacher's similarities. Below the teacher's own, which `python -m imtext.embed`
            prints, the best matches count more, above it the order of the others.
    """

    def __init__(self, teacher_temperature: float = 0.05) -> None:
        super().__init__()
        if teacher_temperature <= 0:
            raise ConfigError(f"loss.teacher_temperature must be above zero, not {teacher_temperature}")
        self.teacher_temperature = teacher_temperature

    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        """Compute the loss; see `Loss.forward`.

        Returns:
            `distillation_loss`.

        Raises:
            ConfigError: the data has no teacher.
        """
        if targets.teacher is None:
            raise ConfigError(NO_TEACHER)
        # Not in half precision, where logits near 100 have a rounding error of up to 0.4.
        with torch.autocast(image_embeddings.device.type, enabled=False):
            student = logit_scale.float().exp() * image_embeddings.float() @ text_embeddings.float().T  # [B, N]
            teacher = targets.teacher.float() / self.teacher_temperature
            text_to_image, image_to_text = (
                -(teacher.softmax(dim) * student.log_softmax(dim)).sum(dim).mean() for dim in (0, 1)
            )
        return {"distillation_loss": (text_to_image + image_to_text) / 2}
