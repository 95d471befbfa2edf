"""The methods, as data: phases of transfers.

The plain student is a method like any other. The last phase of each looks at the tags; earlier ones
train the features it starts from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from boxless.methods.attention import Attention
from boxless.methods.class_aware import ClassAware
from boxless.methods.hint import Hint
from boxless.methods.hinton import Hinton
from boxless.methods.regions import Regions, RegionsByNms
from boxless.methods.tags import Tags, TrueTags, TrustedTags
from boxless.methods.transfer import Transfer

PLAIN: Final = "plain"
"""The student without distillation, trained in every run."""

ORACLE: Final = "oracle"
"""The plain student with the true tags of the untagged images: what there was to gain."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train a student.

    Attributes:
        label: Name for people.
        phases: What each phase transfers.
    """

    label: str
    phases: tuple[tuple[type[Transfer], ...], ...]

    @property
    def features(self) -> tuple[tuple[type[Transfer], ...], ...]:
        """The phases before the last."""
        return self.phases[:-1]


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        PLAIN: Method("student without distillation", ((Tags,),)),
        "hinton": Method("Hinton distillation", ((TrustedTags, Hinton),)),
        "attention": Method("attention transfer", ((Tags, Attention),)),
        "fitnets": Method("FitNets (hint, then tags)", ((Hint,), (Tags,))),
        "fitnets-hinton": Method(
            "FitNets with Hinton distillation", ((Hint,), (TrustedTags, Hinton))
        ),
        "class-aware": Method("class-aware distillation alone", ((TrustedTags, ClassAware),)),
        "hint-class-aware": Method(
            "whole-map hint + class-aware", ((Hint,), (TrustedTags, ClassAware))
        ),
        "regions-nms": Method(
            "NMS regions + class-aware", ((RegionsByNms,), (TrustedTags, ClassAware))
        ),
        "regions": Method(
            "weighted regions + class-aware", ((Regions,), (TrustedTags, ClassAware))
        ),
        ORACLE: Method("oracle: true tags of the untagged images too", ((TrueTags,),)),
    }
)
"""By name, in the order of tables: the paper's rows, the option of the FitNets paper
(``fitnets-hinton``) and the whole-map twin of ``regions`` (``hint-class-aware``)."""


def transfers(recipe: object, methods: Iterable[str]) -> list[Transfer]:
    """What methods transfer in all their phases, with the settings of a recipe."""
    kinds = (kind for name in methods for phase in METHODS[name].phases for kind in phase)
    return [kind.of(recipe) for kind in kinds]


DISTILLING: Final = tuple(name for name in METHODS if name not in (PLAIN, ORACLE))
"""Methods that need a teacher."""

COMPARED: Final = (*DISTILLING, ORACLE)
"""Methods that a recipe may compare with its own."""

FIRST_PHASES: Final = tuple(
    dict.fromkeys(t.name for method in METHODS.values() for phase in method.features for t in phase)
)
"""Transfers that take a phase of their own before the tags."""
