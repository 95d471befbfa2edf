"""The recipe: every setting of a run, one pydantic model per section.

These models are at once the schema of recipe files (TOML), the dotted command-line overrides
(``--teacher.optim.epochs 4``) and the reference documentation: each field's description is shown by
``boxless recipes show``. Defaults are the paper's where a source says so, otherwise the decisions
of ``docs/decisions``. Components never see these models; `boxless.runs.build` hands them plain
values.
"""

from pydantic import Field, model_validator

from boxless.methods.attention import AttentionSettings
from boxless.methods.hint import HintSettings
from boxless.methods.hinton import HintonSettings
from boxless.methods.section import Section
from boxless.methods.table import METHODS
from boxless.methods.tags import TagSettings
from boxless.methods.teaching import Teaching
from boxless.recipe.checks import (
    check_budget,
    check_feature_transfer,
    check_methods,
    check_regions,
    check_tags,
    check_teacher_file,
    check_teaching,
    check_temperature,
)
from boxless.recipe.sections import (
    BaselineConfig,
    DataConfig,
    ProposalsConfig,
    RunConfig,
    Stage1Config,
    Stage2Config,
    StudentConfig,
    TeacherConfig,
)


class Recipe(Section):
    """All settings of a run."""

    name: str = Field("custom", description="name shown in results")
    description: str = Field("", description="one sentence on what it is for")
    why: tuple[str, ...] = Field((), description="why it was chosen, where none was named")
    data: DataConfig = DataConfig()
    proposals: ProposalsConfig = ProposalsConfig()
    teacher: TeacherConfig
    student: StudentConfig
    teaching: Teaching = Teaching()
    tags: TagSettings = TagSettings()
    method: str = Field("regions", description="how the student is distilled")
    methods: tuple[str, ...] = Field((), description="further methods, compared with it")
    stage1: Stage1Config
    stage2: Stage2Config
    baseline: BaselineConfig = BaselineConfig()
    hinton: HintonSettings = HintonSettings()
    hint: HintSettings = HintSettings()
    attention: AttentionSettings = AttentionSettings()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _sections_fit(self) -> "Recipe":
        check_methods(self.method, self.methods, self.data)
        check_regions(self.proposals, self.teacher, self.stage1)
        check_feature_transfer(self.teacher, self.student, self.stage1)
        check_teaching(self.teacher, self.student, self.teaching, self.stage1.target)
        check_temperature(self.stage2)
        check_teacher_file(self.teacher, self.distilling, self)
        check_tags(self.tags, self.student, self.teacher, self.stage2, self.distilling)
        check_budget(self.distilling, self.stage1, self.stage2)
        return self

    @property
    def distilling(self) -> tuple[str, ...]:
        """The recipe's own method, then those compared with it, in the order of tables."""
        asked = (name for name in METHODS if name in self.methods and name != self.method)
        return (self.method, *asked)
