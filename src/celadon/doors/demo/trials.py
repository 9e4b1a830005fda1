"""The second part: four services whose green looks healthy, all released at the same time, and judged beside blue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from celadon.domain.release import Outcome
from celadon.doors.demo.callers import PEN
from celadon.doors.demo.digits import Image, Lesson
from celadon.doors.demo.graphs import write_compared_models
from celadon.doors.demo.story import SAME, SLOWER, UNFAIR, WRONG, Chapter
from celadon.doors.demo.workshop import Workshop, predict_path, write_golden

RATE_PER_S = 60.0
SLOW_RATE_PER_S = 25.0
BRUSH, PENCIL = "brush", "pencil"

TEMPLATE = """\
apiVersion: celadon.dev/v1alpha1
kind: ModelService
metadata: {{name: {name}}}
spec:
  model: ./{blue}.onnx
  golden: ./{golden}
  route: {{port: {port}}}
  release:
    strategy:
      canary: {{advance: evidence, stages: [{{percent: 50}}, {{percent: 100}}]}}
{watch}    judge:            # quick, because this is a demo: by default the judge is surer of what it says
      falseRollbackPercent: 5
      falsePromotionPercent: 10
{margins}
"""

LABELS = """\
      errors: {extraPercent: 2}
      labels: {extraPercent: 5}"""

COPIES = f"""\
{LABELS}
      answers: {{maxDifferPercent: 50}}      # copies are judged by their labels
      freezeMirrorPercent: 100
      freezeSeconds: 120"""

GROUPS = f"""\
      errors: {{extraPercent: 2}}
      labels: {{extraPercent: 5, matureSeconds: 20}}
      groups: {{header: {PEN}, values: [{BRUSH}, {PENCIL}]}}
      freezeSeconds: 5"""

WATCH = "    watch: {seconds: 5}\n"
DEADLINE = "    watch: {seconds: 5, deadlineSeconds: 40, onDeadline: rollback}\n"
"""Nobody sits before the demo to decide. A freeze without copies brings no more evidence, and then time decides."""

LATENCY = """\
      errors: {extraPercent: 2}
      latency: {maxSlowerPercent: 10, required: true}
      freezeSeconds: 5"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One service and the release of its green, which is called as the service is.

    blue: the model that is live before; margins: what of the two is compared; watch: its deadline. labelled: whether somebody tells later
    which digit each image showed.
    """

    chapter: Chapter
    blue: str
    margins: str
    watch: str = WATCH
    rate_per_s: float = RATE_PER_S
    labelled: bool = True

    @property
    def service(self) -> str:
        """Name of the service."""
        return self.chapter.label

    @property
    def before(self) -> Chapter:
        """The bring-up of blue, as the tables call it."""
        return Chapter(label=f"{self.service}'s blue", what="", planned=Outcome.PROMOTED, model=self.blue)


TRIALS = (
    Trial(chapter=WRONG, blue="better", margins=COPIES),
    Trial(chapter=UNFAIR, blue="first", margins=GROUPS, watch=DEADLINE),
    Trial(
        chapter=SLOWER,
        blue="thorough",
        margins=LATENCY,
        watch=DEADLINE,
        rate_per_s=SLOW_RATE_PER_S,
        labelled=False,
    ),
    Trial(chapter=SAME, blue="better", margins=LABELS),
)


def furnish_trials(folder: Path, lesson: Lesson, ports: Sequence[int]) -> tuple[Workshop, ...]:
    """Write the models, golden requests and service files of all trials beside those of the first part."""
    write_compared_models(lesson, folder)
    return tuple(_furnish(folder, trial, lesson, port) for trial, port in zip(TRIALS, ports, strict=True))


def _furnish(folder: Path, trial: Trial, lesson: Lesson, port: int) -> Workshop:
    name = trial.service
    workshop = Workshop(folder=folder, runtime="model", path=predict_path(name), service=name)
    golden = f"golden-{name}.jsonl"
    write_golden(workshop, golden, lesson.plain)
    told = TEMPLATE.format(
        name=name, blue=trial.blue, golden=golden, port=port, margins=trial.margins, watch=trial.watch
    )
    workshop.service_file.write_text(told, encoding="utf-8")
    return workshop


def pens(lesson: Lesson) -> Callable[[Image], str]:
    """With which pen an image was written: bold digits with a brush."""

    def pen(image: Image) -> str:
        return BRUSH if image.ink >= lesson.ink_limit else PENCIL

    return pen
