"""How much an actor's answers hang on each of its parameters, from the derivatives of each observation's answer."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import parameters_to_vector

from nestrl.agents.actor_output import ActorOutput

Answer = Callable[[Tensor], ActorOutput]

CHUNK = 4
"""Observations differentiated at once. Each derivative runs back through all of them, so more waste work, fewer calls:
512 of them take about a second of one core for a trunk of [128, 128] and 6 actions, and about twice that at 1 or 32."""


def fisher_information(answer: Answer, observations: Tensor, parameters: Sequence[Parameter]) -> Tensor:
    """Return the diagonal (P,) of the Fisher information of a policy's P parameters, on observations (n, D + N).

        Box       mean over x of  sum_k (d mean_k / d theta)^2 / std_k^2 + 2 (d log_std_k / d theta)^2
        Discrete  mean over x of  sum_a p_a (d log p_a / d theta)^2

    The expectation over actions is exact, not sampled (Wolczyk et al., 2021, appendix). It is the second derivative of
    the drift from the present policy, in nats. Parameters come one after the other, as `actor_groups` has them.
    """
    return _mean_over_rows(answer, observations, parameters, _scores, torch.square)


def output_sensitivity(answer: Answer, observations: Tensor, parameters: Sequence[Parameter]) -> Tensor:
    """Return the sensitivity (P,) of a policy's answers to its P parameters, on observations (n, D + N).

        mean over x of  |d ||F(x)||^2 / d theta|,  F(x) = (mean, log_std), or the logits

    (Aljundi et al., 2018, equation 2 with the squared norm of their section 4.1.)
    """
    return _mean_over_rows(answer, observations, parameters, _squared_norm, torch.abs)


def _scores(output: ActorOutput) -> Tensor:
    """Return (n, K) whose squared derivatives sum to each row's Fisher information."""
    if output.logits is not None:
        log_probs = torch.log_softmax(output.logits, 1)
        return (0.5 * log_probs.detach()).exp() * log_probs
    mean, log_std = output.gaussian
    return torch.cat((mean / log_std.detach().exp(), 2**0.5 * log_std), 1)


def _squared_norm(output: ActorOutput) -> Tensor:
    """Return the squared norm (n, 1) of each row of the answer."""
    answer = torch.cat(output.gaussian, 1) if output.logits is None else output.logits
    return answer.square().sum(1, keepdim=True)


def _mean_over_rows(
    answer: Answer,
    observations: Tensor,
    parameters: Sequence[Parameter],
    quantities: Callable[[ActorOutput], Tensor],
    magnitude: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the magnitudes (P,) of the derivatives of each row's quantities, summed over those, averaged over rows."""
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for rows in torch.split(observations, CHUNK):
        values = quantities(answer(rows))
        each_alone = torch.eye(values.numel(), device=values.device).view(-1, *values.shape)
        derivatives = torch.autograd.grad(values, parameters, each_alone, is_grads_batched=True, allow_unused=True)
        for sum_so_far, derivative in zip(total, derivatives, strict=True):
            if derivative is not None:
                sum_so_far += magnitude(derivative).sum(0)
    return parameters_to_vector(total) / len(observations)
