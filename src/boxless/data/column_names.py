"""Names of columns, as people and programs give them."""

import re

ESCAPE = "class:"
"""Before the name of a column that is a class whatever it is called, as ``class:split``."""

PATHS = (
    "path", "file_path", "image_path", "img_path", "file_name", "image_name", "img_name", "file",
    "image", "img", "images", "photo", "picture", "image_file", "fname", "image_index", "image_id",
    "img_id", "full_path", "rel_path", "name", "id",
)  # fmt: skip
"""Names of the column that names the image, the first found wins."""

TAGS = re.compile(
    r"labels?|tags?|class(es)?|categor(y|ies)|(class|label|tag|category)names?|keywords?|targets?"
    r"|annotations?|findinglabels|choices?|objects"
)
NUMBERED_TAG = re.compile(r"(label|tag|class|category)\d+")
OFTEN_NO_SPLIT = re.compile(r"dataset|phase|usage|part|stage|mode|group")
SPLITS = re.compile(
    rf"(data(set)?)?splits?(name|id)?|(sub)?set|partition|(k|cv)?folds?(id|idx|no|number)?"
    rf"|{OFTEN_NO_SPLIT.pattern}"
)
SPLIT_FLAGS = {
    f"{first}{word}{last}": part
    for part, words in (
        ("val", ("valid", "val", "validation", "holdout", "heldout")),
        ("test", ("test",)),
        ("train", ("train", "training")),
    )
    for word in words
    for first in ("is", "in", "")
    for last in ("", "set", "split")
    if part != "train" or first or last
}
METADATA = re.compile(
    r"""index|idx|(index)?level0|row(number)?|number|num|no|nr|sno|serial|key|uu?id
    |(row|image|img|label|class|category|annotations?|patient|study|user|video|frame|scene|camera
    |track|object|group|photo|file|item|sample|subject|session|record|task|worker|job|batch)?id
    |((image|img)?(width|height))|depth|channels|filesize|bytes|md5|sha(1|256)|p?hash
    |ur[il]|link|license|author|photographer|annotator|labeler|user|source
    |timestamp|(created|updated|modified)(at)?|lat(itude)?|lon(gitude)?|lng
    |confidence|score|weight|count|n(um)?(labels|tags|objects|boxes)|bbox|[xy](min|max)
    |iscrowd|difficult|truncated|occluded|(is)?(verified|reviewed|duplicate)|leadtime
    |(patient)?(age|sex|gender)|patient|frontallateral|appa|viewposition
    |unnamed\d+(level\d+)?|column\d+|""",  # without a letter or digit, too
    re.VERBOSE,
)
DOUBTFUL = re.compile(
    r"""frame|area|size|(aspect)?ratio|format|mime(type)?|quality|flag(ged)?|keep|ignored?|use|usable
    |rating|stars|year|month|day|date|time|hour|version|rotation|orientation|exif|camera
    |done|status|priority|difficulty|errors?|unlabell?ed
    |(is|has|was)?(label(s|l?ed)?|annotations?|annotated|tagged|used|deleted|skipped|checked|approved
    |corrupt(ed)?)
    |(is|has|was)(bad|good|usable|blurry|empty|gold|damaged|public|private|gr[ea]y|color|rgb)""",
    re.VERBOSE,
)
"""Names of columns of 1 and 0 that are more often about the image than in it."""


def plain(name: str) -> str:
    """A column's name without case and marks."""
    return "".join(char for char in name.casefold() if char.isalnum())


def is_class_name(name: str) -> bool:
    """Whether a column of this name is taken as a class, if it holds 1 and 0."""
    word = plain(name)
    taken = word in SPLIT_FLAGS or word in {plain(known) for known in PATHS} or "unknown" in word
    kinds = (TAGS, NUMBERED_TAG, SPLITS, METADATA, DOUBTFUL)
    odd = name != name.strip() or name.startswith(ESCAPE)
    return not (odd or taken or any(kind.fullmatch(word) for kind in kinds))
