"""Names of the ways to propose regions, for recipes, commands and proposers alike."""

from typing import Final, Literal, get_args

ProposalMethod = Literal[
    "edge_boxes",
    "selective_search_fast",
    "selective_search_quality",
    "grid",
    "faster_rcnn",
    "file",
]

PROPOSAL_METHODS: Final[tuple[str, ...]] = get_args(ProposalMethod)
